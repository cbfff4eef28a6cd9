"""ABINIT: the main text output, by ASE."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from ase.units import Hartree
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import FREE_ENERGY, CodeOutput, ionic_steps
from forcebase.ingest.codes.hubbard import join, term
from forcebase.ingest.codes.telling import telling
from forcebase.ingest.codes.text import first, integers, required, rows
from forcebase.ingest.codes.version_breaks import era
from forcebase.safety.ase_files import read_images

FUNCTIONALS = {
    "1": "LDA (Teter)",
    "2": "LDA (PZ)",
    "7": "LDA (PW)",
    "11": "PBE",
    "-116133": "PBEsol",
}
FIELDS = ("efield", "berryopt", "dfield", "bfield", "zeemanfield", "tsmear_field", "icoulomb",
          "jellslab", "red_efield", "red_dfield", "slabwsrad", "vcutgeo")  # fmt: skip
TOLD = ("ecut", "pawecutdg", "occopt", "tsmear", "ixc", "nspden", "nsppol", "nspinor", "usepawu")
DEFAULTS: dict[str, Any] = {"usepaw": 1.0, "usexcnhat": -1.0, "pawspnorb": 0.0, "nsppol": 1.0}
SMEARING = {1: "fixed", 2: "fixed", 3: "Fermi-Dirac", 7: "Gaussian"}
COLD = {4: "Marzari-Vanderbilt", 5: "Marzari-Vanderbilt (monotonic)", 6: "Methfessel-Paxton"}
SCHEMES = {1: "FLL", 2: "AMF", 4: "FLL without exchange splitting"}
POINT = r"([\d.E+-]+) +([\d.E+-]+) +([\d.E+-]+)"


def read_abinit_text(path: Path) -> CodeOutput:
    """Read ABINIT's main output of one geometry; energies are free energies.

    Raises:
        InputError: the run has several datasets or geometries, whose labels ASE does not tell
            apart, or it did not end.
    """
    text = path.read_text(errors="replace")
    if text.count("== DATASET ") > 1 or text.count("cartesian coordinates (angstrom) at end") > 1:
        raise InputError(
            "it holds several datasets or geometries, which ASE does not tell apart.",
            hint="Run one geometry in each output.",
        )
    _require_ground_state(text)
    failed = "was not enough scf cycles to converge" in text
    if failed:
        raise InputError("its electronic steps did not converge, and ASE reads no such file.")
    image = read_images(path, "abinit-out")[-1]
    lattice = first(r"^ +kptrlatt +((?:-?\d+\s+){9})", text, integers, ())
    steps = ionic_steps([image], True)
    if steps:
        steps[0] = replace(steps[0], moments=_site_moments(text))
    version = required(r"^\.Version (\S+) of ABINIT", text, "ABINIT's version")
    plus_u = _hubbard(text)
    method = _method(text, version, bool(plus_u))
    return CodeOutput(
        method=method,
        steps=steps,
        k_mesh=_mesh(lattice, first(r"^ +nkpt +(\d+)", text, int, 0)),
        k_shift=_shift(text),
        k_points=[lattice] if lattice else rows(POINT, _points(text)),
        convergence={
            name: value
            for name in ("toldfe", "toldff", "tolvrs", "tolwfr")
            if (value := first(rf"^ +{name} +([\d.E+-]+)", text, float, None)) is not None
        },
        wall_time=first(r"Overall time at end.*wall= +([\d.]+)", text, float, None),
        code_version=version,
        potentials=_pseudopotentials(text),
        plus_u=plus_u,
        charge=first(r"electrons: \{.*?charge: *(-?[\d.E+-]+)", text, float, None)
        or first(r"^ +(?:cell)?charge +(-?[\d.E+-]+)", text, float, 0.0),
        asked_moments=None if method["spin"] == "none" else _asked_moments(text),
        asked_total=_held_total(text),
        found_total=_last(r"Total magnetization.*?= *(-?[\d.E+-]+)", text),
    )


def _require_ground_state(text: str) -> None:
    """Refuse what is not a self-consistent ground state.

    Raises:
        InputError: the density was fixed, or it is a run of screening, GW or BSE.
    """
    iscf = first(r"\biscf *[=:]? +(-?\d+)", text, int, 7)
    if iscf < 0:
        raise InputError(f"it is not self-consistent: iscf = {iscf} keeps the density fixed.")
    driver = first(r"\boptdriver *[:=]? +(\d+)", text, int, 0)
    if driver in (3, 4, 66, 99):
        raise InputError(f"optdriver = {driver} is of GW or BSE: it gives no labels.")
    if first(r"^ +imgmov +(\d+)", text, int, 0):
        raise InputError("it is of images of a band (imgmov): they are not labels.")


def _last(pattern: str, text: str) -> float | None:
    found = re.findall(pattern, text)
    return float(found[-1]) if found else None


def _held_total(text: str) -> float | None:
    held = first(r"^ +spinmagntarget +(-?[\d.E+-]+)", text, float, None)
    return held if held is not None and held > -99 else None


def _asked_moments(text: str) -> NDArray[np.float64] | None:
    """(n,) muB along z, or (n, 3), of `spinat`."""
    found = first(r"^ +spinat +((?:-?\d\.\d+E[+-]\d+\s+)+)", text, str, "").split()
    moments = np.array(found, dtype=float).reshape(-1, 3) if len(found) % 3 == 0 else np.empty(0)
    if not len(moments):
        return None
    return moments[:, 2] if not moments[:, :2].any() else moments


def _site_moments(text: str) -> NDArray[np.float64] | None:
    """(n,) muB in the spheres around the atoms, as the last table of densities says."""
    table = text.rpartition("Diff(up-dn)")[2].partition("---")[0]
    found = re.findall(r"^ +\d+ +[\d.]+ +\S+ +\S+ +\S+ +(-?\d+\.\d+)", table, re.MULTILINE)
    return np.array(found, dtype=float) if found and "Diff(up-dn)" in text else None


def _echo(text: str) -> dict[str, str]:
    """Variables that ABINIT repeats as those that govern the computation: not its own values."""
    block = text.partition("Echo of variables that govern")[2].partition("chkinp:")[0]
    found = re.findall(r"^[-P ] {2,}([a-z_]\w*) +(\S.*(?:\n {16,}\S.*)*)$", block, re.MULTILINE)
    return {name: re.sub(r" (Hartree|Bohr|eV)\b", "", value) for name, value in found}


def _method(text: str, version: str, plus_u: bool) -> dict[str, Any]:
    occupation = first(r"^ +occopt +(\d+)", text, int, 1)
    width = first(r"^ +tsmear +([\d.E+-]+)", text, float, 0.01) if occupation > 2 else 0.0
    number = required(r"- ixc=(-?\d+)", text, "the functional (ixc)")
    kind = {**SMEARING, **COLD}.get(occupation, f"occopt {occupation}")
    echo = _echo(text)
    among = {name: value for name, value in echo.items() if name in FIELDS}
    vdw = {name: value for name, value in echo.items() if name.startswith("vdw_")}
    basis: dict[str, Any] = {
        "type": "plane waves",
        "cutoff_eV": round(float(required(r"^ +ecut +([\d.E+-]+)", text, "ecut")) * Hartree, 6),
    }
    fine = first(r"^ +pawecutdg +([\d.E+-]+)", text, float, 0.0)
    if fine > 0:
        basis["density_cutoff_eV"] = round(fine * Hartree, 6)
    exchange = {name: echo.pop(name) for name in list(echo) if name.startswith("hyb_")}
    return {
        "code": "abinit",
        "functional": FUNCTIONALS.get(number, f"ixc {number}"),
        "functional_parameters": telling("abinit", exchange),
        "basis": basis,
        "pseudopotentials": {"type": "ABINIT's"},
        "smearing": {
            "type": kind,
            "width_eV": round(width * Hartree, 9),
            **({"energy": FREE_ENERGY} if width else {}),
        },
        "spin": _spin(text),
        "dispersion": {0: "none", 5: "D2", 6: "D3", 7: "D3(BJ)"}.get(
            first(r"^ +vdw_xc +(\d+)", text, int, 0), "vdw_xc"
        ),
        "dispersion_parameters": telling("abinit", vdw, told=["vdw_xc"]),
        "spin_orbit": first(r"^ +nspinor +(\d)", text, int, 1) == 2,
        "plus_u": _scheme(text) if plus_u else {},
        "corrections": telling("abinit", among),
        "settings": {
            **telling("abinit", echo, DEFAULTS, (*TOLD, *FIELDS, *vdw)),
            **era("abinit", version),
        },
    }


def _scheme(text: str) -> dict[str, Any]:
    kind = first(r"^[-P ] +usepawu +(\d+)", text, int, 0)
    return {"scheme": SCHEMES.get(kind, f"usepawu {kind}")}


def _hubbard(text: str) -> dict[str, dict[str, Any]]:
    """Symbol -> upawu, jpawu and lpawu of its type of atoms.

    Raises:
        InputError: there are Hubbard terms, and not all of these for each type.
    """
    if not first(r"^[-P ] +usepawu +(\d+)", text, int, 0):
        return {}
    echo = _echo(text)
    symbols = [chemical_symbols[round(float(z))] for z in echo.get("znucl", "").split()]
    shells = echo.get("lpawu", "").split()
    u, j = (_energies(echo.get(name, "0"), len(symbols)) for name in ("upawu", "jpawu"))
    if not symbols or not len(shells) == len(u) == len(j) == len(symbols):
        raise InputError("it has Hubbard terms (usepawu), whose U and l it does not tell.")
    found: dict[str, dict[str, Any]] = {}
    for symbol, shell, one, other in zip(symbols, shells, u, j, strict=True):
        if int(shell) >= 0 and (one or other):
            join(found, symbol, term(one, other, int(shell)))
    return found


def _energies(text: str, n: int) -> list[float]:
    """eV; one number holds for all types."""
    numbers = [float(x) * Hartree for x in re.findall(r"-?\d+\.?\d*(?:E[+-]?\d+)?", text)]
    return numbers * n if len(numbers) == 1 else numbers


def _points(text: str) -> str:
    """The rows after `kpt`, without the word."""
    return first(r"^ +kpt +((?:[\d.E+-]+ +[\d.E+-]+ +[\d.E+-]+\s+)+)", text, str, "")


def _mesh(lattice: tuple[int, ...], n_points: int) -> tuple[int, ...]:
    """The mesh, where ABINIT's k-point lattice is a diagonal one; nothing is printed for Gamma."""
    if not lattice:
        return (1, 1, 1) if n_points <= 1 else ()
    diagonal = lattice[0], lattice[4], lattice[8]
    return diagonal if sum(map(abs, lattice)) == sum(map(abs, diagonal)) else ()


def _shift(text: str) -> tuple[float, ...]:
    """In steps of the mesh; ABINIT prints a shift unless it is none."""
    said = first(r"^ +shiftk +([\d.E+-]+ +[\d.E+-]+ +[\d.E+-]+)", text, str, "")
    return tuple(float(x) for x in said.split()) if said else (0.0, 0.0, 0.0)


def _pseudopotentials(text: str) -> dict[str, Any]:
    files = re.findall(r"pspini: atom type +\d+ +psp file is (\S+)", text)
    if not files:
        raise InputError("it does not say its pseudopotentials: the file is cut off.")
    names = list(dict.fromkeys(Path(file).name for file in files))
    digests = list(dict.fromkeys(re.findall(r"md5sum: *(\w+)", text)))
    charges = first(r"^ +znucl +((?:[\d.]+ *)+)$", text, str.split, [])
    symbols = [chemical_symbols[round(float(z))] for z in charges]
    if len(symbols) != len(names):  # alchemy, or a file for two types
        symbols = symbols[: len(names)]
    return {
        symbol: {"name": name, **({"hash": digests[i]} if len(digests) == len(names) else {})}
        for i, (symbol, name) in enumerate(zip(symbols, names, strict=False))
    }


def _spin(text: str) -> str:
    if first(r"nspden = +(\d)", text, int, 1) == 4:
        return "noncollinear"
    return "collinear" if first(r"nsppol = +(\d)", text, int, 1) == 2 else "none"
