"""CHGNet (Deng et al., Nat. Mach. Intell. 5, 1031, 2023), in batches.

The package computes in float32. In float64 the same weights are used, with the package's own
constant for the precision of its graphs changed for the time of a call.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units

from forcebase.errors import ModelError
from forcebase.models.third_party.engine import Labels, bundled_file

PACKAGE = "chgnet"
BUNDLED = {
    "0.3.0": "pretrained/0.3.0/*.pth.tar",
    "0.2.0": "pretrained/0.2.0/*.pth.tar",
    "r2scan": "pretrained/r2scan/*.pth.tar",
}
LARGEST_NUMBER = 94
VOIGT = ((0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1))


def bundled(source: str) -> bytes:
    """The weights of this name that come with the package."""
    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return bundled_file(Path(spec.origin).parent, BUNDLED, source)


def open_engine(weights: bytes, dtype: str, arguments: Mapping[str, Any]) -> CHGNetEngine:
    """Load a checkpoint; there are no arguments.

    Raises:
        ModelError: an argument, or a file that is not a checkpoint of CHGNet.
    """
    if arguments:
        raise ModelError(f"CHGNet takes no arguments: {', '.join(arguments)}.")
    with redirect_stdout(io.StringIO()):
        import torch
        from chgnet.model import CHGNet

        try:
            state = torch.load(io.BytesIO(weights), map_location="cpu", weights_only=False)
            network = CHGNet.from_dict(state["model"])
        except (KeyError, RuntimeError, TypeError, EOFError, pickle.UnpicklingError) as error:
            raise ModelError(f"This is not a checkpoint that CHGNet can read: {error}") from error
    return CHGNetEngine(network, dtype)


class CHGNetEngine:
    """A CHGNet, its parameters frozen, on the CPU or a GPU."""

    def __init__(self, network: Any, dtype: str) -> None:
        import torch

        self._dtype = getattr(torch, dtype)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._network = network.to(device=device, dtype=self._dtype).eval()
        if self._network.composition_model is not None:
            self._network.composition_model.float()  # it makes float32 of what it is given
        self._network.graph_converter.set_isolated_atom_response("ignore")
        for parameter in self._network.parameters():
            parameter.requires_grad_(False)
        self.numbers = tuple(range(1, LARGEST_NUMBER + 1))
        self.r_max = float(self._network.graph_converter.atom_graph_cutoff)
        self.n_parameters = sum(p.numel() for p in self._network.parameters())
        self.versions = {name: version(name) for name in (PACKAGE, "torch")}

    def label(self, structures: Sequence[Atoms]) -> Labels:
        """All structures in one pass."""
        from pymatgen.io.ase import AseAtomsAdaptor

        given = [AseAtomsAdaptor.get_structure(atoms) for atoms in structures]
        with self._precision():
            found = self._network.predict_structure(given, task="efs", batch_size=len(given))
        answers = [found] if len(given) == 1 else found
        scale = [len(a) if self._network.is_intensive else 1 for a in structures]
        return Labels(
            energies=np.array([a["e"] * s for a, s in zip(answers, scale, strict=True)], float),
            forces=np.concatenate([a["f"] for a in answers]).astype(float),
            stresses=np.array([a["s"][VOIGT] for a in answers], float) * units.GPa,
        )

    @contextmanager
    def _precision(self) -> Iterator[None]:
        import torch

        names = ("chgnet.graph.converter", "chgnet.model.model")
        modules = [sys.modules[name] for name in names]
        before = [module.TORCH_DTYPE for module in modules]  # type: ignore[attr-defined]
        default = torch.get_default_dtype()
        try:
            torch.set_default_dtype(self._dtype)
            for module in modules:
                module.TORCH_DTYPE = self._dtype  # type: ignore[attr-defined]
            yield
        finally:
            torch.set_default_dtype(default)
            for module, dtype in zip(modules, before, strict=True):
                module.TORCH_DTYPE = dtype  # type: ignore[attr-defined]
