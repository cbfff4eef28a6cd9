"""Whether a model can do what it is asked for, by its record: told before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable

from forcebase.errors import InputError, ModelError
from forcebase.makers.phonon import PhononMaker
from forcebase.models.loading import MACE
from forcebase.records import Dataset, ModelMethod


def check_elements(model: ModelMethod, symbols: Iterable[str]) -> None:
    """Check that a model knows these elements.

    Raises:
        ModelError: it does not know one of them.
    """
    foreign = sorted(set(symbols) - set(model.elements))
    if foreign:
        raise ModelError(
            f"The model {model.id[:10]} does not know {', '.join(foreign)}; it knows "
            f"{', '.join(model.elements)}.",
            hint="Choose another model, or train one on data with these elements.",
        )


def check_phonon(model: ModelMethod, symbols: Iterable[str], maker: PhononMaker) -> None:
    """Check that a model can make the phonons that a maker is asked for.

    Raises:
        ModelError: it does not know an element, or its kind has no analytic force constants.
    """
    check_elements(model, symbols)
    if maker.force_constants_maker.method == "analytic" and model.kind != MACE:
        raise ModelError(
            f"{model.title} has no analytic force constants: its kind is not MACE.",
            hint="Ask for the method displacements, or auto.",
        )


def check_training(dataset: Dataset, parent: ModelMethod | None) -> None:
    """Check that MACE can be trained on a dataset, from the weights of a parent or from none.

    Raises:
        InputError: the dataset lacks train or valid records.
        ModelError: the parent is not a MACE, or does not know an element.
    """
    for split in ("train", "valid"):
        if not dataset.counts.get(split):
            raise InputError(
                f"Dataset {dataset.title} has no {split} records.",
                hint="MACE needs train and valid data: build a version with both.",
            )
    if parent is not None and parent.kind != MACE:
        raise ModelError(f"{parent.title} cannot be tuned.", hint="Give a MACE as the parent.")
    if parent is not None:
        check_elements(parent, dataset.e0s)
