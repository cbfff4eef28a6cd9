"""Hubbard terms of elements, in one form for all codes: u_eV, j_eV and l."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from forcebase.errors import InputError

SHELLS = "spdf"


def join(found: dict[str, dict[str, Any]], symbol: str, entry: dict[str, Any]) -> None:
    """Add what holds for a kind of atoms of an element; two unlike kinds of one are both kept."""
    if symbol in found and found[symbol] != entry:
        kinds = found[symbol].get("kinds") or [found[symbol]]
        entry = {"kinds": [*kinds, *([entry] if entry not in kinds else [])]}
    found[symbol] = entry


def term(u: float, j: float, shell: int, **more: float) -> dict[str, Any]:
    """One term, eV; of `more` what is not zero."""
    others = {name: round(value, 6) for name, value in more.items() if value}
    return {"u_eV": round(u, 6) + 0.0, "j_eV": round(j, 6) + 0.0, "l": shell, **others}


def shell_of(label: str) -> int:
    """The l of "3d" or "d".

    Raises:
        InputError: it is of no shell.
    """
    found = re.fullmatch(r"\d?([spdf])", label.strip().lower())
    if found is None:
        raise InputError(f"it has a Hubbard term for {label!r}, which is not a shell.")
    return SHELLS.index(found.group(1))


def of_setups(setups: Any, symbols: set[str]) -> dict[str, dict[str, Any]]:
    """Symbol -> terms that GPAW's names of setups ask for, as ":d,4.0" or "paw:d,4.0,0;p,1".

    Args:
        setups: one name for all elements, or element -> name, "default" for the others.
        symbols: of the elements in the cell.

    Raises:
        InputError: a name cannot be read, or is of a single atom.
    """
    names = setups if isinstance(setups, Mapping) else {"default": setups}
    strange = [str(key) for key in names if not re.fullmatch(r"default|[A-Z][a-z]?", str(key))]
    if any(":" in str(names[key]) for key in names if str(key) in strange):
        raise InputError(
            "it has Hubbard terms of single atoms, which no element's record can hold."
        )
    found: dict[str, dict[str, Any]] = {}
    for symbol in sorted(symbols):
        _, colon, terms = str(names.get(symbol) or names.get("default") or "").partition(":")
        read = [_setup_term(one) for one in terms.split(";")] if colon else []
        read = [one for one in read if one["u_eV"]]
        if read:
            found[symbol] = read[0] if len(read) == 1 else {"kinds": read}
    return found


def _setup_term(text: str) -> dict[str, Any]:
    shell, _, rest = text.partition(",")
    number, _, scale = rest.partition(",")
    try:
        entry = term(float(number), 0.0, shell_of(shell))
        return entry if not scale or int(scale) else {**entry, "scaled": False}
    except ValueError:
        raise InputError(
            f"its setups have a Hubbard term {text!r}, which cannot be read."
        ) from None
