"""A Maker that decides on a dataset."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobflow import Maker, job

from forcebase.blob import Blob
from forcebase.curation.pipeline import Curation, Parent, curate
from forcebase.frames import Frames
from forcebase.outputs import HEAVY, CandidatesOutput, CurationOutput


@dataclass
class CurateMaker(Maker):
    """Curate candidates into a dataset with splits.

    Attributes:
        name: of the job.
        recipe: of the dataset; travels with the job, so its record says what was done.
    """

    name: str = "curate"
    recipe: Curation = field(default_factory=lambda: Curation("dataset"))

    @job(data=[Blob, *HEAVY])
    def make(self, candidates: CandidatesOutput, parent: Parent | None = None) -> CurationOutput:
        """Decide which candidates are in; see `forcebase.curation.pipeline.curate`.

        Args:
            candidates: output of a job, or records published in the same shape.
            parent: the version before, if there is one.
        """
        return curate(Frames.from_blob(candidates["frames"]), self.recipe, parent)
