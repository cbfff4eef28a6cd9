"""Reading and writing records: mongoengine gives the shape, pymongo moves the bytes."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from bson.errors import InvalidDocument
from mongoengine import Document
from mongoengine.errors import ValidationError
from pymongo.errors import BulkWriteError, PyMongoError

from forcebase.database.filters.queries import is_indexed, paths_in, refuse_operators
from forcebase.database.pieces import IDS_AT_ONCE, in_pieces
from forcebase.database.results import Results
from forcebase.database.rows import Row, outer, value_at
from forcebase.database.write_errors import NOT_VALID, is_duplicate_id, not_valid, write_error
from forcebase.database.written import Written, id_of
from forcebase.errors import DatabaseError, InputError, NotFoundError
from forcebase.records.base import StructuresOf
from forcebase.records.fields import find_field
from forcebase.records.formula import as_stored

if TYPE_CHECKING:
    from pymongo.collection import Collection
    from pymongo.database import Database as MongoDatabase

R = TypeVar("R", bound=Document)
FEW = 50_000
"""Records that are all read in 0.1 s."""
WRITTEN = "$natural"
"""In the place of a field to sort by: the order in which MongoDB has the documents."""
COUNT_AT_MOST = 20_000
"""Counting goes so far in 0.1 s, also where the records must be looked at, as for two elements."""
ON_THEIR_WAY = 2
"""Pieces that the server checks and indexes, each on one core, while the next is made."""


class RecordCollection(Generic[R]):
    """One collection of records of one document class.

    Args:
        database: the MongoDB database.
        document: the mongoengine class that gives the shape.
        structures: gives structures by their ids, for records that become ASE Atoms with them.
        narrow: turns a tag or name given to `find` into record ids.
        id_of: the id of the record of a collection that a name, tag or digits of an id stand for.
    """

    def __init__(
        self,
        database: MongoDatabase,
        document: type[R],
        structures: StructuresOf,
        narrow: Callable[[str, str], list[str]] | None = None,
        id_of: Callable[[str, str], str] = lambda text, _: text,
    ) -> None:
        self.document = document
        self.name: str = document._meta["collection"]
        self.raw: Collection = database[self.name]
        self._structures = structures
        self._narrow = narrow
        self._id_of = id_of

    def add(self, records: Iterable[R]) -> int:
        """Write records that are not there yet and give their number.

        A record whose id is there already is left as it is: content is named by its digest,
        so writing it twice changes nothing.

        Raises:
            InputError: a record does not have the shape of its class, or holds what BSON cannot.
            DatabaseError: the server refused (full disk, lost connection, over 16 MB).
        """
        return self.add_stored([self.checked(record) for record in records])

    def add_stored(
        self, documents: Sequence[Mapping[str, Any]], written: Written | None = None
    ) -> int:
        """Like `add`, of records in their stored form, which `checked` or a table gave.

        Args:
            documents: the records.
            written: told of those that are here by its activity, now or from an earlier try.

        Raises:
            InputError: a record is not what the schema of the collection allows.
            DatabaseError: the server refused.
            AccessError: the user may not write.
        """
        if not documents:
            return 0
        try:
            self.raw.insert_many(documents, ordered=False)
            if written is not None:
                written.take(self.name, map(id_of, documents))
            return len(documents)
        except BulkWriteError as error:
            serious = [e for e in error.details["writeErrors"] if not is_duplicate_id(e)]
            if serious:
                for refused in serious:
                    if refused.get("code") == NOT_VALID:
                        raise not_valid(self.name, refused) from None
                raise DatabaseError(
                    f"MongoDB refused to write to {self.name}: {serious[0]['errmsg'][:300]}",
                    hint="Nothing of the refused records was written.",
                ) from None
            if written is not None:
                known = {e["index"] for e in error.details["writeErrors"]}
                self._take(documents, known, written)
            return int(error.details["nInserted"])
        except (PyMongoError, InvalidDocument, OverflowError) as error:
            raise write_error(self.raw, error) from error

    def _take(
        self, documents: Sequence[Mapping[str, Any]], known: set[int], written: Written
    ) -> None:
        """Count in what is new, and of what was known that which an earlier try wrote."""
        new = [id_of(d) for i, d in enumerate(documents) if i not in known]
        there = self.by_ids({id_of(documents[i]) for i in known}, {"provenance.activity": 1})
        own = [
            row["_id"]
            for row in there
            if (row.get("provenance") or {}).get("activity") == written.activity
        ]
        written.take(self.name, [*new, *own])

    def add_pieces(
        self, pieces: Iterable[Sequence[Mapping[str, Any]]], written: Written | None = None
    ) -> int:
        """Write as `add_stored` does, some pieces on their way while the next is laid out.

        Raises:
            DatabaseError: the server refused; other pieces may be written.
        """
        new = 0
        with ThreadPoolExecutor(ON_THEIR_WAY) as pool:
            sent: deque[Future[int]] = deque()
            for piece in pieces:
                if len(sent) == ON_THEIR_WAY:
                    new += sent.popleft().result()
                sent.append(pool.submit(self.add_stored, piece, written))
            return new + sum(piece.result() for piece in sent)

    def checked(self, record: R) -> dict[str, Any]:
        """Give the stored form of a record, or raise InputError if it has not its class' shape."""
        try:
            record.validate()
        except ValidationError as error:
            raise InputError(f"Not a valid record of {self.name}: {error}") from None
        try:
            return record.to_mongo().to_dict()
        except (InvalidDocument, OverflowError) as error:
            raise InputError(f"A record of {self.name} cannot be stored: {error}") from None

    def find(
        self,
        query: str | Mapping[str, Any] | None = None,
        *,
        tag: str | None = None,
        limit: int = 0,
        skip: int = 0,
        sort: str | None = None,
        fields: Sequence[str] | None = None,
        **equal: Any,
    ) -> Results[R]:
        """Find records.

        Args:
            query: text of the filter language, as 'elements HAS "Si" AND max_force < 5'
                (docs/filters.md), or a MongoDB query.
            tag: only records that carry this tag.
            limit: at most so many; 0 for all.
            skip: leave out so many at the beginning; the order of all is fixed then.
            sort: field to sort by; "-field" for descending; "-$natural" for the newest first.
            fields: read only these, in the place of records: rows with `id` and what was asked for.
            **equal: field = value; a list means any of these, and for `elements` all of these.
                Names stand for ids where a field names another record.

        Raises:
            InputError: the records have no such field, or the text cannot be read.
            NotFoundError: a name stands for no record.
        """
        asked: dict[str, Any] = {"tag": tag, "limit": limit, "skip": skip, "sort": sort}
        found = list(self.iterate(query, **asked, fields=fields, **equal))
        shape: Any = self.document
        return Results(found, lambda some: list(shape.atoms_of(some, self._structures)))

    def iterate(
        self,
        query: str | Mapping[str, Any] | None = None,
        *,
        tag: str | None = None,
        limit: int = 0,
        skip: int = 0,
        sort: str | None = None,
        fields: Sequence[str] | None = None,
        **equal: Any,
    ) -> Iterator[R]:
        """Like `find`, one record after another, so that memory stays bounded."""
        if limit < 0 or skip < 0:
            raise InputError("`limit` and `skip` are 0 or more.")
        wanted = None if fields is None else {name: self._path(name) for name in fields}
        order = self._order(sort, bool(skip))
        pieces = list(in_pieces(self.selector(query, tag=tag, **equal)))
        shown = None
        if wanted is not None:  # of several pieces, what they are merged by is needed too
            shown = dict.fromkeys(outer(["_id", *wanted.values(), *(name for name, _ in order)]), 1)
        most = limit + skip if limit else 0
        cursors = [self.raw.find(piece, shown).limit(most) for piece in pieces]
        found: Iterator[dict[str, Any]] = itertools.chain.from_iterable(cursors)
        if order:
            for cursor in cursors:
                cursor.sort(order)
            # MongoDB's order within each piece; one alone needs no comparing
            key = partial(_sort_key, [name for name, _ in order]) if len(cursors) > 1 else None
            found = heapq.merge(*cursors, key=key, reverse=order[0][1] < 0)
        some = itertools.islice(found, skip, most or None)
        if wanted is None:
            return map(self._made, some)
        rows: Any = (Row(wanted, d) for d in some)
        return cast("Iterator[R]", rows)

    def _made(self, stored: dict[str, Any]) -> R:
        """The record of a stored document."""
        return cast("R", self.document._from_son(stored))

    def _order(self, sort: str | None, fixed: bool) -> list[tuple[str, int]]:
        """Fields to sort by with their directions; none where the order does not matter."""
        if not sort and not fixed:
            return []
        name = (sort or "id").removeprefix("-")
        direction = -1 if sort and sort[0] == "-" else 1
        path = self._path(name)
        ties = [("_id", direction)] if fixed and path != "_id" else []
        return [(path, direction), *ties]

    def _path(self, name: str) -> str:
        """Where the documents have a field of this name."""
        if name == WRITTEN:
            return name
        field, rest = find_field(self.name, name)
        if rest:
            raise InputError(
                f"{name} is a field of other records: {self.name} hold the id of one of "
                f"{field.reference} alone.",
                hint=f"Filters can ask of it, as {name} IS KNOWN.",
            )
        return field.stored

    def selector(
        self,
        query: str | Mapping[str, Any] | None = None,
        *,
        tag: str | None = None,
        **equal: Any,
    ) -> dict[str, Any]:
        """The MongoDB query that `find` makes of its arguments."""
        conditions: list[dict[str, Any]] = []
        if isinstance(query, str):
            from forcebase.database.filters.language import Lookups, filter_query

            lookups = Lookups(self._id_of, self._ids)
            conditions.append(filter_query(query, self.name, lookups))
        elif isinstance(query, Mapping):
            conditions += [dict(query)] if query else []
        elif query is not None:
            raise InputError(
                f"{query!r} is not a filter.", hint="Give a text, a MongoDB query or keywords."
            )
        for name, value in equal.items():
            operator = "$all" if name == "elements" else "$in"
            field, rest = find_field(self.name, name)
            if rest:
                raise InputError(
                    f"{name}={value!r}: {name} is a field of other records.",
                    hint=f"Give a text: find('{name} = \"{value}\"').",
                )
            refuse_operators(name, value)
            asked = as_stored(field.stored, self._named(field.reference, value))
            several = isinstance(asked, (list, tuple))
            conditions.append({field.stored: {operator: list(asked)} if several else asked})
        if tag is not None:
            if self._narrow is None:
                raise InputError(f"Records of {self.name} carry no tags.")
            conditions.append({"_id": {"$in": self._narrow(tag, self.name)}})
        return {"$and": conditions} if conditions else {}

    def _named(self, collection: str, value: Any) -> Any:
        """Ids in the place of the names of other records."""
        if not collection:
            return value
        if isinstance(value, (list, tuple)):
            return [self._named(collection, one) for one in value]
        return self._id_of(value, collection) if isinstance(value, str) else value

    def _ids(self, collection: str, query: Mapping[str, Any], most: int) -> list[str]:
        found = self.raw.database[collection].find(query, {"_id": 1}).limit(most)
        return [row["_id"] for row in found]

    def get(self, record_id: str) -> R:
        """Give the record of this full id."""
        found = self.raw.find_one({"_id": record_id})
        if found is None:
            raise NotFoundError(
                f"{self.name} has no record {record_id[:10]}.",
                hint=f"`forcebase ls {self.name}` lists what is there.",
                id=record_id,
            )
        return self._made(found)

    def one(self, query: str | Mapping[str, Any] | None = None, **equal: Any) -> R | None:
        """Give one record that fits, or None; the arguments are those of `find`."""
        return next(self.iterate(query, limit=1, **equal), None)

    def count(
        self,
        query: str | Mapping[str, Any] | None = None,
        *,
        tag: str | None = None,
        **equal: Any,
    ) -> int:
        """Count records that fit; the arguments are those of `find`."""
        pieces = in_pieces(self.selector(query, tag=tag, **equal))
        return sum(map(self.raw.count_documents, pieces))

    def check_indexed(
        self, query: str | Mapping[str, Any] | None = None, *, tag: str | None = None, **equal: Any
    ) -> None:
        """Raise InputError where finding such records would mean to read very many.

        The arguments are those of `find`.
        """
        if tag is not None or self.raw.estimated_document_count() <= FEW:
            return
        asked = self.selector(query, **equal)
        keys = [index["key"][0][0] for index in self.raw.index_information().values()]
        if asked and not is_indexed(asked, set(keys)):
            names = sorted(set(paths_in(asked)) - {"_id"})
            raise InputError(
                f"There are too many {self.name} to look for {', '.join(names)}, of which "
                "there is no index.",
                hint=f"Give one of these too: {', '.join(sorted(keys))}.",
            )

    def count_some(self, query: str | Mapping[str, Any] | None = None, **equal: Any) -> int:
        """Count records that fit as far as `COUNT_AT_MOST`, or all of them where that is known."""
        if not query and not equal:
            return self.raw.estimated_document_count()
        return self.raw.count_documents(self.selector(query, **equal), limit=COUNT_AT_MOST)

    def missing(self, ids: Iterable[str]) -> set[str]:
        """Those of the ids that are not here."""
        wanted = set(ids)
        found = self.by_ids(wanted, {"_id": 1})
        return wanted - {document["_id"] for document in found}

    def by_ids(self, ids: Iterable[str], fields: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield these fields of the records of these ids, in no order, in bounded queries."""
        wanted = list(ids)
        for start in range(0, len(wanted), IDS_AT_ONCE):
            some = {"_id": {"$in": wanted[start : start + IDS_AT_ONCE]}}
            yield from self.raw.find(some, fields)


def _sort_key(paths: Sequence[str], document: Any) -> list[tuple[bool, Any]]:
    """What is not there comes first, as MongoDB has it."""
    values = (value_at(document, path) for path in paths)
    return [(value is not None, value) for value in values]
