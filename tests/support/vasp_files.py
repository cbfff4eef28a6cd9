"""Files of VASP as VASP lays them out, with the content of a vasprun.xml that is there."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pymatgen.io.vasp.outputs import Vasprun

CASES = Path(__file__).parents[1] / "data" / "cases"
POTCAR = """ {title}
 4.00000000000000
 parameters from PSCTR are:
   VRHFIN ={symbol}: s2p2
   LEXCH  = PE
   EATOM  =   147.1560 eV,   10.8157 Ry
   TITEL  = {title}
   LULTRA =        F    use ultrasoft PP ?
   POMASS =   28.085; ZVAL   =    4.000    mass and valenz
   ENMAX  =  245.345; ENMIN  =  184.009 eV
END of PSCTR-controll parameters
 local part
 0.5
 End of Dataset
"""
LEARNING = '<i type="logical" name="ML_LMLFF"> T </i>'


def case_text(name: str = "vasp_base") -> str:
    """The vasprun.xml of a case."""
    return gzip.decompress((CASES / name / "vasprun.xml.gz").read_bytes()).decode()


def potcar() -> str:
    """Of the silicon of all cases, as far as pymatgen reads one; it holds no potential."""
    return POTCAR.format(title="PAW_PBE Si 05Jan2001", symbol="Si")


def predicted_step(text: str, shift: float = 0.0) -> str:
    """What VASP writes of a step that its own force field predicted: outside of <calculation>."""
    step = text[text.index("<calculation>") : text.index("</calculation>")]
    structure = step[step.index("<structure") : step.index("<energy>", step.index("<structure"))]
    moved = structure.replace("0.24500000", f"{0.245 + shift:.8f}")
    energies = {"e_fr_energy": -10.5, "e_wo_entrp": -10.5, "e_0_energy": -10.5, "kinetic": 0.1}
    numbers = "".join(f'<i name="{name}"> {e:.8f} </i>' for name, e in energies.items())
    return f"{moved}<energy>{numbers}</energy>\n"


def learning_run(computed: int, predicted: int) -> str:
    """A vasprun.xml of a run that learns: steps of DFT, and predicted ones between them."""
    text = case_text().replace("<incar>", f"<incar>{LEARNING}")
    start, end = text.index("<calculation>"), text.index("</calculation>") + len("</calculation>")
    step = text[start:end]
    steps = [step.replace("0.24500000", f"{0.245 + 0.001 * i:.8f}") for i in range(computed)]
    steps += [predicted_step(text, 0.01 + 0.001 * i) for i in range(predicted)]
    return text[:start] + "\n".join(steps) + text[end:]


def write_vaspout(path: Path, vasprun: Path, incar: dict[str, Any], dynamics: bool = False) -> None:
    """The vaspout.h5 of the same run, in the layout that VASP 6 writes.

    Args:
        path: to write.
        vasprun: plain or compressed, of silicon.
        incar: what the INCAR said; logicals become whole numbers, as VASP writes them.
        dynamics: with the energies of molecular dynamics.
    """
    run = Vasprun(str(vasprun), parse_dos=False, parse_eigen=False, parse_potcar_file=False)
    steps = run.ionic_steps
    with h5py.File(path, "w") as file:
        for name, value in zip(
            ("major", "minor", "patch"), run.vasp_version.split("."), strict=True
        ):
            file[f"version/{name}"] = int(value)
        for name, value in incar.items():
            file[f"input/incar/{name}"] = int(value) if isinstance(value, bool) else value
        file["input/potcar/content"] = potcar()
        file["input/kpoints/mode"] = "g"
        for axis, n in zip("xyz", run.kpoints.kpts[0], strict=True):
            file[f"input/kpoints/nkp{axis}"] = n
        file["input/kpoints/number_kpoints"] = 0
        for place in ("input/poscar", "results/positions"):
            file[f"{place}/ion_types"] = np.array([b"Si"])
            file[f"{place}/number_ion_types"] = np.array([len(run.atomic_symbols)])
        file["results/electron_eigenvalues/kpoint_coords"] = run.actual_kpoints
        place = "intermediate/ion_dynamics"
        wide = [s["electronic_steps"][-1]["e_0_energy"] for s in steps]
        free = [s["electronic_steps"][-1]["e_fr_energy"] for s in steps]
        tags = ["free energy    TOTEN   ", "energy without entropy ", "energy(sigma->0)       "]
        energies = [free, free, wide]
        if dynamics:
            tags = ["ion-electron   TOTEN    ", "kinetic energy EKIN     "]
            energies = [free, [0.1] * len(steps)]
        file[f"{place}/energies_tags"] = np.array([tag.encode() for tag in tags])
        file[f"{place}/energies"] = np.array(energies).T
        for ours, theirs in (("forces", "forces"), ("stress", "stress")):
            file[f"{place}/{ours}"] = np.array([s[theirs] for s in steps])
        file[f"{place}/position_ions"] = np.array([s["structure"].frac_coords for s in steps])
        file[f"{place}/lattice_vectors"] = np.array([s["structure"].lattice.matrix for s in steps])
        rows = [
            [n + 1, e["e_0_energy"], 0, 0, 0, 0, 0]
            for s in steps
            for n, e in enumerate(s["electronic_steps"])
        ]
        file[f"{place}/oszicar"] = np.array(rows, dtype=float)


def ml_ab(cells: list[Any]) -> str:
    """The ML_AB of labelled cells, as VASP writes one.

    Args:
        cells: ASE Atoms with energy, forces and stress, atoms of one element together.
    """
    stars, equals, dashes = "*" * 50, "=" * 50, "-" * 50
    symbols = list(dict.fromkeys(s for cell in cells for s in cell.get_chemical_symbols()))

    def section(title: str, *rows: str, rule: str = equals) -> list[str]:
        return [rule, f"     {title}", dashes, *rows]

    def numbers(array: Any) -> list[str]:
        return [" ".join(f"{x:22.14E}" for x in row) for row in array]

    lines = [" 1.0 Version"]
    lines += section("The number of configurations", f"     {len(cells):6d}", rule=stars)
    lines += section("The maximum number of atom type", f"     {len(symbols):4d}", rule=stars)
    lines += section("The atom types in the data file", f"     {' '.join(symbols)}", rule=stars)
    for number, cell in enumerate(cells, 1):
        found = cell.get_chemical_symbols()
        kinds = [f"     {s} {found.count(s):6d}" for s in dict.fromkeys(found)]
        xx, yy, zz, yz, xz, xy = -cell.get_stress() * 1602.1766208
        lines += [stars, f"     Configuration num. {number:6d}"]
        lines += section("System name", "     made")
        lines += section("The number of atom types", f"     {len(kinds):4d}")
        lines += section("The number of atoms", f"     {len(cell):4d}")
        lines += section("Atom types and atom numbers", *kinds, rule=stars)
        lines += section("CTIFOR", "   2.000000000000000E-002")
        lines += section("Primitive lattice vectors (ang.)", *numbers(cell.cell.array))
        lines += section("Atomic positions (ang.)", *numbers(cell.positions))
        lines += section("Total energy (eV)", f"  {cell.get_potential_energy():.12f}")
        lines += section("Forces (eV ang.^-1)", *numbers(cell.get_forces()))
        lines += [equals, "     Stress (kbar)", dashes, "     XX YY ZZ", dashes]
        lines += numbers([[xx, yy, zz]])
        lines += [dashes, "     XY YZ ZX", dashes, *numbers([[xy, yz, xz]])]
    return "\n".join([*lines, stars, ""])
