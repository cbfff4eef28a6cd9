"""A model of another package as forcebase uses it: checked bytes, known elements, closed cells."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import atomic_numbers, chemical_symbols

from forcebase.digest import bytes_digest
from forcebase.errors import IntegrityError
from forcebase.frames import Frames
from forcebase.models.boundaries import close_boundaries
from forcebase.models.potential import require_elements
from forcebase.models.third_party.engine import Engine, Labels, open_engine
from forcebase.models.third_party.environments import python_of
from forcebase.models.third_party.process import EngineProcess
from forcebase.safety.json_text import parse_json


@dataclass(frozen=True, eq=False)
class ThirdPartyModel:
    """A model of another package, ready to be applied.

    Attributes:
        engine: what answers.
        weights_sha256: digest of its file.
        dtype: float64 or float32.
        numbers: atomic numbers that it knows.
        environment: where it runs: `where` ("here" or "own environment") and `python`.
        device: by which `evaluate` sizes its batches; an engine chooses its own.
    """

    engine: Engine
    weights_sha256: str
    dtype: str
    numbers: tuple[int, ...]
    environment: dict[str, str] = field(default_factory=dict)
    device: str = "cpu"

    @property
    def elements(self) -> list[str]:
        """Symbols that it knows, sorted."""
        return sorted(chemical_symbols[z] for z in self.numbers)

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the packages that it runs on."""
        return dict(self.engine.versions)

    def require(self, numbers: Iterable[int]) -> None:
        """Refuse atoms that the model does not know, with a ModelError."""
        require_elements(numbers, self.numbers, self.weights_sha256)

    def label(self, frames: Frames) -> Labels:
        """Answer for all structures as one batch.

        Raises:
            ModelError: the package refused them, or a direction that is not periodic has less
                vacuum than the cutoff.
        """
        self.require(frames.numbers)
        r_max = self.engine.r_max
        structures = list(frames.atoms())
        if r_max is not None:
            structures = [close_boundaries(atoms, r_max) for atoms in structures]
        return self.engine.label(structures)

    def calculator(self) -> Calculator:
        """Give an ASE calculator; it raises what `label` does."""
        return ForeignCalculator(self)


class ForeignCalculator(Calculator):
    """A `ThirdPartyModel` as ASE's calculator."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, model: ThirdPartyModel) -> None:
        super().__init__()
        self._model = model

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] | None = None,
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Ask the model."""
        super().calculate(atoms, properties, system_changes)
        found = self._model.label(Frames.from_atoms([cast(Atoms, self.atoms)], ids=["asked"]))
        energy = float(found.energies[0])
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": found.forces,
            "stress": found.stresses[0],
        }


def load_third_party(
    kind: str,
    weights: bytes,
    sha256: str,
    dtype: str,
    arguments: Mapping[str, Any],
    elements: Sequence[str] = (),
) -> ThirdPartyModel:
    """Load a model, here or in the environment of its kind; once a process for each.

    Args:
        kind: of a model, as its record says.
        weights: its file.
        sha256: the digest that its record gives for it.
        dtype: the precision to compute in.
        arguments: of the kind.
        elements: symbols that it knows, for a package that does not say.

    Raises:
        IntegrityError: the bytes are not those of the digest; nothing is loaded.
        MissingDependencyError: the package is not installed.
        ModelError: the package cannot read the file.
    """
    found = bytes_digest(weights)
    if found != sha256:
        raise IntegrityError(
            f"The model file has digest {found[:10]}, not {sha256[:10]}: it is not loaded.",
            hint="Get the weights from the database again.",
            expected=sha256,
            found=found,
        )
    text = json.dumps(dict(arguments), sort_keys=True)
    engine, environment = _engine(kind, weights, dtype, text, python_of(kind))
    numbers = tuple(atomic_numbers[symbol] for symbol in elements) or engine.numbers
    return ThirdPartyModel(engine, sha256, dtype, numbers, environment)


@lru_cache(maxsize=4)
def _engine(
    kind: str, weights: bytes, dtype: str, arguments: str, python: Path | None
) -> tuple[Engine, dict[str, str]]:
    if python is None:
        engine = open_engine(kind, weights, dtype, parse_json(arguments))
        return engine, {"where": "here", "python": platform.python_version()}
    process = EngineProcess(python)
    process.open(kind, weights, dtype, parse_json(arguments))
    return process, {"where": "own environment", "python": process.python_version}
