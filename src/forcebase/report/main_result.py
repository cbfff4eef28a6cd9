"""The records that the main job ends with."""

from __future__ import annotations

from dataclasses import dataclass

from forcebase.records import Dataset, Method, ModelMethod, Phonon, Validation


@dataclass(frozen=True)
class MainResult:
    """What was trained on what, held to what, and with which answer."""

    dataset: Dataset
    reference: Method
    model: ModelMethod
    phonon: Phonon
    reference_phonon: Phonon
    labels: Validation
    phonons: Validation
