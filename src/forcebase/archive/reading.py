"""Reading an archive into a database: checked before, and sound wherever it is interrupted.

Everything is found again by its id. An import that was killed leaves whole records, and running
it again writes the rest. Until then a model may name a dataset that is not there yet, as
`forcebase verify` says; all else is written after what it names.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import bson
from bson.raw_bson import RawBSONDocument

from forcebase.archive.arrival import Arrival
from forcebase.archive.checking import check_archive, documents_of
from forcebase.archive.contents import ACTIVITIES, LABELS, TAINTS
from forcebase.archive.earlier import in_todays_shape
from forcebase.archive.layout import MANIFEST, Manifest, order
from forcebase.archive.safety import open_safely
from forcebase.blob import Blob
from forcebase.database.acts import begin, finish
from forcebase.database.database import Database
from forcebase.database.schema import SCHEMA_VERSION
from forcebase.database.trust import quarantine
from forcebase.digest import content_digest
from forcebase.errors import InputError
from forcebase.ingest.made_again import MadeAgain
from forcebase.integrity.batches import batches
from forcebase.progress import Progress
from forcebase.records import Activity, Calculation, ModelMethod, Phonon, Structure
from forcebase.records.base import CHECKSUM
from forcebase.records.journal_entry import Act
from forcebase.records.kinds import kind_of

CALCULATIONS = Calculation._meta["collection"]
STRUCTURES = Structure._meta["collection"]
RECORDS_AT_ONCE = 500
"""Documents written together: of 432 atoms each, 10 MB."""


@dataclass
class ArchiveReport:
    """What an import of an archive did.

    Attributes:
        manifest: of the archive.
        added: documents that were new, by collection; blobs too.
        known: documents that were there already, and stayed as they are.
        kept_names: names that stand for another record here, and still do.
        findings: what a model gave elsewhere and not here, one line each.
    """

    manifest: Manifest
    added: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    kept_names: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def note(self, name: str, added: int, of: int) -> None:
        """Count what was written."""
        if added:
            self.added[name] = self.added.get(name, 0) + added
        if of > added:
            self.known[name] = self.known.get(name, 0) + of - added


def is_archive(path: Path) -> bool:
    """Whether a file calls itself an archive of `write_archive`; it may still be damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def read_archive(db: Database, path: Path, progress: Progress | None = None) -> ArchiveReport:
    """Read an archive into a database, empty or not.

    Every digest is checked before anything is written. Records that are there already stay as
    they are, as do names that stand for another record; what a model gave elsewhere is compared
    with what it gave here. Documents pass some at a time; their ids are held at once, phonons
    (without their force constants), and one blob.

    Raises:
        InputError: the file is not an archive, is of a newer forcebase, or is unsafe; or a
            dataset's name and version are taken here by another dataset.
        IntegrityError: it is damaged. Nothing was written in either case.
        DatabaseError: the server failed in the middle; run it again.
    """
    started = time.perf_counter()
    with open_safely(path) as archive:
        manifest = check_archive(archive, path, progress)
        _require_free_titles(db, archive)
        report = ArchiveReport(manifest)
        activity = _activity(archive, path)
        begin(db, activity)
        arrival = Arrival(db, _ids(archive, ACTIVITIES), path.name)
        arrival.begin()
        _quarantine_models(db, archive, path, activity.id)
        held = MadeAgain(db, activity.id)
        _compare_phonons(db, archive, held)
        total = len(manifest.blobs) + len(order())
        for n, sha256 in enumerate(manifest.blobs):
            known = sha256 in db.blobs or sha256 in held.unneeded
            if not known:
                db.blobs.put(archive.read(f"blobs/{sha256}"))
            report.note("blobs", int(not known), 1)
            _tell(progress, n + 1, total)
        for n, name in enumerate(order()):
            for some in batches(documents_of(archive, name), RECORDS_AT_ONCE):
                if name == CALCULATIONS:
                    held.look_at([bson.decode(raw) for raw in some])
                if name == LABELS:
                    some = _without_kept(db, some, report)
                if manifest.schema_version < SCHEMA_VERSION and name in _changed():
                    documents = [_as_today(name, raw) for raw in some]
                else:
                    documents = [RawBSONDocument(raw) for raw in some]
                if name == ACTIVITIES:
                    documents = [
                        arrival.started(in_todays_shape(name, bson.decode(raw))) for raw in some
                    ]
                report.note(
                    name, db.of_class(kind_of(name).document).add_stored(documents), len(documents)
                )
                if name in (LABELS, TAINTS):
                    _note_words(db, map(bson.decode, some), activity.id)
            _tell(progress, len(manifest.blobs) + n + 1, total)
        arrival.finish()
        activity.n_records = sum(report.added.values())
        activity.findings = held.findings
        report.findings = activity.messages
        activity.wall_time = time.perf_counter() - started
        finish(db, activity, {name: {"n": n} for name, n in sorted(report.added.items())})
    return report


def _activity(archive: ZipFile, path: Path) -> Activity:
    """The import of an archive, named by the digest that it carries."""
    source = {"file": path.name, "archive": archive.comment.decode("ascii", "replace")}
    return Activity(
        id=content_digest({"import": {"archive": source["archive"]}}),
        kind="import",
        name=path.name,
        source=source,
    )


def _ids(archive: ZipFile, name: str) -> list[str]:
    return [bson.decode(raw)["_id"] for raw in documents_of(archive, name)]


def _changed() -> set[str]:
    """Collections whose documents of earlier versions lack a checksum, or look otherwise."""
    return {STRUCTURES, CALCULATIONS, *(name for name in order() if not kind_of(name).is_record)}


def _as_today(name: str, raw: bytes) -> Mapping[str, Any]:
    """A document of an earlier version as it would be written here, with its checksum."""
    document = in_todays_shape(name, bson.decode(raw))
    shape: Any = kind_of(name).document
    document[CHECKSUM] = shape.checksum_of(document)
    return document


def _require_free_titles(db: Database, archive: ZipFile) -> None:
    """Raise InputError where another dataset has the name and version of one in the archive."""
    for raw in documents_of(archive, "datasets"):
        dataset = bson.decode(raw)
        title = {"name": dataset["name"], "version": dataset["version"]}
        here = db.datasets.raw.find_one(title, {"_id": 1})
        if here is not None and here["_id"] != dataset["_id"]:
            raise InputError(
                f"Another dataset is called {dataset['name']}@{dataset['version']} here.",
                hint="Import into an empty database: FORCEBASE_DATABASE names another.",
                here=here["_id"],
                archive=dataset["_id"],
            )


def _quarantine_models(db: Database, archive: ZipFile, path: Path, by: str) -> None:
    """Keep models that are new here from running, before their records come."""
    models = [
        document["_id"]
        for document in map(bson.decode, documents_of(archive, "methods"))
        if document["_cls"] == ModelMethod._class_name
    ]
    known = {found["_id"] for found in db.methods.by_ids(models, {"_id": 1})}
    digest = archive.comment.decode("ascii", "replace")[:10]
    quarantine(db, [model for model in models if model not in known], f"{path.name} ({digest})", by)


def _compare_phonons(db: Database, archive: ZipFile, held: MadeAgain) -> None:
    """Compare a model's phonons with those of the same name here, whose force constants stay."""
    found = [Phonon._from_son(bson.decode(raw)) for raw in documents_of(archive, "phonons")]
    here = {row["_id"] for row in db.phonons.by_ids([p.id for p in found], {"_id": 1})}
    known = [phonon for phonon in found if phonon.id in here]
    held.new_phonons(known, lambda sha256: Blob(archive.read(f"blobs/{sha256}")))
    held.unneeded -= {phonon.force_constants for phonon in found if phonon.id not in here}


def _without_kept(db: Database, raw: Iterable[bytes], report: ArchiveReport) -> list[bytes]:
    """Leave out names that stand for another record here."""
    left = []
    for document in raw:
        label = bson.decode(document)
        here = db.names.named(label["text"]) if label["kind"] == "name" else None
        if here is None or here[1] == label["record"]:
            left.append(document)
        else:
            report.kept_names.append(label["text"])
    return left


def _note_words(db: Database, words: Iterable[dict[str, Any]], activity: str) -> None:
    """Write names, tags and taints of the archive into the journal."""
    for word in words:
        if "kind" in word:
            said = Act(word["kind"]), word["text"], word["collection"], [word["record"]]
        else:
            said = Act.TAINT, word["reason"], word["collection"], [word["_id"]]
        db.journal.note(*said, activity=activity)


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress("import", done, total, {})
