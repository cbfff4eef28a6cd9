"""From a MACE network to its neutral form and back: the same numbers, the same answers."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from forcebase.errors import ModelError
from forcebase.models.architecture import ARGUMENTS, CLASSES, GATES
from forcebase.models.mace_files import what_it_is
from forcebase.models.mace_package import import_mace
from forcebase.models.neutral_form import FORMAT, NeutralForm, read_neutral, refused

OTHER_WAY = (
    "Add it as a calculator: `forcebase model add ase mace.calculators:MACECalculator "
    "--weights model_paths=FILE`."
)
WHICH_FILE = "Give the NAME.model that MACE's training writes: no checkpoint, nothing compiled."


def describe_network(network: Any) -> NeutralForm:
    """Take a MACE apart.

    Args:
        network: as MACE saves it, on the CPU.

    Raises:
        ModelError: it is not a MACE, or of a kind that has no neutral form; the message says why.
    """
    import_mace()
    import torch
    from mace.tools.scripts_utils import extract_config_mace_model

    name = type(network).__name__
    of_mace = type(network).__module__.startswith("mace.")
    if name not in CLASSES or not of_mace:
        told = what_it_is(network)
        hint = OTHER_WAY if of_mace and not told else WHICH_FILE
        raise ModelError(told or f"It holds {_article(name)}, no MACE of energies.", hint=hint)
    config: dict[str, Any] = extract_config_mace_model(
        network if name == "ScaleShiftMACE" else _WithScale(network)
    )
    if config["cueq_config"] is not None or getattr(network, "lammps_mliap", False):
        raise ModelError(
            "It is a MACE made for cuEquivariance or LAMMPS.",
            hint="Give the file that it was made from, or convert it back to e3nn.",
        )
    tensors = {
        key: tensor.detach().cpu().numpy().copy() for key, tensor in network.state_dict().items()
    }
    energies = np.asarray(config["atomic_energies"], dtype=float).reshape(
        -1, config["num_elements"]
    )
    elements = [chemical_symbols[int(z)] for z in config["atomic_numbers"]]
    heads = [str(head) for head in config["heads"]]
    rows = np.broadcast_to(energies, (len(heads), len(elements)))
    architecture = {
        "format": FORMAT,
        "class": name,
        "dtype": str(network.r_max.dtype).removeprefix("torch."),
        "elements": elements,
        "cutoff": float(config["r_max"]),
        "heads": heads,
        "e0s": {
            head: dict(zip(elements, map(float, row), strict=True))
            for head, row in zip(heads, rows, strict=True)
        },
        "arguments": _plain(config, network, torch),
    }
    return NeutralForm(architecture, tensors)


def build_network(form: NeutralForm) -> Any:
    """Put a MACE together, in its own precision, on the CPU; no random number is used up.

    Raises:
        ModelError: the installed MACE makes no such network, or one of other tensors.
    """
    import_mace()
    import torch
    from e3nn import o3
    from mace import modules

    told = form.architecture
    arguments = dict(told["arguments"])
    for key in ("interaction_cls", "interaction_cls_first"):
        arguments[key] = modules.interaction_classes[arguments[key]]
    arguments["readout_cls"] = modules.readout_classes[arguments["readout_cls"]]
    arguments["gate"] = modules.gate_dict[str(arguments["gate"])]
    for key in ("hidden_irreps", "edge_irreps", "MLP_irreps"):
        arguments[key] = o3.Irreps(arguments[key]) if arguments[key] is not None else None
    if told["class"] == "ScaleShiftMACE":
        arguments["atomic_inter_scale"] = _given(form, "scale_shift.scale")
        arguments["atomic_inter_shift"] = _given(form, "scale_shift.shift")
    make = {"ScaleShiftMACE": modules.ScaleShiftMACE, "MACE": modules.MACE}[told["class"]]
    with (
        _default_dtype(torch, getattr(torch, form.dtype)),
        torch.random.fork_rng(devices=[]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of TorchScript's types
        try:
            network = make(
                r_max=form.cutoff,
                heads=form.heads,
                num_elements=len(form.elements),
                atomic_numbers=[atomic_numbers[symbol] for symbol in form.elements],
                atomic_energies=_given(form, "atomic_energies_fn.atomic_energies"),
                **arguments,
            )
        except Exception as error:  # whatever MACE says of arguments that fit each other badly
            raise refused(f"MACE cannot be made so: {type(error).__name__} {error}") from error
    _fill(network, form)
    return network.eval()


def pickled(neutral: bytes) -> bytes:
    """Give the file that MACE would write of this model, for programs that read no other.

    Raises:
        ModelError: the neutral form cannot be one.
    """
    network = build_network(read_neutral(neutral))
    import torch

    buffer = io.BytesIO()
    torch.save(network, buffer)
    return buffer.getvalue()


def _fill(network: Any, form: NeutralForm) -> None:
    """Set all tensors: no name, shape or type may differ from the network's own."""
    import torch

    own = network.state_dict()
    if unlike := sorted(own.keys() ^ form.tensors.keys()):
        where = "lacks" if unlike[0] in own else "has"
        raise refused(f"it {where} the tensor {unlike[0]}, unlike the installed MACE's network")
    for name, array in form.tensors.items():
        kind = str(own[name].dtype).removeprefix("torch.")
        if tuple(own[name].shape) != array.shape or kind != array.dtype.name:
            raise refused(
                f"tensor {name} is {array.dtype.name} {array.shape}, where the installed MACE's "
                f"network has {kind} {tuple(own[name].shape)}"
            )
    network.load_state_dict({name: torch.tensor(a) for name, a in form.tensors.items()})


def _given(form: NeutralForm, name: str) -> Any:
    if name not in form.tensors:
        raise refused(f"it has no tensor {name}")
    return form.tensors[name]


def _plain(told: dict[str, Any], network: Any, torch: Any) -> dict[str, Any]:
    """The constructor's arguments as JSON."""
    from mace.modules import gate_dict

    found: dict[str, Any] = {}
    for key in ARGUMENTS:
        value = told.get(key)
        if isinstance(value, type):
            value = value.__name__
        elif key.endswith("irreps") and value is not None:
            value = str(value).replace(" ", "")
        elif isinstance(value, torch.Tensor | np.generic):
            value = value.item()
        found[key] = value
    gates = [name for name in GATES if gate_dict[str(name)] is told["gate"]]
    found["gate"] = gates[0] if gates else repr(told["gate"])
    found["avg_num_neighbors"] = float(found["avg_num_neighbors"])
    found["radial_MLP"] = [int(width) for width in told["radial_MLP"]]
    found["keep_last_layer_irreps"] = _keeps_irreps(network)
    return found


def _keeps_irreps(network: Any) -> bool:
    """Whether the last of several layers has more than scalars."""
    last = network.products[-1].linear.irreps_out
    return len(network.products) > 1 and last.lmax > 0


class _WithScale:
    """A MACE that has no scale and shift, as MACE's reader of networks wants to see it."""

    def __init__(self, network: Any) -> None:
        import torch

        self._network = network
        self.scale_shift = type("Unscaled", (), {"scale": torch.ones(()), "shift": torch.zeros(())})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


_WithScale.__name__ = "ScaleShiftMACE"


@contextmanager
def _default_dtype(torch: Any, dtype: Any) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _article(name: str) -> str:
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"
