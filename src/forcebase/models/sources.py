"""Models from elsewhere: from a file, a package or a callable to what jobs take."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ase.data import atomic_numbers, chemical_symbols

from forcebase.blob import Blob
from forcebase.digest import bytes_digest
from forcebase.errors import InputError
from forcebase.models.contract import DOUBLE, energy_noise
from forcebase.models.conversion import convert_mace
from forcebase.models.golden_probe import make_probe, probe_frames
from forcebase.models.mace_calculator import LoadedModel, load_mace
from forcebase.models.neutral_form import NeutralForm, is_neutral, read_neutral
from forcebase.models.potential import Potential
from forcebase.models.third_party.ase_calculator import find_callable
from forcebase.models.third_party.engine import engine_module
from forcebase.models.third_party.environments import python_of
from forcebase.models.third_party.model import ThirdPartyModel, load_third_party
from forcebase.models.third_party.process import EngineProcess
from forcebase.outputs import MACE, ModelOutput
from forcebase.plugins import Group, names

LOG = logging.getLogger(__name__)
NO_WEIGHTS = b"a calculator without a file of weights"
"""What stands in the place of weights where the callable and its keywords say all."""


@dataclass(frozen=True)
class Source:
    """A model to be added.

    Attributes:
        kind: MACE or a registered kind, in any case of letters.
        source: a file; for SevenNet and CHGNet also the name of a model that their package
            brings, as 7net-0, 7net-l3i5, 0.3.0; for ASE a `module:callable`.
        keywords: of the callable, or arguments of the kind.
        weights: for ASE: which keyword takes the path of a file, and the file.
        elements: symbols that it knows; needed where the package does not say.
        dtype: float64 or float32.
        head: of a MACE with several.
    """

    kind: str
    source: str
    keywords: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[str, Path] | None = None
    elements: Sequence[str] = ()
    dtype: str = "float64"
    head: str | None = None


def read_source(source: Source) -> ModelOutput:
    """Load the model for the first time, and say all that names and describes it.

    This runs code of the file, where it is a pickle, and of the package: give only what you
    would run. The file of a MACE is opened in a process of its own, see `convert_mace`, and not
    again; of other packages later loads compare the digest that is taken here.

    Raises:
        InputError: no such kind, file, bundled model, callable or element.
        MissingDependencyError: the package is not installed.
        ModelError: the package cannot read the file.
    """
    source = replace(source, kind=_kind(source.kind))
    unknown = [symbol for symbol in source.elements if symbol not in atomic_numbers]
    if unknown:
        raise InputError(f"There is no element {unknown[0]!r}.")
    if source.kind == MACE:
        return _mace(source)
    if source.kind == "ASE":
        return _calculator(source)
    weights = _file_or_bundled(source)
    loaded = _load(source, weights, dict(source.keywords))
    return _output(source, weights, loaded, loaded, dict(source.keywords))


def _kind(text: str) -> str:
    kinds = (MACE, *names(Group.MODELS))
    known = {kind.lower(): kind for kind in kinds}
    if text.lower() not in known:
        raise InputError(
            f"There is no kind of model {text!r}.", hint=f"There are {', '.join(kinds)}."
        )
    return known[text.lower()]


def _mace(source: Source) -> ModelOutput:
    if source.keywords:
        raise InputError(
            "A MACE file takes no keywords.",
            hint="With mace.calculators:mace_mp and such, add it as the kind ASE.",
        )
    weights = _read(Path(source.source))
    neutral = weights if is_neutral(weights) else _converted(weights)
    form = read_neutral(neutral)
    _require_head(form, source)
    loaded = load_mace(neutral, bytes_digest(weights), source.dtype, source.head)
    output = _output(source, weights, loaded, None, {})
    output["neutral"] = Blob(neutral)
    output["e0s"] = form.e0s(source.head)
    output["hyperparameters"] = form.settings
    return output


def _require_head(form: NeutralForm, source: Source) -> None:
    """Of several heads one must be named: their answers differ by the method that each learned."""
    heads = ", ".join(form.heads)
    if source.head and source.head not in form.heads:
        raise InputError(f"The model has no head {source.head!r}.", hint=f"It has {heads}.")
    if len(form.heads) > 1 and not source.head:
        raise InputError(
            f"{Path(source.source).name} has {len(form.heads)} readout heads: {heads}.",
            hint=f"Name one: --head {form.heads[0]}; each is a model of its own.",
        )


def _converted(weights: bytes) -> bytes:
    found = convert_mace(weights)
    for note in found.notes:
        LOG.warning(note)
    return found.neutral


def _calculator(source: Source) -> ModelOutput:
    _refuse_paths(source.keywords)
    if python_of(source.kind) is None:
        find_callable(source.source)
    arguments: dict[str, Any] = {
        "callable": source.source,
        "keywords": dict(source.keywords),
        "weights_as": source.weights[0] if source.weights else None,
    }
    weights = _read(source.weights[1]) if source.weights else NO_WEIGHTS
    loaded = _load(source, weights, arguments)
    atoms = next(probe_frames(loaded.elements).atoms())
    double = energy_noise(loaded, atoms) <= DOUBLE
    source = replace(source, dtype="float64" if double else "float32")
    return _output(source, weights, replace(loaded, dtype=source.dtype), loaded, arguments)


def _refuse_paths(keywords: Mapping[str, Any]) -> None:
    """A path in a record is nothing on the next machine, and its file can change."""
    for key, value in keywords.items():
        if isinstance(value, str) and Path(value).is_file():
            raise InputError(
                f"The keyword {key} is a file, {Path(value).name}, which would stay behind.",
                hint=f"Give it as --weights {key}=FILE: it is kept with the model.",
            )


def _load(source: Source, weights: bytes, arguments: Mapping[str, Any]) -> ThirdPartyModel:
    loaded = load_third_party(
        source.kind, weights, bytes_digest(weights), source.dtype, arguments, source.elements
    )
    if not loaded.numbers:
        raise InputError(
            f"{source.source} does not say which elements it knows.", hint="Give --elements W,Se."
        )
    return loaded


def _file_or_bundled(source: Source) -> bytes:
    path = Path(source.source)
    if path.is_file():
        return path.read_bytes()
    python = python_of(source.kind)
    if python is None:
        bundled = getattr(engine_module(source.kind), "bundled", None)
        if bundled is None:
            raise InputError(
                f"{source.source} is not there, and {source.kind} brings no models of its own.",
                hint="Give the path of a file.",
            )
        return bundled(source.source)  # type: ignore[no-any-return]
    process = EngineProcess(python)
    try:
        return process.bundled(source.kind, source.source)
    finally:
        process.close()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None


def _output(
    source: Source,
    weights: bytes,
    loaded: Potential,
    foreign: ThirdPartyModel | None,
    arguments: dict[str, Any],
) -> ModelOutput:
    versions = loaded.versions
    package = _package(source, versions) if foreign else None
    return {
        "forcebase": "model",
        "kind": source.kind,
        "weights": Blob(weights),
        "weights_sha256": bytes_digest(weights),
        "dtype": loaded.dtype,  # type: ignore[typeddict-item]
        "head": source.head,
        "elements": [chemical_symbols[z] for z in sorted(loaded.numbers)],
        "dataset": None,
        "dataset_job": None,
        "e0s": {},
        "hyperparameters": {},
        "seed": None,
        "n_parameters": _n_parameters(loaded),
        "learning_curve": [],
        "golden_probe": make_probe(probe_frames(loaded.elements), loaded),
        "package_versions": versions,
        "wall_time": 0.0,
        "arguments": arguments,
        "package": package,
        "environment": foreign.environment if foreign else {},
        "parent": None,
    }


def _package(source: Source, versions: Mapping[str, str]) -> str:
    """The package whose version is part of the model's identity: for ASE, the callable's own."""
    name = next(iter(versions))
    if source.kind == "ASE" and len(versions) > 1:
        name = next(key for key in versions if key != "ase")
    return f"{name} {versions[name]}"


def _n_parameters(loaded: Potential) -> int:
    if isinstance(loaded, LoadedModel):
        return sum(p.numel() for p in loaded.network.parameters())
    return loaded.engine.n_parameters if isinstance(loaded, ThirdPartyModel) else 0
