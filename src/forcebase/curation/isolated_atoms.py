"""Isolated atoms among the candidates of a dataset: in no split, no outliers, but E0s."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from forcebase.curation.given_e0s import checked_e0s
from forcebase.curation.steps import Dropped, Step
from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.physics.isolated_atoms import isolated


@dataclass(frozen=True)
class IsolatedAtoms(Step):
    """Take isolated atoms out before all that judges crystals; by itself where there are any."""

    name: ClassVar[str] = "isolated-atoms"

    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:
        """Drop them: what they say of their element is looked up elsewhere."""
        return [
            (int(i), f"an isolated atom: it says the E0 of {symbol}, and is in no split")
            for i in np.flatnonzero(kept & isolated(frames))
            for symbol in [chemical_symbols[frames.numbers[frames.offsets[i]]]]
        ]


def with_isolated_atoms(frames: Frames, steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps, the one above before them where there are isolated atoms and it is not there."""
    if any(isinstance(step, IsolatedAtoms) for step in steps) or not isolated(frames).any():
        return tuple(steps)
    return (IsolatedAtoms(), *steps)


def atoms_e0s(frames: Frames, method: str) -> dict[str, float]:
    """Element symbol -> eV of the isolated atoms of a method, the lowest of several."""
    found: dict[str, float] = {}
    for i in np.flatnonzero(isolated(frames) & (frames.methods == method)):
        symbol = chemical_symbols[frames.numbers[frames.offsets[i]]]
        energy = float(frames.energies[i])
        if np.isfinite(energy):
            found[symbol] = min(energy, found.get(symbol, energy))
    return found


def e0s_of_atoms(members: Frames, found: dict[str, float]) -> tuple[dict[str, float] | None, str]:
    """E0s of the members' elements from isolated atoms, or why they cannot be taken.

    Args:
        members: of the dataset.
        found: as of `atoms_e0s`.

    Returns:
        The E0s, None where they are not taken, and a finding, "" where there is nothing to say.
    """
    if not found:
        return None, ""
    elements = [chemical_symbols[z] for z in np.unique(members.numbers)]
    lacking = [symbol for symbol in elements if symbol not in found]
    told = ", ".join(f"{symbol} {found[symbol]:.4f} eV" for symbol in elements if symbol in found)
    if lacking:
        there = f"isolated atoms say E0s of some elements ({told})" if told else "isolated atoms"
        return None, f"{there}, and none of {', '.join(lacking)}: E0s are fitted"
    try:
        return checked_e0s(members, {symbol: found[symbol] for symbol in elements}), ""
    except InputError as error:
        return None, f"E0s of isolated atoms are not taken: {error.message}"
