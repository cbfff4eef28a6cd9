"""Records that belong together, written in an order that leaves nothing dangling."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ase import Atoms
from pymongo.errors import DocumentTooLarge, DuplicateKeyError, OperationFailure

from forcebase.blob import Blob
from forcebase.database.access import is_refusal, refusal
from forcebase.database.acts import begin, fail, finish
from forcebase.database.collections import RecordCollection
from forcebase.database.database import Database
from forcebase.database.label_table import LabelTable
from forcebase.database.structure_table import StructureTable
from forcebase.database.write_errors import is_too_large
from forcebase.database.written import Written
from forcebase.digest import bytes_digest
from forcebase.errors import DatabaseError, ForcebaseError, InputError, VersionTakenError
from forcebase.ingest.made_again import MadeAgain
from forcebase.records import (
    Activity,
    Calculation,
    Dataset,
    DatasetMember,
    Method,
    Phonon,
    Record,
    Structure,
    Validation,
)

_Group = tuple[RecordCollection, Sequence[Record], Sequence[StructureTable | LabelTable]]


@dataclass
class Batch:
    """What one activity brings in."""

    blobs: list[bytes] = field(default_factory=list)
    structures: list[Structure] = field(default_factory=list)
    methods: list[Method] = field(default_factory=list)
    calculations: list[Calculation] = field(default_factory=list)
    structure_tables: list[StructureTable] = field(default_factory=list)
    """Structures by the thousand."""
    label_tables: list[LabelTable] = field(default_factory=list)
    """Calculations by the thousand."""
    phonons: list[Phonon] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    datasets: list[tuple[Dataset, list[DatasetMember]]] = field(default_factory=list)
    tags: list[tuple[str, str, str]] = field(default_factory=list)
    """(text, collection, record)."""
    displaced_cells: list[Atoms] = field(default_factory=list)
    """Of a phonon: supercells whose forces it is made from, labelled here or by earlier imports."""
    findings: list[dict[str, Any]] = field(default_factory=list)
    """What a model did not give again; the activity keeps it, with what shows on writing."""
    notes: list[str] = field(default_factory=list)
    """What is to be known of it before it is used, to be said."""
    others: list[Record] = field(default_factory=list)
    """Records of further kinds, which name none of each other."""
    needed: dict[str, set[str]] = field(default_factory=dict)
    """Collection -> ids of what it was made from long before, that must be there still."""

    def write(
        self,
        db: Database,
        activity: Activity,
        started: float | None = None,
        before_end: Callable[[], None] | None = None,
    ) -> dict[str, int]:
        """Write what is not there yet and give the number of new records per collection.

        With `started`, of `time.perf_counter`, the activity's wall time includes the writing.
        `before_end` is called once the records are there, before the activity is finished.

        The activity is written as started first and as finished last; blobs come before the
        records that name them. So a writer killed at any point leaves no record whose parts are
        missing, and the next try finds the activity not done.

        What a model gave before is compared with what it gives now, and not written again.
        """
        written = Written(activity.id)
        begin(db, activity)
        try:
            added = self._write(db, activity, written)
        except DatabaseError:  # the same again may go on with it
            raise
        except ForcebaseError as error:
            fail(db, activity, str(error))
            raise
        if before_end is not None:
            before_end()
        if started is not None:
            activity.wall_time = time.perf_counter() - started
        finish(db, activity, written.summary())
        return added

    def _write(self, db: Database, activity: Activity, written: Written) -> dict[str, int]:
        _require_there(db, self.needed)
        again = MadeAgain(db, activity.id)
        calculations = again.new_calculations(self.calculations)
        labels = [again.new_rows(table) for table in self.label_tables]
        phonons = again.new_phonons(self.phonons, self._blob)
        for name, ids in again.own.items():
            written.take(name, ids)
        for blob in self.blobs:
            if not again.unneeded or bytes_digest(blob) not in again.unneeded:
                db.blobs.put(blob)
        groups: tuple[_Group, ...] = (
            (db.structures, self.structures, self.structure_tables),
            (db.methods, self.methods, []),
            (db.calculations, calculations, labels),
            (db.phonons, phonons, []),
            (db.validations, self.validations, []),
            *((db.collection(name), found, []) for name, found in self._further().items()),
        )
        added: dict[str, int] = {}
        for collection, found, tables in groups:
            for record in found:
                record.provenance.activity = activity.id
            new = collection.add_stored([collection.checked(r) for r in found], written)
            for table in tables:
                new += collection.add_pieces(table.documents(activity.id), written)
            if collection is db.calculations and new < len(found) + sum(map(len, tables)):
                again.new_calculations(calculations)  # another was first in the meantime
                for table in labels:
                    again.new_rows(table)
            if new:
                added[collection.name] = new
        for dataset, members in self.datasets:
            dataset.provenance.activity = activity.id
            if _write_dataset(db, dataset, members, written):
                added["datasets"] = added.get("datasets", 0) + 1
        tagged: dict[tuple[str, str], list[str]] = defaultdict(list)
        for text, collection_name, record_id in self.tags:
            db.names.check(text, "tag")
            tagged[text, collection_name].append(record_id)
        for (text, collection_name), ids in tagged.items():
            db.names.tag(text, collection_name, *ids, activity=activity.id)
        activity.findings = [*self.findings, *again.findings]
        activity.n_records = self._count()
        return added

    def _further(self) -> dict[str, list[Record]]:
        """Records of further kinds by collection."""
        found: dict[str, list[Record]] = {}
        for record in self.others:
            found.setdefault(record.collection_name(), []).append(record)
        return found

    def _blob(self, sha256: str) -> Blob:
        return next(blob for blob in map(Blob, self.blobs) if blob.sha256 == sha256)

    def _count(self) -> int:
        """Records that came of it, new or not."""
        parts: list[Sequence[Any]] = [self.structures, self.methods, self.calculations]
        parts += [self.phonons, self.validations, self.datasets, self.others]
        tables: list[StructureTable | LabelTable] = [*self.structure_tables, *self.label_tables]
        return sum(map(len, parts)) + sum(map(len, tables))


def _write_dataset(
    db: Database, dataset: Dataset, members: list[DatasetMember], written: Written
) -> bool:
    """Write the members, then the head, without which they are members of nothing.

    Not in one transaction: MongoDB holds one in its cache, and 70,000 members do not fit.

    Raises:
        VersionTakenError: another dataset has this name and version.
        InputError: a member is not valid.
        DatabaseError: the head is over 16 MB, or the server refused.
    """
    if _is_there(db, dataset, written):
        return False
    head = db.datasets.checked(dataset)
    db.members.add(members)
    try:
        db.datasets.raw.insert_one(head)
    except DuplicateKeyError:
        if _is_there(db, dataset, written):  # another collector was first
            return False
        db.members.raw.delete_many({"dataset": dataset.id})
        raise VersionTakenError(
            f"There is another dataset {dataset.title}, with other members.",
            hint="Curate again: the next version follows the one that is there.",
        ) from None
    except (OperationFailure, DocumentTooLarge) as error:
        if is_refusal(error):
            raise refusal(db.raw, error) from None
        if not is_too_large(error):
            raise
        raise DatabaseError(
            f"The record of dataset {dataset.title} is over MongoDB's 16 MB.",
            hint="Its members are apart: look at what its query and steps hold.",
        ) from None
    written.take(db.datasets.name, [dataset.id])
    return True


def _require_there(db: Database, needed: dict[str, set[str]]) -> None:
    """Since the activity began nothing is taken back, but it was read before that.

    Raises:
        InputError: some are not there any more.
    """
    for name, ids in needed.items():
        if missing := sorted(db.collection(name).missing(ids)):
            raise InputError(
                f"{len(missing)} {name} that it needs were taken back meanwhile, "
                f"{missing[0][:10]} among them: nothing was written.",
                hint="Run the same again, with what is there now.",
            )


def _is_there(db: Database, dataset: Dataset, written: Written) -> bool:
    """Whether the dataset is there already, perhaps from an earlier try of the same activity."""
    found = db.datasets.raw.find_one({"_id": dataset.id}, {"provenance.activity": 1})
    if found and (found.get("provenance") or {}).get("activity") == written.activity:
        written.take(db.datasets.name, [dataset.id])
    return found is not None
