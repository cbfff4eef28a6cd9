"""The records that the main job ends with."""

from __future__ import annotations

from dataclasses import dataclass, field

from forcebase.records import Dataset, Method, ModelMethod, Phonon, Validation


@dataclass(frozen=True)
class PhononResult:
    """A DFT phonon, and what became of the model's.

    Attributes:
        reference: DFT's.
        name: of what it is a phonon, in a few words.
        phonon: the model's, None where it could not be computed.
        comparison: of the two, None where they could not be compared.
        reason: why there is no comparison; "" where there is one.
    """

    reference: Phonon
    name: str
    phonon: Phonon | None = None
    comparison: Validation | None = None
    reason: str = ""


@dataclass(frozen=True)
class MainResult:
    """What was trained on what, compared with what, and with which answer.

    Attributes:
        dataset: trained and tested on.
        reference: the DFT set-up.
        model: what was trained.
        model_name: what it is called.
        labels: comparison on the test split, None where there could be none.
        labels_reason: why there is none; "" where there is one.
        phonons: one for each DFT phonon, the one of the perfect crystal first.
    """

    dataset: Dataset
    reference: Method
    model: ModelMethod
    model_name: str
    labels: Validation | None
    labels_reason: str = ""
    phonons: tuple[PhononResult, ...] = field(default=())

    @property
    def missing(self) -> dict[str, str]:
        """What could not be compared -> why."""
        found = {} if self.labels else {"energies and forces": self.labels_reason}
        if not self.phonons:
            found["phonons"] = "there is no DFT phonon by the method of the dataset"
        for result in self.phonons:
            if result.comparison is None:
                found[f"phonons, {result.name}"] = result.reason
        return found

    @property
    def remarks(self) -> list[str]:
        """What to know of the model's phonons before they are trusted."""
        return [
            f"Phonons, {result.name}: {finding}"
            for result in self.phonons
            if result.phonon is not None
            for finding in result.phonon.findings
        ]
