"""What a crystal answers to an electric field: Born charges and the dielectric tensor.

They give the non-analytical term that splits longitudinal from transversal optical modes near
Gamma; Gonze and Lee, PRB 55, 10355 (1997), as phonopy does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forcebase.errors import InputError

GONZE, WANG = "gonze", "wang"
METHODS = (GONZE, WANG)
"""Ways of phonopy to make the term; it knows no others."""

LARGEST_CHARGE = 1000.0
"""e; ferroelectrics have up to some ten, crystals near a transition to a metal some hundred."""

UNBALANCED = 0.1
"""e an atom: what the charges of converged calculations add up to is below a few hundredths."""

FACTOR = 14.399645
"""e^2 / (4 pi epsilon_0), eV angstrom."""


@dataclass(frozen=True, eq=False)
class DielectricResponse:
    """Born effective charges and clamped-ion dielectric tensor, and how their term is made.

    Attributes:
        born: (n_primitive, 3, 3) charges, e, of the primitive cell's atoms in their order;
            indices as in phonopy's BORN.
        dielectric: (3, 3) of the electrons alone, without unit.
        factor: e^2 / (4 pi epsilon_0), eV angstrom; None takes phonopy's own value.
        method: `GONZE` or `WANG`.
        g_cutoff: 1/angstrom, of the sum of `GONZE`; None takes phonopy's choice.
        ewald: 1/angstrom, its width; None takes phonopy's choice.

    Raises:
        InputError: arrays of other shapes or not finite, charges that no crystal has, no positive
            dielectric tensor, an unknown method, or numbers of it that are none.
    """

    born: NDArray[np.float64]
    dielectric: NDArray[np.float64]
    factor: float | None = None
    method: str = GONZE
    g_cutoff: float | None = None
    ewald: float | None = None

    def __post_init__(self) -> None:
        shapes = np.shape(self.born)[1:], np.shape(self.dielectric)
        if shapes != ((3, 3), (3, 3)):
            raise InputError(
                f"Born charges of shape {np.shape(self.born)} or a dielectric tensor of shape "
                f"{np.shape(self.dielectric)}: both are 3x3, the charges of each atom.",
                hint="Give (n_primitive, 3, 3) and (3, 3).",
            )
        if not (np.isfinite(self.born).all() and np.isfinite(self.dielectric).all()):
            raise InputError("The Born charges or the dielectric tensor hold NaN or infinity.")
        if np.abs(self.born).max(initial=0.0) > LARGEST_CHARGE:
            raise InputError(
                f"A Born charge of {np.abs(self.born).max():.3g} e is one that no crystal has.",
                hint="Look for the unit and the order of numbers in its file.",
            )
        if np.linalg.eigvalsh((self.dielectric + self.dielectric.T) / 2).min() <= 0:
            raise InputError(
                "The dielectric tensor is not positive: no insulator has it.",
                hint="Take the electronic one, without the ions' part.",
                dielectric=np.asarray(self.dielectric).tolist(),
            )
        if self.method not in METHODS:
            raise InputError(
                f"There is no non-analytical term {self.method!r}.",
                hint=f"phonopy has {' and '.join(METHODS)}.",
            )
        if self.factor is not None and not FACTOR / 2 <= self.factor <= FACTOR * 2:
            raise InputError(
                f"The factor of the non-analytical term is {self.factor:g} eV angstrom; it is a "
                f"constant, {FACTOR:.4f}.",
                hint="It is in another calculator's units, or something else.",
            )
        for name, value in (("cutoff", self.g_cutoff), ("width", self.ewald)):
            if value is not None and not 0 < value < np.inf:
                raise InputError(f"The {name} of the sum of the non-analytical term is {value:g}.")

    @classmethod
    def from_phonopy(cls, given: Mapping[str, Any]) -> DielectricResponse:
        """Take over phonopy's `nac_params`, in eV and angstrom."""
        return cls(
            born=np.array(given["born"], dtype=float),
            dielectric=np.array(given["dielectric"], dtype=float),
            factor=_number(given.get("factor")),
            method=str(given.get("method") or GONZE).lower(),
            g_cutoff=_number(given.get("G_cutoff")),
            ewald=_number(given.get("Lambda")),
        )

    def to_phonopy(self) -> dict[str, Any]:
        """As phonopy's `nac_params`, for a crystal in eV and angstrom."""
        from phonopy.physical_units import get_calculator_physical_units

        factor = get_calculator_physical_units().nac_factor if self.factor is None else self.factor
        given = {"G_cutoff": self.g_cutoff, "Lambda": self.ewald}
        return {
            "born": np.array(self.born, dtype=float, order="C"),
            "dielectric": np.array(self.dielectric, dtype=float, order="C"),
            "factor": factor,
            "method": self.method,
            **{name: value for name, value in given.items() if value is not None},
        }

    def settings(self) -> dict[str, Any]:
        """How the term is made, units in the names; nothing of what phonopy chooses itself."""
        given = {
            "method": self.method,
            "factor_eV_A": self.factor,
            "g_cutoff_per_A": self.g_cutoff,
            "ewald_per_A": self.ewald,
        }
        return {name: value for name, value in given.items() if value is not None}

    def finding(self) -> str | None:
        """What the charges add up to, where it is far from the zero of the acoustic sum rule.

        Pick, Cohen and Martin, PRB 1, 910 (1970).
        """
        total = self.born.sum(axis=0)
        most = total.flat[np.abs(total).argmax()]
        each = abs(most) / max(len(self.born), 1)
        if each <= UNBALANCED:
            return None
        return (
            f"the Born charges of the primitive cell add up to {most:.2f} e ({each:.2f} e an atom) "
            "in place of 0: the modes near Gamma are wrong with them; look at their order, and at "
            "the convergence in k-points"
        )

    def of_atoms(self, atoms: ArrayLike) -> DielectricResponse:
        """The same for (n,) atoms of the cell that it has, in that order."""
        return replace(self, born=self.born[np.asarray(atoms, dtype=np.int64)])

    def turned(self, turn: ArrayLike) -> DielectricResponse:
        """The same after positions were turned to `positions @ turn`, (3, 3) orthogonal."""
        rotation = np.asarray(turn, dtype=float)
        return replace(
            self,
            born=rotation.T @ self.born @ rotation,
            dielectric=rotation.T @ self.dielectric @ rotation,
        )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
