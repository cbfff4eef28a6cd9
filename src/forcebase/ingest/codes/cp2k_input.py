"""CP2K's input, as pymatgen reads it: keywords by their paths, kinds of atoms, Hubbard terms."""

from __future__ import annotations

import re
from typing import Any

from ase.units import Hartree


def keyword(asked: Any, path: str) -> Any:
    """The value of the first keyword with this path, in capitals; None where there is none."""
    return next((value for name, value in flattened(asked) if name.upper() == path), None)


def flattened(section: Any, path: str = "") -> list[tuple[str, str]]:
    """Path and value of every keyword of an input; a section's parameter has the section's path."""
    found = []
    for name, keyword in section.keywords.items():
        among = getattr(keyword, "keywords", None)
        for one in among if among is not None else [keyword]:
            words = " ".join(str(value) for value in one.values)
            unit = f"[{one.units}] " if getattr(one, "units", None) else ""
            found.append((f"{path}{name}", unit + words))
    for name, inner in section.subsections.items():
        for one in inner if isinstance(inner, list) else [inner]:
            values = getattr(one, "section_parameters", None) or []
            here = f"{path}{name.split()[0]}"  # pymatgen puts a section's parameter behind its name
            if values:
                found.append((here, " ".join(map(str, values))))
            found += flattened(one, f"{here}/")
    return found


def kinds(asked: Any) -> dict[str, dict[str, str]]:
    """Name of each KIND -> its keywords and those of its DFT_PLUS_U, in capitals."""
    try:
        inner = asked["FORCE_EVAL"]["SUBSYS"].subsections
    except KeyError:
        return {}
    found: dict[str, dict[str, str]] = {}
    for one in inner.values():
        if one.name.upper() != "KIND":
            continue
        name = str((one.section_parameters or [""])[0])
        found[name] = {key.upper(): value for key, value in flattened(one)}
    return found


def element(name: str, kind: dict[str, str]) -> str:
    """Symbol of a kind, by its keywords or its name."""
    symbol = str(kind.get("ELEMENT", name)).split("_")[0]
    return re.sub(r"\d.*", "", symbol).capitalize()


def hubbard_terms(asked: Any) -> dict[str, dict[str, Any]]:
    """Symbol -> u_eV (U less J), j_eV and l of its KIND's DFT_PLUS_U."""
    found: dict[str, dict[str, Any]] = {}
    for name, kind in kinds(asked).items():
        value = next((v for k, v in kind.items() if k.endswith("DFT_PLUS_U/U_MINUS_J")), None)
        if value is None:
            continue
        unit = re.search(r"\[(\w+)\]", value)
        number = float(re.sub(r"\[\w+\]", "", value).split()[0])
        scale = (
            {"ev": 1.0, "ry": Hartree / 2}.get(unit.group(1).lower(), Hartree) if unit else Hartree
        )
        shell = next((v for k, v in kind.items() if k.endswith("DFT_PLUS_U/L")), "2")
        if number:
            found[element(name, kind)] = {
                "u_eV": round(number * scale, 6),
                "j_eV": 0.0,
                "l": int(float(shell.split()[0])),
            }
    return found
