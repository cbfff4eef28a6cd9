"""What of two phonons' making has to be alike, so that their difference is one of the forces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from forcebase.errors import InputError
from forcebase.physics.crystal_setting import same_supercell
from forcebase.physics.force_fit import LARGE
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.polar_splitting import Nac
from forcebase.records import Phonon

RELAXED = 1e-2
"""eV/angstrom; with larger forces, a relaxation that did not converge counts as none."""

ANALYTIC = "analytic"


class Part(StrEnum):
    """A part of the protocol; its value is the name that `--allow` takes."""

    SUPERCELL = "supercell"
    DISPLACEMENT = "displacement"
    TEMPERATURE = "temperature"
    RELAXATION = "relaxation"
    SYMMETRIZATION = "symmetrization"
    NAC = "nac"
    MASSES = "masses"


@dataclass(frozen=True)
class Protocol:
    """How two phonons were made, side by side.

    Attributes:
        unlike: part -> what it is for the model and for the reference, in words.
        not_known: parts that one of the two records does not tell.
    """

    unlike: dict[Part, tuple[str, str]]
    not_known: tuple[Part, ...]

    def check(self, allowed: Iterable[Part]) -> None:
        """Make sure that all that is unlike is allowed.

        Raises:
            InputError: it is not; each part is named.
        """
        refused = {part: values for part, values in self.unlike.items() if part not in set(allowed)}
        if refused:
            named = [f"{part} ({' and '.join(values)})" for part, values in refused.items()]
            options = " ".join(f"--allow {part}" for part in refused)
            raise InputError(
                f"The two phonons were made by unlike protocols: {'; '.join(named)}.",
                hint=f"Compute one of them again by the other's protocol, or go on with {options}.",
                unlike={str(part): list(values) for part, values in refused.items()},
            )


def parts_of(names: Iterable[str]) -> tuple[Part, ...]:
    """Read names of parts.

    Raises:
        InputError: there is no such part.
    """
    found = set()
    for name in names:
        try:
            found.add(Part(name))
        except ValueError:
            raise InputError(
                f"There is no part {name!r} of a phonon's protocol.",
                hint=f"Allow one of {', '.join(Part)}.",
            ) from None
    return tuple(sorted(found))


def hold_protocols(
    model: tuple[Phonon, HarmonicCrystal],
    reference: tuple[Phonon, HarmonicCrystal],
    nac: Nac = Nac.REFERENCE,
) -> Protocol:
    """Compare how two phonons were made: records, and crystals in one setting.

    Born charges, `nac`, are unlike only where each side takes its own and one has none.

    Analytic derivatives are the limit of small displacements and so unlike no displacement; what
    a displacement does to a model is its noise floor.
    """
    unlike: dict[Part, tuple[str, str]] = {}
    not_known = []
    if not same_supercell(model[1], reference[1]):
        unlike[Part.SUPERCELL] = (_size(model), _size(reference))
    if not np.allclose(model[1].masses, reference[1].masses, rtol=0, atol=1e-6):
        unlike[Part.MASSES] = (_masses(model[1]), _masses(reference[1]))
    if nac is Nac.OWN and reference[1].is_bulk:
        has = [side[1].response is not None for side in (model, reference)]
        if has[0] != has[1]:
            unlike[Part.NAC] = (_born(has[0]), _born(has[1]))
    for part, ours, theirs in _told(model[0], reference[0]):
        if ours is None or theirs is None:
            not_known.append(part)
        elif ours != theirs:
            unlike[part] = (ours, theirs)
    return Protocol(unlike, tuple(not_known))


def amplitude(phonon: Phonon) -> float | None:
    """Length of the displacements, angstrom; 0 for analytic derivatives, None where not told.

    Of random displacements of all atoms, the root mean square of theirs.
    """
    if phonon.protocol.get("method") == ANALYTIC:
        return 0.0
    found = phonon.protocol.get("amplitude_A" if is_random(phonon) else "displacement_A")
    return None if found is None else float(found)


def is_random(phonon: Phonon) -> bool:
    """Whether its force constants were fitted to displacements of all atoms at once."""
    return phonon.protocol.get("displacements") == "random"


def temperature(phonon: Phonon) -> str | None:
    """Of what temperature its force constants are, in words; None where that is not told.

    Derivatives and small displacements are harmonic. A fit to large displacements is effective at
    their amplitude, whether a temperature is told or not.
    """
    protocol, length = phonon.protocol, amplitude(phonon)
    kelvin = protocol.get("temperature_K")
    if kelvin is not None:
        words = [protocol.get(name) or f"{name} not told" for name in ("statistics", "source")]
        return f"{float(kelvin):g} K, {', '.join(words)}"
    if length is None:
        return None
    if is_random(phonon) and length > LARGE:
        return f"effective at random displacements of {length:g} A, temperature not told"
    return "harmonic"


def _told(model: Phonon, reference: Phonon) -> Iterator[tuple[Part, str | None, str | None]]:
    ours, theirs = amplitude(model), amplitude(reference)
    if ours != 0 and theirs != 0:
        yield Part.DISPLACEMENT, _displaced(model), _displaced(reference)
    yield Part.TEMPERATURE, temperature(model), temperature(reference)
    yield Part.RELAXATION, _relaxation(model), _relaxation(reference)
    yield Part.SYMMETRIZATION, _symmetrization(model), _symmetrization(reference)


def _symmetrization(phonon: Phonon) -> str | None:
    return _word(phonon.protocol.get("symmetrized"), "symmetrized")


def _born(has: bool) -> str:
    return "Born charges" if has else "no Born charges"


def _relaxation(phonon: Phonon) -> str | None:
    relaxation: dict[str, Any] = phonon.relaxation or {}
    if relaxation.get("converged") is None:
        return None
    force = relaxation.get("max_force")
    relaxed = relaxation["converged"] or (force is not None and force <= RELAXED)
    return _word(bool(relaxed), "relaxed")


def _word(flag: bool | None, word: str) -> str | None:
    return None if flag is None else word if flag else f"not {word}"


def _displaced(phonon: Phonon) -> str | None:
    length = amplitude(phonon)
    if length is None:
        return None
    return f"random, {length:g} A" if is_random(phonon) else f"{length:g} A"


def _size(side: tuple[Phonon, HarmonicCrystal]) -> str:
    rows = [",".join(map(str, row)) for row in side[1].supercell_matrix.T.tolist()]
    return f"{side[0].n_atoms_supercell} atoms, {' '.join(rows)}"


def _masses(crystal: HarmonicCrystal) -> str:
    pairs = zip(crystal.primitive_symbols, crystal.masses.round(6).tolist(), strict=True)
    return ", ".join(f"{symbol} {mass:g} amu" for symbol, mass in sorted(set(pairs)))
