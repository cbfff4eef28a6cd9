"""Which records files hold, whatever was imported before, and by whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from forcebase.errors import InputError
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.parsing import parse
from forcebase.ingest.sources import find_sources


@dataclass(frozen=True)
class Contents:
    """Ids of the records that files become, sorted."""

    calculations: tuple[str, ...]
    phonons: tuple[str, ...]


def contents(paths: Iterable[Path], options: ImportOptions | None = None) -> Contents:
    """Read files as `import_paths` does, and give the ids of what is in them; nothing is written.

    Raises:
        InputError: a path is not there, or a file cannot be read.
    """
    calculations: set[str] = set()
    phonons: set[str] = set()
    with find_sources(paths) as found:
        for name, reason in found.failed:
            raise InputError(f"{name} cannot be imported: {reason}")
        for source in found.sources:
            parsed = parse(source, options or ImportOptions())
            if parsed.batch is None:
                raise InputError(f"{source.name} cannot be imported: {parsed.reason}")
            calculations |= {record.id for record in parsed.batch.calculations}
            phonons |= {record.id for record in parsed.batch.phonons}
    return Contents(tuple(sorted(calculations)), tuple(sorted(phonons)))
