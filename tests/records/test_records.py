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


def a_method(**changes):
    content = {
        "code": "gpaw",
        "code_version": "26.7.0",
        "functional": "PBE",
        "basis": {"type": "plane waves", "cutoff_eV": 350.0},
        "pseudopotentials": {"type": "PAW", "library": "gpaw-data", "version": "1.2.1"},
        "k_points": {"rule": "Gamma-centred", "spacing_per_A": 0.38},
        "smearing": {"type": "Fermi-Dirac", "width_eV": 0.01},
        "spin": "none",
        "dispersion": "none",
        "spin_orbit": False,
    }
    return DFTMethod(**{**content, **changes}).sealed()


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
    ids = {
        a_method().id,
        a_method(functional="LDA").id,
        a_method(basis={"type": "plane waves", "cutoff_eV": 400.0}).id,
        a_method(libxc_version="7.0.0").id,
    }
    assert len(ids) == 4
    assert through_bson(a_method()).digest() == a_method().id


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
