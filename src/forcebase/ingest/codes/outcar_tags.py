"""Tags of VASP as an OUTCAR tells them: those in force, and those of the INCAR."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forcebase.errors import InputError
from forcebase.ingest.codes.telling import plain
from forcebase.ingest.codes.text import first, required
from forcebase.ingest.codes.vasp_settings import CORRECTIONS, DEFAULTS, HYBRID

TAGS = (
    *("ISPIN", "ISMEAR", "SIGMA", "ICHARG", "IALGO", "NELECT", "NUPDOWN", "IVDW", "LUSE_VDW"),
    *("LNONCOLLINEAR", "LSORBIT", "LEXCH", "GGA", "AGGAC", "ZAB_VDW", "IBRION", "LHFCALC"),
    *(name.upper() for name in DEFAULTS),
    *CORRECTIONS,
)
SAME_RUN = ("ENCUT", "ISPIN", "ISMEAR", "SIGMA", "ENAUG")
"""Of an INCAR: where it says another value than the OUTCAR, it is another run's."""
ROPT = {"l": 0.01, "m": 0.002, "n": 0.0005, "a": 0.00025, "h": 0.0004}
"""VASP's own, without sign, by the first letter of PREC, of projectors optimised in the new way."""
ROUNDED = 0.06
"""eV; an OUTCAR has one decimal of ENAUG."""
PLUS_U = {
    "LDAUTYPE": r"LDA\+U is selected, type is set to LDAUTYPE *= *(\d+)",
    "LDAUL": r"for each species LDAUL *=((?:\s+-?\d+(?![\d.]))+)",
    "LDAUU": r"for each species LDAUU *=((?:\s+-?\d+\.\d*)+)",
    "LDAUJ": r"for each species LDAUJ *=((?:\s+-?\d+\.\d*)+)",
}
"""How they are printed, U and J with one decimal: an INCAR tells them better."""


def outcar_tags(path: Path, text: str) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """Tags in force, those of the INCAR, and whether the INCAR is known.

    VASP 6 repeats its INCAR; of earlier ones it is read where it lies beside the OUTCAR. Without
    it, what is printed tells all but a few rare settings.

    Raises:
        InputError: it has something of which neither tells all.
    """
    rest = text.partition(" Startparameter for this run:")[2] or text
    printed = _printed(text, rest)
    echo = text.partition(" INCAR:")[2].partition(" POTCAR:")[0]
    asked = {
        name.upper(): value
        for name, value in re.findall(r"^ +(\w+) *= *([^#!\n]+?) *$", echo, re.MULTILINE)
    }
    asked = asked or _beside(path, printed)
    known = bool(asked)
    tags = {**asked, **printed, **{name: asked[name] for name in PLUS_U if name in asked}}
    asked = asked or _not_default(text, tags)
    _require_all_told(text, tags, asked)
    return tags, asked, known


def _printed(text: str, rest: str) -> dict[str, Any]:
    """Tags that every OUTCAR tells.

    Raises:
        InputError: one that all have lacks.
    """
    if first(r"PSTRESS *= *(-?[\d.]+)", text, float, 0.0):
        raise InputError("its energies may hold PSTRESS.", hint="Import its vasprun.xml.")
    required(r"LEXCH += *(\w+)", text, "the functional (LEXCH)")
    tags: dict[str, Any] = {}
    for name in dict.fromkeys(TAGS):
        value = first(rf"(?<![\w]){name} *= *([^\s;]+)", rest, str, None)
        if value is not None:
            tags[name] = value
    tags["ENCUT"] = float(required(r"ENCUT += +([\d.]+) eV", text, "ENCUT"))
    tags["GGA"] = first(r"^ +GGA +=? +([A-Z]\w)", text, str, "--")
    for words, way in (("new method", "auto"), ("old method", "old")):
        if f"real space projectors ({words})" in text:
            tags["LREAL"] = way
    grids = [
        first(rf"{words} +NGXF= *(\d+)", text, int, 0)
        for words in ("dimension x,y,z", "support grid ")
    ]
    if 0 < grids[0] < grids[1]:
        tags["ADDGRID"] = True
    if meta := first(r"^ +METAGGA *= *([A-Z]\w{2,})", rest, str.upper, ""):
        tags["METAGGA"] = meta
    if "LDA+U is selected" in text:
        tags["LDAU"] = True
        found = {name: first(pattern, text, str.split, []) for name, pattern in PLUS_U.items()}
        tags |= {name: " ".join(words) for name, words in found.items() if words}
    if plain(tags.get("LHFCALC")) is True:
        for name in HYBRID:
            value = first(rf"(?<![\w]){name} *= *([^\s;]+)", rest, str, None)
            if value is not None:
                tags[name] = value
    return tags


def _beside(path: Path, printed: Mapping[str, Any]) -> dict[str, Any]:
    """Tags of the INCAR beside it; nothing where there is none, or it is another run's."""
    from pymatgen.io.vasp.inputs import Incar

    from forcebase.safety.files import read_unpacked
    from forcebase.safety.limits import TEXT_BYTES

    names = (path.with_name(f"INCAR{end}") for end in ("", ".gz", ".bz2", ".xz"))
    file = next((name for name in names if name.is_file()), None)
    if file is None:
        return {}
    asked = {
        str(name).upper(): value
        for name, value in Incar.from_str(
            read_unpacked(file, TEXT_BYTES).decode(errors="replace")
        ).items()
    }
    for name in SAME_RUN:
        if name in asked and name in printed and plain(asked[name]) != plain(printed[name]):
            return {}
    return asked


def _not_default(text: str, tags: dict[str, Any]) -> dict[str, Any]:
    """What is printed and is not VASP's own choice, of what other outputs tell by the INCAR."""
    found: dict[str, Any] = {}
    natural = max(map(float, re.findall(r"^ +EAUG += +([\d.]+)", text, re.MULTILINE)), default=0.0)
    grid = first(r"ENAUG += +([\d.]+) eV", text, float, 0.0)
    if natural and grid and abs(grid - natural) > ROUNDED:
        found["ENAUG"] = grid
    asked = first(r"^ +ROPT += +([-\d. ]+)$", text, str.split, [])
    usual = ROPT.get(str(tags.get("PREC", "n")).strip().lower()[:1])
    if tags.get("LREAL") == "auto" and asked and usual:
        values = [abs(float(x)) for x in asked]
        if any(abs(x - usual) > 1e-5 for x in values):
            found["ROPT"] = [-x for x in values]
    return found


def _require_all_told(text: str, tags: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse what changes the answers and is told neither by the text nor by an INCAR.

    Raises:
        InputError: there is such a thing.
    """
    hint = "Import its vasprun.xml, or put its INCAR beside it."

    def on(name: str) -> bool:
        return bool(re.search(rf"\b{name} *= *T\b", text))

    if (on("LHFCALC") and not {"AEXX", "HFSCREEN"} <= set(tags)) or (
        on("LMETAGGA") and not str(tags.get("METAGGA") or "").strip("-")
    ):
        name = "LHFCALC" if on("LHFCALC") else "LMETAGGA"
        raise InputError(f"it has {name}, whose details it does not tell.", hint=hint)
    if plain(tags.get("LDAU")) is True and not {"LDAUU", "LDAUL"} <= set(tags):
        raise InputError("it has Hubbard terms (LDAU), whose U and l it does not tell.", hint=hint)
    if "Edisp (eV)" in text and not (plain(tags.get("IVDW", 0)) or plain(tags.get("LVDW"))):
        raise InputError("it has a dispersion correction, which it does not name.", hint=hint)
    if first(r"Ediel_sol +=? +(-?[\d.]+)", text, float, 0.0) and "LSOL" not in tags:
        raise InputError("it has a solvent, whose parameters it does not tell.", hint=hint)
    meta = str(tags.get("METAGGA") or "").upper()
    if meta in ("MBJ", "LIBXC") and not asked:
        raise InputError(f"it has METAGGA = {meta}, whose numbers it does not tell.", hint=hint)
