"""Quantum ESPRESSO: pw.x's text by ASE, its data-file-schema.xml by its own element names."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree, Rydberg
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import (
    FREE_ENERGY,
    CodeOutput,
    IonicStep,
    ionic_steps,
)
from forcebase.ingest.codes.espresso_hubbard import hubbard_of_text, hubbard_of_xml
from forcebase.ingest.codes.espresso_input import input_beside, settings_of_xml
from forcebase.ingest.codes.espresso_rules import (
    dispersion_of,
    functional_of,
    pw_rules,
    smearing_of,
)
from forcebase.ingest.codes.text import first, required, rows
from forcebase.safety.ase_files import read_images
from forcebase.units import voigt

DISPERSION = (
    r"^ +(?:Parameters for Dispersion \()?(DFT-D\d?|Grimme-D\d|Tkatchenko-Scheffler|TS-vdW|MBD|XDM)"
)
POINT = r"^ +k\( *\d+\) = \( *(\S+) +(\S+) +(\S+?)\), wk = +(\S+)"


def read_pw_text(path: Path) -> CodeOutput:
    """Read pw.x's text; with smearing, energies are free energies, as pw.x prints them.

    The k-mesh and most settings are not in the text: they are taken from the input file that the
    text names, where that lies beside it. Otherwise the points that are printed count, which are no
    mesh, and the method says that its input is not recorded.

    Raises:
        InputError: the text does not say its set-up, or is of no self-consistent ground state.
    """
    text = path.read_text(errors="replace")
    if "Band Structure Calculation" in text:
        raise InputError("it is not self-consistent: its density was fixed (nscf or bands).")
    if re.search(r"Program NEB|nudged elastic band", text, re.IGNORECASE):
        raise InputError("it is of images of a band: their forces hold the band's springs.")
    images = read_images(path, "espresso-out")
    failed = "convergence NOT achieved" in text
    asked = input_beside(path, text)
    scheme, plus_u = hubbard_of_text(text, asked.projectors)
    mesh, shift = asked.mesh, asked.shift
    smeared = re.search(r"= +\d+ +([\w-]+) smearing, width \(Ry\)= +([\d.]+)", text)
    smearing: dict[str, Any] = {"type": _occupations(text, asked.occupations), "width_eV": 0.0}
    if smeared:
        smearing = {
            "type": smearing_of(smeared.group(1)),
            "width_eV": round(float(smeared.group(2)) * Rydberg, 9),
            "energy": FREE_ENERGY,
        }
    steps = ionic_steps(images, not failed)
    spin = _spin_of_text(text)
    if steps:
        steps[-1] = replace(steps[-1], moments=_site_moments(text, len(steps[-1].atoms)))
    version = required(r"Program PWSCF v\.(\S+)", text, "pw.x's version")
    return CodeOutput(
        method=pw_rules(
            version=version,
            functional=functional_of(
                required(r"Exchange-correlation *= +(\S.*?) *$", text, "the functional")
            ),
            cutoff=_rydbergs(r"kinetic-energy cutoff +=", text),
            density_cutoff=_rydbergs(r"charge density cutoff +=", text),
            smearing=smearing,
            spin=spin,
            dispersion=dispersion_of(
                first(DISPERSION, text, str, "") if asked.dispersion is None else asked.dispersion
            ),
            spin_orbit="with spin-orbit" in text,
            plus_u=scheme,
            asked={**asked.settings, **_exchange(text)},
        ),
        steps=steps,
        k_mesh=mesh,
        k_shift=shift,
        k_points=rows(POINT, text),
        convergence={"energy_eV": _rydbergs(r"scf convergence threshold +=", text)},
        wall_time=first(r"PWSCF +:.*?([\d.]+)s WALL", text, float, None),
        code_version=version,
        potentials=_pseudopotentials_of_text(text),
        plus_u=plus_u,
        charge=_charge_of_text(text),
        asked_moments=None if spin == "none" else _asked_moments_of_text(text),
        asked_total=asked.total,
        found_total=_last(r"total magnetization += +(-?[\d.]+) Bohr", text),
    )


def _exchange(text: str) -> dict[str, float]:
    """Share of exact exchange, where there is any."""
    share = first(r"EXX-fraction += +([\d.]+)", text, float, None)
    return {} if share is None else {"exx_fraction": share}


def _occupations(text: str, asked: str | None) -> str:
    """Without smearing: fixed ones, of tetrahedra, or from the input, which the text may name."""
    if asked is not None and asked != "smearing":
        return asked
    return "tetrahedra" if "(tetrahedron method)" in text else "fixed"


def _last(pattern: str, text: str) -> float | None:
    found = re.findall(pattern, text)
    return float(found[-1]) if found else None


def _charge_of_text(text: str) -> float | None:
    """Valence electrons of the atoms less those in the cell."""
    electrons = first(r"number of electrons +=\s+([\d.]+)", text, float, None)
    table = text.partition("atomic species   valence")[2].partition("\n\n")[0]
    valence = dict(re.findall(r"^ +(\w+) +([\d.]+) +[\d.]+ +\S", table, re.MULTILINE))
    sites = re.findall(r"^ +\d+ +(\w+) +tau\(", text, re.MULTILINE)
    if electrons is None or not sites or any(site not in valence for site in sites):
        return None
    sites = sites[: first(r"number of atoms/cell +=\s+(\d+)", text, int, len(sites))]
    return round(sum(float(valence[site]) for site in sites) - electrons, 2) + 0.0


def _asked_moments_of_text(text: str) -> NDArray[np.float64] | None:
    """Starting magnetisation of each site, which pw.x says as a share of its valence electrons."""
    block = text.partition("Starting magnetic structure")[2].partition("\n\n")[0]
    table = text.partition("atomic species   valence")[2].partition("\n\n")[0]
    valence = dict(re.findall(r"^ +(\w+) +([\d.]+) +[\d.]+ +\S", table, re.MULTILINE))
    shares = dict(re.findall(r"^ +(\w+) +(-?\d+\.\d+)(?: .*)?$", block, re.MULTILINE))
    n = first(r"number of atoms/cell +=\s+(\d+)", text, int, 0)
    sites = re.findall(r"^ +\d+ +(\w+) +tau\(", text, re.MULTILINE)[:n]
    if not sites or any(s not in shares or s not in valence for s in sites):
        return None
    return np.array([float(shares[s]) * float(valence[s]) for s in sites])


def _site_moments(text: str, n_atoms: int) -> NDArray[np.float64] | None:
    """(n,) muB of the last table that pw.x prints, in either of its forms."""
    last = text.rpartition("Magnetic moment per site")[2]
    if last is text:
        return None
    found = re.findall(r"^ +atom[: ] *\d+ .*?magn(?:=|:) *(-?[\d.]+)", last, re.MULTILINE)
    return np.array(found[:n_atoms], dtype=float) if len(found) >= n_atoms else None


def _rydbergs(label: str, text: str) -> float:
    return float(required(rf"{label} +([\d.E+-]+)", text, label.split(" +")[0])) * Rydberg


def _pseudopotentials_of_text(text: str) -> dict[str, Any]:
    found = re.findall(
        r"PseudoPot\. # *\d+ for +(\w+).*?\n +(\S+) *\n +MD5 check sum: +(\w+)", text
    )
    kinds = {symbol: {"name": Path(file).name, "hash": digest} for symbol, file, digest in found}
    if not kinds:
        raise InputError("it does not say its pseudopotentials: the file is cut off.")
    return {re.sub(r"[\d_-].*", "", symbol): kind for symbol, kind in kinds.items()}


def _spin_of_text(text: str) -> str:
    if "Non magnetic calculation with spin-orbit" in text or "Noncollinear calculation" in text:
        return "noncollinear"
    return "collinear" if "Starting magnetic structure" in text else "none"


def read_pw_xml(path: Path) -> CodeOutput:
    """Read data-file-schema.xml: every ionic step, in all digits.

    The last geometry stands twice where a relaxation ended; it is taken once.

    Raises:
        InputError: the file is cut off, or has no forces.
    """
    root = ElementTree.parse(path).getroot()
    scheme, plus_u = hubbard_of_xml(root)
    kind = _text(root, "input/control_variables/calculation", "scf")
    if kind in ("nscf", "bands"):
        raise InputError(f"it is not self-consistent: its density was fixed ({kind}).")
    output = root.find("output")
    if output is None:
        raise InputError("it has no output: the run did not end.")
    steps = [_xml_step(node, i) for i, node in enumerate(root.findall("step"))]
    steps.append(_xml_step(output, len(steps)))
    found = [step for step in steps if step is not None]
    if len(found) > 1 and np.allclose(found[-1].atoms.positions, found[-2].atoms.positions):
        kept = found.pop(-2)
        found[-1] = IonicStep(**{**vars(found[-1]), "index": kept.index})
    mesh = root.find("input/k_points_IBZ/monkhorst_pack")
    sizes = () if mesh is None else tuple(int(mesh.attrib[f"nk{i}"]) for i in (1, 2, 3))
    shift = () if mesh is None else tuple(int(mesh.attrib[f"k{i}"]) / 2 for i in (1, 2, 3))
    return CodeOutput(
        method=_xml_method(root, scheme),
        steps=found,
        k_mesh=sizes,
        k_shift=shift or (0.0, 0.0, 0.0),
        k_points=[
            [*map(float, str(point.text).split()), float(point.attrib.get("weight", 0))]
            for point in root.iterfind("output/band_structure/ks_energies/k_point")
        ],
        convergence={
            "energy_eV": float(_text(root, "input/electron_control/conv_thr", "0")) * Hartree
        },
        wall_time=float(_text(root, "timing_info/total/wall", "0")) or None,
        code_version=_version(root),
        potentials=_pseudopotentials_of_xml(root, path),
        plus_u=plus_u,
        charge=round(float(_text(root, "input/bands/tot_charge", "0")), 6) + 0.0,
        asked_total=_held_total(root),
        asked_moments=_asked_moments_of_xml(root),
        found_total=_float(output, "magnetization/total"),
    )


def _version(root: ElementTree.Element) -> str:
    creator = root.find("general_info/creator")
    return "unknown" if creator is None else str(creator.attrib["VERSION"])


def _float(node: ElementTree.Element, name: str) -> float | None:
    text = _text(node, name, "")
    return float(text) if text else None


def _held_total(root: ElementTree.Element) -> float | None:
    """Of a run whose total moment was fixed; pw.x writes -1 and less where it was not."""
    total = _float(root, "input/bands/tot_magnetization")
    return total if total is not None and total > -1 else None


def _asked_moments_of_xml(root: ElementTree.Element) -> NDArray[np.float64] | None:
    """Starting magnetisation of each site; the XML says shares of the valence electrons' number.

    That number is not in the XML, so that these are signs alone.
    """
    if _spin_of_xml(root) == "none":
        return None
    shares = {
        species.attrib["name"]: _float(species, "starting_magnetization") or 0.0
        for species in root.findall("input/atomic_species/species")
    }
    atoms = root.findall("input/atomic_structure/atomic_positions/atom")
    return np.sign([shares.get(atom.attrib["name"], 0.0) for atom in atoms]) if atoms else None


def _xml_method(root: ElementTree.Element, scheme: dict[str, Any]) -> dict[str, Any]:
    smearing = root.find("input/bands/smearing")
    asked = _text(root, "input/bands/occupations", "fixed")
    return pw_rules(
        version=_version(root),
        functional=functional_of(_text(root, "input/dft/functional", "unknown")),
        cutoff=_hartrees(root, "ecutwfc"),
        density_cutoff=_hartrees(root, "ecutrho"),
        smearing={"type": asked, "width_eV": 0.0}
        if smearing is None
        else {
            "type": smearing_of(str(smearing.text)),
            "width_eV": round(float(smearing.attrib["degauss"]) * Hartree, 9),
            "energy": FREE_ENERGY,
        },
        spin=_spin_of_xml(root),
        dispersion=dispersion_of(_text(root, "input/dft/vdW/vdw_corr", "none")),
        spin_orbit=_text(root, "input/spin/spinorbit", "false") == "true",
        plus_u=scheme,
        asked=settings_of_xml(root),
    )


def _xml_step(node: ElementTree.Element, index: int) -> IonicStep | None:
    structure, forces = node.find("atomic_structure"), node.find("forces")
    energy = node.find("total_energy/etot")
    if structure is None or forces is None or energy is None:
        return None
    names = structure.findall("atomic_positions/atom")
    cell = [_numbers(structure.find(f"cell/a{i}")) for i in (1, 2, 3)]
    stress = node.find("stress")
    done = node.find("scf_conv/convergence_achieved")
    if done is None:
        done = node.find("convergence_info/scf_conv/convergence_achieved")
    return IonicStep(
        atoms=Atoms(
            [re.sub(r"[\d_-].*", "", atom.attrib["name"]) for atom in names],
            np.array([_numbers(atom) for atom in names]) * Bohr,
            cell=np.array(cell) * Bohr,
            pbc=True,
        ),
        energy=float(str(energy.text)) * Hartree,
        forces=_numbers(forces).reshape(-1, 3) * Hartree / Bohr,
        stress=None
        if stress is None
        else voigt(-_numbers(stress).reshape(3, 3)) * Hartree / Bohr**3,
        converged=done is not None and done.text == "true",
        index=index,
    )


def _numbers(node: ElementTree.Element | None) -> Any:
    return np.array(str(node.text if node is not None else "").split(), dtype=float)


def _text(root: ElementTree.Element, name: str, default: str) -> str:
    node = root.find(name)
    return default if node is None or node.text is None else node.text.strip()


def _hartrees(root: ElementTree.Element, name: str) -> float:
    return round(float(_text(root, f"input/basis/{name}", "nan")) * Hartree, 6)


def _spin_of_xml(root: ElementTree.Element) -> str:
    if _text(root, "input/spin/noncolin", "false") == "true":
        return "noncollinear"
    return "collinear" if _text(root, "input/spin/lsda", "false") == "true" else "none"


def _pseudopotentials_of_xml(root: ElementTree.Element, path: Path) -> dict[str, Any]:
    """Names, and the MD5 that pw.x prints where the file lies beside, as in a .save folder."""
    kinds = {}
    for species in root.findall("input/atomic_species/species"):
        name = _text(species, "pseudo_file", "unknown")
        file = path.parent / Path(name).name  # beside it, wherever the XML says
        entry = {"name": Path(name).name}
        if file.is_file():
            entry["hash"] = hashlib.md5(file.read_bytes()).hexdigest()
        kinds[re.sub(r"[\d_-].*", "", species.attrib["name"])] = entry
    return kinds
