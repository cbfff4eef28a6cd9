"""Archives: records with all that they were made from, in one file for another database."""

from forcebase.archive.crate import Description
from forcebase.archive.reading import ArchiveReport, is_archive, read_archive
from forcebase.archive.writing import write_archive

__all__ = ["ArchiveReport", "Description", "is_archive", "read_archive", "write_archive"]
