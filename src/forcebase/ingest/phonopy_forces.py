"""Forces of a phonopy file that has none itself, from the files beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import CodeOutput
from forcebase.physics.harmonic_crystal import as_atoms, has_forces, phonopy_of

SAME = 2e-3
"""angstrom; positions of a vasprun.xml belong to a displaced supercell within this."""
FILES = ("FORCE_CONSTANTS", "force_constants.hdf5", "FORCE_SETS")
COMPRESSIONS = ("", ".gz", ".bz2", ".xz")


@dataclass(frozen=True)
class DisplacedCell:
    """A displaced supercell with its labels.

    Attributes:
        atoms: bare.
        energy: eV.
        forces: (n, 3) eV/angstrom.
        stress: (6,) eV/angstrom^3, ASE Voigt order, tension positive; None in phonopy's files.
    """

    atoms: Atoms
    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64] | None = None


def complete_with_forces(contents: Any, path: Path) -> list[CodeOutput]:
    """Put forces or force constants into `contents` from the files beside it.

    In this order: FORCE_CONSTANTS, force_constants.hdf5, FORCE_SETS, vasprun.xml files (beside,
    or in folders beside). Nothing happens where `contents` has forces itself.

    Returns:
        Runs of VASP that the forces came from, none for other sources.

    Raises:
        InputError: there is none of these files, or they do not fit the cells.
    """
    if has_forces(contents):
        return []
    from phonopy.file_IO import (
        parse_FORCE_CONSTANTS,
        parse_FORCE_SETS,
        read_force_constants_hdf5,
    )

    phonopy = phonopy_of(contents)
    file, map_ = forces_beside(path), phonopy.primitive.p2s_map
    if file is None:
        return _from_vasp(contents, phonopy, path.parent)
    if file.name.startswith("FORCE_CONSTANTS"):
        contents.force_constants = parse_FORCE_CONSTANTS(file, p2s_map=map_)
    elif file.name.startswith("FORCE_SETS"):
        contents.dataset = parse_FORCE_SETS(file, natom=len(phonopy.supercell))
    else:
        contents.force_constants = read_force_constants_hdf5(file, p2s_map=map_)
    return []


def forces_beside(path: Path) -> Path | None:
    """The file of forces or force constants beside a phonopy file, the first by `FILES`."""
    names = [f"{name}{end}" for name in FILES for end in COMPRESSIONS]
    return next((file for name in names if (file := path.parent / name).is_file()), None)


def _from_vasp(contents: Any, phonopy: Any, folder: Path) -> list[CodeOutput]:
    from forcebase.ingest.codes.vasp_output import read_vasprun

    files = sorted({*folder.glob("*vasprun*.xml*"), *folder.glob("*/*vasprun*.xml*")})
    if not files or not contents.dataset:
        raise InputError(
            "it has neither forces nor force constants, and there is no FORCE_SETS, "
            "FORCE_CONSTANTS or vasprun.xml beside it.",
            hint="Import the folder that has them.",
        )
    phonopy.dataset = contents.dataset
    waiting = [as_atoms(cell) for cell in phonopy.supercells_with_displacements]
    runs = [read_vasprun(file) for file in files]
    forces, used = [], []
    for number, cell in enumerate(waiting, 1):
        run = next((run for run in runs if _is_of(run, cell)), None)
        if run is None:
            raise InputError(f"no vasprun.xml beside it is of displaced supercell {number}.")
        forces.append(run.steps[-1].forces)
        used.append(run)
    phonopy.forces = np.array(forces)
    contents.dataset = phonopy.dataset
    return used


def _is_of(run: CodeOutput, cell: Atoms) -> bool:
    atoms = run.steps[-1].atoms if run.steps else Atoms()
    if len(atoms) != len(cell) or (atoms.numbers != cell.numbers).any():
        return False
    shift = atoms.get_scaled_positions() - cell.get_scaled_positions()
    return float(np.abs((shift - np.round(shift)) @ cell.cell.array).max()) < SAME


def displaced_cells(contents: Any) -> Iterator[DisplacedCell]:
    """Displaced supercells whose energy the dataset has: without one there is no calculation."""
    dataset = contents.dataset or {}
    phonopy = phonopy_of(contents)
    supercell = as_atoms(phonopy.supercell)
    rows: Iterable[tuple[Any, Any, Any]]
    if "displacements" in dataset:
        energies = dataset.get("supercell_energies")
        rows = (
            zip(dataset["displacements"], dataset.get("forces", ()), energies, strict=True)
            if energies is not None
            else ()
        )
    else:
        rows = (
            (_single(d, len(supercell)), d["forces"], d["supercell_energy"])
            for d in dataset.get("first_atoms", ())
            if "supercell_energy" in d and "forces" in d
        )
    for shift, forces, energy in rows:
        atoms = supercell.copy()
        atoms.positions += shift
        yield DisplacedCell(atoms, float(energy), np.asarray(forces, dtype=float))


def _single(displacement: dict[str, Any], n: int) -> NDArray[np.float64]:
    shift = np.zeros((n, 3))
    shift[displacement["number"]] = displacement["displacement"]
    return shift
