"""Rules of a GPAW method, in one form for its text, its restart files and their makers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forcebase.ingest.codes.telling import plain, telling
from forcebase.ingest.codes.version_breaks import era

TOLD = (
    *("mode", "xc", "occupations", "basis", "setups", "soc", "h", "gpts", "fixdensity"),
    *("external", "environment", "background_charge"),
)


def gpaw_rules(
    *,
    version: str,
    functional: str,
    basis: dict[str, Any],
    smearing: dict[str, Any],
    spin: str,
    spin_orbit: bool,
    asked: Mapping[str, Any],
    plus_u: bool = False,
) -> dict[str, Any]:
    """Rules of a GPAW method, in one form for its text, its restart files and their makers."""
    among = {
        k: v for k, v in asked.items() if k in ("external", "environment", "background_charge")
    }
    poisson = str(asked.get("poissonsolver") or "")
    corrections = telling("gpaw", among)
    if "dipolelayer" in poisson:
        corrections["dipole_layer"] = plain(poisson)
    return {
        "code": "gpaw",
        "functional": functional,
        "functional_parameters": {},
        "basis": basis,
        "pseudopotentials": {"type": "PAW", "library": "gpaw-data"},
        "smearing": smearing,
        "spin": spin,
        "dispersion": "none",
        "dispersion_parameters": {},
        "spin_orbit": spin_orbit,
        "plus_u": {"scheme": "Dudarev"} if plus_u else {},
        "corrections": corrections,
        "settings": {**telling("gpaw", asked, told=TOLD), **era("gpaw", version)},
    }
