"""Where the defect of a cell is, told from the perfect crystal alone: which sites are changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.physics.periodicity import vacuum_axes
from forcebase.physics.shells import heights

Array = NDArray[np.float64]
Repeats = tuple[int, int, int]

MAX_STRAIN = 0.06
"""Largest stretch, over or under 1, of a supercell of the host."""

SITE_RADIUS = 1.0
"""angstrom; how far an atom may be from its site, less than half a short bond."""

MAX_CHANGED = 0.25
"""Share of sites from which on changes make another crystal, not a defect."""

WRONG_ELEMENT = 0.25
"""angstrom^2; what an atom on a site of another element costs beside its squared distance, so
that a crystal is not laid over itself with its elements exchanged."""

REFINEMENTS = 5
"""Rounds in which the rigid shift and the assignment are made to agree; two or three do."""


@dataclass(frozen=True, eq=False)
class LocatedDefect:
    """What distinguishes a cell from the perfect supercell.

    Attributes:
        centre: (3,) fractional in the cell; the middle of the changed sites.
        repeats: of the host's unit cell along its lattice vectors.
        removed: sites of the supercell, numbered as `ase.Atoms.repeat` does, without an atom.
        swapped: (site, element that is there now).
        added: atoms of the cell that are on no site.
    """

    centre: Array
    repeats: Repeats
    removed: tuple[int, ...]
    swapped: tuple[tuple[int, str], ...]
    added: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Assignment:
    """Atoms on sites; `sites` are fractional in the cell, the rigid shift in them."""

    sites: Array
    atoms: NDArray[np.int64]
    of_atoms: NDArray[np.int64]
    misfit: float


def locate_defect(atoms: Atoms, host_unit_cell: Atoms) -> LocatedDefect | None:
    """Find the changed sites of a cell, which may be strained, rattled and rigidly shifted.

    Args:
        atoms: a cell whose lattice vectors are those of the host, repeated, in the same order.
        host_unit_cell: the perfect crystal. Its vacuum may be thicker or thinner than the cell's.

    Returns:
        None for a cell without a defect. Where several shifts fit, as by a lattice vector of
        the host, the smallest is taken, so that site numbers are those of the cell it was made
        from.

    Raises:
        InputError: the cell is not a supercell of the host: no repeats fit its lattice within
            `MAX_STRAIN`, or more than `MAX_CHANGED` of the sites are changed.
    """
    vacuum = np.array(vacuum_axes(host_unit_cell.cell.array, host_unit_cell.positions))
    repeats = _find_repeats(atoms, host_unit_cell, vacuum)
    perfect = host_unit_cell.repeat(repeats)
    found = _fit(atoms, perfect, repeats, vacuum)
    removed = np.setdiff1d(np.arange(len(perfect)), found.of_atoms)
    added = np.setdiff1d(np.arange(len(atoms)), found.atoms)
    unlike = atoms.numbers[found.atoms] != perfect.numbers[found.of_atoms]
    n_changed = len(removed) + len(added) + int(unlike.sum())
    if n_changed > MAX_CHANGED * len(perfect):
        raise InputError(
            f"{atoms.get_chemical_formula()} is not a supercell of "
            f"{host_unit_cell.get_chemical_formula()} with a defect: {len(removed)} of "
            f"{len(perfect)} sites have no atom within {SITE_RADIUS:g} angstrom, {len(added)} "
            f"atoms no site, {int(unlike.sum())} sites another element.",
            hint="Give the unit cell of the perfect crystal as host.",
            repeats=repeats,
        )
    if not n_changed:
        return None
    swapped = zip(found.of_atoms[unlike], atoms.numbers[found.atoms[unlike]], strict=True)
    places = [found.sites[removed], found.sites[found.of_atoms[unlike]], _fractional(atoms)[added]]
    return LocatedDefect(
        centre=_middle(np.concatenate(places)),
        repeats=repeats,
        removed=tuple(removed.tolist()),
        swapped=tuple((int(site), chemical_symbols[z]) for site, z in swapped),
        added=tuple(added.tolist()),
    )


def _find_repeats(atoms: Atoms, host: Atoms, vacuum: NDArray[np.bool_]) -> Repeats:
    """The repeats that fit; of several the ones with the nearest number of atoms, then strain."""
    ratios = atoms.cell.lengths() / host.cell.lengths()
    choices = [
        [1] if across else range(_least(ratio / (1 + MAX_STRAIN)), _least(ratio / 0.9) + 1)
        for ratio, across in zip(ratios, vacuum, strict=True)
    ]
    fitting = []
    for repeats in product(*choices):
        strain = _strain(atoms.cell.array, host.cell.array * np.array(repeats)[:, None], ~vacuum)
        if strain <= MAX_STRAIN:
            surplus = abs(len(host) * int(np.prod(repeats)) - len(atoms))
            fitting.append((surplus, strain, repeats))
    if not fitting:
        raise InputError(
            f"The cell of {atoms.get_chemical_formula()} repeats no unit cell of "
            f"{host.get_chemical_formula()} within {100 * MAX_STRAIN:g} % of strain: its lattice "
            f"vectors are {', '.join(f'{ratio:.3f}' for ratio in ratios)} times as long.",
            hint="Give the unit cell that was repeated, with its lattice vectors in that order.",
            cell=atoms.cell.tolist(),
            host_cell=host.cell.tolist(),
        )
    n, m, k = min(fitting)[2]
    return n, m, k


def _least(ratio: float) -> int:
    return max(1, int(np.ceil(ratio)))


def _strain(cell: Array, perfect: Array, periodic: NDArray[np.bool_]) -> float:
    """Largest |stretch - 1| between two lattices, whatever their orientation."""
    from scipy.linalg import eigh

    if not periodic.any():
        return 0.0
    metric, target = (lattice[periodic] @ lattice[periodic].T for lattice in (cell, perfect))
    return float(np.abs(np.sqrt(eigh(metric, target, eigvals_only=True)) - 1).max())


def _fit(atoms: Atoms, perfect: Atoms, repeats: Repeats, vacuum: NDArray[np.bool_]) -> _Assignment:
    """Lay the sites over the atoms: where they are, or, where that does not fit, shifted."""
    sites = _sites_in(atoms, perfect, vacuum)
    best = None
    for shift in _shifts(atoms, perfect, sites, repeats):
        found = _settle(atoms, perfect, sites + shift)
        if best is None or found.misfit < best.misfit - 1e-9:
            best = found
        if len(best.atoms) == min(len(atoms), len(perfect)):
            kept = perfect.numbers[best.of_atoms] == atoms.numbers[best.atoms]
            if kept.all():
                break
    assert best is not None
    return best


def _shifts(atoms: Atoms, perfect: Atoms, sites: Array, repeats: Repeats) -> Iterator[Array]:
    """None at first; then those that lay an atom of the rarest element on such a site."""
    yield np.zeros(3)
    present = [z for z in set(atoms.numbers.tolist()) if z in perfect.numbers]
    if not present:
        return
    rarest = min(present, key=lambda z: (int((atoms.numbers == z).sum()), z))
    steps = []
    for atom in np.flatnonzero(atoms.numbers == rarest)[:2]:  # the first may be out of place
        moves = _fractional(atoms)[atom] - sites[perfect.numbers == rarest]
        # Modulo lattice vectors of the host, shifts are the same but for the sites' numbers.
        steps.append((moves - np.round(moves * repeats) / repeats) @ atoms.cell.array)
    lengths = np.linalg.norm(np.concatenate(steps), axis=1)
    order = np.argsort(np.round(lengths, 6), kind="stable")
    for step in np.concatenate(steps)[order]:
        yield np.linalg.solve(atoms.cell.array.T, step)


def _settle(atoms: Atoms, perfect: Atoms, sites: Array) -> _Assignment:
    """Assign atoms to sites, and take the rigid shift that is left out, until nothing changes."""
    found = _assign(atoms, perfect, sites)
    for _ in range(REFINEMENTS):
        if not len(found.atoms):
            break
        moves = _fractional(atoms)[found.atoms] - found.sites[found.of_atoms]
        better = _assign(atoms, perfect, found.sites + (moves - np.round(moves)).mean(axis=0))
        if better.misfit > found.misfit - 1e-6:
            break
        found = better
    return found


def _assign(atoms: Atoms, perfect: Atoms, sites: Array) -> _Assignment:
    from scipy.optimize import linear_sum_assignment

    steps = _fractional(atoms)[:, None] - sites
    # Rounding gives the nearest image of all that is within half the cell's thickness; what is
    # farther is on no site anyway.
    squares = (((steps - np.round(steps)) @ atoms.cell.array) ** 2).sum(axis=-1)
    unlike = atoms.numbers[:, None] != perfect.numbers
    cost = np.minimum(squares, SITE_RADIUS**2) + WRONG_ELEMENT * unlike
    rows, columns = linear_sum_assignment(cost)
    near = squares[rows, columns] <= SITE_RADIUS**2
    return _Assignment(sites, rows[near], columns[near], float(cost[rows, columns].sum()))


def _sites_in(atoms: Atoms, perfect: Atoms, vacuum: NDArray[np.bool_]) -> Array:
    """(n, 3) sites, fractional in the actual cell: strained with it, but not across vacuum."""
    sites = _fractional(perfect)
    for axis in np.flatnonzero(vacuum).tolist():
        spacing = 1 / np.linalg.norm(np.linalg.inv(atoms.cell.array)[:, axis])
        middle = _fractional(atoms)[0, axis] - heights(atoms, axis)[0] / spacing
        sites[:, axis] = middle + heights(perfect, axis) / spacing
    return sites


def _fractional(atoms: Atoms) -> Array:
    return np.linalg.solve(atoms.cell.array.T, atoms.positions.T).T


def _middle(places: Array) -> Array:
    """Mean of fractional places, each at its image nearest the first."""
    return (places - np.round(places - places[0])).mean(axis=0) % 1.0
