"""Lists of records: ls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, Any

import typer

from forcebase.cli import completion
from forcebase.cli.console import JsonOption, open_database, print_json, say
from forcebase.cli.tables import number, print_lines
from forcebase.errors import InputError

SHORT = 10
PARTS = 2
MANY = 1_000_000_000
"""More than any collection holds."""
LENGTH, HEX = 64, frozenset("0123456789abcdef")
"""Of ids."""
NEWEST = {"activities": "finished_at"}
"""Collection -> the field by which its newest are found, where that is not `created_at`."""


def ls(
    collection: Annotated[
        str | None,
        typer.Argument(
            help="structures, methods, calculations, ...", autocompletion=completion.collections
        ),
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Argument(help="field=value ...", autocompletion=completion.filters),
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Only records with this tag.")] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            help="Field to sort by; -FIELD for the largest first.",
            autocompletion=completion.fields,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Fields to show, as id,formula,energy.", autocompletion=completion.fields
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, max=MANY, help="At most so many; 0 for all.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the records of a collection, the newest first, or the collections.

    A record is called by its name where it has one, a dataset by its version. Where the terminal
    is narrow, long texts are cut and the last columns left out; through a pipe all is printed.

    Examples:
      forcebase ls
      forcebase ls methods
      forcebase ls calculations method_class=dft kind=pristine-2x2 --sort -max_force
      forcebase ls structures elements=W,Se --json
      forcebase ls calculations --columns id,formula,energy,k_mesh
      forcebase ls activities kind=failure mended=false
    """
    with open_database() as db:
        if collection is None:
            print_collections(db, as_json)
            return
        list_records(db, collection, filters, tag, sort, columns, limit, as_json)


def print_collections(db: Any, as_json: bool) -> None:
    """How many records of each kind there are."""
    counts = {name: db.collection(name).count_some() for name in db.record_collections}
    counts[db.activities.name] = db.activities.count_some()
    if as_json:
        print_json(counts)
        return
    print_lines("collections", ["collection", "records"], list(counts.items()))
    say("Next: `forcebase ls COLLECTION` lists them, `forcebase show RECORD` shows one.")


def list_records(
    db: Any,
    collection: str,
    filters: list[str] | None,
    tag: str | None,
    sort: str | None,
    columns: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print the records that fit, as `ls` is asked to."""
    from forcebase.database.called import called
    from forcebase.database.collections import COUNT_AT_MOST
    from forcebase.database.neutral_models import same_models
    from forcebase.database.tables import summary
    from forcebase.provenance import sources_of
    from forcebase.provenance.taint import stale_among
    from forcebase.records.kinds import kind_of
    from forcebase.records.method_differences import telling_apart

    records = db.collection(collection)
    kind = kind_of(collection)
    shown = _chosen(kind, columns) if columns else kind.columns
    wanted = parse_filters(db, filters, collection)
    records.check_indexed(wanted if tag is None else [])
    found = records.find(tag=tag, limit=limit, sort=_order(kind, sort, wanted, tag), **wanted)
    total = records.count_some(**wanted) if tag is None else len(found)
    ids = [r.id for r in found]
    stale = stale_among(db, collection, ids)
    same = same_models(db.raw, ids) if collection == "methods" else {}
    words = db.names.all_of(ids)
    sources = sources_of(db, found) if kind.about.tells_source else {}
    if as_json:
        print_json(
            [
                {**summary(r), "names": words.get(r.id, []), "stale": stale.get(r.id)}
                | ({"from": sources[r.id]} if r.id in sources else {})
                | ({"same_as": same[r.id]} if r.id in same else {})
                for r in found
            ]
        )
        return
    if not found:
        say(f"{collection}: no record {'matches' if wanted or tag else 'is there yet'}.")
        return
    table = Listing(found)
    table.add("id", [r.id[:SHORT] for r in found])
    if columns is None:
        table.add("names", [" ".join(words.get(r.id, [])) for r in found])
    table.add("stale", [stale.get(r.id, "") for r in found])
    values = {c: [_value(r, c.field) for r in found] for c in shown if c.field != "id"}
    people = called(db, (v for some in values.values() for v in some if _is_id(v)))
    for column, some in values.items():
        cells = [people[v] if _is_id(v) else number(v, column.digits) for v in some]
        table.add(column.title, cells)
    if columns is None:
        apart = telling_apart(found) if collection == "methods" else {}
        table.add("differs in", [apart.get(r.id, "") for r in found])
        table.add("same as", [" ".join(o[:SHORT] for o in same.get(r.id, [])) for r in found])
        table.add("from", [_end_of(sources.get(r.id, "")) for r in found])
    more = "at least " if total == COUNT_AT_MOST else ""
    table.print(f"{collection}: {len(found)} of {more}{total}")


class Listing:
    """A table of records, column by column; columns in which no record has anything stay out."""

    def __init__(self, records: Sequence[Any]) -> None:
        self._records = records
        self._columns: list[tuple[str, list[Any]]] = []

    def add(self, title: str, values: list[Any]) -> None:
        """Add a column, unless all of it is empty."""
        if any(value not in ("", None, []) for value in values):
            self._columns.append((title, values))

    def print(self, title: str) -> None:
        """Print it; what there was no room for is named below."""
        rows = list(zip(*(values for _, values in self._columns), strict=True))
        left = print_lines(title, [name for name, _ in self._columns], rows)
        if left:
            say(f"Not shown for want of room: {', '.join(left)}. `show`, --columns or --json do.")


def _chosen(kind: Any, text: str) -> list[Any]:
    """Columns that the user names: fields, or properties that the kind's own columns show."""
    from forcebase.records.description import Column

    usual = {column.field: column for column in kind.columns}
    known = {"id", *kind.field_types(), *usual}
    chosen = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name.split(".")[0] not in {field.split(".")[0] for field in known}:
            near = get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]}?" if near else f"It has: {', '.join(sorted(known))}."
            raise InputError(f"{kind.name} has no field {name!r}.", hint=hint)
        chosen.append(usual.get(name, Column(name)))
    return chosen


def _order(kind: Any, sort: str | None, wanted: Mapping[str, Any], tag: str | None) -> str:
    """The field to sort by: what is asked for, or the newest first."""
    if sort is None:
        alone = not wanted and tag is None
        return "-$natural" if alone else f"-{NEWEST.get(kind.name, 'created_at')}"
    field = sort.lstrip("-")
    known = {"id", *kind.field_types()}
    if field.split(".")[0] not in known:
        near = get_close_matches(field, known, 1)
        hint = f"Did you mean {near[0]}?" if near else f"It has: {', '.join(sorted(known))}."
        raise InputError(f"{kind.name} cannot be sorted by {field!r}.", hint=hint)
    return sort


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and len(value) == LENGTH and set(value) <= HEX


def _end_of(source: str) -> str:
    """A path by its last folder and its file: `show` and --json have all of it."""
    parts = source.split("/")
    return source if len(parts) <= PARTS else "/".join(["...", *parts[-PARTS:]])


def parse_filters(
    db: Any, filters: list[str] | None, collection: str = "calculations"
) -> dict[str, Any]:
    """Turn `field=value ...` into keyword arguments of `find`; names become ids.

    Raises:
        InputError: a filter without `=`, or a field that the collection's records do not have.
    """
    wanted: dict[str, Any] = dict(map(_filter, filters or []))
    from forcebase.records.kinds import kind_of

    db.collection(collection)  # raises where there is none
    named = places_of(collection)
    known = sorted({"id", *kind_of(collection).field_types()})
    for key, value in wanted.items():
        if key.split(".")[0] not in known:  # what is inside a field, as defect.name, is free
            raise InputError(
                f"{collection} has no field {key!r}.", hint=f"It has: {', '.join(known)}."
            )
        place = collection if key == "id" else named.get(key)
        if place:  # text even where it looks like a number: the first digits of an id
            ids = [db.resolve(text, place)[1].id for text in value.split(",")]
            wanted[key] = ids if len(ids) > 1 else ids[0]
        else:
            wanted[key] = _value_of(key, value)
    return wanted


def resolve_names(db: Any, filters: Mapping[str, Any]) -> dict[str, Any]:
    """Filters of a recipe file for calculations, with the names of other records as their ids."""
    named = places_of("calculations")
    return {
        key: db.resolve(value, named[key])[1].id
        if key in named and isinstance(value, str)
        else value
        for key, value in filters.items()
    }


def places_of(collection: str) -> dict[str, str]:
    """Field -> collection of the record that it names, where that must be in this database."""
    from forcebase.records.kinds import kind_of

    found = kind_of(collection).references
    return {one.field: one.collection for one in found if not one.may_be_elsewhere}


def _filter(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign:
        raise InputError(f"{text!r} is not a filter.", hint="Write field=value.")
    return key, value


def _value_of(key: str, text: str) -> Any:
    if "," in text or key == "elements":
        return [_scalar(part) for part in text.split(",")]
    return _scalar(text)


def _scalar(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, (int, float, bool)) and len(text) < SHORT else text


def _value(record: Any, name: str) -> Any:
    field, _, inside = name.partition(".")
    value: Any = getattr(record, field, None)
    if inside:
        value = (value or {}).get(inside)
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, dict):
        return " ".join(f"{key} {item}" for key, item in value.items())
    return value.tolist() if hasattr(value, "tolist") else value
