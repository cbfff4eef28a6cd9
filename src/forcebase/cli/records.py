"""Looking at records: ls, show."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import typer

from forcebase.cli.console import JsonOption, open_database, print_json, print_table
from forcebase.cli.filters import FiltersArgument, parse_filters

SHORT = 10
PARTS = 2
MANY = 1_000_000_000
"""More than any collection holds."""


def ls(
    collection: Annotated[str, typer.Argument(help="structures, methods, calculations, ...")],
    filters: FiltersArgument = None,
    tag: Annotated[str | None, typer.Option(help="Only records with this tag.")] = None,
    limit: Annotated[int, typer.Option(min=0, max=MANY, help="At most so many; 0 for all.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the records of a collection.

    Examples:
      forcebase ls methods
      forcebase ls calculations method_class=dft kind=pristine-2x2
      forcebase ls structures elements=W,Se --json
      forcebase ls activities kind=failure mended=false
      forcebase ls calculations 'elements HAS ALL "W","Se" AND max_force < 5'
      forcebase ls structures chemical_formula_reduced=WSe2 'nsites<10'
    """
    from forcebase.database.collections import COUNT_AT_MOST
    from forcebase.database.neutral_models import same_models
    from forcebase.provenance import sources_of
    from forcebase.provenance.taint import stale_among
    from forcebase.records.kinds import kind_of
    from forcebase.records.method_differences import telling_apart

    with open_database() as db:
        records = db.collection(collection)
        kind = kind_of(collection)
        wanted = parse_filters(db, filters, collection)
        records.check_indexed(tag=tag, **wanted)
        found = records.find(tag=tag, limit=limit, **wanted)
        total = records.count_some(**wanted) if tag is None else len(found)
        stale = stale_among(db, collection, [r.id for r in found])
        same = same_models(db.raw, [r.id for r in found]) if collection == "methods" else {}
        if as_json:
            from forcebase.database.collections import summary

            sources = sources_of(db, found) if kind.about.tells_source else {}
            print_json(
                [
                    {**summary(r), "labels": db.names.of(r.id), "stale": stale.get(r.id)}
                    | ({"from": sources[r.id]} if r.id in sources else {})
                    | ({"same_as": same[r.id]} if r.id in same else {})
                    for r in found
                ]
            )
            return
        apart = telling_apart(found) if collection == "methods" else {}
        rows = [
            [_value(r, column.field) for column in kind.columns] + [" ".join(db.names.of(r.id))]
            for r in found
        ]
        titles = [*(column.title for column in kind.columns), "labels"]
        if kind.about.tells_source:
            titles.append("from")
            sources = sources_of(db, found)
            told = [_end_of(sources.get(r.id, "")) for r in found]
            rows = [[*row, source] for row, source in zip(rows, told, strict=True)]
        if stale:
            titles.append("stale")
            rows = [[*row, stale.get(r.id, "")] for row, r in zip(rows, found, strict=True)]
        if apart:
            titles.append("differs in")
            rows = [[*row, apart.get(r.id, "")] for row, r in zip(rows, found, strict=True)]
        if same:
            titles.append("same as")
            others = [[other[:SHORT] for other in same.get(r.id, [])] for r in found]
            rows = [[*row, " ".join(some)] for row, some in zip(rows, others, strict=True)]
        more = "at least " if total == COUNT_AT_MOST else ""
        title = f"{collection}: {len(found)} of {more}{total}"
        print_table(title, *_without_empty(titles, rows))


def _without_empty(titles: list[str], rows: list[list[Any]]) -> tuple[list[str], list[list[Any]]]:
    """Leave out columns in which no row has anything, but for those of an empty table."""
    full = [
        i for i in range(len(titles)) if not rows or any(row[i] not in ("", None) for row in rows)
    ]
    return [titles[i] for i in full], [[row[i] for i in full] for row in rows]


def _end_of(source: str) -> str:
    """A path by its last folder and its file: `show` and --json have all of it."""
    parts = source.split("/")
    return source if len(parts) <= PARTS else "/".join(["...", *parts[-PARTS:]])


def _value(record: Any, name: str) -> Any:
    field, _, inside = name.partition(".")
    value = getattr(record, field, None)
    if inside:
        value = (value or {}).get(inside)
    if isinstance(value, str) and (name == "id" or len(value) == 64):
        return value[:SHORT]
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, dict):
        return " ".join(f"{key} {item}" for key, item in value.items())
    return value


def show(
    record: Annotated[str, typer.Argument(help="Id (or its first digits), name or tag.")],
    as_json: JsonOption = False,
) -> None:
    """Show one record.

    Examples:
      forcebase show wse2-pbe@1
      forcebase show RECORD --json
    """
    from forcebase.provenance import sources_of
    from forcebase.provenance.taint import stale_among

    with open_database() as db:
        collection, found = db.resolve(record)
        content = {"collection": collection, "labels": db.names.of(found.id)}
        if source := sources_of(db, [found]).get(found.id):
            content["from"] = source
        if stale := stale_among(db, collection, [found.id]):
            content["stale"] = stale[found.id]
        for key, value in found.to_mongo().items():
            content["id" if key == "_id" else key] = _shown(value)
        if as_json:
            print_json(content)
            return
        print_table(
            f"{collection} {found.id}",
            ["field", "value"],
            [[key, _line(value)] for key, value in content.items()],
        )


def _shown(value: Any) -> Any:
    if isinstance(value, dict) and "data" in value and "dtype" in value:
        from forcebase.records.array_field import decode_array

        return decode_array(value).tolist()
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    return value


def _line(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) < 300 else f"{text[:300]} ... ({len(text)} characters; --json)"
