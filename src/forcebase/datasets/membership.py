"""Why a calculation is in a dataset, or why not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from forcebase.database.database import Database
from forcebase.datasets.candidacy import unmet_filters
from forcebase.errors import NotFoundError
from forcebase.records import Dataset
from forcebase.records.dataset import DROPPED


class Standing(StrEnum):
    """How a calculation stands to a dataset."""

    MEMBER = "member"
    DROPPED = "dropped"
    NO_CANDIDATE = "no candidate"


@dataclass(frozen=True)
class StepTaken:
    """A step of the dataset's curation that the record came to.

    Attributes:
        step: its name.
        parameters: what it was set to.
        n_in: records that came to it.
        n_dropped: those that it dropped.
        passed: whether this record passed it.
    """

    step: str
    parameters: dict[str, Any]
    n_in: int
    n_dropped: int
    passed: bool


@dataclass(frozen=True)
class Membership:
    """The answer for one calculation.

    Attributes:
        calculation: its id.
        dataset: name@version.
        standing: member, dropped, or no candidate.
        split: of a member; "" otherwise.
        family: of its structure.
        n_family: members of that family, this one included.
        steps: those that it came to, in order.
        reasons: why it was dropped, with numbers, or which filters it fails.
        stands_for: calculation id -> reason, of the near copies dropped for its sake.
    """

    calculation: str
    dataset: str
    standing: Standing
    split: str
    family: str
    n_family: int
    steps: tuple[StepTaken, ...]
    reasons: tuple[str, ...]
    stands_for: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def why(db: Database, record: str, dataset: Dataset) -> list[Membership]:
    """Say how a calculation, or each calculation of a structure, stands to a dataset.

    Args:
        db: the database.
        record: id, first digits of one, name or tag of a calculation or structure.
        dataset: the dataset.

    Raises:
        NotFoundError: no such record, or a structure that was never labelled.
    """
    return [membership(db, found, dataset) for found in _calculations(db, record)]


def membership(db: Database, calculation: str, dataset: Dataset) -> Membership:
    """Say how one calculation stands to a dataset."""
    row = db.members.raw.find_one({"_id": f"{dataset.id}:{calculation}"})
    family = _family(db, calculation)
    in_family = {"dataset": dataset.id, "family": family, "split": {"$ne": DROPPED}}
    if row is None:
        standing, reasons = Standing.NO_CANDIDATE, tuple(unmet_filters(db, calculation, dataset))
    elif row["split"] == DROPPED:
        standing, reasons = Standing.DROPPED, (row["reason"],)
    else:
        standing, reasons = Standing.MEMBER, ()
    is_member = standing is Standing.MEMBER
    return Membership(
        calculation=calculation,
        dataset=dataset.title,
        standing=standing,
        split=row["split"] if row and is_member else "",
        family=family,
        n_family=db.members.raw.count_documents(in_family),
        steps=() if row is None else _steps(dataset, row.get("step")),
        reasons=reasons,
        stands_for=_copies(db, calculation, dataset) if is_member else {},
    )


def near_copies(db: Database, dataset: str) -> dict[str, str]:
    """Calculations dropped from a dataset as near copies -> the calculation that was kept."""
    dropped = {"dataset": dataset, "split": DROPPED, "copy_of": {"$exists": True}}
    rows = db.members.raw.find(dropped, {"calculation": 1, "copy_of": 1})
    return {row["calculation"]: row["copy_of"] for row in rows}


def _calculations(db: Database, record: str) -> list[str]:
    collection, found = db.resolve(record)
    if collection == "calculations":
        return [found.id]
    if collection != "structures":
        raise NotFoundError(
            f"{record!r} is one of {collection}: datasets hold calculations.",
            hint="Give a calculation, or a structure for all calculations of it.",
        )
    rows = db.calculations.raw.find({"structure": found.id}, {"_id": 1}).sort("_id")
    if not (ids := [row["_id"] for row in rows]):
        raise NotFoundError(
            f"Structure {found.id[:10]} has no calculation, so no dataset can hold it.",
            hint="Label it first: `forcebase launch` a flow, or `forcebase predict`.",
        )
    return ids


def _family(db: Database, calculation: str) -> str:
    row = db.calculations.raw.find_one({"_id": calculation}, {"structure": 1}) or {}
    structure = db.structures.raw.find_one({"_id": row.get("structure")}, {"family": 1}) or {}
    return str(structure.get("family") or "")


def _steps(dataset: Dataset, dropped_by: str | None) -> tuple[StepTaken, ...]:
    """All steps for a member, those up to its end for a dropped record."""
    taken = []
    for step in dataset.steps:
        passed = step["name"] != dropped_by
        numbers = (step["name"], dict(step["parameters"]), step["n_in"], step["n_dropped"])
        taken.append(StepTaken(*numbers, passed))
        if not passed:
            break
    return tuple(taken)


def _copies(db: Database, calculation: str, dataset: Dataset) -> dict[str, str]:
    copies = {"dataset": dataset.id, "split": DROPPED, "copy_of": calculation}
    rows = db.members.raw.find(copies).sort("calculation")
    return {row["calculation"]: row["reason"] for row in rows}
