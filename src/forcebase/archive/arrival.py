"""Activities that an archive brings: what each wrote elsewhere, and how much of that came here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pymongo import UpdateOne

from forcebase.database.access import refusals_told
from forcebase.database.acts import running_here
from forcebase.database.database import Database
from forcebase.database.pieces import in_pieces
from forcebase.database.written import packed, summary_of
from forcebase.records import Activity
from forcebase.records.activity import FINISHED, FROM_ARCHIVE, STARTED, sealed_run

Counts = dict[str, dict[str, dict[str, Any]]]
"""Activity -> collection -> n, root and ids of its records that are here."""


class Arrival:
    """The activities of an archive on their way into a database.

    They are started, as the import of the archive is, until all of it is here; then each is told
    what this database has of its records. One that was here before and lacks a record stays as it
    is: an archive does not make that good unless it brings the record.

    Args:
        db: the database.
        ids: of the activities in the archive.
        archive: its name, for people.
    """

    def __init__(self, db: Database, ids: Iterable[str], archive: str) -> None:
        self._db = db
        self._run = {**running_here(db), "counted": FROM_ARCHIVE, "reason": f"from {archive}"}
        known = {row["_id"]: row for row in db.activities.by_ids(ids, {"run": 1})}
        self._before = {name: row["run"] for name, row in known.items() if "run" in row}
        counts = _counted(db, self._before)
        self._own = {name for name in ids if name not in known}
        for name, run in self._before.items():
            if run["state"] == STARTED and run.get("counted") == FROM_ARCHIVE:
                self._own.add(name)  # of an import of it that was killed
            elif run["state"] == FINISHED and run.get("written") == counts.get(name, {}):
                self._own.add(name)

    def begin(self) -> None:
        """Mark those that are here already: their records may become more from now on."""
        again = {name: {**self._before[name], **self._run} for name in self._own & {*self._before}}
        self._update(again)

    def started(self, document: dict[str, Any]) -> dict[str, Any]:
        """The stored form of an activity that is new here."""
        document["checksum"] = Activity.checksum_of(document)
        return {**document, "run": sealed_run({**self._run, "written": {}})}

    def finish(self) -> None:
        """Tell each what there is of its records."""
        counts = _counted(self._db, self._own)
        runs = {}
        for name in self._own:
            before, written = self._before.get(name), counts.get(name, {})
            if before and before["state"] == FINISHED:
                runs[name] = {**before, "written": written}
            else:
                run = {key: value for key, value in self._run.items() if key != "reason"}
                runs[name] = {**run, "state": FINISHED, "written": written}
        self._update(runs)

    def _update(self, runs: dict[str, dict[str, Any]]) -> None:
        changes = [UpdateOne({"_id": n}, {"$set": {"run": sealed_run(r)}}) for n, r in runs.items()]
        if changes:
            with refusals_told(self._db.raw):
                self._db.activities.raw.bulk_write(changes, ordered=False)


def _counted(db: Database, activities: Iterable[str]) -> Counts:
    """What there is of the records of some activities; their ids are held at once."""
    found: dict[str, dict[str, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    for name, collection in db.record_collections.items():
        for piece in in_pieces({"provenance.activity": {"$in": list(activities)}}):
            for row in collection.raw.find(piece, {"provenance.activity": 1}):
                found[row["provenance"]["activity"]][name].append(packed(row["_id"]))
    return {
        activity: {name: summary_of(ids) for name, ids in sorted(made.items())}
        for activity, made in found.items()
    }
