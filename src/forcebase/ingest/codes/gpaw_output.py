"""GPAW: text output, of old versions by ASE, of 25 and later by its tables; .gpw files by ASE."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import ulm
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import CodeOutput, IonicStep, ionic_steps
from forcebase.ingest.codes.text import first, integers, refuse_plus_u, required, rows
from forcebase.safety.ase_files import read_images
from forcebase.units import voigt

NUMBER = r"(-?\d+\.\d+)"
ATOM = re.compile(rf"^\|\s*\d+ \|\s*(\w+) \|\s*{NUMBER} \|\s*{NUMBER} \|\s*{NUMBER} \|", re.M)
LATTICE = re.compile(rf"^\|\s*(yes|no) \|\s*{NUMBER} \|\s*{NUMBER} \|\s*{NUMBER} \|", re.M)
ROW = re.compile(rf"^\|\s*{NUMBER} \|\s*{NUMBER} \|\s*{NUMBER} \|", re.M)
HEADER = re.compile(r"^Atoms  #", re.M)
DEFAULT_SPACING = 0.2
"""angstrom; of GPAW's grid where none is asked for."""
POINT = r"^\|? +\d+:? +\|? *\(? *(-?\d\.\d+),? +(-?\d\.\d+),? +(-?\d\.\d+)\)? +\|? *(\d\.\d+)"
"""A k-point of GPAW's old list or new table, and its weight."""
PAIR = r"^ {2}(\w+):\n {4}name:[^\n]*\n {4}id: +(\w+)"


def read_gpaw_text(path: Path) -> CodeOutput:
    """Read what GPAW prints.

    Energies are extrapolated to zero width. Forces have five decimals and the stress six.

    Raises:
        InputError: it is cut off before the first result, or is of an unknown kind.
    """
    text = path.read_text(errors="replace")
    refuse_plus_u(r"setups.*:[spdf],", text)
    if HEADER.search(text):
        steps = _steps(text)
    else:
        images = read_images(path, "gpaw-out")
        # the old text says so only where it fails
        steps = ionic_steps(images, "Did not converge" not in text)
    return CodeOutput(
        method=_method(text),
        steps=steps,
        k_mesh=_mesh(text),
        k_shift=_shift(text),
        k_points=rows(POINT, text),
        wall_time=first(r"^ *Total: +([\d.]+)", text, float, None),
    )


def _steps(text: str) -> list[IonicStep]:
    starts = [found.start() for found in HEADER.finditer(text)]
    found = []
    for index, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True)):
        step = _step(text[start:end], index)
        if step is not None:
            found.append(step)
    return found


def _step(block: str, index: int) -> IonicStep | None:
    """One geometry and its labels; None where it ends before forces are printed."""
    energy = first(rf"^ *Extrapolated: +{NUMBER}", block, float, None)
    free = first(rf"^ *Free energy: +{NUMBER}", block, float, None)
    forces, stress = _table(block, "Forces  #"), _table(block, "Stress tensor  #")
    if energy is None or forces is None:
        return None
    rows = ATOM.findall(block.partition("Unit cell")[0])
    lattice = LATTICE.findall(block)[:3]
    atoms = Atoms(
        [row[0] for row in rows],
        np.array([row[1:] for row in rows], dtype=float),
        cell=np.array([row[1:] for row in lattice], dtype=float),
        pbc=[row[0] == "yes" for row in lattice],
    )
    converged = "Converged in" in block
    return IonicStep(
        atoms, energy, forces, None if stress is None else voigt(stress), converged, index, free
    )


def _table(block: str, title: str) -> NDArray[np.float64] | None:
    """The rows of three numbers under a title."""
    _, there, rest = block.partition(f"\n{title}")
    if not there:
        return None
    table = rest.partition("\n\n")[0]
    return np.array(ROW.findall(table), dtype=float)


def _mesh(text: str) -> tuple[int, ...]:
    new = first(r"Monkhorst-Pack size: \[([^]]+)\]", text, integers, ())
    return new or first(r"k-points: (\d+ x \d+ x \d+) Monkhorst-Pack", text, integers, ())


def _shift(text: str) -> tuple[float, ...]:
    """GPAW's own meshes of even size leave out Gamma unless they are shifted."""
    said = first(r"Monkhorst-Pack shift: \[([^]]+)\]", text, str, "0 0 0")
    moved = [float(x) for x in said.replace(",", " ").split()]
    return tuple(
        0.0 if abs((0.5 * (n - 1) / n - x) * n % 1.0) < 1e-6 else 0.5
        for n, x in zip(_mesh(text) or (1, 1, 1), moved, strict=True)
    )


def _method(text: str) -> dict[str, Any]:
    cutoff = first(r"^Cutoff: +([\d.]+) eV", text, float, None)
    cutoff = cutoff or first(r"[Pp]lane-?waves?.*?[Cc]utoff: +([\d.]+) eV", text, float, None)
    cutoff = cutoff or first(r"ecut[:=] *([\d.]+)", text, float, None)
    spacing = first(r"^ +h[:=] *([\d.]+)", text, float, DEFAULT_SPACING)
    points = first(r"^ +gpts[:=] *[\[(]([^\])]+)", text, integers, ())
    named = first(r"^ +basis[:=] *\{?(?:'default': *)?'?([\w.()+-]+)", text, str, "")
    basis = _basis(_mode(text), cutoff, spacing, points, named)
    setups = dict(re.findall(PAIR, text, re.MULTILINE))
    setups |= dict(re.findall(r"^(\w+)-setup:\n(?:.*\n)*? {2}id: (\w+)", text, re.MULTILINE))
    return {
        "code": "gpaw",
        "code_version": required(
            r"^ *\|__ ?\|[ |_/\\]+(?:- )? *(\d+\.\d+\S*)", text, "GPAW's version"
        ),
        "functional": first(r"^xc functional:\n {2}name: (\S+)", text, str, "")
        or required(r"xc[:=] *(?:XC\(name=|\{'name': )?'?\"?([\w+-]+)", text, "the functional"),
        "basis": basis,
        "pseudopotentials": {"type": "PAW", "setups": setups},
        "smearing": _smearing(text),
        "spin": _spin(text),
        "dispersion": "none",
        "spin_orbit": "soc=True" in text,
        "libxc_version": first(r"[Ll]ibxc: +(\d+[\w.]*)", text, str, None),
    }


def _basis(
    mode: str, cutoff: float | None, spacing: float, points: Sequence[int], named: str
) -> dict[str, Any]:
    """Plane waves; or a real-space grid by spacing or points, with atomic orbitals or without."""
    if cutoff:
        return {"type": "plane waves", "cutoff_eV": cutoff}
    grid: dict[str, Any] = {"spacing_A": spacing}
    if len(points):
        grid = {"points": [int(n) for n in points]}
    return {"type": mode, "grid": grid, **({"orbitals": named or "sz"} if mode == "lcao" else {})}


def _mode(text: str) -> str:
    return first(r"mode[:=] *\{?'?(?:name: )?'?(\w+)", text, str.lower, "unknown")


def _smearing(text: str) -> dict[str, Any]:
    width = first(r"^ +width: ([\d.]+)", text, float, 0.0)
    kind = first(r"^(?:occupation numbers|Occupation numbers):\n? *([\w-]+)", text, str, "")
    return {"type": kind or "fixed", "width_eV": width}


def _spin(text: str) -> str:
    if "non-collinear" in text:
        return "noncollinear"
    new = first(r"^Spin-components: (\d)", text, int, 1) == 2
    return "collinear" if new or "Spin-polarized calculation" in text else "none"


def read_gpw(path: Path) -> CodeOutput:
    """Read a restart file: one geometry, all digits; it keeps no fingerprint of the PAW setups.

    Raises:
        InputError: the file was written before forces were computed, or is of GPAW before 1.0.
    """
    reader = ulm.open(path)
    if "gpaw_version" not in reader:
        raise InputError("it is a restart file of a GPAW before 1.0.", hint="Import its text.")
    parameters = reader.parameters.asdict()
    found = ionic_steps(read_images(path, "gpw"), True)
    n_spins = len(reader.wave_functions.eigenvalues)
    mode = parameters.get("mode", "fd")
    mode = mode if isinstance(mode, dict) else {"name": mode}
    points = parameters.get("kpts", {})
    size = (points.get("size", ()) if points else (1, 1, 1)) if isinstance(points, dict) else points
    mesh = tuple(int(n) for n in size) if np.ndim(size) == 1 else ()
    gamma = isinstance(points, dict) and points.get("gamma")
    even = [n % 2 == 0 and not gamma for n in mesh]
    return CodeOutput(
        method=_gpw_method(reader.gpaw_version, parameters, mode, n_spins),
        steps=found,
        k_mesh=mesh,
        k_shift=tuple(0.5 if apart else 0.0 for apart in even) or (0.0, 0.0, 0.0),
        k_points=np.asarray(reader.wave_functions.kpts.ibzkpts).tolist(),
        convergence=dict(parameters.get("convergence") or {}),
    )


def _gpw_method(
    version: str, parameters: dict[str, Any], mode: dict[str, Any], n_spins: int
) -> dict[str, Any]:
    cutoff = float(mode.get("ecut", 340.0)) if mode["name"] == "pw" else None
    spacing, points = parameters.get("h") or DEFAULT_SPACING, parameters.get("gpts")
    basis = parameters.get("basis") or ""
    named = str(basis.get("default", basis) if isinstance(basis, dict) else basis)
    basis = _basis(mode["name"], cutoff, float(spacing), [] if points is None else points, named)
    xc = parameters.get("xc", "LDA")
    occupations = parameters.get("occupations") or {}
    return {
        "code": "gpaw",
        "code_version": version,
        "functional": xc["name"] if isinstance(xc, dict) else str(xc),
        "basis": basis,
        "pseudopotentials": {"type": "PAW", "setups": parameters.get("setups") or "default"},
        "smearing": {
            "type": str(occupations.get("name", "default")).replace("fermi-dirac", "Fermi-Dirac"),
            "width_eV": float(occupations.get("width", 0.0)),
        },
        "spin": "collinear" if n_spins == 2 else "none",
        "dispersion": "none",
        "spin_orbit": bool(parameters.get("soc", False)),
    }
