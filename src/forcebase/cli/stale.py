"""A word to whoever uses a record that is not to be trusted."""

from __future__ import annotations

from typing import Any

from forcebase.cli.console import note


def warn_if_stale(db: Any, *records: tuple[str, str]) -> None:
    """Say on stderr which of these (collection, id) are stale, and why; stdout is left alone."""
    from forcebase.provenance.taint import stale_among

    for collection, record in records:
        for reason in stale_among(db, collection, [record]).values():
            note(("Stale:", "bold red"), f" {collection} {record[:10]} {reason}")


def warn_of_comparison(db: Any, validation: Any) -> None:
    """Say whether a comparison is stale; and whether it is not stored, as its user may not."""
    from forcebase.provenance.taint import stale_comparison

    if db.validations.count(id=validation.id):
        warn_if_stale(db, ("validations", validation.id))
        return
    note(f"Not stored: {db.access.who} may not write.")
    for reason in stale_comparison(db, validation):
        note(("Stale:", "bold red"), f" {reason}")


def refuse_stale_sides(db: Any, names: list[str]) -> None:
    """Refuse records that are tainted themselves.

    Raises:
        InputError: naming the first of them and why.
    """
    from forcebase.errors import InputError
    from forcebase.provenance.taint import stale_among

    for name in names:
        collection, record = db.resolve(name)
        if db.taints.count(id=record.id):
            (reason,) = stale_among(db, collection, [record.id]).values()
            raise InputError(
                f"{name} is {reason}.",
                hint="`forcebase untaint` takes that back; --stale compares all the same.",
            )
