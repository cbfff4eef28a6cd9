"""Broken files of every kind through the front door: each is named or becomes sound records.

A few mutants of each kind here; FORCEBASE_FUZZ=300 takes so many (`make fuzz`). The same seed gives
the same mutants.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import random
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import ase
import pytest
from ase.db import connect
from ase.io import read

from forcebase.archive import write_archive
from forcebase.archive.reading import read_archive
from forcebase.errors import ForcebaseError
from forcebase.ingest.importing import import_paths
from forcebase.ingest.options import ImportOptions, Steps
from forcebase.integrity.verify import verify

MUTANTS = int(os.environ.get("FORCEBASE_FUZZ", "5"))
SECONDS = 60
"""For one mutant, on the slowest machine: a hang is longer."""
CODES = Path(__file__).parents[1] / "data" / "codes"
ASE_DATA = Path(ase.__file__).parent / "test" / "testdata"
WSE2 = Path(__file__).parents[2] / "data" / "wse2_gpaw"
TASK = WSE2.parent / "wse2_gpaw_new" / "0000.json"
OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def plain(path: Path, target: Path) -> Path:
    """A file decompressed, as mutants of compressed bytes end at the checksum."""
    opener = OPENERS.get(path.suffix, open)
    with opener(path, "rb") as file:
        target.write_bytes(file.read())
    return target


def copied(folder: Path, *paths: Path) -> Path:
    for path in paths:
        plain(path, folder / (path.stem if path.suffix in OPENERS else path.name))
    first = paths[0]
    return folder / (first.stem if first.suffix in OPENERS else first.name)


def described(folder: Path) -> None:
    """A method.yaml that says its method and nothing of files."""
    method = (WSE2 / "method.yaml").read_text().partition("\nfiles:")[0]
    (folder / "method.yaml").write_text(method + "\n")


def some_frames() -> list:
    return read(WSE2 / "wse2_gpaw_pbe.extxyz", ":3")


def extxyz(folder: Path) -> Path:
    described(folder)
    lines = (WSE2 / "wse2_gpaw_pbe.extxyz").read_text().splitlines(keepends=True)
    end = 0
    for _ in range(3):
        end += 2 + int(lines[end])
    (folder / "cells.extxyz").write_text("".join(lines[:end]))
    return folder / "cells.extxyz"


def method(folder: Path) -> Path:
    copied(folder, WSE2 / "wse2_gpaw_unitcell.extxyz", WSE2 / "method.yaml")
    return folder / "method.yaml"


def phonopy(folder: Path) -> Path:
    described(folder)
    return copied(folder, WSE2.parent / "wse2_gpaw_vacancy" / "phonopy_wse2_gpaw_vacancy_2x2.yaml")


def task(folder: Path) -> Path:
    return copied(folder, TASK)


def job_store(folder: Path) -> Path:
    found = json.loads(TASK.read_text())
    document = {"uuid": "1", "index": 1, "name": "static", "output": found.get("output", found)}
    (folder / "store.json").write_text(json.dumps([document]))
    return folder / "store.json"


def ase_database(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        described(folder)
        with connect(folder / f"rows{suffix}") as database:
            for atoms in some_frames():
                forces, energy = atoms.arrays["REF_forces"], float(atoms.info["REF_energy"])
                database.write(
                    atoms, data={"REF_forces": forces}, key_value_pairs={"dft_energy": energy}
                )
        return folder / f"rows{suffix}"

    return make


def tar(folder: Path) -> Path:
    made = extxyz(folder)
    with tarfile.open(folder / "runs.tar", "w") as archive:
        archive.add(made, "cells.extxyz")
        archive.add(folder / "method.yaml", "method.yaml")
    for name in ("cells.extxyz", "method.yaml"):
        (folder / name).unlink()
    return folder / "runs.tar"


def zipped(folder: Path) -> Path:
    made = extxyz(folder)
    with zipfile.ZipFile(folder / "runs.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(made, "cells.extxyz")
        archive.write(folder / "method.yaml", "method.yaml")
    for name in ("cells.extxyz", "method.yaml"):
        (folder / name).unlink()
    return folder / "runs.zip"


def code(*names: str) -> Callable[[Path], Path]:
    return lambda folder: copied(folder, *(CODES / name for name in names))


def of_ase(name: str) -> Callable[[Path], Path]:
    return lambda folder: copied(folder, ASE_DATA / name)


KINDS: dict[str, Callable[[Path], Path]] = {
    "extxyz": extxyz,
    "method.yaml": method,
    "phonopy": phonopy,
    "task document": task,
    "job store": job_store,
    "ASE SQLite": ase_database(".db"),
    "ASE JSON": ase_database(".json"),
    "tar": tar,
    "zip": zipped,
    "vasprun.xml": of_ase("vasp/vasprun_dfpt.xml"),
    "OUTCAR": of_ase("vasp/OUTCAR_example_1"),
    "CP2K": code("cp2k/wse2.out.gz", "cp2k/wse2.inp"),
    "CP2K input": code("cp2k/wse2.inp", "cp2k/wse2.out.gz"),
    "CP2K trajectory": code(
        *(f"cp2k_relaxation/wse2{end}" for end in ("-frc-1.xyz", "-pos-1.xyz", "-1.cell", ".inp")),
        "cp2k_relaxation/wse2.out.xz",
    ),
    "pw.x text": code("quantum_espresso/si.pwo.gz", "quantum_espresso/si.pwi"),
    "pw.x XML": code("quantum_espresso/data-file-schema.xml.bz2"),
    "GPAW text": code("gpaw/si.txt.gz"),
    "GPAW restart": code("gpaw/si.gpw"),
    "ABINIT": code("abinit/wse2.abo.gz"),
}
WORDS = (b"1e20", b"-1", b"99999999999999999999", b"nan", b"inf", b"X", b"\xff\xfe", b"\x00", b"")
WORDS += (b"!!python/object/apply:os.system ['false']", b"[" * 500, b'{"a":' * 500, b"\n" * 99)


def mutant(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to three faults, as copying, editing and malice make them."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        at, size = rng.randrange(len(data) + 1), rng.choice((1, 8, 80, 800, 8000))
        fault = rng.randrange(7)
        if fault == 0:
            data = data[:at]
        elif fault == 1 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        elif fault == 2:
            data = data[:at] + data[at + size :]
        elif fault == 3:
            data = data[:at] + data[at : at + size] * 2 + data[at + size :]
        elif fault == 4:
            data = data[:at] + rng.choice(WORDS) + data[at:]
        elif fault == 5:
            start = data.rfind(b" ", 0, at) + 1
            end = data.find(b" ", at)
            data = data[:start] + rng.choice(WORDS) + data[end if end >= 0 else len(data) :]
        else:
            other = rng.randrange(len(data) + 1)
            data = data[:at] + data[other : other + size] + data[at + size :]
    return data


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_file_is_named_or_gives_sound_records(db, tmp_path, kind):
    first = tmp_path / "sound"
    first.mkdir()
    sound = KINDS[kind](first)
    report = import_paths(db, [first], options=ImportOptions(steps=Steps.ALL))
    assert not report.failed, report.failed
    assert report.added, "the seed itself must be read"
    data = sound.read_bytes()
    for number in range(MUTANTS):
        rng = random.Random(f"{kind} {number}")
        folder = tmp_path / str(number)
        shutil.copytree(first, folder)
        (folder / sound.name).write_bytes(mutant(data, rng))
        started = time.monotonic()
        try:
            report = import_paths(db, [folder], options=ImportOptions(steps=Steps.ALL))
        except ForcebaseError:  # of a whole import: the only file is of no known kind
            report = None
        assert time.monotonic() - started < SECONDS, f"mutant {number} hangs"
        if report is not None:
            told = report.failed or report.unknown or report.unchanged or report.files
            assert told or not _looks_like_a_file(folder / sound.name), f"mutant {number} is lost"
            assert all(reason.strip() for _, reason in report.failed)
            assert not any("Traceback" in reason for _, reason in report.failed)
        shutil.rmtree(folder)
    found = verify(db, models=False)
    assert found.is_sound, [finding.as_dict() for finding in found.findings[:3]]


def _looks_like_a_file(path: Path) -> bool:
    """Whether its kind is still told by its content: a folder may hold others."""
    from forcebase.ingest.file_kinds import kind_of

    try:
        return kind_of(path, named=False) is not None or path.suffix in (".tar", ".zip")
    except ForcebaseError:
        return True


def test_a_broken_archive_of_records_is_refused_and_nothing_written(db, settings, tmp_path):
    folder = tmp_path / "sound"
    folder.mkdir()
    import_paths(db, [extxyz(folder)])
    path, _ = write_archive(db, [], tmp_path / "all.zip")
    data = path.read_bytes()
    before = db.structures.count()
    for number in range(MUTANTS):
        broken = mutant(data, random.Random(f"archive {number}"))
        (tmp_path / "broken.zip").write_bytes(broken)
        if broken == data:
            continue
        with pytest.raises(ForcebaseError):
            read_archive(db, tmp_path / "broken.zip")
    assert db.structures.count() == before
    assert verify(db, models=False).is_sound


def test_as_many_mutants_as_make_fuzz_asks_for():
    """The tests clear the environment of forcebase's own variables; this one stays."""
    program = "import suite_environment, os; print(os.environ.get('FORCEBASE_FUZZ'))"
    support = Path(__file__).parents[1] / "support"
    environment = {**os.environ, "FORCEBASE_FUZZ": "300"}
    said = subprocess.check_output([sys.executable, "-c", program], cwd=support, env=environment)
    assert said.split() == [b"300"]
