"""Files that would run code, read elsewhere, or fill the machine: each is refused by name."""

import gzip
import json
import os
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from forcebase.ingest.importing import import_paths

PHONON = "phonopy_wse2_gpaw_3x3.yaml"


@pytest.fixture
def phonon(data_folder, tmp_path):
    """The phonopy file in a folder of its own, with its method."""
    folder = tmp_path / "phonon"
    folder.mkdir()
    for name in (PHONON, "method.yaml", "wse2_gpaw_unitcell.extxyz"):
        shutil.copy(data_folder / name, folder)
    return folder / PHONON


def assert_nothing_came(db, report):
    assert report.added == {}
    assert not db.phonons.count()


@pytest.mark.parametrize("in_tar", [False, True], ids=["file", "tar"])
@pytest.mark.parametrize("place", ["alone", "unused key", "inside a number"])
def test_a_phonopy_file_with_a_tag_runs_nothing(db, phonon, tmp_path, place, in_tar):
    mark = tmp_path / "ran"
    tag = f"!!python/object/apply:os.system ['touch {mark}']"
    text = phonon.read_text()
    phonon.write_text(
        {
            "alone": f"phonopy: {tag}\nforce_constants: 1\n",
            "unused key": f"{text}\nnotes: {tag}\n",
            "inside a number": text.replace("supercell_matrix:", f"supercell_matrix: {tag}\nx:"),
        }[place]
    )
    target = phonon
    if in_tar:
        target = tmp_path / "runs.tar.gz"
        with tarfile.open(target, "w:gz") as archive:
            archive.add(phonon, "runs/phonopy.yaml")
            archive.add(phonon.parent / "method.yaml", "runs/method.yaml")
    report = import_paths(db, [target])
    assert not mark.exists()
    ((name, reason),) = report.failed
    assert name.endswith(".yaml")
    assert "tag" in reason
    assert_nothing_came(db, report)


EVIL = "evil_module_of_a_test"


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A module that can be imported and leaves a mark when it is."""
    (tmp_path / "modules").mkdir()
    mark = tmp_path / "imported"
    text = f"import pathlib; pathlib.Path({str(mark)!r}).touch()\nclass Evil: pass\n"
    (tmp_path / "modules" / f"{EVIL}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    return mark


def monty(evil):
    return {"@module": EVIL, "@class": "Evil", "@version": None}


@pytest.mark.parametrize("place", ["site", "structure", "last_updated", "species"])
def test_classes_named_in_documents_are_not_imported(db, data_folder, tmp_path, evil, place):
    task = json.loads((data_folder.parent / "wse2_gpaw_new" / "0000.json").read_text())
    output = task.get("output", task)
    for site in output["structure"]["sites"]:
        if place == "site":
            site["properties"] = {"tag": monty(evil)}
        if place == "species":
            site["species"][0]["properties"] = {"spin": monty(evil)}
    if place == "structure":
        output["structure"]["properties"] = {"tag": monty(evil)}
    document = {"uuid": "1", "index": 1, "name": "static", "output": output}
    if place == "last_updated":
        document["last_updated"] = monty(evil)
    (tmp_path / "task.json").write_text(json.dumps(task))
    (tmp_path / "store.json").write_text(json.dumps([document]))
    report = import_paths(db, [tmp_path / "task.json", tmp_path / "store.json"])
    assert report.failed == []
    assert db.calculations.count() == 1
    assert not evil.exists()


@pytest.mark.parametrize("change", [{"occu": 0.5}, {"element": "X"}, {"element": "Qq"}])
def test_sites_of_no_whole_element_are_refused(db, data_folder, tmp_path, change):
    task = json.loads((data_folder.parent / "wse2_gpaw_new" / "0000.json").read_text())
    task.get("output", task)["structure"]["sites"][0]["species"][0].update(change)
    (tmp_path / "task.json").write_text(json.dumps(task))
    report = import_paths(db, [tmp_path / "task.json"])
    assert "site of the structure" in report.failed[0][1]


def store_of(tmp_path, **docs_store):
    """A JobStore's configuration that would write, or fail to connect, where it is followed."""
    (tmp_path / "folder").mkdir(exist_ok=True)
    path = tmp_path / "folder" / "jobflow.yaml"
    path.write_text(yaml.safe_dump({"JOB_STORE": {"docs_store": docs_store}}))
    return path


@pytest.mark.parametrize("how", ["folder", "tar", "pattern"])
def test_a_store_that_was_not_named_is_not_followed(db, tmp_path, how):
    made = tmp_path / "made.json"
    path = store_of(tmp_path, type="JSONStore", paths=str(made), read_only=False)
    target = {"folder": path.parent, "pattern": path.parent / "*.yaml"}.get(how)
    if how == "tar":
        target = tmp_path / "runs.tar"
        with tarfile.open(target, "w") as archive:
            archive.add(path, "jobflow.yaml")
    report = import_paths(db, [target])
    assert report.failed == []
    ((name, reason),) = report.notes
    assert name.endswith("jobflow.yaml")
    assert "name it itself" in reason
    assert not made.exists()


@pytest.mark.parametrize(
    "config",
    [
        {"type": "JSONStore", "paths": "made.json", "read_only": False},
        {"type": "JSONStore", "paths": "made.json", "file_writable": True},
        {"type": "FileStore", "path": ".", "read_only": False},
        {"type": "MontyStore", "collection_name": "made", "database_path": "made"},
        {"type": "S3Store", "index": {"type": "MemoryStore"}, "bucket": "x"},
        {
            "type": "MongoStore",
            "database": "x",
            "collection_name": "y",
            "ssh_tunnel": {"type": "SSHTunnel"},
        },
        {"type": "SSHTunnel", "tunnel_server_address": "x:22", "remote_server_address": "y:1"},
        {"type": "Evil"},
    ],
    ids=lambda config: "-".join(map(str, config.values()))[:40],
)
def test_a_named_store_is_only_read_and_of_known_kinds(db, tmp_path, config, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = store_of(tmp_path, **config)
    before = sorted(tmp_path.rglob("*"))
    report = import_paths(db, [path])
    assert len(report.failed) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_store_of_documents_in_a_folder_is_read(db, data_folder, tmp_path):
    task = json.loads((data_folder.parent / "wse2_gpaw_new" / "0000.json").read_text())
    document = {"uuid": "1", "index": 1, "name": "static", "output": task.get("output", task)}
    (tmp_path / "store.json").write_text(json.dumps([document]))
    report = import_paths(db, [tmp_path])
    assert report.added["calculations"] == 1


@pytest.fixture
def task(data_folder):
    """A task document, and its output."""
    found = json.loads((data_folder.parent / "wse2_gpaw_new" / "0000.json").read_text())
    return found.get("output", found)


@pytest.mark.parametrize(
    "change",
    [
        {"x": {"$oid": "no id"}},
        {"x": {"$date": 1e30}},
        {"x": {"$date": "today"}},
        {"x": {"$binary": {"base64": "%", "subType": "zz"}}},
        {"x": {"$numberLong": "many"}},
        {"x": {"$uuid": 4}},
        {"x": 10**40},
        {"$set": 1},
        {"a\0b": 1},
        {"name": "\ud800"},
        {"uuid": 3},
        {"uuid": ["a"]},
        {"index": "one"},
        {"index": True},
    ],
    ids=lambda change: ascii(change)[:40],
)
def test_values_in_a_store_that_are_none(db, task, tmp_path, change):
    """Each is named, and what lies beside the file is imported."""
    document = {"uuid": "1", "index": 1, "name": "static", "output": task} | change
    (tmp_path / "store.json").write_text(json.dumps([document]))
    (tmp_path / "task.json").write_text(json.dumps(task))
    report = import_paths(db, [tmp_path])
    ((name, reason),) = report.failed
    assert "store.json" in name
    assert reason
    assert report.added["calculations"] == 1


def test_a_json_of_more_values_than_the_limit(db, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCEBASE_LIMIT_NODES", "1000")
    (tmp_path / "task.json").write_text('{"a": [' + "[]," * 1000 + "[]]}")
    report = import_paths(db, [tmp_path / "task.json"])
    assert "FORCEBASE_LIMIT_NODES" in report.failed[0][1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"energy": True}, "not a number"),
        ({"energy": "-1.0"}, "not a number"),
        ({"energy": 1e300}, "beyond"),
        ({"free_energy": False}, "not a number"),
        ({"wall_time": float("inf")}, "see wall_time"),
    ],
    ids=str,
)
def test_labels_that_are_none_are_refused_and_the_rest_goes_on(
    db, task, data_folder, tmp_path, change, said
):
    """Also what only the server notices is the fault of one file, not of the whole import."""
    (tmp_path / "a.json").write_text(json.dumps(task | change))
    shutil.copy(data_folder.parent / "wse2_gpaw_new" / "0001.json", tmp_path / "b.json")
    report = import_paths(db, [tmp_path])
    ((name, reason),) = report.failed
    assert name.endswith("a.json")
    assert said in reason
    assert report.added["calculations"] == 1


def test_forces_that_are_no_numbers(db, task, tmp_path):
    task["forces"] = [["0.1", "0.2", "0.3"] for _ in task["forces"]]
    (tmp_path / "a.json").write_text(json.dumps(task))
    report = import_paths(db, [tmp_path])
    assert "must be numbers" in report.failed[0][1]


@pytest.fixture
def frame(data_folder, tmp_path):
    """A folder with one labelled structure, as [count, keys, atoms ...], and its method."""
    text = (data_folder / "method.yaml").read_text().partition("\nfiles:")[0]
    (tmp_path / "method.yaml").write_text(text + "\n")
    lines = (data_folder / "wse2_gpaw_pbe.extxyz").read_text().splitlines(keepends=True)
    return lines[: int(lines[0]) + 2]


def frame_with(frame, folder, line):
    (folder / "a.extxyz").write_text("".join([frame[0], line, *frame[2:]]))
    return folder


def test_a_key_twice_in_an_extxyz(db, frame, tmp_path):
    keys = frame[1].rstrip()
    for more in (" REF_energy=-1.0\n", ' "REF_energy"=-1.0\n', " Lattice=[1 0 0 0 1 0 0 0 1]\n"):
        report = import_paths(db, [frame_with(frame, tmp_path, keys + more)])
        assert "twice" in report.failed[0][1]
    report = import_paths(
        db, [frame_with(frame, tmp_path, keys + ' note="REF_energy=3 x=1 x=2"\n')]
    )
    assert report.failed == []


@pytest.mark.parametrize("claim", ["x:R:999999999", "x:R:99999999999999999999", "x:S:4"])
def test_columns_that_are_not_there(db, frame, tmp_path, claim):
    line = frame[1].replace("pos:R:3", f"pos:R:3:{claim}")
    assert line != frame[1]
    report = import_paths(db, [frame_with(frame, tmp_path, line)])
    assert "more columns" in report.failed[0][1]


@pytest.mark.parametrize("tags", ["[1]", "{a: 1}", "abc", "[[a]]"])
def test_tags_that_are_no_texts(db, frame, tmp_path, tags):
    path = tmp_path / "method.yaml"
    path.write_text(path.read_text() + f"files:\n  a.extxyz: {{tags: {tags}}}\n")
    report = import_paths(db, [frame_with(frame, tmp_path, frame[1])])
    assert len(report.failed) == 1


@pytest.mark.parametrize("name", ["method.yaml", "more.extxyz"])
@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_a_device_in_a_folder_is_not_read(db, frame, tmp_path, name, kind):
    frame_with(frame, tmp_path, frame[1])
    (tmp_path / name).unlink(missing_ok=True)
    if kind == "device":
        (tmp_path / name).symlink_to("/dev/zero")
    else:
        os.mkfifo(tmp_path / name)
    report = import_paths(db, [tmp_path])
    assert len(report.failed) == (name == "method.yaml")


def test_an_archive_in_an_archive_is_named(db, frame, tmp_path):
    frame_with(frame, tmp_path, frame[1])
    for outer, inner in (("inner.zip", "a.extxyz"), ("outer.zip", "inner.zip")):
        with zipfile.ZipFile(tmp_path / outer, "w") as archive:
            archive.write(tmp_path / inner, inner)
            archive.write(tmp_path / "method.yaml", "method.yaml")
    report = import_paths(db, [tmp_path / "outer.zip"])
    assert report.failed[0][0].endswith("inner.zip")


def test_two_files_of_one_name_in_a_zip(db, frame, tmp_path):
    frame_with(frame, tmp_path, frame[1])
    with zipfile.ZipFile(tmp_path / "runs.zip", "w") as archive:
        archive.write(tmp_path / "a.extxyz", "a.extxyz")
        archive.writestr("method.yaml", (tmp_path / "method.yaml").read_text())
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.write(tmp_path / "a.extxyz", "a.extxyz")
    report = import_paths(db, [tmp_path / "runs.zip"])
    assert "twice" in report.failed[0][1]


@pytest.mark.parametrize(
    ("what", "by"),
    [
        (r"(Atom +Kind) +Element( +X)", r"\1 Elem\2"),
        (r"(Atom +Kind)( +Element)", r"\1\n\2"),
        (r"(- Atoms: +)\d+", r"\g<1>99999999999999999999"),
    ],
)
def test_a_cp2k_output_that_is_looked_through_for_ever(db, tmp_path, what, by):
    """Without a table, or with more rows in it than the file: pymatgen does not stop at its end."""
    folder = Path(__file__).parents[1] / "data" / "codes" / "cp2k"
    shutil.copy(folder / "wse2.inp", tmp_path)
    text = gzip.decompress((folder / "wse2.out.gz").read_bytes()).decode()
    broken, n = re.subn(what, by, text)
    assert n
    (tmp_path / "wse2.out").write_text(broken)
    report = import_paths(db, [tmp_path])
    assert "table of atomic coordinates" in report.failed[0][1]
