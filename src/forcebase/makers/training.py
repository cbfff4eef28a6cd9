"""A Maker that trains MACE."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from jobflow import Maker, job

from forcebase.blob import Blob
from forcebase.frames import Frames
from forcebase.makers.packages import package_versions
from forcebase.models.golden_probe import make_probe
from forcebase.models.mace_calculator import load_mace
from forcebase.models.mace_training import Epoch, train_mace
from forcebase.models.training_settings import DEMO, TrainingSettings
from forcebase.outputs import CandidatesOutput, CurationOutput, ModelOutput
from forcebase.progress import report


@dataclass
class MACETrainMaker(Maker):
    """Train MACE on a dataset.

    Attributes:
        name: of the job.
        settings: hyperparameters.
    """

    name: str = "train MACE"
    settings: TrainingSettings = field(default_factory=lambda: DEMO)

    @job(data=[Blob])
    def make(
        self,
        candidates: CandidatesOutput,
        selection: CurationOutput,
        dataset: str | None = None,
    ) -> ModelOutput:
        """Train on the train split; the valid split chooses the epoch; test is not looked at.

        Args:
            candidates: labelled structures, the dataset's members among them.
            selection: which of them are in which split, and the E0s.
            dataset: id of the dataset's record, where it is known already.

        Raises:
            ModelError: MACE failed, did not read all labels, or diverged.
        """
        splits = split_frames(Frames.from_blob(candidates["frames"]), selection)
        settings = self.settings
        with tempfile.TemporaryDirectory(prefix="mace-", dir=Path.cwd()) as folder:
            trained = train_mace(
                splits,
                selection["e0s"],
                settings,
                Path(folder),
                lambda epoch: _report(epoch, settings.epochs),
            )
        weights = Blob(trained.weights)
        model = load_mace(weights.data, weights.sha256, settings.dtype)
        return {
            "forcebase": "model",
            "kind": "MACE",
            "weights": weights,
            "weights_sha256": weights.sha256,
            "dtype": settings.dtype,
            "head": None,
            "elements": model.elements,
            "dataset": dataset,
            "dataset_job": {"name": selection["name"], "version": selection["version"]},
            "e0s": selection["e0s"],
            "hyperparameters": settings.as_settings(),
            "seed": settings.seed,
            "n_parameters": sum(p.numel() for p in model.network.parameters()),
            "learning_curve": [asdict(epoch) for epoch in trained.learning_curve],
            "golden_probe": make_probe(splits["train"], model),
            "package_versions": package_versions("mace-torch", "torch", "e3nn"),
            "wall_time": trained.seconds,
        }


def split_frames(frames: Frames, selection: CurationOutput) -> dict[str, Frames]:
    """Frames of each split, in the order of their ids."""
    place = {str(name): i for i, name in enumerate(frames.ids)}
    chosen: dict[str, list[int]] = {"train": [], "valid": [], "test": []}
    for member in sorted(selection["members"], key=lambda m: m["calculation"]):
        chosen[member["split"]].append(place[member["calculation"]])
    return {split: frames.take(np.array(rows, dtype=int)) for split, rows in chosen.items()}


def _report(epoch: Epoch, total: int) -> None:
    report(
        "train",
        epoch.epoch + 1,
        total,
        **{
            "energy, meV/atom": 1000 * epoch.energy_mae,
            "forces, meV/A": 1000 * epoch.force_mae,
        },
    )
