"""MACE without a pickle: the same answers to the last bit, the same bytes, nothing hostile."""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from forcebase.errors import ModelError
from forcebase.models.architecture import MAX_COUPLINGS, check_architecture
from forcebase.models.golden_probe import probe_of_all
from forcebase.models.mace_calculator import freeze, load_mace
from forcebase.models.network_form import build_network, describe_network, pickled
from forcebase.models.neutral_form import METADATA, NeutralForm, is_neutral, read_neutral

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "without scale and shift": {"unscaled": True},
    "one layer of scalars": {"num_interactions": 1, "hidden_irreps": "4x0e"},
    "three layers, cubic": {"num_interactions": 3, "correlation": 3},
    "ZBL, distances transformed": {"pair_repulsion": True, "distance_transform": "Agnesi"},
    "two heads": {
        "heads": ["pbe", "r2scan"],
        "atomic_energies": np.array([[-3.0, -5.0], [-3.5, -6.25]]),
        "atomic_inter_scale": [1.3, 0.7],
        "atomic_inter_shift": [0.1, -0.2],
    },
    "density, charges": {
        "interaction_cls": "RealAgnosticDensityResidualInteractionBlock",
        "interaction_cls_first": "RealAgnosticDensityInteractionBlock",
        "embedding_specs": {
            "total_charge": {
                "type": "categorical",
                "per": "graph",
                "num_classes": 21,
                "offset": 10,
                "emb_dim": 3,
            }
        },
        "use_embedding_readout": True,
    },
}


def answers(network: Any, dtype: str, head: str | None) -> list[np.ndarray]:
    model = freeze(network, "0" * 64, dtype, head, "cpu")
    labels = model.label(probe_of_all(model.numbers, model.r_max))
    return [labels.energies, labels.forces, labels.stresses]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *((kind, "float64") for kind in KINDS),
        *((kind, "float32") for kind in ("plain", "ZBL, distances transformed", "two heads")),
    ],
)
def test_the_rebuilt_model_answers_with_the_same_bits(random_network, kind, dtype) -> None:
    import mace.modules as modules

    changes = {
        key: modules.interaction_classes[value] if key.startswith("interaction") else value
        for key, value in KINDS[kind].items()
    }
    given = random_network(dtype, **changes)
    data = describe_network(given).to_bytes()
    form = read_neutral(data)
    assert form.dtype == dtype
    before = torch.random.get_rng_state()
    built = build_network(form)
    assert torch.equal(torch.random.get_rng_state(), before), "no random number is used up"
    assert describe_network(built).to_bytes() == data
    own = given.state_dict()
    assert own.keys() == built.state_dict().keys()
    assert all(torch.equal(own[name], tensor) for name, tensor in built.state_dict().items())
    for precision in (dtype, "float32" if dtype == "float64" else "float64"):
        for head in form.heads:
            found, expected = answers(built, precision, head), answers(given, precision, head)
            assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
            assert np.abs(expected[1]).max() > 1e-3


def test_heads_answer_differently(random_network) -> None:
    built = build_network(describe_network(random_network("float64", **KINDS["two heads"])))
    first, second = (answers(built, "float64", head)[0] for head in ("pbe", "r2scan"))
    assert abs(first - second) > 1e-3


def test_it_says_what_people_ask_for(random_network) -> None:
    form = describe_network(random_network("float32", **KINDS["two heads"]))
    assert form.elements == ["Se", "W"]
    assert form.heads == ["pbe", "r2scan"]
    assert form.e0s("pbe") == {"Se": -3.0, "W": -5.0}
    assert form.e0s() == {"Se": -3.5, "W": -6.25}
    assert form.settings == {
        "num_channels": 4,
        "max_L": 1,
        "max_ell": 2,
        "correlation": 2,
        "num_interactions": 2,
        "r_max": 4.0,
    }


def test_a_file_for_mace_is_made_from_it(random_network, tmp_path) -> None:
    from mace.calculators import MACECalculator

    data = describe_network(random_network("float64")).to_bytes()
    path = tmp_path / "again.model"
    path.write_bytes(pickled(data))
    (atoms,) = probe_of_all([34, 74], 4.0).atoms()
    atoms.calc = MACECalculator(model_paths=str(path), device="cpu", default_dtype="float64")
    expected = load_mace(data, "0" * 64).label(probe_of_all([34, 74], 4.0))
    assert atoms.get_potential_energy() == pytest.approx(expected.energies[0], abs=1e-9)
    assert atoms.get_forces() == pytest.approx(expected.forces, abs=1e-9)


@pytest.fixture(scope="module")
def form(random_network) -> NeutralForm:
    return describe_network(random_network("float64"))


def changed(form: NeutralForm, change: Callable[[dict, dict], Any]) -> bytes:
    architecture = json.loads(json.dumps(form.architecture))
    tensors = dict(form.tensors)
    change(architecture, tensors)
    return NeutralForm(architecture, tensors).to_bytes()


def setting(key: str, value: Any) -> Callable[[dict, dict], Any]:
    return lambda architecture, tensors: architecture["arguments"].update({key: value})


E0S = "atomic_energies_fn.atomic_energies"
SPOILT: dict[str, tuple[Callable[[dict, dict], Any], str]] = {
    "a class that is none": (lambda a, t: a.update({"class": "os.system"}), "class cannot be"),
    "a dipole's class": (lambda a, t: a.update({"class": "AtomicDipolesMACE"}), "class cannot be"),
    "an interaction": (setting("interaction_cls", "eval"), "interaction_cls cannot be"),
    "a gate": (setting("gate", "__import__"), "gate cannot be"),
    "a readout": (setting("readout_cls", ["NonLinearReadoutBlock"]), "readout_cls cannot be"),
    "irreps that are code": (setting("hidden_irreps", "__import__('os')"), "hidden_irreps"),
    "a million channels": (setting("hidden_irreps", "1000000x0e"), "hidden_irreps cannot be"),
    "1000 channels": (setting("hidden_irreps", "1000x0e+1000x1o"), "node_embedding"),
    "a large sphere": (setting("max_ell", 5), "not as large as its architecture says"),
    "a high order": (setting("correlation", 6), "couplings"),
    "many layers": (setting("num_interactions", 10), "not as large as its architecture says"),
    "a wide radial network": (setting("radial_MLP", [100000]), "radial_MLP cannot be"),
    "another radial network": (setting("radial_MLP", [8, 16]), "conv_tp_weights"),
    "a bool for a number": (setting("max_ell", True), "max_ell cannot be"),
    "NaN in the architecture": (setting("avg_num_neighbors", float("nan")), "NaN is not a number"),
    "NaN in a tensor": (lambda a, t: t.update({E0S: np.full((1, 2), np.nan)}), "not finite"),
    "infinity in a tensor": (
        lambda a, t: t.update({"scale_shift.scale": np.array(np.inf)}),
        "scale_shift.scale holds a number that is not finite",
    ),
    "other E0s": (lambda a, t: a["e0s"]["Default"].update({"W": -5.1}), "E0s are not those"),
    "E0s of nothing": (lambda a, t: a.update({"e0s": {}}), "other heads"),
    "another cutoff": (lambda a, t: a.update({"cutoff": 9.0}), "tensor r_max"),
    "an element twice": (lambda a, t: a.update({"elements": ["W", "W"]}), "elements cannot be"),
    "no element": (lambda a, t: a.update({"elements": ["Xx", "W"]}), "elements cannot be"),
    "a key too many": (lambda a, t: a.update({"hook": "os:system"}), "key hook that"),
    "an argument too many": (setting("cueq_config", {}), "key arguments.cueq_config that"),
    "a key too few": (lambda a, t: a.pop("heads"), "it has no heads"),
    "an argument too few": (lambda a, t: a["arguments"].pop("gate"), "it has no arguments.gate"),
    "another format": (lambda a, t: a.update({"format": "forcebase MACE 2"}), "its format is"),
    "a tensor too many": (lambda a, t: t.update({"hook": np.zeros(3)}), "it has the tensor hook"),
    "a tensor too few": (lambda a, t: t.pop("scale_shift.scale"), "no tensor scale_shift.scale"),
    "a tensor of another type": (
        lambda a, t: t.update({"scale_shift.scale": np.array(1.3, dtype="float32")}),
        "tensor scale_shift.scale is float32",
    ),
    "a tensor of another shape": (
        lambda a, t: t.update({"readouts.0.linear.weight": np.zeros(5)}),
        "tensor readouts.0.linear.weight is float64",
    ),
    "complex numbers": (
        lambda a, t: t.update({"hook": np.zeros(3, dtype="uint8")}),
        "tensor 'hook' has type U8",
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_no_mace_can_be_is_refused_by_a_line(form, case) -> None:
    change, words = SPOILT[case]
    try:
        data = changed(form, change)
    except ValueError:  # JSON that this project would not write
        text = json.dumps({**form.architecture, "arguments": {"a": float("nan")}})
        data = with_header(form.to_bytes(), lambda h: h.update({"__metadata__": {METADATA: text}}))
    with pytest.raises(ModelError) as caught:
        build_network(read_neutral(data))
    assert words in caught.value.message
    assert caught.value.hint


def with_header(data: bytes, change: Callable[[dict], Any]) -> bytes:
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def entry(**changes: Any) -> Callable[[dict], Any]:
    return lambda header: header[E0S].update(changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (entry(shape=[10**18, 10**18]), "no possible shape"),
        (entry(shape=[-1, 2]), "no possible shape"),
        (entry(shape=[1.5, 2]), "no possible shape"),
        (entry(shape=[500, 500]), "bytes of tensors"),
        (entry(shape=[1] * 40), "no possible shape"),
        (entry(dtype="OBJECT"), "has type OBJECT"),
        (entry(data_offsets=[0, 10**12]), "cut off or damaged"),
        (lambda h: h.update({E0S: []}), "has type None"),
        (lambda h: h.update({f"t{i}": h[E0S] for i in range(6000)}), "tensors, more than"),
        (lambda h: h.pop("__metadata__"), "metadata is not forcebase"),
        (lambda h: h["__metadata__"].update(more="x"), "metadata is not forcebase"),
        (lambda h: h["__metadata__"].update({METADATA: "[" * 100_000}), "cannot be read"),
        (lambda h: h["__metadata__"].update({METADATA: "[]"}), "is not JSON object"),
        (lambda h: h["__metadata__"].update({METADATA: '{"a":1,"a":2}'}), "twice"),
    ],
)
def test_a_header_that_lies_is_refused_by_a_line(form, change, words) -> None:
    with pytest.raises(ModelError) as caught:
        read_neutral(with_header(form.to_bytes(), change))
    assert words in caught.value.message


def test_what_is_cut_off_or_bent_is_refused_or_the_same(form) -> None:
    whole = form.to_bytes()
    for end in (0, 7, 8, 9, 500, len(whole) // 2, len(whole) - 1):
        with pytest.raises(ModelError):
            read_neutral(whole[:end])
    with pytest.raises(ModelError):
        read_neutral(whole + b"\0")
    rng = np.random.default_rng(0)
    header = struct.unpack("<Q", whole[:8])[0]
    for place in rng.integers(0, header + 8, size=150):
        bent = bytearray(whole)
        bent[place] = rng.integers(0, 256)
        with contextlib.suppress(ModelError):
            read_neutral(bytes(bent))


def test_only_a_neutral_form_calls_itself_one(form) -> None:
    assert is_neutral(form.to_bytes())
    assert not any(map(is_neutral, (b"", b"\x80\x02", b"PK\x03\x04" * 9, b"\xff" * 100)))


@pytest.mark.parametrize(("max_ell", "correlation"), [(3, 4), (6, 3), (1, 6), (2, 5)])
def test_couplings_that_would_fill_the_memory(form, max_ell, correlation) -> None:
    """Some kilobytes would be enough to claim them: MACE computes them before it sees a tensor."""
    arguments = {**form.architecture["arguments"], "max_ell": max_ell, "correlation": correlation}
    told = {**form.architecture, "arguments": arguments}
    found = (max_ell + 1) ** (2 * correlation)
    assert ("couplings" in check_architecture(told)) == (found > MAX_COUPLINGS)
    if found > MAX_COUPLINGS:
        with pytest.raises(ModelError, match="couplings"):
            read_neutral(NeutralForm(told, form.tensors).to_bytes())
