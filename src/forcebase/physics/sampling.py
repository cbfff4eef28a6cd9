"""New structures from a unit cell: supercells, vacancies, strain and rattling, all seeded.

Every structure is one independent random draw, and what was drawn is its recipe: `rebuild` makes
the same structure again from the unit cell and the recipe alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from monty.json import MSONable

from forcebase.bounds import SEED, Bounds, check_bounds
from forcebase.digest import structure_digest
from forcebase.errors import InputError
from forcebase.outputs import StructureOrigin

COUNT = Bounds(0, 1_000_000, whole=True)


@dataclass(frozen=True)
class CellDraws(MSONable):
    """How many structures of one kind of cell to draw.

    Attributes:
        size: the supercell is size x size x 1.
        count: number of independent draws.
        vacancy: element of which one randomly chosen atom is removed; None for a pristine cell.
        name: kind of the structures where the start is not a unit cell, as "relaxed-vacancy-2x2".
    """

    size: int
    count: int
    vacancy: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        check_bounds(self, {"size": Bounds(1, 100, whole=True), "count": COUNT})

    @property
    def kind(self) -> str:
        """As "pristine-1x1" or "Se-vacancy-2x2", or the name."""
        if self.name:
            return self.name
        defect = f"{self.vacancy}-vacancy" if self.vacancy else "pristine"
        return f"{defect}-{self.size}x{self.size}"


@dataclass(frozen=True)
class SamplingPlan(MSONable):
    """What to draw, and how far from the unit cell.

    A draw depends on the seed, its kind and its number alone: a larger count, or another kind
    beside it, leaves the draws that were there as they are.

    Attributes:
        cells: kinds of cell, in the order in which they are wanted.
        strain: largest |exx| and |eyy|; |exy| goes up to half of it, which is the same
            engineering shear strain 2 exy. Uniformly distributed.
        rattle: least, most likely and largest standard deviation of the displacements,
            angstrom; triangularly distributed.
        seed: of all draws.
    """

    cells: tuple[CellDraws, ...]
    strain: float = 0.015
    rattle: tuple[float, float, float] = (0.005, 0.03, 0.1)
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", tuple(self.cells))
        object.__setattr__(self, "rattle", tuple(self.rattle))
        check_bounds(self, {"strain": Bounds(0, 0.5), "seed": SEED})
        if len(self.rattle) != 3 or not all(a <= b for a, b in pairwise((0, *self.rattle, 2))):
            raise InputError(
                f"Displacements of {self.rattle} angstrom cannot be drawn.",
                hint="Give the least, the most likely and the largest, rising, from 0 to 2.",
            )
        if len({cell.kind for cell in self.cells}) < len(self.cells):
            raise InputError(
                "A kind of cell is named twice in the sampling plan, which would draw the same "
                "structures twice.",
                hint="Give it once, with a larger count.",
            )


@dataclass(frozen=True)
class SampledStructure:
    """One draw.

    Attributes:
        atoms: the structure.
        kind: as "Se-vacancy-2x2".
        recipe: how to make it again, see `rebuild`; its parent is the unit cell's id.
        family: the structure's own id. Structures of one draw are near copies of each other
            (displaced, relaxed or strained further), and a test set must not hold a near copy of
            a training structure. Separate draws of one unit cell are no nearer to each other
            than any two structures of the material, so each draw is the root of a family.
    """

    atoms: Atoms
    kind: str
    recipe: StructureOrigin
    family: str


def strain(atoms: Atoms, exx: float, eyy: float, exy: float) -> Atoms:
    """Deform the cell in the xy plane, the atoms with it; z is untouched.

    Every vector r becomes (1 + e) r with the symmetric e = ((exx, exy), (exy, eyy)).
    """
    deformation = np.eye(3)
    deformation[:2, :2] += [[exx, exy], [exy, eyy]]
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    return strained


def rattle(atoms: Atoms, std: float, seed: int) -> Atoms:
    """Displace every atom along x, y and z by normal deviates of `std` angstrom."""
    rattled = atoms.copy()
    rattled.positions += np.random.default_rng(seed).normal(0.0, std, (len(atoms), 3))
    return rattled


def supercell(atoms: Atoms, repeats: tuple[int, int, int]) -> Atoms:
    """Repeat the cell along its lattice vectors."""
    return atoms.repeat(repeats)


def remove_site(atoms: Atoms, index: int) -> Atoms:
    """Make a vacancy at an atom.

    Raises:
        InputError: there is no such atom, or it is the only one.
    """
    if not 0 <= index < len(atoms) or len(atoms) == 1:
        raise InputError(
            f"Atom {index} cannot be removed from {atoms.get_chemical_formula()} "
            f"({len(atoms)} atoms, counted from 0)."
        )
    return atoms[[i for i in range(len(atoms)) if i != index]]


def sample(unit_cell: Atoms, plan: SamplingPlan) -> list[SampledStructure]:
    """Draw all structures of a plan; the same plan gives the same structures.

    Raises:
        InputError: a vacancy is wanted of an element that the unit cell has not.
    """
    return [_draw(unit_cell, plan, cell, i) for cell in plan.cells for i in range(cell.count)]


def rebuild(unit_cell: Atoms, recipe: StructureOrigin) -> Atoms:
    """Make the structure of a recipe that `sample` gave.

    Raises:
        InputError: the recipe was drawn for another unit cell.
    """
    if recipe["parent"] != _digest(unit_cell):
        raise InputError("The recipe belongs to another unit cell.", parent=recipe["parent"])
    made = recipe["parameters"]
    atoms = supercell(unit_cell, (made["size"], made["size"], 1))
    if made["removed_site"] is not None:
        atoms = remove_site(atoms, made["removed_site"])
    strained = strain(atoms, made["exx"], made["eyy"], made["exy"])
    return rattle(strained, made["rattle_std"], int(recipe["seed"] or 0))


def _draw(unit_cell: Atoms, plan: SamplingPlan, cell: CellDraws, number: int) -> SampledStructure:
    element = atomic_numbers[cell.vacancy] if cell.vacancy else 0
    random = np.random.default_rng([plan.seed, cell.size, element, number])
    parameters: dict[str, Any] = {"size": cell.size, "removed_site": None}
    for name, largest in (("exx", 1.0), ("eyy", 1.0), ("exy", 0.5)):
        parameters[name] = float(random.uniform(-1.0, 1.0) * largest * plan.strain)
    parameters["rattle_std"] = float(random.triangular(*plan.rattle))
    steps = ["strain", "rattle"]
    if cell.vacancy:
        perfect = supercell(unit_cell, (cell.size, cell.size, 1))
        parameters["removed_site"] = int(random.choice(_sites(perfect, cell.vacancy)))
        steps.insert(0, "vacancy")
    if cell.size > 1:
        steps.insert(0, "supercell")
    recipe = StructureOrigin(
        operation="+".join(steps),
        parameters=parameters,
        seed=int(random.integers(2**31)),
        parent=_digest(unit_cell),
    )
    atoms = rebuild(unit_cell, recipe)
    return SampledStructure(atoms, cell.kind, recipe, family=_digest(atoms))


def _sites(atoms: Atoms, element: str) -> np.ndarray:
    sites = np.flatnonzero(atoms.symbols == element)
    if not len(sites):
        raise InputError(f"There is no {element} in {atoms.get_chemical_formula()}.")
    return sites


def _digest(atoms: Atoms) -> str:
    return structure_digest(atoms.numbers, atoms.cell.array, atoms.positions, atoms.pbc)
