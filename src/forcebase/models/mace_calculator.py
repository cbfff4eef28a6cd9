"""Loading a MACE model from its neutral form: nothing is unpickled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from ase.data import chemical_symbols

from forcebase.models.boundaries import close_boundaries
from forcebase.models.mace_batch import label_batch
from forcebase.models.mace_network import MaceNetwork
from forcebase.models.mace_package import import_mace
from forcebase.models.network_form import build_network
from forcebase.models.neutral_form import read_neutral
from forcebase.models.potential import require_elements
from forcebase.models.third_party.engine import Labels

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from forcebase.frames import Frames


TRAINED_DTYPE: Final = "float64"
"""What a model that was trained here is applied in, whatever the training's precision was:
relaxations to 1e-5 eV/angstrom and force constants need it, for float32 makes acoustic modes
noisy."""


@dataclass(frozen=True, eq=False)
class LoadedModel(MaceNetwork):
    """A MACE ready to be applied."""

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
    neutral: bytes, sha256: str, dtype: str = "float64", head: str | None = None
) -> LoadedModel:
    """Load a model from its neutral form, once a process for each digest and dtype.

    Args:
        neutral: its neutral form.
        sha256: the digest of the file that was given for it, which names it.
        dtype: the precision to compute in.
        head: readout head of a multi-head model.

    Raises:
        MissingDependencyError: MACE is not installed.
        ModelError: the form is damaged, or this version of MACE makes no such network.
    """
    return _load(neutral, sha256, dtype, head)


def best_device() -> str:
    """CUDA where torch sees it, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@lru_cache(maxsize=4)
def _load(neutral: bytes, sha256: str, dtype: str, head: str | None) -> LoadedModel:
    import_mace()
    return freeze(build_network(read_neutral(neutral)), sha256, dtype, head, best_device())


def freeze(network: Any, sha256: str, dtype: str, head: str | None, device: str) -> LoadedModel:
    """Make a network ready to be applied: its precision, its device, no gradients of its weights.

    Args:
        network: MACE's torch module; it is changed.
        sha256: the digest that names it.
        dtype: the precision to compute in, which becomes torch's default.
        head: readout head of a multi-head model.
        device: as torch names it.
    """
    import torch
    from mace.tools import torch_tools

    # TorchScript compiles a function anew after its first calls, which changes last bits of
    # results, and with them digests. Without that it is no slower: 0.25 s against 0.33 s for the
    # force constants of a 3x3 supercell.
    torch._C._set_graph_executor_optimize(False)
    torch_tools.set_default_dtype(dtype)
    network = network.to(device)
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
