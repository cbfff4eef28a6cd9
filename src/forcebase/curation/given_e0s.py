"""Reference energies that a user gives: compared with the labels before they are believed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from forcebase.errors import InputError, MixedMethodsError
from forcebase.frames import Frames
from forcebase.physics.reference_energies import fit_e0s, residual_energies

STRONGEST_BINDING = -20.0  # eV/atom; tungsten, the strongest of the solids, is bound by 8.9
WEAKEST_BINDING = 2.0  # eV/atom; no set of structures is unbound by so much at its median


def checked_e0s(members: Frames, e0s: Mapping[str, float], method: str = "") -> dict[str, float]:
    """Give the E0s as plain numbers, once they are known to fit the labels.

    Args:
        members: labelled structures, all of one method.
        e0s: element symbol -> eV.
        method: id of the method that the E0s belong to; "" where that is not known.

    Raises:
        MixedMethodsError: the E0s belong to another method than the labels.
        InputError: an element lacks, a number is not finite, or the E0s leave a binding energy
            that no solid has.
    """
    given = {symbol: float(energy) for symbol, energy in e0s.items()}
    labelled_by = str(members.methods[0])
    if method and method != labelled_by:
        raise MixedMethodsError(
            f"The E0s belong to method {method[:10]}, the labels to {labelled_by[:10]}: two "
            "methods have two zeros of energy.",
            hint="Give E0s of the labels' method, or none: they are fitted then.",
            methods=[method, labelled_by],
        )
    left = residual_energies(members.numbers, members.owners, members.energies, given)
    per_atom = left / members.n_atoms
    median = float(np.median(per_atom))
    if not STRONGEST_BINDING <= median <= WEAKEST_BINDING:  # also where it is not a number
        fitted = fit_e0s(members.numbers, members.owners, members.energies)
        listing = ", ".join(f"{s} {given[s]:.3f} (fitted {fitted[s]:.3f})" for s in fitted)
        raise InputError(
            f"The E0s leave {median:+.2f} eV/atom at the median of {len(per_atom)} records, from "
            f"{per_atom.min():+.2f} to {per_atom.max():+.2f}; bound matter is between "
            f"{STRONGEST_BINDING:g} and {WEAKEST_BINDING:+g}. In eV: {listing}.",
            hint="They are of another code, pseudopotential or unit: give those of the labels' "
            "method, or none.",
            median=median,
            given=given,
            fitted=fitted,
        )
    return given
