"""The files of imports themselves, compressed, in blobs: scratch folders are purged."""

from __future__ import annotations

import gzip
from pathlib import Path

from forcebase.database.acts import keep_raw
from forcebase.database.database import Database
from forcebase.errors import NotFoundError
from forcebase.records import Activity
from forcebase.safety.files import compression

LEVEL = 6


def keep_file(db: Database, activity: str, path: Path) -> bool:
    """Keep the file of an import; one that is compressed stays as it is. Bytes are kept once.

    Returns:
        Whether it is new.

    Raises:
        OSError: it cannot be read.
        DatabaseError: the server refused.
    """
    found = db.activities.raw.find_one({"_id": activity}, {"run.raw_file": 1})
    if found is None or found.get("run", {}).get("raw_file"):
        return False
    data = path.read_bytes()
    if compression(path) is None:
        data = gzip.compress(data, LEVEL, mtime=0)
    keep_raw(db, activity, db.blobs.put(data))
    db.blobs.put(data)  # again, where the same bytes of another import were freed in between
    return True


def write_file(db: Database, activity: str, folder: Path) -> Path:
    """Write the file of an import below a folder, by the path that it had, compressed.

    Raises:
        NotFoundError: the import did not keep it.
        IntegrityError: its bytes were changed.
        OSError: it cannot be written, or is there already.
    """
    found = db.activities.get(activity)
    sha256 = (found.run.raw_file if found.run else None) or _kept_elsewhere(db, found)
    if not sha256:
        raise NotFoundError(
            f"{found.kind} {found.name} did not keep its file.",
            hint="Import the file again with --keep-raw.",
        )
    data = db.blobs.get(sha256)
    named = Path(str(found.source.get("path") or found.source.get("file") or found.name))
    inside = [part for part in named.parts if part not in ("/", "..", ".")]
    target = folder.joinpath(*inside)
    if data.startswith(b"\x1f\x8b") and target.suffix != ".gz":
        target = target.with_name(f"{target.name}.gz")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        file.write(data)
    return target


def _kept_elsewhere(db: Database, activity: Activity) -> str | None:
    """The blob of the same file, where another import of it, as of all steps, kept it."""
    named = (activity.source or {}).get("sha256")
    asked = {"source.sha256": named, "run.raw_file": {"$exists": True}}
    row = db.activities.raw.find_one(asked, {"run.raw_file": 1}) if named else None
    return str(row["run"]["raw_file"]) if row else None
