"""What MongoDB refuses to write, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure, PyMongoError

from forcebase.database.access import is_refusal, refusal
from forcebase.errors import DatabaseError, ForcebaseError, InputError

if TYPE_CHECKING:
    from pymongo.collection import Collection

DUPLICATE_KEY = 11000
NOT_VALID = 121
DOCUMENT_TOO_LARGE = 10334
"""The server's word for it; the client notices by itself from 48 MB on only."""


def write_error(collection: Collection, error: Exception) -> ForcebaseError:
    """What went wrong with a write, in words; `error` is of pymongo or bson."""
    name = collection.name
    if is_refusal(error):
        return refusal(collection.database, error)
    if is_too_large(error):
        return DatabaseError(
            f"A record of {name} is over MongoDB's 16 MB.", hint="Large arrays belong into blobs."
        )
    if not isinstance(error, PyMongoError):
        return InputError(f"A record of {name} cannot be stored: {error}")
    return DatabaseError(f"Writing to {name} failed: {error}.", hint="Run `forcebase doctor`.")


def not_valid(name: str, refused: Mapping[str, Any]) -> InputError:
    """What the collection's validator does not allow, by the names of the fields."""
    fields = sorted(set(_named_in(refused.get("errInfo"))))
    return InputError(
        f"A record of {name} is not what its schema allows"
        f"{': see ' + ', '.join(fields) if fields else ''}. Nothing of it was written.",
        hint=f"schemas/{name}.json says what each field may hold.",
    )


def _named_in(found: Any) -> Iterator[str]:
    """The `propertyName` of each field that MongoDB's explanation names."""
    if isinstance(found, Mapping):
        if isinstance(found.get("propertyName"), str):
            yield found["propertyName"]
        for item in found.values():
            yield from _named_in(item)
    elif isinstance(found, list):
        for item in found:
            yield from _named_in(item)


def is_too_large(error: Exception) -> bool:
    """Whether MongoDB, or its driver, refused a document for its size."""
    if isinstance(error, BulkWriteError):
        return any(e.get("code") == DOCUMENT_TOO_LARGE for e in error.details["writeErrors"])
    code = error.code if isinstance(error, OperationFailure) else None
    return isinstance(error, DocumentTooLarge) or code == DOCUMENT_TOO_LARGE


def is_duplicate_id(error: Mapping[str, Any]) -> bool:
    """Whether one error of a bulk write says that the record is there already."""
    return error.get("code") == DUPLICATE_KEY and set(error.get("keyPattern", {})) == {"_id"}
