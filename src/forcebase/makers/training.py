"""A Maker that trains MACE."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from jobflow import Maker, job

from forcebase.blob import Blob
from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.makers.packages import package_versions
from forcebase.models.fine_tuning import load_parent, shifted_e0s
from forcebase.models.golden_probe import make_probe
from forcebase.models.loading import MACE, require_package
from forcebase.models.mace_calculator import TRAINED_DTYPE, load_mace
from forcebase.models.mace_training import Epoch, train_mace
from forcebase.models.training_choice import choose, has_stress
from forcebase.models.training_settings import DEMO, TrainingSettings
from forcebase.outputs import CandidatesOutput, CurationOutput, ModelOutput, model_id
from forcebase.progress import report

SPLITS = ("train", "valid", "test")
SEEN = ("train", "valid")


@dataclass
class MACETrainMaker(Maker):
    """Train MACE on a dataset.

    Attributes:
        name: of the job.
        settings: hyperparameters; what they leave open is chosen where the job runs.
    """

    name: str = "train MACE"
    settings: TrainingSettings = field(default_factory=lambda: DEMO)

    def check_requirements(self) -> None:
        """Look for MACE.

        Raises:
            MissingDependencyError: it is not installed.
        """
        require_package(MACE)

    @job(data=[Blob])
    def make(
        self,
        candidates: CandidatesOutput,
        selection: CurationOutput,
        dataset: str | None = None,
        parent: ModelOutput | None = None,
    ) -> ModelOutput:
        """Train on the train split; the valid split chooses the epoch; test is not looked at.

        With a parent, its weights are the start, and its E0s are shifted so that it is right on
        average on the train split: the record holds the E0s that were used. Whatever the
        precision of the training, the model is one of float64.

        Args:
            candidates: labelled structures, the dataset's members among them.
            selection: which of them are in which split, and the E0s.
            dataset: id of the dataset's record, where it is known already.
            parent: a MACE to tune: its architecture takes the place of the settings'.

        Raises:
            InputError: a split is empty, a member of the selection is not a candidate, or has no
                energy or forces.
            ModelError: MACE failed, did not read all labels, or diverged, or the parent is not a
                MACE, has several heads, or does not know an element.
        """
        splits = split_frames(Frames.from_blob(candidates["frames"]), selection)
        settings = choose(self.settings, splits["train"])
        tuned = load_parent(parent) if parent else None
        e0s = shifted_e0s(tuned, splits["train"]) if tuned else selection["e0s"]
        with tempfile.TemporaryDirectory(prefix="mace-", dir=Path.cwd()) as folder:
            trained = train_mace(
                splits,
                e0s,
                settings,
                Path(folder),
                lambda epoch: _report(epoch, settings.epochs),
                tuned,
            )
        weights, neutral = Blob(trained.weights), Blob(trained.neutral)
        model = load_mace(neutral.data, weights.sha256, TRAINED_DTYPE)
        return {
            "forcebase": "model",
            "kind": "MACE",
            "weights": weights,
            "weights_sha256": weights.sha256,
            "neutral": neutral,
            "dtype": TRAINED_DTYPE,
            "head": None,
            "elements": model.elements,
            "dataset": dataset,
            "dataset_job": {"name": selection["name"], "version": selection["version"]},
            "e0s": e0s,
            "hyperparameters": {**settings.as_settings(), **_lacking_stresses(splits)},
            "seed": settings.seed,
            "n_parameters": sum(p.numel() for p in model.network.parameters()),
            "learning_curve": [asdict(epoch) for epoch in trained.learning_curve],
            "golden_probe": make_probe(splits["train"], model),
            "package_versions": package_versions("mace-torch", "torch", "e3nn"),
            "wall_time": trained.seconds,
            "arguments": {},
            "package": None,
            "environment": {},
            "parent": model_id(parent) if parent else None,
        }


def _lacking_stresses(splits: dict[str, Frames]) -> dict[str, str]:
    """What the record says of cells without a stress; nothing where all have one."""
    counts = {split: (int(has_stress(splits[split]).sum()), len(splits[split])) for split in SEEN}
    if all(n == total for n, total in counts.values()):
        return {}
    told = ", ".join(f"{n} of {total} in {split}" for split, (n, total) in counts.items())
    left = "" if counts["train"][0] else ": the loss leaves the stress out"
    return {"stress_labels": told + left}


def split_frames(frames: Frames, selection: CurationOutput) -> dict[str, Frames]:
    """Frames of each split, in the order of their ids; raises as `member_frames`."""
    return {split: member_frames(frames, selection, split) for split in SPLITS}


def member_frames(frames: Frames, selection: CurationOutput, split: str | None = None) -> Frames:
    """Frames of a selection's members, or of one split of them, in the order of their ids.

    Raises:
        InputError: no such split, or a member that is not among the frames.
    """
    if split not in (None, *SPLITS):
        raise InputError(f"There is no split {split!r}.", hint=f"There are {', '.join(SPLITS)}.")
    place = {str(name): i for i, name in enumerate(frames.ids)}
    members = (m for m in selection["members"] if split in (None, m["split"]))
    chosen = sorted(member["calculation"] for member in members)
    missing = [calculation for calculation in chosen if calculation not in place]
    if missing:
        raise InputError(
            f"{len(missing)} members of dataset {selection['name']} are not among the candidates, "
            f"{missing[0]} for one.",
            hint="Give the candidates that the dataset was curated from.",
        )
    return frames.take([place[calculation] for calculation in chosen])


def _report(epoch: Epoch, total: int) -> None:
    report(
        "train",
        epoch.epoch + 1,
        total,
        **{"meV/atom": 1000 * epoch.energy_mae, "meV/A": 1000 * epoch.force_mae},
    )
