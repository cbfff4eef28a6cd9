"""Quantum ESPRESSO: pw.x's text by ASE, its data-file-schema.xml by its own element names."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree, Rydberg

from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import (
    FREE_ENERGY,
    CodeOutput,
    IonicStep,
    ionic_steps,
)
from forcebase.ingest.codes.text import first, integers, refuse_plus_u, required, rows
from forcebase.safety.ase_files import read_images
from forcebase.units import voigt

SMEARING = {
    "mv": "Marzari-Vanderbilt",
    "mp": "Methfessel-Paxton",
    "fd": "Fermi-Dirac",
    "gaussian": "Gaussian",
}
POINT = r"^ +k\( *\d+\) = \( *(\S+) +(\S+) +(\S+?)\), wk = +(\S+)"


def read_pw_text(path: Path) -> CodeOutput:
    """Read pw.x's text; with smearing, energies are free energies, as pw.x prints them.

    The k-mesh is not in the text: it is taken from the input file that the text names, where
    that lies beside it. Otherwise the points that are printed count, which are no mesh.

    Raises:
        InputError: the text does not say its set-up.
    """
    text = path.read_text(errors="replace")
    refuse_plus_u(r"LDA\+U|DFT\+U|Hubbard", text)
    images = read_images(path, "espresso-out")
    failed = "convergence NOT achieved" in text
    mesh, shift = _mesh_of_input(path, text)
    smeared = re.search(r"= +\d+ +([\w-]+) smearing, width \(Ry\)= +([\d.]+)", text)
    smearing: dict[str, Any] = {"type": "fixed", "width_eV": 0.0}
    if smeared:
        smearing = {
            "type": smeared.group(1),
            "width_eV": round(float(smeared.group(2)) * Rydberg, 9),
            "energy": FREE_ENERGY,
        }
    return CodeOutput(
        method={
            "code": "quantum espresso",
            "code_version": required(r"Program PWSCF v\.(\S+)", text, "pw.x's version"),
            "functional": required(r"Exchange-correlation *= +(\S.*?) *$", text, "the functional"),
            "basis": {
                "type": "plane waves",
                "cutoff_eV": round(_rydbergs(r"kinetic-energy cutoff +=", text), 6),
                "density_cutoff_eV": round(_rydbergs(r"charge density cutoff +=", text), 6),
            },
            "pseudopotentials": _pseudopotentials_of_text(text),
            "smearing": smearing,
            "spin": _spin_of_text(text),
            "dispersion": first(r"^ +(DFT-D\d?|Grimme-D\d|Tkatchenko-\w+|XDM)", text, str, "none"),
            "spin_orbit": "with spin-orbit" in text,
        },
        steps=ionic_steps(images, not failed),
        k_mesh=mesh,
        k_shift=shift,
        k_points=rows(POINT, text),
        convergence={"energy_eV": _rydbergs(r"scf convergence threshold +=", text)},
        wall_time=first(r"PWSCF +:.*?([\d.]+)s WALL", text, float, None),
    )


def _rydbergs(label: str, text: str) -> float:
    return float(required(rf"{label} +([\d.E+-]+)", text, label.split(" +")[0])) * Rydberg


def _pseudopotentials_of_text(text: str) -> dict[str, Any]:
    found = re.findall(
        r"PseudoPot\. # *\d+ for +(\w+).*?\n +(\S+) *\n +MD5 check sum: +(\w+)", text
    )
    kinds = {symbol: {"file": Path(file).name, "md5": digest} for symbol, file, digest in found}
    if not kinds:
        raise InputError("it does not say its pseudopotentials: the file is cut off.")
    return {"type": "UPF", "files": kinds}


def _spin_of_text(text: str) -> str:
    if "Non magnetic calculation with spin-orbit" in text or "Noncollinear calculation" in text:
        return "noncollinear"
    return "collinear" if "Starting magnetic structure" in text else "none"


def _mesh_of_input(path: Path, text: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    name = first(r"Reading input from (\S+)", text, str, "")
    beside = path.parent / Path(name).name
    content = beside.read_text(errors="replace") if name and beside.is_file() else ""
    if re.search(r"^ *K_POINTS.*gamma", content, re.MULTILINE | re.IGNORECASE):
        return (1, 1, 1), (0.0, 0.0, 0.0)
    row = first(r"(?i)^ *K_POINTS.*automatic.*\n *([\d ]+)", content, integers, ())
    return row[:3], tuple(n / 2 for n in row[3:]) or (0.0, 0.0, 0.0)


def read_pw_xml(path: Path) -> CodeOutput:
    """Read data-file-schema.xml: every ionic step, in all digits.

    The last geometry stands twice where a relaxation ended; it is taken once.

    Raises:
        InputError: the file is cut off, or has no forces.
    """
    root = ElementTree.parse(path).getroot()
    refuse_plus_u("dftU", " ".join(node.tag for node in root.findall("input/dft/*")))
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
        method=_xml_method(root, path),
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
    )


def _xml_method(root: ElementTree.Element, path: Path) -> dict[str, Any]:
    smearing = root.find("input/bands/smearing")
    creator = root.find("general_info/creator")
    asked = _text(root, "input/bands/occupations", "fixed")
    return {
        "code": "quantum espresso",
        "code_version": "unknown" if creator is None else creator.attrib["VERSION"],
        "functional": _text(root, "input/dft/functional", "unknown"),
        "basis": {
            "type": "plane waves",
            "cutoff_eV": _hartrees(root, "ecutwfc"),
            "density_cutoff_eV": _hartrees(root, "ecutrho"),
        },
        "pseudopotentials": _pseudopotentials_of_xml(root, path),
        "smearing": {"type": asked, "width_eV": 0.0}
        if smearing is None
        else {
            "type": SMEARING.get(str(smearing.text), str(smearing.text)),
            "width_eV": round(float(smearing.attrib["degauss"]) * Hartree, 9),
            "energy": FREE_ENERGY,
        },
        "spin": _spin_of_xml(root),
        "dispersion": _text(root, "input/dft/vdW/vdw_corr", "none"),
        "spin_orbit": _text(root, "input/spin/spinorbit", "false") == "true",
    }


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
        entry = {"file": name}
        if file.is_file():
            entry["md5"] = hashlib.md5(file.read_bytes()).hexdigest()
        kinds[re.sub(r"[\d_-].*", "", species.attrib["name"])] = entry
    return {"type": "UPF", "files": kinds}
