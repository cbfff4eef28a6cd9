"""A Maker that has a model label structures."""

from __future__ import annotations

import time
from dataclasses import dataclass

from jobflow import Maker, job

from forcebase.blob import Blob
from forcebase.frames import Frames
from forcebase.makers.packages import package_versions
from forcebase.makers.training import member_frames
from forcebase.models.evaluation import evaluate
from forcebase.models.golden_probe import load_checked
from forcebase.outputs import (
    CandidatesOutput,
    CurationOutput,
    ModelOutput,
    PredictionsOutput,
    model_id,
)
from forcebase.progress import report


@dataclass
class PredictMaker(Maker):
    """Label structures with a model, in batches.

    Attributes:
        name: of the job.
        split: with a selection, only this split of it; None for all its members.
    """

    name: str = "predict"
    split: str | None = "test"

    @job(data=[Blob])
    def make(
        self,
        model: ModelOutput,
        candidates: CandidatesOutput,
        selection: CurationOutput | None = None,
    ) -> PredictionsOutput:
        """Label the candidates, or those that the selection takes.

        Args:
            model: output of a training, or a model published in the same shape.
            candidates: structures; labels that they have are not looked at.
            selection: a dataset's decisions.

        Raises:
            InputError: a member of the selection is not a candidate, or there is no such split.
            IntegrityError: the weights are not those of the digest.
            ModelError: an element that the model does not know, or answers that are no longer
                those of its golden probe.
        """
        started = time.perf_counter()
        loaded = load_checked(model)
        frames = Frames.from_blob(candidates["frames"])
        if selection is not None:
            frames = member_frames(frames, selection, self.split)
        found = evaluate(frames, loaded, lambda done, total: report("predict", done, total))
        return {
            "forcebase": "predictions",
            "model": model_id(model),
            "weights_sha256": model["weights_sha256"],
            "dtype": model["dtype"],
            "head": model["head"],
            "frames": found.frames.to_blob(),
            "wall_times": found.wall_times.tolist(),
            "package_versions": package_versions() | loaded.versions,
            "wall_time": time.perf_counter() - started,
        }
