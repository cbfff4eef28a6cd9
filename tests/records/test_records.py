"""Records: ids are digests of content, and survive the way through BSON."""

import numpy as np
import pytest
from ase.build import bulk, mx2
from bson import BSON
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forcebase.errors import InputError
from forcebase.records import Calculation, DFTMethod, ModelMethod, Structure
from forcebase.records.array_field import ArrayField, decode_array, encode_array

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)


RULES = {
    "code": "gpaw",
    "functional": "PBE",
    "basis": {"type": "plane waves", "cutoff_eV": 350.0},
    "pseudopotentials": {"type": "PAW", "library": "gpaw-data"},
    "smearing": {"type": "Fermi-Dirac", "width_eV": 0.01},
    "spin": "none",
    "dispersion": "none",
    "spin_orbit": False,
}


def a_method(**changes):
    return DFTMethod.of_rules(**{**RULES, **changes})


def through_bson(record):
    return type(record)._from_son(BSON.encode(record.to_mongo().to_dict()).decode())


def layer():
    atoms = mx2("WSe2", vacuum=8)
    atoms.pbc = True
    return atoms


@given(arrays(np.float64, st.tuples(st.integers(0, 5), st.just(3)), elements=FINITE))
def test_array_field_keeps_every_bit(array):
    field = ArrayField((None, 3))
    stored = BSON.encode({"a": field.to_mongo(array)}).decode()["a"]
    assert field.to_python(stored).tobytes() == np.ascontiguousarray(array).tobytes()
    assert decode_array(encode_array(array)).shape == array.shape


@pytest.mark.parametrize("bad", [np.zeros((2, 2)), np.array([[0.0, np.nan, 0.0]]), np.zeros(3)])
def test_array_field_refuses_wrong_shape_and_nan(bad):
    from mongoengine.errors import ValidationError

    with pytest.raises(ValidationError):
        ArrayField((None, 3)).validate(bad)


def test_structure_keeps_its_id_through_bson_and_says_what_it_is():
    record = Structure.from_atoms(layer().repeat((2, 2, 1)), kind="pristine-2x2")
    again = through_bson(record)
    assert again.digest() == record.id == again.id
    assert record.reduced_formula == "WSe2"
    assert record.vacuum_axes == [False, False, True]
    assert record.family == record.id
    assert again.to_atoms().get_chemical_formula() == "Se8W4"
    assert again.to_pymatgen().composition.reduced_formula == "WSe2"


def test_a_recipe_does_not_change_a_structures_id_but_leaves_an_edge_to_its_parent():
    parent = Structure.from_atoms(layer())
    recipe = {"operation": "strain", "parameters": {}, "seed": 1, "parent": parent.id}
    child = Structure.from_atoms(layer(), recipe=recipe, family=parent.family)
    assert child.id == parent.id
    assert [edge.record for edge in child.provenance.edges] == [parent.id]


def test_methods_differ_by_what_changes_their_answers():
    changed = {
        name: True if name == "spin_orbit" else {"a": 1.0} if name in DICTS else "other"
        for name in DFTMethod.RULES
    }
    ids = {a_method(**{name: value}).id for name, value in changed.items()} | {a_method().id}
    assert len(ids) == len(DFTMethod.RULES) + 1
    assert through_bson(a_method()).digest() == a_method().id


DICTS = (
    *("functional_parameters", "basis", "pseudopotentials", "smearing", "dispersion_parameters"),
    *("plus_u", "corrections", "settings"),
)


def test_a_method_of_a_schema_up_to_8_keeps_its_id():
    """The digest that version 6 gave the data which comes along."""
    old = DFTMethod(
        **{**RULES, "pseudopotentials": {**RULES["pseudopotentials"], "version": "1.2.1"}},
        code_version="26.7.0",
        k_points={
            "rule": "Gamma-centred, ceil(|b| / spacing), 1 along vacuum",
            "spacing_per_A": 0.38,
        },
        libxc_version="5.2.3",
    ).sealed()
    assert old.id[:10] == "e142cf2627"
    assert not old.is_recorded
    assert through_bson(old).digest() == old.id


@pytest.mark.parametrize(
    "given",
    [
        {"charge": 0.0},
        {"charge": 1.0},
        {"k_mesh": [2, 2, 2]},
        {"k_shift": [0.5, 0.5, 0.5]},
        {"k_rule": {"rule": "KSPACING", "spacing_per_A": 0.3}},
        {"potentials": {"W": {"name": "W_sv"}}},
        {"plus_u": {"W": {"u_eV": 4.0, "j_eV": 0.0, "l": 2}}},
        {"magnetic": {"order": "none", "pattern": "000", "total": 0.0}},
        {"convergence": {"energy_eV": 1e-6}},
    ],
)
def test_what_the_rules_gave_tells_calculations_apart(given):
    structure, labels = Structure.from_atoms(layer()), {"energy": -20.0, "forces": np.zeros((3, 3))}
    plain = Calculation.of(structure, a_method(), **labels)
    made = Calculation.of(structure, a_method(), **labels, **given)
    assert made.id != plain.id
    assert through_bson(made).digest() == made.id


@pytest.mark.parametrize(
    "beside", [{"code_version": "6.4"}, {"k_spacing": 0.3}, {"findings": ["x"]}]
)
def test_what_follows_or_tells_nothing_apart_leaves_a_calculation(beside):
    structure, labels = Structure.from_atoms(layer()), {"energy": -20.0, "forces": np.zeros((3, 3))}
    plain = Calculation.of(structure, a_method(), **labels)
    assert Calculation.of(structure, a_method(), **labels, **beside).id == plain.id


def test_a_model_is_its_weights_and_precision():
    model = {"kind": "MACE", "weights": "a" * 64, "dtype": "float64", "elements": ["Se", "W"]}
    one = ModelMethod(**model, seed=1).sealed()
    assert ModelMethod(**model, seed=2).sealed().id == one.id
    assert ModelMethod(**{**model, "dtype": "float32"}).sealed().id != one.id
    assert ModelMethod(**{**model, "weights": "b" * 64}).sealed().id != one.id


def test_calculation_is_sealed_with_edges_and_ignores_the_clock():
    structure, method = Structure.from_atoms(layer()), a_method()
    labels = {"energy": -20.0, "forces": np.zeros((3, 3)), "stress": np.zeros(6)}
    fast = Calculation.of(structure, method, **labels, wall_time=1.0)
    slow = Calculation.of(structure, method, **labels, wall_time=2.0)
    assert fast.id == slow.id
    assert {edge.record for edge in fast.provenance.edges} == {structure.id, method.id}
    assert through_bson(fast).digest() == fast.id
    atoms = fast.to_atoms(structure)
    assert atoms.get_potential_energy() == -20.0


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"energy": np.nan, "forces": np.zeros((1, 3))}, "NaN"),
        ({"energy": 0.0, "forces": np.zeros((2, 3))}, r"shape \(2, 3\) for 1 atoms"),
        ({"energy": 0.0, "forces": np.full((1, 3), np.inf)}, "NaN or infinite"),
        ({"energy": 0.0, "forces": np.zeros((1, 3)), "stress": np.zeros(3)}, "stress"),
    ],
)
def test_calculation_refuses_bad_labels(labels, words):
    structure = Structure.from_atoms(bulk("Cu"))
    with pytest.raises(InputError, match=words):
        Calculation.of(structure, a_method(), **labels)
