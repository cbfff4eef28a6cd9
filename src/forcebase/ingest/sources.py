"""Which files an import takes: from paths, folders, globs and archives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path

from forcebase.errors import InputError
from forcebase.ingest.description import FILE_NAME, archives_of_logs
from forcebase.ingest.file_kinds import FileKind, kind_of
from forcebase.ingest.unpacking import unpack
from forcebase.paths import disk_full, is_full
from forcebase.safety.text import is_utf8, readable
from forcebase.scratch import scratch_folder

LATE = (FileKind.PHONOPY, FileKind.JOB_STORE)
"""Phonons come after the structures and calculations that they refer to."""
STRANGE = "of no kind that can be imported"
KNOWN = "Known: " + ", ".join(FileKind) + ", archives (.tar.*, .zip)."
UNNAMED_STORE = (
    "it says where a JobStore is, and such a file is followed only where you name it itself: "
    "`forcebase import PATH/jobflow.yaml`."
)
NESTED = "it is an archive in an archive. Unpack the outer one, and import the folder."
NOT_UTF8 = "its name is not UTF-8. Rename it."


@dataclass(frozen=True)
class Source:
    """A file to import.

    Attributes:
        path: where it is now; in a temporary folder, where it came in an archive.
        name: what to call it: its path, or the archive's with its own in it.
        kind: by its content.
        named: whether the user named this very file.
    """

    path: Path
    name: str
    kind: FileKind
    named: bool = False


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
    with scratch_folder("forcebase-import") as scratch:
        asked = list(_expanded(paths))
        for path, named in asked:
            before = len(failed)
            new = _of_path(path, scratch, failed)
            if path.is_file() and not new and len(failed) == before and path.name != FILE_NAME:
                if len(asked) == 1:
                    raise InputError(f"{path.name} is {STRANGE}.", hint=KNOWN)
                failed.append((str(path), f"it is {STRANGE}."))
            for source in new:
                place = source.path.absolute()
                itself = (named and source.path == path) or (place in found and found[place].named)
                found[place] = replace(source, named=itself)
        yield Found(_ordered(_followed(list(found.values()), failed)), failed)


def _followed(found: list[Source], failed: list[tuple[str, str]]) -> list[Source]:
    """Leave out configurations that say where to connect, but for those that the user named."""
    left = []
    for source in found:
        if source.kind is FileKind.JOB_STORE and not (source.named or is_documents(source.path)):
            failed.append((source.name, UNNAMED_STORE))
        else:
            left.append(source)
    return left


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
    if not path.is_file() and not path.is_dir():
        failed.append((str(path), "it is neither a file nor a folder."))
    found: list[Source] = []
    for file in files:
        if not is_utf8(str(file)):
            failed.append((readable(str(file)), NOT_UTF8))
            continue
        try:
            found += _of_file(file, scratch, failed)
        except InputError as error:  # a broken archive
            failed.append((str(file), str(error)))
        except OSError as error:
            if is_full(error):
                raise disk_full(scratch) from None
            failed.append((str(file), f"it cannot be read: {error.strerror or error}."))
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


def _expanded(paths: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Each path, and whether it was named itself, and not by a pattern."""
    for path in paths:
        if path.exists():
            yield path, True
            continue
        matches = sorted(glob(str(path), recursive=True))  # noqa: PTH207 - paths may be absolute
        if not matches:
            raise InputError(f"{path} is not there.", hint="Check the path.")
        yield from ((Path(match), False) for match in matches)


def _of_file(file: Path, scratch: Path, failed: list[tuple[str, str]]) -> list[Source]:
    if file.name == FILE_NAME:
        return []
    if not _is_archive(file):
        kind = kind_of(file)
        return [Source(file, str(file), kind)] if kind else []
    inside = scratch / str(len(list(scratch.iterdir())))
    inside.mkdir()
    unpack(file, inside)
    found = []
    for member in _files_in(inside):
        name = f"{file}/{member.relative_to(inside)}"
        if not is_utf8(name):
            failed.append((readable(name), NOT_UTF8))
            continue
        if _is_archive(member):
            failed.append((name, NESTED))
            continue
        try:
            kind = kind_of(member) if member.name != FILE_NAME else None
        except InputError as error:
            failed.append((name, str(error)))
            continue
        if kind:
            found.append(Source(member, name, kind))
    return found


def is_documents(path: Path) -> bool:
    """Whether a JobStore's file holds its documents, and not where they are."""
    return path.suffix == ".json"


def _is_archive(file: Path) -> bool:
    """By the ending for tar files, which any compressed file could be; by content for zip."""
    if any(suffix in (".tar", ".tgz", ".txz", ".tbz2") for suffix in file.suffixes[-2:]):
        return True
    return file.suffix == ".zip"
