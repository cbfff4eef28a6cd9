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
from forcebase.physics.harmonic_crystal import as_atoms
from forcebase.physics.phonopy_contents import has_forces, phonopy_of
from forcebase.safety.files import require_whole_text

SAME = 2e-3
"""angstrom; positions of a vasprun.xml belong to a displaced supercell within this."""
FILES = ("FORCE_CONSTANTS", "force_constants.hdf5", "FORCE_SETS")
COMPRESSIONS = ("", ".gz", ".bz2", ".xz")


@dataclass(frozen=True)
class DisplacedCell:
    """A displaced supercell with its labels.

    Attributes:
        atoms: bare.
        energies: `energy`, eV, and where it is told `energy_kind` and `free_energy`.
        forces: (n, 3) eV/angstrom.
        stress: (6,) eV/angstrom^3, ASE Voigt order, tension positive; None in phonopy's files.
    """

    atoms: Atoms
    energies: dict[str, Any]
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
    from phonopy.file_IO import parse_FORCE_CONSTANTS, parse_FORCE_SETS

    phonopy = phonopy_of(contents)
    file, map_ = _forces_file(path), phonopy.primitive.p2s_map
    if file is None:
        return _from_vasp(contents, phonopy, path)
    if not file.name.startswith("force_constants.hdf5"):
        require_whole_text(file)
    if file.name.startswith("FORCE_CONSTANTS"):
        contents.force_constants = parse_FORCE_CONSTANTS(file, p2s_map=map_)
    elif file.name.startswith("FORCE_SETS"):
        try:
            found = parse_FORCE_SETS(file, natom=len(phonopy.supercell))
        except RecursionError:  # phonopy's answer to a file that ends too early
            raise InputError(f"{file.name} is cut off.", hint="Copy or make it again.") from None
        _require_same_displacements(found, contents.dataset, file)
        contents.dataset = found
    else:
        contents.force_constants = _of_hdf5(file, map_, phonopy)
    return []


def _of_hdf5(file: Path, map_: Any, phonopy: Any) -> Any:
    """Force constants of an HDF5 file: of its own bytes, and of no more than the cells have.

    Raises:
        InputError: HDF5 links to another file, or the array is of another size.
    """
    import h5py
    from phonopy.file_IO import read_force_constants_hdf5

    largest = len(phonopy.supercell) ** 2 * 9
    with h5py.File(file) as content:
        for name in ("fc2", "force_constants", "p2s_map", "physical_unit"):
            if name not in content:
                continue
            elsewhere = not isinstance(content.get(name, getlink=True), h5py.HardLink)
            array = content[name]
            if elsewhere or not isinstance(array, h5py.Dataset) or array.external:
                raise InputError(f"{file.name}: its {name} is in another file.")
            if array.size > largest:
                raise InputError(f"{file.name}: its {name} is larger than the supercell allows.")
    return read_force_constants_hdf5(file, p2s_map=map_)


def forces_beside(path: Path) -> list[Path]:
    """The files beside a phonopy file that it is completed with: the first of `FILES`, or runs."""
    file = _forces_file(path)
    return [file] if file else _vaspruns(path)


def _forces_file(path: Path) -> Path | None:
    names = [f"{name}{end}" for name in FILES for end in COMPRESSIONS]
    return next((file for name in names if (file := path.parent / name).is_file()), None)


def _vaspruns(path: Path) -> list[Path]:
    folder = path.parent
    return sorted({*folder.glob("*vasprun*.xml*"), *folder.glob("*/*vasprun*.xml*")})


def _require_same_displacements(found: Any, expected: Any, file: Path) -> None:
    """Refuse forces on other displaced supercells than those that the phonopy file names.

    Raises:
        InputError: they are of other atoms, directions, lengths or of another kind.
    """
    if not expected or not ("first_atoms" in expected or "displacements" in expected):
        return
    same = False
    if "first_atoms" in expected and "first_atoms" in found:
        ours, theirs = (
            [(d["number"], *np.round(d["displacement"], 3)) for d in dataset["first_atoms"]]
            for dataset in (found, expected)
        )
        same = len(ours) == len(theirs) and np.allclose(ours, theirs, atol=SAME)
    elif "displacements" in expected and "displacements" in found:
        ours, theirs = found["displacements"], expected["displacements"]
        same = np.shape(ours) == np.shape(theirs) and np.allclose(ours, theirs, atol=SAME)
    if not same:
        raise InputError(
            f"{file.name} beside it is of other displacements than it has.",
            hint="Put the phonopy_disp.yaml and the FORCE_SETS of one run into one folder.",
        )


def _from_vasp(contents: Any, phonopy: Any, path: Path) -> list[CodeOutput]:
    from forcebase.ingest.codes.vasp_output import read_vasprun

    files = _vaspruns(path)
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
        run = next((r for r in runs if r.steps and same_cell(r.steps[-1].atoms, cell)), None)
        if run is None:
            raise InputError(f"no vasprun.xml beside it is of displaced supercell {number}.")
        forces.append(run.steps[-1].forces)
        used.append(run)
    phonopy.forces = np.array(forces)
    contents.dataset = phonopy.dataset
    return used


def same_cell(atoms: Atoms, cell: Atoms) -> bool:
    """Whether two cells hold the same atoms in one order at the same places, within `SAME`."""
    if len(atoms) != len(cell) or (atoms.numbers != cell.numbers).any():
        return False
    shift = atoms.get_scaled_positions() - cell.get_scaled_positions()
    return float(np.abs((shift - np.round(shift)) @ cell.cell.array).max()) < SAME


def supercells_with_forces(contents: Any) -> list[Atoms]:
    """All displaced supercells that forces are known of; none for bare force constants."""
    dataset = contents.dataset or {}
    phonopy = phonopy_of(contents)
    supercell = as_atoms(phonopy.supercell)
    shifts = [_single(d, len(supercell)) for d in dataset.get("first_atoms", ()) if "forces" in d]
    if "forces" in dataset:
        shifts = list(dataset["displacements"])
    found = [supercell.copy() for _ in shifts]
    for atoms, shift in zip(found, shifts, strict=True):
        atoms.positions += shift
    return found


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
        yield DisplacedCell(atoms, {"energy": float(energy)}, np.asarray(forces, dtype=float))


def _single(displacement: dict[str, Any], n: int) -> NDArray[np.float64]:
    shift = np.zeros((n, 3))
    shift[displacement["number"]] = displacement["displacement"]
    return shift
