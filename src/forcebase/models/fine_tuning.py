"""Beginning a training from the weights of another MACE, from a file, offline."""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ase.data import atomic_numbers, chemical_symbols

from forcebase.errors import ModelError
from forcebase.frames import Frames
from forcebase.models.evaluation import evaluate
from forcebase.models.loading import neutral_of
from forcebase.models.mace_calculator import TRAINED_DTYPE, LoadedModel, load_mace
from forcebase.outputs import MACE, ModelOutput
from forcebase.physics.reference_energies import fit_e0s

FILE = "parent.model"


def load_parent(parent: ModelOutput) -> LoadedModel:
    """Load the model that a training begins from.

    Args:
        parent: as published; it is loaded in float64, whatever the training's precision is.

    Raises:
        ModelError: it is not a MACE, has no neutral form, or has several readout heads.
    """
    if parent["kind"] != MACE:
        raise ModelError(
            f"A {parent['kind']} model cannot be tuned here.", hint="Give a MACE as the parent."
        )
    loaded = load_mace(neutral_of(parent), parent["weights_sha256"], TRAINED_DTYPE, parent["head"])
    heads = list(getattr(loaded.network, "heads", None) or ["Default"])
    if len(heads) > 1:
        raise ModelError(
            f"The parent has {len(heads)} readout heads: {', '.join(heads)}.",
            hint="Take one head out with mace_select_head, and add that file.",
        )
    return loaded


def shifted_e0s(parent: LoadedModel, frames: Frames) -> dict[str, float]:
    """E0s with which the parent is right on average on these frames.

    The parent's interaction energies are kept: to each of its E0s is added what least squares
    find for its element in the differences of labels and answers. Labels of the parent's own
    method hardly move them; those of another method have other energies of the free atoms.

    Args:
        parent: the model.
        frames: labelled with energies.

    Returns:
        Symbol -> eV, of the elements in `frames`.

    Raises:
        ModelError: an element that the parent does not know.
    """
    answers = evaluate(frames, parent).frames.energies
    shifts = fit_e0s(frames.numbers, frames.owners, frames.energies - answers)
    own = parent.network.atomic_energies_fn.atomic_energies.detach().cpu().numpy().ravel()
    by_number = dict(zip(parent.numbers, own, strict=True))
    return {
        symbol: float(by_number[atomic_numbers[symbol]]) + shift for symbol, shift in shifts.items()
    }


def write_parent(
    parent: LoadedModel, e0s: Mapping[str, float], folder: Path, dtype: str
) -> list[str]:
    """Write the parent for MACE's training program, and give the arguments that name it.

    MACE copies all of the parent's state that has the child's shape, E0s included where both know
    the same elements, whatever E0s it was given: so they are written into the file too, which is
    in the `dtype` of the training. The child
    knows the elements of its own data only; MACE leaves the others out.
    """
    import torch

    network = _trainable(parent.network).to(getattr(torch, dtype))
    energies = network.atomic_energies_fn.atomic_energies
    for column, number in enumerate(parent.numbers):
        if (symbol := chemical_symbols[number]) in e0s:
            energies[..., column] = e0s[symbol]
    buffer = io.BytesIO()
    torch.save(network, buffer)
    (folder / FILE).write_bytes(buffer.getvalue())
    return [f"--foundation_model={FILE}", "--multiheads_finetuning=False"]


def _trainable(network: Any) -> Any:
    found = copy.deepcopy(network).train()
    for parameter in found.parameters():
        parameter.requires_grad_(True)
    return found
