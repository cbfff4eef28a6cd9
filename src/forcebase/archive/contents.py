"""What goes into an archive: records with everything that they were made from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from forcebase.database.compared import FIELDS, compared, whole
from forcebase.database.database import Database
from forcebase.database.pieces import IDS_AT_ONCE
from forcebase.errors import IntegrityError
from forcebase.provenance.references import blobs_of, references_of
from forcebase.records import Name
from forcebase.records.kinds import kind_of, kinds

ACTIVITIES, MEMBERS, TAINTS = "activities", "dataset_members", "taints"
LABELS = Name._meta["collection"]
Root = tuple[str, str]
"""(collection, id) of a record that was asked for."""


@dataclass
class Contents:
    """Ids of all that belongs together.

    Attributes:
        roots: the records that were asked for.
        ids: by collection; labels, taints and members of datasets too.
        blobs: SHA-256 of the bytes that the records name.
    """

    roots: list[Root]
    ids: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    blobs: set[str] = field(default_factory=set)


def gather(db: Database, roots: Iterable[Root]) -> Contents:
    """Follow all that the records name, and that in turn, to the end.

    A dataset brings its members, the dropped ones too; a comparison of labels the calculations
    of both methods that it may have used. All ids are held at once, 130 bytes each.

    Raises:
        IntegrityError: a record names one that is not there, other than a structure's parent.
    """
    contents = Contents(sorted(roots))
    waiting: dict[str, set[str]] = defaultdict(set)
    for place, record in contents.roots:
        waiting[place].add(record)
    while waiting:
        place, ids = waiting.popitem()
        for other, found in _step(db, contents, place, ids - contents.ids[place]).items():
            if new := found - contents.ids[other]:
                waiting[other] |= new
    _add_beside(db, contents)
    return contents


def everything(db: Database) -> list[Root]:
    """All records of the database, as roots."""
    places = db.record_collections.values()
    return [(place.name, row["_id"]) for place in places for row in place.raw.find({}, {"_id": 1})]


def _step(db: Database, contents: Contents, place: str, ids: set[str]) -> dict[str, set[str]]:
    """Take these records, and give the ids of what they name, by collection."""
    named: dict[str, set[str]] = defaultdict(set)
    found: set[str] = set()
    for row in db.collection(place).by_ids(ids, _fields(place)):
        found.add(row["_id"])
        if place == ACTIVITIES:
            continue
        for _, other, record in references_of(place, row):
            named[other].add(record)
        contents.blobs.update(blobs_of(place, row))
        if place == "datasets":
            named["calculations"].update(_members(db, contents, row["_id"]))
        if place == "validations" and row["kind"] == "labels":
            named["calculations"].update(one.hex() for one in whole(compared(db, row)))
    contents.ids[place] |= found
    missing = ids - found
    if missing and not _may_be_elsewhere(place):
        first = sorted(missing)[0]
        raise IntegrityError(
            f"{len(missing)} of {place} that records name are not in this database, as {first}.",
            hint="Run `forcebase verify`.",
            missing=first,
        )
    return named


def _fields(place: str) -> dict[str, int]:
    """What must be read of a record to know what it names."""
    if place == ACTIVITIES:
        return {"_id": 1}
    kind = kind_of(place)
    paths = [one.field for one in kind.references] + [one.field for one in kind.blobs]
    extra = FIELDS if place == "validations" else ()
    return dict.fromkeys([*paths, *extra, "provenance"], 1)


def _may_be_elsewhere(place: str) -> bool:
    """Whether there is a field that names records of a collection which may be elsewhere."""
    named = (reference for kind in kinds() for reference in kind.references)
    return any(one.may_be_elsewhere for one in named if one.collection == place)


def _members(db: Database, contents: Contents, dataset: str) -> Iterator[str]:
    for row in db.members.raw.find({"dataset": dataset}, {"calculation": 1}):
        contents.ids[MEMBERS].add(row["_id"])
        yield row["calculation"]


def _add_beside(db: Database, contents: Contents) -> None:
    """Names, tags and taints of what is in, by an index."""
    inside = [record for ids in contents.ids.values() for record in ids]
    for start in range(0, len(inside), IDS_AT_ONCE):
        some = {"$in": inside[start : start + IDS_AT_ONCE]}
        for name, query in ((LABELS, {"record": some}), (TAINTS, {"_id": some})):
            contents.ids[name].update(row["_id"] for row in db.raw[name].find(query, {"_id": 1}))
