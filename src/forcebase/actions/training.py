"""Training: a model of a dataset and settings, found again where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

from jobflow import Flow

from forcebase.actions.preconditions import check_training
from forcebase.actions.running import Where, found_record, run
from forcebase.actions.running_there import Handle
from forcebase.database.database import Database
from forcebase.database.publishing import publish_dataset, publish_frames, publish_model
from forcebase.datasets import dataset_frames, energy_taken
from forcebase.ingest.collect import CollectReport
from forcebase.ingest.wanted_names import want_name
from forcebase.makers.training import MACETrainMaker
from forcebase.models.loading import MACE, require_package
from forcebase.models.mace_calculator import TRAINED_DTYPE
from forcebase.models.training_choice import choose, choose_by_cells
from forcebase.models.training_settings import TrainingSettings
from forcebase.progress import Progress
from forcebase.records import Dataset, ModelMethod

Listener = Callable[[TrainingSettings], None]


def _unheard(chosen: TrainingSettings) -> None:
    """Nobody listens."""


@overload
def train_model(
    db: Database,
    dataset: Dataset,
    settings: TrainingSettings,
    *,
    parent: ModelMethod | None = ...,
    name: str | None = ...,
    where: None = ...,
    progress: Progress | None = ...,
    on_start: Listener = ...,
) -> ModelMethod: ...
@overload
def train_model(
    db: Database,
    dataset: Dataset,
    settings: TrainingSettings,
    *,
    parent: ModelMethod | None = ...,
    name: str | None = ...,
    where: Where,
) -> Handle[ModelMethod]: ...
def train_model(
    db: Database,
    dataset: Dataset,
    settings: TrainingSettings,
    *,
    parent: ModelMethod | None = None,
    name: str | None = None,
    where: Where | None = None,
    progress: Progress | None = None,
    on_start: Listener = _unheard,
) -> ModelMethod | Handle[ModelMethod]:
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
        name: to call the model by, from when its record is there.
        where: elsewhere: a worker's name, or a place.
        progress: told of each epoch after which the valid split was looked at.
        on_start: told of the settings, none of them open, before a training begins here.

    Returns:
        The model; elsewhere a handle, whose `result()` waits for it.

    Raises:
        MissingDependencyError: MACE is not installed here, where the training is to run.
    """
    train = dataset_frames(db, dataset, "train")
    wanted = choose_by_cells(settings, train)
    if name is not None:
        db.names.check(name)
    if found := _find(db, dataset, wanted, parent):
        if name is not None:
            db.names.name(name, "methods", found.id)
        flow = Flow([])
    else:
        check_training(dataset, parent)
        if where is None:
            require_package(MACE)
            wanted = choose(wanted, train)
            on_start(wanted)
        flow = _flow(db, dataset, wanted, parent, name)

    def answer(report: CollectReport) -> ModelMethod:
        what = f"model of {dataset.title}"
        return found_record(_find(db, dataset, wanted, parent), what, report)

    return run(db, flow, answer, where, progress)


def _find(
    db: Database, dataset: Dataset, settings: TrainingSettings, parent: ModelMethod | None
) -> ModelMethod | None:
    wanted = _trained(db, dataset, settings, parent)
    found = next(iter(db.methods.find(wanted, sort="created_at", limit=1)), None)
    return found if isinstance(found, ModelMethod) else None


def _flow(
    db: Database,
    dataset: Dataset,
    settings: TrainingSettings,
    parent: ModelMethod | None,
    name: str | None = None,
) -> Flow:
    job = MACETrainMaker(settings=settings).make(
        publish_frames(db, dataset_frames(db, dataset)),
        publish_dataset(db, dataset),
        dataset=dataset.id,
        parent=publish_model(db, parent) if parent else None,
    )
    if name is not None:
        want_name(job, name)
    return Flow([job], name=_title(dataset))


def _title(dataset: Dataset) -> str:
    return f"training on {dataset.title}"


def _trained(
    db: Database, dataset: Dataset, settings: TrainingSettings, parent: ModelMethod | None
) -> dict[str, Any]:
    """The query for a model of this data, or the same under another name, and these settings."""
    twins = db.datasets.find(members_root=dataset.members_root, e0s=dict(dataset.e0s))
    said = {name: value for name, value in settings.as_settings().items() if value is not None}
    said.setdefault("further", None)
    if said.get("device") == "cpu":  # models from before a training could run elsewhere say none
        said["device"] = {"$in": ["cpu", None]}
    return {
        "dataset": {"$in": [t.id for t in twins if energy_taken(t) is energy_taken(dataset)]},
        "dtype": TRAINED_DTYPE,
        "parent": parent.id if parent else None,
        **{f"hyperparameters.{name}": value for name, value in said.items()},
    }
