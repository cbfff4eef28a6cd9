"""Rules of a method of pw.x, in one form for its text and its XML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ase.units import Rydberg

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
SAME_CUTOFF = 1e-4
"""eV."""
EXCHANGE = ("exxdiv_treatment", "x_gamma_extrapolation", "ecutvcut", "nqx1", "nqx2",
            "nqx3")  # fmt: skip
DISPERSION_SETTINGS = (
    *("london_s6", "london_rcut", "london_c6", "london_rvdw", "dftd3_version", "dftd3_threebody"),
    *("ts_vdw_econv_thr", "ts_vdw_isolated", "xdm_a1", "xdm_a2"),
)


FUNCTIONALS = {
    "SLA PZ NOGX NOGC": "PZ",
    "SLA PW NOGX NOGC": "PW",
    "SLA PW PBX PBC": "PBE",
    "SLA PW PSX PSC": "PBESOL",
    "SLA PW GGX GGC": "PW91",
    "PB0X PW PB0X PBC": "PBE0",
}
"""pw.x names a functional by its parts in some versions and outputs, by its name in others."""
SMEARING = {
    "gaussian": "Gaussian",
    "gauss": "Gaussian",
    **dict.fromkeys(("methfessel-paxton", "m-p", "mp"), "Methfessel-Paxton"),
    **dict.fromkeys(("marzari-vanderbilt", "cold", "m-v", "mv"), "Marzari-Vanderbilt"),
    **dict.fromkeys(("fermi-dirac", "f-d", "fd"), "Fermi-Dirac"),
}
DISPERSION = {
    **dict.fromkeys(("grimme-d2", "dft-d2", "dft-d", "d2"), "D2"),
    **dict.fromkeys(("grimme-d3", "dft-d3", "d3"), "D3"),
    **dict.fromkeys(("ts", "ts-vdw", "tkatchenko-scheffler"), "TS"),
    **dict.fromkeys(("mbd", "mbd_vdw", "many-body dispersion"), "MBD"),
    "xdm": "XDM",
    "": "none",
}
"""By what input, text and XML say, in lower case."""


def functional_of(text: str) -> str:
    """One name for a functional, however an output spells it, as "SLA PW PBX PBC ( 1 4 3 4 0)"."""
    name = " ".join(re.sub(r"\(.*", "", text).replace("+", " ").upper().split())
    return FUNCTIONALS.get(name, name)


def smearing_of(text: str) -> str:
    """One name for a smearing; that of an input for the other occupations."""
    return SMEARING.get(text.strip().lower(), text.strip())


def dispersion_of(text: str) -> str:
    """One name for a dispersion correction."""
    name = text.strip().strip("'\"").lower()
    return DISPERSION.get(name, name)


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
    fock = names.pop("ecutfock", None)
    if isinstance(fock, float) and abs(fock * Rydberg - density_cutoff) > SAME_CUTOFF:
        exchange["fock_cutoff_eV"] = round(fock * Rydberg, 6)
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
