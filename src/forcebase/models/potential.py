"""What every model can do once it is loaded, whatever package it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from ase.data import chemical_symbols

from forcebase.errors import ModelError
from forcebase.frames import Frames
from forcebase.models.third_party.engine import Labels

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator


class Potential(Protocol):
    """A model ready to be applied.

    Attributes:
        weights_sha256: digest of its file.
        dtype: float64 or float32.
        device: as torch names it.
        elements: symbols that it knows, sorted.
        versions: package name -> version, of what its answers depend on.
    """

    @property
    def weights_sha256(self) -> str: ...  # noqa: D102

    @property
    def dtype(self) -> str: ...  # noqa: D102

    @property
    def device(self) -> str: ...  # noqa: D102

    @property
    def numbers(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def elements(self) -> list[str]: ...  # noqa: D102

    @property
    def versions(self) -> dict[str, str]: ...  # noqa: D102

    def require(self, numbers: Iterable[int]) -> None:
        """Refuse atoms that the model does not know, with a ModelError."""
        ...

    def label(self, frames: Frames) -> Labels:
        """Answer for all structures as one batch."""
        ...

    def calculator(self) -> Calculator:
        """Give an ASE calculator."""
        ...


def require_elements(numbers: Iterable[int], known: Sequence[int], model: str) -> None:
    """Refuse atoms that a model does not know.

    Raises:
        ModelError: naming the elements asked for and those known.
    """
    foreign = sorted({int(z) for z in np.unique(list(numbers))} - set(known))
    if foreign:
        names = ", ".join(chemical_symbols[z] for z in foreign)
        raise ModelError(
            f"The model {model[:10]} does not know {names}; "
            f"it knows {', '.join(sorted(chemical_symbols[z] for z in known))}.",
            hint="Choose another model, or train one on data with these elements.",
        )
