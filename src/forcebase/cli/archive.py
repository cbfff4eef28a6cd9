"""forcebase export: records with all that they were made from, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from forcebase.cli.console import JsonOption, note, open_database, print_json, say, stage_bars
from forcebase.errors import InputError


def export(
    out: Annotated[Path, typer.Option(help="A new file, as wse2.zip.")],
    records: Annotated[
        list[str] | None, typer.Argument(help="Ids, names or tags; without --all.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All records there are.")] = False,
    title: Annotated[str, typer.Option(help="Title, for people.")] = "",
    description: Annotated[str, typer.Option(help="What it is, for people.")] = "",
    license_: Annotated[str, typer.Option("--license", help="URL or name of the license.")] = "",
    author: Annotated[list[str] | None, typer.Option(help="Name; may be repeated.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write records and everything that they were made from into one archive.

    A zip that is an RO-Crate: records, members of datasets, weights, force constants, names,
    tags, lineage in the words of PROV. `forcebase import FILE.zip` reads it into any database.
    The same records give the same bytes.

    Examples:
      forcebase export wse2-mace --out wse2-mace.zip --license CC-BY-4.0 --author "A. Name"
      forcebase export wse2-pbe@1 wse2-dft-phonon --out data.zip
      forcebase export --all --out all.zip
    """
    from forcebase.archive import Description, write_archive

    if bool(records) == everything:
        raise InputError("Name the records to export, or give --all.", hint="Not both.")
    about = Description(title, description, license_, tuple(author or ()))
    with open_database() as db, stage_bars() as bars:
        found = [db.resolve(text) for text in records or []]
        roots = [(place, record.id) for place, record in found]
        path, manifest = write_archive(db, roots, out, about, progress=bars)
    counts = {**manifest.documents, "blobs": len(manifest.blobs)}
    size = path.stat().st_size
    if as_json:
        print_json({"path": str(path), "bytes": size, "documents": counts})
        return
    say(str(path))
    said = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counts.items() if n)
    say(f"{said}; {size / 1e6:.1f} MB")


def import_archives(db: Any, paths: list[Path], bars: Any, as_json: bool) -> None:
    """Read archives and say what is new."""
    from forcebase.archive import read_archive
    from forcebase.database.trust import waiting

    before = set(waiting(db))
    reports = [read_archive(db, path, progress=bars) for path in paths]
    new_models = len(set(waiting(db)) - before)
    if new_models:
        note(
            f"{new_models} new models came with it. A model runs code when it is used: none of "
            "them runs before `forcebase model trust NAME`, which shows what it would run."
        )
    if as_json:
        print_json(
            [
                {
                    "added": r.added,
                    "known": r.known,
                    "kept_names": r.kept_names,
                    "findings": r.findings,
                    "path": str(path),
                }
                for path, r in zip(paths, reports, strict=True)
            ]
        )
        return
    for path, report in zip(paths, reports, strict=True):
        added = ", ".join(f"{n:,} {name}" for name, n in report.added.items()) or "nothing"
        known = sum(report.known.values())
        say(f"{path}; new: {added}; known: {known:,}.")
        for finding in report.findings:
            say(("finding", "yellow"), f" {finding}")
        for name in report.kept_names:
            note(f"{name!r} stands for another record here, and still does.")
