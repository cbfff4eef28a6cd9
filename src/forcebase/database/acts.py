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
from forcebase.records import Activity, Run
from forcebase.records.activity import FAILED, FINISHED, STARTED, WHEN_WRITTEN
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


def done_among(db: Database, ids: Iterable[str]) -> set[str]:
    """Those of the activities whose records are all there."""
    found = db.activities.by_ids(ids, {"run.state": 1})
    unfinished = (STARTED, FAILED)
    return {row["_id"] for row in found if (row.get("run") or {}).get("state") not in unfinished}


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
