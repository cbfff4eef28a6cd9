"""Files that MACE's users have beside a model's own: what each is, and which is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NEEDED = "NAME.model, which MACE's training writes at its end"
LAMMPS = ("LAMMPS_MACE", "LAMMPS_MLIAP_MACE")
CHECKPOINT = {"optimizer", "lr_scheduler", "scheduler", "epoch", "ema", "swa"}
"""Keys that stand beside the weights in a training's checkpoint."""
STATES = ("model", "state_dict", "model_state_dict")
"""Keys under which a checkpoint has them."""


def what_it_is(given: Any) -> str:
    """Say in one sentence what was opened and which file is needed; "" where that is not known.

    Args:
        given: what the file holds; no MACE of energies.
    """
    name = type(given).__name__
    if isinstance(given, Mapping):
        return _mapping(given)
    if name in ("RecursiveScriptModule", "ScriptModule", "TopLevelTracedModule"):
        name = str(getattr(given, "original_name", ""))
        compiled = "compiled by TorchScript, "
    else:
        compiled = ""
    if name in LAMMPS:
        return (
            f"It is a model {compiled}exported for LAMMPS by mace_create_lammps_model, which "
            f"cannot be taken back: give the file that it was made from, {NEEDED}."
        )
    if compiled:
        return (
            f"It is a network {compiled}{name or 'without a name'}, from which the architecture "
            f"cannot be taken: give the file beside it, {NEEDED}."
        )
    if isinstance(given, list | tuple) and given and all(hasattr(g, "state_dict") for g in given):
        return f"It holds {len(given)} networks: give the file of one of them, {NEEDED}."
    return ""


def _mapping(given: Mapping[Any, Any]) -> str:
    keys = {str(key) for key in given}
    held = next((key for key in STATES if key in keys), None)
    inner = given[held] if held is not None else given
    if hasattr(inner, "state_dict"):
        return (
            f"It is a dictionary that holds a network under {held!r} beside other things: save "
            f"that alone with torch.save, or give {NEEDED}."
        )
    if held is not None and (keys & CHECKPOINT or _is_state(inner)):
        epoch = given.get("epoch")
        when = f" of epoch {epoch}" if type(epoch) is int else ""
        return (
            f"It is a checkpoint{when}: the numbers of a training on its way, without the "
            f"network that they belong to: give {NEEDED}."
        )
    if _is_state(given):
        return (
            f"It is a state dict, {len(given)} tensors by name without the network that they "
            f"belong to: give {NEEDED}."
        )
    return ""


def _is_state(given: Any) -> bool:
    """Whether something is tensors by name, and nothing else."""
    return (
        isinstance(given, Mapping)
        and len(given) > 0
        and all(isinstance(key, str) for key in given)
        and all(hasattr(value, "dtype") and hasattr(value, "shape") for value in given.values())
    )
