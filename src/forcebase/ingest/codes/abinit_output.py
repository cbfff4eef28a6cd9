"""ABINIT: the main text output, by ASE."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ase.units import Hartree

from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import FREE_ENERGY, CodeOutput, ionic_steps
from forcebase.ingest.codes.text import first, integers, refuse_plus_u, required, rows
from forcebase.safety.ase_files import read_images

FUNCTIONALS = {
    "1": "LDA (Teter)",
    "2": "LDA (PZ)",
    "7": "LDA (PW)",
    "11": "PBE",
    "-116133": "PBEsol",
}
SMEARING = {1: "fixed", 2: "fixed", 3: "Fermi-Dirac", 7: "Gaussian"}
COLD = {4: "Marzari-Vanderbilt", 5: "Marzari-Vanderbilt (monotonic)", 6: "Methfessel-Paxton"}
POINT = r"([\d.E+-]+) +([\d.E+-]+) +([\d.E+-]+)"


def read_abinit_text(path: Path) -> CodeOutput:
    """Read ABINIT's main output of one geometry; energies are free energies.

    Raises:
        InputError: the run has several datasets or geometries, whose labels ASE does not tell
            apart, or it did not end.
    """
    text = path.read_text(errors="replace")
    refuse_plus_u(r"^ +usepawu +[1-9]", text)
    if text.count("== DATASET ") > 1 or text.count("cartesian coordinates (angstrom) at end") > 1:
        raise InputError(
            "it holds several datasets or geometries, which ASE does not tell apart.",
            hint="Run one geometry in each output.",
        )
    failed = "was not enough scf cycles to converge" in text
    if failed:
        raise InputError("its electronic steps did not converge, and ASE reads no such file.")
    image = read_images(path, "abinit-out")[-1]
    lattice = first(r"^ +kptrlatt +((?:-?\d+\s+){9})", text, integers, ())
    return CodeOutput(
        method=_method(text),
        steps=ionic_steps([image], True),
        k_mesh=_mesh(lattice, first(r"^ +nkpt +(\d+)", text, int, 0)),
        k_shift=_shift(text),
        k_points=[lattice] if lattice else rows(POINT, _points(text)),
        convergence={
            name: value
            for name in ("toldfe", "toldff", "tolvrs", "tolwfr")
            if (value := first(rf"^ +{name} +([\d.E+-]+)", text, float, None)) is not None
        },
        wall_time=first(r"Overall time at end.*wall= +([\d.]+)", text, float, None),
    )


def _method(text: str) -> dict[str, Any]:
    occupation = first(r"^ +occopt +(\d+)", text, int, 1)
    width = first(r"^ +tsmear +([\d.E+-]+)", text, float, 0.01) if occupation > 2 else 0.0
    number = required(r"- ixc=(-?\d+)", text, "the functional (ixc)")
    kind = {**SMEARING, **COLD}.get(occupation, f"occopt {occupation}")
    return {
        "code": "abinit",
        "code_version": required(r"^\.Version (\S+) of ABINIT", text, "ABINIT's version"),
        "functional": FUNCTIONALS.get(number, f"ixc {number}"),
        "basis": {
            "type": "plane waves",
            "cutoff_eV": round(float(required(r"^ +ecut +([\d.E+-]+)", text, "ecut")) * Hartree, 6),
        },
        "pseudopotentials": _pseudopotentials(text),
        "smearing": {
            "type": kind,
            "width_eV": round(width * Hartree, 9),
            **({"energy": FREE_ENERGY} if width else {}),
        },
        "spin": _spin(text),
        "dispersion": {0: "none", 5: "D2", 6: "D3", 7: "D3(BJ)"}.get(
            first(r"^ +vdw_xc +(\d+)", text, int, 0), "vdw_xc"
        ),
        "spin_orbit": first(r"^ +nspinor +(\d)", text, int, 1) == 2,
    }


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
    digests = re.findall(r"md5sum: *(\w+)", text)
    return {
        "type": "ABINIT's",
        "files": list(dict.fromkeys(Path(file).name for file in files)),
        **({"md5": list(dict.fromkeys(digests))} if digests else {}),
    }


def _spin(text: str) -> str:
    if first(r"nspden = +(\d)", text, int, 1) == 4:
        return "noncollinear"
    return "collinear" if first(r"nsppol = +(\d)", text, int, 1) == 2 else "none"
