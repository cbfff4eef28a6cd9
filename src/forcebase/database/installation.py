"""Bringing a MongoDB database into shape: collections, validators, indexes, schema version."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Any

from pymongo import ASCENDING, IndexModel, ReplaceOne, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database as MongoDatabase
from pymongo.errors import CollectionInvalid, OperationFailure

from forcebase.blob import DATA_STORE
from forcebase.database.access import access_of, is_refusal
from forcebase.database.blobs import BUCKET
from forcebase.database.job_store import INDEXES, OUTPUTS
from forcebase.database.journal import note_all
from forcebase.database.neutral_models import convert_all
from forcebase.database.roles import define_roles, roles_are_defined
from forcebase.database.schema import SCHEMA_VERSION, collection_schemas
from forcebase.database.written import packed, summary_of
from forcebase.errors import AccessError, DatabaseError
from forcebase.records import (
    Activity,
    Calculation,
    DatasetMember,
    Name,
    Quarantine,
    Structure,
    Taint,
)
from forcebase.records.activity import AT_MIGRATION, FINISHED, resolved_as_field, sealed_run
from forcebase.records.base import CHECKSUM, document_checksum, utc_now
from forcebase.records.calculation import with_found_fields
from forcebase.records.kinds import kinds, record_kinds
from forcebase.records.structure import defect_as_field, with_composition

META = "meta"
HISTORY = "history"
"""In the document that says the schema's version: each version that there was, and since when."""
FIRST_SEALED = 8
"""The version from which on that document has a checksum."""
MIGRATION = "migration"
"""Document of `META` that says how far a migration came, and where its backup is."""
NAMESPACE_EXISTS = 48
DOCUMENTS_AT_ONCE = 1000
"""Records that a migration holds at a time."""
Migration = Callable[[MongoDatabase], None]


def _nothing(database: MongoDatabase) -> None:
    """New optional fields only: `install` brings validators and indexes into step."""


def _seal(database: MongoDatabase) -> None:
    """Give each record the checksum of what it holds now; what was edited before is not seen."""
    for kind in record_kinds():
        _seal_all(database, kind.document)


def _seal_all(database: MongoDatabase, shape: Any) -> None:
    collection = database[shape._meta["collection"]]
    unsealed = collection.find({CHECKSUM: {"$exists": False}})
    while updates := [
        _sealing(document, shape) for document in islice(unsealed, DOCUMENTS_AT_ONCE)
    ]:
        collection.bulk_write(updates, ordered=False, bypass_document_validation=True)


def _sealing(document: dict[str, Any], shape: Any) -> UpdateOne:
    checksum = shape.checksum_of(document)
    return UpdateOne({"_id": document["_id"]}, {"$set": {CHECKSUM: checksum}})


def _seal_the_rest(database: MongoDatabase) -> None:
    """Checksums of all that is not a record, and what there is now of each activity's records.

    What was edited or removed before is not seen, and each count says when it was made.
    """
    _name_copies(database)
    _move_defects(database)
    for shape in (DatasetMember, Name, Taint, Quarantine, Activity):
        _seal_all(database, shape)
    note_all(database)
    ids: dict[str, dict[str, list[bytes]]] = {}
    for name in (kind.name for kind in record_kinds()):
        for row in database[name].find({}, {"provenance.activity": 1}):
            activity = (row.get("provenance") or {}).get("activity")
            if activity:
                made = ids.setdefault(activity, {}).setdefault(name, [])
                made.append(packed(row["_id"]))
    activities = database[Activity._meta["collection"]]
    uncounted = activities.find({"run": {"$exists": False}, "kind": {"$ne": "failure"}}, {"_id": 1})
    while updates := [_counting(row["_id"], ids) for row in islice(uncounted, DOCUMENTS_AT_ONCE)]:
        activities.bulk_write(updates, ordered=False, bypass_document_validation=True)


def _move_defects(database: MongoDatabase) -> None:
    """Give made cells a field for their defect, which their recipe held before.

    Who edited a record before still has the wrong checksum behind it.
    """
    structures = database[Structure._meta["collection"]]
    _rewrite(structures, {"recipe.parameters.defect": {"$type": "object"}}, defect_as_field)


def _add_found_fields(database: MongoDatabase) -> None:
    """Give structures and calculations the fields by which they are found and that they lack.

    What a failure called `mended` is `resolved` from now on.
    """
    lacking = {"chemical_formula_reduced": {"$exists": False}}
    for shape, complete in ((Structure, with_composition), (Calculation, with_found_fields)):
        _rewrite(database[shape.collection_name()], lacking, complete)
    activities = database[Activity.collection_name()]
    _rewrite(activities, {"mended": {"$exists": True}}, resolved_as_field)


def _rewrite(
    collection: Collection,
    asked: dict[str, Any],
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    """Change documents, with a new checksum where the old one was right.

    What somebody edited so that it cannot be changed stays as it is; `verify` says so.
    """
    found = collection.find(asked)
    while rows := list(islice(found, DOCUMENTS_AT_ONCE)):
        changes = []
        for row in rows:
            try:
                new = change(row)
            except (KeyError, TypeError, ValueError, ArithmeticError):
                continue
            if row.get(CHECKSUM) == document_checksum(row):
                new[CHECKSUM] = document_checksum(new)
            changes.append(ReplaceOne({"_id": row["_id"]}, new))
        if changes:
            collection.bulk_write(changes, ordered=False, bypass_document_validation=True)


NEAR_COPY = re.compile(r"near copy of ([0-9a-f]{64}):")


def _name_copies(database: MongoDatabase) -> None:
    """Give dropped copies a field for what they copy, which only their reason said before."""
    members = database[DatasetMember._meta["collection"]]
    asked = {"step": "near-duplicates", "copy_of": {"$exists": False}, CHECKSUM: {"$exists": False}}
    copies = members.find(asked, {"reason": 1})
    while rows := list(islice(copies, DOCUMENTS_AT_ONCE)):
        named = {row["_id"]: NEAR_COPY.match(row.get("reason") or "") for row in rows}
        changes = [
            UpdateOne({"_id": name}, {"$set": {"copy_of": found[1]}})
            for name, found in named.items()
            if found
        ]
        if changes:
            members.bulk_write(changes, ordered=False, bypass_document_validation=True)


def _counting(activity: str, ids: dict[str, dict[str, list[bytes]]]) -> UpdateOne:
    made = ids.get(activity, {})
    written = {name: summary_of(found) for name, found in sorted(made.items())}
    run = {"state": FINISHED, "counted": AT_MIGRATION, "written": written}
    return UpdateOne({"_id": activity}, {"$set": {"run": sealed_run(run)}})


NARROW_INDEXES = {
    "calculations": "method_1_structure_1",
    "dataset_members": "dataset_1_split_1",
    "labels": "kind_1_text_1",
}


def _drop_narrow_indexes(database: MongoDatabase) -> None:
    """The wider ones, which `install` makes, serve all that these did."""
    for name, index in NARROW_INDEXES.items():
        if index in database[name].index_information():
            database[name].drop_index(index)


MIGRATIONS: dict[tuple[int, int], Migration] = {
    (1, 2): _nothing,  # phonons: defect, findings
    (2, 3): _nothing,  # activities: failures
    (3, 4): _seal,  # checksums of records, taints
    (4, 5): _drop_narrow_indexes,  # wider indexes, blocks of labels
    (5, 6): _nothing,  # models of other packages: arguments, package, environment; parent
    (6, 7): convert_all,  # neutral forms of MACE models
    # defects as a field of structures; checksums of all documents,
    # what activities wrote, job outputs; methods by their rules alone, equivalences, kinds of
    # energies, predictions by their inputs: records of before keep their ids
    (7, 8): _seal_the_rest,
    (8, 9): _add_found_fields,  # compositions, energies per atom; failures are resolved
}


def stored_version(database: MongoDatabase) -> int | None:
    """Schema version of a database; None where it was not made yet.

    Raises:
        DatabaseError: what the database says of its version was edited.
    """
    found = database[META].find_one({"_id": "schema"})
    if found is None:
        return None
    if found["version"] <= SCHEMA_VERSION:  # a newer forcebase may seal it otherwise
        _require_unedited(database.name, found)
    return int(found["version"])


def install(database: MongoDatabase) -> None:
    """Create what is missing in a new database; look at one that is there, and change nothing.

    Raises:
        DatabaseError: the database was written by a newer forcebase, or by an older one and was not
            migrated yet.
        AccessError: it has to be made, and the user may not.
    """
    version = stored_version(database)
    if version == SCHEMA_VERSION:
        return
    if version is None:
        _require_right(database, None)
        _bring_into_step(database, SCHEMA_VERSION)
        return
    _require_known(database, version)
    raise DatabaseError(
        f"Database {database.name} has schema version {version}; this forcebase writes "
        f"{SCHEMA_VERSION}. Nothing was changed.",
        hint="`forcebase db migrate` makes a backup, and then brings it into step.",
    )


def require_migration_right(database: MongoDatabase) -> None:
    """Before a migration begins.

    Raises:
        DatabaseError: the database was written by a newer forcebase, or what it says of its
            version was edited.
        AccessError: the user may not migrate.
    """
    version = stored_version(database)
    if version is not None:
        _require_known(database, version)
        _require_right(database, version)


def migrate(database: MongoDatabase, on_step: Callable[[int], None] | None = None) -> int | None:
    """Bring an older database to this version's schema; go on where a migration was killed.

    Each step is found done by its number, or does nothing where it was done; the version is
    changed last, so that nobody opens what is half migrated.

    Args:
        database: MongoDB's.
        on_step: told of each version that is reached.

    Returns:
        The version before; None where there was nothing to do.
    """
    version = stored_version(database)
    if version is None or version >= SCHEMA_VERSION:
        return None
    going = database[META].find_one({"_id": MIGRATION}) or {}
    reached = max(int(going.get("reached", version)), version)
    while reached < SCHEMA_VERSION:
        MIGRATIONS[reached, reached + 1](database)
        reached += 1
        database[META].update_one({"_id": MIGRATION}, {"$set": {"reached": reached}}, upsert=True)
        if on_step is not None:
            on_step(reached)
    _bring_into_step(database, SCHEMA_VERSION)
    database[META].delete_one({"_id": MIGRATION})
    return version


def _require_known(database: MongoDatabase, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise DatabaseError(
            f"Database {database.name} has schema version {version}; this forcebase knows "
            f"up to {SCHEMA_VERSION}.",
            hint="Upgrade forcebase.",
        )


def _bring_into_step(database: MongoDatabase, version: int) -> None:
    """Collections, validators, indexes and roles of this version; its number comes last."""
    found = database[META].find_one({"_id": "schema"})
    _create_collections(database)
    _create_indexes(database)
    create_file_indexes(database)
    create_output_indexes(database)
    _renew_roles(database)
    history = [*(found or {}).get(HISTORY, []), {"version": version, "at": utc_now()}]
    now = {"_id": "schema", "version": version, HISTORY: history}
    now[CHECKSUM] = document_checksum(now)
    database[META].replace_one({"_id": "schema"}, now, upsert=True)


def _require_unedited(name: str, found: dict[str, Any]) -> None:
    """Raise DatabaseError where the version of the schema was changed by hand."""
    history = found.get(HISTORY, [])
    if found["version"] < FIRST_SEALED and not history:
        return
    if found.get(CHECKSUM) == document_checksum(found):
        return
    last = history[-1] if history else {}
    was = f", and had {last['version']} since {last['at']:%Y-%m-%d}" if last else ""
    right = last.get("version", SCHEMA_VERSION)
    raise DatabaseError(
        f"Database {name} says that it has schema version {found['version']}{was}: this was "
        "edited, in document 'schema' of collection meta.",
        hint=f'Set its "version" to {right} again, as '
        f'db.meta.updateOne({{_id: "schema"}}, {{$set: {{version: {right}}}}}) in mongosh does; '
        "if that does not help, restore a backup.",
    )


def create_file_indexes(database: MongoDatabase) -> None:
    """Index what GridFS keeps, as its first writer would, who may have no right to."""
    for bucket in (BUCKET, DATA_STORE):
        files, chunks = database[f"{bucket}.files"], database[f"{bucket}.chunks"]
        files.create_index([("filename", ASCENDING), ("uploadDate", ASCENDING)])
        chunks.create_index([("files_id", ASCENDING), ("n", ASCENDING)], unique=True)


def create_output_indexes(database: MongoDatabase) -> None:
    """Index jobs' outputs: neither jobflow nor its stores do, and collecting would read all."""
    for fields in INDEXES:
        database[OUTPUTS].create_index([(name, ASCENDING) for name in fields])


def _require_right(database: MongoDatabase, version: int | None) -> None:
    """Before anything is changed: whether all of it may be."""
    access = access_of(database)
    new = version is None
    needed = {"createCollection", "createIndex"} if new else {"collMod", "createIndex", "dropIndex"}
    if access.may(needed, META) and access.may({"insert", "update"}, META):
        return
    what = "is not made yet" if new else f"has schema version {version}, not {SCHEMA_VERSION}"
    raise AccessError(
        f"Database {database.name!r} {what}, and {access.who} may not change that.",
        hint="Ask an admin of the database to run "
        f"`forcebase {'ls methods' if new else 'db migrate'}` of this forcebase once.",
    )


def _renew_roles(database: MongoDatabase) -> None:
    """Give those who were added before the rights that this version's records need."""
    try:
        if roles_are_defined(database):
            define_roles(database)
    except OperationFailure as error:
        if not is_refusal(error):  # who may not renew them leaves it to `db users add`
            raise


def _create_collections(database: MongoDatabase) -> None:
    for name, schema in collection_schemas().items():
        validator = {"$jsonSchema": schema}
        try:
            database.create_collection(name, validator=validator)
        except (CollectionInvalid, OperationFailure) as error:
            if isinstance(error, OperationFailure) and error.code != NAMESPACE_EXISTS:
                raise
            database.command("collMod", name, validator=validator)


def _create_indexes(database: MongoDatabase) -> None:
    for document in (one for kind in kinds() for one in kind.classes):
        specs = document._meta.get("indexes", [])
        # a class that inherits has those of its parents once for each of them
        indexes = [_index(spec) for i, spec in enumerate(specs) if spec not in specs[:i]]
        database[document._meta["collection"]].create_indexes(indexes)


def _index(spec: Any) -> IndexModel:
    options: dict[str, Any] = {}
    if isinstance(spec, dict):
        options = {key: value for key, value in spec.items() if key != "fields"}
        spec = spec["fields"]
    fields = [spec] if isinstance(spec, str) else list(spec)
    return IndexModel([(field, 1) for field in fields], **options)
