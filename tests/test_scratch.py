"""What is left of a process that was really killed goes with the next of its kind, and no more."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from forcebase.scratch import appearing, scratch_folder

WORK = """
import signal, sys
from pathlib import Path
from forcebase.scratch import appearing, scratch_folder
with scratch_folder("kind", Path({folder!r})) as folder, appearing(Path({folder!r}) / "b.zip") as f:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text("text")
    f.write(b"half")
    f.flush()
    print("there", flush=True)
    signal.pause()
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def worker(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", WORK.format(folder=str(tmp_path))], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "there\n"
    yield process
    process.kill()
    process.wait()


def _make_another(folder):
    with scratch_folder("kind", folder), appearing(folder / "other.zip") as file:
        file.write(b"whole")


def test_what_a_killed_process_left(worker, tmp_path):
    _make_another(tmp_path)
    part = f".b.zip.{worker.pid}.part"
    there = [name for name in names(tmp_path) if name.startswith(f"kind-{worker.pid}-")]
    assert part in names(tmp_path)
    assert len(there) == 1, "a living process keeps its folder and its file"
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    with scratch_folder("another", tmp_path):
        assert there[0] in names(tmp_path), "of another kind"
    (tmp_path / "other.zip").unlink()
    _make_another(tmp_path)
    assert names(tmp_path) == ["other.zip"]


def test_what_is_not_ours_stays(tmp_path):
    for name in (".notes.part", "kind-x", ".a.12x.part"):
        (tmp_path / name).mkdir()
    (tmp_path / ".a.999999999.part").symlink_to(tmp_path / "kind-x")
    _make_another(tmp_path)
    assert names(tmp_path) == [
        ".a.12x.part",
        ".a.999999999.part",
        ".notes.part",
        "kind-x",
        "other.zip",
    ]


def test_a_killed_import_of_an_archive(db, settings, tmp_path, data_folder, monkeypatch):
    """The folder it was unpacked into goes with the next import."""
    import tarfile

    from forcebase.ingest.importing import import_paths

    archive = tmp_path / "runs.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("wse2_gpaw_unitcell.extxyz", "method.yaml"):
            tar.add(data_folder / name, name)
    place = tmp_path / "temporary"
    place.mkdir()
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from forcebase.ingest.sources import find_sources\n"
        f"with find_sources([Path({str(archive)!r})]) as found:\n"
        "    assert found.sources\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(place)}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert len(list(place.iterdir())) == 1
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    assert import_paths(db, [archive]).added["calculations"]
    assert list(place.iterdir()) == []
