"""Filters on the command line: `field=value ...` and texts of the filter language."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from forcebase.cli.console import JsonOption, print_json, say
from forcebase.cli.tables import print_lines
from forcebase.errors import InputError

LONGEST_NUMBER = 10
"""Characters; longer ones inside an object are the digits of an id."""
WORDS = {"true": True, "false": False}


def complete_field(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Fields of the collection that the command is given, for the shell."""
    from forcebase.records.fields import completions
    from forcebase.records.kinds import kinds

    collection = str(ctx.params.get("collection") or "calculations")
    if collection not in {kind.name for kind in kinds()}:
        return []
    return completions(collection, incomplete)


FILTERS = "field=value, or a text as 'max_force < 5 AND elements HAS \"W\"': docs/filters.md."
FiltersArgument = Annotated[
    list[str] | None, typer.Argument(help=FILTERS, autocompletion=complete_field)
]


def parse_filters(
    db: Any, filters: list[str] | None, collection: str = "calculations"
) -> dict[str, Any]:
    """Turn filters into keyword arguments of `find`; names become ids.

    Those that are no `field=value` become one text of the filter language, as `query`.

    Raises:
        InputError: a field that the collection's records do not have, or a value that it cannot
            have.
    """
    from forcebase.database.filters.texts import short_form, together

    db.collection(collection)  # raises where there is none
    wanted: dict[str, Any] = {}
    texts = []
    for filter in filters or []:
        short = short_form(filter)
        if short is None:
            texts.append(filter)
        else:
            wanted[short[0]] = _value(db, collection, *short)
    return {**wanted, **({"query": together(texts)} if texts else {})}


def resolve_names(db: Any, filters: Mapping[str, Any]) -> dict[str, Any]:
    """Filters of a recipe file for calculations, with the names of other records as their ids."""
    from forcebase.records.fields import find_field

    found = dict(filters)
    for name, value in filters.items():
        if name != "query" and isinstance(value, str):
            field, _ = find_field("calculations", name)
            if field.reference:
                found[name] = db.resolve(value, field.reference)[1].id
    return found


def _value(db: Any, collection: str, name: str, text: str) -> Any:
    """What `name=text` asks for."""
    from forcebase.records.fields import FieldType, find_field

    field, rest = find_field(collection, name)
    if rest:
        raise InputError(
            f"{name} is a field of other records.", hint=f"Write '{name} = \"{text}\"'."
        )
    if field.reference:  # text even where it looks like a number: the first digits of an id
        ids = [db.resolve(part, field.reference)[1].id for part in text.split(",")]
        return ids if len(ids) > 1 else ids[0]
    if field.type in (FieldType.OBJECT, FieldType.ARRAY):
        raise InputError(
            f"{name} is of type {field.type_name}.", hint="Name a field inside it, if it has any."
        )
    if "," in text or name == "elements":
        return [_scalar(field, part) for part in text.split(",")]
    return _scalar(field, text)


def _scalar(field: Any, text: str) -> Any:
    """A value as the field has it; inside an object, numbers and booleans are recognised."""
    from forcebase.database.filters.conditions import value_for
    from forcebase.records.fields import FieldType

    if field.type is FieldType.TEXT:
        return text
    if field.type is FieldType.DATE:
        return value_for(field, text)
    value = WORDS.get(text.lower(), text)
    if isinstance(value, str):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        if isinstance(value, float) and not math.isfinite(value):
            value = text
    if field.type is FieldType.ANY:
        return value if isinstance(value, (int, float)) and len(text) < LONGEST_NUMBER else text
    right = bool if field.type is FieldType.BOOLEAN else (int, float)
    if not isinstance(value, right) or (right is not bool and isinstance(value, bool)):
        unit = f", in {field.unit}" if field.unit else ""
        words = "true or false" if right is bool else f"a number{unit}"
        raise InputError(f"{field.name}={text}: {field.name} is {words}.")
    return value


def fields(
    collection: Annotated[str, typer.Argument(help="structures, methods, calculations, ...")],
    as_json: JsonOption = False,
) -> None:
    """List the fields by which the records of a collection are found, with types and units.

    Examples:
      forcebase fields calculations
      forcebase fields structures --json
    """
    from dataclasses import asdict

    from forcebase.errors import NotFoundError
    from forcebase.records.fields import fields_of
    from forcebase.records.kinds import kinds

    known = [kind.name for kind in kinds()]
    if collection not in known:
        raise NotFoundError(
            f"There is no collection {collection!r}.", hint=f"There are: {', '.join(known)}."
        )
    found = list(fields_of(collection).values())
    if as_json:
        print_json([{**asdict(field), "type": field.type_name} for field in found])
        return
    rows = [[f.name, _type(f), f.unit, f.description] for f in found]
    left = print_lines(f"fields of {collection}", ["field", "type", "unit", "what"], rows)
    if left:
        say(f"Not shown for want of room: {', '.join(left)}. A wider terminal or --json do.")


def _type(field: Any) -> str:
    """Its type; of a reference, of which records it holds the id or takes the name."""
    return f"id of {field.reference}" if field.reference else str(field.type_name)
