"""Errors of modes that are paired by what they do, not by the order of their frequencies.

Where two branches cross in one crystal and not, or elsewhere, in the other, pairing by order hides
the error: each branch is compared with the other's continuation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forcebase.errors import InputError

DEGENERATE_THZ = 1e-3
"""Frequencies closer than this are one level: its eigenvectors are any basis of one space."""


@dataclass(frozen=True, eq=False)
class MatchedModes:
    """Modes of two crystals at the same q-points, pair by pair.

    Attributes:
        errors: (n_q, n_bands) frequency of the first minus that of its partner, THz, in the order
            of the second's bands.
        overlaps: (n_q, n_bands) |<e1|e2>|^2 of the pairs, from 0 to 1, where levels that are
            degenerate count as a whole: how far the pair is one and the same motion.
        reordered: share of the pairs that are not of the same rank in frequency.
    """

    errors: NDArray[np.float64]
    overlaps: NDArray[np.float64]
    reordered: float

    def as_dict(self) -> dict[str, float]:
        """Metrics for a record, units in the names."""
        return {
            "mae_THz": float(np.abs(self.errors).mean()),
            "rmse_THz": float(np.sqrt((self.errors**2).mean())),
            "max_THz": float(np.abs(self.errors).max()),
            "mean_overlap": float(self.overlaps.mean()),
            "reordered": self.reordered,
        }


def match_modes(
    frequencies: tuple[NDArray[np.float64], NDArray[np.float64]],
    eigenvectors: tuple[NDArray[np.complex128], NDArray[np.complex128]],
) -> MatchedModes:
    """Pair the modes of two crystals by the overlap of their eigenvectors, at each q-point.

    The pairing with the largest sum of squared overlaps is the optimal assignment of Kuhn and
    Munkres. Within a degenerate level any basis is as good as another, so the overlap of a mode
    with a level is shared out among its members, and the pairs are put in order of frequency.

    Args:
        frequencies: two of (n_q, n_bands), THz, ascending.
        eigenvectors: two of (n_q, 3 * n_atoms, n_bands), columns normalised, with the atoms in the
            same order and phases by the same convention.

    Raises:
        InputError: the shapes differ.
    """
    from scipy.optimize import linear_sum_assignment

    first, second = frequencies
    if first.shape != second.shape or eigenvectors[0].shape != eigenvectors[1].shape:
        raise InputError(
            "Modes of unlike number cannot be paired.",
            hint="Compare crystals with the same primitive cell on the same q-points.",
        )
    errors, overlaps = np.empty_like(second), np.empty_like(second)
    moved = 0
    for q, (a, b) in enumerate(zip(first, second, strict=True)):
        squares = np.abs(eigenvectors[0][q].conj().T @ eigenvectors[1][q]) ** 2
        shared = _shared_out(_shared_out(squares, _levels(a)).T, _levels(b)).T
        rows, columns = linear_sum_assignment(-shared)
        places = _in_order(columns[np.argsort(rows)], _levels(a))  # of each of the first's
        partner = _in_order(np.argsort(places), _levels(b))
        errors[q] = a[partner] - b
        overlaps[q] = _of_levels(squares, _levels(a), _levels(b))[partner, np.arange(len(b))]
        moved += int((partner != np.arange(len(b))).sum())
    return MatchedModes(errors, overlaps, moved / max(errors.size, 1))


def _levels(frequencies: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) number of the level that each mode belongs to."""
    return np.concatenate([[0], np.cumsum(np.diff(frequencies) > DEGENERATE_THZ)]).astype(np.int64)


def _shared_out(squares: NDArray[np.float64], levels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean over the rows of each level, given to all of them."""
    sums = np.zeros((levels[-1] + 1, squares.shape[1]))
    np.add.at(sums, levels, squares)
    return (sums / np.bincount(levels)[:, None])[levels]


def _of_levels(
    squares: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Share of each column's level that lies in each row's level, at most 1."""
    by_rows = np.zeros((rows[-1] + 1, squares.shape[1]))
    np.add.at(by_rows, rows, squares)
    whole = np.zeros((rows[-1] + 1, columns[-1] + 1))
    np.add.at(whole.T, columns, by_rows.T)
    sizes = np.minimum(np.bincount(rows)[:, None], np.bincount(columns)[None, :])
    return (whole / sizes)[rows][:, columns]


def _in_order(partner: NDArray[np.int64], levels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Partners of one level's members, ascending: which is whose is a matter of the basis."""
    return partner[np.lexsort((partner, levels))]
