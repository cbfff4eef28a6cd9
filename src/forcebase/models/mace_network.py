"""A MACE network with all that it must be asked with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class MaceNetwork:
    """A network that was loaded.

    Attributes:
        network: the torch module, its parameters frozen.
        weights_sha256: digest of the file that was given for it, which names it.
        dtype: float64 or float32.
        device: as torch names it.
        head: readout head, None for a model with one.
        r_max: cutoff, angstrom.
        numbers: atomic numbers that it knows, as its one-hot encoding orders them.
    """

    network: Any
    weights_sha256: str
    dtype: str
    device: str
    head: str | None
    r_max: float
    numbers: tuple[int, ...]
