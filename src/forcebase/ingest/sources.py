"""Which files an import takes: from paths, folders, globs and archives."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory

from forcebase.errors import ForcebaseError, InputError
from forcebase.ingest.description import FILE_NAME, archives_of_logs
from forcebase.ingest.file_kinds import FileKind, kind_of

LATE = (FileKind.PHONOPY, FileKind.JOB_STORE)
"""Phonons come after the structures and calculations that they refer to."""
STRANGE = "of no kind that can be imported"
KNOWN = "Known: " + ", ".join(FileKind) + ", archives (.tar.*, .zip)."
RECORDS = "forcebase.json"
"""What a zip of `forcebase export` has in it, and no other: see `forcebase.archive`."""


@dataclass(frozen=True)
class Source:
    """A file to import.

    Attributes:
        path: where it is now; in a temporary folder, where it came in an archive.
        name: what to call it: its path, or the archive's with its own in it.
        kind: by its content.
    """

    path: Path
    name: str
    kind: FileKind


@dataclass(frozen=True)
class Found:
    """Files to import, in the order in which they are read, and (name, reason) of the rest."""

    sources: list[Source]
    failed: list[tuple[str, str]]


@contextmanager
def find_sources(paths: Iterable[Path]) -> Iterator[Found]:
    """Find the files of known kinds; archives lie unpacked until the context ends.

    Raises:
        InputError: a path is not there, or the only one is a file of no known kind.
    """
    found: dict[Path, Source] = {}
    failed: list[tuple[str, str]] = []
    with TemporaryDirectory(prefix="forcebase-import-") as scratch:
        named = list(_expanded(paths))
        for path in named:
            before = len(failed)
            new = _of_path(path, Path(scratch), failed)
            if path.is_file() and not new and len(failed) == before and path.name != FILE_NAME:
                if len(named) == 1:
                    raise InputError(f"{path.name} is {STRANGE}.", hint=KNOWN)
                failed.append((str(path), f"it is {STRANGE}."))
            found.update({source.path.absolute(): source for source in new})
        yield Found(_ordered(list(found.values())), failed)


def _ordered(found: list[Source]) -> list[Source]:
    """In the order of reading: runs of displaced supercells get their family from the phonon."""
    phonons = {source.path.parent for source in found if source.kind is FileKind.PHONOPY}

    def rank(source: Source) -> int:
        of_phonon = {source.path.parent, source.path.parent.parent} & phonons
        if source.kind is FileKind.VASPRUN and of_phonon:
            return 2
        return int(source.kind in LATE)

    return sorted(found, key=lambda source: (rank(source), source.name))


def _of_path(path: Path, scratch: Path, failed: list[tuple[str, str]]) -> list[Source]:
    """The sources of a file, which is taken as it is, or of all that a folder or archive holds."""
    files = [path] if path.is_file() else _files_in(path)
    found: list[Source] = []
    for file in files:
        try:
            found += _of_file(file, scratch, failed)
        except InputError as error:  # a broken archive
            failed.append((str(file), str(error)))
    return _without_copies(found) if len(found) > 1 else found


def _files_in(folder: Path) -> list[Path]:
    inside = sorted(folder.rglob("*"))
    described = [path.parent for path in inside if path.name == FILE_NAME]
    logs = {archive for place in described for archive in archives_of_logs(place)}
    return [path for path in inside if path.is_file() and path not in logs]


def _without_copies(found: list[Source]) -> list[Source]:
    """Leave out what says with fewer digits, or once more, what lies beside it."""
    kinds = {(source.path.parent, source.kind) for source in found}

    def is_copy(source: Source) -> bool:
        folder = source.path.parent
        if source.kind is FileKind.OUTCAR:
            return (folder, FileKind.VASPRUN) in kinds
        if source.kind is FileKind.PW_XML:
            kept = source.path.with_suffix(".save") / "data-file-schema.xml"
            return kept.is_file()
        return False

    return [source for source in found if not is_copy(source)]


def _expanded(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.exists():
            yield path
            continue
        matches = sorted(glob(str(path), recursive=True))  # noqa: PTH207 - paths may be absolute
        if not matches:
            raise InputError(f"{path} is not there.", hint="Check the path.")
        yield from map(Path, matches)


def _of_file(file: Path, scratch: Path, failed: list[tuple[str, str]]) -> list[Source]:
    if file.name == FILE_NAME:
        return []
    if not _is_archive(file):
        kind = kind_of(file)
        return [Source(file, str(file), kind)] if kind else []
    inside = scratch / str(len(list(scratch.iterdir())))
    inside.mkdir()
    _unpack(file, inside)
    found = []
    for member in sorted(inside.rglob("*")):
        name = f"{file}/{member.relative_to(inside)}"
        try:
            kind = kind_of(member) if member.is_file() and member.name != FILE_NAME else None
        except InputError as error:
            failed.append((name, str(error)))
            continue
        if kind:
            found.append(Source(member, name, kind))
    return found


def _is_archive(file: Path) -> bool:
    """By the ending for tar files, which any compressed file could be; by content for zip."""
    if any(suffix in (".tar", ".tgz", ".txz", ".tbz2") for suffix in file.suffixes[-2:]):
        return True
    return file.suffix == ".zip"


def _unpack(file: Path, folder: Path) -> None:
    """Unpack what is inside; names that lead out of the folder are refused."""
    try:
        if file.suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                if RECORDS in archive.namelist():
                    raise InputError("it holds records.", hint="`forcebase import` it by itself.")
                archive.extractall(folder)
            return
        with tarfile.open(file) as archive:
            archive.extractall(folder, filter="data")
    except ForcebaseError:
        raise
    except Exception as error:  # tarfile, zipfile and three compressions have their own each
        raise InputError(
            f"the archive cannot be unpacked: {error or type(error).__name__}"
        ) from None
