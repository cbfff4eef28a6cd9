"""What tells methods apart, field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forcebase.records.method import DFTMethod, Method

NOT_RECORDED = "not recorded"
"""Of a rule that a record of a schema up to 8 does not keep: it is like no other."""
NONE = "none"
SHORT = 10
FIELDS_SHOWN, VALUES_SHOWN, IDS_SHOWN = 5, 3, 2
"""Of a message: what a reader takes in at once."""


def rules_of(method: Method) -> dict[str, Any]:
    """Name of each rule, dotted where it is inside another, and its value as text or number."""
    if not isinstance(method, DFTMethod):
        return {"kind": getattr(method, "kind", ""), "weights": getattr(method, "weights", "")}
    found: dict[str, Any] = {}
    names = dict.fromkeys((*method.RULES, *(() if method.is_recorded else method.FIELDS)))
    for name in names:
        value = getattr(method, name)
        if not method.is_recorded and name not in method.FIELDS:
            found[name] = NOT_RECORDED
        elif isinstance(value, Mapping):
            found |= {f"{name}.{key}": _plain(item) for key, item in value.items()}
        elif value is not None:
            found[name] = value
    return found


def differences(methods: Sequence[Method]) -> dict[str, list[Any]]:
    """Rules in which methods differ -> the value of each, "none" where it has none."""
    tables = [rules_of(method) for method in methods]
    names = dict.fromkeys(name for table in tables for name in table)
    found: dict[str, list[Any]] = {}
    for name in names:
        parent = name.partition(".")[0]
        values = [
            table.get(name, NOT_RECORDED if table.get(parent) == NOT_RECORDED else NONE)
            for table in tables
        ]
        if any(value != values[0] for value in values) or NOT_RECORDED in values:
            found[name] = values
    return found if len(methods) > 1 else {}


def describe_differences(methods: Sequence[Method], counts: Mapping[str, int]) -> str:
    """Say in one line in what methods differ, with counts and short ids, the first few of each.

    Args:
        methods: at least two.
        counts: id -> how many records.
    """
    parts = []
    for name, values in differences(methods).items():
        by_value: dict[str, list[Method]] = {}
        for method, value in zip(methods, values, strict=True):
            by_value.setdefault(str(value), []).append(method)
        if len(by_value) > 1 or NOT_RECORDED in by_value:
            parts.append((name, by_value))
    told = [f"{name}: {_values(by_value, counts)}" for name, by_value in parts[:FIELDS_SHOWN]]
    more = len(parts) - FIELDS_SHOWN
    return "; ".join([*told, *([f"and {more} more rules"] if more > 0 else [])])


def _values(by_value: Mapping[str, list[Method]], counts: Mapping[str, int]) -> str:
    def n(some: list[Method]) -> int:
        return sum(counts.get(method.id, 0) for method in some)

    ordered = sorted(by_value.items(), key=lambda pair: (-n(pair[1]), pair[0]))
    told = [f"{value} ({n(some)} of {_ids(some)})" for value, some in ordered[:VALUES_SHOWN]]
    more = len(ordered) - VALUES_SHOWN
    return ", ".join([*told, *([f"{more} more values"] if more > 0 else [])])


def telling_apart(methods: Sequence[Method]) -> dict[str, str]:
    """For methods of equal titles: id -> what tells it from the others of its title."""
    by_title: dict[str, list[Method]] = {}
    for method in methods:
        if isinstance(method, DFTMethod):
            by_title.setdefault(method.title, []).append(method)
    found = {}
    for same in by_title.values():
        unlike = differences(same) if len(same) > 1 else {}
        for i, method in enumerate(same):
            told = [f"{n} {values[i]}" for n, values in unlike.items() if values[i] != NONE]
            if unlike:
                found[method.id] = "; ".join(told) or f"none of {', '.join(unlike)}"
    return found


def _ids(methods: Sequence[Method]) -> str:
    told = [method.id[:SHORT] for method in methods[:IDS_SHOWN]]
    more = len(methods) - IDS_SHOWN
    return ", ".join([*told, *([f"{more} more"] if more > 0 else [])])


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:g}"
    return value
