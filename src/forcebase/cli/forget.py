"""forcebase forget: take back what nothing depends on; forcebase raw: the file of an import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forcebase.cli.arguments import SubjectArgument
from forcebase.cli.console import JsonOption, open_database, print_json, say
from forcebase.errors import InputError


def forget(
    record: SubjectArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take back a record, or all that an import or job made, where nothing depends on it.

    Its blobs go too, and a job's output from the JobStore. What others share stays. Where anything
    depends on it, nothing is forgotten: taint what is bad instead.

    Examples:
      forcebase forget IMPORT --dry-run
      forcebase forget RECORD
    """
    from forcebase.integrity.forgetting import forget as take_back
    from forcebase.integrity.forgetting import plan_forgetting
    from forcebase.provenance.subject import find_subject

    with open_database(writing=not dry_run) as db:
        subject = find_subject(db, record)
        found = plan_forgetting(db, subject) if dry_run else take_back(db, subject)
    if as_json:
        print_json({**found.as_dict(), "forgotten": not dry_run})
        return
    gone = ", ".join(f"{len(ids)} {name}" for name, ids in found.records.items()) or "no record"
    say(f"{'Would forget' if dry_run else 'Forgotten'}: {found.title}; {gone}.")
    if found.blobs or found.n_bytes:
        say(f"Freed: {found.n_bytes / 1e6:.3f} MB, {len(found.blobs)} blobs.")
    for name, ids in found.kept.items():
        say(f"Kept, for others use them: {len(ids)} {name}.")


def raw(
    record: SubjectArgument,
    out: Annotated[Path, typer.Option(help="Folder to write below.")] = Path("raw"),
    as_json: JsonOption = False,
) -> None:
    """Write the file that a record was imported from, kept by `import --keep-raw`.

    It stands under the path that it had below the folder that was imported.

    Example:
      forcebase raw RECORD --out raw
    """
    from forcebase.ingest.raw_files import write_file
    from forcebase.provenance.subject import find_subject

    with open_database() as db:
        subject = find_subject(db, record)
        activity: str | None = subject.record
        if subject.collection != db.activities.name:
            found = db.collection(subject.collection).get(subject.record)
            activity = found.provenance.activity if found.provenance else None
        if not activity:
            raise InputError(f"{record} was not imported.", hint="Name a record of an import.")
        try:
            path = write_file(db, activity, out)
        except OSError as error:
            raise InputError(
                f"{error.filename} cannot be written: {error.strerror}.",
                hint="Give another folder with --out.",
            ) from None
    if as_json:
        print_json({"file": str(path), "import": activity})
        return
    say(f"{path}")
