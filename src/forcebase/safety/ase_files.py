"""ASE's readers, and the only place that calls them: named formats, whole files, bounded counts.

ASE guesses a format by the name of a file; some of its formats are pickles. Here the format is
always one of those below.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io import read
from ase.io.formats import UnknownFileTypeError, filetype

from forcebase.errors import InputError
from forcebase.safety.files import read_unpacked, require_whole_text
from forcebase.safety.limits import ATOMS, FILE_BYTES, FRAMES

FRAMED = ("extxyz", "xyz")
FORMATS = (
    *FRAMED,
    *("abinit-out", "aims-output", "espresso-out", "gpaw-out", "gpw", "vasp-out", "vasp-xml"),
)
"""That become records; all of them text, XML, or ASE's ulm, which holds numbers and JSON."""
CELLS = ("extxyz", "xyz", "vasp", "cif", "aims", "espresso-in")
"""Of a single cell that something else refers to."""
BRACKETS = {"'": "'", '"': '"', "{": "}", "[": "]"}
"""Around values of an extxyz's second line, with what ends each."""
WHOLE = 1e-3
"""Of an occupancy; files have three digits."""
LONGEST_COUNT = 7
"""Digits of a number of columns."""
LONGEST_LINE = 1 << 24
"""Bytes of a line of an extxyz: ASE looks at the second by regular expressions."""


def read_images(path: Path, how: str, **options: Any) -> list[Atoms]:
    """All images of a file in one of `FORMATS`.

    Raises:
        InputError: it is an xyz that is cut off, or that claims more than it holds.
        Exception: whatever ASE makes of foreign text.
    """
    if how not in FORMATS:
        raise InputError(f"ASE's format {how!r} is not read here.")
    if how in FRAMED:
        check_frames(path)
    found: Any = read(path, index=":", format=how, do_not_split_by_at_sign=True, **options)
    return list(found)


def read_cell(path: Path) -> Atoms:
    """The first structure of a file in one of `CELLS`.

    Raises:
        InputError: it is of another format, or cannot be read.
    """
    try:
        FILE_BYTES.check(path.stat().st_size, path.name)
        how = "vasp" if path.suffix == ".vasp" else filetype(str(path), read=True, guess=False)
        if how not in CELLS:
            raise InputError(
                f"{path.name} is of the format {how!r}.", hint=f"Give one of {', '.join(CELLS)}."
            )
        if how in FRAMED:
            check_frames(path)
        found: Any = read(path, index=0, format=how, do_not_split_by_at_sign=True)
        _require_whole_sites(found, path)
    except InputError:
        raise
    except UnknownFileTypeError:
        raise InputError(
            f"{path.name} is of no known format.", hint=f"Give one of {', '.join(CELLS)}."
        ) from None
    except Exception as error:  # whatever ASE makes of foreign text
        raise InputError(f"{path.name} cannot be read: {error}") from None
    return Atoms(found.numbers, found.positions, cell=found.cell.array, pbc=found.pbc)


def _require_whole_sites(found: Atoms, path: Path) -> None:
    """Of a site that is shared, or partly filled, ASE gives one element as if it were whole.

    Raises:
        InputError: there is one.
    """
    for site in (found.info.get("occupancy") or {}).values():
        if len(site) != 1 or abs(sum(site.values()) - 1) > WHOLE:
            raise InputError(
                f"{path.name}: a site is shared by elements, or partly filled: {dict(site)}.",
                hint="Give an ordered structure.",
            )


def check_frames(path: Path) -> None:
    """Check the counts of an xyz file against its lines, before ASE loops over what they claim.

    Raises:
        InputError: a count is none, or more lines than there are follow from it; a line is far
            too long; or the file may be cut off inside its last number.
    """
    lines = _lines(path)
    for frame in range(FRAMES.value + 1):
        head = next(lines, None)
        while head is not None and not head.strip():  # as at the end
            head = next(lines, None)
        if head is None:
            require_whole_text(path)
            return
        try:
            n = int(head)
        except ValueError:
            words = head[:40].decode(errors="replace")
            raise InputError(
                f"{path.name}, frame {frame}: {words!r} is not a number of atoms."
            ) from None
        if n < 0:
            raise InputError(f"{path.name}, frame {frame} has {n} atoms.")
        ATOMS.check(n, f"{path.name}, frame {frame}")
        start = list(islice(lines, min(n + 1, 2)))
        _check_comment(start, n, f"{path.name}, frame {frame}")
        found = len(start) + sum(1 for _ in islice(lines, max(n - 1, 0)))
        if found < n + 1:
            raise InputError(
                f"{path.name}, frame {frame} has {max(found - 1, 0)} of its {n} atoms: "
                "the file is cut off.",
                hint="Copy it again.",
            )
    FRAMES.check(FRAMES.value + 1, path.name)


def _check_comment(start: list[bytes], n: int, where: str) -> None:
    """Compare the keys of a frame's second line, and the columns it claims, with what is there.

    Args:
        start: the second line, and the first atom's.
        n: atoms of the frame.
        where: file and frame, for messages.

    Raises:
        InputError: a key stands there twice; more columns are claimed than the atom's line has.
    """
    if not start:
        return
    seen: dict[str, str] = {}
    for key, value in _pairs(start[0].decode(errors="replace")):
        if key in seen:
            raise InputError(f"{where} has the key {key[:80]!r} twice.", hint="Keep one of them.")
        seen[key] = value
    if "Properties" in seen and n and len(start) > 1:
        widths = [text for text in seen["Properties"].split(":")[2::3] if text.isascii()]
        claimed = sum(int(text) for text in widths if text.isdigit() and len(text) < LONGEST_COUNT)
        there = len(start[1].split())
        if claimed > there or any(len(text) >= LONGEST_COUNT for text in widths):
            raise InputError(
                f"{where} claims more columns of each atom than the {there} that there are.",
                hint="See what `Properties` in its second line says.",
            )


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """Key and value of each entry of an extxyz's second line, as ASE takes them apart."""
    entries: list[list[str]] = [[""]]
    closing, escaped = "", False
    for letter in line.strip():
        if escaped or (closing and letter not in (closing, "\\")):
            entries[-1][-1] += letter
            escaped = False
        elif letter == "\\":
            escaped = True
        elif closing:
            closing = ""
        elif letter in BRACKETS:
            closing = BRACKETS[letter]
        elif letter.isspace():
            if entries[-1][-1]:
                entries.append([""])
        elif letter == "=":
            if entries[-1] == [""] and len(entries) > 1:  # space before it
                entries.pop()
            entries[-1].append("")
        else:
            entries[-1][-1] += letter
    for key, *values in entries:
        if key:
            yield key, "=".join(values)


def _lines(path: Path) -> Iterator[bytes]:
    for line in read_unpacked(path).splitlines():
        if len(line) > LONGEST_LINE:
            raise InputError(f"{path.name} has a line of {len(line):,} bytes.")
        yield line
