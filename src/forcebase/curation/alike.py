"""One potential and one U for each element, one charge, one magnetic order: as asked, or not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from forcebase.bounds import Bounds, check_bounds
from forcebase.curation.steps import Dropped, Step
from forcebase.errors import InputError, MixedMethodsError
from forcebase.frames import Frames
from forcebase.physics.magnetic_state import ORDERS

ANY = "any"
NOT_RECORDED = "not recorded"
SHORT = 10
EXAMPLES = 2
"""Short ids that a message names for each value."""
VALUES = 4
"""Of each field that a message shows."""
CHARGE_DIGITS = 3
FACTOR = Bounds(1, 1000)


@dataclass(frozen=True)
class Alike(Step):
    """Keep calculations whose method gave them the same potentials and Hubbard terms.

    Charges and magnetic orders are one, or those asked for. Built datasets always have this step.

    Attributes:
        charge: |e| as 0 or "-1/0/1", "any"; None where all are of one.
        magnetic: orders as "ferromagnetic" or "none/ferromagnetic", "any"; None where all are of
            one.
        k_spacing_factor: largest over smallest distance of k-points; beyond, a finding.
        given: calculation id -> potentials, plus_u, charge, order; found in the database when a
            dataset is built. `unrecorded` marks those of schemas that did not keep them.
    """

    name: ClassVar[str] = "alike"
    charge: str | float | None = None
    magnetic: str | None = None
    k_spacing_factor: float = 2.0
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_bounds(self, {"k_spacing_factor": FACTOR}, f"step {self.name}")
        if isinstance(self.charge, (int, float)):
            object.__setattr__(self, "charge", f"{self.charge:g}")
        if self.charge not in (None, ANY):
            _charges(str(self.charge))
        strange = set(_words(self.magnetic or ANY)) - {ANY, *ORDERS}
        if strange:
            raise InputError(
                f"Step {self.name} knows no magnetic order {sorted(strange)[0]!r}.",
                hint=f"Orders are {', '.join(ORDERS)}, and {ANY}.",
            )

    def parameters(self) -> dict[str, Any]:
        """Give what was asked for; what the calculations are stands with them."""
        factor = self.k_spacing_factor
        return {"charge": self.charge, "magnetic": self.magnetic, "k_spacing_factor": factor}

    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:
        """Drop charges and magnetic orders that were not asked for.

        Raises:
            MixedMethodsError: unlike potentials, U, charges or magnetic orders are left.
        """
        if not self.given:
            return []
        indices = [int(i) for i in np.flatnonzero(kept) if str(frames.ids[i]) in self.given]
        dropped = []
        left = []
        for i in indices:
            reason = self._unasked(self.given[str(frames.ids[i])])
            if reason:
                dropped.append((i, reason))
            else:
                left.append(i)
        unlike = unlike_fields(
            {str(frames.ids[i]): self.given[str(frames.ids[i])] for i in left},
            charge=self.charge is None,
            magnetic=self.magnetic is None,
        )
        if unlike:
            raise MixedMethodsError(
                f"The candidates differ in what their method gave them. {'; '.join(unlike)}.",
                hint=_hint(unlike),
                fields=unlike,
            )
        return dropped

    def _unasked(self, given: Mapping[str, Any]) -> str:
        charge = charge_of(given)
        if self.charge not in (None, ANY) and charge not in _charges(str(self.charge)):
            return f"its charge is {charge}, not {self.charge}"
        order = order_of(given)
        if self.magnetic not in (None, ANY) and order not in _words(str(self.magnetic)):
            return f"its magnetic order is {order}, not {self.magnetic}"
        return ""


def unlike_fields(
    given: Mapping[str, Mapping[str, Any]], *, charge: bool = True, magnetic: bool = True
) -> list[str]:
    """Say each field in which calculations are unlike, with counts and short ids.

    Args:
        given: calculation id -> what its method gave; those marked `unrecorded` are left out.
        charge: whether charges must be one.
        magnetic: whether magnetic orders must be one.
    """
    known = {name: entry for name, entry in given.items() if not entry.get("unrecorded")}
    found = []
    if charge:
        found += _unlike("charge", known, charge_of)
    if magnetic:
        found += _unlike("magnetic order", known, order_of)
    for symbol in sorted({s for entry in known.values() for s in entry.get("potentials") or {}}):
        found += _unlike_potentials(symbol, known)
    elements = {s for entry in known.values() for s in entry.get("plus_u") or {}}
    for symbol in sorted(elements):
        among = {n: e for n, e in known.items() if symbol in e["elements"]}
        found += _unlike(f"U of {symbol}", among, _hubbard_of(symbol))
    return found


def _hint(unlike: Sequence[str]) -> str:
    """The next step, by the fields that are unlike."""
    ways = []
    if any(field.startswith("charge") for field in unlike):
        ways.append("`charge=0` among the filters or `--step alike:charge=any`")
    if any(field.startswith("magnetic") for field in unlike):
        ways.append("`--step alike:magnetic=ORDER`, or `any`")
    own = [field.split()[2].rstrip(":") for field in unlike if field.startswith(("pot", "U of"))]
    if own:
        symbol, of_u = own[0], not any(field.startswith("pot") for field in unlike)
        name = f"plus_u.{symbol}.u_eV=4" if of_u else f"potentials.{symbol}.name=TITLE"
        ways.append(f"`{name}` among the filters, for unlike potentials and U need datasets apart")
    return f"Ask for one: {'; '.join(ways)}."


def _hubbard_of(symbol: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda entry: _text((entry.get("plus_u") or {}).get(symbol, "none"))


def charge_of(given: Mapping[str, Any]) -> str:
    """As "+1"; "not recorded"."""
    value = given.get("charge")
    if value is None:
        return NOT_RECORDED
    rounded = round(float(value), CHARGE_DIGITS) + 0.0
    return f"{rounded:+g}" if rounded else "0"


def order_of(given: Mapping[str, Any]) -> str:
    """The magnetic order; "not recorded"."""
    return str(given.get("order") or NOT_RECORDED)


def _unlike(
    name: str, given: Mapping[str, Mapping[str, Any]], value: Callable[[Mapping[str, Any]], str]
) -> list[str]:
    groups: dict[str, list[str]] = {}
    for record, entry in given.items():
        groups.setdefault(value(entry), []).append(record)
    if len(groups) < 2:
        return []
    return [f"{name}: {_counted(groups)}"]


def _unlike_potentials(symbol: str, given: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Two potentials are unlike where a name, hash or library that both have is not the same."""
    table = {
        record: entry["potentials"][symbol]
        for record, entry in given.items()
        if symbol in (entry.get("potentials") or {})
    }
    keys = sorted({key for entry in table.values() for key in entry})
    for key in keys:
        groups: dict[str, list[str]] = {}
        for record, entry in table.items():
            if key in entry:
                groups.setdefault(_text(entry[key]), []).append(record)
        if len(groups) > 1:
            return [f"potential of {symbol} ({key}): {_counted(groups)}"]
    return []


def _counted(groups: Mapping[str, list[str]]) -> str:
    told = [
        f"{value} ({len(records)}, as {', '.join(r[:SHORT] for r in sorted(records)[:EXAMPLES])})"
        for value, records in sorted(groups.items())
    ]
    more = len(told) - VALUES
    return ", ".join([*told[:VALUES], *([f"{more} more values"] if more > 0 else [])])


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(
            f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in value.items()
        )
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) < 40 else text[:SHORT]


def _words(text: str) -> list[str]:
    return [part.strip() for part in text.split("/")]


def _charges(text: str) -> Iterable[str]:
    try:
        return {charge_of({"charge": float(part)}) for part in _words(text)}
    except ValueError:
        raise InputError(f"{text!r} are not charges.", hint="Write 0, or -1/0/1, or any.") from None
