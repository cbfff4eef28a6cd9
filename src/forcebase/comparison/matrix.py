"""Several models compared with several references, each to each on the same structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.comparison.labels import Selection, compare_labels
from forcebase.comparison.leakage import Only, require_unseen, seen_by
from forcebase.database.database import Database
from forcebase.database.label_ids import read_label_ids
from forcebase.errors import NotFoundError
from forcebase.physics.alignment import Align
from forcebase.records import Method, Validation


@dataclass(frozen=True)
class Matrix:
    """Comparisons of models (rows) with references (columns).

    Attributes:
        models: the rows.
        references: the columns.
        cells: (model id, reference id) -> the comparison, on the structures that the reference and
            all models have labelled; None where there are none.
        missing: (model id, reference id) -> ids of structures that the reference has labelled, of
            those asked for, and the model has not.
    """

    models: list[Method]
    references: list[Method]
    cells: dict[tuple[str, str], Validation | None]
    missing: dict[tuple[str, str], list[str]]

    def unlabelled(self, model: Method) -> list[str]:
        """Ids of all structures that a model was never asked for."""
        found = (self.missing[model.id, reference.id] for reference in self.references)
        return sorted({structure for some in found for structure in some})

    def as_dict(self) -> dict[str, Any]:
        """Give plain values: what was compared and what is missing."""
        return {
            "models": [{"id": method.id, "title": method.title} for method in self.models],
            "references": [{"id": method.id, "title": method.title} for method in self.references],
            "cells": [
                {
                    "model": model,
                    "reference": reference,
                    "validation": found.id if found else None,
                    "n": found.n if found else 0,
                    "metrics": found.to_mongo().to_dict()["metrics"] if found else None,
                    "leakage": dict(found.leakage) if found else None,
                    "missing": self.missing[model, reference],
                }
                for (model, reference), found in self.cells.items()
            ],
        }


def compare_matrix(
    db: Database,
    models: Sequence[Method],
    references: Sequence[Method],
    selection: Selection,
    *,
    alignment: Align = Align.NONE,
    recompute: bool = False,
) -> Matrix:
    """Compare each model with each reference, all models of a column on the same structures.

    Args:
        db: the database.
        models: that are judged.
        references: that they are compared with.
        selection: on what; a query is one on the calculations of the reference. Unseen is what
            none of the models has seen.
        alignment: what is taken from the models' energies first.
        recompute: compute what is there once more, and compare it with the record.

    Raises:
        InputError: only unseen structures are asked for, and none is known to be.
    """
    cells: dict[tuple[str, str], Validation | None] = {}
    missing: dict[tuple[str, str], list[str]] = {}
    for reference in references:
        wanted = labelled_structures(db, reference, selection)
        labelled = {
            model.id: np.isin(wanted, read_label_ids(db, model.id, structures=wanted).structures)
            for model in models
        }
        common = wanted[np.logical_and.reduce(list(labelled.values()))]
        if selection.only is Only.UNSEEN and len(common):
            unseen = [require_unseen(seen_by(db, model, common), model) for model in models]
            common = common[np.logical_and.reduce(unseen)]
        part = selection
        if len(common) < len(wanted):
            part = replace(selection, structures=common.astype(str).tolist())
        for model in models:
            missing[model.id, reference.id] = wanted[~labelled[model.id]].astype(str).tolist()
            cells[model.id, reference.id] = None
            if len(common):
                cells[model.id, reference.id] = compare_labels(
                    db,
                    model,
                    reference,
                    part,
                    alignment=alignment,
                    recompute=recompute,
                )
    return Matrix(list(models), list(references), cells, missing)


def require_cells(matrix: Matrix) -> None:
    """Refuse a matrix in which nothing was compared.

    Raises:
        NotFoundError: no structure was labelled by all models and a reference.
    """
    if not any(matrix.cells.values()):
        lacking = [model.title for model in matrix.models if matrix.unlabelled(model)]
        raise NotFoundError(
            "No structure asked for was labelled by all models and a reference.",
            hint=f"--fill has {', '.join(lacking) or 'the models'} label what is missing.",
        )


def labelled_structures(db: Database, method: Method, selection: Selection) -> NDArray[np.bytes_]:
    """Ids of the structures that a method has labelled, of those asked for; sorted."""
    return np.unique(read_label_ids(db, method.id, selection.calculations(db, method)).structures)
