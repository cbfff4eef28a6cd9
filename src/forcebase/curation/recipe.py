"""What a user may choose of a curation, as a recipe file says it.

filters: {elements: [Se, W], method_class: dft}
steps:
  - one-method
  - labels-present
  - force-outliers: {z: 6}
  - stratified: {n: 500, by: kind}
fractions: [0.8, 0.08, 0.12]
seed: 0
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from forcebase.bounds import SEED, check_bounds, check_choice
from forcebase.curation.splitting import Fractions, check_fractions
from forcebase.curation.steps import Step, default_steps
from forcebase.errors import InputError
from forcebase.physics.energy_kinds import EnergyKind
from forcebase.plugins import Group, load, names
from forcebase.safety.yaml_text import parse_yaml, read_yaml

BY_ITSELF = ("not-stale", "reserved", "isolated-atoms")
"""Steps that each build takes where they are of use, from what the database knows."""
OLD_FIELDS = {"licence": "license"}
"""As recipe files of forcebase 0.1 spell them."""
KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "str | None": (str,),
    "str | float | None": (str, int, float),
}


@dataclass(frozen=True)
class CurationRecipe:
    """What to do with the candidates, and which they are.

    Attributes:
        filters: of `db.calculations.find`.
        steps: in the order in which they are taken; those that choose come last.
        fractions: shares of train, valid and test.
        seed: of the split.
        e0s: element symbol -> eV; None takes isolated atoms', or has them fitted.
        e0s_method: id of the method that the given E0s belong to.
        license: SPDX identifier of the dataset's license.
        energy: `extrapolated` takes that energy of records that have both; None the free energy,
            from which the forces derive.
    """

    filters: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = field(default_factory=default_steps)
    fractions: Fractions = (0.80, 0.08, 0.12)
    seed: int = 0
    e0s: dict[str, float] | None = None
    e0s_method: str | None = None
    license: str = ""
    energy: str | None = None

    def __post_init__(self) -> None:
        check_bounds(self, {"seed": SEED}, "a recipe")
        check_fractions(self.fractions)
        check_choice(self, "energy", tuple(EnergyKind))
        strange = [s for s, energy in (self.e0s or {}).items() if not math.isfinite(energy)]
        if strange:
            raise InputError(f"The E0 of {strange[0]} is not a number.", hint="Give it in eV.")


def read_recipe(path: Path) -> CurationRecipe:
    """Read a recipe file.

    Raises:
        InputError: it cannot be read, or says what no recipe says.
    """
    try:
        content = read_yaml(path)
    except InputError as error:
        raise InputError(
            f"Recipe {path} cannot be read: {error.message}",
            hint="`forcebase dataset recipe NAME` prints one to start from.",
        ) from error
    return recipe_from(content if isinstance(content, Mapping) else {"": content})


def recipe_from(content: Mapping[str, Any]) -> CurationRecipe:
    """Make a recipe from what a recipe file holds.

    Raises:
        InputError: a field, step or setting is not known or is of the wrong kind.
    """
    content = {OLD_FIELDS.get(name, name): value for name, value in content.items()}
    known = {f.name for f in fields(CurationRecipe)}
    unknown = sorted(str(name) for name in content if name not in known)
    if unknown:
        raise InputError(
            f"A recipe has no field {unknown[0]!r}.", hint=f"Fields are {', '.join(sorted(known))}."
        )
    given = dict(content)
    try:
        if "steps" in given:
            given["steps"] = tuple(_listed_step(entry) for entry in given["steps"])
        if "fractions" in given:
            given["fractions"] = tuple(float(share) for share in given["fractions"])
        if given.get("e0s"):
            given["e0s"] = {str(s): float(e) for s, e in given["e0s"].items()}
        given["filters"] = dict(given.get("filters") or {})
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"The recipe has a value of the wrong kind: {error}.",
            hint="`forcebase dataset recipe NAME` prints one to start from.",
        ) from error
    return CurationRecipe(**given)


def recipe_text(recipe: CurationRecipe) -> str:
    """Write a recipe as the text of a recipe file; reading it gives the recipe again."""
    content: dict[str, Any] = {
        "filters": dict(recipe.filters),
        "steps": [{step.name: chosen_settings(step)} for step in recipe.steps],
        "fractions": list(recipe.fractions),
        "seed": recipe.seed,
    }
    for name in ("e0s", "e0s_method", "license", "energy"):
        if getattr(recipe, name):
            content[name] = getattr(recipe, name)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def chosen_settings(step: Step) -> dict[str, Any]:
    """Settings of a step that a user chooses; what the database fills in is not among them."""
    settings = step.parameters()
    return {name: settings[name] for name in _kinds(type(step)) if settings[name] is not None}


def step_names() -> tuple[str, ...]:
    """Names of the steps that can be chosen, those of plug-ins too; imports none of them."""
    return names(Group.CURATION_STEPS)


def step_named(name: str, settings: Mapping[str, Any]) -> Step:
    """Make the step of this name.

    Raises:
        InputError: there is no such step or setting, a setting lacks or is of the wrong kind.
    """
    if name not in step_names():
        raise InputError(
            f"There is no step {name!r} to choose.",
            hint=f"Steps are {', '.join(step_names())}; {', '.join(BY_ITSELF)} come by themselves.",
        )
    made: type[Step] = load(Group.CURATION_STEPS, name)
    if made.name != name:
        raise InputError(
            f"The step {name!r} calls itself {made.name!r}: recipes could not name it.",
            hint="Give it one name, in the class and in the entry point.",
        )
    kinds = _kinds(made)
    for key, value in settings.items():
        if key not in kinds:
            raise InputError(
                f"Step {name} has no setting {key!r}.",
                hint=f"Its settings are {', '.join(kinds) or 'none'}.",
            )
        right = KINDS[kinds[key]]
        if not isinstance(value, right) or (isinstance(value, bool) and bool not in right):
            raise InputError(
                f"Step {name}: {key} cannot be {value!r}.", hint=f"It is of kind {kinds[key]}."
            )
    needed = [
        f.name
        for f in fields(made)  # type: ignore[arg-type]
        if f.default is MISSING and f.default_factory is MISSING and f.name not in settings
    ]
    if needed:
        raise InputError(
            f"Step {name} needs {needed[0]}.", hint=f"Say `--step {name}:{needed[0]}=...`."
        )
    return made(**settings)


def parse_step(text: str) -> Step:
    """Make a step from `name:setting=value,setting=value`.

    Raises:
        InputError: it has not that form, or see `step_named`.
    """
    name, _, rest = text.partition(":")
    settings = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError(
                f"{part!r} is not a setting of step {name}.", hint=f"Write `{name}:setting=value`."
            )
        settings[key.strip()] = parse_yaml(value, f"the setting {part!r}")
    return step_named(name.strip(), settings)


def change_steps(
    steps: Iterable[Step], chosen: Iterable[Step], skipped: Iterable[str]
) -> tuple[Step, ...]:
    """Put chosen steps in the place of those of their name, or at the end; leave skipped ones out.

    Raises:
        InputError: a skipped step is not there.
    """
    by_key = {step.key: step for step in steps}
    by_key.update({step.key: step for step in chosen})
    for name in skipped:
        named = [key for key, step in by_key.items() if step.name == name]
        if not named:
            names = dict.fromkeys(step.name for step in by_key.values())
            raise InputError(
                f"Step {name!r} cannot be skipped: it is not in the recipe.",
                hint=f"In it are {', '.join(names)}; {', '.join(BY_ITSELF)} always stay.",
            )
        for key in named:
            del by_key[key]
    return tuple(by_key.values())


def _listed_step(entry: Any) -> Step:
    if isinstance(entry, str):
        return parse_step(entry)
    if isinstance(entry, Mapping) and len(entry) == 1:
        [(name, settings)] = entry.items()
        return step_named(str(name), settings or {})
    raise InputError(
        f"{entry!r} is not a step of a recipe.",
        hint="Write `- name` or `- name: {setting: value}`.",
    )


def _kinds(step: type[Step]) -> dict[str, str]:
    """Kind of each setting that a user may choose."""
    found = {
        f.name: f.type.__name__ if isinstance(f.type, type) else str(f.type)
        for f in fields(step)  # type: ignore[arg-type]
    }
    return {name: kind for name, kind in found.items() if kind in KINDS}
