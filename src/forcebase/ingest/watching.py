"""Records within seconds of a job's end: MongoDB's change streams say when there is work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from pymongo.errors import PyMongoError

from forcebase.database.access import is_refusal
from forcebase.database.connection import open_client, supports_transactions
from forcebase.database.database import Database
from forcebase.database.job_store import OUTPUTS, QUEUE
from forcebase.errors import AccessError, DatabaseError
from forcebase.ingest.collect import CollectReport, collect
from forcebase.ingest.failures import FAILED

AWAIT_MS = 1000
PATIENCE = 60.0
"""s; so long a server may be away before the watch gives up."""
CHANGES: list[dict[str, Any]] = [
    {
        "$match": {
            "operationType": {"$in": ["insert", "update", "replace"]},
            "$or": [
                {"ns.coll": OUTPUTS},
                {
                    "ns.coll": QUEUE,
                    "updateDescription.updatedFields.state": {"$in": list(FAILED)},
                },
            ],
        }
    },
    {"$project": {"ns": 1, "documentKey": 1}},
]


def watch(db: Database, stop: Callable[[], bool] | None = None) -> Iterator[CollectReport]:
    """Collect what is there, then what comes, for ever or until `stop` says so.

    The stream is opened before the first look, so that nothing falls between the two. A server
    that goes away is waited for, and started where it is the embedded one; then all is looked
    through again. What cannot be read is told once.

    Args:
        db: the database.
        stop: asked whenever nothing is left to do.

    Yields:
        A report for every round that had something new.

    Raises:
        DatabaseError: the server keeps no change stream, or is away for more than a minute.
    """
    if not supports_transactions(db.client):
        raise DatabaseError(
            "This MongoDB is a standalone server: it has no change streams to watch.",
            hint="Make it a replica set of one (`forcebase db start` does), or repeat "
            "`forcebase collect`.",
        )
    told: set[tuple[str, str]] = set()
    away_since: float | None = None
    while True:
        try:
            for report in _rounds(db, stop):
                away_since = None
                if _keep_news(report, told):
                    yield report
            return
        except (PyMongoError, DatabaseError) as error:
            if isinstance(error, AccessError) or is_refusal(error):
                raise
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > PATIENCE:
                raise DatabaseError(
                    f"MongoDB has been away for {PATIENCE:.0f} s: {type(error).__name__}.",
                    hint="What was collected is kept: start it, and watch again.",
                ) from None
            time.sleep(1)
            _wake(db)


def _rounds(db: Database, stop: Callable[[], bool] | None) -> Iterator[CollectReport]:
    with db.raw.watch(CHANGES, max_await_time_ms=AWAIT_MS) as stream:
        report = collect(db)
        yield report
        unread = set(report.unread)
        while True:
            changes = [stream.try_next()]
            while changes[-1] is not None:
                changes.append(stream.try_next())
            outputs, queue = _by_collection(changes[:-1])
            if outputs or queue:
                report = collect(db, documents=[*unread, *outputs], failed_jobs=queue)
                yield report
                while report.jobs and report.unread:  # what they wait for may just have come
                    report = collect(db, documents=report.unread, failed_jobs=())
                    yield report
                unread = set(report.unread)
            elif stop and stop():
                yield collect(db)
                return


def _by_collection(changes: list[Any]) -> tuple[list[Any], list[Any]]:
    found: dict[str, list[Any]] = {OUTPUTS: [], QUEUE: []}
    for change in changes:
        found[change["ns"]["coll"]].append(change["documentKey"]["_id"])
    return found[OUTPUTS], found[QUEUE]


def _keep_news(report: CollectReport, told: set[tuple[str, str]]) -> bool:
    """Leave out of a report what an earlier one said; whether something stays."""
    report.failed = [found for found in report.failed if found not in told]
    report.unknown = [name for name in report.unknown if (name, "") not in told]
    told.update(report.failed)
    told.update((name, "") for name in report.unknown)
    return bool(report.jobs or report.failed or report.unknown or report.failures)


def _wake(db: Database) -> None:
    try:
        open_client(db.settings).close()
    except DatabaseError:
        return  # it is still away
