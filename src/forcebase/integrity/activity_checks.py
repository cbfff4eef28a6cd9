"""Activities: is each what was written, and is all there that it wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from forcebase.database.acts import is_running
from forcebase.database.database import Database
from forcebase.database.written import summary_of
from forcebase.integrity.batches import batches
from forcebase.integrity.findings import Finding, FindingKind
from forcebase.integrity.seal_checks import RESTORE, check_seals
from forcebase.records import Activity
from forcebase.records.activity import AT_MIGRATION, FAILED, FROM_ARCHIVE, STARTED
from forcebase.records.base import CHECKSUM, document_checksum

PLACE = Activity._meta["collection"]
FAILURE = "failure"
"""Kind of an activity that wrote nothing."""
SHOWN = 3
"""Ids that a message names."""
HERE = "job here"
"""Kind of a job that ran in the process of its command, and left no output in the JobStore."""
BACKUP = "Restore them from a backup, or import an archive that holds them."
BRING_BACK = {
    "import": "Import the same file again: it brings back what is lacking. Or restore a backup.",
    "job": "`forcebase collect` makes them again, while the job's output is there. Or restore a "
    "backup.",
    HERE: "Run the same command again (`forcebase dataset build`), or restore a backup.",
    "comparison": "Make the same comparison again, or restore a backup.",
}
ARCHIVE_AGAIN = "Import the archive again that they came in, or restore a backup."
REPEAT = {
    "import": "Run the same `forcebase import` again: it completes what is there.",
    "job": "Run `forcebase collect`: it completes what is there.",
    "forgetting": "Run `forcebase forget` with the id of this activity: it frees what is left.",
}
REPRODUCE = "Ask it again (`forcebase predict --again`), and compare versions and machines."
AGAIN = "Run the same command again: it completes what is there."
Ids = Mapping[str, list[bytes]]


@dataclass(frozen=True)
class _Act:
    """What is held of an activity while the records are read."""

    title: str
    kind: str
    state: str
    reason: str
    counted: str
    written: dict[str, dict[str, Any]]
    is_running: bool


@dataclass
class Acts:
    """All activities as they were before the records were read.

    Records are never removed by a command, so that what was there then must be there now.
    """

    _acts: dict[str, _Act] = field(default_factory=dict)
    _touched: set[str] = field(default_factory=set)

    @property
    def unfinished(self) -> set[str]:
        """Ids of those that were cut off, that failed, or that go on while this looks."""
        return {name for name, act in self._acts.items() if act.state in (STARTED, FAILED)}

    def go_on(self, db: Database) -> bool:
        """Whether any was unfinished when they were read, or began behind that."""
        return bool(self.unfinished) or db.activities.raw.count_documents({}) != len(self._acts)

    def read(self, db: Database) -> Iterator[tuple[int, list[Finding]]]:
        """Hold what each says, and yield (activities, what is wrong with them), some at a time."""
        for rows in batches(db.activities.raw.find()):
            findings = list(check_seals(Activity, rows))
            for row in rows:
                findings += _not_reproduced(row)
                run = row.get("run")
                if isinstance(run, dict):
                    findings += _check_run(row["_id"], run)
                    self._acts[row["_id"]] = _act(row, run)
                elif row.get("kind") != FAILURE:
                    words = "it does not say what it wrote"
                    kind = FindingKind.UNSEALED
                    findings.append(Finding(kind, PLACE, row["_id"], words, RESTORE))
            yield len(rows), findings

    def check_written(self, name: str, found: Ids) -> Iterator[Finding]:
        """Compare what activities wrote with what is there.

        Args:
            name: of a collection of records.
            found: activity -> ids of the records that name it, 32 bytes each.
        """
        for activity, act in self._acts.items():
            ids = found.get(activity, ())
            if act.state in (STARTED, FAILED):
                if ids:
                    self._touched.add(activity)
                continue
            said = act.written.get(name)
            if (said and "root" in said) or (ids and act.counted):
                yield from _compare(activity, act, name, said or {}, ids)

    def check_ends(self) -> Iterator[Finding]:
        """Those that were cut off, and those that failed behind their first record."""
        for activity, act in self._acts.items():
            if act.is_running or act.counted == FROM_ARCHIVE:  # its archive says so
                continue
            if act.state == STARTED:
                words = f"{act.title} is unfinished"
            elif act.state == FAILED and activity in self._touched:
                words = f"{act.title} is unfinished: {act.reason[:200]}"
            else:
                continue
            hint = REPEAT.get(act.kind, AGAIN)
            yield Finding(FindingKind.UNFINISHED, PLACE, activity, words, hint)


def _not_reproduced(row: dict[str, Any]) -> Iterator[Finding]:
    found = row.get("findings")
    for said in found if isinstance(found, list) else ():
        words = str(said.get("message", "")) if isinstance(said, dict) else str(said)
        yield Finding(FindingKind.NOT_REPRODUCED, PLACE, row["_id"], words, REPRODUCE)


def _check_run(activity: str, run: dict[str, Any]) -> Iterator[Finding]:
    stored, now = run.get(CHECKSUM), document_checksum(run)
    if stored != now:
        words = "what it says of how it went was edited after it was written"
        kind = FindingKind.RECORD_CHANGED
        yield Finding(kind, PLACE, activity, words, RESTORE, str(stored), now)


def _act(row: dict[str, Any], run: dict[str, Any]) -> _Act:
    state = str(run.get("state"))
    when = run.get("started_at") or row.get("finished_at")
    date = f" of {when:%Y-%m-%d %H:%M}" if isinstance(when, datetime) else ""
    return _Act(
        title=f"{row.get('kind')} {row.get('name')}{date}",
        kind=_kind(row),
        state=state,
        reason=str(run.get("reason") or ""),
        counted=str(run.get("counted") or ""),
        written={k: v for k, v in (run.get("written") or {}).items() if isinstance(v, dict)},
        is_running=state == STARTED and is_running(run),
    )


def _kind(row: dict[str, Any]) -> str:
    """Kind of an activity; HERE for a job that was none of jobflow's, as `dataset build` is."""
    kind = str(row.get("kind"))
    return HERE if kind == "job" and not row.get("job") else kind


def _compare(
    activity: str, act: _Act, name: str, said: dict[str, Any], ids: Any
) -> Iterator[Finding]:
    now, n_said = summary_of(ids), int(said.get("n", 0))
    if now["n"] == n_said and (now["root"] == said.get("root") or not now["n"]):
        return
    had = "had at the upgrade to schema version 8" if act.counted == AT_MIGRATION else "wrote"
    lacking = sorted(set(said.get("ids", ())) - {one.hex() for one in ids})
    named = f": {', '.join(lacking[:SHOWN])}" if lacking else ""
    back = ARCHIVE_AGAIN if act.counted == FROM_ARCHIVE else BRING_BACK.get(act.kind, BACKUP)
    if lacking or now["n"] < n_said:
        n = len(lacking) or n_said - now["n"]
        words = f"{n} of the {n_said} {name} that {act.title} {had} are not there{named}"
        kind, hint = FindingKind.RECORDS_MISSING, back
    elif now["n"] > n_said:
        words = f"{now['n'] - n_said} more {name} name {act.title} than it {had}"
        kind, hint = FindingKind.RECORDS_ADDED, "Find out who wrote them: no command did."
    else:
        words = f"the {name} that name {act.title} are others than it {had}"
        kind, hint = FindingKind.RECORDS_MISSING, back
    yield Finding(kind, PLACE, activity, words, hint, f"{n_said} {name}", f"{now['n']} {name}")
