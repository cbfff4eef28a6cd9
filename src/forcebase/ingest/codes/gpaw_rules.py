"""Rules of a GPAW method, in one form for its text, its restart files and their makers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ase.units import Bohr

from forcebase.ingest.codes.telling import plain, telling
from forcebase.ingest.codes.version_breaks import era

TOLD = (
    *("mode", "xc", "occupations", "basis", "setups", "soc", "h", "gpts", "fixdensity"),
    *("external", "environment", "background_charge"),
)


HYBRIDS = {
    "EXX": (1.0, 0.0),
    "PBE0": (0.25, 0.0),
    "HSE03": (0.25, 0.106),
    "HSE06": (0.25, 0.11),
    "B3LYP": (0.2, 0.0),
    "YS-PBE0": (0.25, 0.165),
}
"""Share of exact exchange and screening, 1/bohr, that GPAW gives them where none are asked for."""
SMEARING = {
    name.lower(): name for name in ("Fermi-Dirac", "Methfessel-Paxton", "Marzari-Vanderbilt")
}
NEUTRAL = ("name", "backend", "type", "kernel")
"""Of a functional: what says no number that it depends on."""


def functional_of(xc: Any) -> tuple[str, dict[str, Any]]:
    """Name of a functional, and the numbers that it depends on.

    Args:
        xc: its name, or its name and numbers by GPAW's names for them.
    """
    found = dict(xc) if isinstance(xc, Mapping) else {"name": xc}
    name = str(found.get("name") or "LDA")
    name = "LDA" if name == "None" else name
    numbers = {k: plain(v) for k, v in found.items() if k not in NEUTRAL and v is not None}
    if name not in HYBRIDS:
        return name, telling("gpaw", numbers)
    share, omega = HYBRIDS[name]
    omega = float(numbers.pop("omega", omega))
    parameters = {"exchange_fraction": float(numbers.pop("fraction", share))}
    if omega:
        parameters["screening_per_A"] = round(omega / Bohr, 6)
    return name, {**parameters, **telling("gpaw", numbers)}


def smearing_of(name: str, width: float, order: int | None = None) -> dict[str, Any]:
    """One name for a smearing, whether GPAW prints it or an input asks for it.

    Args:
        name: as "fermi-dirac"; "" where occupations are fixed.
        width: eV.
        order: of Methfessel and Paxton's.
    """
    kind = SMEARING.get(name.lower(), name or "fixed")
    number = f" {order or 0}" if kind == "Methfessel-Paxton" else ""
    return {"type": f"{kind}{number}", "width_eV": width}


def library_of(setups: Any) -> str:
    """The families of PAW data sets or pseudopotentials that names of setups are of.

    Args:
        setups: one name for all, or element -> name, as ":d,4.0", "paw", "sg15".
    """
    names = setups.values() if isinstance(setups, Mapping) else [setups or "paw"]
    kinds = {str(name).partition(":")[0] or "paw" for name in names} or {"paw"}
    if isinstance(setups, Mapping) and "default" not in setups:
        kinds.add("paw")
    return "+".join(sorted("gpaw-data" if kind == "paw" else kind for kind in kinds))


def gpaw_rules(
    *,
    version: str,
    xc: Any,
    setups: Any,
    basis: dict[str, Any],
    smearing: dict[str, Any],
    spin: str,
    spin_orbit: bool,
    asked: Mapping[str, Any],
    plus_u: bool = False,
) -> dict[str, Any]:
    """Rules of a GPAW method, in one form for its text, its restart files and their makers."""
    functional, parameters = functional_of(xc)
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
        "functional_parameters": parameters,
        "basis": basis,
        "pseudopotentials": {"type": "PAW", "library": library_of(setups)},
        "smearing": smearing,
        "spin": spin,
        "dispersion": "none",
        "dispersion_parameters": {},
        "spin_orbit": spin_orbit,
        "plus_u": {"scheme": "Dudarev"} if plus_u else {},
        "corrections": corrections,
        "settings": {**telling("gpaw", asked, told=TOLD), **era("gpaw", version)},
    }
