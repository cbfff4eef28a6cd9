"""Energies, forces and stress of one method compared with those of another."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from forcebase.comparison.energies import compared_kind, trained_kind
from forcebase.comparison.joining import Join, join
from forcebase.comparison.keeping import find, keep, with_inputs
from forcebase.comparison.leakage import Only, require_unseen, seen_by
from forcebase.database.database import Database
from forcebase.database.equivalences import equal_methods, resting_on
from forcebase.database.pieces import in_pieces
from forcebase.datasets import check_split
from forcebase.digest import bytes_digest, merkle_root
from forcebase.physics.alignment import Align
from forcebase.physics.energy_kinds import EnergyKind
from forcebase.physics.metrics import FrameTally
from forcebase.physics.shell_errors import ShellTally
from forcebase.physics.shells import Shells
from forcebase.progress import Progress
from forcebase.records import Dataset, Method, ModelMethod, Structure, Validation


@dataclass(frozen=True)
class Selection:
    """On what two methods are compared.

    Attributes:
        dataset: its members only.
        split: one split of the dataset.
        query: or what a MongoDB query finds among the calculations of the reference.
        text: the filter of which the query was made, where there was one.
        structures: of these, only those of these ids; None for all.
        only: which of them.
    """

    dataset: Dataset | None = None
    split: str | None = None
    query: Mapping[str, Any] | None = None
    text: str = ""
    structures: Sequence[str] | None = None
    only: Only = Only.ALL

    def calculations(self, db: Database, method: Method) -> dict[str, Any]:
        """Give it as a query on the `calculations` of a method.

        Of the dataset's own method, they are its members; of another, those of their structures.
        """
        check_split(self.split)
        found = dict(self.query or {})
        if self.dataset is not None:
            members = {"dataset": self.dataset.id, "split": self.split or {"$ne": "dropped"}}
            name, field = ("_id", "calculation")
            if method.id != self.dataset.method:
                name, field = ("structure", "structure")
            rows = db.members.raw.find(members, {field: 1})
            found[name] = {"$in": [row[field] for row in rows]}
        if self.structures is not None:  # found by this selection before, so some of the above
            found["structure"] = {"$in": list(self.structures)}
        return found

    def described(self) -> dict[str, Any]:
        """Give it as a validation keeps it."""
        told = {str(k).replace("$", ""): str(v) for k, v in (self.query or {}).items()}
        if self.text:
            told = {"filter": self.text}
        found: dict[str, Any] = {
            "dataset": self.dataset.title if self.dataset else None,
            "split": self.split,
            "query": told,
        }
        if self.only is not Only.ALL:
            found["only"] = str(self.only)
        if self.structures is not None:
            found["structures_root"] = merkle_root(self.structures)
        return found


def select_pairs(db: Database, model: Method, reference: Method, selection: Selection) -> Join:
    """Find what is compared.

    Raises:
        NotFoundError: the two have no structure in common.
        InputError: only unseen structures are asked for, and none is known to be.
    """
    found = join(db, model, reference, selection.calculations(db, reference))
    if selection.only is Only.UNSEEN:
        return found.where(require_unseen(seen_by(db, model, found.structures), model))
    return found


def compare_labels(
    db: Database,
    model: Method,
    reference: Method,
    selection: Selection | None = None,
    *,
    alignment: Align = Align.NONE,
    host: Structure | None = None,
    shells: Shells | None = None,
    recompute: bool = False,
    progress: Progress | None = None,
) -> Validation:
    """Energies, forces and stress of `model` compared with `reference`.

    Energies of the reference are of the kind that the model was trained on, where it has both.

    The result is a validation record: asked again on the same records, it is found again. With a
    host, it holds the errors of forces by distance from the defect too, as `forces_by_shell`: see
    `forcebase.physics.shell_errors`.

    Args:
        db: the database.
        model: the method that is judged.
        reference: the method it is compared with.
        selection: on what; by default on all structures that both have labelled.
        alignment: what is taken from the model's energies first.
        host: unit cell of the perfect crystal of which all structures are supercells, with or
            without a defect.
        shells: of distance from the defect, as `Shells()` where none are given.
        recompute: compute it once more, and compare it with the record there is.
        progress: told of the structures that are done.

    Raises:
        InputError: a structure is not a supercell of the host, or the energies cannot be aligned.
        NotFoundError: the two have no structure in common.
        IntegrityError: computed again, it is not what the record says.
    """
    chosen = selection or Selection()
    pairs = select_pairs(db, model, reference, chosen)
    return compare_pairs(
        db,
        model,
        reference,
        chosen,
        pairs,
        alignment=alignment,
        host=host,
        shells=shells,
        recompute=recompute,
        progress=progress,
    )


def compare_pairs(
    db: Database,
    model: Method,
    reference: Method,
    selection: Selection,
    pairs: Join,
    *,
    alignment: Align = Align.NONE,
    host: Structure | None = None,
    shells: Shells | None = None,
    recompute: bool = False,
    progress: Progress | None = None,
) -> Validation:
    """Like `compare_labels`, on the pairs that `select_pairs` gave for the selection."""
    started = time.perf_counter()
    on: dict[str, Any] = {**selection.described(), "n_missing": len(pairs.missing)}
    on |= {"edition": EDITION}
    energy = compared_kind(db, model)
    if isinstance(model, ModelMethod) and (kind := trained_kind(db, model)):
        on["energy"] = str(kind)
    equated = _equivalences(db, reference, pairs)
    if equated:
        on["equated"] = equated
    if alignment is not Align.NONE:
        on["align"] = str(alignment)
    if host is not None:
        shells = shells or Shells()
        on |= {"host": host.id, "edges": list(shells.edges)}
    validation = Validation(
        kind="labels",
        model=model.id,
        reference=reference.id,
        on=on,
        inputs_root=merkle_root(pairs.calculations),
        n=len(pairs),
    )
    known = find(db, validation)
    inputs = pairs.packed()
    if known is not None and not recompute:
        return with_inputs(db, known, inputs)
    validation.inputs = bytes_digest(inputs)
    validation.metrics = _metrics(db, pairs, energy, alignment, host, shells, progress)
    validation.leakage = seen_by(db, model, pairs.structures).counts()
    validation.made_from("model", "methods", model.id)
    validation.made_from("reference", "methods", reference.id)
    for equivalence in equated:
        validation.made_from("equated by", "equivalences", equivalence)
    if selection.dataset is not None:
        validation.made_from("on", "datasets", selection.dataset.id)
    if host is not None:
        validation.made_from("host", "structures", host.id)
    return keep(db, validation.sealed(), "compare labels", started, known, inputs)


def _equivalences(db: Database, reference: Method, pairs: Join) -> list[str]:
    """Ids of the equivalences by which labels of other methods count as the reference's."""
    if reference.is_model or len(equal_methods(db, [reference.id])) < 2:
        return []
    ids = pairs.reference.ids.astype(str).tolist()
    used: set[str] = set()
    for piece in in_pieces({"_id": {"$in": ids}}):
        used |= {row["method"] for row in db.calculations.raw.find(piece, {"method": 1})}
    return resting_on(db, [reference.id, *sorted(used - {reference.id})])


EDITION = 3
"""Of the metrics: 2 has percentiles, intervals and families; 3 adds up by parts."""


def _metrics(
    db: Database,
    found: Join,
    energy: EnergyKind,
    alignment: Align,
    host: Structure | None,
    shells: Shells | None,
    progress: Progress | None,
) -> dict[str, Any]:
    tally, by_shell = FrameTally(), None
    if host is not None and shells is not None:
        by_shell = ShellTally(host.to_atoms(), shells)
    done = 0
    for pairs in found.pairs(db, energy):
        tally.add(pairs.model, pairs.reference)
        if by_shell is not None:
            by_shell.add(pairs.model, pairs.reference)
        done += len(pairs)
        if progress is not None:
            progress("compare", done, len(found), {})
    metrics = tally.errors(alignment).as_dict()
    if by_shell is not None:
        metrics["forces_by_shell"] = [asdict(row) for row in by_shell.errors()]
    return rounded(metrics)


def rounded(value: Any) -> Any:
    """Ten digits of each number: the last ones depend on the number of threads."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return value
