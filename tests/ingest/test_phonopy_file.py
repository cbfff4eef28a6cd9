"""DFT phonons from phonopy's YAML."""

import shutil

import numpy as np
import pytest
import yaml
from small_phonons import from_phonopy_yaml

from forcebase.database.crystals import crystal_of
from forcebase.ingest.importing import import_paths

NAME = "phonopy_wse2_gpaw_3x3.yaml"


@pytest.fixture
def copied(data_folder, tmp_path):
    for name in (NAME, "method.yaml"):
        shutil.copy(data_folder / name, tmp_path)
    return tmp_path / NAME


def test_the_stored_phonon_is_the_crystal_of_the_file(db, copied):
    report = import_paths(db, [copied])
    assert report.failed == []
    phonon = db.phonons.one()
    stored, read = crystal_of(db, phonon), from_phonopy_yaml(copied)
    for name in ("numbers", "cell", "positions", "masses", "supercell_matrix", "force_constants"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(read, name))
    assert (phonon.method_class, phonon.n_atoms_supercell) == ("dft", 27)
    assert phonon.protocol["displacement_A"] == 0.02
    assert db.names.of(phonon.id) == ["wse2-dft-phonon"]
    assert import_paths(db, [copied]).unchanged == [NAME]


def test_bad_phonopy_files_are_named_and_nothing_is_written(db, copied):
    good = copied.read_text()
    content = yaml.safe_load(good)
    bare = {k: v for k, v in content.items() if not k.startswith(("force_", "displ"))}
    cases = {
        "no forces": yaml.safe_dump(bare),
        "cut off": good[: len(good) // 2],
        "a word": "phonopy: yes\n",
        "nothing inside": "phonopy:\n",
        "a list": "phonopy: [1, 2]\nunit_cell: 3\n",
        "other units": good.replace('length: "angstrom"', 'length: "au"'),
    }
    for what, text in cases.items():
        assert text != good, what
        copied.write_text(text)
        report = import_paths(db, [copied])
        assert len(report.failed) == 1, what
        reason = report.failed[0][1]
        assert NAME in reason, (what, reason)
        assert "\n" not in reason, (what, reason)
        assert report.added == {}
    assert db.phonons.count() == db.structures.count() == db.methods.count() == 0


def test_force_constants_with_nan_are_refused(db, copied):
    lines = copied.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("force_constants:"))
    row = next(
        i
        for i in range(start, len(lines))
        if lines[i].strip().startswith("- [") and "." in lines[i]
    )
    lines[row] = "  - [ .nan, 0.0, 0.0 ]"
    copied.write_text("\n".join(lines) + "\n")
    report = import_paths(db, [copied])
    assert len(report.failed) == 1
    assert db.phonons.count() == 0
