"""Lists of records: ls."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from forcebase.cli import completion
from forcebase.cli.console import JsonOption, open_database, print_json, say
from forcebase.cli.filters import FiltersArgument, parse_filters
from forcebase.cli.tables import number, print_lines

SHORT = 10
PARTS = 2
MANY = 1_000_000_000
"""More than any collection holds."""
LENGTH, HEX = 64, frozenset("0123456789abcdef")
"""Of ids."""
NEWEST_WRITTEN = "-$natural"
NEWEST = {"activities": "finished_at"}
"""Collection -> the field by which its newest are found, where that is not `created_at`."""


def ls(
    collection: Annotated[
        str | None,
        typer.Argument(
            help="structures, methods, calculations, ...", autocompletion=completion.collections
        ),
    ] = None,
    filters: FiltersArgument = None,
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
    Of a tag, or where over 20,000 match, the order is that of --sort alone.

    Examples:
      forcebase ls
      forcebase ls methods
      forcebase ls calculations method_class=dft kind=pristine-2x2 --sort -max_force
      forcebase ls structures elements=W,Se --json
      forcebase ls calculations --columns id,formula,energy,k_mesh
      forcebase ls activities kind=failure resolved=false
      forcebase ls calculations 'elements HAS ALL "W","Se" AND max_force < 5'
      forcebase ls structures chemical_formula_reduced=WSe2 'nsites<10'
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
    records.check_indexed(tag=tag, **wanted)
    total = records.count_some(**wanted) if tag is None else 0
    if sort is None:
        few = tag is None and total < COUNT_AT_MOST
        sort = _newest_first(kind, bool(wanted) or tag is not None, few)
    found = records.find(tag=tag, limit=limit, sort=sort, **wanted)
    total = total if tag is None else len(found)
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
    from forcebase.records.fields import find_field

    usual = {column.field: column for column in kind.columns}
    chosen = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name in usual:
            chosen.append(usual[name])
        else:
            field, _ = find_field(kind.name, name)
            chosen.append(Column(field.stored, name, field.unit))
    return chosen


def _newest_first(kind: Any, filtered: bool, few: bool) -> str | None:
    """How to sort for that; None where it would mean to read very many records."""
    if not filtered:
        return NEWEST_WRITTEN
    return f"-{NEWEST.get(kind.name, 'created_at')}" if few else None


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and len(value) == LENGTH and set(value) <= HEX


def _end_of(source: str) -> str:
    """A path by its last folder and its file: `show` and --json have all of it."""
    parts = source.split("/")
    return source if len(parts) <= PARTS else "/".join(["...", *parts[-PARTS:]])


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
