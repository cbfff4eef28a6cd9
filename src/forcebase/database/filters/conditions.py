"""Conditions on fields as MongoDB queries, each with the query of its negation.

A record in which a field is not known fits neither a comparison of the field nor its negation, so a
negation is not what MongoDB's `$nor` finds. Values are never read as operators: each stands behind
one, and text that is searched for is escaped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from forcebase.errors import InputError
from forcebase.records.fields import Field, FieldType, plain_type
from forcebase.records.formula import as_stored

Query = dict[str, Any]
Value = str | int | float | bool | datetime
Item = tuple[str, Value]
"""An operator of the language, and a value."""
OPERATORS = {"=": "$eq", "!=": "$ne", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
INVERSE = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
NEVER: Query = {"_id": {"$in": []}}
LONGEST_LIST = 1_000_000
"""Items; a record of 16 MB holds no longer list."""
LARGEST_INTEGER = 2**63 - 1
NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)


@dataclass(frozen=True)
class Condition:
    """What a record must be like.

    Attributes:
        fits: makes the query of the records that are so.
        fails: makes the query of those that are known not to be so.
    """

    fits: Callable[[], Query]
    fails: Callable[[], Query]

    def negated(self) -> Condition:
        """The opposite."""
        return Condition(self.fails, self.fits)


def both(conditions: Sequence[Condition]) -> Condition:
    """All of the conditions."""
    if len(conditions) == 1:
        return conditions[0]
    return Condition(
        lambda: {"$and": [one.fits() for one in conditions]},
        lambda: {"$or": [one.fails() for one in conditions]},
    )


def either(conditions: Sequence[Condition]) -> Condition:
    """One of the conditions, or several."""
    return both([one.negated() for one in conditions]).negated()


def _leaf(field: Field, fits: Query) -> Condition:
    fails = {"$and": [_known(field), {"$nor": [fits]}]}
    return Condition(lambda: fits, lambda: fails)


def _known(field: Field) -> Query:
    if field.type is FieldType.ANY:  # of several objects in a list, some may lack it
        return {field.stored: {"$exists": True, "$not": {"$type": "null"}}}
    return {field.stored: {"$ne": None}}


def is_known(field: Field) -> Condition:
    """The field has a value."""
    known = _known(field)
    return Condition(lambda: known, lambda: {"$nor": [known]})


def compared(field: Field, operator: str, value: Value) -> Condition:
    """A comparison of one value.

    Raises:
        InputError: the field is a list, or is not of the value's type.
    """
    _require_one(field, operator)
    value = value_for(field, value, operator)
    if operator not in ("=", "!=") and isinstance(value, bool):
        raise InputError(
            f"{field.name} {operator} {str(value).upper()}: booleans have no order.",
            hint="Compare them with = or !=.",
        )
    equal: Query = {field.stored: {"$eq": value}}
    if field.type is FieldType.ANY:
        ordered = {field.stored: _ordered(operator, value)} if operator[0] in "<>" else equal
        found = _leaf(field, ordered)
        return found.negated() if operator == "!=" else found
    other: Query = {field.stored: {"$nin": [value, None]}}
    if operator == "=":
        return Condition(lambda: equal, lambda: other)
    if operator == "!=":
        return Condition(lambda: other, lambda: equal)
    fits: Query = {field.stored: {OPERATORS[operator]: value}}
    fails: Query = {field.stored: {OPERATORS[INVERSE[operator]]: value}}
    return Condition(lambda: fits, lambda: fails)


def _ordered(operator: str, value: Value) -> Query:
    """For MongoDB NaN, which an object may hold, is less than every number."""
    below = isinstance(value, (int, float)) and operator in ("<", "<=")
    return {OPERATORS[operator]: value, **({"$gte": -math.inf} if below else {})}


def text_found(field: Field, how: str, text: Value) -> Condition:
    """The field's text contains another, starts or ends with it.

    Raises:
        InputError: the field is no text.
    """
    _require_one(field, how)
    if field.type not in (FieldType.TEXT, FieldType.ANY):
        raise InputError(f"{how} is for text, and {field.name} is of type {field.type_name}.")
    if not isinstance(text, str):
        raise InputError(f"{field.name} {how} {text!r}: write text in double quotes.")
    escaped = re.escape(text)
    pattern = {"CONTAINS": escaped, "STARTS": f"^{escaped}", "ENDS": rf"{escaped}\z"}[how]
    return _leaf(field, {field.stored: {"$regex": pattern}})


def has(field: Field, which: str, items: Sequence[Item]) -> Condition:
    """A list's items are as said.

    Args:
        field: the list.
        which: ALL: for each of `items` there is an item in the list; ANY: for one of them; ONLY:
            each item in the list, and there is one, is as one of `items` says.
        items: what items are to be like.

    Raises:
        InputError: the field is not a list, or not of the values' types.
    """
    _require_list(field)
    asked = [(operator, value_for(field, value, operator)) for operator, value in items]
    equal = [value for operator, value in asked if operator == "="]
    if which == "ONLY":
        # of a path through a list of objects, the objects are the items
        first = f"{field.inside or field.stored}.0"
        wrong = _none_of(asked)
        right = [{"$nor": [_item(field, wrong)]}] if wrong is not None else []
        return _leaf(field, {"$and": [{first: {"$exists": True}}, *right]})
    if len(equal) == len(asked):
        return _leaf(field, {field.stored: {"$all" if which == "ALL" else "$in": equal}})
    parts = [_item(field, {OPERATORS[operator]: value}) for operator, value in asked]
    return _leaf(field, {"$and" if which == "ALL" else "$or": parts})


def _item(field: Field, condition: Query) -> Query:
    """An item of the list fulfils the condition."""
    if not field.inside:
        return {field.stored: {"$elemMatch": condition}}
    name = field.stored.removeprefix(f"{field.inside}.")
    return {field.inside: {"$elemMatch": {name: condition}}}


def _none_of(asked: Sequence[Item]) -> Query | None:
    """An item that is as none of these say; None where there can be none."""
    by_operator: dict[str, list[Any]] = {}
    for operator, value in asked:
        by_operator.setdefault(INVERSE[operator], []).append(value)
    found: Query = {}
    for operator, values in by_operator.items():
        if operator == "!=":
            found["$nin"] = values
        elif operator == "=":
            if any(value != values[0] for value in values):
                return None
            found["$eq"] = values[0]
        else:
            found[OPERATORS[operator]] = (max if operator[0] == ">" else min)(values)
    return found


def has_length(field: Field, operator: str, n: int) -> Condition:
    """A list has so many items.

    Raises:
        InputError: the field is not a list.
    """
    _require_list(field, of_objects=True)
    path = field.inside or field.stored
    is_list: Query = {path: {"$type": "array"}}

    def at_least(least: int) -> Query:
        if least <= 0:
            return is_list
        if least > LONGEST_LIST:
            return NEVER
        return {"$and": [is_list, {f"{path}.{least - 1}": {"$exists": True}}]}

    def exactly() -> Query:
        return {path: {"$size": n}} if 0 <= n <= LONGEST_LIST else NEVER

    wanted: dict[str, Query] = {
        "=": exactly(),
        "!=": {"$and": [is_list, {"$nor": [exactly()]}]},
        ">=": at_least(n),
        ">": at_least(n + 1),
        "<": {"$and": [is_list, {"$nor": [at_least(n)]}]},
        "<=": {"$and": [is_list, {"$nor": [at_least(n + 1)]}]},
    }
    return Condition(lambda: wanted[operator], lambda: wanted[INVERSE[operator]])


def correlated(fields: Sequence[Field], which: str, rows: Sequence[Sequence[Item]]) -> Condition:
    """Items at the same place of several lists are as said.

    Args:
        fields: the lists.
        which: as of `has`.
        rows: of each, what an item of each list is to be like.

    Raises:
        InputError: a field is not a list of values, or a row has not one value for each of them.
    """
    for field in fields:
        _require_list(field)
        if field.type is FieldType.ANY or field.inside:
            raise InputError(
                f"{field.name} cannot be searched together with another list.",
                hint="That is for lists of text, numbers or booleans, as elements:elements_ratios.",
            )
    wrong = next((row for row in rows if len(row) != len(fields)), None)
    if wrong is not None:
        names = ":".join(field.name for field in fields)
        raise InputError(
            f"{names} HAS: give {len(fields)} values with : between, not {len(wrong)}."
        )
    asked = [
        [(op, value_for(field, value, op)) for field, (op, value) in zip(fields, row, strict=True)]
        for row in rows
    ]
    lists = [{"$ifNull": [f"${field.stored}", []]} for field in fields]
    shortest = {"$min": [{"$size": items} for items in lists]}

    def fit(row: Sequence[Item]) -> Query:
        return {
            "$and": [
                {OPERATORS[op]: [{"$arrayElemAt": [items, "$$at"]}, {"$literal": value}]}
                for items, (op, value) in zip(lists, row, strict=True)
            ]
        }

    def places(condition: Query) -> Query:
        return {"$map": {"input": {"$range": [0, shortest]}, "as": "at", "in": condition}}

    if which == "ONLY":
        of_all = {"$allElementsTrue": [places({"$or": [fit(row) for row in asked]})]}
        wanted: Query = {"$and": [{"$gt": [shortest, 0]}, of_all]}
    else:
        joined = "$and" if which == "ALL" else "$or"
        wanted = {joined: [{"$anyElementTrue": [places(fit(row))]} for row in asked]}
    fits: Query = {"$and": [*_indexed(fields, which, asked), {"$expr": wanted}]}
    known = [{field.stored: {"$type": "array"}} for field in fields]
    fails: Query = {"$and": [*known, {"$expr": {"$not": [wanted]}}]}
    return Condition(lambda: fits, lambda: fails)


def _indexed(fields: Sequence[Field], which: str, rows: Sequence[Sequence[Item]]) -> list[Query]:
    """What an index can answer of it: the values that a list must hold."""
    found: list[Query] = [{field.stored: {"$type": "array"}} for field in fields]
    for place, field in enumerate(fields):
        equal = [row[place][1] for row in rows if row[place][0] == "="]
        if which == "ALL" and equal:
            found.append({field.stored: {"$all": equal}})
        elif which != "ALL" and len(equal) == len(rows):
            found.append({field.stored: {"$in": equal}})
    return found


def _require_one(field: Field, operator: str) -> None:
    if field.many:
        raise InputError(
            f"{field.name} is a list: {operator} compares one value.",
            hint=f'Write {field.name} HAS "...", or HAS ALL, HAS ANY, HAS ONLY, LENGTH.',
        )
    _require_value(field)


def _require_value(field: Field) -> None:
    if field.type in (FieldType.OBJECT, FieldType.ARRAY):
        what = "an object: name a field inside it" if field.type is FieldType.OBJECT else "an array"
        raise InputError(
            f"{field.name} is {what}.",
            hint=f"{field.name} IS KNOWN finds the records that have it.",
        )


def _require_list(field: Field, of_objects: bool = False) -> None:
    if not field.many and field.type is not FieldType.ANY:
        raise InputError(
            f"{field.name} is not a list, but of type {field.type_name}.",
            hint=f"Compare it, as {field.name} = ...",
        )
    if not of_objects:
        _require_value(field)


def value_for(field: Field, value: Value, operator: str = "=") -> Value:
    """A value as the field holds it: a formula in its order, a date as one.

    Raises:
        InputError: it is of another type.
    """
    if field.type is FieldType.ANY:
        return value
    if field.type is FieldType.DATE and isinstance(value, str):
        return _date(field, value)
    right = {
        FieldType.TEXT: isinstance(value, str),
        FieldType.BOOLEAN: isinstance(value, bool),
        FieldType.DATE: isinstance(value, datetime),
    }.get(field.type, isinstance(value, (int, float)) and not isinstance(value, bool))
    if not right:
        unit = f" (in {field.unit})" if field.unit else ""
        hint = "Write text in double quotes, and booleans as TRUE or FALSE."
        raise InputError(
            f"{field.name} is of type {field.type}{unit}, and {value!r} is {plain_type(value)}.",
            hint=hint,
        )
    if operator in ("=", "!="):
        value = as_stored(field.stored, value)
    return value


def _date(field: Field, text: str) -> datetime:
    """A date of RFC 3339, or a day alone, in UTC without a zone, as records have it."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except (ValueError, OverflowError):
        raise InputError(
            f"{field.name} is a date, and {text!r} is none.",
            hint='Write it as "2026-01-31" or "2026-01-31T12:00:00Z".',
        ) from None


def joined(
    field: Field, ids: Callable[[Mapping[str, Any]], list[str]], sub: Condition
) -> Condition:
    """The record that the field names fulfils a condition.

    Args:
        field: holds the id of the other record.
        ids: gives the ids of those that a query finds.
        sub: the condition.
    """
    return Condition(
        lambda: {field.stored: {"$in": ids(sub.fits())}},
        lambda: {field.stored: {"$in": ids(sub.fails())}},
    )


def joined_known(
    field: Field, ids: Callable[[Mapping[str, Any]], list[str]], known: Condition
) -> Condition:
    """The record that the field names has a value; where there is none, it has not either."""
    return Condition(
        lambda: {field.stored: {"$in": ids(known.fits())}},
        lambda: {field.stored: {"$nin": ids(known.fits())}},
    )
