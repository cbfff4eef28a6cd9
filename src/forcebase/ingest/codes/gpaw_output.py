"""GPAW: text output, of old versions by ASE, of 25 and later by its tables; .gpw files by ASE."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import ulm
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import CodeOutput, IonicStep, ionic_steps
from forcebase.ingest.codes.gpaw_rules import gpaw_rules, smearing_of
from forcebase.ingest.codes.hubbard import of_setups
from forcebase.ingest.codes.text import first, integers, required, rows
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
HELD = "Fixed magnetic moment"
VECTOR = rf"\( *{NUMBER}, +{NUMBER}, +{NUMBER}\)"
THREE = rf"{NUMBER}[ ,|]+{NUMBER}[ ,|]+{NUMBER}"
SETUP = r"\w*:[spdf],[-\d.]+(?:,\d)?(?:;[spdf],[-\d.]+(?:,\d)?)*|[\w.-]+"
"""A name of a setup, with Hubbard terms or without, where it stands without quotes."""
PAIR = r"^ {2}(\w+):\n {4}name:[^\n]*\n {4}id: +(\w+)"


def read_gpaw_text(path: Path) -> CodeOutput:
    """Read what GPAW prints.

    Energies are extrapolated to zero width. Forces have five decimals and the stress six.

    Raises:
        InputError: it is cut off before the first result, or is of an unknown kind.
    """
    text = path.read_text(errors="replace")
    asked = _asked(text)
    if "fixdensity" in asked or re.search(r"bands[:=] ?.*fixed density", text):
        raise InputError("it is not self-consistent: its density was fixed.")
    if HEADER.search(text):
        steps = _steps(text)
    else:
        images = read_images(path, "gpaw-out")
        # the old text says so only where it fails
        steps = ionic_steps(images, "Did not converge" not in text)
    symbols = {symbol for step in steps[:1] for symbol in step.atoms.symbols}
    plus_u = of_setups(_asked_setups(text), symbols)
    method = _method(text, asked, bool(plus_u))
    spin = method["spin"] != "none"
    return CodeOutput(
        method=method,
        steps=steps,
        k_mesh=_mesh(text),
        k_shift=_shift(text),
        k_points=rows(POINT, text),
        wall_time=first(r"^ *Total: +([\d.]+)", text, float, None),
        code_version=_version(text),
        libxc_version=first(r"[Ll]ibxc: +(\d+[\w.]*)", text, str, None),
        potentials=_setups(text),
        plus_u=plus_u,
        charge=first(r"^ *(?:Total )?Charge: +(-?[\d.]+)(?: +# \|e\|)? *$", text, float, 0.0),
        asked_moments=_initial_moments(text) if spin else None,
        asked_total=first(rf"{HELD}: +(-?[\d.]+)", text, float, None) if spin else None,
        found_total=_total_moment(text),
        k_rule=_density_rule(asked.get("kpts", "")),
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
    tensor, moments = None if stress is None else voigt(stress), _local_moments(block)
    return IonicStep(atoms, energy, forces, tensor, converged, index, free, moments)


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


def _asked(text: str) -> dict[str, str]:
    """GPAW's input parameters, as it repeats them."""
    block = text.partition("Input parameters:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^ {2}(\w+)(?:=|: )(.*?),?$", block, re.MULTILINE)
    return dict(found)


def _version(text: str) -> str:
    return required(r"^ *\|__ ?\|[ |_/\\]+(?:- )? *(\d+\.\d+\S*)", text, "GPAW's version")


def _asked_setups(text: str) -> Any:
    """The names of setups that were asked for: of all elements, or of each one."""
    asked = first(r"^ {2}setups[=:] *(\{[^}]*\}|[^\n]+?),?$", text, str, "")
    if not asked.startswith("{"):
        return asked.strip("'\"")
    quoted = re.findall(r"['\"]?(\w+)['\"]?: *(['\"])(.*?)\2", asked)
    if quoted:
        return {key: value for key, _, value in quoted}
    return dict(re.findall(rf"(\w+): *({SETUP})", asked))


def _method(text: str, asked: dict[str, str], plus_u: bool) -> dict[str, Any]:
    cutoff = first(r"^Cutoff: +([\d.]+) eV", text, float, None)
    cutoff = cutoff or first(r"[Pp]lane-?waves?.*?[Cc]utoff: +([\d.]+) eV", text, float, None)
    cutoff = cutoff or first(r"ecut[:=] *([\d.]+)", text, float, None)
    spacing = first(r"^ +h[:=] *([\d.]+)", text, float, DEFAULT_SPACING)
    points = first(r"^ +gpts[:=] *[\[(]([^\])]+)", text, integers, ())
    named = first(r"^ +basis[:=] *\{?(?:'default': *)?'?([\w.()+-]+)", text, str, "")
    return gpaw_rules(
        version=_version(text),
        xc=_functional(text),
        setups=_asked_setups(text),
        basis=_basis(_mode(text), cutoff, spacing, points, named),
        smearing=_smearing(text),
        spin=_spin(text),
        spin_orbit="soc=True" in text,
        asked=asked,
        plus_u=plus_u,
    )


def _functional(text: str) -> Any:
    """The functional that was asked for, with its numbers; or the name that GPAW prints."""
    asked = first(r"^ {2}xc[:=] *(?:XC\(|\{)([^})]*)[})]", text, str, "")
    if asked:
        pairs = re.findall(r"['\"]?(\w+)['\"]?[=:] *['\"]?([^,'\"\n]+)", asked)
        return dict(pairs)
    named = first(r"^ {2}xc[:=] *['\"]?([\w+-]+)", text, str, "")
    printed = first(r"^xc functional:\n {2}name: (\S+)", text, str, "")
    return named or printed or required(r"xc[:=] *['\"]?([\w+-]+)", text, "the functional")


def _setups(text: str) -> dict[str, dict[str, Any]]:
    """Symbol -> name and fingerprint of its PAW data set."""
    hashes = dict(re.findall(PAIR, text, re.MULTILINE))
    hashes |= dict(re.findall(r"^(\w+)-setup:\n(?:.*\n)*? {2}id: (\w+)", text, re.MULTILINE))
    files = re.findall(r"(?:file:\s+|/)(?:\S*/)?(([A-Z][a-z]?)\.[\w.+-]+?)(?:\.gz)?\s", text)
    names = {symbol: name for name, symbol in files if not name.endswith(".basis")}
    return {
        symbol: {**({"name": names[symbol]} if symbol in names else {}), "hash": digest}
        for symbol, digest in hashes.items()
    }


def _initial_moments(text: str) -> NDArray[np.float64] | None:
    """(n,) muB along z, or (n, 3), of the first table of atoms."""
    table = text.partition("initial magnetic moments")[2].partition("\n\n")[0]
    found = np.array(re.findall(VECTOR, table), dtype=float)
    if not len(found):
        return None
    return found[:, 2] if not found[:, :2].any() else found


def _local_moments(block: str) -> NDArray[np.float64] | None:
    """(n,) muB along z, or (n, 3), at the end of a step."""
    _, there, rest = block.partition("ocal magnetic moments")
    if not there:
        return None
    found = np.array(re.findall(THREE, rest.partition("\n\n")[0]), dtype=float)
    if not len(found):
        return None
    return found[:, 2] if not found[:, :2].any() else found


def _total_moment(text: str) -> float | None:
    found = re.findall(r"Total magnetic moment: +" + VECTOR, text)
    if not found:
        return None
    return float(np.linalg.norm(np.array(found[-1], dtype=float)))


def _density_rule(asked: str) -> dict[str, Any]:
    """Of k-points that were asked for by their density: points times angstrom."""
    density = re.search(r"density['\"]?[=:] *([\d.]+)", asked)
    return {"rule": "density", "points_A": float(density.group(1))} if density else {}


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
    block = text.partition("ccupation numbers:")[2].partition("\n\n")[0]
    held = re.sub(rf"{HELD}.*", "", block)
    return smearing_of(
        first(r"^\s*([\w-]+)", held, str, ""), width, first(r"^ +order: (\d+)", block, int, None)
    )


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
    images = read_images(path, "gpw")
    plus_u = of_setups(parameters.get("setups") or "", set(images[-1].symbols))
    found = ionic_steps(images, True)
    results = images[-1].calc.results if images[-1].calc is not None else {}
    moments, found_total = results.get("magmoms"), results.get("magmom")
    asked = images[-1].get_initial_magnetic_moments()
    held = (parameters.get("occupations") or {}).get("fixmagmom")
    if moments is not None and found:
        found[-1] = replace(found[-1], moments=np.asarray(moments, dtype=float))
    n_spins = len(reader.wave_functions.eigenvalues)
    mode = parameters.get("mode", "fd")
    mode = mode if isinstance(mode, dict) else {"name": mode}
    points = parameters.get("kpts", {})
    size = (points.get("size", ()) if points else (1, 1, 1)) if isinstance(points, dict) else points
    mesh = tuple(int(n) for n in size) if np.ndim(size) == 1 else ()
    gamma = isinstance(points, dict) and points.get("gamma")
    even = [n % 2 == 0 and not gamma for n in mesh]
    return CodeOutput(
        method=_gpw_method(reader.gpaw_version, parameters, mode, n_spins, bool(plus_u)),
        steps=found,
        k_mesh=mesh,
        k_shift=tuple(0.5 if apart else 0.0 for apart in even) or (0.0, 0.0, 0.0),
        k_points=np.asarray(reader.wave_functions.kpts.ibzkpts).tolist(),
        convergence=dict(parameters.get("convergence") or {}),
        code_version=reader.gpaw_version,
        potentials=_default_setups(images[-1], parameters),
        plus_u=plus_u,
        charge=float(parameters.get("charge") or 0.0),
        asked_moments=asked if n_spins == 2 else None,
        asked_total=float(asked.sum()) if n_spins == 2 and held else None,
        found_total=found_total if n_spins == 2 else None,
    )


def _gpw_method(
    version: str, parameters: dict[str, Any], mode: dict[str, Any], n_spins: int, plus_u: bool
) -> dict[str, Any]:
    cutoff = float(mode.get("ecut", 340.0)) if mode["name"] == "pw" else None
    spacing, points = parameters.get("h") or DEFAULT_SPACING, parameters.get("gpts")
    basis = parameters.get("basis") or ""
    named = str(basis.get("default", basis) if isinstance(basis, dict) else basis)
    xc = parameters.get("xc", "LDA")
    occupations = parameters.get("occupations") or {}
    return gpaw_rules(
        version=version,
        xc=xc,
        setups=parameters.get("setups"),
        basis=_basis(mode["name"], cutoff, float(spacing), [] if points is None else points, named),
        smearing=smearing_of(
            str(occupations.get("name", "default")),
            float(occupations.get("width", 0.0)),
            occupations.get("order"),
        ),
        spin="collinear" if n_spins == 2 else "none",
        spin_orbit=bool(parameters.get("soc", False)),
        asked={k: v for k, v in parameters.items() if v is not None},
        plus_u=plus_u,
    )


def _default_setups(atoms: Atoms, parameters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Names of GPAW's own data sets, where no others were asked for."""
    xc = parameters.get("xc", "LDA")
    name = xc["name"] if isinstance(xc, dict) else str(xc)
    setups = parameters.get("setups") or {}
    names = setups.values() if isinstance(setups, dict) else [setups]
    own = all(str(setup).partition(":")[0] in ("", "paw") for setup in names)
    if not own or not re.fullmatch(r"LDA|PBE|revPBE|RPBE|PBEsol", name):
        return {}
    library = name if name == "LDA" else "PBE" if name != "revPBE" else "revPBE"
    return {symbol: {"name": f"{symbol}.{library}"} for symbol in sorted(set(atoms.symbols))}
