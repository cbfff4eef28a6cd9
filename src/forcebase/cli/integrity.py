"""forcebase taint, untaint, verify, backup, restore: whether what is stored can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from forcebase.cli.arguments import SubjectArgument
from forcebase.cli.console import JsonOption, note, open_database, print_json, say, stage_bars

SHORT = 10
SHOWN = 8
"""Findings of one kind that are printed; --json has more."""


def taint(
    record: SubjectArgument,
    reason: Annotated[str, typer.Option(help="What is wrong with it, for those who read.")],
    as_json: JsonOption = False,
) -> None:
    """Say that a record is bad: all that depends on it, now or later, is stale.

    Nothing is deleted. A job or an import can be tainted too: then all that it made is.

    Examples:
      forcebase taint RECORD --reason "k-mesh too coarse"
      forcebase taint wse2-pbe@1 --reason "E0s of another cutoff"
    """
    from forcebase.provenance import trace_down
    from forcebase.provenance.subject import find_subject
    from forcebase.provenance.taint import set_taint

    with open_database(writing=True) as db:
        subject = find_subject(db, record)
        set_taint(db, *subject, reason)
        lineage = trace_down(db, *subject)
    stale = [node for node in lineage.nodes.values() if node.stale and node.depth]
    if as_json:
        plain = {"collection": subject.collection, "record": subject.record, "reason": reason}
        print_json({**plain, "stale": [n.record for n in stale], "goes_on": _goes_on(lineage)})
        return
    say(f"{subject.collection} {subject.record[:SHORT]} is tainted: {reason}")
    for node in stale:
        say(f"  stale: {node.collection} {node.record[:SHORT]} {node.title}")
    if _goes_on(lineage):
        say(f"  and more: forcebase trace {subject.record[:SHORT]} --down")


def _goes_on(lineage: Any) -> bool:
    return bool(lineage.cut or lineage.rests)


def untaint(record: SubjectArgument, as_json: JsonOption = False) -> None:
    """Remove a taint; what another taint reaches stays stale.

    Example:
      forcebase untaint RECORD
    """
    from forcebase.provenance.subject import find_subject
    from forcebase.provenance.taint import remove_taint, stale_among

    with open_database(writing=True) as db:
        subject = find_subject(db, record)
        removed = remove_taint(db, subject.record)
        still = stale_among(db, subject.collection, [subject.record]).get(subject.record, "")
    if as_json:
        print_json({"record": subject.record, "reason": removed.reason, "still_stale": still})
        return
    say(f"{subject.collection} {subject.record[:SHORT]} is no longer tainted.")
    if still:
        say(f"It is still stale: {still}")


def verify(
    models: Annotated[
        bool, typer.Option(help="Load every model and ask it its golden probe again.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Check everything that is stored: digests, edges, blobs, datasets, models, orphans.

    Reads only. The exit code is 1 where something is damaged, which an unfinished import is not.

    Examples:
      forcebase verify
      forcebase verify --no-models --json
    """
    from forcebase.integrity.verify import verify as verify_database

    with open_database() as db, stage_bars() as bars:
        report = verify_database(db, models=models, progress=bars)
    if as_json:
        print_json(report.as_dict())
    else:
        print_verification(report)
    if not report.is_sound:
        raise typer.Exit(1)


def print_verification(report: Any) -> None:
    """Print each kind of finding with its first records and their next step, and the sum."""
    for kind, n in report.counts.items():
        found = [finding for finding in report.findings if finding.kind is kind]
        style = "bold red" if kind.is_damage else "yellow"
        say((kind.value, style), f"  {n:,}" + ("" if kind.is_damage else ", no damage"))
        for finding in found[:SHOWN]:
            record = (finding.record[:SHORT], "cyan")
            said = f"  {finding.message}{_difference(finding)}"
            say(f"  {finding.collection} ", record, said)
        if n > SHOWN:
            say(f"  and {n - SHOWN:,} more: --json")
        for hint in dict.fromkeys(finding.hint for finding in found[:SHOWN]):
            say("  ", ("Next:", "bold"), f" {hint}")
    looked_at = ", ".join(f"{n:,} {name}" for name, n in report.checked.items())
    say(f"Looked at {looked_at} in {report.seconds:.1f} s.")
    if not report.is_sound:
        say(("Damaged.", "bold red"))
    elif report.unfinished:
        say((f"Sound, and {report.unfinished:,} unfinished: repeat it.", "yellow"))
    else:
        say("Sound.")


def _difference(finding: Any) -> str:
    expected, found = (_short(text) for text in (finding.expected, finding.found))
    words = [f"expected {expected}" if expected else "", f"found {found}" if found else ""]
    said = ", ".join(word for word in words if word)
    return f" ({said})" if said else ""


def _short(text: str) -> str:
    return " ".join(word[:SHORT] if len(word) == 64 else word for word in text.split())


def backup(
    target: Annotated[Path, typer.Argument(help="A new file, or a folder to put it into.")],
    as_json: JsonOption = False,
) -> None:
    """Write the whole database into one file: records, blobs, outputs, queue, indexes.

    All of it is of one moment, whatever is written meanwhile; only you can read the file.

    Examples:
      forcebase backup backups/
      forcebase backup wse2.forcebase.zip
    """
    from forcebase.integrity.backup import write_backup

    with open_database() as db, stage_bars() as bars:
        path, manifest = write_backup(db, target, progress=bars)
    if as_json:
        print_json(_summary(path, manifest))
        return
    say(str(path))
    size = path.stat().st_size / 1e6
    say(f"{manifest.documents:,} documents, {size:.1f} MB, {manifest.digest()[:SHORT]}")
    if not manifest.snapshot:
        note("The server is not a replica set: what was written meanwhile may be torn.")


def restore(
    source: Annotated[Path, typer.Argument(help="A file of `forcebase backup`.")],
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into an empty database, and verify it.

    The file is checked first. The database appears whole or stays empty.

    Examples:
      FORCEBASE_DATABASE=again forcebase restore wse2.forcebase.zip
    """
    from forcebase.database.schema import SCHEMA_VERSION
    from forcebase.integrity.restore import restore_backup
    from forcebase.integrity.verify import verify as verify_database
    from forcebase.records.journal_entry import Act
    from forcebase.settings import Settings

    with stage_bars() as bars:
        manifest = restore_backup(Settings.from_environment(), source, progress=bars)
    if manifest.schema_version < SCHEMA_VERSION:
        if as_json:
            print_json({**_summary(source, manifest), "schema_version": manifest.schema_version})
            return
        say(f"{manifest.documents:,} documents of {manifest.created_at} are restored.")
        say(
            f"They have schema version {manifest.schema_version}: `forcebase db migrate` brings "
            f"them to {SCHEMA_VERSION}."
        )
        return
    with open_database() as db:
        db.journal.note(Act.RESTORE, source.name)
        report = verify_database(db, models=False)
    if as_json:
        print_json({**_summary(source, manifest), "verification": report.as_dict()})
    else:
        say(f"{manifest.documents:,} documents of {manifest.created_at} are restored.")
        print_verification(report)
    if not report.is_sound:
        raise typer.Exit(1)


def _summary(path: Path, manifest: Any) -> dict[str, Any]:
    return {
        "path": str(path),
        "database": manifest.database,
        "created_at": manifest.created_at,
        "snapshot": manifest.snapshot,
        "digest": manifest.digest(),
        "documents": {c.name: c.documents for c in manifest.collections},
    }
