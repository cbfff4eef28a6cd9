"""Labelled structures from ASE databases: SQLite (.db) and JSON."""

from __future__ import annotations

import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
from ase import Atoms
from ase.db import connect

from forcebase.errors import InputError
from forcebase.ingest.batch import Batch
from forcebase.ingest.labelled_frames import frames_batch
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.reasons import in_words
from forcebase.paths import disk_full, is_full
from forcebase.safety.json_text import read_json
from forcebase.scratch import scratch_folder


def read_ase_database(path: Path, options: ImportOptions | None = None) -> Batch:
    """Turn every row of the database into a structure and a calculation.

    Key-value pairs stand for info keys, arrays in `data` for arrays of atoms.

    Raises:
        InputError: the file cannot be read, or a row cannot be used.
    """
    kind = "db" if path.open("rb").read(6) == b"SQLite" else "json"
    try:
        with scratch_folder("forcebase-import") as scratch:
            copy = scratch / f"rows.{kind}"  # ASE locks, and may migrate, what it opens
            shutil.copyfile(path, copy)
            if kind == "db":
                _check_tables(copy, path.name)
            else:
                _check_arrays(read_json(copy), path.name)
            rows = [_atoms(row) for row in connect(copy, type=kind).select()]
    except (KeyError, ValueError, OSError, sqlite3.Error) as error:
        if is_full(error):
            raise disk_full(Path(gettempdir())) from None
        raise InputError(
            f"{path.name} cannot be read as an ASE database: {in_words(error)}"
        ) from None
    if not rows:
        raise InputError(f"{path.name} holds no structure.")
    return frames_batch(path, rows, options or ImportOptions())


def _check_tables(path: Path, name: str) -> None:
    """Look at an SQLite file before ASE reads it: only tables, and whole.

    Raises:
        InputError: it has views, triggers or virtual tables, which run SQL of their own, or is
            damaged.
        sqlite3.Error: it is not a database.
    """
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        database.execute("PRAGMA trusted_schema = OFF")
        found = database.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        for kind, title, sql in found:
            virtual = str(sql).upper().startswith("CREATE VIRTUAL")
            if kind not in ("table", "index") or virtual:
                raise InputError(f"{name} has a {kind} {title!r}, as no database of ASE has.")
        (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if answer != "ok":
            raise InputError(f"{name} is damaged or cut off: {' '.join(answer.split())[:100]}.")


def _check_arrays(content: Any, name: str) -> None:
    """Check the shapes of arrays in a JSON database against the numbers that stand there.

    Raises:
        InputError: a shape claims other than there is.
    """
    waiting = [content]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            waiting += item.values()
            for key in ("__ndarray__", "__complex_ndarray__"):
                if key in item and not _holds(item[key]):
                    raise InputError(f"{name} has an array that is not of the shape it says.")


def _holds(array: Any) -> bool:
    try:
        shape, kind, data = array
        numbers = 2 if np.dtype(kind).kind == "c" else 1
        return math.prod(shape) * numbers == len(data)
    except (TypeError, ValueError):
        return False


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
