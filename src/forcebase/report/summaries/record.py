"""A record as a person reads it: what it is, its numbers with units, what it belongs to.

One module for each kind, imported when it is asked for: that of phonons needs phonopy.
"""

from __future__ import annotations

from typing import Any

from forcebase.database.database import Database

Summary = list[tuple[str, str]]
"""Name and value of each line."""


def summarise(db: Database, collection: str, record: Any) -> Summary | None:
    """Lines that tell a record, those without a value left out; None for kinds without a module."""
    lines = _lines(db, collection, record)
    return None if lines is None else [(name, value) for name, value in lines if value]


def _lines(db: Database, collection: str, record: Any) -> Summary | None:
    match collection:
        case "structures":
            from forcebase.report.summaries.structure import summarise_structure

            return summarise_structure(db, record)
        case "calculations":
            from forcebase.report.summaries.calculation import summarise_calculation

            return summarise_calculation(db, record)
        case "methods":
            from forcebase.report.summaries.method import summarise_method

            return summarise_method(db, record)
        case "datasets":
            from forcebase.report.summaries.dataset import summarise_dataset

            return summarise_dataset(db, record)
        case "phonons":
            from forcebase.report.summaries.phonon import summarise_phonon

            return summarise_phonon(db, record)
        case "validations":
            from forcebase.report.summaries.validation import summarise_validation

            return summarise_validation(db, record)
        case "activities":
            from forcebase.report.summaries.activity import summarise_activity

            return summarise_activity(db, record)
    return None
