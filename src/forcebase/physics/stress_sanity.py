"""Whether stresses are in eV/angstrom^3, tension positive, ASE's order: work against energies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from forcebase.physics.force_sanity import mistakes_of
from forcebase.physics.labelled_cell import LabelledCell
from forcebase.physics.stress_pairs import NOISE, StressPair, stress_of, stress_pairs
from forcebase.units import KBAR_TO_EV_PER_A3

LARGEST = 6.0
"""eV/angstrom^3, about 1000 GPa: beyond all that is calculated but by mistake."""
SIGNAL = 0.002
"""eV; smaller differences say nothing."""
ENOUGH = 3
"""Pairs of cells from which on something is said."""
TOLERANCE = 0.5
"""How far the slope may be from 1: units and signs are off by far more."""
ERRORS = 4.0
"""Standard errors that a slope must be away from 1 to be doubted."""
NEAR = 0.3
"""How near to 1 the slope of what is right must be, where the rest is found wrong."""
LOUD = 0.05
"""eV; with fewer pairs, each difference must be as large."""
ALIKE = 0.2
"""How near to a known mistake they must be then."""
UNITS = {1.0: "", 160.2177: " in 160 GPa", KBAR_TO_EV_PER_A3: " in kbar", 0.00624151: " in GPa"}
"""Slope -> the unit that gives it."""


MANY = 6
"""Pairs from which on shears and a constant pressure are told apart from the rest."""
EXPLAINED = 0.25
"""Share of the squares that another reading of the stresses may leave, to be believed."""
SMALLEST_PRESSURE = 5e-4
"""eV/angstrom^3; a smaller constant part is not worth a word."""
LARGEST_PRESSURE = 0.1
"""eV/angstrom^3; a larger one is of no basis that labels are made with."""
SHEARS = (3, 4, 5)
"""Where yz, xz and xy stand in ASE's order."""
VASP = (4, 5, 3)
"""Where they stand in VASP's: xx, yy, zz, xy, yz, zx."""


@dataclass(frozen=True)
class StressCheck:
    """What comparing stresses with energies gave.

    Attributes:
        doubt: what is wrong; "" where nothing is known to be.
        pressure: eV/angstrom^3 by which all stresses differ from what the energies say, as they do
            where the basis is too small (Pulay); 0 where no such constant is seen.
        pairs: of neighbouring cells that say something.
        what: the labels that are in doubt: "stresses", or "forces" or "energies" where two of the
            three agree.
    """

    doubt: str
    pressure: float
    pairs: int
    what: str = "stresses"

    @property
    def note(self) -> str:
        """The constant part in words; "" where there is none."""
        if not self.pressure:
            return ""
        towards = "compressive" if self.pressure > 0 else "tensile"
        return (
            f"against the energies of {self.pairs} pairs of neighbouring cells, all stresses are "
            f"{1000 * abs(self.pressure):.3g} meV/angstrom^3 too {towards}: a constant, as a "
            "Pulay stress is (cutoff too small for stresses), no wrong sign or unit."
        )


def check_stress(cells: Sequence[LabelledCell]) -> StressCheck:
    """Compare stresses with energies; cells without one are left out.

    Between two cells of the same atoms, the energy changes by the work of the forces and of
    the stress, V sigma : epsilon, each at its mean of the two ends. The slope of what is left of
    the energy against that work is 1 in the right unit and sign, -1 in the other sign, and 160.2
    or 1602 times smaller in GPa or kbar. A constant pressure, which grows with the change of the
    volume and not with the work, is told apart: it is the basis, not the unit.
    """
    cells = [cell for cell in cells if cell.stress is not None]
    largest = max((float(np.abs(stress_of(cell)).max()) for cell in cells), default=0.0)
    if largest > LARGEST:
        doubt = (
            f"a stress of {largest:.3g} eV/angstrom^3 is not a stress of a crystal: is it in GPa "
            "or kbar?"
        )
        return StressCheck(doubt, 0.0, 0)
    if len(cells) > 1 and largest == 0:
        return StressCheck("all of them are exactly zero: leave them out.", 0.0, 0)
    pairs = [p for p in stress_pairs(cells) if max(abs(p.left), abs(p.work)) > SIGNAL]
    left, work = np.array([[p.left, p.work] for p in pairs]).reshape(-1, 2).T
    if not work.any() or (len(work) < ENOUGH and not _plainly_wrong(left, work)):
        return StressCheck("", 0.0, len(pairs))
    return _judged(pairs, left, work)


def _judged(
    pairs: list[StressPair], left: NDArray[np.float64], work: NDArray[np.float64]
) -> StressCheck:
    n = len(pairs)
    looks = {_energies_apart: "energies", _forces_apart: "forces"}
    looks |= dict.fromkeys((_shear_order, _shears_apart), "stresses")
    for apart, what in looks.items() if n >= MANY else ():
        if doubt := apart(pairs):
            return StressCheck(doubt, 0.0, n, what)
    slope, error = _slope(left, work)
    doubtful = abs(slope - 1) > max(TOLERANCE, ERRORS * error)
    pressure, bound = _pressure(pairs)
    volume = np.array([pair.volume for pair in pairs])
    rest = float(((left - work - pressure * volume) ** 2).sum())
    of_slope = float(((left - slope * work) ** 2).sum())
    # of two readings with one number each, the one that leaves less; a known unit comes first
    constant = n >= MANY and rest < (of_slope if _unit(slope) is None else of_slope / 2)
    constant = constant and _is_one_beside_a_constant(left, work, volume)
    if doubtful and not (constant and abs(pressure) < LARGEST_PRESSURE):
        return StressCheck(_meaning(slope, n), 0.0, n)
    errors = np.array([pair.error for pair in pairs])
    as_told, constant_taken = (
        float((((left - work - p * volume) / errors) ** 2).sum()) for p in (0.0, pressure)
    )
    seen = n >= MANY and constant_taken < as_told / 2
    large = abs(pressure) > max(SMALLEST_PRESSURE, 2 * bound)
    return StressCheck("", pressure if seen and large else 0.0, n)


def _slope(left: NDArray[np.float64], work: NDArray[np.float64]) -> tuple[float, float]:
    """By least squares, and its standard error."""
    slope = float(left @ work / (work @ work))
    spread = float(np.linalg.norm(left - slope * work) / np.linalg.norm(work))
    return slope, spread / np.sqrt(max(len(work) - 1, 1))


def _is_one_beside_a_constant(
    left: NDArray[np.float64], work: NDArray[np.float64], volume: NDArray[np.float64]
) -> bool:
    """Whether the slope may be 1 where a constant pressure takes its part of the energy."""
    both = np.stack([work, volume], axis=1)
    squares = both.T @ both
    if np.linalg.matrix_rank(squares) < 2:
        return True
    slope = np.linalg.solve(squares, both.T @ left)
    spread = float(((left - both @ slope) ** 2).sum()) / max(len(left) - 2, 1)
    error = float(np.sqrt(spread * np.linalg.inv(squares)[0, 0]))
    return bool(abs(slope[0] - 1) <= max(TOLERANCE, ERRORS * error))


def _pressure(pairs: list[StressPair]) -> tuple[float, float]:
    """The constant that explains most of what the work leaves, and what the rule may make of it."""
    off = np.array([pair.left - pair.work for pair in pairs])
    volume = np.array([pair.volume for pair in pairs])
    error = np.array([pair.error for pair in pairs])
    heavy = volume / error**2
    total = float(heavy @ volume) or 1.0
    found = float(heavy @ off) / total
    if found > 0:  # springs soften as a solid expands: that looks compressive, and not tensile
        error = error + np.array([pair.of_moves for pair in pairs])
    return found, float(np.abs(heavy) @ error) / total


def _shear_order(pairs: list[StressPair]) -> str:
    """Say so where the shears explain the energies in another order, and only there."""
    weight = NOISE / np.array([pair.error for pair in pairs])
    left = weight * np.array([pair.left - pair.diagonal for pair in pairs])
    shears = weight[:, None, None] * np.array([pair.shears for pair in pairs])
    rest = {
        order: float(((left - shears[:, [k - 3 for k in order], range(3)].sum(1)) ** 2).sum())
        for order in permutations(SHEARS)
    }
    best = min(rest, key=lambda order: rest[order])
    if best == SHEARS or rest[SHEARS] < len(pairs) * (2 * NOISE) ** 2:  # twice what is expected
        return ""
    if rest[best] > EXPLAINED * min(rest[SHEARS], float(left @ left)):
        return ""
    whose = "VASP's (xx, yy, zz, xy, yz, zx)" if best == VASP else "another"
    return (
        f"against the energies of {len(pairs)} pairs of neighbouring cells, the shears are in "
        f"{whose} order, not in ASE's (xx, yy, zz, yz, xz, xy): so read, they leave "
        f"{np.sqrt(rest[best] / rest[SHEARS]):.0%} of what they leave as they stand."
    )


def _shears_apart(pairs: list[StressPair]) -> str:
    """Whether the shears alone contradict the energies, which the diagonal agrees with."""
    left = np.array([pair.left for pair in pairs])
    work = np.array([[pair.diagonal, float(np.trace(pair.shears))] for pair in pairs])
    if (diagonal := _two_slopes(pairs, left, work)) is None:
        return ""
    (whole, slope), (_, error), share = diagonal
    if abs(whole - 1) > NEAR or abs(slope - 1) <= max(TOLERANCE, ERRORS * error):
        return ""
    if share > EXPLAINED:
        return ""
    return (
        f"against the energies of {len(pairs)} pairs of neighbouring cells, the shears (yz, xz, "
        f"xy) are off by a factor of {1 / slope:.3g}, while xx, yy and zz are right."
    )


def _energies_apart(pairs: list[StressPair]) -> str:
    """Whether the energies contradict the forces and the stresses, which agree with each other."""
    energy = np.array([pair.energy for pair in pairs])
    found = _two_slopes(pairs, energy, np.array([[pair.by_forces, pair.work] for pair in pairs]))
    if found is None:
        return ""
    slopes, errors, share = found
    if share > EXPLAINED or (slopes <= ERRORS * errors).any() or np.ptp(np.log(slopes)) > NEAR:
        return ""
    slope = float(np.exp(np.log(slopes).mean()))
    reason = mistakes_of(slope, {pair.n_atoms for pair in pairs}, "energies")
    if abs(slope - 1) <= max(TOLERANCE, ERRORS * float(errors.max())) or not reason:
        return ""
    return (
        f"between {len(pairs)} pairs of neighbouring cells, the forces and the stresses agree with "
        f"each other and the energies do not: their slope against the work of both is {slope:.3g}, "
        f"not 1{reason}."
    )


def _forces_apart(pairs: list[StressPair]) -> str:
    """Whether the forces contradict the energies, which the stresses agree with."""
    energy = np.array([pair.energy for pair in pairs])
    found = _two_slopes(pairs, energy, np.array([[pair.by_forces, pair.work] for pair in pairs]))
    if found is None:
        return ""
    (slope, of_stress), (error, _), share = found
    if abs(of_stress - 1) > NEAR or abs(slope - 1) <= max(TOLERANCE, ERRORS * error):
        return ""
    if share > EXPLAINED:
        return ""
    return (
        f"between {len(pairs)} pairs of neighbouring cells, the stresses agree with the energies "
        f"and the forces do not: the slope of the energy against their work is {slope:.3g}, not "
        f"1{mistakes_of(float(slope), {pair.n_atoms for pair in pairs}, 'forces')}."
    )


def _two_slopes(
    pairs: list[StressPair], energy: NDArray[np.float64], works: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    """(2,) slopes by least squares, their errors, and the share of the squares that they leave.

    The share is of what slopes of 1 leave: noise, and pairs that have a cell in common, make slopes
    that seem sure and explain little. None where the works cannot be told apart.
    """
    weight = NOISE / np.array([pair.error for pair in pairs])
    energy, works = weight * energy, weight[:, None] * works
    squares = works.T @ works
    if np.linalg.matrix_rank(squares) < 2:
        return None
    slopes = np.asarray(np.linalg.solve(squares, works.T @ energy), dtype=float)
    rest = float(((energy - works @ slopes) ** 2).sum())
    share = rest / (float(((energy - works.sum(1)) ** 2).sum()) or 1.0)
    variances = rest / max(len(energy) - 2, 1) * np.diag(np.linalg.inv(squares))
    return slopes, np.asarray(np.sqrt(variances), dtype=float), share


def _plainly_wrong(left: NDArray[np.float64], work: NDArray[np.float64]) -> bool:
    """Whether the few pairs there are all show one known mistake, above any noise."""
    if not len(work) or np.abs(left).min() < LOUD or not work.all():
        return False
    slopes = left / work
    mistakes = [sign * size for size in UNITS for sign in (1, -1) if sign * size != 1]
    return any(bool((np.abs(slopes / mistake - 1) < ALIKE).all()) for mistake in mistakes)


def _meaning(slope: float, n: int) -> str:
    unit = _unit(slope) or ""
    sign = ", and positive under compression" if slope < 0 else ""
    return (
        f"against the energies of {n} pairs of neighbouring cells, the stress is off by a factor "
        f"of {1 / slope:.3g}{unit and f': it is{unit}'}{sign}."
    )


def _unit(slope: float) -> str | None:
    """The unit that gives a slope, "" for the right one; None where none is known to."""
    return next((name for size, name in UNITS.items() if 0.7 < abs(slope) / size < 1.4), None)
