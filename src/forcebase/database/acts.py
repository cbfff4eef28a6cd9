"""Activities as they go: started before their first record, finished behind the last one.

An activity that stays started, whose process has ended, was killed: what it left is unfinished,
and the same command again completes it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import psutil
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError, PyMongoError

from forcebase.database.access import user_name
from forcebase.database.database import Database
from forcebase.database.lease import is_held
from forcebase.database.pieces import in_pieces
from forcebase.database.write_errors import write_error
from forcebase.database.written import packed, summary_of
from forcebase.records import Activity, Run
from forcebase.records.activity import FAILED, FINISHED, STARTED, WHEN_WRITTEN, sealed_run
from forcebase.records.base import utc_now

NOT_FINISHED = {"run.state": {"$in": [STARTED, FAILED]}}
FORGETTING = "forgetting_lock"
"""The lock of whoever takes records back: what they free, nobody may begin to name meanwhile."""
POLL_SECONDS = 0.1
ELSEWHERE_SECONDS = 3600.0
"""An activity that another machine started within it may be running still."""


def begin(db: Database, activity: Activity) -> None:
    """Say that an activity writes from now on; one that was finished before stays as it is.

    While records are being taken back this waits: who takes back looks for started activities
    after taking the lock, and a writer looks for the lock after it is started.

    Raises:
        DatabaseError: the server refused.
    """
    announce(db, activity)
    while is_held(db.raw, FORGETTING):
        time.sleep(POLL_SECONDS)


def announce(db: Database, activity: Activity) -> None:
    """Say that an activity starts, without waiting for what is being taken back.

    Raises:
        DatabaseError: the server refused.
    """
    activity.run = Run(**running_here(db))
    document = db.activities.checked(activity)
    raw = db.activities.raw
    try:
        try:
            raw.insert_one(document)
        except DuplicateKeyError:
            again = {"_id": activity.id, **NOT_FINISHED}
            raw.update_one(again, {"$set": {"run": document["run"]}})
    except PyMongoError as error:
        raise write_error(raw, error) from error


def running_here(db: Database) -> dict[str, Any]:
    """The stored form of a run that starts now, in this process."""
    here = {"user": user_name(db.access), "host": socket.gethostname(), "pid": os.getpid()}
    return {"state": STARTED, "started_at": utc_now(), **here}


def finish(db: Database, activity: Activity, written: Mapping[str, Any]) -> None:
    """Say that all of an activity's records are there; where another did so first, it stays.

    Args:
        db: the database.
        activity: that `begin` was told of.
        written: of `Written.summary`.

    Raises:
        DatabaseError: the server refused.
    """
    activity.run.state, activity.run.counted = FINISHED, WHEN_WRITTEN
    activity.run.written = dict(written)
    if not keep(db, activity):
        count_anew(db, activity.id, written)
        _note_repetition(db, activity.id)


def fail(db: Database, activity: Activity, reason: str) -> None:
    """Say why an activity cannot go on; what it wrote before stays."""
    activity.run.state, activity.run.reason = FAILED, reason
    keep(db, activity)


def keep(db: Database, activity: Activity) -> bool:
    """Write an activity in the place of one that is not finished, and say whether it was not.

    Raises:
        DatabaseError: the server refused.
    """
    raw = db.activities.raw
    document = db.activities.checked(activity)
    try:
        raw.replace_one({"_id": activity.id, **NOT_FINISHED}, document, upsert=True)
    except DuplicateKeyError:  # another was first: it wrote the same
        return False
    except PyMongoError as error:
        raise write_error(raw, error) from error
    return True


def count_anew(
    db: Database, activity: str, names: Iterable[str], session: ClientSession | None = None
) -> None:
    """Have a finished act say what is there now of what it wrote.

    Records of it go where they are taken back, and come where others that it found there were
    taken back and it is done again.

    Args:
        db: the database.
        activity: its id.
        names: collections that are looked at.
        session: of a transaction.
    """
    row = db.activities.raw.find_one({"_id": activity}, {"run": 1}, session=session)
    run = dict((row or {}).get("run") or {})
    if run.get("state") in (STARTED, FAILED):
        return
    before = run.get("written") or {}
    written = dict(before)
    for name in names:
        left = db.collection(name).raw.find(
            {"provenance.activity": activity}, {"_id": 1}, session=session
        )
        summary = summary_of(packed(one["_id"]) for one in left)
        written[name] = summary
        if not summary["n"]:
            del written[name]
    if row is not None and written != before:
        change = {"$set": {"run": sealed_run({**run, "written": written})}}
        db.activities.raw.update_one({"_id": activity}, change, session=session)


def _note_repetition(db: Database, activity: str) -> None:
    """Say when an act that wrote nothing itself was done again: not before the next forgetting."""
    row = db.activities.raw.find_one({"_id": activity}, {"run": 1})
    run = dict((row or {}).get("run") or {})
    if run.get("state") == FINISHED and not run.get("written"):
        change = {"$set": {"run": sealed_run({**run, "repeated_at": utc_now()})}}
        db.activities.raw.update_one({"_id": activity, "run": row and row["run"]}, change)


def keep_raw(db: Database, activity: str, sha256: str) -> None:
    """Say that a blob is the file of an import that is finished; said before, nothing changes.

    Raises:
        DatabaseError: the server refused.
    """
    raw = db.activities.raw
    row = raw.find_one({"_id": activity}, {"run": 1})
    if row is None or row["run"].get("raw_file") == sha256:
        return
    run = sealed_run({**row["run"], "raw_file": sha256})
    try:
        raw.update_one({"_id": activity, "run": row["run"]}, {"$set": {"run": run}})
    except PyMongoError as error:
        raise write_error(raw, error) from error


def done_among(db: Database, ids: Iterable[str], whole: bool = True) -> set[str]:
    """Those of the activities that came to their end.

    Args:
        db: the database.
        ids: of the activities.
        whole: only those whose records are all there still, counted: nobody removed one by hand,
            and nobody took back what one found there that another had written.
    """
    names = ("run.state", "run.written", "run.started_at", "run.repeated_at", "n_records")
    found = list(db.activities.by_ids(ids, dict.fromkeys(names, 1)))
    done = {
        row["_id"]: (row.get("run") or {}).get("written") or {}
        for row in found
        if (row.get("run") or {}).get("state") not in (STARTED, FAILED)
    }
    if not whole:
        return set(done)
    return done.keys() - _lacking(db, done) - _emptied(db, found)


def _emptied(db: Database, rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Activities that wrote nothing themselves, and behind which something was taken back."""
    query = {"kind": "forgetting"}
    last = db.activities.raw.find_one(query, {"run": 1}, sort=[("run.started_at", -1)])
    if last is None:
        return set()
    return {
        row["_id"]
        for row in rows
        if row.get("n_records")
        and not (row.get("run") or {}).get("written")
        and (began := _last_begun(row.get("run") or {})) is not None
        and began <= last["run"]["started_at"]
    }


def _last_begun(run: Mapping[str, Any]) -> datetime | None:
    return run.get("repeated_at") or run.get("started_at")


def _lacking(db: Database, written: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Activities of which fewer records are there than they wrote, by an index alone."""
    lacking = set()
    for name, collection in db.record_collections.items():
        said = {
            activity: one[name]["n"]
            for activity, one in written.items()
            if isinstance(one.get(name), dict) and "root" in one[name]
        }
        there: dict[str, int] = {}
        for piece in in_pieces({"provenance.activity": {"$in": list(said)}}):
            counted = {"_id": "$provenance.activity", "n": {"$sum": 1}}
            rows = collection.raw.aggregate([{"$match": piece}, {"$group": counted}])
            there |= {row["_id"]: row["n"] for row in rows}
        lacking |= {activity for activity, n in said.items() if there.get(activity, 0) < n}
    return lacking


def running(db: Database) -> dict[str, Any] | None:
    """An activity that another process writes now, on this machine or lately on another."""
    for row in db.activities.raw.find({"run.state": STARTED}, {"kind": 1, "name": 1, "run": 1}):
        run = row["run"]
        began = run.get("started_at")
        elsewhere = run.get("host") != socket.gethostname()
        if is_running(run) or (elsewhere and began is not None and _is_recent(began)):
            return dict(row)
    return None


def _is_recent(moment: datetime) -> bool:
    return datetime.now(UTC).timestamp() - _seconds(moment) < ELSEWHERE_SECONDS


def is_running(run: dict[str, Any]) -> bool:
    """Whether another process of this machine is at a started activity."""
    pid = run.get("pid")
    if run.get("host") != socket.gethostname() or pid in (None, os.getpid()):
        return False
    try:
        born = psutil.Process(pid).create_time()
    except psutil.Error:
        return False
    # a number that was given again belongs to a process that is younger than the activity
    started = run.get("started_at")
    return started is None or born <= _seconds(started) + 1.0


def _seconds(moment: datetime) -> float:
    return float(moment.replace(tzinfo=UTC).timestamp())
