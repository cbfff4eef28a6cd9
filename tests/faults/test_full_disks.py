"""Disks that are really full: the first line names the disk, and nothing half written is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.io import read, write
from forked import run_command
from pymongo.errors import PyMongoError

from forcebase.archive import write_archive
from forcebase.database.database import Database
from forcebase.database.server import EmbeddedServer
from forcebase.errors import DiskFullError
from forcebase.ingest.importing import import_paths
from forcebase.integrity.backup import write_backup
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.verify import verify
from forcebase.settings import Settings

pytestmark = pytest.mark.faults
SPRING = 5.0
"""eV/angstrom^2."""
N_CELLS = 1500


@pytest.fixture
def small_disk(tmp_path, request) -> Iterator[Path]:
    """A file system of so many MB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield place
    EmbeddedServer(place / "home").stop()
    subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path, left: int = 0) -> Path:
    """Leave so many bytes of a disk."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(disk).free - left))
    return filler


@pytest.mark.parametrize("small_disk", [4], indirect=True)
def test_what_is_written_beside_the_database(db, small_disk, data_folder):
    import_paths(db, [data_folder / "wse2_gpaw_pbe.extxyz"])
    fill(small_disk, left=20_000)
    told = rf"The disk of {small_disk} is full \(0\.0 MB free\): .* cannot be written"
    for work in (
        lambda: write_backup(db, small_disk / "b.zip"),
        lambda: write_archive(db, [], small_disk / "a.zip"),
    ):
        with pytest.raises(DiskFullError, match=told) as caught:
            work()
        assert caught.value.hint.startswith(f"Make room on {small_disk}")
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


@pytest.mark.parametrize("small_disk", [4], indirect=True)
def test_where_archives_are_unpacked(db, small_disk, data_folder, tmp_path, monkeypatch):
    fill(small_disk, left=20_000)
    archive = tmp_path / "runs.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("wse2_gpaw_pbe.extxyz", "method.yaml"):
            tar.add(data_folder / name, name)
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with pytest.raises(DiskFullError, match=f"The disk of {small_disk} is full"):
        import_paths(db, [archive])
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
    assert verify(db, models=False).findings == []


@pytest.mark.parametrize("small_disk", [600], indirect=True)
def test_the_database_itself_while_it_is_written_to(small_disk, data_folder, tmp_path):
    """mongod ends in the middle of an import: the command says why; with room it is repeated."""
    settings = Settings(home=small_disk / "home")
    environment = {**os.environ, "FORCEBASE_HOME": str(settings.home), "OMP_NUM_THREADS": "1"}
    environment["FORCEBASE_DATABASE"] = settings.database
    cells = _cells(data_folder, tmp_path / "many.extxyz")
    db = Database(settings)
    filler = fill(small_disk, left=8_000_000)
    with _often_written(db):
        done = run_command(["import", cells], environment)
    db.close()
    assert done.returncode == DiskFullError.exit_code, done.stderr
    first = done.stderr.strip().splitlines()[0]
    assert first.startswith(f"Error: The disk of {settings.home} is full"), done.stderr
    assert "Traceback" not in done.stderr
    filler.unlink()
    again = run_command(["import", cells], environment)
    assert again.returncode == 0, again.stderr
    db = Database(settings)
    assert set(verify(db, models=False).counts) <= {FindingKind.PARENT_ELSEWHERE}
    db.close()


@contextmanager
def _often_written(db: Database) -> Iterator[None]:
    """Have mongod write to its disk what it does once a minute, all the time."""
    ended = threading.Event()

    def write_out() -> None:
        while not ended.wait(0.2):
            with suppress(PyMongoError):
                db.client.admin.command("fsync")

    thread = threading.Thread(target=write_out)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _cells(data_folder: Path, target: Path) -> Path:
    """Cells of harmonic atoms, 30 MB of them in the database, with what says how they were made."""
    described = yaml.safe_load((data_folder / "method.yaml").read_text())
    keys = described["files"]["wse2_gpaw_pbe.extxyz"]["keys"]
    described["files"] = {target.name: {"keys": {**keys, "stress": None}}}
    target.with_name("method.yaml").write_text(yaml.safe_dump(described))
    first = read(data_folder / "wse2_gpaw_pbe.extxyz", 0)
    large = first.repeat((6, 6, 1))
    chance = np.random.default_rng(1)
    frames = []
    for _ in range(N_CELLS):
        atoms = large.copy()
        moved = chance.normal(scale=0.05, size=atoms.positions.shape)
        atoms.positions += moved
        atoms.info["REF_energy"] = float(0.5 * SPRING * (moved**2).sum())
        atoms.arrays["REF_forces"] = -SPRING * moved
        frames.append(atoms)
    write(target, frames, format="extxyz")
    return target
