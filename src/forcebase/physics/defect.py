"""Point defects: lists of removed, swapped, moved and added sites of a perfect supercell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from monty.json import MSONable
from numpy.typing import ArrayLike, NDArray

from forcebase.errors import InputError
from forcebase.physics.periodicity import vacuum_axes

if TYPE_CHECKING:
    from pymatgen.analysis.defects.core import Defect as PymatgenDefect

NO_SITE = -1
"""The origin of an added atom."""

SITE_TOLERANCE = 0.5
"""angstrom; how far a site may be from where it is said to be."""

FARTHEST = 10_000.0
"""angstrom; no supercell is as large."""


@dataclass(frozen=True)
class Change(MSONable):
    """One change of a perfect supercell.

    Attributes:
        operation: "remove", "swap", "move" or "add".
        site: index of the atom of the perfect supercell, from 0; None for an added one.
        element: of what is put there, for "swap" and "add".
        vector: angstrom; the shift of a moved atom, the Cartesian place of an added one.
    """

    operation: str
    site: int | None = None
    element: str | None = None
    vector: tuple[float, float, float] | None = None

    def __str__(self) -> str:
        parts = [self.operation, self.site, self.element]
        if self.vector is not None:
            parts.append("/".join(f"{x:g}" for x in self.vector))
        return ":".join(str(part) for part in parts if part is not None)


@dataclass(frozen=True)
class Defect(MSONable):
    """A point defect.

    Attributes:
        name: as "v_Se".
        changes: what it does to the perfect supercell, whose atoms are numbered before any change.
    """

    name: str
    changes: tuple[Change, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "changes", tuple(self.changes))
        sites = [change.site for change in self.changes if change.site is not None]
        if not self.changes or len(set(sites)) < len(sites):
            raise InputError(
                f"The defect {self.name!r} changes no site, or one site twice.",
                hint="Give each site one change, as remove:17,swap:20:Mo.",
            )


@dataclass(frozen=True, eq=False)
class DefectCell:
    """A supercell with a defect, not relaxed.

    Attributes:
        atoms: the cell.
        perfect: the same cell without it.
        centre: (3,) fractional; the middle of the changed sites.
        origin: (n,) site of the perfect cell that each atom comes from, `NO_SITE` if added.
    """

    atoms: Atoms
    perfect: Atoms
    centre: NDArray[np.float64]
    origin: NDArray[np.int64]


def apply_defect(perfect: Atoms, defect: Defect) -> DefectCell:
    """Make the changes of `defect` in a perfect supercell.

    Raises:
        InputError: a site that the cell has not, an element that there is none of, or nothing
            left.
    """
    numbers, positions = perfect.numbers.copy(), perfect.positions.copy()
    kept = np.ones(len(perfect), dtype=bool)
    centres, added = [], []
    for change in defect.changes:
        _check(change, perfect)
        if change.operation == "add":
            added.append(change)
            centres.append(np.array(change.vector))
            continue
        assert change.site is not None
        centres.append(perfect.positions[change.site])
        if change.operation == "remove":
            kept[change.site] = False
        elif change.operation == "swap":
            numbers[change.site] = atomic_numbers[str(change.element)]
        else:
            positions[change.site] += np.array(change.vector)
    if not kept.any() and not added:
        raise InputError(f"The defect {defect.name!r} leaves no atom.")
    new = [atomic_numbers[str(change.element)] for change in added]
    atoms = Atoms(
        np.append(numbers[kept], new).astype(int),
        np.vstack([positions[kept], *[np.array(change.vector) for change in added]]),
        cell=perfect.cell,
        pbc=perfect.pbc,
    )
    origin = np.append(np.flatnonzero(kept), [NO_SITE] * len(added)).astype(np.int64)
    return DefectCell(atoms, perfect.copy(), _middle(perfect, np.array(centres)), origin)


def read_defect(text: str, perfect: Atoms) -> Defect:
    """Read a defect from text.

    Args:
        text: a name, "v_Se" (a selenium vacancy) or "Mo_W" (molybdenum on a tungsten site), at
            the site of that element nearest the middle of the cell, in a layer on its top side;
            or a list of changes, as "remove:17,swap:20:Mo,move:3:0/0/0.1,add:Mo:1.2/0/9", with
            the atoms of the supercell counted from 0 and vectors in angstrom.
        perfect: the supercell.

    Raises:
        InputError: it cannot be read, or names a site or element that there is none of.
    """
    named = re.fullmatch(r"(v|[A-Z][a-z]?)_([A-Z][a-z]?)", text)
    if named:
        new, old = named.groups()
        site = central_site(perfect, old)
        change = Change("remove", site) if new == "v" else Change("swap", site, new)
        changes = [change]
    else:
        changes = [_read_change(part) for part in text.split(",")]
    for change in changes:
        _check(change, perfect)
    return Defect(text, tuple(changes))


def central_site(perfect: Atoms, element: str) -> int:
    """Index of the atom of `element` nearest the middle of the cell; in a layer, a top one.

    Raises:
        InputError: there is no atom of that element.
    """
    sites = np.flatnonzero(perfect.symbols == element)
    if not len(sites):
        raise InputError(
            f"There is no {element} in {perfect.get_chemical_formula()}.",
            hint=f"It has {', '.join(sorted(set(perfect.get_chemical_symbols())))}.",
        )
    fractional = perfect.get_scaled_positions()[sites]
    axes = np.array(vacuum_axes(perfect.cell.array, perfect.positions))
    if axes.sum() == 1:
        height = fractional[:, axes][:, 0]
        sites, fractional = (
            sites[height > height.max() - 1e-3],
            fractional[height > height.max() - 1e-3],
        )
    off_centre = (fractional - 0.5)[:, ~axes] @ perfect.cell.array[~axes]
    # Rounded, so that of equally near sites the first is taken on every machine.
    return int(sites[np.argmin(np.round(np.linalg.norm(off_centre, axis=1), 6))])


def from_pymatgen(defect: PymatgenDefect, perfect: Atoms) -> Defect:
    """Take a vacancy, substitution or interstitial of pymatgen-analysis-defects over.

    Args:
        defect: of a host whose cell `perfect` repeats along the same axes and origin.
        perfect: the supercell; the defect goes to the cell at its origin.

    Raises:
        InputError: no such kind of defect, or the host's sites are not those of `perfect`.
    """
    kind = type(defect).__name__
    place = np.asarray(defect.site.coords, dtype=float)
    if kind == "Interstitial":
        change = Change("add", None, defect.site.specie.symbol, _vector(place))
    elif kind in ("Vacancy", "Substitution"):
        site = _site_at(perfect, place)
        element = defect.site.specie.symbol
        change = Change("remove", site) if kind == "Vacancy" else Change("swap", site, element)
    else:
        raise InputError(f"A {kind} of pymatgen-analysis-defects cannot be taken over.")
    return Defect(str(defect.name), (change,))


def _read_change(text: str) -> Change:
    operation, *rest = text.strip().split(":")
    try:
        if operation == "remove" and len(rest) == 1:
            return Change(operation, int(rest[0]))
        if operation == "swap" and len(rest) == 2:
            return Change(operation, int(rest[0]), rest[1])
        if operation == "move" and len(rest) == 2:
            return Change(operation, int(rest[0]), None, _vector(rest[1].split("/")))
        if operation == "add" and len(rest) == 2:
            return Change(operation, None, rest[0], _vector(rest[1].split("/")))
    except ValueError:
        pass
    raise InputError(
        f"{text!r} is not a defect.",
        hint="Write v_Se, Mo_W, or changes as remove:17,swap:20:Mo,move:3:0/0/0.1,add:Mo:1.2/0/9.",
    )


def _vector(parts: Any) -> tuple[float, float, float]:
    x, y, z = (float(part) for part in parts)
    if not max(abs(x), abs(y), abs(z)) <= FARTHEST:  # nor where one is not a number
        raise ValueError(f"{parts} is out of any cell")
    return x, y, z


def _check(change: Change, perfect: Atoms) -> None:
    if change.operation not in ("remove", "swap", "move", "add"):
        raise InputError(f"{change.operation!r} is not a change: remove, swap, move or add.")
    if change.site is not None and not 0 <= change.site < len(perfect):
        raise InputError(
            f"There is no site {change.site} in {perfect.get_chemical_formula()}, which has "
            f"{len(perfect)}, counted from 0.",
            hint="Choose one of them, or name the defect by elements, as v_Se.",
        )
    if change.element is not None and atomic_numbers.get(change.element, 0) == 0:
        raise InputError(f"{change.element!r} is not an element.")
    swapped = change.operation == "swap" and change.site is not None
    if swapped and perfect.symbols[change.site] == change.element:
        raise InputError(
            f"Site {change.site} is {change.element} already: {change} is not a change."
        )


def _middle(perfect: Atoms, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the places, each taken at its image nearest the first, as fractional in 0..1."""
    fractional = np.linalg.solve(perfect.cell.array.T, places.T).T
    nearest = fractional - np.round(fractional - fractional[0])
    return nearest.mean(axis=0) % 1.0


def _site_at(perfect: Atoms, place: ArrayLike) -> int:
    probe = perfect + Atoms("X", positions=[place])
    distances = probe.get_distances(len(perfect), range(len(perfect)), mic=True)
    site = int(np.argmin(distances))
    if distances[site] > SITE_TOLERANCE:
        raise InputError(
            f"The supercell has no atom within {SITE_TOLERANCE} angstrom of the defect's site; "
            f"the nearest is {distances[site]:.2f} away.",
            hint="Make the supercell from the host that the defect was made in.",
        )
    return site
