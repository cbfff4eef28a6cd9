"""What a file is, by its content: names of files are anyone's choice."""

from __future__ import annotations

import lzma
import re
import zlib
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from forcebase.errors import InputError
from forcebase.plugins import Group, is_own, load_all, names
from forcebase.safety.files import compression, unpacked

HEAD = 100_000
"""Bytes that are looked at; a vasprun.xml or OUTCAR says what it is in the first ones."""


class FileKind(StrEnum):
    """Kinds of files that become records."""

    EXTXYZ = "extxyz"
    PHONOPY = "phonopy"
    TASK_DOCUMENT = "task document"
    ASE_DATABASE = "ASE database"
    JOB_STORE = "job store"
    VASPRUN = "vasprun.xml"
    VASPOUT = "vaspout.h5"
    OUTCAR = "OUTCAR"
    ML_AB = "ML_AB"
    CP2K = "CP2K"
    PW_TEXT = "pw.x"
    PW_XML = "pw.x-XML"
    GPAW_TEXT = "GPAW"
    GPW = "GPAW-restart"
    AIMS = "FHI-aims"
    ABINIT = "ABINIT"


OTHER_SIGNS: tuple[tuple[str, FileKind], ...] = (
    (r"\ASQLite format 3\x00", FileKind.ASE_DATABASE),
    (r"\A *\d+\.\d+ Version *\n\*+ *\n *The number of configurations", FileKind.ML_AB),
    (r"^phonopy:", FileKind.PHONOPY),
    (r"^JOB_STORE:|^docs_store:", FileKind.JOB_STORE),
    (r"\A\s*\d+ *\n[^\n]*(?:Lattice|Properties)=", FileKind.EXTXYZ),
)
HDF5 = b"\x89HDF\r\n\x1a\n"
VASPOUT = ("input/incar", "intermediate/ion_dynamics")
CP2K_TRAJECTORY = r"\A *\d+ *\n i = +\d+,"
JSON_SIGNS: tuple[tuple[str, FileKind], ...] = (
    (r'"ids": *\[|"nextid":', FileKind.ASE_DATABASE),
    (r'\A\s*\[\s*\{(?=.*"uuid")(?=.*"index")', FileKind.JOB_STORE),
)
TASK_DOCUMENT = (b'"k_mesh"', b'"converged"')
"""What stands in a task document of a static job, and in no sidecar of other tools."""
LABELS = re.compile(r"(?:^|[\s;_])(?:free_)?energ(?:y|ies)\b|\bLattice=|\bProperties=", re.I)
"""In the second line of an xyz that may have labels."""


def kind_of(path: Path, named: bool = True) -> str | None:
    """Give the kind of a file, compressed or not; None where it is none of them.

    Where the content is not a known one, the endings .extxyz, .xyz and .json still count: their
    readers then say what is wrong with the file. But beside the outputs of a project lie files of
    these names that nobody meant as labels.

    Args:
        path: of the file.
        named: whether the user named this very file. If not, a .json that is nothing like a task
            document, and an .xyz without labels, are of no kind.

    Raises:
        InputError: it cannot be read, or is compressed and cut off.
    """
    try:
        start = head(path)
    except EOFError:
        raise InputError("the compressed file is cut off.", hint="Copy it again.") from None
    except (OSError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"it cannot be read: {error}") from None
    if start.startswith(HDF5):
        return FileKind.VASPOUT if _is_vaspout(path) else None
    text = start.decode("utf-8", errors="replace")
    suffix = next((s for s in reversed(path.suffixes) if s not in (".gz", ".bz2", ".xz")), "")
    if re.match(CP2K_TRAJECTORY, text):
        return None  # it comes with the run's output
    is_json = suffix == ".json"
    signs = JSON_SIGNS if is_json else (*_code_signs(own=True), *OTHER_SIGNS)
    for sign, kind in (*signs, *_code_signs(own=False)):
        if re.search(sign, text, re.MULTILINE | re.DOTALL if is_json else re.MULTILINE):
            return kind
    if suffix == ".json":
        is_one = named or marks_in(path, TASK_DOCUMENT) == set(TASK_DOCUMENT)
        return FileKind.TASK_DOCUMENT if is_one else None
    if suffix == ".xyz" and not named and re.match(r"\s*\d+ *\n", text):
        return FileKind.EXTXYZ if LABELS.search(text.split("\n", 2)[1]) else None
    return FileKind.EXTXYZ if suffix in (".extxyz", ".xyz") else None


def known_kinds() -> tuple[str, ...]:
    """All kinds that are known: those above, and those of plug-ins."""
    return tuple(dict.fromkeys((*FileKind, *names(Group.CODES))))


def _code_signs(own: bool) -> list[tuple[str, str]]:
    """Sign and kind of the outputs of codes: forcebase's own, or those of plug-ins."""
    kinds = {kind.value: kind for kind in FileKind}
    return [
        (reader.sign, kinds.get(name, name))
        for name, reader in load_all(Group.CODES).items()
        if reader.sign and is_own(Group.CODES, name) is own
    ]


def marks_in(path: Path, marks: Iterable[bytes]) -> set[bytes]:
    """Those of some short marks that stand in a file, decompressed, wherever.

    Raises:
        InputError: it is broken, or more than the limits allow.
    """
    waiting, found, before = set(marks), set[bytes](), b""
    for piece in unpacked(path):
        found |= {mark for mark in waiting - found if mark in before + piece}
        if found == waiting:
            break
        before = piece[-32:]
    return found


def _is_vaspout(path: Path) -> bool:
    """By content; of a compressed one by its name, for HDF5 is read from all over the file."""
    if compression(path) is not None:
        return "vaspout" in path.name
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return all(name in file for name in VASPOUT)
    except OSError:
        return "vaspout" in path.name


def head(path: Path, size: int = HEAD) -> bytes:
    """The first bytes of a file, decompressed.

    Raises:
        OSError, EOFError, LZMAError: it cannot be read, or is broken.
    """
    opener = compression(path)
    if opener is None:
        with path.open("rb") as file:
            return file.read(size)
    with opener(path, "rb") as file:
        return file.read(size)
