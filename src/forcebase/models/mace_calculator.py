"""Loading a MACE model: a pickle, which runs code, so only bytes of a known digest are loaded."""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from ase.data import chemical_symbols

from forcebase.digest import bytes_digest
from forcebase.errors import IntegrityError, ModelError
from forcebase.models.boundaries import close_boundaries
from forcebase.models.foreign.engine import Labels
from forcebase.models.mace_batch import label_batch
from forcebase.models.potential import require_elements

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from forcebase.frames import Frames


TRAINED_DTYPE: Final = "float64"
"""What a model that was trained here is applied in, whatever the training's precision was:
relaxations to 1e-5 eV/angstrom and force constants need it, for float32 makes acoustic modes
noisy."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model ready to be applied.

    Attributes:
        network: the torch module, its parameters frozen.
        weights_sha256: digest of the file that it was loaded from.
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

    @property
    def elements(self) -> list[str]:
        """Symbols that it knows, sorted."""
        return sorted(chemical_symbols[z] for z in self.numbers)

    def require(self, numbers: Iterable[int]) -> None:
        """Refuse atoms that the model was never trained on.

        Raises:
            ModelError: naming the elements asked for and those known.
        """
        require_elements(numbers, self.numbers, self.weights_sha256)

    @property
    def versions(self) -> dict[str, str]:
        """Installed versions of the packages that it runs on."""
        return {name: version(name) for name in ("mace-torch", "torch")}

    def label(self, frames: Frames) -> Labels:
        """Answer for all structures as one batch; raises what `evaluate` does."""
        return label_batch(frames, self)

    def calculator(self) -> Calculator:
        """Give an ASE calculator; it raises what `forcebase.models.evaluation.evaluate` does."""
        from mace.calculators import MACECalculator

        model = self

        class CheckedMACECalculator(MACECalculator):
            def _atoms_to_batch(self, atoms: Atoms) -> Any:
                model.require(atoms.numbers)
                return super()._atoms_to_batch(close_boundaries(atoms, model.r_max))

        head = {"head": self.head} if self.head else {}
        return CheckedMACECalculator(
            models=[self.network], device=self.device, default_dtype=self.dtype, **head
        )


def load_mace(
    weights: bytes, sha256: str, dtype: str = "float64", head: str | None = None
) -> LoadedModel:
    """Load a model from its bytes, once a process for each digest and dtype.

    Args:
        weights: MACE's model file.
        sha256: the digest that a record or a training gave for it.
        dtype: the precision to compute in.
        head: readout head of a multi-head model.

    Raises:
        IntegrityError: the bytes are not those of the digest; they are not unpickled.
        ModelError: this version of MACE cannot read the file.
    """
    found = bytes_digest(weights)
    if found != sha256:
        raise IntegrityError(
            f"The model file has digest {found[:10]}, not {sha256[:10]}: it is not loaded.",
            hint="Get the weights from the database again.",
            expected=sha256,
            found=found,
        )
    return _load(weights, sha256, dtype, head)


def best_device() -> str:
    """CUDA where torch sees it, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def import_mace() -> None:
    """Import all of MACE before e3nn, and without what it prints: stdout may be somebody's JSON."""
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mace.calculators  # noqa: F401


@lru_cache(maxsize=4)
def _load(weights: bytes, sha256: str, dtype: str, head: str | None) -> LoadedModel:
    import_mace()
    import torch
    from mace.tools import torch_tools

    # TorchScript compiles a function anew after its first calls, which changes last bits of
    # results, and with them digests. Without that it is no slower: 0.25 s against 0.33 s for the
    # force constants of a 3x3 supercell.
    torch._C._set_graph_executor_optimize(False)
    device = best_device()
    torch_tools.set_default_dtype(dtype)
    try:
        network = torch.load(io.BytesIO(weights), map_location=device, weights_only=False)
    except (AttributeError, EOFError, ImportError, RuntimeError, pickle.UnpicklingError) as error:
        raise ModelError(
            f"The model {sha256[:10]} cannot be read by the installed mace-torch: {error}",
            hint="Its record says with which versions it was trained.",
        ) from error
    network = network.double() if dtype == "float64" else network.float()
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return LoadedModel(
        network=network,
        weights_sha256=sha256,
        dtype=dtype,
        device=device,
        head=head,
        r_max=float(network.r_max),
        numbers=tuple(int(z) for z in network.atomic_numbers),
    )
