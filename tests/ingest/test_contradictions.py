"""Labels that contradict themselves are refused, whatever way they come in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.db import connect
from ase.io import read, write
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.errors import InputError
from forcebase.ingest.batch import Batch
from forcebase.ingest.file_kinds import FileKind, kind_of
from forcebase.ingest.importing import import_paths
from forcebase.ingest.label_checks import check_labels
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.parsing import Parsed, parse
from forcebase.ingest.sources import Source
from forcebase.ingest.task_documents import task_document_batch

CASES = Path(__file__).parents[1] / "data" / "contradictions"
METHOD = yaml.safe_load((CASES / "ghost" / "method.yaml").read_text())["method"]


def parsed(path: Path) -> Parsed:
    return parse(Source(path, path.name, kind_of(path) or FileKind.EXTXYZ), ImportOptions())


def case(name: str) -> Parsed:
    (path,) = (p for p in (CASES / name).iterdir() if p.suffix in (".xyz", ".extxyz"))
    return parsed(path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gradient_same_cell", ["-0.98", "gradients"]),
        ("dft_stress_vasporder", ["VASP's (xx, yy, zz, xy, yz, zx) order"]),
        ("constraint_zeroed", ["4 of 12 atoms", "exactly zero"]),
        ("ghost", ["X", "ghost"]),
    ],
)
def test_cases_are_refused_with_the_reason(name, words):
    found = case(name)
    assert found.batch is None
    for word in words:
        assert word in found.reason


def crystals(n=8, size=0.05) -> list[Atoms]:
    made = []
    for k in range(n):
        atoms = bulk("Cu", cubic=True) * (2, 1, 1)
        atoms.rattle(size, seed=k)
        atoms.calc = EMT()
        atoms.get_stress()
        made.append(atoms)
    return made


def relabelled(atoms: Atoms, **labels) -> Atoms:
    """With these labels in place of its own."""
    names = ("energy", "forces", "stress")
    kept = {name: atoms.calc.results[name] for name in names} | labels
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    bare.calc = SinglePointCalculator(bare, **{k: v for k, v in kept.items() if v is not None})
    return bare


def reversed_forces() -> list[Atoms]:
    return [relabelled(atoms, forces=-atoms.get_forces()) for atoms in crystals()]


@pytest.fixture
def folder(tmp_path):
    shutil.copy(CASES / "ghost" / "method.yaml", tmp_path)
    return tmp_path


def as_extxyz(folder: Path, frames: list[Atoms]) -> Path:
    write(folder / "cells.extxyz", frames)
    return folder / "cells.extxyz"


def as_database(folder: Path, frames: list[Atoms]) -> Path:
    with connect(folder / "cells.db") as rows:
        for atoms in frames:
            rows.write(atoms)
    return folder / "cells.db"


WAYS = [as_extxyz, as_database]


@pytest.mark.parametrize("way", WAYS)
def test_gradients_are_refused_and_forces_are_not(folder, way):
    assert "gradients" in parsed(way(folder, reversed_forces())).reason


@pytest.mark.parametrize("way", WAYS)
def test_right_labels_pass(folder, way):
    found = parsed(way(folder, [relabelled(atoms) for atoms in crystals()]))
    assert found.batch is not None
    assert found.batch.notes == []


@pytest.mark.parametrize("way", WAYS)
def test_fixed_atoms_of_one_structure_are_refused_by_the_mask(folder, way):
    """One frame is enough where the file says which atoms are fixed."""
    (atoms,) = crystals(1, size=0.1)
    forces = atoms.get_forces()
    forces[[0, 1]] = 0
    atoms = relabelled(atoms, forces=forces)
    atoms.set_constraint(FixAtoms([0, 1]))
    found = parsed(way(folder, [atoms]))
    assert "2 of 8 atoms" in found.reason
    assert "fixed" in found.reason


@pytest.mark.parametrize("way", WAYS)
def test_fixed_atoms_with_their_forces_pass(folder, way):
    (atoms,) = crystals(1, size=0.1)
    atoms = relabelled(atoms)
    atoms.set_constraint(FixAtoms([0, 1]))
    assert parsed(way(folder, [atoms])).batch is not None


def document(atoms: Atoms) -> dict:
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    return {
        "method": METHOD,
        "structure": AseAtomsAdaptor.get_structure(bare).as_dict(),
        "energy": float(atoms.calc.results["energy"]),
        "forces": atoms.calc.results["forces"].tolist(),
        "stress": atoms.calc.results["stress"].tolist(),
        "converged": True,
        "k_mesh": [1, 1, 1],
    }


def test_task_documents_are_held_to_each_other():
    batches = [task_document_batch(document(atoms), {}) for atoms in reversed_forces()]
    together = Batch(
        structures=[s for batch in batches for s in batch.structures],
        calculations=[c for batch in batches for c in batch.calculations],
    )
    with pytest.raises(InputError, match="gradients"):
        check_labels(together)


def documents(folder: Path, frames: list[Atoms]) -> Path:
    for k, atoms in enumerate(frames):
        (folder / f"{k:02}.json").write_text(json.dumps(document(atoms)))
    return folder


def test_files_of_one_task_document_each_are_checked_as_a_set(db, tmp_path):
    report = import_paths(db, [documents(tmp_path, reversed_forces())])
    assert report.files == 0
    assert len(report.failed) == 8
    assert all("gradients" in reason for _, reason in report.failed)
    assert db.calculations.count() == 0


def test_right_task_documents_are_imported(db, tmp_path):
    report = import_paths(db, [documents(tmp_path, [relabelled(atoms) for atoms in crystals()])])
    assert report.failed == []
    assert db.calculations.count() == 8


def test_what_could_not_be_checked_is_said(db, folder):
    frames = [relabelled(atoms) for atoms in crystals(2, size=0.3)]
    frames[1].set_cell(frames[1].cell * 1.3, scale_atoms=True)
    frames[1].calc = SinglePointCalculator(frames[1], **frames[0].calc.results)
    report = import_paths(db, [as_extxyz(folder, frames)])
    assert report.files == 1
    assert "could not be compared with their energies" in report.notes[0][1]


def test_a_constant_pressure_is_said_and_imported(db, folder):
    """As of a basis that is too small: meV/angstrom^3, told from a wrong unit."""
    frames = []
    for k in range(12):
        rng = np.random.default_rng(k)
        atoms = bulk("Cu", cubic=True)
        strain = rng.normal(scale=0.02, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.calc = EMT()
        stress = atoms.get_stress() - 0.03 * np.array([1, 1, 1, 0, 0, 0])
        atoms.get_forces()
        frames.append(relabelled(atoms, stress=stress))
    report = import_paths(db, [as_extxyz(folder, frames)])
    assert report.failed == []
    assert "meV/angstrom^3 too compressive" in report.notes[0][1]


def test_one_wrong_part_of_a_file_refuses_it_whole(db, folder):
    report = import_paths(db, [as_extxyz(folder, reversed_forces())])
    assert report.files == 0
    assert db.calculations.count() == 0


def test_the_json_of_a_task_document_is_checked_too(folder):
    (atoms,) = crystals(1)
    path = folder / "document.json"
    content = document(atoms)
    content["structure"]["sites"][0]["species"] = [{"element": "X", "occu": 1}]
    path.write_text(json.dumps(content))
    assert parsed(path).batch is None


def test_an_isolated_atom_does_not_refuse_the_file():
    """It stands in a box, without a stress, under its own kind; the crystals are as they were."""
    batch = case("isolated_nocell").batch
    assert batch is not None
    *crystals, atom = batch.structures
    assert (atom.kind, atom.n_atoms) == ("isolated-atom", 1)
    assert np.linalg.det(atom.cell) == pytest.approx(8000.0)
    assert batch.calculations[-1].energy == -1.25
    assert batch.calculations[-1].stress is None
    assert all(c.stress is not None for c in batch.calculations[:-1])
    assert {s.n_atoms for s in crystals} == {8}
    assert len({c.method for c in batch.calculations}) == 1


@pytest.mark.parametrize("way", WAYS)
def test_an_isolated_atom_with_spin_is_of_another_method(folder, way):
    atom = Atoms("Cu", cell=[12, 12, 12], pbc=True)
    atom.calc = SinglePointCalculator(atom, energy=-1.3, forces=np.zeros((1, 3)), magmom=1.0)
    found = parsed(way(folder, [*(relabelled(a) for a in crystals(3)), atom])).batch
    assert found is not None
    assert [method.spin for method in found.methods] == ["none", "collinear"]
    assert found.calculations[-1].method == found.methods[1].id
    assert found.structures[-1].kind == "isolated-atom"


def test_the_description_says_how_atoms_were_run(folder):
    said = {"method": METHOD, "files": {"cells.extxyz": {"isolated_atoms": {"spin": "collinear"}}}}
    (folder / "method.yaml").write_text(yaml.safe_dump(said))
    atom = Atoms("Cu", cell=[12, 12, 12], pbc=True)
    atom.calc = SinglePointCalculator(atom, energy=-1.3)
    found = parsed(as_extxyz(folder, [*(relabelled(a) for a in crystals(3)), atom])).batch
    assert found is not None
    assert found.methods[1].spin == "collinear"
    assert found.calculations[-1].forces.tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("way", WAYS)
def test_moments_under_a_method_without_spin_are_refused(folder, way):
    """They were lost, and the state called that of a calculation without spin."""
    moments = np.array([1.5, -1.5] * 4)
    frames = [relabelled(atoms, magmoms=moments) for atoms in crystals(3)]
    said = parsed(way(folder, frames)).reason
    assert "1.5 muB" in said
    assert "spin: collinear" in said
    text = (folder / "method.yaml").read_text()
    (folder / "method.yaml").write_text(text.replace("spin: none", "spin: collinear"))
    (path,) = folder.glob("cells.*")
    found = parsed(path).batch
    assert {c.magnetic["order"] for c in found.calculations} == {"antiferromagnetic"}
    nothing = [relabelled(atoms, magmoms=0 * moments) for atoms in crystals(3)]
    (folder / "method.yaml").write_text(text)
    path.unlink()
    assert parsed(way(folder, nothing)).batch is not None


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("isolated_atoms: {spin: collinear}", "files"),
        ("keys: {stress: null}", "files"),
        ("charge: 1", "calculation"),
    ],
)
def test_what_a_description_says_in_the_wrong_place_is_not_lost(folder, line, place):
    with (folder / "method.yaml").open("a") as file:
        file.write(f"{line}\n")
    said = parsed(as_extxyz(folder, [relabelled(a) for a in crystals(3)])).reason
    assert f"put it below `{place}" in said


def test_one_atom_of_a_crystal_is_not_isolated(folder):
    atoms = bulk("Cu")
    atoms.calc = EMT()
    atoms.get_stress()
    found = parsed(as_extxyz(folder, [relabelled(atoms)])).batch
    assert found is not None
    assert found.structures[0].kind == ""


def test_a_free_energy_alone_is_taken_and_said_to_be_one():
    batch = case("free_energy").batch
    assert batch is not None
    assert {c.energy_kind for c in batch.calculations} == {"free"}
    assert {c.free_energy for c in batch.calculations} == {None}
    assert batch.calculations[0].energy == 0.2562220039


@pytest.mark.parametrize("way", WAYS)
def test_both_energies_of_a_metal_are_kept(folder, way):
    """A twin of a metal: the extrapolated energy is off by what no force knows of."""
    frames = []
    for k, atoms in enumerate(crystals(), start=1):
        energy = atoms.get_potential_energy()
        frames.append(relabelled(atoms, energy=energy + 0.1 * k, free_energy=energy))
    found = parsed(way(folder, frames)).batch
    assert found is not None
    for calculation, atoms in zip(found.calculations, frames, strict=True):
        assert calculation.energy_kind == "extrapolated"
        assert calculation.energy == pytest.approx(atoms.calc.results["energy"], abs=1e-8)
        assert calculation.free_energy == pytest.approx(atoms.calc.results["free_energy"], abs=1e-8)


def test_equal_energies_are_the_free_one(folder):
    frames = [relabelled(a, free_energy=a.get_potential_energy()) for a in crystals(2)]
    found = parsed(as_extxyz(folder, frames)).batch
    assert found is not None
    assert {(c.energy_kind, c.free_energy) for c in found.calculations} == {("free", None)}


def test_a_free_energy_of_another_source_is_not_mixed_in(folder):
    """REF_energy beside the free energy of a calculator that is of something else."""
    frames = []
    for atoms in crystals(2):
        made = relabelled(atoms, energy=None, stress=None, free_energy=1.0)
        made.info["REF_energy"] = atoms.get_potential_energy()
        made.arrays["REF_forces"] = atoms.get_forces()
        made.calc.results.pop("forces")
        frames.append(made)
    found = parsed(as_extxyz(folder, frames)).batch
    assert found is not None
    assert {(c.energy_kind, c.free_energy) for c in found.calculations} == {(None, None)}


def test_a_missing_energy_names_the_label_and_the_frame(folder):
    frames = [relabelled(atoms) for atoms in crystals(3)]
    frames[1].calc.results.pop("energy")
    reason = parsed(as_extxyz(folder, frames)).reason
    assert "frame 1" in reason
    assert "no energy" in reason


def test_real_data_pass(data_folder):
    for path in sorted(data_folder.glob("*.extxyz")):
        assert read(path, ":")
        assert parsed(path).batch is not None
