"""A folder of a project as users of VASP have it: sidecars, links, compressed and failed runs."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from vasp_files import CASES, case_text

from forcebase.archive import write_archive
from forcebase.errors import NotFoundError
from forcebase.ingest.codes.code_output import Steps
from forcebase.ingest.folders import FolderWalk
from forcebase.ingest.importing import import_paths
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.raw_files import write_file
from forcebase.ingest.reasons import in_words
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.verify import verify
from forcebase.provenance import trace_up

SIDECARS = {
    "custodian.json.gz": gzip.compress(json.dumps([{"job": {"@class": "VaspJob"}}]).encode()),
    "FW.json": json.dumps({"spec": {"energy": 1.0, "forces": []}}).encode(),
    "phonon_info.json": b'{"supercell": [3, 3, 3], "converged": true}',
    "empty.json": b"",
    "broken.json": b'{"a": ',
    "submit.sh": b"#!/bin/bash\nsbatch vasp.sl\n",
    "analyse.py": b"print('energies')\n",
    "INCAR.gz": gzip.compress(b"ENCUT = 400\n"),
    "KPOINTS": b"mesh\n0\nGamma\n6 6 6\n",
    "POSCAR.xyz": b"2\nstart of a relaxation\nSi 0 0 0\nSi 1.4 1.3 1.3\n",
    "vasp.out": b"running on 4 total cores\n",
    "phonopy.yaml": b'phonopy:\n  version: 2.20\n  configuration:\n    force_constants: "READ"\n',
    "band.yaml": b"nqpoint: 10\n",
    "jobflow.yaml": b"JOB_STORE:\n  docs_store: {type: MongoStore, database: theirs}\n",
}


def vasprun(shift: float = 0.0) -> bytes:
    return gzip.compress(case_text().replace("0.24500000", f"{0.245 + shift:.8f}").encode())


@pytest.fixture
def project(tmp_path):
    """Two rattled supercells, each with what custodian and the user put beside the output."""
    folder = tmp_path / "project"
    for number in (1, 2):
        run = folder / f"rattled_supercell_{number}"
        run.mkdir(parents=True)
        (run / "vasprun.xml.gz").write_bytes(vasprun(0.001 * number))
        for name, content in SIDECARS.items():
            (run / name).write_bytes(content)
    failed = folder / "rattled_supercell_1" / "vasprun.xml"
    failed.write_text(case_text()[:5000])
    with tarfile.open(folder / "rattled_supercell_1" / "error.1.tar.gz", "w:gz") as archive:
        archive.add(failed, "vasprun.xml")
    failed.unlink()
    return folder


def test_sidecars_are_no_failures_and_are_counted(db, project):
    report = import_paths(db, [project])
    assert report.failed == []
    assert (report.files, report.added["calculations"]) == (2, 2)
    configurations = [name for name, text in report.notes if "JobStore" in text]
    assert len(configurations) == 2
    assert report.left == 2 * (len(SIDECARS) - 1) + 1


def test_what_a_phonopy_file_is_read_with_is_not_left(db, tmp_path):
    case = CASES / "phonopy_units_missing"
    shutil.copytree(case, tmp_path / "phonon")
    (tmp_path / "phonon" / "submit.sh").write_bytes(SIDECARS["submit.sh"])
    report = import_paths(db, [tmp_path / "phonon"])
    assert (report.failed, report.added["phonons"]) == ([], 1)
    assert report.left == 1, "the script, and not FORCE_SETS"


def test_an_output_that_is_cut_off_is_still_a_failure(db, project):
    (project / "rattled_supercell_2" / "vasprun.xml.gz").write_bytes(vasprun()[:-300])
    report = import_paths(db, [project])
    ((name, reason),) = report.failed
    assert name.endswith("rattled_supercell_2/vasprun.xml.gz")
    assert "cut off" in reason
    assert report.added["calculations"] == 1


@pytest.mark.parametrize("name", ["vasprun.xml", "OUTCAR.gz", "vaspout.h5", "vasprun.xml.relax1"])
def test_an_output_that_is_empty_is_a_failure(db, project, name):
    empty = project / "empty"
    empty.mkdir()
    (empty / name).write_bytes(b"")
    ((found, reason),) = import_paths(db, [project]).failed
    assert found.endswith(f"empty/{name}")
    assert "it is empty" in reason


def test_a_sidecar_that_is_named_itself_is_told(db, project):
    report = import_paths(db, [project / "rattled_supercell_1" / "phonon_info.json"])
    assert "not a task document" in report.failed[0][1]


def test_each_import_says_where_its_file_lay(db, project):
    import_paths(db, [project])
    names = {activity.name for activity in db.activities.find()}
    assert names == {f"rattled_supercell_{n}/vasprun.xml.gz" for n in (1, 2)}
    calculation = db.calculations.find()[0]
    titles = [node.title for node in trace_up(db, "calculations", calculation.id).nodes.values()]
    assert any("rattled_supercell_" in title for title in titles)


def test_one_file_at_two_places_is_read_once_and_says_both(db, project):
    copy = project / "again"
    copy.mkdir()
    source = project / "rattled_supercell_1" / "vasprun.xml.gz"
    (copy / source.name).write_bytes(source.read_bytes())
    report = import_paths(db, [project])
    assert (report.files, len(report.unchanged)) == (2, 1)
    places = {a.source["path"]: a.source.get("also") for a in db.activities.find()}
    assert places["again/vasprun.xml.gz"] == ["rattled_supercell_1/vasprun.xml.gz"]


def test_the_path_is_no_part_of_what_names_an_import(db, project):
    import_paths(db, [project])
    report = import_paths(db, [project / "rattled_supercell_1", project.parent])
    assert (report.files, len(report.unchanged), report.added) == (0, 2, {})


def test_an_archive_stands_in_the_path(db, project, tmp_path):
    with tarfile.open(tmp_path / "runs.tar.gz", "w:gz") as archive:
        archive.add(project / "rattled_supercell_1", "one")
    report = import_paths(db, [tmp_path / "runs.tar.gz"])
    assert report.failed == []
    assert db.activities.one().name == "runs.tar.gz/one/vasprun.xml.gz"


def test_folders_deeper_than_python_recurses_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        os.mkdir("a")  # noqa: PTH102 - the whole path is too long for one call
        os.chdir("a")
    Path("last").write_text("")
    os.chdir(tmp_path)
    walk = FolderWalk()
    found = walk.files(tmp_path)
    subprocess.run(["rm", "-r", "a"], check=True)  # pytest itself could not
    assert [path.name for path in found] == ["last"]
    assert walk.failed == walk.notes == []


def test_folders_behind_links_are_followed_and_loops_noticed(db, project, tmp_path):
    scratch = tmp_path / "scratch" / "static"
    scratch.mkdir(parents=True)
    (scratch / "vasprun.xml.gz").write_bytes(vasprun(0.01))
    (scratch / "up").symlink_to(project)
    (project / "on_scratch").symlink_to(scratch)
    (project / "same").symlink_to(project / "rattled_supercell_1")
    (project / "purged").symlink_to(tmp_path / "nothing" / "vasprun.xml")
    (project / "round").symlink_to(project / "round")
    (project / "best.xml.gz").symlink_to(project / "rattled_supercell_2" / "vasprun.xml.gz")
    report = import_paths(db, [project])
    assert report.failed == []
    assert report.added["calculations"] == 3
    notes = {name.removeprefix(str(project)): text for name, text in report.notes}
    assert "lies in" in notes["/on_scratch/up"]
    assert "read at another place" in notes["/same"]
    assert "not there" in notes["/purged"]
    assert "not there" in notes["/round"]
    assert {a.name for a in db.activities.find()} >= {"on_scratch/vasprun.xml.gz"}


@pytest.mark.parametrize("name", ["OUTCAR.gz", "POTCAR.gz", "vasprun.xml.gz", "vaspout.h5.gz"])
def test_a_bomb_is_not_unpacked(db, project, name, monkeypatch):
    monkeypatch.setenv("FORCEBASE_LIMIT_FILE_BYTES", "3000000")
    monkeypatch.setenv("FORCEBASE_LIMIT_TEXT_BYTES", "3000000")
    run = project / "rattled_supercell_1"
    magnetic = case_text("vasp_mag_fm")  # whose moments an OUTCAR beside it has
    (run / "vasprun.xml.gz").write_bytes(gzip.compress(magnetic.encode()))
    start = {"vasprun.xml.gz": case_text().encode()[:2000], "vaspout.h5.gz": b"\x89HDF\r\n\x1a\n"}
    start["OUTCAR.gz"] = b" vasp.6.4.2 18Apr23 complex\n"
    bomb = gzip.compress(start.get(name, b"") + bytes(20_000_000))
    (run / name).write_bytes(bomb)
    if name == "vaspout.h5.gz":
        (run / "vasprun.xml.gz").unlink()
    report = import_paths(db, [project])
    ((_, reason),) = report.failed
    assert "the limit is 3,000,000" in reason
    assert report.added["calculations"] == 1


@pytest.mark.parametrize(
    "error",
    [
        KeyError("r"),
        KeyError("e_0_energy"),
        IndexError("list index out of range"),
        TypeError("float() argument must be a string or a real number, not 'NoneType'"),
        AttributeError("'NoneType' object has no attribute 'text'"),
        ValueError("could not convert string to float: '****'"),
        ValueError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
)
def test_reasons_are_sentences(error):
    words = in_words(error)
    assert "Error" not in words
    assert len(words.split()) > 5
    assert words.endswith(".")
    assert not words.endswith("..")


def test_raw_files_are_kept_once_and_come_back(db, project, tmp_path):
    import_paths(db, [project])
    report = import_paths(db, [project], options=ImportOptions(keep_raw=True))
    assert (report.files, len(report.unchanged), report.kept) == (0, 2, 2)
    assert import_paths(db, [project], options=ImportOptions(keep_raw=True)).kept == 0
    plain = project / "plain"
    plain.mkdir()
    (plain / "vasprun.xml").write_text(case_text())
    assert import_paths(db, [project], options=ImportOptions(keep_raw=True)).kept == 1
    assert [str(f.kind) for f in verify(db, models=False).findings] == []
    for activity in db.activities.find():
        path = write_file(db, activity.id, tmp_path / "out")
        whole = project / activity.source["path"]
        expected = whole.read_bytes()
        if whole.suffix != ".gz":
            assert path.name == "vasprun.xml.gz"
            assert gzip.decompress(path.read_bytes()) == expected
        else:
            assert path.read_bytes() == expected
    assert (tmp_path / "out" / "rattled_supercell_1" / "vasprun.xml.gz").is_file()


def test_what_was_not_kept_says_so(db, project, tmp_path):
    import_paths(db, [project])
    with pytest.raises(NotFoundError, match="did not keep its file"):
        write_file(db, db.activities.find()[0].id, tmp_path)


def test_a_record_of_another_import_of_the_file_finds_it(db, project, tmp_path):
    """The record names the import that was first; the file was kept by a later one."""
    first = import_paths(db, [project], options=ImportOptions(steps=Steps.ALL)).activities
    import_paths(db, [project], options=ImportOptions(keep_raw=True))
    assert write_file(db, first[0], tmp_path / "out").is_file()


def test_a_lost_raw_file_is_found_missing(db, project):
    import_paths(db, [project], options=ImportOptions(keep_raw=True))
    sha256 = db.activities.find()[0].run.raw_file
    db.raw["blobs.files"].delete_one({"_id": sha256})
    db.raw["blobs.chunks"].delete_many({"files_id": sha256})
    found = {f.kind for f in verify(db, models=False).findings}
    assert found == {FindingKind.BLOB_MISSING}


def test_an_archive_of_records_leaves_raw_files_at_home(db, project, tmp_path):
    import_paths(db, [project], options=ImportOptions(keep_raw=True))
    kept = db.activities.find()[0].run.raw_file
    write_archive(db, [], tmp_path / "a.zip")
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert not any(kept in name for name in archive.namelist())
