"""Structures from files and objects; models and datasets from Python."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from pymatgen.core import Lattice, Structure

from forcebase.errors import InputError, NotFoundError

CIF_OF_AN_ALLOY = """data_alloy
_cell_length_a 3.6
_cell_length_b 3.6
_cell_length_c 3.6
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Cu1 Cu 0 0 0 {cu}
Au1 Au 0 0 0 {au}
"""


def test_a_file_atoms_and_a_structure_are_one_record(session, tmp_path):
    si = bulk("Si")
    si.write(tmp_path / "si.vasp", format="vasp", direct=False)
    path = tmp_path / "si.vasp"
    first = session.structures.add(path, name="si")
    assert (first.formula, first.n_atoms) == ("Si2", 2)
    assert session.get("si") == first
    assert session.structures.add(str(path)) == first
    assert session.structures.add(first.atoms) == first
    assert session.structures.add(first) == first
    assert session.structures.add(first.to_pymatgen()) == first
    assert session.structures.count() == 1
    made_by = first.activity
    assert (made_by.kind, made_by.source["file"], made_by.n_records) == ("import", "si.vasp", 1)
    assert len(made_by.source["sha256"]) == 64
    np.testing.assert_allclose(first.atoms.cell.array, si.cell.array, atol=1e-9)
    assert session.structures.add([first]) == 0  # records, as collections take them


def test_a_cif_has_the_file_s_crystal(session, tmp_path):
    bulk("NaCl", "rocksalt", a=5.64, cubic=True).write(tmp_path / "salt.cif")
    found = session.structures.add(tmp_path / "salt.cif", kind="bulk")
    assert (found.reduced_formula, found.n_atoms, found.kind) == ("NaCl", 8, "bulk")
    read = Structure.from_file(tmp_path / "salt.cif")
    assert found.to_pymatgen().matches(read)


def test_labels_of_atoms_stay_behind(session):
    from ase.calculators.emt import EMT

    atoms = bulk("Cu")
    atoms.calc = EMT()
    atoms.get_forces()
    record = session.structures.add(atoms)
    assert record.atoms.calc is None
    assert session.calculations.count() == 0


def shared_site():
    return Structure(Lattice.cubic(3.6), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]])


def ghost():
    return Atoms("X", cell=[5, 5, 5], pbc=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nowhere.cif", "no file 'nowhere.cif'.*CIF, POSCAR"),
        (42, "int is not a structure.*ASE Atoms"),
        (None, "NoneType is not a structure"),
        (Atoms(), "has no atoms"),
        (molecule("H2O"), "H2O.* is not in a cell.*atoms.center"),
        (bulk("Si") + Atoms("Si"), "atoms 0 and 2 are 0 angstrom apart.*written twice"),
        (Atoms("Si", [[np.nan, 0, 0]], cell=[5, 5, 5], pbc=True), "positions that are no numbers"),
        (ghost(), "of no element"),
        (shared_site(), "shared by elements, or partly filled"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_structure_is_refused(session, given, message):
    with pytest.raises(InputError, match=message):
        session.structures.add(given, name="bad")
    assert session.structures.count() == 0
    assert session.activities.count() == 0
    with pytest.raises(NotFoundError):
        session.get("bad")


@pytest.mark.parametrize(
    ("cu", "au", "refused"), [(0.5, 0.5, True), (0.8, 0, True), (1, None, False)]
)
def test_sites_of_a_cif_must_be_whole(session, tmp_path, cu, au, refused):
    text = CIF_OF_AN_ALLOY.format(cu=cu, au=au)
    if not au:
        text = "\n".join(line for line in text.splitlines() if not line.startswith("Au1")) + "\n"
    (tmp_path / "alloy.cif").write_text(text)
    if refused:
        with pytest.raises(InputError, match=r"alloy.cif: a site is shared .* or partly filled"):
            session.structures.add(tmp_path / "alloy.cif")
    else:
        assert session.structures.add(tmp_path / "alloy.cif").formula == "Cu"


def test_a_file_of_another_kind_is_named(session, tmp_path):
    (tmp_path / "notes.txt").write_text("nothing of a crystal\n")
    with pytest.raises(InputError, match=r"notes.txt is of no known format.*cif"):
        session.structures.add(tmp_path / "notes.txt")


def test_a_name_that_cannot_be_one_stops_before_anything_is_written(session):
    with pytest.raises(InputError, match="cannot be a name"):
        session.structures.add(bulk("Si"), name="a:b")
    assert session.structures.count() == 0


def test_molecules_in_a_box_are_taken(session):
    water = molecule("H2O")
    water.center(vacuum=5)
    assert session.structures.add(water).formula == "H2O"


def test_models_are_found_again_and_among_the_methods(session):
    emt = session.models.add("ase", "ase.calculators.emt:EMT", elements=["Cu"], name="emt")
    same = session.models.add("ase", "ase.calculators.emt:EMT", elements=["Cu"])
    assert emt == same == session.models.get("emt")
    assert [m.id for m in session.models.find()] == [emt.id]
    atoms = bulk("Cu")
    atoms.calc = emt.calculator()
    from ase.calculators.emt import EMT

    own = bulk("Cu")
    own.calc = EMT()
    assert atoms.get_potential_energy() == own.get_potential_energy()
    with pytest.raises(InputError, match="no kind of model 'emt'"):
        session.models.add("emt", "ase.calculators.emt:EMT")


def test_a_dataset_is_what_was_asked_for(silicon):
    asked = {"method": "tersoff", "method_class": "model", "kind": "rattled"}
    first = silicon.datasets.build("si", **asked)
    assert (first.name, first.version) == ("si", 1)
    assert sum(first.counts.values()) == 12
    train = first.atoms("train")
    assert len(train) == first.counts["train"]
    by_id = {c.id: c for c in silicon.calculations.find(method="tersoff", kind="rattled")}
    for atoms in (*train, *first.atoms("valid"), *first.atoms("test")):
        record = by_id.pop(atoms.info["calculation"])
        assert atoms.get_potential_energy() == record.energy
        np.testing.assert_array_equal(atoms.get_forces(), record.forces)
        np.testing.assert_array_equal(atoms.get_stress(), record.stress)
        assert atoms.info["config_type"] == record.kind
    assert not by_id
    with pytest.raises(NotFoundError, match="No calculation fits"):
        silicon.datasets.build("si", method="lj", method_class="model", kind="nothing")


def test_predictions_are_those_of_the_calculator(silicon):
    dataset = silicon.datasets.get("si")
    found = silicon.predict("tersoff", "si@1:test")
    assert len(found) == dataset.counts["test"]
    assert {c.structure for c in found} == {str(m.structure) for m in dataset.members("test")}
    calculator = silicon.models.get("tersoff").calculator()
    for calculation in found:
        atoms = calculation.structure.atoms
        atoms.calc = calculator
        assert atoms.get_potential_energy() == pytest.approx(calculation.energy, abs=1e-9)
    one = silicon.predict("tersoff", "si")
    assert [c.formula for c in one] == ["Si2"]
    assert len(silicon.predict("tersoff", [dataset, *found])) == 12
    with pytest.raises(NotFoundError, match="'si-phonon'"):
        silicon.predict("tersoff", "si-phonon:test")
    with pytest.raises(InputError, match=r"int is not a structure of the database.*structures.add"):
        silicon.predict("tersoff", 5)


def test_settings_of_a_training_are_read(session):
    from forcebase.api.session import _settings
    from forcebase.models.training_settings import DEMO, FULL, QUICK

    assert _settings(None, {}) == DEMO
    assert _settings("full", {"device": "cuda"}).device == "cuda"
    assert _settings("full", {"seed": 3}).num_channels == FULL.num_channels
    assert _settings(QUICK, {"max_num_epochs": 9, "swa": True}).epochs == 9
    assert _settings(QUICK, {"swa": True}).further == {"swa": True}
    with pytest.raises(InputError, match=r"'epoch' is not a setting.*Did you mean epochs"):
        _settings(None, {"epoch": 3})
    with pytest.raises(InputError, match="no preset 'big'"):
        _settings("big", {})
    with pytest.raises(NotFoundError, match="'nothing'"):
        session.train("nothing")


def test_a_worker_that_is_not_there_is_named(silicon):
    """`where` reaches the queue; the queue itself has tests of its own."""
    with pytest.raises(Exception, match=r"(?i)project|worker"):
        silicon.train("si@1", device="cuda", where="slurm_gpu")
    with pytest.raises(Exception, match=r"(?i)project|worker"):
        silicon.phonon("tersoff", "si", supercell=(3, 3, 3), where="slurm_gpu")
    with pytest.raises(InputError, match="cannot be named yet"):
        silicon.phonon("tersoff", "si", supercell=(3, 3, 3), where="slurm_gpu", name="x")


@pytest.mark.parametrize("given", [(2, 2), "2x2", (0, 1, 1), (1.5, 1, 1), "axbxc", None, [[1]]])
def test_what_is_no_supercell_is_refused(silicon, given):
    with pytest.raises(InputError, match="is not a supercell"):
        silicon.phonon("tersoff", "si", supercell=given)


def test_supercells_are_written_in_three_ways(silicon):
    known = silicon.get("si-phonon")
    for given in ((2, 2, 2), "2x2x2", np.diag([2, 2, 2])):
        assert silicon.phonon("tersoff", "si", supercell=given) == known


def test_a_record_of_another_kind_is_told_by_what_it_is(silicon):
    si, phonon = silicon.structures.get("si"), silicon.get("si-phonon")
    with pytest.raises(InputError, match=r"<Structure Si2 .* is not a model.*db.models.find"):
        silicon.phonon(si, si, supercell=(2, 2, 2))
    with pytest.raises(InputError, match=r"<Phonon Si2 .* is not a dataset.*db.datasets.find"):
        silicon.train(phonon)
    with pytest.raises(InputError, match="'tersoff' is in methods: it is not a structure"):
        silicon.phonon("tersoff", "tersoff", supercell=(2, 2, 2))


def test_oxidation_states_and_moments_stay_behind(session):
    plain = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0] * 3, [0.5] * 3]
    )
    told = plain.copy()
    told.add_oxidation_state_by_element({"Na": 1, "Cl": -1})
    told.add_site_property("magmom", [0.5] * len(told))
    assert session.structures.add(told) == session.structures.add(plain)
