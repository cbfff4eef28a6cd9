"""Phonons of real crystals that are computed in a second, and phonopy's own answers for files."""

from __future__ import annotations

import contextlib
import io
import lzma
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import phonopy
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from phonopy.structure.atoms import PhonopyAtoms

from forcebase.physics.harmonic_crystal import as_atoms
from forcebase.physics.phonopy_contents import from_phonopy_contents, read_phonopy_contents
from forcebase.physics.vibrations import modes

CASES = Path(__file__).parents[1] / "data" / "cases"
FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def phonopy_atoms(atoms: Atoms) -> PhonopyAtoms:
    return PhonopyAtoms(numbers=atoms.numbers, cell=atoms.cell.array, positions=atoms.positions)


def displaced(atoms, matrix, primitive=None, calculator=EMT, distance=0.01, **random):
    """A phonopy object with displacements and the forces of a calculator, and its energies."""
    made = phonopy.Phonopy(phonopy_atoms(atoms), matrix, primitive_matrix=primitive)
    made.generate_displacements(distance=distance, **random)
    return with_forces(made, calculator)


def with_forces(made, calculator=EMT):
    """Forces and energies of the displaced supercells, those at rest taken off."""
    at_rest = as_atoms(made.supercell)
    at_rest.calc = calculator()
    rest = at_rest.get_forces()
    forces, energies = [], []
    for cell in made.supercells_with_displacements:
        atoms = as_atoms(cell)
        atoms.calc = calculator()
        forces.append(atoms.get_forces() - rest)
        energies.append(atoms.get_potential_energy())
    made.forces = np.array(forces)
    made.supercell_energies = np.array(energies)
    return made


def solved(made):
    """With force constants, symmetrized as forcebase does it."""
    solver = "symfc" if "displacements" in made.dataset else None
    made.produce_force_constants(
        calculate_full_force_constants=False, show_drift=False, fc_calculator=solver
    )
    made.symmetrize_force_constants(show_drift=False)
    return made


def copper(n=2):
    """A conventional cell of fcc copper, its primitive cell named."""
    return solved(displaced(bulk("Cu", cubic=True), [n] * 3, FCC))


def tetragonal_gold_copper():
    """AuCu L1_0: two atoms, tetragonal."""
    cell = np.diag([2.80, 2.80, 3.60])
    atoms = Atoms("AuCu", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=cell, pbc=True)
    return solved(displaced(atoms, [2, 2, 2], np.eye(3)))


@contextlib.contextmanager
def alone(folder) -> Iterator[None]:
    """phonopy's loader takes FORCE_SETS and BORN from the working directory."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def loaded_by_phonopy(path, **options):
    """What phonopy itself makes of a file, in the file's folder."""
    with alone(path.parent), contextlib.redirect_stdout(io.StringIO()):
        return phonopy.load(path.name, log_level=0, **options)


def from_phonopy_yaml(path):
    """The crystal of a file that holds force constants, or displacements and forces."""
    return from_phonopy_contents(read_phonopy_contents(Path(path)))


def gamma_frequencies(crystal, direction=None):
    """(n_modes,) THz at Gamma, rising; `direction`, fractional: that it is come to from."""
    ways = None if direction is None else np.reshape(direction, (1, 3))
    return modes(crystal, np.zeros((1, 3)), ways).frequencies[0]


def at(made, q_points, direction=None):
    """(n, n_modes) THz of a phonopy object."""
    made.run_qpoints(np.atleast_2d(q_points), nac_q_direction=direction)
    return np.array(made.qpoints.frequencies)


def unpacked_case(name, folder):
    """The files of a case in a folder of its own."""
    import gzip

    target = folder / name
    target.mkdir()
    for file in (CASES / name).iterdir():
        opener = {".gz": gzip.open, ".xz": lzma.open}.get(file.suffix, open)
        with opener(file, "rb") as stream:
            (target / file.name.removesuffix(".gz")).write_bytes(stream.read())
    return target
