"""`forcebase import`: files and folders become records; what could not be read is named."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from forcebase.database.database import Database
from forcebase.digest import bytes_digest, content_digest
from forcebase.errors import DatabaseError, ForcebaseError, InputError
from forcebase.ingest.batch import Batch
from forcebase.ingest.collect import CollectReport
from forcebase.ingest.description import FILE_NAME
from forcebase.ingest.extxyz import read_extxyz
from forcebase.ingest.phonopy_file import read_phonopy
from forcebase.ingest.task_documents import read_task_document
from forcebase.records import Activity

Reader = Callable[[Database, Path], Batch]


@dataclass
class ImportReport(CollectReport):
    """What an import did; `failed` holds (path, reason), `unchanged` files known already.

    `activities` are the ids of the imports of all files, of now or earlier.
    """

    files: int = 0
    unchanged: list[str] = field(default_factory=list)
    activities: list[str] = field(default_factory=list)


def import_paths(
    db: Database,
    paths: Iterable[Path],
    on_file: Callable[[str, int, int], None] | None = None,
) -> ImportReport:
    """Import files, and folders with all that is in them.

    Each file is taken whole or not at all. A file that was imported before (same bytes, same
    description) is not read again.

    Raises:
        InputError: a path is not there, or a file that was named itself is of no known kind.
    """
    report = ImportReport()
    files = sorted(_files(paths), key=_reading_order)
    for done, (path, reader) in enumerate(files):
        _import_file(db, path, reader, report)
        if on_file:
            on_file(path.name, done + 1, len(files))
    return report


def _files(paths: Iterable[Path]) -> list[tuple[Path, Reader]]:
    found: dict[Path, Reader] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} is not there.", hint="Check the path.")
        named = path.is_file()
        for candidate in [path] if named else sorted(path.rglob("*")):
            reader = _reader(candidate) if candidate.is_file() else None
            if reader:
                found[candidate.absolute()] = reader
            elif named:
                raise InputError(
                    f"{path.name} is of no kind that can be imported.",
                    hint="Known: .extxyz, .xyz, phonopy .yaml, GPAW task documents (.json).",
                )
    return list(found.items())


def _reader(path: Path) -> Reader | None:
    if path.suffix in (".extxyz", ".xyz"):
        return lambda db, file: read_extxyz(file)
    if path.suffix in (".yaml", ".yml") and path.name != FILE_NAME:
        return read_phonopy if _begins_with(path, "phonopy") else None
    if path.suffix == ".json":
        return lambda db, file: read_task_document(db, file)
    return None


def _begins_with(path: Path, word: str) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return any(line.startswith(word) for line in file.readlines(4000))
    except OSError:  # its reader meets the same, and says so
        return True


def _reading_order(entry: tuple[Path, Reader]) -> tuple[bool, str]:
    """Phonons after the structures and calculations that they refer to."""
    return entry[1] is read_phonopy, str(entry[0])


def _import_file(db: Database, path: Path, reader: Reader, report: ImportReport) -> None:
    try:
        source = {"file": path.name, "sha256": bytes_digest(path.read_bytes())}
        beside = path.parent / FILE_NAME
        if beside.is_file():
            source["description_sha256"] = bytes_digest(beside.read_bytes())
        activity_id = content_digest({"import": source})
        report.activities.append(activity_id)
        if db.activities.count(id=activity_id):
            report.unchanged.append(path.name)
            return
        started = time.perf_counter()
        batch = reader(db, path)
        activity = Activity(id=activity_id, kind="import", name=path.name, source=source)
        report.add(batch.write(db, activity, started))
        report.files += 1
    except DatabaseError:  # not the file's fault, and the next file's too
        raise
    except ForcebaseError as error:
        report.failed.append((str(path), str(error)))
    except OSError as error:
        report.failed.append((str(path), error.strerror or str(error)))
