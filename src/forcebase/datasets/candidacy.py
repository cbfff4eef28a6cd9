"""Why a calculation was not a candidate for a dataset: the filters that it does not pass."""

from __future__ import annotations

from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.records import Dataset


def unmet_filters(db: Database, calculation: str, dataset: Dataset) -> list[str]:
    """Name each filter of the dataset that the calculation fails, with the value that it has.

    Where it passes them all, it was not in the database when the dataset was built.
    """
    raw = db.calculations.raw
    record = raw.find_one({"_id": calculation})
    if record is None:
        return ["it is not in the database any more"]
    filters = dict(dataset.query.get("filters") or {})
    failed = []
    for field, wanted in filters.items():
        if field == "query" and not isinstance(wanted, str):
            raise InputError(f"Dataset {dataset.title} says no text of what was asked for.")
        query = {"$and": [{"_id": calculation}, db.calculations.selector(**{field: wanted})]}
        if raw.count_documents(query, limit=1) == 0:
            if field == "query":
                failed.append(f"it is not as the filter says: {wanted}")
                continue
            failed.append(f"{field} is {_value(record, field)}, not {_plain(wanted)}")
    return failed or ["it passes all filters: it came after the dataset was built"]


def _value(record: object, field: str) -> str:
    value = record
    for name in ("_id" if field == "id" else field).split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return "not known" if value is None else _plain(value)


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
