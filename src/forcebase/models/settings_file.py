"""Settings of a training as a file says them.

preset: full
num_channels: 128
max_num_epochs: 400
swa: true
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from forcebase.errors import InputError
from forcebase.models.mace_options import OPTIONS
from forcebase.models.training_settings import DEMO, FULL, TrainingSettings
from forcebase.safety.yaml_text import read_yaml

PRESETS = {"demo": DEMO, "full": FULL}
MACE_NAMES = {
    "max_num_epochs": "epochs",
    "default_dtype": "dtype",
    "lr_scheduler_gamma": "lr_gamma",
}
"""Names of MACE's command line for what has a shorter one here; both are read."""


def read_settings(path: Path) -> TrainingSettings:
    """Read a file of training settings, in YAML.

    `preset` names what holds where the file says nothing: demo or full.

    Raises:
        InputError: it cannot be read, names a setting that is not one, or one of a wrong value.
    """
    content = read_yaml(path)
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise InputError(
            f"{path} does not hold settings.", hint="Write a line `name: value` for each."
        )
    try:
        return settings_from(content)
    except InputError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from error


def settings_from(content: Mapping[str, Any]) -> TrainingSettings:
    """Make settings of what a file holds; raises as `read_settings`."""
    preset = content.get("preset", "demo")
    if preset not in PRESETS:
        raise InputError(f"There is no preset {preset!r}.", hint="There are demo and full.")
    return changed(PRESETS[preset], {k: v for k, v in content.items() if k != "preset"})


def changed(base: TrainingSettings, content: Mapping[str, Any]) -> TrainingSettings:
    """Settings like `base`, but for those that are named, by MACE's names or the ones here.

    Raises:
        InputError: there is no such setting, or it cannot have this value.
    """
    named: dict[str, Any] = {}
    for key, value in content.items():
        name = MACE_NAMES.get(key, key)
        if name in named:
            raise InputError(f"{key} and {name} are one setting.", hint="Give one of the two.")
        named[name] = value
    own = {each.name for each in fields(TrainingSettings)} - {"further"}
    known = {*own, *OPTIONS, *MACE_NAMES, "preset"}
    for name in named:
        if name not in known:
            near = get_close_matches(name, known, 1)
            meant = (
                f"Did you mean {near[0]}?" if near else "docs/training.md lists those there are."
            )
            raise InputError(f"{name!r} is not a setting of a training.", hint=meant)
    given = {name: value for name, value in named.items() if name in own}
    further = {name: value for name, value in named.items() if name not in own}
    return replace(base, further={**base.further, **further}, **given)
