"""One record: show it, and say what it is called by (name, tag)."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from forcebase.cli.arguments import RecordArgument
from forcebase.cli.console import JsonOption, open_database, print_json, say
from forcebase.cli.tables import print_table
from forcebase.errors import InputError

SHORT = 10
WIDTH = 300
"""Characters of a value; --json has more."""
HOUSEKEEPING = ("_cls", "checksum", "provenance", "identity")
"""Fields that `trace` and `verify` tell in better words."""


def show(record: RecordArgument, as_json: JsonOption = False) -> None:
    """Show one record as a person reads it: numbers with units, names of what it belongs to.

    --json prints all that is stored.

    Examples:
      forcebase show wse2-pbe@1
      forcebase show RECORD --json
    """
    from forcebase.provenance import sources_of
    from forcebase.provenance.subject import find_subject
    from forcebase.provenance.taint import stale_among
    from forcebase.report.summaries.record import summarise

    with open_database() as db:
        place, record_id = find_subject(db, record)
        found = db.members.get(record_id) if place == db.members.name else None
        found = found or db.collection(place).get(record_id)
        beside: dict[str, Any] = {"names": db.names.of(found.id)}
        if source := sources_of(db, [found]).get(found.id):
            beside["from"] = source
        if stale := stale_among(db, place, [found.id]):
            beside["stale"] = stale[found.id]
        stored = {k: _shown(v) for k, v in found.to_mongo().items() if k != "_id"}
        if as_json:
            print_json({"collection": place, "id": found.id, **beside, **stored})
            return
        lines = summarise(db, place, found) or [
            (key, _line(value))
            for key, value in stored.items()
            if key not in HOUSEKEEPING and value not in (None, "", [], {})
        ]
        beside["names"] = " ".join(beside["names"])
        told = [("id", found.id[:SHORT]), *((k, v) for k, v in beside.items() if v)]
        print_table(place, ["field", "value"], [*told, *lines])


def name(
    record: RecordArgument,
    text: Annotated[str, typer.Argument(metavar="name", help="To call it by from now on.")],
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the name off; the record stays.")
    ] = False,
    move: Annotated[
        bool, typer.Option("--move", help="Take it from the record that has it now.")
    ] = False,
) -> None:
    """Give a record a name, which every command takes in the place of its id.

    A name stands for one record. `forcebase log` keeps who gave it and when.

    Examples:
      forcebase name RECORD si-primitive
      forcebase name RECORD best-model --move
      forcebase name si-primitive si-primitive --remove
    """
    with open_database(writing=True) as db:
        place, found = db.resolve(record)
        now = db.names.named(text)
        if remove:
            if now != (place, found.id):
                raise InputError(
                    f"{found.id[:10]} has no name {text!r}.",
                    hint=f"Its names and tags: {' '.join(db.names.of(found.id)) or 'none'}.",
                )
            db.names.unname(text)
            say(f"{found.id[:10]} is no longer called {text}.")
            return
        _check_free(db, text, now, (place, found.id), move)
        db.names.name(text, place, found.id)
        say(f"{place} {found.id[:10]} is called {text}.")


def _check_free(
    db: Any, text: str, now: tuple[str, str] | None, wanted: tuple[str, str], move: bool
) -> None:
    """A name of another record is taken from it only when that is asked for."""
    db.names.check(text)
    if now is not None and now != wanted and not move:
        raise InputError(
            f"{text} is the name of {now[0]} {now[1][:10]}.",
            hint="--move takes it from there, or give another name.",
        )
    if db.datasets.one(name=text.rpartition("@")[0] or text) is not None:
        raise InputError(
            f"{text} is what a dataset is called.", hint="Datasets come first: give another name."
        )


def tag(
    text: Annotated[str, typer.Argument(metavar="tag", help="Word that many records may carry.")],
    records: Annotated[list[str], typer.Argument(help="Ids, names or tags of the records.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the tag off them.")] = False,
) -> None:
    """Put a tag on records, by which `ls --tag` finds them together.

    Examples:
      forcebase tag to-check RECORD
      forcebase ls calculations --tag to-check
      forcebase tag to-check RECORD --remove
    """
    with open_database(writing=True) as db:
        db.names.check(text, "tag")
        found = [(place, one.id) for place, one in map(db.resolve, records)]
        for place, record in found:
            if remove:
                db.names.untag(text, record)
            else:
                db.names.tag(text, place, record)
        done = "no longer carry" if remove else "carry"
        say(f"{len(found)} record{'s' if len(found) != 1 else ''} {done} the tag {text}.")


def _shown(value: Any) -> Any:
    if isinstance(value, dict) and "data" in value and "dtype" in value:
        from forcebase.records.array_field import decode_array

        return decode_array(value).tolist()
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    return value


def _line(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) < WIDTH else f"{text[:WIDTH]} ... ({len(text)} characters; --json)"
