"""A MACE without a pickle: its numbers and its architecture in one safetensors file.

The tensors are those of the network's state, by MACE's own names. The file's metadata holds one
entry, a JSON object that names the class and all that it is made with, besides what people ask
for: elements, cutoff, heads, E0s. Reading it runs nothing of it: names are compared with lists,
and numbers with limits and with each other, before anything is built.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from forcebase.errors import ModelError
from forcebase.models.architecture import check_architecture
from forcebase.safety.json_text import parse_json

FORMAT = "forcebase MACE 1"
METADATA = "forcebase"
LARGEST_FILE = 2 << 30
LARGEST_HEADER = 4 << 20
DTYPES = {"F64": "float64", "F32": "float32", "I64": "int64", "I32": "int32", "BOOL": "bool"}
"""Types of tensors that a MACE has, as safetensors and NumPy call them."""
MAX_TENSORS = 5000
HINT = "Add the model again from its file: `forcebase model add mace FILE`."


@dataclass(frozen=True, eq=False)
class NeutralForm:
    """What a MACE is.

    Attributes:
        architecture: the JSON object, see `forcebase.models.architecture`.
        tensors: the network's state by name.
    """

    architecture: Mapping[str, Any]
    tensors: Mapping[str, NDArray[Any]]

    @property
    def dtype(self) -> str:
        """Precision of its numbers: float64 or float32."""
        return str(self.architecture["dtype"])

    @property
    def elements(self) -> list[str]:
        """Symbols that it knows, in its own order."""
        return list(self.architecture["elements"])

    @property
    def heads(self) -> list[str]:
        """Names of its readout heads."""
        return list(self.architecture["heads"])

    @property
    def cutoff(self) -> float:
        """In angstrom."""
        return float(self.architecture["cutoff"])

    def e0s(self, head: str | None = None) -> dict[str, float]:
        """Isolated-atom energies of a head, or of the last one: symbol -> eV."""
        return dict(self.architecture["e0s"][head or self.heads[-1]])

    @property
    def settings(self) -> dict[str, Any]:
        """Its architecture by the names that `TrainingSettings` and MACE's command line have."""
        arguments = self.architecture["arguments"]
        irreps = _irreps(arguments["hidden_irreps"])
        return {
            "num_channels": irreps[0][0],
            "max_L": max(degree for _, degree in irreps),
            **{name: arguments[name] for name in ("max_ell", "correlation", "num_interactions")},
            "r_max": self.cutoff,
        }

    def to_bytes(self) -> bytes:
        """Give the file: the same model gives the same bytes."""
        from safetensors.numpy import save

        text = json.dumps(self.architecture, sort_keys=True, separators=(",", ":"), allow_nan=False)
        tensors = {name: np.asarray(array, order="C") for name, array in self.tensors.items()}
        return bytes(save(tensors, {METADATA: text}))


def is_neutral(data: bytes) -> bool:
    """Whether bytes call themselves a neutral form; they may still be damaged."""
    try:
        return METADATA in _header(data).get("__metadata__", {})
    except (ModelError, TypeError):
        return False


def read_neutral(data: bytes) -> NeutralForm:
    """Read and check a neutral form.

    Raises:
        ModelError: it is cut off, of another format, or says what no MACE can be; the message
            names the first thing found.
    """
    header = _header(data)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or set(metadata) != {METADATA}:
        raise refused("its metadata is not forcebase's")
    architecture = _parsed(metadata[METADATA], "its architecture")
    if architecture.get("format") != FORMAT:
        raise refused(f"it does not say that its format is {FORMAT!r}")
    _check_header(header, data)
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, OverflowError) as error:
        raise refused(f"it is cut off or damaged: {error}") from None
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise refused(f"{name} holds a number that is not finite")
    if reason := check_architecture(architecture) or _contradiction(architecture, tensors):
        raise refused(reason)
    return NeutralForm(architecture, tensors)


def refused(reason: str) -> ModelError:
    """The error that every objection to a neutral form is."""
    return ModelError(f"The neutral form of the model is refused: {reason}.", hint=HINT)


def _header(data: bytes) -> dict[str, Any]:
    """The JSON object that a safetensors file begins with."""
    if len(data) > LARGEST_FILE:
        raise refused(f"it has {len(data):,} bytes, more than {LARGEST_FILE:,}")
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(LARGEST_HEADER, len(data) - 8):
        raise refused("it is no whole safetensors file")
    return _parsed(data[8 : 8 + size], "its header")


def _parsed(text: Any, what: str) -> dict[str, Any]:
    """A JSON object without NaN and without a key twice."""
    try:
        found = parse_json(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except (ValueError, TypeError, RecursionError) as error:
        raise refused(f"{what} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise refused(f"{what} is not JSON object")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _check_header(header: Mapping[str, Any], data: bytes) -> None:
    """Names, types and shapes of the tensors, before any of them is made."""
    if len(header) > MAX_TENSORS:
        raise refused(f"it has {len(header)} tensors, more than {MAX_TENSORS}")
    total = 0
    for name, entry in header.items():
        dtype = entry.get("dtype") if isinstance(entry, dict) else None
        shape = entry.get("shape") if isinstance(entry, dict) else None
        if dtype not in DTYPES:
            raise refused(f"tensor {name[:80]!r} has type {str(dtype)[:20]}")
        if not _possible(shape, len(data)):
            raise refused(f"tensor {name[:80]!r} has no possible shape: {str(shape)[:80]}")
        total += math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
    if total > len(data):
        raise refused(f"{len(data):,} bytes say that they hold {total:,} bytes of tensors")


def _possible(shape: Any, largest: int) -> TypeGuard[list[int]]:
    return (
        isinstance(shape, list)
        and len(shape) <= 8
        and all(type(n) is int and 0 <= n <= largest for n in shape)
    )


def _irreps(text: str) -> list[tuple[int, int]]:
    """(multiplicity, angular momentum) of each part of "32x0e+32x1o"."""
    parts = (part.strip().split("x") for part in text.split("+"))
    return [(int(n), int(ir[:-1])) for n, ir in parts]


def _contradiction(architecture: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    """What the architecture says of the tensors that is not so; "" where nothing is.

    What is large in a network must be as large in the file, so that nothing is built that the
    file does not pay for.
    """
    arguments = architecture["arguments"]
    irreps = _irreps(arguments["hidden_irreps"])
    channels, n = irreps[0][0], len(architecture["elements"])
    layers, correlation = arguments["num_interactions"], arguments["correlation"]
    sizes = {
        "node_embedding.linear.weight": n * channels,
        "radial_embedding.bessel_fn.bessel_weights": arguments["num_bessel"],
        "interactions.0.linear_up.weight": channels**2,
        "products.0.linear.weight": sum(multiplicity**2 for multiplicity, _ in irreps),
    }
    for name, size in sizes.items():
        if name not in tensors or tensors[name].size != size:
            return f"{name} has not the {size} numbers that its architecture says"
    for layer in range(layers):
        name = f"products.{layer}.symmetric_contractions.contractions.0.U_matrix_{correlation}"
        found = tensors.get(name)
        if found is None or found.ndim < 2 or found.shape[-2] < (arguments["max_ell"] + 1) ** 2:
            return f"{name} is not as large as its architecture says"
    heads = architecture["heads"]
    told = [[architecture["e0s"][h][s] for s in architecture["elements"]] for h in heads]
    stored = tensors.get("atomic_energies_fn.atomic_energies")
    possible = ((n,), (1, n), (len(heads), n))
    if stored is None or stored.shape not in possible or not (stored == told).all():
        return "its E0s are not those of its tensors"
    numbers = [atomic_numbers[symbol] for symbol in architecture["elements"]]
    same = {"atomic_numbers": numbers, "r_max": architecture["cutoff"], "num_interactions": layers}
    for name, value in same.items():
        if name not in tensors or not np.array_equal(tensors[name], value):
            return f"tensor {name} is not what its architecture says"
    return ""
