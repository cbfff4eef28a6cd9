"""The Python interface, as the README shows it."""

import numpy as np
import pytest

import forcebase as fb
from forcebase.errors import DatabaseError, InputError, NotFoundError
from forcebase.settings import Settings


@pytest.fixture
def connected(settings, monkeypatch, imported):
    """`fb.connect()` by the environment, with the labelled cells and the phonon."""
    monkeypatch.setenv("FORCEBASE_HOME", str(settings.home))
    monkeypatch.setenv("FORCEBASE_DATABASE", settings.database)
    monkeypatch.delenv("FORCEBASE_MONGODB_URI", raising=False)
    db = fb.connect()
    names = ("wse2_gpaw_pbe.extxyz", "phonopy_wse2_gpaw_3x3.yaml")
    imported(db, *names)
    yield db
    db.close()


def test_records_as_atoms_carry_their_labels(connected):
    found = connected.calculations.find(method_class="dft", elements=["W", "Se"])
    atoms = found.to_atoms()
    assert len(atoms) == len(found) == 68
    for one, record in zip(atoms, found, strict=True):
        assert one.get_potential_energy() == record.energy
        np.testing.assert_array_equal(one.get_forces(), record.forces)
        np.testing.assert_array_equal(one.get_stress(), record.stress)
        assert connected.structures.get(record.structure).n_atoms == len(one)
    assert len(found[:3].to_atoms()) == 3
    assert connected.structures.find(limit=2).to_atoms()[0].calc is None
    assert len(connected.phonons.find().to_atoms()[0]) == 3


def test_records_as_a_table(connected):
    table = connected.calculations.find(kind="pristine-1x1").to_dataframe()
    assert {"id", "energy", "max_force", "formula", "wall_time"} <= set(table.columns)
    assert set(table["kind"]) == {"pristine-1x1"}
    assert table["energy"].dtype == float
    assert connected.calculations.find(kind="nothing").to_dataframe().empty
    assert "id" in connected.methods.find().to_dataframe()


def test_pymatgen_view_is_the_same_crystal(connected):
    structure = connected.structures.find(limit=1)[0]
    atoms = structure.to_atoms()
    found = structure.to_pymatgen()
    np.testing.assert_allclose(found.lattice.matrix, atoms.cell.array)
    np.testing.assert_allclose(found.cart_coords, atoms.positions, atol=1e-10)


def test_methods_have_no_atoms(connected):
    with pytest.raises(InputError, match="no atoms"):
        connected.methods.find().to_atoms()


def test_compare_opens_its_own_database_or_takes_one(connected):
    method = connected.methods.one()
    connected.names.name("gpaw-pbe", "methods", method.id)
    alone = fb.compare("gpaw-pbe", method.id[:8], on={"kind": "pristine-1x1"}).validation
    given = fb.compare("gpaw-pbe", "gpaw-pbe", on={"kind": "pristine-1x1"}, db=connected).validation
    assert alone.id == given.id
    assert alone.metrics["overall"]["energy"]["mae"] == 0.0
    phonons = fb.compare("wse2-dft-phonon", "wse2-dft-phonon").validation
    assert phonons.metrics["band_mae_THz"] == 0.0


def test_what_is_not_there_says_so(connected):
    with pytest.raises(NotFoundError, match="No record matches 'nothing'"):
        fb.compare("nothing", "gpaw-pbe")
    for structure in connected.structures.find(limit=2):
        connected.names.tag("t", "structures", structure.id)
    with pytest.raises(NotFoundError, match="more than one"):
        connected.resolve("t")


def test_a_database_that_is_not_there(tmp_path):
    uri = "mongodb://user:secret@127.0.0.1:9/"
    with pytest.raises(DatabaseError) as caught:
        fb.connect(Settings(home=tmp_path, mongodb_uri=uri))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["abc", "0", "-1", "1.5", " "])
def test_threads_are_a_number(text):
    with pytest.raises(InputError, match="FORCEBASE_THREADS"):
        Settings.from_environment({"FORCEBASE_THREADS": text, "HOME": "/"})
