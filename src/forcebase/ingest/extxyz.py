"""Labelled structures from extxyz files."""

from __future__ import annotations

from pathlib import Path

from forcebase.ingest.batch import Batch
from forcebase.ingest.labelled_frames import frames_batch, read_frames
from forcebase.ingest.options import ImportOptions


def read_extxyz(path: Path, options: ImportOptions | None = None) -> Batch:
    """Turn every frame of the file into a structure and a calculation.

    Raises:
        InputError: the file cannot be read, or a frame cannot be used; the message names the
            frame. Nothing is written then.
    """
    return frames_batch(path, read_frames(path), options or ImportOptions())
