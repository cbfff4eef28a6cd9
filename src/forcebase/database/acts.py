"""Activities as they go: started before their first record, finished behind the last one.

An activity that stays started, whose process has ended, was killed: what it left is unfinished,
and the same command again completes it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import psutil
from pymongo.errors import DuplicateKeyError, PyMongoError

from forcebase.database.access import user_name
from forcebase.database.collections import write_error
from forcebase.database.database import Database
from forcebase.database.pieces import in_pieces
from forcebase.records import Activity, Run
from forcebase.records.activity import FAILED, FINISHED, STARTED, WHEN_WRITTEN, sealed_run
from forcebase.records.base import utc_now

NOT_FINISHED = {"run.state": {"$in": [STARTED, FAILED]}}


def begin(db: Database, activity: Activity) -> None:
    """Say that an activity writes from now on; one that was finished before stays as it is.

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
    keep(db, activity)


def fail(db: Database, activity: Activity, reason: str) -> None:
    """Say why an activity cannot go on; what it wrote before stays."""
    activity.run.state, activity.run.reason = FAILED, reason
    keep(db, activity)


def keep(db: Database, activity: Activity) -> None:
    """Write an activity in the place of one that is not finished.

    Raises:
        DatabaseError: the server refused.
    """
    raw = db.activities.raw
    document = db.activities.checked(activity)
    try:
        raw.replace_one({"_id": activity.id, **NOT_FINISHED}, document, upsert=True)
    except DuplicateKeyError:  # another was first: it wrote the same
        return
    except PyMongoError as error:
        raise write_error(raw, error) from error


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
        whole: only those whose records are all there still, counted: nobody removed one by hand.
    """
    found = db.activities.by_ids(ids, {"run.state": 1, "run.written": 1})
    done = {
        row["_id"]: (row.get("run") or {}).get("written") or {}
        for row in found
        if (row.get("run") or {}).get("state") not in (STARTED, FAILED)
    }
    return done.keys() - _lacking(db, done) if whole else set(done)


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
