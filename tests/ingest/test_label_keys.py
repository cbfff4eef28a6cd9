"""Names of labels, units of stresses, ASE databases and archives."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from ase.db import connect
from ase.io import read, write

from forcebase.errors import InputError
from forcebase.ingest.importing import import_paths
from forcebase.ingest.options import ImportOptions

NAME = "wse2_gpaw_pbe.extxyz"


@pytest.fixture
def frames(data_folder):
    return read(data_folder / NAME, ":12")


@pytest.fixture
def folder(data_folder, tmp_path):
    """A method.yaml that says nothing but the method."""
    text = (data_folder / "method.yaml").read_text()
    (tmp_path / "method.yaml").write_text(text.partition("\nfiles:")[0] + "\n")
    return tmp_path


def imported(db, folder, frames, **options):
    write(folder / "cells.extxyz", frames, format="extxyz")
    return import_paths(db, [folder / "cells.extxyz"], options=ImportOptions(**options))


def rename(frames, old, new):
    for atoms in frames:
        for store in (atoms.info, atoms.arrays):
            if old in store:
                store[new] = store.pop(old)


def test_a_usual_name_is_recognised(db, folder, frames):
    for name in ("energy", "forces", "stress"):
        rename(frames, f"REF_{name}", f"dft_{name}")
    assert imported(db, folder, frames).added["calculations"] == 12


def test_two_candidates_are_refused_by_name_until_one_is_chosen(db, folder, frames):
    for atoms in frames:
        atoms.info["dft_energy"] = atoms.info["REF_energy"] - 1.0
    report = imported(db, folder, frames)
    assert "REF_energy and dft_energy" in report.failed[0][1]
    assert "--energy-key" in report.failed[0][1]
    report = imported(db, folder, frames, keys={"energy": "dft_energy"})
    assert report.failed == []
    assert min(c.energy for c in db.calculations.find()) == pytest.approx(
        min(atoms.info["dft_energy"] for atoms in frames)
    )


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (-1.0, "positive under compression"),
        (160.21766, "GPa"),
        (1602.1766, "GPa or kbar"),
        (-1602.1766, "GPa or kbar"),
    ],
)
def test_stresses_of_another_sign_or_unit_are_refused(db, folder, data_folder, factor, words):
    frames = read(data_folder / NAME, ":")
    for atoms in frames:
        atoms.info["REF_stress"] = factor * np.asarray(atoms.info["REF_stress"])
    report = imported(db, folder, frames)
    assert words in report.failed[0][1]
    assert report.added == {}


def test_a_stress_may_be_left_out(db, folder, frames):
    for atoms in frames:
        atoms.info["REF_stress"] = -np.asarray(atoms.info["REF_stress"])
    text = (folder / "method.yaml").read_text()
    (folder / "method.yaml").write_text(text + "files:\n  cells.extxyz: {keys: {stress: null}}\n")
    assert imported(db, folder, frames).failed == []
    assert all(c.stress is None for c in db.calculations.find())


@pytest.mark.parametrize("name", ["cells.db", "cells.json"])
def test_ase_databases(db, folder, frames, name):
    with connect(folder / name) as database:
        for atoms in frames:
            labels = {"REF_forces": atoms.arrays["REF_forces"]}
            database.write(
                atoms,
                REF_energy=float(atoms.info["REF_energy"]),
                data={**labels, "REF_stress": np.asarray(atoms.info["REF_stress"])},
            )
    report = import_paths(db, [folder])
    assert report.failed == []
    assert report.added["calculations"] == 12
    again = import_paths(db, [folder])
    assert again.added == {}


def test_a_method_may_come_by_an_option(db, folder, frames, tmp_path_factory):
    method = shutil.move(folder / "method.yaml", tmp_path_factory.mktemp("other") / "pbe.yaml")
    assert "method.yaml" in imported(db, folder, frames).failed[0][1]
    assert imported(db, folder, frames, description=method).failed == []


@pytest.mark.parametrize("name", ["cells.tar.gz", "cells.zip"])
def test_archives_are_read_as_folders_are(db, folder, frames, name, tmp_path_factory):
    write(folder / "cells.extxyz", frames, format="extxyz")
    packed = tmp_path_factory.mktemp("packed") / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(packed, "w") as archive:
            for file in folder.iterdir():
                archive.write(file, f"inner/{file.name}")
    else:
        with tarfile.open(packed, "w:gz") as archive:
            archive.add(folder, "inner")
    assert import_paths(db, [packed]).added["calculations"] == 12
    assert import_paths(db, [folder]).unchanged == ["cells.extxyz"]


def test_a_broken_archive_is_named(db, tmp_path):
    (tmp_path / "broken.tar.gz").write_bytes(b"\x1f\x8bnothing")
    report = import_paths(db, [tmp_path])
    assert "cannot be unpacked" in report.failed[0][1]


def test_a_compressed_file_that_is_cut_off_is_named_wherever_it_lies(db, folder, frames):
    write(folder / "cells.extxyz", frames, format="extxyz")
    whole = gzip.compress((folder / "cells.extxyz").read_bytes())
    (folder / "cut.txt.gz").write_bytes(whole[: len(whole) // 2])
    with tarfile.open(folder / "both.tar.gz", "w:gz") as archive:
        for name in ("cut.txt.gz", "cells.extxyz", "method.yaml"):
            archive.add(folder / name, name)
    report = import_paths(db, [folder])
    assert sorted(name.rpartition("/")[2] for name, _ in report.failed) == ["cut.txt.gz"] * 2
    assert all("cut off" in reason for _, reason in report.failed)
    assert report.added["calculations"] == 12


def test_a_strange_file_among_others_stops_nothing(db, folder, frames):
    write(folder / "one.extxyz", frames[:3], format="extxyz")
    (folder / "notes.txt").write_text("to do")
    report = import_paths(db, [folder / "notes.txt", folder / "one.extxyz"])
    assert report.added["calculations"] == 3
    [(name, reason)] = report.failed
    assert name.endswith("notes.txt")
    assert "no kind that can be imported" in reason
    assert import_paths(db, [folder / "*"]).failed == [(name, reason)]
    with pytest.raises(InputError, match="no kind that can be imported"):
        import_paths(db, [folder / "notes.txt"])


def test_virials_are_not_taken_for_stresses_and_not_left_out_silently(db, folder, frames):
    rename(frames, "REF_stress", "REF_virial")
    report = imported(db, folder, frames)
    assert "has REF_virial and no stress" in report.failed[0][1]
    text = (folder / "method.yaml").read_text()
    (folder / "method.yaml").write_text(text + "files:\n  cells.extxyz: {keys: {stress: null}}\n")
    assert import_paths(db, [folder]).added["calculations"] == 12


def test_globs(db, folder, frames):
    write(folder / "one.extxyz", frames[:3], format="extxyz")
    write(folder / "two.extxyz", frames[3:6], format="extxyz")
    assert import_paths(db, [folder / "o*.extxyz"]).added["calculations"] == 3


def test_worker_processes_give_the_same_records(db, folder, frames):
    for i, atoms in enumerate(frames[:6]):
        write(folder / f"{i}.extxyz", atoms, format="extxyz")
    report = import_paths(db, [folder], options=ImportOptions(workers=2))
    assert report.failed == []
    assert report.added["calculations"] == 6
    assert import_paths(db, [folder], options=ImportOptions(workers=1)).added == {}
