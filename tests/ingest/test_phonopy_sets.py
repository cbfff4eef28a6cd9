"""phonopy's other files: FORCE_SETS, FORCE_CONSTANTS, compressed, and random displacements."""

from __future__ import annotations

import copy
import lzma
from pathlib import Path
from xml.etree import ElementTree

import ase
import numpy as np
import phonopy
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones
from phonopy.file_IO import write_FORCE_CONSTANTS, write_FORCE_SETS
from phonopy.harmonic.force_constants import compact_fc_to_full_fc
from phonopy.structure.atoms import PhonopyAtoms
from small_phonons import from_phonopy_yaml

from forcebase.blob import Blob
from forcebase.ingest.importing import import_paths
from forcebase.physics.harmonic_crystal import as_atoms

VASPRUN = Path(ase.__file__).parent / "test" / "testdata" / "vasp" / "vasprun_pstress.xml"
NAME = "phonopy_wse2_gpaw_3x3.yaml"
BARE = {"force_sets": False, "displacements": False, "force_constants": False}


@pytest.fixture
def folder(data_folder, tmp_path):
    """The method.yaml, with the real phonon's protocol under every name used here."""
    text = (data_folder / "method.yaml").read_text()
    (tmp_path / "method.yaml").write_text(text.replace(f"  {NAME}:", "  phonopy_disp.yaml:"))
    return tmp_path


@pytest.fixture
def real(data_folder):
    return from_phonopy_yaml(data_folder / NAME)


def constants(db, report):
    assert report.failed == []
    (phonon,) = db.phonons.find()
    return phonon, Blob(db.blobs.get(phonon.force_constants)).arrays()["force_constants"]


def test_displacements_with_force_sets(db, folder, data_folder, real):
    whole = phonopy.load(data_folder / NAME, produce_fc=False, log_level=0)
    assert "forces" in whole.dataset["first_atoms"][0]
    write_FORCE_SETS(whole.dataset, folder / "FORCE_SETS")
    bare = phonopy.Phonopy(whole.unitcell, whole.supercell_matrix)
    bare.generate_displacements(distance=0.02)
    bare.save(folder / "phonopy_disp.yaml")
    _, found = constants(db, import_paths(db, [folder]))
    np.testing.assert_allclose(found, real.force_constants, atol=2e-3)


@pytest.mark.parametrize("full", [False, True])
def test_force_constants_beside(db, folder, real, full):
    made = real.to_phonopy()
    rows = None if full else made.primitive.p2s_map
    given = made.force_constants
    given = compact_fc_to_full_fc(made.primitive, given) if full else given
    write_FORCE_CONSTANTS(given, folder / "FORCE_CONSTANTS", p2s_map=rows)
    made.save(folder / "phonopy_disp.yaml", settings=BARE)
    _, found = constants(db, import_paths(db, [folder / "phonopy_disp.yaml"]))
    np.testing.assert_allclose(found, real.force_constants, atol=1e-9)


def test_other_forces_beside_are_another_import(db, folder, real):
    made = real.to_phonopy()
    made.save(folder / "phonopy_disp.yaml", settings=BARE)
    for factor in (1.0, 1.1):
        given, rows = factor * made.force_constants, made.primitive.p2s_map
        write_FORCE_CONSTANTS(given, folder / "FORCE_CONSTANTS", p2s_map=rows)
        report = import_paths(db, [folder])
        assert report.failed == []
        assert report.added["phonons"] == 1
    assert import_paths(db, [folder]).unchanged == ["phonopy_disp.yaml"]


def test_compressed(db, folder, data_folder, real):
    text = (data_folder / NAME).read_bytes()
    (folder / "phonopy_disp.yaml.xz").write_bytes(lzma.compress(text))
    method = (folder / "method.yaml").read_text()
    (folder / "method.yaml").write_text(
        method.replace("phonopy_disp.yaml:", "phonopy_disp.yaml.xz:")
    )
    _, found = constants(db, import_paths(db, [folder]))
    np.testing.assert_allclose(found, real.force_constants, atol=1e-12)


def test_random_displacements_with_energies(db, folder, real):
    made = real.to_phonopy()
    made.generate_displacements(number_of_snapshots=8, distance=0.02, random_seed=3)
    shifts = made.dataset["displacements"]
    full = compact_fc_to_full_fc(real.phonopy.primitive, real.force_constants)
    forces = -np.einsum("iajb,sjb->sia", full.transpose(0, 2, 1, 3), shifts)
    made.forces = forces
    made.supercell_energies = -0.5 * (forces * shifts).sum(axis=(1, 2))
    made.save(folder / "phonopy_disp.yaml")
    phonon, found = constants(db, import_paths(db, [folder]))
    np.testing.assert_allclose(found, real.force_constants, atol=5e-2)
    calculations = list(db.calculations.find())
    assert len(calculations) == 8
    linked = [e.record for e in phonon.provenance.edges if e.role == "displaced supercell"]
    assert sorted(linked) == sorted(c.id for c in calculations)
    assert {db.structures.get(c.structure).family for c in calculations} == {phonon.structure}


def test_forces_of_other_displacements_are_refused(db, folder, data_folder):
    whole = phonopy.load(data_folder / NAME, produce_fc=False, log_level=0)
    other = phonopy.Phonopy(whole.unitcell, whole.supercell_matrix)
    for made in ({"distance": 0.05}, {"number_of_snapshots": 2, "random_seed": 1}):
        other.generate_displacements(**made)
        other.save(folder / "phonopy_disp.yaml")
        write_FORCE_SETS(whole.dataset, folder / "FORCE_SETS")
        ((_, reason),) = import_paths(db, [folder]).failed
        assert "other displacements" in reason
    other.generate_displacements(distance=0.02)
    other.save(folder / "phonopy_disp.yaml")
    lines = (folder / "FORCE_SETS").read_text().splitlines(keepends=True)
    (folder / "FORCE_SETS").write_text("".join(lines[: len(lines) // 2]))
    ((_, reason),) = import_paths(db, [folder]).failed
    assert "FORCE_SETS is cut off" in reason
    assert db.phonons.count() == 0


def test_a_phonon_is_linked_to_its_own_displaced_cells_alone(db, folder, data_folder, real):
    import_paths(db, [data_folder])
    phonon = db.phonons.one()
    linked = {e.record for e in phonon.provenance.edges if e.role == "displaced supercell"}
    displaced = db.calculations.find(kind="phonon-displacement-3x3")
    assert linked == {c.id for c in displaced}
    assert len(linked) > 1
    made = real.to_phonopy()  # force constants say nothing of where they are from
    made.save(folder / "phonopy_disp.yaml", settings=BARE)
    given, rows = 1.1 * made.force_constants, made.primitive.p2s_map
    write_FORCE_CONSTANTS(given, folder / "FORCE_CONSTANTS", p2s_map=rows)
    import_paths(db, [folder])
    bare = db.phonons.one({"_id": {"$ne": phonon.id}})
    assert [e.role for e in bare.provenance.edges if e.role == "displaced supercell"] == []


def test_without_a_protocol_the_file_tells_its_own(db, folder, data_folder):
    text = (data_folder / "method.yaml").read_text()
    (folder / "method.yaml").write_text(text.partition("\nfiles:")[0] + "\n")
    (folder / "any.yaml").write_bytes((data_folder / NAME).read_bytes())
    phonon, _ = constants(db, import_paths(db, [folder]))
    fit = phonon.protocol.pop("fit")
    assert phonon.protocol == {"code": "phonopy", "displacement_A": 0.02}
    assert fit["residual_relative"] < 0.03


def write_vasprun(path, cell, forces, energy):
    """A vasprun.xml of VASP, with another carbon cell and its labels put into its places."""
    if not VASPRUN.is_file():
        pytest.skip("ASE brings it from 3.28 on")
    root = ElementTree.parse(VASPRUN).getroot()
    for place, rows in (
        ("crystal/varray[@name='basis']", cell.cell.array),
        ("varray[@name='positions']", cell.get_scaled_positions()),
    ):
        for structure in [*root.findall("structure"), root.find("calculation/structure")]:
            fill(structure.find(place), rows)
    fill(root.find("calculation/varray[@name='forces']"), forces)
    for value in root.findall("calculation/energy/i"):
        value.text = f"{energy:.8f}"
    info = root.find("atominfo")
    info.find("atoms").text = str(len(cell))
    atoms, types = (array.find("set") for array in info.findall("array"))
    atoms[:] = [copy.deepcopy(atoms[0]) for _ in cell]
    types[0][0].text = str(len(cell))
    ElementTree.ElementTree(root).write(path)


def fill(varray, rows):
    varray[:] = []
    for row in rows:
        ElementTree.SubElement(varray, "v").text = " ".join(f"{x:.12f}" for x in row)


def displaced_carbon(folder):
    """phonopy_disp.yaml, the runs in folders of their own, and phonopy's own answer."""
    carbon = bulk("C", "diamond", 3.57)
    unit_cell = PhonopyAtoms(
        numbers=carbon.numbers, cell=carbon.cell.array, positions=carbon.positions
    )
    phonon = phonopy.Phonopy(unit_cell, np.diag([2, 2, 2]))
    phonon.generate_displacements(distance=0.02, is_plusminus=True)
    phonon.save(folder / "phonopy_disp.yaml")
    forces, runs = [], []
    for number, displaced in enumerate(phonon.supercells_with_displacements):
        cell = as_atoms(displaced)
        cell.calc = LennardJones(sigma=1.3, epsilon=1, rc=3, smooth=True)
        forces.append(cell.get_forces())
        run = folder / f"disp-{9 - number}" / "vasprun.xml"
        run.parent.mkdir()
        write_vasprun(run, cell, forces[-1], cell.get_potential_energy())
        runs.append(run)
    assert np.abs(forces).max() > 0.05
    phonon.forces = forces
    phonon.produce_force_constants(calculate_full_force_constants=False)
    phonon.symmetrize_force_constants()
    return runs, phonon.force_constants


def test_displacements_with_vaspruns(db, folder):
    runs, expected = displaced_carbon(folder)
    run = runs[-1]
    kept = run.rename(folder / "elsewhere")
    report = import_paths(db, [folder / "phonopy_disp.yaml"])
    assert "displaced supercell 2" in report.failed[0][1]
    assert db.structures.count() == 0
    kept.rename(run)
    found, force_constants = constants(db, import_paths(db, [folder]))
    np.testing.assert_allclose(force_constants, expected, atol=1e-9)
    calculations = list(db.calculations.find())
    assert len(calculations) == len(runs) == 2  # the runs' own records are the same ones
    assert {db.structures.get(c.structure).family for c in calculations} == {found.structure}
    assert all(calculation.stress is not None for calculation in calculations)
    assert {c.method for c in calculations} == {found.method}
    assert db.methods.get(found.method).code == "vasp"


def test_force_sets_take_their_method_from_the_runs_beside_them(db, tmp_path):
    _, expected = displaced_carbon(tmp_path)
    made = phonopy.load(tmp_path / "phonopy_disp.yaml", produce_fc=False, log_level=0)
    waiting = [as_atoms(cell) for cell in made.supercells_with_displacements]
    for cell in waiting:
        cell.calc = LennardJones(sigma=1.3, epsilon=1, rc=3, smooth=True)
    made.forces = np.array([cell.get_forces() for cell in waiting])
    write_FORCE_SETS(made.dataset, tmp_path / "FORCE_SETS")
    found, force_constants = constants(db, import_paths(db, [tmp_path / "phonopy_disp.yaml"]))
    np.testing.assert_allclose(force_constants, expected, atol=1e-6)
    assert db.methods.get(found.method).code == "vasp"
    linked = {e.record for e in found.provenance.edges if e.role == "displaced supercell"}
    assert linked == {c.id for c in db.calculations.find()}
    assert len(linked) == 2


def test_force_sets_with_runs_of_other_cells_beside_need_a_method(db, tmp_path):
    runs, _ = displaced_carbon(tmp_path)
    made = phonopy.load(tmp_path / "phonopy_disp.yaml", produce_fc=False, log_level=0)
    made.forces = np.zeros((2, len(made.supercell), 3)) + 0.1
    write_FORCE_SETS(made.dataset, tmp_path / "FORCE_SETS")
    cell = as_atoms(made.supercell)
    for run in runs:  # at rest
        write_vasprun(run, cell, np.zeros((len(cell), 3)), -1.0)
    ((_, reason),) = import_paths(db, [tmp_path / "phonopy_disp.yaml"]).failed
    assert "does not say how its labels were made" in reason


def test_other_runs_beside_the_same_displacements_are_another_import(db, folder):
    displaced_carbon(folder)
    assert import_paths(db, [folder / "phonopy_disp.yaml"]).added["phonons"] == 1
    for run in folder.glob("disp-*/vasprun.xml"):
        text = ElementTree.parse(run)
        for row in text.getroot().iterfind("calculation/varray[@name='forces']/v"):
            row.text = " ".join(f"{1.1 * float(x):.12f}" for x in row.text.split())
        text.write(run)
    assert import_paths(db, [folder / "phonopy_disp.yaml"]).added["phonons"] == 1
    assert import_paths(db, [folder / "phonopy_disp.yaml"]).unchanged == ["phonopy_disp.yaml"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name="ENMAX">    400.00', 'name="ENMAX">    500.00', "of 2 methods"),
        ('name="NELM">    60', 'name="NELM">     1', "did not converge"),
    ],
)
def test_vaspruns_that_make_no_phonon_are_refused(db, folder, old, new, words):
    run = displaced_carbon(folder)[0][0]
    text = run.read_text()
    assert old in text
    run.write_text(text.replace(old, new))
    ((_, reason),) = import_paths(db, [folder / "phonopy_disp.yaml"]).failed
    assert words in reason
    assert db.structures.count() == 0


def test_displacements_without_any_forces_are_named(db, folder, real):
    made = real.to_phonopy()
    made.generate_displacements()
    made.save(folder / "phonopy_disp.yaml", settings={"force_sets": False})
    report = import_paths(db, [folder])
    assert "no FORCE_SETS" in report.notes[0][1]
    assert db.structures.count() == 0
