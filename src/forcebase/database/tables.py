"""Records as tables: of pandas, and of people at a prompt or in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mongoengine import Document

from forcebase.database.rows import Row
from forcebase.records import Calculation, Validation
from forcebase.records.bound import RecordId, called, html_table
from forcebase.records.kinds import kind_of

if TYPE_CHECKING:
    import pandas as pd

HIDDEN_COLUMNS = {"provenance", "checksum", "_cls"}
SHOWN = 10
"""Records of a list that are shown; the rest are counted."""
APART = {"by_kind", "intervals", "forces_by_shell", "gamma"}
"""Of a validation's metrics, what is too much for columns."""


def summary(record: Document | Row) -> dict[str, Any]:
    """Scalar fields of a record, for tables and `--json`; arrays and long fields stay out.

    Of a row, all that was asked for.
    """
    if isinstance(record, Row):
        return dict(record)
    row: dict[str, Any] = {}
    hidden = HIDDEN_COLUMNS.union(record.DESCRIPTION.long)
    for key, value in record.to_mongo().items():
        name = "id" if key == "_id" else key
        if name in hidden or (isinstance(value, Mapping) and "data" in value):
            continue
        if isinstance(value, RecordId):
            value = str(value)
        elif isinstance(value, Mapping):
            short = all(not isinstance(item, (Mapping, list)) for item in value.values())
            if not short:
                continue
            value = dict(value)
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            continue
        row[name] = value
    return row


def data_frame(records: Sequence[Any], *, forces: bool = False) -> pd.DataFrame:
    """Give a table: one row a record; see `Results.to_dataframe`."""
    import pandas as pd

    return pd.DataFrame([_row(record, forces) for record in records])


def _row(record: Any, forces: bool) -> dict[str, Any]:
    row = summary(record)
    if isinstance(record, Row):
        return row
    for field in ("method", "model", "reference"):
        if isinstance(record._data.get(field), RecordId):
            row[f"{field}_name"] = called(record, field)
    if isinstance(record, Calculation) and forces:
        row |= {"forces": record.forces, "stress": record.stress}
    if isinstance(record, Validation):
        row |= dict(_numbers(record.errors))
    return row


def _numbers(errors: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers of nested metrics by dotted names, as forces.mae and forces_by_element.Si.mae."""
    for name, value in errors.items():
        if name in APART:
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)):
            yield f"{prefix}{name}", value


def text_table(records: Sequence[Any]) -> str:
    """A line a record, of the first few."""
    lines = [_heading(records), *(f"  {record!r}" for record in records[:SHOWN])]
    if len(records) > SHOWN:
        lines.append(f"  ... and {len(records) - SHOWN} more")
    return "\n".join(lines)


def html_records(records: Sequence[Any]) -> str:
    """A row a record, of the first few, with the columns of `forcebase ls`."""
    if not records:
        return html_table(_heading(records), (), ())
    if isinstance(records[0], Row):
        return html_table(_heading(records), list(records[0]), [list(r.values()) for r in records])
    columns = kind_of(type(records[0]).collection_name()).columns
    rows = [[_shown(record, column.field) for column in columns] for record in records[:SHOWN]]
    more = f"; the first {SHOWN}" if len(records) > SHOWN else ""
    titles = [column.title for column in columns]
    return html_table(_heading(records) + more, titles, rows)


def _heading(records: Sequence[Any]) -> str:
    if not records:
        return "no records"
    name = "rows" if isinstance(records[0], Row) else type(records[0]).collection_name()
    return f"{len(records)} {name if len(records) > 1 else name.removesuffix('s')}"


def _shown(record: Any, field: str) -> object:
    if isinstance(record._data.get(field), RecordId):
        return called(record, field)
    value = record
    for part in field.split("."):
        value = value.get(part, "") if isinstance(value, Mapping) else getattr(value, part, "")
    if field == "id":
        return str(value)[:10]
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{number} {name}" for name, number in value.items())
    return "" if value is None else value
