"""How the force constants of a phonopy file were made, as far as it and its description tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from forcebase.errors import InputError
from forcebase.physics.force_fit import ForceFit

STATISTICS = ("classical", "quantum")


def protocol_of(contents: Any, fit: ForceFit | None, said: Mapping[str, Any]) -> dict[str, Any]:
    """The protocol of a phonon record.

    Args:
        contents: of the phonopy file, completed with its forces.
        fit: of the force constants to these, where there are any.
        said: the protocol of the description; it comes first.

    Raises:
        InputError: statistics that are neither classical nor quantum, or no temperature.
    """
    protocol = dict(said) or {"code": "phonopy", **_amplitude(contents)}
    if fit is not None and fit.is_random:
        protocol = {
            "displacements": "random",
            "amplitude_A": round(fit.amplitude, 4),
            **_thermal(contents),
            **protocol,
        }
    _check(protocol)
    return protocol | ({"fit": fit.as_dict()} if fit is not None else {})


def _amplitude(contents: Any) -> dict[str, Any]:
    shifts = [d["displacement"] for d in (contents.dataset or {}).get("first_atoms", ())]
    lengths = {round(float(np.linalg.norm(shift)), 6) for shift in shifts}
    return {"displacement_A": lengths.pop()} if len(lengths) == 1 else {}


def _thermal(contents: Any) -> dict[str, Any]:
    """What phonopy's own configuration says of displacements that it drew at a temperature."""
    asked = {str(key).lower(): value for key, value in (contents.configuration or {}).items()}
    temperature = asked.get("random_displacement_temperature")
    if temperature is None:
        return {}
    return {
        "temperature_K": float(temperature),
        "statistics": "quantum",
        "source": "phonopy's random displacements",
    }


def _check(protocol: Mapping[str, Any]) -> None:
    statistics, temperature = protocol.get("statistics"), protocol.get("temperature_K")
    if statistics is not None and statistics not in STATISTICS:
        raise InputError(
            f"The protocol's statistics are {statistics!r}.",
            hint=f"They are {' or '.join(STATISTICS)}.",
        )
    if temperature is None:
        return
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)):
        raise InputError(f"The protocol's temperature_K is {temperature!r}: no number.")
    if not 0 <= temperature < float("inf"):
        raise InputError(f"The protocol's temperature_K is {temperature}: no temperature.")
