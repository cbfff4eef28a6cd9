"""Rules of a method of pw.x, in one form for its text and its XML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forcebase.ingest.codes.version_breaks import era

CORRECTIONS: dict[str, tuple[Any, ...]] = {
    "tefield": (False,),
    "dipfield": (False,),
    "eamp": (0.0,),
    "edir": (),
    "emaxpos": (),
    "eopreg": (),
    "lelfield": (False,),
    "efield_cart": (),
    "gate": (False,),
    "zgate": (),
    "assume_isolated": ("none",),
    "esm_bc": ("pbc",),
    "esm_w": (0.0,),
    "esm_efield": (0.0,),
    "lfcp": (False,),
}
"""Fields and the like, with pw.x's own values."""
EXCHANGE = ("ecutfock", "exxdiv_treatment", "x_gamma_extrapolation", "ecutvcut", "nqx1", "nqx2",
            "nqx3")  # fmt: skip
DISPERSION_SETTINGS = (
    *("london_s6", "london_rcut", "london_c6", "london_rvdw", "dftd3_version", "dftd3_threebody"),
    *("ts_vdw_econv_thr", "ts_vdw_isolated", "xdm_a1", "xdm_a2"),
)


def pw_rules(
    *,
    version: str,
    functional: str,
    cutoff: float,
    density_cutoff: float,
    smearing: dict[str, Any],
    spin: str,
    dispersion: str,
    spin_orbit: bool,
    plus_u: Mapping[str, Any],
    asked: Mapping[str, Any],
) -> dict[str, Any]:
    """Rules of a method of pw.x, in one form for its text and its XML.

    Args:
        plus_u: scheme of the Hubbard terms; empty where there are none.
        asked: settings of the input that are not the default, by the names of the input.
    """
    names = {name.lower(): value for name, value in asked.items()}
    exchange = {
        new: float(names.pop(old))
        for old, new in (
            ("exx_fraction", "exchange_fraction"),
            ("screening_parameter", "screening"),
        )
        if isinstance(names.get(old), float)
    }
    exchange |= {k: names.pop(k) for k in list(names) if k in EXCHANGE}
    dispersion_parameters = {k: names.pop(k) for k in list(names) if k in DISPERSION_SETTINGS}
    corrections = {
        k: value
        for k in list(names)
        if k in CORRECTIONS and (value := names.pop(k)) not in CORRECTIONS[k]
    }
    return {
        "code": "quantum espresso",
        "functional": functional,
        "functional_parameters": exchange,
        "basis": {
            "type": "plane waves",
            "cutoff_eV": round(cutoff, 6),
            "density_cutoff_eV": round(density_cutoff, 6),
        },
        "pseudopotentials": {"type": "UPF"},
        "smearing": smearing,
        "spin": spin,
        "dispersion": dispersion,
        "dispersion_parameters": dispersion_parameters,
        "spin_orbit": spin_orbit,
        "plus_u": dict(plus_u),
        "corrections": corrections,
        "settings": {**names, **era("quantum espresso", version)},
    }
