"""Taking back a record, or what an import, a job or a comparison made, where nothing depends on it.

What others depend on stays. A structure or a DFT set-up that other acts share is left where it is,
and with it the act that first wrote it; anything else that something depends on is a reason to
forget nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pymongo.client_session import ClientSession

from forcebase.blob import DATA_STORE
from forcebase.database.access import refusals_told
from forcebase.database.acts import FORGETTING, announce, count_anew, finish, is_running, running
from forcebase.database.blobs import BUCKET
from forcebase.database.connection import supports_transactions
from forcebase.database.database import Database
from forcebase.database.job_store import OUTPUTS
from forcebase.database.lease import held
from forcebase.database.pieces import in_pieces
from forcebase.database.written import ID_BYTES, packed
from forcebase.digest import content_digest
from forcebase.errors import AccessError, InputError, NotFoundError
from forcebase.provenance.dependents import Named, dependents
from forcebase.provenance.references import blobs_of
from forcebase.provenance.subject import Subject
from forcebase.provenance.taint import remove_taint
from forcebase.records import Activity, Name
from forcebase.records.activity import STARTED
from forcebase.records.base import utc_now
from forcebase.records.kinds import kind_of, kinds

KIND = "forgetting"
FREED = "freed"
"""Setting of the act: digests of the blobs that go, 32 bytes each."""
MADE_BY = "made_by"
"""Setting of the act: the act that made what goes, which then says what is left of it."""
IN_ONE = 20_000
"""Documents that one transaction takes away; MongoDB's cache holds three times as many."""


@dataclass
class Forgetting:
    """What is, or would be, taken back.

    Attributes:
        subject: what was named.
        title: of it, in words.
        records: collection -> ids of the records that go.
        kept: collection -> ids of records of the act that others depend on.
        activity: id of the act that goes with its last record, of a job with its stored output;
            None where it stays.
        blobs: digests of the blobs that nothing names any more.
        n_bytes: what these blobs and the job's stored output fill.
    """

    subject: Subject
    title: str
    records: dict[str, list[str]] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)
    activity: str | None = None
    blobs: list[str] = field(default_factory=list)
    n_bytes: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "collection": self.subject.collection,
            "record": self.subject.record,
            "title": self.title,
            "records": {name: len(ids) for name, ids in self.records.items()},
            "kept": {name: len(ids) for name, ids in self.kept.items()},
            "activity": self.activity,
            "blobs": len(self.blobs),
            "bytes": self.n_bytes,
        }


def plan_forgetting(db: Database, subject: Subject) -> Forgetting:
    """Say what would go; nothing is changed.

    Args:
        db: the database.
        subject: a record, or the act that made records.

    Raises:
        InputError: something depends on it; it is a member of a dataset, or is being written.
        NotFoundError: it was taken back in the meantime.
    """
    if subject.collection == db.activities.name:
        return _of_act(db, subject)
    if subject.collection not in db.record_collections:
        raise InputError(
            f"{subject.collection} cannot be forgotten.",
            hint="Forget the dataset, or leave the record out of its next version.",
        )
    record = db.collection(subject.collection).get(subject.record)
    for _, other in dependents(db, subject.collection, [subject.record]):
        raise _depends(f"{subject.collection} {subject.record[:10]}", other)
    title = str(getattr(record, "title", "") or f"{subject.collection} {subject.record[:10]}")
    found = Forgetting(subject, title, {subject.collection: [subject.record]})
    found.activity = _job_of(db, str(getattr(record.provenance, "activity", "") or ""))
    return _with_blobs(db, found)


def forget(db: Database, subject: Subject) -> Forgetting:
    """Take a record back, or what an act made, with the blobs that only they name.

    A job's output goes from the JobStore too, or the next `collect` would bring it back. One
    process at a time does it, and while none writes: records that are being written may name the
    records and blobs that go. Who begins to write meanwhile waits. Members of datasets that are
    not there go too: a build or a forgetting that was killed left them.

    Raises:
        InputError: as of `plan_forgetting`; or another process is writing.
        AccessError: the user may not remove records.
        DatabaseError: another process takes records back, or the server refused.
    """
    if not db.access.may({"remove"}, "calculations"):
        raise AccessError(
            f"{db.access.who} may not remove records.", hint="Ask an admin of the database."
        )
    with held(db.raw, FORGETTING, "cleared of records"):
        if (other := running(db)) is not None:
            raise InputError(
                f"{other.get('kind')} {other.get('name')} is being written: nothing was forgotten.",
                hint="Wait for its end: it may need what would go.",
            )
        _remove_members_of_none(db)
        if (left := finish_killed(db).get(subject.record)) is not None:
            return left
        return _forget(db, plan_forgetting(db, subject))


def finish_killed(db: Database) -> dict[str, Forgetting]:
    """Free what killed processes had taken back already; whoever calls it holds the lock.

    Where their records were too many for one transaction, some are left, and go when the same is
    forgotten again. Blobs that no record names any more, and a job's output, go now.

    Returns:
        Id of each act that was not finished -> what went now.
    """
    done = {}
    rows = list(db.activities.raw.find({"kind": KIND, "run.state": STARTED}))
    for row in rows:
        act = db.activities.get(row["_id"])
        said = act.settings
        subject = Subject(str(said["collection"]), str(said["record"]))
        data = bytes(said.get(FREED) or b"")
        blobs = [data[i : i + ID_BYTES].hex() for i in range(0, len(data), ID_BYTES)]
        found = Forgetting(subject, str(act.name), activity=said.get("activity"))
        there = db.raw[f"{BUCKET}.files"].find({"_id": {"$in": blobs}}, {"_id": 1})
        found.blobs = sorted(_unnamed(db, {head["_id"] for head in there}, {}))
        is_gone = db.collection(subject.collection).raw.find_one({"_id": subject.record}) is None
        with refusals_told(db.raw):
            if is_gone:
                _remove_output(db, found)
            if maker := said.get(MADE_BY):
                count_anew(db, str(maker), said.get("records") or {})
            for sha256 in found.blobs:
                db.blobs.remove(sha256)
            if is_gone or said.get("kept"):
                finish(db, act, {})
            else:
                db.activities.raw.delete_one({"_id": act.id})
        done[act.id] = found
    return done


def _forget(db: Database, found: Forgetting) -> Forgetting:
    now = utc_now()
    act = Activity(
        id=content_digest({"forgetting": found.subject.record, "at": now.isoformat()}),
        kind=KIND,
        name=found.title[:200],
        settings={
            **{name: value for name, value in found.as_dict().items() if value is not None},
            FREED: b"".join(map(packed, found.blobs)),
            **({MADE_BY: maker} if (maker := _maker(db, found.subject)) else {}),
        },
    )
    announce(db, act)
    _take_words_back(db, found)
    with refusals_told(db.raw):
        if supports_transactions(db.client) and _n_documents(db, found) <= IN_ONE:
            with db.client.start_session() as session:
                session.with_transaction(lambda s: _remove(db, found, s))
        else:
            _remove(db, found, None)
        _remove_output(db, found)
        for sha256 in found.blobs:
            db.blobs.remove(sha256)
    finish(db, act, {})
    return found


def _maker(db: Database, subject: Subject) -> str | None:
    if subject.collection == db.activities.name:
        return subject.record
    row = db.collection(subject.collection).raw.find_one({"_id": subject.record}, {"provenance": 1})
    return ((row or {}).get("provenance") or {}).get("activity")


def _of_act(db: Database, subject: Subject) -> Forgetting:
    row = db.activities.raw.find_one({"_id": subject.record})
    if row is None:
        raise NotFoundError(
            f"Activity {subject.record[:10]} is not there any more.",
            hint="`forcebase log` says who took it back.",
        )
    title = f"{row.get('kind')} {row.get('name')}"
    if is_running(row.get("run") or {}) and (row["run"] or {}).get("state") == "started":
        raise InputError(f"{title} is still being written.", hint="Wait for its end, or stop it.")
    if row.get("kind") == KIND:
        raise InputError(f"{title} says what was taken back.", hint="It stays.")
    made = {
        place.name: [r["_id"] for r in place.raw.find(_by(subject.record), {"_id": 1})]
        for place in db.record_collections.values()
    }
    found = Forgetting(subject, title)
    found.records, found.kept = _parted(db, {name: ids for name, ids in made.items() if ids}, title)
    if not found.kept:
        found.activity = subject.record
    if made and not found.records and found.kept:
        raise InputError(
            f"Others depend on all that {title} made.",
            hint=f"`forcebase trace {subject.record[:10]} --down` shows them.",
        )
    return _with_blobs(db, found)


def _job_of(db: Database, activity: str) -> str | None:
    """The job of a record that is all it made: it goes too, or `collect` would bring it back."""
    if not activity.rpartition(":")[2].isdigit():
        return None
    made = [place.raw.count_documents(_by(activity)) for place in db.record_collections.values()]
    return activity if sum(made) == 1 else None


def _parted(
    db: Database, made: dict[str, list[str]], title: str
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """What can go, and the shared records that others depend on.

    Raises:
        InputError: something depends on one that is not shared.
    """
    going: set[Named] = {(name, record) for name, ids in made.items() for record in ids}
    edges = [
        ((name, record), other)
        for name, ids in made.items()
        for record, other in dependents(db, name, ids)
    ]
    stays: set[Named] = set()
    while new := {one for one, other in edges if other not in going and one not in stays}:
        for one in sorted(new):
            if not kind_of(one[0]).about.shared:
                outside = next(other for o, other in edges if o == one and other not in going)
                raise _depends(f"{one[0]} {one[1][:10]} of {title}", outside)
        stays |= new
        going -= new
    return _by_collection(going), _by_collection(stays)


def _by_collection(found: Iterable[Named]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, record in sorted(found):
        grouped.setdefault(name, []).append(record)
    return grouped


def _depends(what: str, other: Named) -> InputError:
    return InputError(
        f"{other[0]} {other[1][:10]} depends on {what}: nothing was forgotten.",
        hint=f"`forcebase forget {other[1][:10]}` first, or `forcebase taint` what is bad.",
    )


def _with_blobs(db: Database, found: Forgetting) -> Forgetting:
    """Add the blobs that only records which go name, and count their bytes."""
    named: set[str] = set()
    going = {**found.records, **({db.activities.name: [found.activity]} if found.activity else {})}
    for name, ids in going.items():
        for row in db.collection(name).by_ids(
            ids, {"_id": 1, **{blob.field: 1 for blob in kind_of(name).blobs}}
        ):
            named.update(blobs_of(name, row))
    found.blobs = sorted(_unnamed(db, named, going))
    heads = db.raw[f"{BUCKET}.files"].find({"_id": {"$in": found.blobs}}, {"length": 1})
    found.n_bytes = sum(head.get("length", 0) for head in heads)
    found.n_bytes += sum(part.get("length", 0) for part in _heavy(db, found))
    return found


def _unnamed(db: Database, blobs: set[str], going: dict[str, list[str]]) -> set[str]:
    """Those of the blobs that no record names but those that go."""
    left = set(blobs)
    for kind in kinds():
        name, gone = kind.name, set(going.get(kind.name, ()))
        for path in (blob.field for blob in kind.blobs):
            for piece in in_pieces({path: {"$in": sorted(left)}}):
                for row in db.collection(name).raw.find(piece, {path: 1}):
                    if row["_id"] not in gone:
                        left -= set(blobs_of(name, row))
    return left


def _take_words_back(db: Database, found: Forgetting) -> None:
    """Names, tags and taints of what goes, each with its entry in the journal."""
    ids = [record for some in found.records.values() for record in some]
    for piece in in_pieces({"record": {"$in": ids}}):
        for name in list(db.raw[Name.collection_name()].find(piece)):
            if name["kind"] == "name":
                db.names.unname(name["text"])
            else:
                db.names.untag(name["text"], name["record"])
    marked = [*ids, *([found.activity] if found.activity else [])]
    for piece in in_pieces({"_id": {"$in": marked}}):
        for taint in list(db.taints.raw.find(piece, {"_id": 1})):
            remove_taint(db, taint["_id"])


def _n_documents(db: Database, found: Forgetting) -> int:
    """Records that go, and members of datasets that do."""
    ids = found.records.get(db.datasets.name, [])
    members = sum(map(db.members.raw.count_documents, in_pieces({"dataset": {"$in": ids}})))
    return members + sum(map(len, found.records.values()))


def _remove(db: Database, found: Forgetting, session: ClientSession | None) -> None:
    """What depends on others first, so that a kill leaves nothing without what it was made from."""
    touched: set[str] = set()
    for name in reversed(db.record_collections):
        ids, raw = found.records.get(name, []), db.collection(name).raw
        for piece in in_pieces({"_id": {"$in": ids}}):
            for row in raw.find(piece, {"provenance.activity": 1}, session=session):
                touched.add((row.get("provenance") or {}).get("activity") or "")
            raw.delete_many(piece, session=session)
        if name == db.datasets.name:
            for piece in in_pieces({"dataset": {"$in": ids}}):
                db.members.raw.delete_many(piece, session=session)
    if found.activity:
        db.activities.raw.delete_one({"_id": found.activity}, session=session)
    for activity in sorted(touched - {"", found.activity}):
        count_anew(db, activity, found.records, session)


def _remove_members_of_none(db: Database) -> None:
    """Nobody writes meanwhile, so that a dataset that is not there was taken back."""
    for dataset in db.members.raw.distinct("dataset"):
        if db.datasets.raw.find_one({"_id": dataset}, {"_id": 1}) is None:
            db.members.raw.delete_many({"dataset": dataset})


def _remove_output(db: Database, found: Forgetting) -> None:
    """A job's output, document first: what is left of a kill is not a job that `collect` finds."""
    parts = [part["_id"] for part in _heavy(db, found)]
    if found.activity:
        uuid, _, index = found.activity.rpartition(":")
        if index.isdigit():
            db.raw[OUTPUTS].delete_one({"uuid": uuid, "index": int(index)})
    for part in parts:
        db.raw[f"{DATA_STORE}.files"].delete_one({"_id": part})
        db.raw[f"{DATA_STORE}.chunks"].delete_many({"files_id": part})


def _heavy(db: Database, found: Forgetting) -> list[dict[str, Any]]:
    uuid, _, index = (found.activity or "").rpartition(":")
    if not (uuid and index.isdigit()):
        return []
    asked = {"metadata.job_uuid": uuid, "metadata.job_index": int(index)}
    return list(db.raw[f"{DATA_STORE}.files"].find(asked, {"length": 1}))


def _by(activity: str) -> dict[str, str]:
    return {"provenance.activity": activity}
