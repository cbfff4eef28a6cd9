"""Training: a model of a dataset and settings, found again where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forcebase.actions.preconditions import check_training
from forcebase.actions.running import found_record, run
from forcebase.database.database import Database
from forcebase.database.publishing import publish_dataset, publish_frames, publish_model
from forcebase.datasets import dataset_frames, energy_taken
from forcebase.makers.training import MACETrainMaker
from forcebase.models.mace_calculator import TRAINED_DTYPE
from forcebase.models.training_choice import choose, choose_by_cells
from forcebase.models.training_settings import TrainingSettings
from forcebase.progress import Progress
from forcebase.records import Dataset, ModelMethod


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
    report = run(db, job, progress)
    return found_record(db.methods.one(wanted), f"model of {dataset.title}", report)


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
