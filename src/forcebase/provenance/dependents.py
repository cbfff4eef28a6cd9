"""What depends on a record: by provenance, by fields, as a member, in a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from forcebase.database.compared import FIELDS as FIELDS_OF_COMPARISONS
from forcebase.database.compared import compared, packed_ids
from forcebase.database.database import Database
from forcebase.database.pieces import in_pieces
from forcebase.records.kinds import kind_of

Named = tuple[str, str]
"""Collection and id."""


def dependents(db: Database, collection: str, ids: Iterable[str]) -> Iterator[tuple[str, Named]]:
    """Yield (id, record that depends on it), each at least once where there is any.

    Args:
        db: the database.
        collection: of the records.
        ids: full ids.

    Raises:
        NotFoundError, IntegrityError: the list of a comparison is not there, or was changed.
    """
    wanted = sorted(set(ids))
    for place in db.record_collections.values():
        for piece in in_pieces({"provenance.edges.record": {"$in": wanted}}):
            for row in place.raw.find(piece, {"provenance.edges": 1}):
                for edge in row["provenance"]["edges"]:
                    if edge["collection"] == collection:
                        yield edge["record"], (place.name, row["_id"])
        for reference in kind_of(place.name).references:
            if reference.collection != collection or reference.role:  # edges say the others
                continue
            for piece in in_pieces({reference.field: {"$in": wanted}}):
                for row in place.raw.find(piece, {reference.field: 1}):
                    yield str(row[reference.field]), (place.name, row["_id"])
    if collection == "calculations":
        yield from _of_calculations(db, wanted)


def _of_calculations(db: Database, wanted: list[str]) -> Iterator[tuple[str, Named]]:
    """Members whose dataset is not there were left by a killed process, and hold nothing."""
    there: dict[str, bool] = {}
    for piece in in_pieces({"calculation": {"$in": wanted}}):
        for row in db.members.raw.find(piece, {"calculation": 1, "dataset": 1}):
            dataset = row["dataset"]
            if dataset not in there:
                there[dataset] = not db.datasets.missing([dataset])
            if there[dataset]:
                yield row["calculation"], ("datasets", dataset)
    asked = packed_ids(wanted)
    names = dict(zip(asked.tolist(), wanted, strict=True))
    for row in db.validations.raw.find({"kind": "labels"}, FIELDS_OF_COMPARISONS):
        for one in set(compared(db, row).tolist()) & set(names):
            yield names[one], ("validations", row["_id"])
