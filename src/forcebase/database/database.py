"""The database as one object: record collections, blobs, names and the JobStore."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from mongoengine import Document
from pymongo import MongoClient

from forcebase import records
from forcebase.database.access import Access, access_of, require_writing, user_name
from forcebase.database.blobs import BlobStore
from forcebase.database.collections import RecordCollection
from forcebase.database.connection import open_client, server_uri
from forcebase.database.installation import install
from forcebase.database.job_store import open_job_store
from forcebase.database.journal import Journal
from forcebase.database.names import Names
from forcebase.errors import InputError, NotFoundError
from forcebase.records.base import DIGEST_PATTERN
from forcebase.records.kinds import record_kinds
from forcebase.settings import Settings

if TYPE_CHECKING:
    from jobflow import JobStore

SHORTEST_ID = 4
R = TypeVar("R", bound=Document)


class Database:
    """Everything that is stored. `forcebase.connect()` gives one.

    Args:
        settings: where the server is, or where to start it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client: MongoClient = open_client(settings)
        self.raw = self.client[settings.database]
        install(self.raw)
        self.blobs = BlobStore(self.raw)
        self.journal = Journal(self.raw, lambda: user_name(self.access))
        self.names = Names(self.raw, self.journal)
        self._collections: dict[type[Document], RecordCollection] = {}
        self.structures = self.of_class(records.Structure)
        self.methods = self.of_class(records.Method)
        self.equivalences = self.of_class(records.Equivalence)
        self.calculations = self.of_class(records.Calculation)
        self.datasets = self.of_class(records.Dataset)
        self.members = self.of_class(records.DatasetMember)
        self.phonons = self.of_class(records.Phonon)
        self.validations = self.of_class(records.Validation)
        self.activities = self.of_class(records.Activity)
        self.taints = self.of_class(records.Taint)
        self.record_collections: dict[str, RecordCollection] = {
            kind.name: self.of_class(kind.document) for kind in record_kinds()
        }
        """The collections whose records are named by their content, by name."""

    def of_class(self, document: type[R]) -> RecordCollection[R]:
        """The collection of a class of documents; the same object each time."""
        if document not in self._collections:
            narrow = self.names.tagged if issubclass(document, records.Record) else None
            made = self.collection_class(document)
            self._collections[document] = made(
                self.raw, document, self._structures_of, narrow, self.id_of
            )
        return self._collections[document]

    def collection_class(self, document: type[Document]) -> type[RecordCollection]:  # noqa: ARG002
        """Of what class the collection of a class of documents is."""
        return RecordCollection

    @cached_property
    def access(self) -> Access:
        """What the user of this connection may do."""
        return access_of(self.raw)

    def check_writing(self) -> None:
        """Raise AccessError where the user may only read: before work begins, not behind it."""
        require_writing(self.access)

    @cached_property
    def job_store(self) -> JobStore:
        """Jobflow's JobStore in this database."""
        return open_job_store(server_uri(self.settings), self.settings.database)

    def collection(self, name: str) -> RecordCollection:
        """Give a collection by its name: of records, or of the activities that made them."""
        places = {**self.record_collections, self.activities.name: self.activities}
        try:
            return places[name]
        except KeyError:
            raise NotFoundError(
                f"There is no collection {name!r}.", hint=f"There are: {', '.join(places)}."
            ) from None

    def resolve(self, text: str, collection: str | None = None) -> tuple[str, Document]:
        """Find a record by id, by the first digits of one, by name, or by a tag of one record.

        Args:
            text: what the user typed.
            collection: look only there.

        Returns:
            Name of the collection, and the record.

        Raises:
            NotFoundError: no record, or more than one, matches `text`.
        """
        found = self._by_name(text, collection) or self._by_id(text, collection)
        if len(found) == 1:
            place, record_id = found[0]
            return place, self.collection(place).get(record_id)
        where = f" in {collection}" if collection else ""
        if not found:
            near = get_close_matches(text, self._all_names(collection), 1)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise NotFoundError(
                f"No record{where} matches {text!r}.",
                hint=f"{meant}`forcebase ls {collection or 'COLLECTION'}` lists ids and names.",
            )
        listed = ", ".join(f"{place} {record_id[:12]}" for place, record_id in found[:5])
        raise NotFoundError(
            f"{text!r} stands for more than one record{where}: {listed}.",
            hint="Give more digits.",
        )

    def id_of(self, text: str, collection: str) -> str:
        """The id of the record that answers to `text`; an id is its own, whether it is there."""
        if re.fullmatch(DIGEST_PATTERN, text):
            return text
        return str(self.resolve(text, collection)[1].pk)

    def _by_name(self, text: str, collection: str | None) -> list[tuple[str, str]]:
        if collection in (None, "datasets"):
            versions = self._dataset_versions(text)
            if versions:
                return [("datasets", versions[0])]
        named = self.names.named(text)
        if named and collection in (None, named[0]):
            return [named]
        places = [collection] if collection else list(self.record_collections)
        return [(place, r) for place in places for r in self.names.tagged(text, place, 2)][:2]

    def _all_names(self, collection: str | None) -> list[str]:
        """Names and tags, or the first many of them, and those of datasets."""
        found = self.names.all(collection)
        if collection in (None, "datasets"):
            found += [str(name) for name in self.datasets.raw.distinct("name")]
        return found

    def _dataset_versions(self, text: str) -> list[str]:
        """Datasets answer to name@version, and to their name alone for the newest."""
        name, at, version = text.rpartition("@")
        query: dict[str, object] = {"name": text}
        if at and version.isdigit():
            query = {"name": name, "version": int(version)}
        return [d["_id"] for d in self.datasets.raw.find(query, {"_id": 1}).sort("version", -1)]

    def _by_id(self, text: str, collection: str | None) -> list[tuple[str, str]]:
        if len(text) < SHORTEST_ID or not set(text) <= set("0123456789abcdef"):
            return []
        places = [collection] if collection else list(self.record_collections)
        pattern = {"_id": {"$gte": text, "$lt": text + "g"}}
        return [
            (place, found["_id"])
            for place in places
            for found in self.collection(place).raw.find(pattern, {"_id": 1}).limit(3)
        ]

    def _structures_of(self, ids: Iterable[str]) -> dict[str, records.Structure]:
        return {found.id: found for found in self.structures.find({"_id": {"$in": list(ids)}})}

    def close(self) -> None:
        """Close all connections; an embedded server goes on running."""
        if "job_store" in self.__dict__:
            self.job_store.close()
        self.client.close()

    def require_model(self, text: str) -> records.ModelMethod:
        """Give the model that `text` names.

        Raises:
            InputError: it is a DFT method.
        """
        record = self.resolve(text, "methods")[1]
        if not isinstance(record, records.ModelMethod):
            raise InputError(f"{text!r} is a DFT method, not a model.")
        return record

    def require_structure(self, text: str) -> records.Structure:
        """Give the structure that `text` names, or that of a calculation or phonon.

        Raises:
            InputError: it is another kind of record.
        """
        collection, record = self.resolve(text)
        if isinstance(record, records.Structure):
            return record
        if isinstance(record, records.Calculation | records.Phonon):
            return self.structures.get(record.structure)
        raise InputError(f"{text!r} is in {collection}: it is not a structure.")
