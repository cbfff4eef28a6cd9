"""What a model has seen of the structures it is judged on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from forcebase.database.database import Database
from forcebase.database.label_columns import joined
from forcebase.database.pieces import in_pieces
from forcebase.database.raw_rows import read_rows
from forcebase.datasets.membership import near_copies
from forcebase.errors import InputError
from forcebase.records import Method, ModelMethod


class Only(StrEnum):
    """Which structures are compared."""

    ALL = "all"
    UNSEEN = "unseen"
    """Those that the model was not trained on, nor on near copies of them."""


@dataclass(frozen=True)
class Seen:
    """What a model has seen of some structures.

    Attributes:
        trained: (n,) in its training or validation set, or in that of a model it was tuned from.
        related: (n,) a member of their family is, or one that they are near copies of, but they
            are not.
        known: whether all that it was trained on is in this database; if not, the rest may have
            been seen too.
    """

    trained: NDArray[np.bool_]
    related: NDArray[np.bool_]
    known: bool

    @property
    def unseen(self) -> NDArray[np.bool_]:
        """(n,) neither trained on nor near to what was."""
        return ~self.trained & ~self.related

    def counts(self) -> dict[str, int]:
        """How many are of which kind, as a validation keeps it."""
        rest = int(self.unseen.sum())
        return {
            "n_in_training": int(self.trained.sum()),
            "n_same_family": int(self.related.sum()),
            "n_new": rest if self.known else 0,
            "n_unknown": 0 if self.known else rest,
        }


def seen_by(db: Database, model: Method, structures: NDArray[np.bytes_]) -> Seen:
    """Look up what a model was trained on among these structures; DFT was trained on nothing.

    Args:
        db: the database.
        model: any method.
        structures: (n,) ids.
    """
    trained = np.zeros(len(structures), dtype=bool)
    copied = trained.copy()
    relatives: list[NDArray[np.bytes_]] = []
    known = True
    for member in _with_parents(db, model):
        if not member.dataset:
            known = False
            continue
        seen = {"dataset": member.dataset, "split": {"$in": ["train", "valid"]}}
        columns = {"structure": "S", "family": "S", "calculation": "S"}
        rows = list(read_rows(db.members.raw, seen, columns))
        trained |= np.isin(structures, joined([part["structure"] for part in rows], "S64"))
        members = joined([part["calculation"] for part in rows], "S64")
        copied |= np.isin(structures, _copies(db, member.dataset, members))
        relatives += [part["family"] for part in rows]
    related = copied
    if relatives:
        families = _families(db, structures)
        related = copied | (np.isin(families, np.concatenate(relatives)) & (families != b""))
    return Seen(trained, related & ~trained, known)


def _copies(db: Database, dataset: str, members: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    """Structures that were dropped from a dataset as near copies of these members of it."""
    kept = set(members.astype(str).tolist())
    dropped = [copy for copy, original in near_copies(db, dataset).items() if original in kept]
    pieces = in_pieces({"_id": {"$in": dropped}})
    found = [r for p in pieces for r in read_rows(db.calculations.raw, p, {"structure": "S"})]
    return joined([rows["structure"] for rows in found], "S64")


def _families(db: Database, structures: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    """(n,) family of each; empty where it has none."""
    order = np.argsort(structures)
    ordered = structures[order]
    found = np.full(len(structures), b"", "S64")
    wanted = {"_id": {"$in": structures.astype(str).tolist()}, "family": {"$type": "string"}}
    for piece in in_pieces(wanted):
        for rows in read_rows(db.structures.raw, piece, {"_id": "S", "family": "S"}):
            found[order[np.searchsorted(ordered, rows["_id"])]] = rows["family"]
    return found


def require_unseen(seen: Seen, model: Method) -> NDArray[np.bool_]:
    """Which of the structures are unseen.

    Raises:
        InputError: nothing is known of what the model was trained on, or none is left.
    """
    if not seen.known:
        raise InputError(
            f"What {model.title} was trained on is not in this database, so nobody can say what "
            "it has not seen.",
            hint="Compare without --only unseen; the table says how many are unknown.",
        )
    if not seen.unseen.any():
        counts = seen.counts()
        raise InputError(
            f"{model.title} has seen all of these structures or members of their families: "
            f"{counts['n_in_training']} were trained on, {counts['n_same_family']} are of the "
            "family of one that was.",
            hint="Compare on a dataset's test split.",
        )
    return seen.unseen


def _with_parents(db: Database, model: Method) -> Iterator[ModelMethod]:
    """A model, and those that it was tuned from, one after the other."""
    while isinstance(model, ModelMethod):
        yield model
        if not model.parent:
            return
        model = db.methods.get(model.parent)
