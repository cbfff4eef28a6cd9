"""What the command line and the main job do: one step each, found again when it was done before.

Each action publishes its inputs, runs one flow here, collects, and gives the record.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ase.data import chemical_symbols
from jobflow import Flow, Job, OutputReference

from forcebase.curation.alike import Alike
from forcebase.curation.convergence import Converged
from forcebase.curation.isolated_atoms import with_isolated_atoms
from forcebase.curation.pipeline import CurationRecipe, Parent
from forcebase.curation.plan import Plan
from forcebase.curation.recipe_digest import recipe_digest
from forcebase.curation.staleness import NotStale
from forcebase.curation.steps import OneMethod, Released, Step
from forcebase.database.database import Database
from forcebase.database.energy_kinds import counted, kind_counts, one_kind
from forcebase.database.pieces import in_pieces
from forcebase.database.publishing import publish_dataset, publish_frames, publish_model
from forcebase.database.reading import read_frames, read_unlabelled_frames
from forcebase.datasets import dataset_frames, energy_taken, families_of, latest
from forcebase.datasets.isolated_atoms import with_atoms
from forcebase.datasets.reservations import reservations
from forcebase.datasets.uniformity import (
    beside,
    given_of,
    one_method,
    with_equal_methods,
    without_renewed,
)
from forcebase.errors import CalculationError, InputError, NotFoundError
from forcebase.frames import Frames
from forcebase.ingest.collect import CollectReport, collect
from forcebase.integrity.taint import stale_among
from forcebase.launch import run_here
from forcebase.makers.curation import CurateMaker
from forcebase.makers.phonon import PhononMaker
from forcebase.makers.prediction import PredictMaker
from forcebase.makers.training import MACETrainMaker
from forcebase.models.loading import require_package
from forcebase.models.mace_calculator import TRAINED_DTYPE
from forcebase.models.training_choice import choose, choose_by_cells
from forcebase.models.training_settings import TrainingSettings
from forcebase.physics.energy_kinds import EnergyKind
from forcebase.preconditions import check_elements, check_phonon, check_training
from forcebase.progress import Progress, following
from forcebase.records import Dataset, Method, ModelMethod, Phonon, Structure
from forcebase.safety.names import NAME_PATTERN

LOG = logging.getLogger(__name__)
ATTEMPTS = 5
"""To build a dataset while others build versions of it."""


def build_dataset(
    db: Database,
    name: str,
    filters: Mapping[str, Any],
    *,
    seed: int = 0,
    plan: Plan | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Curate the calculations that `filters` find into the next version of dataset `name`.

    Families of DFT phonons stay out: they are what models are held to later. Tainted records and
    those made from one stay out too, each with the reason. The same candidates and recipe as an
    earlier version's give that version.

    Args:
        db: the database.
        name: of the dataset.
        filters: keyword arguments of `db.calculations.find`; converged DFT by default.
        seed: of the split, where no plan says it.
        plan: steps, shares, E0s, licence; its filters are taken where `filters` has none of the
            same name.
        progress: told of each stage.

    Raises:
        InputError: the name could not be told from name@version, or from a path.
        NotFoundError: no calculation fits.
    """
    if not re.match(NAME_PATTERN, name):
        raise InputError(
            f"{name!r} cannot name a dataset.", hint="Use letters, digits and the signs . _ + -"
        )
    plan = plan or Plan(seed=seed)
    chosen = {"method_class": "dft", "converged": True, **plan.filters, **filters}
    if any(isinstance(step, Converged) for step in plan.steps):
        chosen.pop("converged")  # the step drops them, and says so of each
    taken = EnergyKind(plan.energy or EnergyKind.FREE)
    frames = read_frames(db, db.calculations.selector(**with_equal_methods(db, chosen)), taken)
    frames = without_renewed(db, frames)
    if not len(frames):
        raise NotFoundError(
            "No calculation fits the filters.", hint="`forcebase ls calculations` shows them."
        )
    kept = chosen.get("method")
    frames, findings = with_atoms(db, frames, kept if isinstance(kept, str) else None, taken)
    kinds = kind_counts(db, frames.ids.tolist(), taken)
    if len(kinds) > 1:
        findings.append(f"the candidates' energies are not of one kind: {counted(kinds)}")
    recipe = dataset_recipe(db, name, chosen, frames, plan)
    recipe = replace(
        recipe,
        findings=(*recipe.findings, *findings),
        energy_kind=str(one_kind(kinds) or ""),
    )
    keys = [key for key in ("candidates", "recipe", "licence") if key in recipe.query]
    wanted = {f"query.{key}": recipe.query[key] for key in keys}
    same = db.datasets.one(query=wanted, name=name)
    if same is not None:
        return same
    for _ in range(ATTEMPTS):
        before = latest(db, name)
        job = CurateMaker(recipe=recipe).make(
            publish_frames(db, frames), parent=_parent(db, before)
        )
        report = _run(db, job, progress)
        made = db.datasets.one(query=wanted, name=name)
        after = latest(db, name)
        if made or (after and after.id) == (before and before.id):
            break
        # somebody else's version came first, and this one is to follow its splits
    return _found(made, f"dataset {name}", report)


def dataset_recipe(
    db: Database, name: str, filters: Mapping[str, Any], frames: Frames, plan: Plan | None = None
) -> CurationRecipe:
    """The plan's steps, the reservation of DFT phonons, and a query that names what went in."""
    plan = plan or Plan()
    recipe = CurationRecipe(
        name=name,
        steps=with_isolated_atoms(frames, _steps(db, filters, frames, plan)),
        fractions=plan.fractions,
        seed=plan.seed,
        e0s=plan.e0s,
        e0s_method=plan.e0s_method or "",
    )
    taken = [{"name": step.name, **step.parameters()} for step in recipe.steps]
    asked: dict[str, Any] = {
        "filters": dict(filters),
        "candidates": frames.to_blob().sha256,
        "recipe": recipe_digest(taken, recipe.fractions, plan.seed, plan.e0s, plan.e0s_method),
    }
    settings = {
        "fractions": list(plan.fractions),
        "seed": plan.seed,
        "e0s_method": plan.e0s_method,
    }
    usual = {"fractions": list(Plan.fractions), "seed": Plan.seed, "e0s_method": None}
    if plan.energy:
        settings["energy"] = str(plan.energy)
    if settings != usual:
        asked["settings"] = settings
    if plan.licence:
        asked["licence"] = plan.licence
    told = beside(db, frames, recipe.steps)
    return replace(recipe, findings=told.pop("findings", ()), query=asked | told)


def _steps(
    db: Database, filters: Mapping[str, Any], frames: Frames, plan: Plan
) -> tuple[Step, ...]:
    """Bad records out first, then the plan's checks, reservations, and what chooses n of the rest.

    What the database knows is filled in: the method of the filter, and what did not converge.
    """
    method = filters.get("method")
    steps: list[Step] = []
    for step in plan.steps:
        if isinstance(step, OneMethod):
            asked = step.method or (method if isinstance(method, str) else None)
            steps.append(one_method(db, frames, asked))
        elif isinstance(step, Converged):
            query = db.calculations.selector({"converged": False}, **filters)
            found = db.calculations.raw.find(query, {"_id": 1})
            steps.append(Converged(tuple(row["_id"] for row in found)))
        elif isinstance(step, Released):
            steps.append(replace(step, phonon=db.resolve(step.phonon, "phonons")[1].id))
        elif not isinstance(step, Alike):
            steps.append(step)
    alike = next((step for step in plan.steps if isinstance(step, Alike)), Alike())
    first = 1 if steps and isinstance(steps[0], OneMethod) else 0
    steps.insert(first, replace(alike, given=given_of(db, frames.ids.tolist())))
    checks = [step for step in steps if not step.selects]
    choices = [step for step in steps if step.selects]
    released = [step.phonon for step in steps if isinstance(step, Released)]
    reserved = reservations(db, frames, released)
    return (*_withdrawals(db, frames), *checks, *reserved, *choices)


def train_model(
    db: Database,
    dataset: Dataset,
    settings: TrainingSettings,
    *,
    parent: ModelMethod | None = None,
    progress: Progress | None = None,
    on_start: Callable[[TrainingSettings], None] = lambda chosen: None,
) -> ModelMethod:
    """Train MACE on a dataset; a model of the same data, settings and parent is found again.

    What the settings leave open is chosen by the cells and the machine. A model that was trained
    with any number of threads is the one asked for, unless `settings` say a number.

    With a parent, its weights are the start, and its architecture takes the place of the settings'.

    The same data under another name give the same weights, and so the same model: its record
    names the dataset that it was first trained on.

    Args:
        db: the database.
        dataset: what to train on.
        settings: of the training.
        parent: a MACE to begin from.
        progress: told of each epoch after which the valid split was looked at.
        on_start: told of the settings, none of them open, before a training begins.

    Raises:
        MissingDependencyError: MACE is not installed, and the model is not there yet.
    """
    train = dataset_frames(db, dataset, "train")
    wanted = _trained(db, dataset, choose_by_cells(settings, train), parent)
    same = next(iter(db.methods.find(wanted, sort="created_at", limit=1)), None)
    if isinstance(same, ModelMethod):
        return same
    check_training(dataset, parent)
    chosen = choose(settings, train)
    on_start(chosen)
    job = MACETrainMaker(settings=chosen).make(
        publish_frames(db, dataset_frames(db, dataset)),
        publish_dataset(db, dataset),
        dataset=dataset.id,
        parent=publish_model(db, parent) if parent else None,
    )
    report = _run(db, job, progress)
    return _found(db.methods.one(wanted), f"model of {dataset.title}", report)


def _trained(
    db: Database, dataset: Dataset, settings: TrainingSettings, parent: ModelMethod | None
) -> dict[str, Any]:
    """The query for a model of this data, or the same under another name, and these settings."""
    twins = db.datasets.find(members_root=dataset.members_root, e0s=dict(dataset.e0s))
    said = {name: value for name, value in settings.as_settings().items() if value is not None}
    return {
        "dataset": {"$in": [t.id for t in twins if energy_taken(t) is energy_taken(dataset)]},
        "dtype": TRAINED_DTYPE,
        "parent": parent.id if parent else None,
        **{f"hyperparameters.{name}": value for name, value in said.items()},
    }


def predict(
    db: Database,
    model: ModelMethod,
    structure_ids: Sequence[str],
    *,
    again: bool = False,
    progress: Progress | None = None,
) -> int:
    """Have the model label the structures that it has not labelled yet, and give their number.

    Args:
        db: the database.
        model: its record.
        structure_ids: of the structures.
        again: label all of them, to hold the model to what it gave before; that stays.
        progress: told of each batch.

    Raises:
        MissingDependencyError: the model's package is not installed, and something is missing.
    """
    asked = {"method": model.id, "structure": {"$in": list(structure_ids)}}
    # the index holds both fields, and so is all that is read
    fields = {"structure": 1, "_id": 0}
    found = (db.calculations.raw.find(piece, fields) for piece in in_pieces(asked))
    done = {row["structure"] for rows in found for row in rows}
    missing = sorted(set(structure_ids) - (set() if again else done))
    if missing:
        frames = read_unlabelled_frames(db, missing)
        check_elements(model, {chemical_symbols[z] for z in set(frames.numbers.tolist())})
        require_package(model.kind)
        job = PredictMaker().make(publish_model(db, model), publish_frames(db, frames))
        report = _run(db, job, progress)
        _found(db.calculations.one(method=model.id, structure=missing), "prediction", report)
    return len(missing)


def compute_phonon(
    db: Database,
    model: ModelMethod,
    structure: Structure,
    supercell_matrix: Sequence[Sequence[int]],
    maker: PhononMaker | None = None,
    *,
    progress: Progress | None = None,
) -> Phonon:
    """Relax a structure with the model and compute its force constants.

    A phonon of the same model, structure, supercell and protocol is found again, and so is the
    relaxation alone.

    Raises:
        MissingDependencyError: the model's package is not installed, and the phonon is not there.
    """
    maker = maker or PhononMaker()
    matrix = [[int(n) for n in row] for row in supercell_matrix]
    collect(db)  # what a killed run left
    same = find_phonon(db, model, structure.id, matrix, maker)
    if same is not None:
        return same
    check_phonon(model, structure.elements, maker)
    require_package(model.kind)
    flow = maker.make(
        publish_model(db, model),
        structure.to_pymatgen(),
        matrix,
        relaxed=find_relaxation(db, model, structure.id, maker),
        begun=find_relaxation(db, model, structure.id, maker, converged=False),
    )
    report = _run(db, flow, progress)
    found = find_phonon(db, model, structure.id, matrix, maker)
    return _found(found, f"phonon of {structure.formula}", report)


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


def structures_of(db: Database, dataset: Dataset, split: str | None) -> list[str]:
    """Structure ids of a dataset, or of one of its splits."""
    return [str(s) for s in dataset_frames(db, dataset, split).structures]


def reference_phonon(db: Database, method: Method | None = None) -> Phonon:
    """The DFT phonon to hold models to; with several, the one of the largest supercell."""
    fields = {"method": method.id} if method else {"method_class": "dft"}
    found = db.phonons.find(sort="-n_atoms_supercell", limit=1, **fields)
    if not found:
        raise NotFoundError(
            "There is no DFT phonon in the database.", hint="`forcebase import` a phonopy file."
        )
    return found[0]


def _withdrawals(db: Database, frames: Frames) -> list[NotStale]:
    stale = stale_among(db, "calculations", frames.ids.tolist())
    return [NotStale(stale)] if stale else []


def _parent(db: Database, before: Dataset | None) -> Parent | None:
    if before is None:
        return None
    return {"dataset": before.id, "version": before.version, "splits": families_of(db, before)}


def _run(db: Database, work: Flow | Job, progress: Progress | None) -> CollectReport:
    """Run, collect, and say what a model did not give again."""
    with following(progress):
        report = run_here(db, work)
    for finding in report.findings:
        LOG.warning("%s.", finding)
    return report


def _found(record: Any, what: str, report: CollectReport) -> Any:
    """The record that a flow was run for; what else could not be collected does not matter."""
    if record is None:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in report.failed)
        raise CalculationError(
            f"The {what} was computed, but its record is not there. {reasons}".strip(),
            hint="Run `forcebase collect`.",
        )
    return record
