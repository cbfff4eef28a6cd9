"""Whose Born charges split longitudinal from transversal modes when two crystals are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from forcebase.errors import InputError
from forcebase.physics.harmonic_crystal import HarmonicCrystal


class Nac(StrEnum):
    """Born charges that are taken for the non-analytical term; its value is what `--nac` takes."""

    REFERENCE = "reference"
    OWN = "own"
    NONE = "none"


@dataclass(frozen=True)
class Splitting:
    """What was done about the non-analytical term of two crystals.

    Attributes:
        asked: whose charges were asked for.
        applied: whose are in the frequencies; `NONE` for none.
        words: one line for a report; "" where neither side has charges.
    """

    asked: Nac
    applied: Nac
    words: str


def nac_of(text: Nac | str) -> Nac:
    """Read whose charges are taken.

    Raises:
        InputError: there is no such choice.
    """
    if text not in set(Nac):
        raise InputError(
            f"There are no Born charges {text!r} to take.", hint=f"It is one of {', '.join(Nac)}."
        )
    return Nac(text)


def with_splitting(
    model: HarmonicCrystal, reference: HarmonicCrystal, asked: Nac = Nac.REFERENCE
) -> tuple[HarmonicCrystal, HarmonicCrystal, Splitting]:
    """Give two crystals in one setting the Born charges that their comparison takes.

    A model has no charges as a rule, and its forces know nothing of them: by default both sides
    take the reference's, so that what differs are the forces.
    """
    ours, theirs = model.response, reference.response
    without = replace(model, response=None), replace(reference, response=None)
    if asked is Nac.OWN and (ours is not None or theirs is not None) and reference.is_bulk:
        told = [_told("model", ours is not None), _told("reference", theirs is not None)]
        words = f"the non-analytical term is made from each side's own charges: {', '.join(told)}"
        return model, reference, Splitting(asked, Nac.OWN, words)
    if asked is Nac.REFERENCE and theirs is not None and reference.is_bulk:
        words = (
            "the non-analytical term is made from the reference's Born charges on both sides: "
            "the splitting of longitudinal and transversal modes is the reference's and no result "
            "of the model"
        )
        return replace(model, response=theirs), reference, Splitting(asked, Nac.REFERENCE, words)
    if ours is None and theirs is None:
        words = ""
    elif not reference.is_bulk:
        words = (
            "Born charges are kept and not applied: the non-analytical term is that of a crystal "
            "in three dimensions, which this is not"
        )
    elif asked is Nac.NONE:
        words = "the non-analytical term is left out on both sides, as asked"
    else:
        words = (
            "the reference has no Born charges: the non-analytical term is left out on both "
            "sides; --nac own takes each side's own"
        )
    return *without, Splitting(asked, Nac.NONE, words)


def _told(side: str, has: bool) -> str:
    return f"the {side} has {'them' if has else 'none'}"
