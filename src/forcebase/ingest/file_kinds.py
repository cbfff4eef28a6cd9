"""What a file is, by its content: names of files are anyone's choice."""

from __future__ import annotations

import lzma
import re
import zlib
from enum import StrEnum
from pathlib import Path

from forcebase.errors import InputError
from forcebase.safety.files import compression

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
    OUTCAR = "OUTCAR"
    CP2K = "CP2K output"
    PW_TEXT = "pw.x output"
    PW_XML = "pw.x XML"
    GPAW_TEXT = "GPAW output"
    GPW = "GPAW restart file"
    AIMS = "FHI-aims output"
    ABINIT = "ABINIT output"


SIGNS: tuple[tuple[str, FileKind], ...] = (
    (r"\A- of Ulmgpaw", FileKind.GPW),
    (r"\ASQLite format 3\x00", FileKind.ASE_DATABASE),
    (r"<modeling>", FileKind.VASPRUN),
    (r"\A\s*vasp\.\d", FileKind.OUTCAR),
    (r"<qes:espresso", FileKind.PW_XML),
    (r"Program PWSCF v", FileKind.PW_TEXT),
    (r"CP2K\| version string", FileKind.CP2K),
    (r"^ *\|__ ?\|[ |_/\\]{1,99}(?:- )? {0,9}\d+\.\d+", FileKind.GPAW_TEXT),
    (r"Invoking FHI-aims|Reading geometry description geometry\.in", FileKind.AIMS),
    (r"^\.Version +\S+ of ABINIT", FileKind.ABINIT),
    (r"^phonopy:", FileKind.PHONOPY),
    (r"^JOB_STORE:|^docs_store:", FileKind.JOB_STORE),
    (r"\A\s*\d+ *\n[^\n]*(?:Lattice|Properties)=", FileKind.EXTXYZ),
)
CP2K_TRAJECTORY = r"\A *\d+ *\n i = +\d+,"
JSON_SIGNS: tuple[tuple[str, FileKind], ...] = (
    (r'"ids": *\[|"nextid":', FileKind.ASE_DATABASE),
    (r'\A\s*\[\s*\{(?=.*"uuid")(?=.*"index")', FileKind.JOB_STORE),
)


def kind_of(path: Path) -> FileKind | None:
    """Give the kind of a file, compressed or not; None where it is none of them.

    Where the content is no known one, the endings .extxyz, .xyz and .json still count: their
    readers then say what is wrong with the file.

    Raises:
        InputError: it cannot be read, or is compressed and cut off.
    """
    try:
        text = head(path).decode("utf-8", errors="replace")
    except EOFError:
        raise InputError("the compressed file is cut off.", hint="Copy it again.") from None
    except (OSError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"it cannot be read: {error}") from None
    suffix = next((s for s in reversed(path.suffixes) if s not in (".gz", ".bz2", ".xz")), "")
    if re.match(CP2K_TRAJECTORY, text):
        return None  # it comes with the run's output
    signs = JSON_SIGNS if suffix == ".json" else SIGNS
    for sign, kind in signs:
        if re.search(sign, text, re.MULTILINE | re.DOTALL if suffix == ".json" else re.MULTILINE):
            return kind
    return {
        ".extxyz": FileKind.EXTXYZ,
        ".xyz": FileKind.EXTXYZ,
        ".json": FileKind.TASK_DOCUMENT,
    }.get(suffix)


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
