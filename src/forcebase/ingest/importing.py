"""`forcebase import`: files and folders become records; what could not be read is named."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from forcebase.database.acts import done_among
from forcebase.database.database import Database
from forcebase.digest import bytes_digest, content_digest, merkle_root
from forcebase.errors import DatabaseError, DiskFullError, ForcebaseError
from forcebase.ingest.batch import Batch
from forcebase.ingest.description import FILE_NAME
from forcebase.ingest.file_kinds import FileKind
from forcebase.ingest.import_report import ImportReport
from forcebase.ingest.label_checks import check_labels
from forcebase.ingest.options import EDITION, ImportOptions
from forcebase.ingest.parsing import Parsed, parse
from forcebase.ingest.phonopy_file import link_displaced
from forcebase.ingest.phonopy_forces import forces_beside
from forcebase.ingest.raw_files import keep_file
from forcebase.ingest.renewal import link_renewed
from forcebase.ingest.sources import Source, find_sources
from forcebase.ingest.writer import Writer
from forcebase.records import Activity

ENOUGH = 200
"""Files from which on worker processes, which take seconds to start, are worth it."""
TOGETHER = 1000
"""Task documents whose labels are compared with each other."""
AHEAD = 4
"""Files that each worker may be ahead of the writing."""


@dataclass(frozen=True)
class _Named:
    """A file with the digest of it and all that is said of it."""

    source: Source
    described: dict[str, Any]
    also: list[str] = field(default_factory=list)
    """Paths of files with the same name, bytes and description, found in the same import."""

    @property
    def path(self) -> str:
        """Below the folder that was given."""
        return self.source.below or self.source.path.name

    @property
    def activity(self) -> str:
        return content_digest({"import": self.described})

    @property
    def kept_source(self) -> dict[str, Any]:
        """All that is said of it, with where it lay."""
        also = {"also": self.also} if self.also else {}
        return {**self.described, "path": self.path, **also}


def import_paths(
    db: Database,
    paths: Iterable[Path],
    on_file: Callable[[str, int, int], None] | None = None,
    options: ImportOptions | None = None,
) -> ImportReport:
    """Import files, folders with all that is in them, globs and archives.

    Each file is taken whole or not at all; an interrupted import goes on where it stopped. A
    file that was imported before (same bytes, same description and options) is not read again.
    Worker processes parse, or this one; a thread of this one writes, in the order of the files.

    Raises:
        InputError: a path is not there, or a file that was named itself is of no known kind.
    """
    options = options or ImportOptions()
    report = ImportReport()
    with find_sources(paths) as found:
        report.failed += found.failed
        report.notes += found.notes
        report.left = found.left
        named = [_named(source, options, report) for source in found.sources]
        waiting = [file for file in named if file and file.source.kind is not FileKind.JOB_STORE]
        known = _known(db, waiting)
        first = _first_of(waiting)
        fresh = [file for file in first.values() if file.activity not in known]
        parsed = _parsed([file.source for file in fresh], options)
        results = _held_together([file.source for file in fresh], parsed)
        with Writer() as writer:
            for done, source in enumerate(found.sources, 1):
                started, file = time.perf_counter(), named[done - 1]
                work: Callable[[], None] = _nothing
                if file is not None and source.kind is FileKind.JOB_STORE:
                    writer.drain()  # its documents are parsed and written in turns
                    _import_store(db, file, options, report)
                elif file is not None:
                    is_fresh = file.activity not in known and first[file.activity] is file
                    read = next(results) if is_fresh else None
                    work = partial(_take, db, file, read, started, options, report)
                after: Callable[[], None] = _nothing
                if on_file is not None:
                    after = partial(on_file, source.path.name, done, len(found.sources))
                writer.put(work, after)
    return report


def _first_of(files: list[_Named]) -> dict[str, _Named]:
    """Activity -> the first file of it, which is read; the paths of the others go with it."""
    found: dict[str, _Named] = {}
    for file in files:
        if file.activity in found:
            found[file.activity].also.append(file.path)
        else:
            found[file.activity] = file
    return found


def _named(source: Source, options: ImportOptions, report: ImportReport) -> _Named | None:
    try:
        described = {
            "file": source.path.name,
            "sha256": _digest(source.path),
            "edition": EDITION,
            **options.asked(),
        }
        beside = source.path.parent / FILE_NAME
        if not beside.is_file() and options.description:
            beside = options.description
        if beside.is_file():
            described["description_sha256"] = bytes_digest(beside.read_bytes())
        if source.kind is FileKind.PHONOPY and (forces := forces_beside(source.path)):
            digests = [_digest(file) for file in forces]
            described["forces_sha256"] = digests[0] if len(digests) == 1 else merkle_root(digests)
    except OSError as error:
        report.failed.append((source.name, error.strerror or str(error)))
        return None
    return _Named(source, described)


def _digest(path: Path) -> str:
    """SHA-256 of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _known(db: Database, files: list[_Named]) -> set[str]:
    ids = [file.activity for file in files]
    return done_among(db, ids)


def _parsed(sources: list[Source], options: ImportOptions) -> Iterator[Parsed]:
    """Parse in the order given, a few files ahead of what is taken."""
    workers = options.workers or (len(os.sched_getaffinity(0)) if len(sources) >= ENOUGH else 1)
    if workers == 1 or len(sources) < 2:
        for source in sources:
            yield parse(source, options)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _leave_interrupts)
    try:
        pending: deque[Future[Parsed]] = deque()
        for source in sources:
            with _interrupts_held():
                pending.append(pool.submit(parse, source, options))
            if len(pending) > AHEAD * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _held_together(sources: list[Source], results: Iterator[Parsed]) -> Iterator[Parsed]:
    """Task documents that follow each other hold one structure each: they are checked as one set.

    Where their labels contradict each other, none of them is taken.
    """
    for is_document, some in groupby(sources, lambda s: s.kind is FileKind.TASK_DOCUMENT):
        found = [next(results) for _ in some] if is_document else []
        if not is_document:
            yield from (next(results) for _ in some)
            continue
        for start in range(0, len(found), TOGETHER):
            yield from _checked(found[start : start + TOGETHER])


def _checked(found: list[Parsed]) -> list[Parsed]:
    """The same, or the reason in place of each where the labels of all contradict each other."""
    batches = [parsed.batch for parsed in found if parsed.batch is not None]
    together = Batch(
        structures=[structure for batch in batches for structure in batch.structures],
        calculations=[calculation for batch in batches for calculation in batch.calculations],
    )
    try:
        check_labels(together)
    except ForcebaseError as error:
        reason = f"with the {len(batches)} documents beside it: {error}"
        return [parsed if parsed.batch is None else Parsed(None, reason) for parsed in found]
    if batches:
        batches[0].notes += together.notes
    return found


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Workers that start here never hear Ctrl-C, not even before `_leave_interrupts`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_interrupts() -> None:
    """Ctrl-C is for the process that waits for the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _nothing() -> None:
    """Of a file that cannot be read, or was taken already."""


def _take(
    db: Database,
    file: _Named,
    parsed: Parsed | None,
    started: float,
    options: ImportOptions,
    report: ImportReport,
) -> None:
    """Write what is new, and report on it; `parsed` is None where the file is known."""
    report.activities.append(file.activity)
    if parsed is None:
        report.unchanged.append(file.path)
    elif parsed.batch is None:
        report.failed.append((file.source.name, parsed.reason))
    else:
        _write(db, file, parsed.batch, started, report)
    if options.keep_raw:
        _keep_raw(db, file, report)


def _write(db: Database, file: _Named, batch: Batch, started: float, report: ImportReport) -> None:
    try:
        link_displaced(db, batch)
        link_renewed(db, batch)
        activity = Activity(
            id=file.activity, kind="import", name=file.path, source=file.kept_source
        )
        report.add(batch.write(db, activity, started))
        report.findings += activity.messages
        report.files += 1
        report.notes += [(file.source.name, note) for note in batch.notes]
    except (DatabaseError, DiskFullError):  # not the file's fault, and the next file's too
        raise
    except ForcebaseError as error:
        report.failed.append((file.source.name, str(error)))


def _keep_raw(db: Database, file: _Named, report: ImportReport) -> None:
    try:
        report.kept += keep_file(db, file.activity, file.source.path)
    except OSError as error:
        report.failed.append((file.source.name, error.strerror or str(error)))


def _import_store(db: Database, file: _Named, options: ImportOptions, report: ImportReport) -> None:
    from forcebase.ingest.job_stores import import_job_store

    try:
        import_job_store(db, file.source.path, options, report)
        report.files += 1
    except (DatabaseError, DiskFullError):
        raise
    except ForcebaseError as error:
        report.failed.append((file.source.name, str(error)))
