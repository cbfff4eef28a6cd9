"""VASP's ML_AB: the DFT labels that its own force field learns from, and no predictions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.ingest.batch import Batch
from forcebase.ingest.labelled_frames import frames_batch
from forcebase.ingest.options import ImportOptions
from forcebase.safety.files import require_whole_text, unpacked_lines
from forcebase.safety.limits import ATOMS, FRAMES
from forcebase.units import stress_from_kbar_pressure

BEGIN = "Configuration num."
COUNT = "The number of configurations"
NEEDED = (
    "Atom types and atom numbers",
    "Primitive lattice vectors (ang.)",
    "Atomic positions (ang.)",
    "Total energy (eV)",
    "Forces (eV ang.^-1)",
)
Sections = dict[str, list[list[str]]]


def read_ml_ab(path: Path, options: ImportOptions | None = None) -> Batch:
    """Turn every configuration into a structure and a calculation.

    The file does not say how its labels were computed: a method.yaml does.

    Raises:
        InputError: it is cut off, or one configuration cannot be used; or there is no method.yaml.
    """
    require_whole_text(path)
    return frames_batch(path, list(_frames(path)), options or ImportOptions())


def _frames(path: Path) -> Iterator[Atoms]:
    told, number, stressed = None, 0, False
    for number, sections in enumerate(_configurations(path)):
        if number == 0:
            told = _number(sections.get(COUNT))
            continue
        FRAMES.check(number, path.name)
        where = f"{path.name}, configuration {number}"
        frame = _frame(sections, where)
        if number == 1:
            stressed = "stress" in frame.calc.results
        elif stressed != ("stress" in frame.calc.results):  # VASP writes it of all or none, last
            raise InputError(f"{where} has no stress, or others have none: the file is cut off.")
        yield frame
    if not number or (told is not None and number < told):
        raise InputError(
            f"{path.name} has {number} of its {told or 0} configurations: the file is cut off.",
            hint="Copy it again.",
        )


def _configurations(path: Path) -> Iterator[Sections]:
    """What stands before the first configuration, then each: title of a section -> its rows."""
    lines: list[str] = []
    for raw in unpacked_lines(path):
        line = raw.decode(errors="replace").strip()
        if line.startswith(BEGIN):
            yield _sections(lines)
            lines = []
        lines.append(line)
    yield _sections(lines)


def _sections(lines: list[str]) -> Sections:
    """A title is a line with a rule under it; the rows go to the next rule."""
    marks = [i for i, line in enumerate(lines) if len(line) > 9 and set(line) <= set("*=-")]
    found: Sections = {}
    for rule, end in pairwise([*marks, len(lines)]):
        if rule and set(lines[rule]) == {"-"} and rule - 1 not in marks:
            found[lines[rule - 1]] = [line.split() for line in lines[rule + 1 : end] if line]
    return found


def _frame(sections: Sections, where: str) -> Atoms:
    if lacking := [name for name in NEEDED if not sections.get(name)]:
        raise InputError(f"{where} has no {lacking[0]!r}: the file is cut off.")
    counts = [(row[0], int(row[1])) for row in sections[NEEDED[0]]]
    n = sum(count for _, count in counts)
    ATOMS.check(n, where)
    cell = _rows(sections[NEEDED[1]], 3, where)
    atoms = Atoms(
        [symbol for symbol, count in counts for _ in range(count)],
        positions=_rows(sections[NEEDED[2]], n, where),
        cell=cell,
        pbc=True,
    )
    labels = {
        "energy": float(sections[NEEDED[3]][0][0]),
        "forces": _rows(sections[NEEDED[4]], n, where),
    }
    axes, shears = sections.get("XX YY ZZ"), sections.get("XY YZ ZX")
    if axes and shears:
        xx, yy, zz = _rows(axes, 1, where)[0]
        xy, yz, zx = _rows(shears, 1, where)[0]
        labels["stress"] = stress_from_kbar_pressure([xx, yy, zz, yz, zx, xy])
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def _rows(rows: list[list[str]], n: int, where: str) -> NDArray[np.float64]:
    if len(rows) != n or any(len(row) != 3 for row in rows):
        raise InputError(f"{where} has {len(rows)} rows where {n} of 3 numbers are needed.")
    return np.array(rows, dtype=float)


def _number(rows: list[list[str]] | None) -> int | None:
    return int(rows[0][0]) if rows and rows[0] and rows[0][0].isdigit() else None
