"""Labels packed by the thousand, kept in step with the records by digests, rebuilt when not.

A block is a copy of what all calculations of a method whose structures' ids begin alike say.
Reading it costs a fiftieth of reading them. It is used only if the index of the calculations still
names the same ids, which every reading asks of the server anew, and if its columns have the
checksum they had when it was made; otherwise the records are read, and the block is made again.
Who may not write to the database reads the records.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymongo.errors import OperationFailure

from forcebase.database.database import Database
from forcebase.database.label_columns import BY_STRUCTURE, LabelColumns, in_range, read_labels
from forcebase.database.raw_rows import read_rows
from forcebase.digest import bytes_digest
from forcebase.errors import DatabaseError, ForcebaseError
from forcebase.records import LabelBlock
from forcebase.records.array_field import decode_array, encode_array

BLOCK_BYTES = 2_000_000
"""So large a block is on average at most; a sixteenth of it at least."""
LARGEST_BLOCK = 15_000_000
"""What MongoDB takes in one document, with room; beyond it the records are read."""
ROW_BYTES, ATOM_BYTES = 136, 25
"""Of a calculation, and of each of its atoms, in a block."""
SAMPLE = 100
ID_SIZE = 64


def digits_of(db: Database, method: str) -> int:
    """How many digits of structures' ids tell the blocks of a method apart."""
    raw = db.calculations.raw
    count = raw.count_documents({"method": method})
    rows = list(raw.find({"method": method}, {"n_atoms": 1}).hint(BY_STRUCTURE).limit(SAMPLE))
    if not rows:
        return 0
    n_atoms = sum(row["n_atoms"] for row in rows) / len(rows)
    size = count * (ROW_BYTES + ATOM_BYTES * n_atoms)
    return max(0, math.ceil(math.log(size / BLOCK_BYTES, 16)))


def labels_of(db: Database, method: str, prefix: str) -> LabelColumns:
    """Labels of a method on the structures whose ids begin with `prefix`, from its block if sound.

    Args:
        db: the database.
        method: its id.
        prefix: as many digits as `digits_of` says.

    Raises:
        NotFoundError: a structure is not in the database.
        DatabaseError: a record has not the form of a record.
    """
    members = _members(db, method, prefix)
    stored = _blocks(db).find_one({"_id": f"{method}:{prefix}"})
    found = _unpacked(stored, members) if stored else None
    if found is not None:
        return found
    labels = read_labels(db, method, prefix)
    _keep(db, method, prefix, labels)
    return labels


def fault_of(db: Database, block: dict[str, Any]) -> str:
    """What is wrong with a stored block, in words; "" where it is sound, or is made again anyway.

    All that a reading takes from it is compared with the records, bit by bit.
    """
    method, _, prefix = str(block["_id"]).partition(":")
    try:
        members = _members(db, method, prefix)
        if block.get("members") != members:
            return ""
        found = _unpacked(block, members)
        if found is None:
            return "it is not what was written, and is not used"
        labels = read_labels(db, method, prefix)
    except ForcebaseError:  # a record that has not the form of one is told of itself
        return ""
    columns = ((getattr(found, f.name), getattr(labels, f.name)) for f in fields(LabelColumns))
    if all(a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in columns):
        return ""
    return "it says other than the records that it is a copy of"


def drop_blocks(db: Database, method: str, digits: int) -> None:
    """Delete the blocks of a method that were made for fewer or more digits."""
    stale = {"method": method, "digits": {"$ne": digits}}
    try:
        _blocks(db).delete_many(stale)
    except OperationFailure:  # a user who may only read
        return


def _blocks(db: Database) -> Any:
    return db.raw[LabelBlock._meta["collection"]]


def _members(db: Database, method: str, prefix: str) -> str:
    """Digest of the calculations that are there now, from the index alone."""
    columns = {"structure": "S", "_id": "S"}
    found = read_rows(db.calculations.raw, in_range(method, prefix), columns, BY_STRUCTURE)
    parts = [(rows["structure"], rows["_id"]) for rows in found]
    if any(ids.dtype.itemsize != ID_SIZE for part in parts for ids in part):
        raise DatabaseError(
            "A calculation has an id that is not a digest.", hint="Run `forcebase verify`."
        )
    structures, ids = (
        np.concatenate([np.empty(0, f"S{ID_SIZE}"), *(part[side] for part in parts)])
        for side in (0, 1)
    )
    return _members_digest(structures, ids)


def _members_digest(structures: NDArray[np.bytes_], ids: NDArray[np.bytes_]) -> str:
    return bytes_digest(structures.tobytes() + ids.tobytes())


def _keep(db: Database, method: str, prefix: str, labels: LabelColumns) -> None:
    """Store a block, or leave it where it cannot be stored: nothing depends on it."""
    size = sum(getattr(labels, f.name).nbytes for f in fields(labels))
    if size > LARGEST_BLOCK:
        return
    columns = _packed(labels)
    block = {
        "_id": f"{method}:{prefix}",
        "method": method,
        "prefix": prefix,
        "digits": len(prefix),
        "members": _members_digest(labels.structures, labels.ids),
        "checksum": _checksum(columns),
        **{name: encode_array(column, _dtype(name)) for name, column in columns.items()},
    }
    try:
        _blocks(db).replace_one({"_id": block["_id"]}, block, upsert=True)
    except OperationFailure:  # a user who may only read, or another who was first
        return


def _packed(labels: LabelColumns) -> dict[str, NDArray[Any]]:
    columns = {f.name: getattr(labels, f.name) for f in fields(labels)}
    return {**columns, "ids": _to_bytes(labels.ids), "structures": _to_bytes(labels.structures)}


def _unpacked(block: dict[str, Any], members: str) -> LabelColumns | None:
    """The columns of a block; None if it is not what is there now, or not what was written."""
    if block.get("members") != members:
        return None
    try:
        columns = {f.name: decode_array(block[f.name]) for f in fields(LabelColumns)}
    except (KeyError, TypeError, ValueError):  # edited by hand
        return None
    if _checksum(columns) != block.get("checksum"):
        return None
    names = {name: _to_digests(columns[name]) for name in ("ids", "structures")}
    return LabelColumns(**{**columns, **names})


def _checksum(columns: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(columns):
        digest.update(f"{name}{columns[name].shape}".encode())
        digest.update(columns[name].astype(_dtype(name), copy=False).tobytes())
    return digest.hexdigest()


def _dtype(name: str) -> str:
    field = LabelBlock._fields[name]
    return str(field.dtype)


def _to_bytes(digests: NDArray[np.bytes_]) -> NDArray[np.uint8]:
    raw = bytes.fromhex(digests.tobytes().decode())
    return np.frombuffer(raw, dtype=np.uint8).reshape(len(digests), ID_SIZE // 2)


def _to_digests(raw: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    return np.frombuffer(raw.tobytes().hex().encode(), dtype=f"S{ID_SIZE}")
