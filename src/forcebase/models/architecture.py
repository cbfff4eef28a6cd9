"""What the description of a MACE may say: a list of keys, names and limits."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from ase.data import atomic_numbers

Check = Callable[[Any], bool]

CLASSES = ("ScaleShiftMACE", "MACE")
INTERACTIONS = (
    "RealAgnosticResidualInteractionBlock",
    "RealAgnosticAttResidualInteractionBlock",
    "RealAgnosticInteractionBlock",
    "RealAgnosticDensityInteractionBlock",
    "RealAgnosticDensityResidualInteractionBlock",
    "RealAgnosticResidualNonLinearInteractionBlock",
)
READOUTS = (
    "LinearReadoutBlock",
    "NonLinearReadoutBlock",
    "NonLinearBiasReadoutBlock",
    "GeneralNonLinearBiasReadoutBlock",
)
"""Those of an energy; the others give dipoles."""
GATES = ("abs", "tanh", "silu", None)
IRREPS = re.compile(r"\d{1,4}x\d[eo](\+\d{1,4}x\d[eo]){0,15}")
MAX_CHANNELS = 1024
MAX_DEGREE = 6
MAX_COUPLINGS = 10_000
"""(max_ell + 1)^(2 correlation): what MACE computes before it looks at any tensor takes seconds up
to here. Models have 4,096 (max_ell 3, correlation 3); with 65,536 it takes 10 GB and minutes."""


def _whole(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def _number(low: float, high: float) -> Check:
    return lambda value: (
        type(value) in (int, float) and math.isfinite(value) and low <= value <= high
    )


def _one_of(*names: Any) -> Check:
    return lambda value: (value is None or isinstance(value, str)) and value in names


def _flag(value: Any) -> bool:
    return type(value) is bool


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 100 and value.isprintable()


def _irreps(value: Any) -> bool:
    """As "32x0e+32x1o"."""
    if not isinstance(value, str) or not IRREPS.fullmatch(value):
        return False
    parts = [part.split("x") for part in value.split("+")]
    return all(int(n) <= MAX_CHANNELS and int(ir[:-1]) <= MAX_DEGREE for n, ir in parts)


def _widths(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 8 and all(map(_whole(1, 512), value))


def _symbols(value: Any) -> bool:
    known = isinstance(value, list) and all(isinstance(s, str) for s in value)
    return known and 0 < len(value) == len(set(value)) and all(atomic_numbers.get(s) for s in value)


def _heads(value: Any) -> bool:
    texts = isinstance(value, list) and all(map(_text, value))
    return texts and 0 < len(value) == len(set(value)) <= 32


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


EMBEDDING: dict[str, Check] = {
    "type": _one_of("categorical", "continuous"),
    "per": _one_of("graph", "node"),
    "emb_dim": _whole(1, MAX_CHANNELS),
    "num_classes": _whole(1, 2000),
    "in_dim": _whole(1, MAX_CHANNELS),
    "offset": _whole(-10_000, 10_000),
    "use_bias": _flag,
}
"""Of an embedding of total charge, spin or the like."""


def _embeddings(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and 0 < len(value) <= 8
        and all(
            re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name)
            and isinstance(entry, dict)
            and {"type", "per", "emb_dim"} <= entry.keys() <= EMBEDDING.keys()
            and all(EMBEDDING[key](setting) for key, setting in entry.items())
            for name, entry in value.items()
        )
    )


ARGUMENTS: dict[str, Check] = {
    "num_bessel": _whole(1, 256),
    "num_polynomial_cutoff": _whole(1, 100),
    "max_ell": _whole(0, MAX_DEGREE),
    "interaction_cls": _one_of(*INTERACTIONS),
    "interaction_cls_first": _one_of(*INTERACTIONS),
    "num_interactions": _whole(1, 10),
    "hidden_irreps": lambda value: _irreps(value) and re.match(r"\d+x0e", value) is not None,
    "edge_irreps": _or_none(_irreps),
    "MLP_irreps": _irreps,
    "avg_num_neighbors": _number(1e-6, 1e6),
    "correlation": _whole(1, 6),
    "gate": _one_of(*GATES),
    "pair_repulsion": _flag,
    "apply_cutoff": _flag,
    "use_reduced_cg": _flag,
    "use_so3": _flag,
    "use_agnostic_product": _flag,
    "use_last_readout_only": _flag,
    "use_embedding_readout": _flag,
    "use_edge_irreps_first": _flag,
    "keep_last_layer_irreps": _flag,
    "distance_transform": _one_of("Agnesi", "Soft", None),
    "radial_MLP": _widths,
    "radial_type": _one_of("bessel"),
    "embedding_specs": _or_none(_embeddings),
    "readout_cls": _one_of(*READOUTS),
}
"""Of MACE's constructor, besides those that stand at the top."""
TOP: dict[str, Check] = {
    "format": _text,
    "class": _one_of(*CLASSES),
    "dtype": _one_of("float64", "float32"),
    "elements": _symbols,
    "cutoff": _number(0.1, 100.0),
    "heads": _heads,
    "e0s": lambda value: isinstance(value, dict),
    "arguments": lambda value: isinstance(value, dict),
}


def check_architecture(told: Mapping[str, Any]) -> str:
    """What is wrong with a description; "" where nothing is."""
    reason = _objection("", TOP, told) or _objection("arguments.", ARGUMENTS, told["arguments"])
    return reason or _couplings(told["arguments"]) or _energies(told)


def _couplings(arguments: Mapping[str, Any]) -> str:
    max_ell, correlation = arguments["max_ell"], arguments["correlation"]
    found = (max_ell + 1) ** (2 * correlation)
    if found <= MAX_COUPLINGS:
        return ""
    return (
        f"max_ell {max_ell} with correlation {correlation} makes {found:,} couplings; "
        f"the limit is {MAX_COUPLINGS:,}"
    )


def _objection(where: str, checks: Mapping[str, Check], told: Mapping[str, Any]) -> str:
    if unknown := sorted(set(told) - set(checks)):
        return f"it has a key {where}{unknown[0][:80]} that this forcebase does not know"
    if missing := sorted(set(checks) - set(told)):
        return f"it has no {where}{missing[0]}"
    for key, check in checks.items():
        if not check(told[key]):
            return f"{where}{key} cannot be {str(told[key])[:80]!r}"
    return ""


def _energies(told: Mapping[str, Any]) -> str:
    energy = _number(-1e9, 1e9)
    e0s = told["e0s"]
    if set(e0s) != set(told["heads"]):
        return "its E0s are of other heads than it has"
    for head, found in e0s.items():
        if not isinstance(found, dict) or set(found) != set(told["elements"]):
            return f"its E0s of head {head} are of other elements than it knows"
        if not all(map(energy, found.values())):
            return f"an E0 of head {head} is not an energy"
    return ""
