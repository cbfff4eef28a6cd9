"""One file becomes a batch of records, without the database: what worker processes do."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

from forcebase.errors import DiskFullError, ForcebaseError
from forcebase.ingest.batch import Batch
from forcebase.ingest.codes.code_output import output_batch
from forcebase.ingest.codes.reader import CodeReader
from forcebase.ingest.file_kinds import FileKind
from forcebase.ingest.label_checks import check_labels
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.plain_file import plain_file
from forcebase.ingest.reasons import in_words
from forcebase.ingest.sources import Source
from forcebase.paths import disk_full, is_full
from forcebase.plugins import Group, load
from forcebase.safety.files import require_whole_text
from forcebase.safety.limits import bounded, check_size


@dataclass(frozen=True)
class Parsed:
    """A file's records, or the reason why there are none."""

    batch: Batch | None
    reason: str = ""


def parse(source: Source, options: ImportOptions) -> Parsed:
    """Read a file; whatever goes wrong in a parser becomes a reason."""
    try:
        check_size(source.path)
        with warnings.catch_warnings(), bounded(source.path.name):
            warnings.simplefilter("ignore")
            return Parsed(_read(source, options))
    except DiskFullError:
        raise
    except ForcebaseError as error:
        return Parsed(None, str(error))
    except OSError as error:
        if is_full(error):
            raise disk_full(Path(gettempdir())) from None
        return Parsed(None, error.strerror or str(error))
    except Exception as error:  # ASE's and pymatgen's parsers fail in any way on foreign text
        return Parsed(None, f"it cannot be read as {source.kind}: {in_words(error)}")


def _read(source: Source, options: ImportOptions) -> Batch:
    batch = _batch(source, options)
    check_labels(batch, say_unchecked=source.kind in (FileKind.EXTXYZ, FileKind.ASE_DATABASE))
    return batch


def _batch(source: Source, options: ImportOptions) -> Batch:
    from forcebase.ingest.ase_database import read_ase_database
    from forcebase.ingest.extxyz import read_extxyz
    from forcebase.ingest.ml_ab import read_ml_ab
    from forcebase.ingest.phonopy_file import read_phonopy
    from forcebase.ingest.task_documents import read_task_document

    if source.kind is FileKind.EXTXYZ:
        return read_extxyz(source.path, options)
    if source.kind is FileKind.ASE_DATABASE:
        return read_ase_database(source.path, options)
    if source.kind is FileKind.PHONOPY:
        return read_phonopy(source.path, options)
    if source.kind is FileKind.TASK_DOCUMENT:
        return read_task_document(source.path)
    if source.kind is FileKind.ML_AB:
        return read_ml_ab(source.path, options)
    reader: CodeReader = load(Group.CODES, source.kind)
    if reader.is_text:
        require_whole_text(source.path)
    if reader.looks_beside_itself:
        return output_batch(reader.read(source.path), options.steps, options.k_spacing)
    with plain_file(source.path, reader.has_files_beside) as path:
        return output_batch(reader.read(path), options.steps, options.k_spacing)
