"""What else of MACE's training may be set, by the names of `mace_run_train`: name and range each.

Options that name files, hosts or code, or that decide how the run is laid out, are not among them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from forcebase.bounds import Bounds
from forcebase.errors import InputError

_BLOCKS = (
    "RealAgnosticResidualInteractionBlock",
    "RealAgnosticInteractionBlock",
    "RealAgnosticDensityInteractionBlock",
    "RealAgnosticDensityResidualInteractionBlock",
    "RealAgnosticResidualNonLinearInteractionBlock",
)
_WEIGHT = Bounds(0, 1_000_000_000)
_COUNT = Bounds(1, 1_000_000, whole=True)


@dataclass(frozen=True)
class Choice:
    """One of several words."""

    words: tuple[str, ...]

    def holds(self, value: Any) -> bool:
        """Whether it is one of them."""
        return isinstance(value, str) and value in self.words

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"


@dataclass(frozen=True)
class Pattern:
    """Text of a form; what people call the form, with an example."""

    form: str
    called: str

    def holds(self, value: Any) -> bool:
        """Whether it has the form."""
        return isinstance(value, str) and re.fullmatch(self.form, value) is not None

    def __str__(self) -> str:
        return self.called


@dataclass(frozen=True)
class Switch:
    """Yes or no: given without a value where it is yes."""

    def holds(self, value: Any) -> bool:
        """Whether it is true or false."""
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "true or false"


Allowed = Bounds | Choice | Pattern | Switch

OPTIONS: dict[str, Allowed] = {
    # the network
    "model": Choice(("MACE", "ScaleShiftMACE")),
    "radial_type": Choice(("bessel", "gaussian", "chebyshev")),
    "num_radial_basis": Bounds(1, 128, whole=True),
    "num_cutoff_basis": Bounds(2, 32, whole=True),
    "distance_transform": Choice(("None", "Agnesi", "Soft")),
    "pair_repulsion": Switch(),
    "interaction": Choice(_BLOCKS),
    "interaction_first": Choice(_BLOCKS),
    "MLP_irreps": Pattern(r"[1-9]\d{0,3}x0e", "irreps of scalars, as 16x0e"),
    "radial_MLP": Pattern(
        r"\[[1-9]\d{0,3}(, ?[1-9]\d{0,3}){0,7}\]", "widths in brackets, as [64, 64, 64]"
    ),
    "gate": Choice(("silu", "tanh", "abs", "None")),
    "scaling": Choice(("std_scaling", "rms_forces_scaling", "no_scaling")),
    # the loss
    "loss": Choice(("weighted", "stress", "universal", "huber")),
    "huber_delta": Bounds(0, 1000, above=True),
    # the optimizer
    "optimizer": Choice(("adam", "adamw", "schedulefree")),
    "beta": Bounds(0, 1),
    "weight_decay": Bounds(0, 1),
    "clip_grad": Bounds(0, 1_000_000, above=True),
    "scheduler": Choice(("ExponentialLR", "ReduceLROnPlateau")),
    "lr_factor": Bounds(0, 1, above=True),
    "scheduler_patience": _COUNT,
    "patience": _COUNT,
    # the second stage, with other weights and a smaller learning rate
    "swa": Switch(),
    "start_swa": _COUNT,
    "swa_lr": Bounds(0, 10, above=True),
    "swa_energy_weight": _WEIGHT,
    "swa_forces_weight": _WEIGHT,
    "swa_stress_weight": _WEIGHT,
    # the speed
    "enable_cueq": Switch(),
}
"""Name -> what it may be. MACE's own defaults hold for what is not given."""

WITH_STRESS = ("stress", "universal", "huber")
"""Losses that have a term of the stress."""


def check_options(options: Mapping[str, Any]) -> None:
    """Check names and values.

    Raises:
        InputError: names the first that is not known, or cannot be what it is.
    """
    for name, value in options.items():
        allowed = OPTIONS.get(name)
        if allowed is None:
            near = get_close_matches(str(name), OPTIONS, 1)
            meant = (
                f"Did you mean {near[0]}?" if near else "docs/training.md lists those there are."
            )
            raise InputError(f"{name!r} is not a setting of a training.", hint=meant)
        if not allowed.holds(value):
            raise InputError(f"{name} of a training cannot be {value!r}.", hint=f"It is {allowed}.")
    if "start_swa" in options and not options.get("swa"):
        raise InputError("start_swa is given without swa.", hint="Write swa: true beside it.")


def as_arguments(options: Mapping[str, Any]) -> list[str]:
    """Arguments of `mace_run_train`."""
    given = []
    for name, value in options.items():
        if name == "enable_cueq":
            given.append(f"--{name}={value}")  # MACE takes this one with a value
        elif isinstance(value, bool):
            given += [f"--{name}"] if value else []
        else:
            given.append(f"--{name}={value}")
    return given
