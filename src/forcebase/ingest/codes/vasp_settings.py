"""VASP's tags as rules of a method: functional, corrections, and what else is not the default."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from forcebase.errors import InputError
from forcebase.ingest.codes.telling import plain, telling
from forcebase.ingest.codes.version_breaks import era

Tags = Mapping[str, Any]

SMEARING = {
    -5: "tetrahedron with Bloechl corrections",
    -4: "tetrahedron",
    -1: "Fermi-Dirac",
    0: "Gaussian",
}
DISPERSION = {
    0: "none",
    1: "D2",
    10: "D2",
    11: "D3",
    12: "D3(BJ)",
    13: "D4",
    2: "TS",
    20: "TS",
    21: "TS/HI",
    202: "MBD",
    4: "dDsC",
}
FUNCTIONALS = {
    "PE": "PBE",
    "8": "PBE",
    "PS": "PBEsol",
    "14": "PBEsol",
    "RP": "RPBE",
    "RE": "revPBE",
    "91": "PW91",
    "AM": "AM05",
    "CA": "LDA",
    "2": "LDA",
    "PZ": "LDA (PZ)",
    "VW": "LDA (VWN)",
    "WI": "LDA (Wigner)",
    "HL": "LDA (HL)",
    "B3": "B3LYP",
    "B5": "B3LYP (VWN5)",
    "BF": "BEEF",
    "CO": "no exchange",
}
"""By GGA's two letters; OUTCAR's LEXCH is a number in some versions."""
FAMILIES = {"PAW_PBE": "PBE", "PAW_GGA": "PW91", "PAW": "LDA", "US": "LDA", "NC": "LDA"}
"""Of potentials: the functional that they were made for, which is VASP's where GGA is not set."""
NONLOCAL = (
    ("RE", -0.8491, "vdW-DF"),
    ("OR", -0.8491, "optPBE-vdW"),
    ("BO", -0.8491, "optB88-vdW"),
    ("MK", -0.8491, "optB86b-vdW"),
    ("ML", -1.8867, "vdW-DF2"),
    ("MK", -1.8867, "rev-vdW-DF2"),
    ("CX", -0.8491, "vdW-DF-cx"),
    ("CX", -1.8867, "vdW-DF-cx"),
)
ZAB = -0.8491
"""VASP's own value of Zab_vdW."""
HYBRID = ("AEXX", "HFSCREEN", "ALDAX", "AGGAX", "ALDAC", "AGGAC", "AMGGAX", "AMGGAC", "LTHOMAS")
VDW = ("ZAB_VDW", "PARAM1", "PARAM2", "PARAM3", "BPARAM", "CPARAM", "IVDW_NL", "LSPIN_VDW")
OTHER_XC = ("CMBJ", "CMBJA", "CMBJB", "CMBJE", "LIBXC1", "LIBXC2", "XC", "XC_C", "LMODELHF",
            "HFRCUT", "HFALPHA", "MCALPHA", "HFSCREENC", "LRHFCALC")  # fmt: skip
SWITCHES = ("GGA", "METAGGA", "LMETAGGA", "LHFCALC", "LUSE_VDW", "IVDW", "LVDW")
CORRECTIONS = {
    "LDIPOL": False,
    "LMONO": False,
    "IDIPOL": 0.0,
    "EPSILON": 1.0,
    "EFIELD": 0.0,
    "EFIELD_PEAD": (0.0, [0.0, 0.0, 0.0]),
    "LSOL": False,
    "LVACPOT": False,
}
SOLVENT = ("EB_K", "TAU", "LAMBDA_D_K", "NC_K", "SIGMA_K", "R_ION", "LNLDIEL", "LNLION", "LRHOB")
DEFAULTS: dict[str, Any] = {
    "prec": "normal",
    "lreal": False,
    "lasph": False,
    "addgrid": False,
    "voskown": 0.0,
    "lmaxpaw": -100.0,
    "lcompat": False,
    "gga_compat": True,
    "nlspline": False,
    "lspiral": False,
    "saxis": [0.0, 0.0, 1.0],
    "qspiral": (0.0, [0.0, 0.0, 0.0]),
    "lzeroz": False,
    "i_constrained_m": 0.0,
    "icorelevel": 0.0,
    "precfock": ("normal", ""),
    "lmaxfock": 4.0,
    "nkredx": 1.0,
    "nkredy": 1.0,
    "nkredz": 1.0,
    "shiftred": False,
    "oddonly": False,
    "evenonly": False,
    "lhfone": False,
    "lfockaedft": False,
    "images": 0.0,
    "lfinite_temperature": False,
}
"""Of settings that change answers: VASP's own values, as `telling.plain` writes them."""
TOLD = {
    *(name.lower() for name in (*SWITCHES, *HYBRID, *VDW, *OTHER_XC, *CORRECTIONS, *SOLVENT)),
    *("ismear", "sigma", "ispin", "lnoncollinear", "lsorbit", "ldau", "ldautype", "gga2", "images"),
}
NOT_GROUND = re.compile(
    r"(SC|EV|QP|SCQP)?GW.*|G0W0.*|BSE|TDHF|CHI|ACFDT.*|RPA.*|TIMEEV|2E4W.*|CRPA.*|MP2.*|DMFT"
)
FIXED = {"NONE": "N", "NOTHING": "N", "EIGENVAL": "E", "SUBROT": "S"}
FIXED_NUMBERS = {2.0: "None", 3.0: "Eigenval", 4.0: "Subrot"}


def require_ground_state(tags: Tags) -> None:
    """Refuse runs whose energies and forces are not those of a self-consistent ground state.

    Raises:
        InputError: the density was fixed, the run is of GW or BSE or RPA, or an image of a band.
    """
    charge = plain(tags.get("ICHARG", 0))
    if isinstance(charge, float) and charge >= 10:
        raise InputError(
            f"it is not self-consistent: ICHARG = {charge:g} keeps the density fixed.",
            hint="Its energies are not labels; import the run that made the density.",
        )
    algorithm = str(tags.get("ALGO", "")).strip().upper()
    if NOT_GROUND.fullmatch(algorithm):
        raise InputError(f"ALGO = {algorithm} gives no energies and forces of a ground state.")
    number = plain(tags.get("IALGO", 0))
    fixed = algorithm in FIXED or (not algorithm and number in FIXED_NUMBERS)
    if fixed:
        name = algorithm.title() or FIXED_NUMBERS[number]
        raise InputError(f"it is not self-consistent: ALGO = {name} keeps the density fixed.")
    images = plain(tags.get("IMAGES", 0))
    if isinstance(images, float) and images > 0:
        raise InputError(
            f"it is one of {images:g} images of a band (IMAGES): its forces hold springs.",
            hint="Compute the labels of its geometry in a run of its own.",
        )


def vasp_rules(tags: Tags, asked: Tags, titles: Sequence[str], version: str) -> dict[str, Any]:
    """Fields of `DFTMethod` by VASP's tags.

    Args:
        tags: all in force, names in capitals.
        asked: those of the INCAR; what is not among them, and in no table, is VASP's own choice.
        titles: of the POTCARs.
        version: of VASP.

    Raises:
        InputError: a tag that every run says lacks.
    """
    cutoff = tags.get("ENCUT") or tags.get("ENMAX")
    if cutoff is None:
        raise InputError("it does not say its cutoff.")
    functional, parameters = vasp_functional(tags, asked, titles)
    known = {name: tags[name] for name in map(str.upper, DEFAULTS) if name in tags}
    spelt = {**_precision(tags), **_projection(tags)}
    settings = telling("vasp", {**asked, **known, **spelt}, DEFAULTS, TOLD)
    dispersion, dispersion_parameters = _dispersion(tags, asked)
    for name in dispersion_parameters:
        settings.pop(name.lower(), None)
    noncollinear = _flag(tags, "LNONCOLLINEAR") or _flag(tags, "LSORBIT")
    return {
        "code": "vasp",
        "functional": functional,
        "functional_parameters": parameters,
        "basis": {"type": "plane waves", "cutoff_eV": float(plain(cutoff))},
        "pseudopotentials": {"type": "PAW", "library": potential_library(titles)},
        "smearing": _smearing(int(plain(tags.get("ISMEAR", 1))), plain(tags.get("SIGMA", 0.2))),
        "spin": "noncollinear" if noncollinear else _spin(tags),
        "dispersion": dispersion,
        "dispersion_parameters": dispersion_parameters,
        "spin_orbit": _flag(tags, "LSORBIT"),
        "plus_u": _scheme(tags),
        "corrections": _corrections(tags),
        "settings": {**settings, **era("vasp", version)},
    }


def potential_library(titles: Sequence[str]) -> str:
    """The families of potentials, as "PAW_PBE"; the potentials themselves are the calculation's."""
    return "+".join(sorted({title.split()[0] for title in titles if title.split()})) or "unknown"


def vasp_functional(tags: Tags, asked: Tags, titles: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Name of the functional, and all numbers that it depends on."""
    letters = str(tags.get("GGA") or "").strip().upper()
    family = potential_library(titles)
    letters = "" if letters in ("--", "NONE", "F", "FALSE") else letters
    base = FUNCTIONALS.get(letters, letters) if letters else _of_potentials(tags, family)
    meta = str(tags.get("METAGGA") or "").strip().upper()
    meta = "" if meta in ("--", "NONE", "F", "FALSE") else meta
    names = {name: plain(tags[name]) for name in OTHER_XC if name in asked and name in tags}
    parameters = {name.lower(): value for name, value in names.items()}
    if meta:
        base = {"R2SCAN": "r2SCAN", "RSCAN": "rSCAN", "RTPSS": "revTPSS"}.get(meta, meta)
    scaled = {n: plain(tags[n]) for n in HYBRID if n in asked and n in tags}
    if _flag(tags, "LUSE_VDW"):
        zab = float(plain(tags.get("ZAB_VDW", ZAB)))
        parameters |= {n.lower(): plain(tags[n]) for n in VDW if n in tags and n in asked}
        parameters |= {"zab_vdw": zab, **{n.lower(): v for n, v in scaled.items()}}
        return _nonlocal(base, letters, meta, zab, asked), parameters
    parameters |= {n.lower(): plain(tags[n]) for n in VDW if n in asked and n in tags}
    if _flag(tags, "LHFCALC"):
        return _hybrid(base, tags, parameters)
    parameters |= {n.lower(): v for n, v in scaled.items() if v != _usual(n)}
    return base, parameters


def _of_potentials(tags: Tags, family: str) -> str:
    """Where GGA is not set; LEXCH, where an output says it, is what the potentials say."""
    told = str(tags.get("LEXCH") or "").strip().upper()
    if told in FUNCTIONALS:
        return FUNCTIONALS[told]
    return FAMILIES.get(family, f"of potentials {family}")


def _nonlocal(base: str, letters: str, meta: str, zab: float, asked: Tags) -> str:
    if meta:
        return f"{base}+rVV10"
    if letters == "ML" and plain(asked.get("BPARAM", 0)) == 6.3:
        return "rVV10"
    for gga, number, name in NONLOCAL:
        if letters == gga and abs(zab - number) < 1e-3:
            return name
    return f"{base} with nonlocal correlation"


def _hybrid(base: str, tags: Tags, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    told = {name: plain(tags[name]) for name in HYBRID if name in tags}
    share = float(told.pop("AEXX", 0.25))
    screening = float(told.pop("HFSCREEN", 0.0))
    found = {**parameters, "exchange_fraction": share, "screening_per_A": screening}
    usual = {"ALDAX": 1 - share, "AGGAX": 1 - share, "ALDAC": 1.0, "AGGAC": 1.0}
    usual |= {"LTHOMAS": False, "AMGGAX": 1 - share, "AMGGAC": 1.0}
    changed = {n.lower(): v for n, v in told.items() if v != usual[n] and v != _usual(n)}
    name = f"hybrid of {base}"
    if share == 1.0 and told.get("ALDAC") == 0.0:
        name = "Hartree-Fock"
    elif base == "B3LYP":
        name = base
    elif base in ("PBE", "PBEsol"):
        end = "" if base == "PBE" else "sol"
        name = f"HSE{end}" if screening else f"PBE{end}0" if base == "PBE" else "PBEsol0"
        if name == "HSE" and share == 0.25:
            name = {0.2: "HSE06", 0.207: "HSE06", 0.3: "HSE03"}.get(screening, "HSE")
    return name, {**found, **changed}


def _usual(name: str) -> Any:
    return {"AEXX": 0.0, "HFSCREEN": 0.0, "LTHOMAS": False}.get(name, 1.0)


def _precision(tags: Tags) -> dict[str, str]:
    """PREC in full: VASP looks at its first letter, and its outputs cut it."""
    letter = str(tags.get("PREC", "n")).strip().lower()[:1]
    words = {"a": "accurate", "h": "high", "m": "medium", "l": "low", "s": "single"}
    return {"PREC": words.get(letter, "normal")}


def _projection(tags: Tags) -> dict[str, Any]:
    """LREAL: projectors optimised in the new way, in the old way, not optimised, or none."""
    letter = str(tags.get("LREAL", "F")).strip().strip(".").lower()[:1]
    return {"LREAL": {"a": "auto", "o": "old", "t": True}.get(letter, False)}


def _dispersion(tags: Tags, asked: Tags) -> tuple[str, dict[str, Any]]:
    kind = int(plain(tags.get("IVDW", 0)) or 0)
    if not kind and _flag(tags, "LVDW"):
        kind = 1
    name = DISPERSION.get(kind, f"IVDW {kind}")
    if name == "none":
        return name, {}
    parameters = {n.lower(): plain(v) for n, v in asked.items() if n.startswith(("VDW_", "LVDW"))}
    return name, {n: v for n, v in parameters.items() if n != "lvdw"}


def _scheme(tags: Tags) -> dict[str, Any]:
    if not _flag(tags, "LDAU"):
        return {}
    kind = int(plain(tags.get("LDAUTYPE", 2)))
    names = {1: "Liechtenstein", 2: "Dudarev", 4: "Liechtenstein without exchange splitting"}
    return {"scheme": names.get(kind, f"LDAUTYPE {kind}")}


def _corrections(tags: Tags) -> dict[str, Any]:
    found = {}
    for name, usual in CORRECTIONS.items():
        value = plain(tags.get(name, False if usual is False else None))
        among = usual if isinstance(usual, tuple) else (usual,)
        if value is not None and value not in among:
            found[name.lower()] = value
    if found.get("lsol"):
        found |= {name.lower(): plain(tags[name]) for name in SOLVENT if name in tags}
    return found


def _spin(tags: Tags) -> str:
    return "collinear" if plain(tags.get("ISPIN", 1)) == 2 else "none"


def _smearing(kind: int, width: Any) -> dict[str, Any]:
    name = SMEARING.get(kind, f"Methfessel-Paxton {kind}" if kind > 0 else f"ISMEAR {kind}")
    without = kind in (-5, -4)  # SIGMA is not used
    return {"type": name, "width_eV": 0.0 if without else float(width)}


def _flag(tags: Tags, name: str) -> bool:
    return plain(tags.get(name, False)) is True
