"""Labelled structures from ASE databases: SQLite (.db) and JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase import Atoms
from ase.db import connect

from forcebase.errors import InputError
from forcebase.ingest.batch import Batch
from forcebase.ingest.labelled_frames import frames_batch
from forcebase.ingest.options import ImportOptions


def read_ase_database(path: Path, options: ImportOptions | None = None) -> Batch:
    """Turn every row of the database into a structure and a calculation.

    Key-value pairs stand for info keys, arrays in `data` for arrays of atoms.

    Raises:
        InputError: the file cannot be read, or a row cannot be used.
    """
    kind = "db" if path.open("rb").read(6) == b"SQLite" else "json"
    try:
        with TemporaryDirectory(prefix="forcebase-import-") as scratch:
            copy = Path(scratch) / f"rows.{kind}"  # ASE locks, and may migrate, what it opens
            shutil.copyfile(path, copy)
            rows = [_atoms(row) for row in connect(copy, type=kind).select()]
    except (json.JSONDecodeError, KeyError, ValueError, OSError) as error:
        raise InputError(f"{path.name} cannot be read as an ASE database: {error}") from None
    if not rows:
        raise InputError(f"{path.name} holds no structure.")
    return frames_batch(path, rows, options or ImportOptions())


def _atoms(row: Any) -> Atoms:
    atoms = row.toatoms()
    atoms.info.update(row.key_value_pairs)
    for name, value in dict(row.data).items():
        array = np.asarray(value)
        if array.ndim and array.shape[0] == len(atoms) and array.dtype.kind == "f":
            atoms.arrays[name] = array
        else:
            atoms.info[name] = value
    return atoms
