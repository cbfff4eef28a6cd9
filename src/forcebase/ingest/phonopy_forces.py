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
from forcebase.ingest.born_charges import response_files
from forcebase.ingest.codes.code_output import CodeOutput
from forcebase.ingest.description import FILE_NAME
from forcebase.physics.harmonic_crystal import as_atoms
from forcebase.physics.phonopy_contents import has_forces, phonopy_of
from forcebase.physics.phonopy_units import PhonopyUnits
from forcebase.safety.files import require_whole_text
from forcebase.safety.hdf5 import has_item, own_item

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
    or in folders beside). Nothing is put in where `contents` has forces itself. All files are in
    the units of the file's calculator.

    Returns:
        Runs of VASP beside it that are of its displaced supercells (of the supercell at rest,
        where there are bare force constants), where no method.yaml says what the forces are;
        none for other sources.

    Raises:
        InputError: there is none of these files, or they do not fit the cells.
    """
    phonopy = phonopy_of(contents)
    if not has_forces(contents):
        file = _forces_file(path)
        if file is None:
            return _from_vasp(contents, phonopy, path)
        _put_in(contents, phonopy, file)
    if _is_described(path):
        return []
    waiting = supercells_with_forces(contents) or [as_atoms(phonopy.supercell)]
    return [run for run in _of_cells(_readable(_vaspruns(path))[0], waiting) if run is not None]


def _put_in(contents: Any, phonopy: Any, file: Path) -> None:
    from phonopy.file_IO import parse_FORCE_CONSTANTS, parse_FORCE_SETS

    map_, units = phonopy.primitive.p2s_map, PhonopyUnits.of(contents.calculator)
    if not file.name.startswith("force_constants.hdf5"):
        require_whole_text(file)
    if file.name.startswith("FORCE_CONSTANTS"):
        found: Any = parse_FORCE_CONSTANTS(file, p2s_map=map_)
        contents.force_constants = np.array(found) * units.force_constants
    elif file.name.startswith("FORCE_SETS"):
        try:
            found = parse_FORCE_SETS(file, natom=len(phonopy.supercell))
        except RecursionError:  # phonopy's answer to a file that ends too early
            raise InputError(f"{file.name} is cut off.", hint="Copy or make it again.") from None
        found = units.dataset(found)
        _require_same_displacements(found, contents.dataset, file)
        contents.dataset = found
    else:
        contents.force_constants = _of_hdf5(file, map_, phonopy, contents.calculator)


def _is_described(path: Path) -> bool:
    return (path.parent / FILE_NAME).is_file()


def _readable(files: Iterable[Path]) -> tuple[list[CodeOutput], list[InputError]]:
    """Runs of those that can be read; one that cannot may be of something else."""
    from forcebase.ingest.codes.vasp_output import read_vasprun

    runs, errors = [], []
    for file in files:
        try:
            runs.append(read_vasprun(file, keep=True))
        except InputError as error:
            errors.append(error)
    return runs, errors


def _of_cells(runs: Iterable[CodeOutput], cells: Iterable[Atoms]) -> list[CodeOutput | None]:
    """For each cell the first run that ended in it."""
    ended = [run for run in runs if run.steps]
    return [
        next((run for run in ended if same_cell(run.steps[-1].atoms, cell)), None) for cell in cells
    ]


def _of_hdf5(file: Path, map_: Any, phonopy: Any, calculator: str | None) -> Any:
    """Force constants of an HDF5 file: of its own bytes, and of no more than the cells have.

    Given are eV/angstrom^2; the file's own unit comes before the calculator's.

    Raises:
        InputError: HDF5 links to another file, or the array is of another size.
    """
    import h5py
    from phonopy.file_IO import read_force_constants_hdf5
    from phonopy.interface.calculator import get_force_constant_conversion_factor

    largest = len(phonopy.supercell) ** 2 * 9
    with h5py.File(file) as content:
        for name in ("fc2", "force_constants", "p2s_map", "physical_unit"):
            if not has_item(content, name):
                continue
            array = own_item(content, name, file.name)
            if not isinstance(array, h5py.Dataset):
                raise InputError(f"{file.name}: its {name} is not an array.")
            if array.size > largest:
                raise InputError(f"{file.name}: its {name} is larger than the supercell allows.")
    found: Any = read_force_constants_hdf5(file, p2s_map=map_, return_physical_unit=True)
    constants, unit = found
    native = PhonopyUnits.of(calculator).force_constants
    if unit:
        native *= get_force_constant_conversion_factor(str(unit), calculator)
    return np.array(constants) * native


def forces_beside(path: Path) -> list[Path]:
    """The files beside a phonopy file that it may be completed with.

    They are the first of `FILES`, runs that tell its method, and what tells Born charges.
    """
    file = _forces_file(path)
    runs = [] if file and _is_described(path) else _vaspruns(path)
    found = [*([file] if file else []), *runs]
    return found + [other for other in response_files(path) if other not in found]


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
    files = _vaspruns(path)
    if not files or not contents.dataset:
        raise InputError(
            "it has neither forces nor force constants, and there is no FORCE_SETS, "
            "FORCE_CONSTANTS or vasprun.xml beside it.",
            hint="Import the folder that has them.",
        )
    phonopy.dataset = contents.dataset
    waiting = [as_atoms(cell) for cell in phonopy.supercells_with_displacements]
    runs, errors = _readable(files)
    used: list[CodeOutput] = []
    for number, run in enumerate(_of_cells(runs, waiting), 1):
        if run is None:
            if errors:
                raise errors[0]
            raise InputError(f"no vasprun.xml beside it is of displaced supercell {number}.")
        used.append(run)
    phonopy.forces = np.array([run.steps[-1].forces for run in used])
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
