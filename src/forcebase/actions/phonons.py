"""Phonons of a model: relaxation and force constants, found again where they are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

from jobflow import Flow, OutputReference

from forcebase.actions.preconditions import check_phonon
from forcebase.actions.running import Where, found_record, run
from forcebase.actions.running_there import Handle
from forcebase.database.database import Database
from forcebase.database.publishing import publish_model
from forcebase.errors import NotFoundError
from forcebase.ingest.collect import CollectReport, collect
from forcebase.makers.phonon import PhononMaker
from forcebase.models.loading import require_package
from forcebase.progress import Progress
from forcebase.records import Method, ModelMethod, Phonon, Structure


@overload
def compute_phonon(
    db: Database,
    model: ModelMethod,
    structure: Structure,
    supercell_matrix: Sequence[Sequence[int]],
    maker: PhononMaker | None = ...,
    *,
    where: None = ...,
    progress: Progress | None = ...,
) -> Phonon: ...
@overload
def compute_phonon(
    db: Database,
    model: ModelMethod,
    structure: Structure,
    supercell_matrix: Sequence[Sequence[int]],
    maker: PhononMaker | None = ...,
    *,
    where: Where,
) -> Handle[Phonon]: ...
def compute_phonon(
    db: Database,
    model: ModelMethod,
    structure: Structure,
    supercell_matrix: Sequence[Sequence[int]],
    maker: PhononMaker | None = None,
    *,
    where: Where | None = None,
    progress: Progress | None = None,
) -> Phonon | Handle[Phonon]:
    """Relax a structure with the model and compute its force constants.

    A phonon of the same model, structure, supercell and protocol is found again, and so is the
    relaxation alone.

    Args:
        db: the database.
        model: whose energy surface.
        structure: unit cell, not relaxed.
        supercell_matrix: (3, 3) of whole numbers.
        maker: how the phonon is computed.
        where: elsewhere: a worker's name, or a place.
        progress: told of each stage.

    Returns:
        The phonon; elsewhere a handle, whose `result()` waits for it.

    Raises:
        MissingDependencyError: the model's package is not installed here, where it is to run.
    """
    maker = maker or PhononMaker()
    flow = phonon_flow(db, model, structure, supercell_matrix, maker, here=where is None)

    def answer(report: CollectReport) -> Phonon:
        found = find_phonon(db, model, structure.id, supercell_matrix, maker)
        return found_record(found, f"phonon of {structure.formula}", report)

    return run(db, flow, answer, where, progress)


def phonon_flow(
    db: Database,
    model: ModelMethod,
    structure: Structure,
    supercell_matrix: Sequence[Sequence[int]],
    maker: PhononMaker,
    *,
    here: bool = False,
) -> Flow:
    """Make the flow of what is missing of a phonon; outputs of an interrupted run are used.

    Args:
        db: the database.
        model: whose energy surface.
        structure: where the relaxation begins.
        supercell_matrix: (3, 3).
        maker: how the phonon is computed.
        here: it will run in this process, so that the model's package is needed.

    Raises:
        ModelError: the model does not know an element.
        MissingDependencyError: the model's package is not installed here.
    """
    collect(db)  # what a killed run left
    matrix = [[int(n) for n in row] for row in supercell_matrix]
    if find_phonon(db, model, structure.id, matrix, maker) is not None:
        return Flow([], name=f"phonon of {structure.formula}")
    check_phonon(model, structure.elements, maker)
    if here:
        require_package(model.kind)
    return maker.make(
        publish_model(db, model),
        structure.to_pymatgen(),
        matrix,
        relaxed=find_relaxation(db, model, structure.id, maker),
        begun=find_relaxation(db, model, structure.id, maker, converged=False),
    )


def find_phonon(
    db: Database,
    model: ModelMethod,
    initial_structure: str,
    supercell_matrix: Sequence[Sequence[int]],
    maker: PhononMaker,
) -> Phonon | None:
    """The phonon that `maker` would compute from this start, if it is there.

    One whose relaxation did not converge counts only where no converged one is there, and no
    more steps are asked for now.
    """
    matrix = [[int(n) for n in row] for row in supercell_matrix]
    candidates = db.phonons.find(
        {"supercell_matrix": matrix}, method=model.id, initial_structure=initial_structure
    )
    steps = maker.relax_maker.max_steps
    asked = [phonon for phonon in candidates if maker.asked_for(phonon.protocol)]
    for phonon in sorted(asked, key=lambda phonon: not phonon.is_relaxed):
        if phonon.is_relaxed or phonon.relaxation["steps"] >= steps:
            return phonon
    return None


def find_relaxation(
    db: Database,
    model: ModelMethod,
    initial_structure: str,
    maker: PhononMaker,
    *,
    converged: bool = True,
) -> OutputReference | None:
    """The output of a relaxation from this start, if there is one.

    It stays in the JobStore, so that what needs it next can go on from there.
    """
    wanted = {
        "output.forcebase": "relaxation",
        "output.model": {"$in": [model.id, None]},
        "output.initial_structure": initial_structure,
        "output.weights_sha256": model.weights,
        "output.dtype": model.dtype,
        "output.head": model.head,
        "output.relaxation.converged": converged,
        **{f"output.settings.{k}": v for k, v in maker.relax_maker.settings().items()},
    }
    # the first is the record; of those that are on their way the last is the furthest
    order: dict[str, Any] = {"completed_at": 1 if converged else -1}
    found = list(db.job_store.docs_store.query(wanted, ["uuid"], sort=order, limit=1))
    return OutputReference(found[0]["uuid"]) if found else None


def reference_phonon(db: Database, method: Method | None = None) -> Phonon:
    """The DFT phonon to compare models with; with several, the one of the largest supercell."""
    fields = {"method": method.id} if method else {"method_class": "dft"}
    found = db.phonons.find(sort="-n_atoms_supercell", limit=1, **fields)
    if not found:
        raise NotFoundError(
            "There is no DFT phonon in the database.", hint="`forcebase import` a phonopy file."
        )
    return found[0]
