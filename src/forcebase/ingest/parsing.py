"""One file becomes a batch of records, without the database: what worker processes do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

from forcebase.errors import DiskFullError, ForcebaseError, InputError
from forcebase.ingest.batch import Batch
from forcebase.ingest.codes.code_output import CodeOutput, output_batch
from forcebase.ingest.file_kinds import FileKind
from forcebase.ingest.label_checks import check_labels
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.plain_file import plain_file
from forcebase.ingest.reasons import in_words
from forcebase.ingest.sources import Source
from forcebase.paths import disk_full, is_full
from forcebase.safety.files import require_whole_text
from forcebase.safety.limits import bounded, check_size

BESIDE = (FileKind.CP2K, FileKind.PW_TEXT, FileKind.PW_XML, FileKind.OUTCAR)
"""Outputs whose runs keep trajectories, inputs or pseudopotentials in files beside them."""
TEXTS = (
    FileKind.OUTCAR,
    FileKind.CP2K,
    FileKind.PW_TEXT,
    FileKind.GPAW_TEXT,
    FileKind.AIMS,
    FileKind.ABINIT,
)
"""What does not show by itself that it was cut inside its last number."""
CodeReader = Callable[[Path], CodeOutput]


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
    if source.kind in TEXTS:
        require_whole_text(source.path)
    if source.kind in (FileKind.VASPRUN, FileKind.VASPOUT):  # they look beside it themselves
        run = _code_reader(source.kind)(source.path)
        return output_batch(run, options.steps, options.k_spacing)
    with plain_file(source.path, source.kind in BESIDE) as path:
        return output_batch(_code_reader(source.kind)(path), options.steps, options.k_spacing)


def _code_reader(kind: FileKind) -> CodeReader:
    """The reader of a code's output; each loads its own parser."""
    if kind is FileKind.VASPRUN:
        from forcebase.ingest.codes.vasp_output import read_vasprun

        return read_vasprun
    if kind is FileKind.VASPOUT:
        from forcebase.ingest.codes.vasp_h5 import read_vaspout

        return read_vaspout
    if kind is FileKind.OUTCAR:
        from forcebase.ingest.codes.vasp_outcar import read_outcar

        return read_outcar
    if kind in (FileKind.PW_TEXT, FileKind.PW_XML):
        from forcebase.ingest.codes.espresso_output import read_pw_text, read_pw_xml

        return read_pw_text if kind is FileKind.PW_TEXT else read_pw_xml
    if kind in (FileKind.GPAW_TEXT, FileKind.GPW):
        from forcebase.ingest.codes.gpaw_output import read_gpaw_text, read_gpw

        return read_gpaw_text if kind is FileKind.GPAW_TEXT else read_gpw
    if kind is FileKind.CP2K:
        from forcebase.ingest.codes.cp2k_output import read_cp2k_text

        return read_cp2k_text
    if kind is FileKind.AIMS:
        from forcebase.ingest.codes.aims_output import read_aims_text

        return read_aims_text
    if kind is FileKind.ABINIT:
        from forcebase.ingest.codes.abinit_output import read_abinit_text

        return read_abinit_text
    raise InputError(f"there is no reader for {kind}.")
