"""Formulas of cells, in the one order of elements in which records hold them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count, product
from string import ascii_lowercase
from typing import Any

from ase.data import atomic_numbers
from ase.formula import Formula

from forcebase.errors import InputError

ANONYMOUS_PART = re.compile(r"([A-Z][a-z]*)([0-9]*)")


def composition(formula: str) -> dict[str, Any]:
    """What OPTIMADE says of a cell's composition, as fields of records.

    Args:
        formula: of a cell, as Se8W4, without brackets.

    Returns:
        `nelements`; `elements_ratios`, shares of the atoms in the alphabetical order of the
        elements; `chemical_formula_reduced`, alphabetical; `chemical_formula_anonymous`, A being
        the most frequent.
    """
    counts = dict(sorted(Formula(formula).count().items()))
    n = sum(counts.values())
    return {
        "nelements": len(counts),
        "elements_ratios": [number / n for number in counts.values()],
        "chemical_formula_reduced": _written(_smallest(counts)),
        "chemical_formula_anonymous": _anonymous(counts.values()),
    }


def alphabetical_formula(formula: str) -> str:
    """OPTIMADE's reduced formula, Se2W, whether WSe2, Se8W4 or (WSe2)4 was written.

    Raises:
        InputError: it is not a formula, or has no whole number of an element.
    """
    return _written(_smallest(dict(sorted(_counts(formula).items()))))


def anonymous_formula(formula: str) -> str:
    """OPTIMADE's anonymous formula, A2B, whether A2B, AB2 or B4A2 was written.

    Raises:
        InputError: it is not one.
    """
    if not re.fullmatch(f"(?:{ANONYMOUS_PART.pattern})+", formula):
        raise InputError(f"{formula!r} is not an anonymous formula.", hint="Write it as A2B.")
    counts: Counter[str] = Counter()
    for symbol, number in ANONYMOUS_PART.findall(formula):
        counts[symbol] += int(number or 1)
    if not all(counts.values()):
        raise InputError(f"{formula!r} has none of a symbol.", hint="Write it as A2B.")
    return _anonymous(counts.values())


def _smallest(counts: Mapping[str, int]) -> dict[str, int]:
    divisor = math.gcd(*counts.values())
    return {symbol: number // divisor for symbol, number in counts.items()}


def _written(counts: Mapping[str, int]) -> str:
    return "".join(f"{symbol}{number if number > 1 else ''}" for symbol, number in counts.items())


def _anonymous(numbers: Any) -> str:
    """As OPTIMADE has it: from the largest number to the smallest."""
    ordered = sorted(numbers, reverse=True)
    return _written(_smallest(dict(zip(_anonymous_symbols(), ordered, strict=False))))


def _anonymous_symbols() -> Iterator[str]:
    """A, B, ..., Z, Aa, Ab, ..."""
    for size in count(1):
        for letters in product(ascii_lowercase, repeat=size):
            yield "".join(letters).capitalize()


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


AS_STORED = {
    "formula": hill_formula,
    "reduced_formula": reduced_formula,
    "chemical_formula_reduced": alphabetical_formula,
    "chemical_formula_anonymous": anonymous_formula,
}
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
    # pymatgen reads deuterium, which no record holds, as hydrogen
    written = re.findall("[A-Z][a-z]*", formula)
    if unknown := [s for s in (*written, *amounts) if s not in atomic_numbers or s == "X"]:
        raise InputError(f"{formula!r}: there is no element {unknown[0]}.", hint=hint)
    counts = {symbol: round(amount) for symbol, amount in amounts.items()}
    if not counts or any(abs(counts[s] - amounts[s]) > 1e-8 or not counts[s] for s in counts):
        raise InputError(f"{formula!r} has no whole numbers of atoms.", hint=hint)
    return counts
