"""VASP's ML_AB: labels of GPAW's cells, written as VASP writes its training data."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read
from vasp_files import ml_ab

from forcebase.ingest.file_kinds import FileKind, kind_of
from forcebase.ingest.importing import import_paths


@pytest.fixture
def folder(tmp_path, data_folder):
    """Four strained and rattled cells, with the method.yaml that the file needs."""
    cells = [labelled(cell) for cell in read(data_folder / "wse2_gpaw_pbe.extxyz", index=":4")]
    (tmp_path / "ML_AB").write_text(ml_ab(cells))
    description = yaml.safe_load((data_folder / "method.yaml").read_text())
    (tmp_path / "method.yaml").write_text(yaml.safe_dump({"method": description["method"]}))
    return tmp_path, cells


def labelled(cell):
    """Atoms of one element together, as VASP has them, with labels in the same order."""
    order = np.argsort(-cell.numbers, kind="stable")
    stress = np.array(cell.info["REF_stress"])
    labels = {"energy": cell.info["REF_energy"], "forces": cell.arrays["REF_forces"][order]}
    cell = Atoms(cell.numbers[order], cell.positions[order], cell=cell.cell, pbc=True)
    cell.calc = SinglePointCalculator(cell, stress=stress, **labels)
    return cell


def test_every_configuration_becomes_a_calculation(db, folder):
    path, cells = folder
    assert kind_of(path / "ML_AB") is FileKind.ML_AB
    report = import_paths(db, [path])
    assert report.failed == []
    assert report.added["calculations"] == len(cells) == 4
    found = {round(c.energy, 8): c for c in db.calculations.find()}
    for cell in cells:
        calculation = found[round(cell.get_potential_energy(), 8)]
        np.testing.assert_allclose(calculation.forces, cell.get_forces(), atol=1e-12)
        np.testing.assert_allclose(calculation.stress, cell.get_stress(), rtol=1e-6)


def test_compressed_and_under_another_name(db, folder):
    path, _ = folder
    (path / "ML_ABN.gz").write_bytes(gzip.compress((path / "ML_AB").read_bytes()))
    (path / "ML_AB").unlink()
    assert import_paths(db, [path]).added["calculations"] == 4


def test_cut_off_it_is_refused(db, folder):
    path, _ = folder
    text = (path / "ML_AB").read_text()
    for end in (text.rindex("Configuration num."), text.rindex("Forces"), len(text) // 2):
        (path / "ML_AB").write_text(text[:end])
        ((_, reason),) = import_paths(db, [path]).failed
        assert "cut off" in reason or "rows where" in reason, reason
    assert db.calculations.count() == 0


@pytest.mark.parametrize("where", ["in the last number", "before the shears", "before the stress"])
def test_cut_off_behind_the_forces_it_is_refused_too(db, folder, where):
    """Else a shorter number is taken for the last one, or a configuration has lost its stress."""
    path, _ = folder
    text = (path / "ML_AB").read_text().rstrip()
    end = {
        "in the last number": len(text) - 3,
        "before the shears": text.rindex("XY YZ ZX"),
        "before the stress": text.rindex("Stress"),
    }[where]
    (path / "ML_AB").write_text(text[:end])
    ((_, reason),) = import_paths(db, [path]).failed
    assert "cut off" in reason, reason
    assert db.calculations.count() == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [("Total energy (eV)", "nan"), ("Atom types and atom numbers", "Xx -4"), ("", "\x00\x01")],
)
def test_nonsense_is_refused_in_a_sentence(db, folder, old, new):
    path, _ = folder
    lines = (path / "ML_AB").read_text().splitlines()
    at = max(i for i, line in enumerate(lines) if old in line and line.strip()) if old else -1
    lines[at + 2 if old else at] = new
    (path / "ML_AB").write_text("\n".join(lines) + "\n")
    ((_, reason),) = import_paths(db, [path]).failed
    assert "Error" not in reason
    assert " " in reason
    assert db.calculations.count() == 0


def test_without_a_method_it_says_what_it_needs(db, folder):
    path, _ = folder
    (path / "method.yaml").unlink()
    ((_, reason),) = import_paths(db, [path]).failed
    assert "method.yaml" in reason


def test_shears_are_in_the_order_of_vasp(db, folder):
    """XY YZ ZX: a strong xy shear comes out as the last of ASE's six."""
    path, cells = folder
    import_paths(db, [path])
    calculation = max(db.calculations.find(), key=lambda c: abs(c.stress[5]))
    expected = max(cells, key=lambda cell: abs(cell.get_stress()[5])).get_stress()
    np.testing.assert_allclose(calculation.stress, expected, rtol=1e-6)
