"""Which files an import takes: from paths, folders, globs and archives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from glob import glob
from pathlib import Path

from forcebase.errors import InputError
from forcebase.ingest.description import FILE_NAME, archives_of_logs
from forcebase.ingest.file_kinds import FileKind, kind_of, known_kinds, marks_in
from forcebase.ingest.folders import FolderWalk
from forcebase.ingest.phonopy_forces import forces_beside
from forcebase.ingest.unpacking import unpack
from forcebase.paths import disk_full, is_full
from forcebase.safety.text import is_utf8, readable
from forcebase.scratch import scratch_folder

LATE = (FileKind.PHONOPY, FileKind.JOB_STORE)
"""Phonons come after the structures and calculations that they refer to."""
STRANGE = "of no kind that can be imported"
UNNAMED_STORE = (
    "it says where a JobStore is, and such a file is followed only where you name it itself: "
    "`forcebase import PATH/jobflow.yaml`."
)
UNFORCED = (
    "it names displacements, and there is no FORCE_SETS, FORCE_CONSTANTS or vasprun.xml beside it."
)
NESTED = "it is an archive in an archive. Unpack the outer one, and import the folder."
OUTPUT = re.compile(r"(vasprun\.xml|OUTCAR|vaspout\.h5|ML_ABN?)(\.\w+)?(\.(gz|bz2|xz))?")
"""Names that only outputs have: where such a file holds nothing, that is to be told."""
FORCES = (b" forces:", b" force:", b"\nforce_constants:")
DISPLACED = b"displacement"
"""In phonopy's files that become phonons; others are summaries of a cell."""
KEPT_ATTEMPT = re.compile(r"error\.\d+\.tar(\.gz)?")
"""Archives in which custodian keeps a run that failed, before it starts the next."""
NOT_UTF8 = "its name is not UTF-8. Rename it."


@dataclass(frozen=True)
class Source:
    """A file to import.

    Attributes:
        path: where it is now; in a temporary folder, where it came in an archive.
        name: what to call it: its path, or the archive's with its own in it.
        below: its path below the folder that was given, with the archive's where it was in one.
        kind: by its content.
        named: whether the user named this very file.
    """

    path: Path
    name: str
    kind: str
    named: bool = False
    below: str = ""


@dataclass(frozen=True)
class Found:
    """What paths hold.

    Attributes:
        sources: files to import, in the order in which they are read.
        failed: (name, reason) of what should have been read and cannot be.
        notes: (name, what is to be known) of links and of configurations that are not followed.
        left: how many files are of other kinds, as inputs, scripts and what tools write beside
            the outputs; what a phonopy file is read with, as FORCE_SETS and BORN, is none of them.
    """

    sources: list[Source]
    failed: list[tuple[str, str]]
    notes: list[tuple[str, str]] = field(default_factory=list)
    left: int = 0


@contextmanager
def find_sources(paths: Iterable[Path]) -> Iterator[Found]:
    """Find the files of known kinds; archives lie unpacked until the context ends.

    Raises:
        InputError: a path is not there, or the only one is a file of no known kind.
    """
    search = _Search()
    found: dict[Path, Source] = {}
    with scratch_folder("forcebase-import") as scratch:
        asked = list(_expanded(paths))
        for path, named in asked:
            before = len(search.failed)
            new = search.of_path(path, scratch)
            is_lone = path.is_file() and not _is_archive(path)
            if is_lone and not new and len(search.failed) == before:
                if path.name != FILE_NAME and len(asked) == 1:
                    raise InputError(f"{path.name} is {STRANGE}.", hint=_known())
                if path.name != FILE_NAME:
                    search.failed.append((str(path), f"it is {STRANGE}."))
            for source in new:
                place = source.path.resolve()  # once, by whatever links it is reached
                itself = (named and source.path == path) or (place in found and found[place].named)
                found.setdefault(place, source)
                found[place] = replace(found[place], named=itself)
        sources = search.followed(list(found.values()))
        notes = search.notes + search.walk.notes
        failed = search.failed + search.walk.failed
        phonons = [source.path for source in sources if source.kind is FileKind.PHONOPY]
        read = {file for path in phonons for file in forces_beside(path)}
        yield Found(_ordered(sources), failed, notes, len(set(search.left) - read))


def _ordered(found: list[Source]) -> list[Source]:
    """In the order of reading: runs of displaced supercells get their family from the phonon."""
    phonons = {source.path.parent for source in found if source.kind is FileKind.PHONOPY}

    def rank(source: Source) -> int:
        of_phonon = {source.path.parent, source.path.parent.parent} & phonons
        if source.kind is FileKind.VASPRUN and of_phonon:
            return 2
        return int(source.kind in LATE)

    return sorted(found, key=lambda source: (rank(source), source.name))


@dataclass
class _Search:
    """Goes through paths, and keeps in mind what is not a source."""

    failed: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)
    walk: FolderWalk = field(default_factory=FolderWalk)

    def of_path(self, path: Path, scratch: Path) -> list[Source]:
        """The sources of a file, which is taken as it is, or of all that a folder or archive has.

        Raises:
            DiskFullError: there is no room to unpack an archive.
        """
        itself = path.is_file()
        if not itself and not path.is_dir():
            self.failed.append((str(path), "it is neither a file nor a folder."))
        found: list[Source] = []
        for file in [path] if itself else self._files_in(path):
            if not is_utf8(str(file)):
                self.failed.append((readable(str(file)), NOT_UTF8))
                continue
            below = path.name if itself else str(file.relative_to(path))
            try:
                new = self._of_file(file, below, scratch, itself)
            except InputError as error:  # a broken archive
                self.failed.append((str(file), str(error)))
            except OSError as error:
                if is_full(error):
                    raise disk_full(scratch) from None
                self.failed.append((str(file), f"it cannot be read: {error.strerror or error}."))
            else:
                found += new
                if not (new or itself or file.name == FILE_NAME):
                    self.left.append(file)
        return self._without_copies(found) if len(found) > 1 else found

    def followed(self, found: list[Source]) -> list[Source]:
        """Leave out configurations that say where to connect, but for those the user named."""
        left = []
        for source in found:
            points = source.kind is FileKind.JOB_STORE and not is_documents(source.path)
            if points and not source.named:
                self.notes.append((source.name, UNNAMED_STORE))
            else:
                left.append(source)
        return left

    def _files_in(self, folder: Path) -> list[Path]:
        inside = self.walk.files(folder)
        described = [path.parent for path in inside if path.name == FILE_NAME]
        logs = {archive for place in described for archive in archives_of_logs(place)}
        return [path for path in inside if path not in logs]

    def _of_file(self, file: Path, below: str, scratch: Path, named: bool) -> list[Source]:
        if file.name == FILE_NAME or (not named and KEPT_ATTEMPT.fullmatch(file.name)):
            return []
        if not _is_archive(file):
            kind = _kind_of(file, named)
            if kind is FileKind.PHONOPY and not named and self._is_without_forces(file, str(file)):
                kind = None
            return [Source(file, str(file), kind, below=below)] if kind else []
        inside = scratch / str(len(list(scratch.iterdir())))
        inside.mkdir()
        unpack(file, inside)
        found = []
        for member in sorted(inside.rglob("*")):
            path = member.relative_to(inside)
            if not is_utf8(str(path)):
                self.failed.append((readable(f"{file}/{path}"), NOT_UTF8))
                continue
            if not member.is_file() or member.name == FILE_NAME:
                continue
            if _is_archive(member):
                if KEPT_ATTEMPT.fullmatch(member.name):
                    self.left.append(member)
                else:
                    self.failed.append((f"{file}/{path}", NESTED))
                continue
            try:
                kind = _kind_of(member, named=False)
            except InputError as error:
                self.failed.append((f"{file}/{path}", str(error)))
                continue
            if kind is FileKind.PHONOPY and self._is_without_forces(member, f"{file}/{path}"):
                kind = None
            if kind:
                found.append(Source(member, f"{file}/{path}", kind, below=f"{below}/{path}"))
            else:
                self.left.append(member)
        return found

    def _is_without_forces(self, file: Path, name: str) -> bool:
        """Whether a phonopy file and what lies beside it have none; displacements are noted."""
        marks = marks_in(file, (*FORCES, DISPLACED))
        if marks & set(FORCES):
            return False
        beside = forces_beside(file)
        if any("vasprun" not in found.name for found in beside):
            return False
        if DISPLACED in marks and not beside:
            self.notes.append((name, UNFORCED))
        return not (DISPLACED in marks and beside)

    def _without_copies(self, found: list[Source]) -> list[Source]:
        """Leave out what says with fewer digits, or once more, what lies beside it."""
        kinds = {(source.path.parent, source.kind) for source in found}

        def is_copy(source: Source) -> bool:
            folder = source.path.parent
            if source.kind in (FileKind.OUTCAR, FileKind.VASPOUT):
                return (folder, FileKind.VASPRUN) in kinds
            if source.kind is FileKind.PW_XML:
                kept = source.path.with_suffix(".save") / "data-file-schema.xml"
                return kept.is_file()
            return False

        kept = [source for source in found if not is_copy(source)]
        self.left += [source.path for source in found if source not in kept]
        return kept


def _known() -> str:
    return f"Known: {', '.join(known_kinds())}, archives (.tar.*, .zip)."


def _kind_of(file: Path, named: bool) -> str | None:
    """The kind of a file.

    Raises:
        InputError: it cannot be read, or is an output by its name that holds nothing.
    """
    kind = kind_of(file, named)
    if kind is None and OUTPUT.fullmatch(file.name):
        what = (
            "it is empty" if not file.stat().st_size else "it holds nothing of what its name says"
        )
        raise InputError(
            f"{what}.", hint="The run was killed before it began, or the file cut off."
        )
    return kind


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


def is_documents(path: Path) -> bool:
    """Whether a JobStore's file holds its documents, and not where they are."""
    return path.suffix == ".json"


def _is_archive(file: Path) -> bool:
    """By the ending for tar files, which any compressed file could be; by content for zip."""
    if any(suffix in (".tar", ".tgz", ".txz", ".tbz2") for suffix in file.suffixes[-2:]):
        return True
    return file.suffix == ".zip"
