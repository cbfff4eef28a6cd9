"""Formulas of cells, in the one order of elements in which records hold them."""

from __future__ import annotations

from typing import Any

from ase.data import atomic_numbers
from ase.formula import Formula

from forcebase.errors import InputError


def hill_formula(formula: str) -> str:
    """All atoms of a cell in Hill's order: Se8W4, whether W4Se8 or (WSe2)4 was written.

    Raises:
        InputError: it is not a formula, or has no whole number of an element.
    """
    return Formula.from_dict(_counts(formula)).format("hill")


def reduced_formula(formula: str) -> str:
    """The smallest formula of the same composition, metals first: WSe2 for Se8W4.

    Raises:
        InputError: it is not a formula, or has no whole number of an element.
    """
    return Formula.from_dict(_counts(formula)).reduce()[0].format("metal")


AS_STORED = {"formula": hill_formula, "reduced_formula": reduced_formula}
"""Field of records -> how what people write is written there."""


def as_stored(field: str, value: Any) -> Any:
    """What a query compares a field with: formulas in the records' order, all else as it is."""
    write = AS_STORED.get(field)
    if write is None:
        return value
    if isinstance(value, (list, tuple)):
        return [as_stored(field, part) for part in value]
    return write(value) if isinstance(value, str) else value


def _counts(formula: str) -> dict[str, int]:
    from pymatgen.core import Composition  # half a second, which most queries can spare

    hint = "Write it as WSe2, W4Se8 or (WSe2)4."
    try:
        amounts = Composition(formula).get_el_amt_dict()
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{formula!r} is not a formula.", hint=hint) from None
    if unknown := [symbol for symbol in amounts if symbol not in atomic_numbers]:
        raise InputError(f"{formula!r}: there is no element {unknown[0]}.", hint=hint)
    counts = {symbol: round(amount) for symbol, amount in amounts.items()}
    if not counts or any(abs(counts[s] - amounts[s]) > 1e-8 or not counts[s] for s in counts):
        raise InputError(f"{formula!r} has no whole numbers of atoms.", hint=hint)
    return counts
