"""Born charges and dielectric tensor of a phonopy file: its own, or of a file beside it.

In this order: the file's `nac`, BORN, a vasprun.xml with LEPSILON, an output of ph.x.
"""

from __future__ import annotations

import lzma
import re
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.units import Bohr
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.ingest.file_kinds import head
from forcebase.ingest.plain_file import plain_file
from forcebase.physics.dielectric_response import DielectricResponse
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.phonopy_units import PhonopyUnits
from forcebase.physics.structure_matching import match_structures
from forcebase.safety.files import read_unpacked
from forcebase.safety.limits import TEXT_BYTES

BORN = ("BORN", "BORN.gz", "BORN.bz2", "BORN.xz")
OF_THE_FILE = "nac of the file"
IN_VASPRUN = rb'name="(?:LEPSILON|LCALCEPS)"[^>]*>\s*\.?T'
"""In the INCAR, with which a vasprun.xml begins."""
IN_PH_X = rb"Program PHONON v"
OUTPUTS = (
    ("*vasprun*.xml*", IN_VASPRUN),
    *((f"*{end}*", IN_PH_X) for end in (".out", ".ph", ".log")),
)
"""Names of files that may tell charges, and what those that do begin with."""
PH_X_CHARGES = "Effective charges (d Force / dE) in cartesian axis"
PH_X_TENSOR = "Dielectric constant in cartesian axis"
ROUNDED = 1e-3
"""angstrom; places are printed to four or five digits."""
NUMBER = r"(-?\d+\.\d*(?:[eEdD][+-]?\d+)?)"


@dataclass(frozen=True, eq=False)
class Responding:
    """A cell whose Born charges and dielectric tensor some code computed.

    Attributes:
        atoms: its atoms.
        born: (n, 3, 3) e, of all of them.
        dielectric: (3, 3).
    """

    atoms: Atoms
    born: NDArray[np.float64]
    dielectric: NDArray[np.float64]


def with_response(
    crystal: HarmonicCrystal, path: Path, units: PhonopyUnits
) -> tuple[HarmonicCrystal, str]:
    """Give the crystal its Born charges, and the name of the file that they are from.

    Args:
        crystal: of the phonopy file; where that has charges, it keeps them.
        path: of the phonopy file.
        units: of that and of BORN.

    Returns:
        The crystal given and "" where nothing tells charges: runs beside it may be of another
        crystal.

    Raises:
        InputError: BORN cannot be read, or a run whose charges are not whole.
    """
    if crystal.response is not None:
        return crystal, OF_THE_FILE
    for source in response_files(path):
        if source.name in BORN:
            found: DielectricResponse | None = _of_born(source, crystal, units)
        else:
            cell = _of_vasprun(source) if ".xml" in source.name else _of_ph_x(source)
            found = _moved(cell, crystal)
        if found is not None:
            return replace(crystal, response=found), source.name
    return crystal, ""


def response_files(path: Path) -> list[Path]:
    """Files beside a phonopy file that may tell Born charges: BORN, or runs, in folders too."""
    folder = path.parent
    born = next((folder / name for name in BORN if (folder / name).is_file()), None)
    if born is not None:
        return [born]
    found = []
    for pattern, sign in OUTPUTS:
        files = sorted({*folder.glob(pattern), *folder.glob(f"*/{pattern}")})
        found += [file for file in files if file.is_file() and _begins_with(sign, file)]
    return found


def _begins_with(sign: bytes, file: Path) -> bool:
    """Whether it is in the first bytes; a file that cannot be unpacked tells no charges."""
    try:
        return re.search(sign, head(file)) is not None
    except (EOFError, OSError, lzma.LZMAError, zlib.error):
        return False


def _of_born(file: Path, crystal: HarmonicCrystal, units: PhonopyUnits) -> DielectricResponse:
    """BORN has the independent atoms alone: those by moments, or else those without."""
    from phonopy.file_IO import parse_BORN_from_strings

    text = read_unpacked(file, TEXT_BYTES).decode("utf-8", errors="replace")
    reasons = []
    for given in (crystal, replace(crystal, moments=None)):
        try:
            found: Any = parse_BORN_from_strings(text, given.phonopy.primitive)
            response = DielectricResponse.from_phonopy(units.response(found))
            return replace(crystal, response=response).response or response
        except Exception as error:
            reasons.append(str(error).rstrip(". "))
        if crystal.moments is None:
            break
    raise InputError(
        f"{file.name} beside it cannot be read: {reasons[0]}.",
        hint="It needs the dielectric tensor and the charges of the independent atoms of the "
        "primitive cell, nine numbers a line; or take it away.",
    )


def _of_vasprun(file: Path) -> Responding:
    """Of the last structure of a run with LEPSILON or LCALCEPS."""
    from phonopy.interface.vasp import VasprunxmlExpat

    try:
        with plain_file(file) as plain, plain.open("rb") as stream:
            run = VasprunxmlExpat(stream)
            run.parse()
        symbols = [re.sub(r"[^A-Za-z]", "", str(symbol)) for symbol in run.symbols or ()]
        atoms = Atoms(
            [atomic_numbers[symbol] for symbol in symbols],
            cell=run.lattice[-1],
            scaled_positions=run.points[-1],
            pbc=True,
        )
        return _whole(Responding(atoms, np.array(run.born, float), np.array(run.epsilon, float)))
    except Exception as error:
        raise InputError(
            f"{file.name} has Born charges that cannot be read: {error}.",
            hint="Copy it again, or take it out of the folder.",
        ) from None


def _of_ph_x(file: Path) -> Responding:
    """Of an output of ph.x with `epsil`, without the sum rule, which phonopy imposes."""
    text = read_unpacked(file, TEXT_BYTES).decode("utf-8", errors="replace")
    try:
        return _whole(Responding(_ph_x_cell(text), _ph_x_charges(text), _ph_x_tensor(text)))
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{file.name} has Born charges of ph.x that cannot be read: {error}.",
            hint="Copy it again, or take it out of the folder.",
        ) from None


def _whole(cell: Responding) -> Responding:
    """ValueError where charges of some atoms or the tensor lack."""
    if np.shape(cell.born) != (len(cell.atoms), 3, 3) or np.shape(cell.dielectric) != (3, 3):
        raise ValueError("charges of some atoms, or the dielectric tensor, lack")
    return cell


def _ph_x_cell(text: str) -> Atoms:
    alat = float(_only(rf"lattice parameter \(alat\) *= *{NUMBER}", text)[0]) * Bohr
    axes = re.findall(rf"a\([123]\) = \( *{NUMBER} +{NUMBER} +{NUMBER}", text)[:3]
    sites = re.findall(
        rf"^ +\d+ +([A-Za-z]+)\w* +[\d.]+ +tau\( *\d+\) = \( *{NUMBER} +{NUMBER} +{NUMBER}",
        text,
        re.MULTILINE,
    )
    n = int(_only(r"number of atoms/cell *= *(\d+)", text)[0])
    if len(axes) != 3 or len(sites) < n:
        raise ValueError("its cell is not printed")
    cell = np.array(axes, dtype=float) * alat
    places = np.array([site[1:] for site in sites[:n]], dtype=float) * alat
    numbers = [atomic_numbers[_element(site[0])] for site in sites[:n]]
    return Atoms(numbers, places, cell=cell, pbc=True)


def _element(label: str) -> str:
    """The element that a label of pw.x begins with: Fe of Fe1, O of Ox."""
    two, one = label[:2].capitalize(), label[:1].upper()
    return two if two in atomic_numbers else one


def _ph_x_charges(text: str) -> NDArray[np.float64]:
    block = text[text.index(PH_X_CHARGES) :]
    n = int(_only(r"number of atoms/cell *= *(\d+)", text)[0])
    found = re.findall(rf"E[xyz] +\( *{NUMBER} +{NUMBER} +{NUMBER} *\)", block)[: 3 * n]
    return np.array(found, dtype=float).reshape(n, 3, 3)


def _ph_x_tensor(text: str) -> NDArray[np.float64]:
    block = text[text.index(PH_X_TENSOR) :]
    found = re.findall(rf"\( *{NUMBER} +{NUMBER} +{NUMBER} *\)", block)[:3]
    return np.array(found, dtype=float).reshape(3, 3)


def _only(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"there is no {pattern.split(' *')[0]}")
    return found.groups()


def _moved(cell: Responding, crystal: HarmonicCrystal) -> DielectricResponse | None:
    """The charges in the order and orientation of the crystal's primitive atoms.

    None where the two are not of one structure.
    """
    theirs, ours = _smallest(cell.atoms), _smallest(crystal.primitive_atoms)
    try:
        match = match_structures(theirs.atoms, ours.atoms)
    except InputError:
        return None
    n = len(theirs.atoms)  # atoms that repeat each other are averaged, as phonopy does it
    born = np.array([cell.born[theirs.place == i].mean(axis=0) for i in range(n)])
    response = DielectricResponse(born, cell.dielectric).turned(match.rotation)
    return response.of_atoms(match.order[ours.place])


@dataclass(frozen=True, eq=False)
class _Smallest:
    """The smallest cell that repeats; `place` says which of its atoms each atom is."""

    atoms: Atoms
    place: NDArray[np.int64]


def _smallest(atoms: Atoms) -> _Smallest:
    from phonopy.structure.atoms import PhonopyAtoms
    from phonopy.structure.cells import guess_primitive_matrix

    given = PhonopyAtoms(numbers=atoms.numbers, cell=atoms.cell.array, positions=atoms.positions)
    matrix = np.array(guess_primitive_matrix(given, symprec=ROUNDED), dtype=float)
    cell = matrix.T @ atoms.cell.array
    place: list[int] = []
    first: list[int] = []
    for i, (number, position) in enumerate(zip(atoms.numbers, atoms.positions, strict=True)):
        apart = (atoms.positions[first] - position) @ np.linalg.inv(cell)
        distances = np.linalg.norm((apart - np.round(apart)) @ cell, axis=1)
        same = (distances < 10 * ROUNDED) & (atoms.numbers[first] == number)
        if not same.any():
            first.append(i)
        place.append(int(same.argmax()) if same.any() else len(first) - 1)
    small = Atoms(atoms.numbers[first], atoms.positions[first], cell=cell, pbc=True)
    return _Smallest(small, np.array(place))
