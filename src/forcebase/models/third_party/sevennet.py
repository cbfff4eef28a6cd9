"""SevenNet (Park et al., J. Chem. Theory Comput. 20, 4857, 2024), in batches.

The package computes in float32. In float64 the same weights are used on graphs built in float64.
"""

from __future__ import annotations

import io
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from forcebase.errors import ModelError
from forcebase.models.third_party.engine import Labels, bundled_file

PACKAGE = "sevenn"
BUNDLED = {
    "7net-0": "pretrained_potentials/SevenNet_0__11Jul2024/*.pth",
    "7net-0_22may2024": "pretrained_potentials/SevenNet_0__22May2024/*.pth",
    "7net-l3i5": "pretrained_potentials/SevenNet_l3i5/*.pth",
}
VOIGT = [0, 1, 2, 4, 5, 3]
"""SevenNet's own order is xx, yy, zz, xy, yz, zx, and its sign is opposite."""


def bundled(source: str) -> bytes:
    """The weights of this name that come with the package."""
    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return bundled_file(Path(spec.origin).parent, BUNDLED, source)


def open_engine(weights: bytes, dtype: str, arguments: Mapping[str, Any]) -> SevenNetEngine:
    """Load a checkpoint; the one argument is `modal`, the fidelity of a multi-fidelity model.

    Raises:
        ModelError: another argument, no such fidelity, or no checkpoint of SevenNet.
    """
    foreign = set(arguments) - {"modal"}
    if foreign:
        raise ModelError(f"SevenNet takes no {', '.join(foreign)}.", hint="It takes modal=NAME.")
    checkpoint, network = _read(weights, dtype)
    known = list(network.modal_map or {})
    modal = arguments.get("modal")
    if modal not in (known or [None]):
        raise ModelError(f"The model has no fidelity {modal!r}.", hint=f"It has: {known}.")
    return SevenNetEngine(network, checkpoint.config, dtype, modal)


def _read(weights: bytes, dtype: str) -> tuple[Any, Any]:
    """The checkpoint and its network, built in the precision that it is to compute in."""
    with (
        redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
        tempfile.NamedTemporaryFile(suffix=".pth") as file,
    ):
        warnings.simplefilter("ignore")
        import sevenn.util

        file.write(weights)
        file.flush()
        try:
            checkpoint = sevenn.util.load_checkpoint(file.name)
            state = checkpoint.model_state_dict
            checkpoint._model_state_dict = {name: _cast(v, dtype) for name, v in state.items()}
            with _precision(dtype):
                network = checkpoint.build_model()
        except (KeyError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            raise ModelError(f"SevenNet cannot read this checkpoint: {error}") from error
    for module in network.modules():
        if type(module).__name__ == "OnehotEmbedding":  # it gives float32 whatever else is set
            module.register_forward_hook(_casting(dtype))
    return checkpoint, network


def _casting(dtype: str) -> Callable[[Any, Any, Any], None]:
    """A hook that puts what an embedding gives into the precision of the rest."""

    def cast_outputs(embedding: Any, _: Any, graph: Any) -> None:
        for key in {embedding.key_output, embedding.key_additional_output} - {None}:
            graph[key] = _cast(graph[key], dtype)

    return cast_outputs


def _cast(tensor: Any, dtype: str) -> Any:
    import torch

    return tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor


@contextmanager
def _precision(dtype: str) -> Iterator[None]:
    """Have torch make this dtype where the package leaves it to torch."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class SevenNetEngine:
    """A SevenNet, its parameters frozen, on the CPU or a GPU."""

    def __init__(self, network: Any, config: Mapping[str, Any], dtype: str, modal: Any) -> None:
        import torch

        self._dtype, self._modal = dtype, modal
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        network.set_is_batch_data(True)
        self._network = network.to(device=self._device, dtype=getattr(torch, dtype)).eval()
        for parameter in self._network.parameters():
            parameter.requires_grad_(False)
        self.numbers = tuple(sorted(int(z) for z in network.type_map))
        self.r_max = float(config["cutoff"])
        self.n_parameters = sum(p.numel() for p in self._network.parameters())
        self.versions = {name: version(name) for name in (PACKAGE, "e3nn", "torch")}

    def label(self, structures: Sequence[Atoms]) -> Labels:
        """All structures in one pass."""
        from torch_geometric.loader import DataLoader

        graphs = [self._graph(atoms) for atoms in structures]
        batch = next(iter(DataLoader(graphs, batch_size=len(graphs)))).to(self._device)
        with _precision(self._dtype):
            output = self._network(batch)
        return Labels(
            energies=_array(output["inferred_total_energy"]).reshape(-1),
            forces=_array(output["inferred_force"]),
            stresses=-_array(output["inferred_stress"]).reshape(-1, 6)[:, VOIGT],
        )

    def _graph(self, atoms: Atoms) -> Any:
        import torch
        from sevenn.atom_graph_data import AtomGraphData
        from sevenn.train.dataload import unlabeled_atoms_to_graph

        found = unlabeled_atoms_to_graph(atoms, self.r_max, with_shift=False)
        graph = AtomGraphData.from_numpy_dict(dict(found))
        for key, value in found.items():  # the package made float32 of these
            if isinstance(value, np.ndarray) and value.dtype == np.float64:
                graph[key] = torch.as_tensor(value, dtype=getattr(torch, self._dtype)).reshape(
                    graph[key].shape
                )
        if self._modal is not None:
            graph["data_modality"] = self._modal
        return graph


def _array(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.detach().cpu().numpy(), dtype=float)
