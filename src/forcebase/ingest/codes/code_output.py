"""What every reader of a code's output gives: the method, and labelled ionic steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from forcebase.digest import content_digest
from forcebase.errors import InputError
from forcebase.ingest.batch import Batch
from forcebase.physics.energy_kinds import EnergyKind, told_apart
from forcebase.physics.periodicity import kpoint_mesh, vacuum_axes
from forcebase.records import Calculation, DFTMethod, Structure

SPACING_RULE = "Gamma-centred, ceil(|b| / spacing), 1 along vacuum"
MESH_RULE = "mesh of each calculation"
FREE_ENERGY = "free energy"


class Steps(StrEnum):
    """Which ionic steps of a run become records."""

    ALL = "all"
    LAST = "last"


@dataclass(frozen=True)
class IonicStep:
    """One labelled geometry of a run.

    Attributes:
        atoms: bare, without calculator or constraints.
        energy: eV, whole cell; extrapolated to zero width where the code gives that.
        forces: (n, 3) eV/angstrom.
        stress: (6,) eV/angstrom^3, ASE Voigt order, tension positive; None where not printed.
        converged: whether the electronic steps reached their criteria.
        index: number of the step in the run, from 0.
        free_energy: eV, consistent with the forces, where the code tells it.
    """

    atoms: Atoms
    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64] | None
    converged: bool
    index: int = 0
    free_energy: float | None = None


@dataclass(frozen=True)
class CodeOutput:
    """A run of a code, as its output tells it.

    Attributes:
        method: fields of `DFTMethod` but `k_points`, which follows from mesh and cell.
        steps: those with energy and forces, in the order of the run.
        k_mesh: (3,) mesh, or () where the file names its points one by one.
        k_points: then what tells them apart from others: the points, with weights if told.
        k_shift: of the mesh, in steps of it; zeros where it contains Gamma.
        convergence: criteria asked for.
        wall_time: of the whole run, s.
    """

    method: dict[str, Any]
    steps: Sequence[IonicStep]
    k_mesh: tuple[int, ...]
    k_shift: tuple[float, ...] = (0.0, 0.0, 0.0)
    k_points: Sequence[Sequence[float]] = ()
    convergence: dict[str, Any] = field(default_factory=dict)
    wall_time: float | None = None


def ionic_steps(images: Iterable[Atoms], converged: Sequence[bool] | bool) -> list[IonicStep]:
    """Take steps with energy and forces from ASE's images; a step without forces is no label.

    Args:
        images: with a SinglePointCalculator each.
        converged: of each image, or of all of them.
    """
    found = []
    for index, atoms in enumerate(images):
        results = atoms.calc.results if atoms.calc is not None else {}
        if "energy" not in results or "forces" not in results:
            continue
        stress = results.get("stress")
        found.append(
            IonicStep(
                atoms=bare(atoms),
                energy=float(results["energy"]),
                forces=np.asarray(results["forces"], dtype=float),
                stress=None if stress is None else np.asarray(stress, dtype=float),
                converged=converged if isinstance(converged, bool) else bool(converged[index]),
                index=index,
                free_energy=None if (free := results.get("free_energy")) is None else float(free),
            )
        )
    return found


def bare(atoms: Atoms) -> Atoms:
    """The geometry alone."""
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell.array, pbc=atoms.pbc)


def output_batch(output: CodeOutput, which: Steps, k_spacing: float | None = None) -> Batch:
    """Turn a run into structures of one family, a DFT method and calculations.

    Args:
        output: of a code.
        which: all ionic steps, or the last one.
        k_spacing: 1/angstrom, where the mesh was chosen by `SPACING_RULE`. Without it the method
            carries the spacing that the mesh has in the run's first cell, to 0.01.

    Raises:
        InputError: no step has energy and forces, the run is not periodic, or its mesh is not
            the one that the rule gives.
    """
    if not output.steps:
        raise InputError("it has no ionic step with energy and forces.")
    first = output.steps[0].atoms
    if not first.pbc.all() or first.cell.rank < 3:
        raise InputError(
            "it is not periodic in three directions.",
            hint="Records hold periodic cells, with vacuum where there is none of the crystal.",
        )
    method = DFTMethod(**output.method, k_points=_k_points(output, first, k_spacing)).sealed()
    batch = Batch(methods=[method])
    family = Structure.geometry_id(first)
    for step in output.steps if which is Steps.ALL else output.steps[-1:]:
        recipe = {"operation": "ionic step", "parameters": {"step": step.index}}
        structure = Structure.from_atoms(
            step.atoms, family=family, recipe=recipe if step.index else {}
        )
        calculation = Calculation.of(
            structure,
            method,
            **energies_of(output, step),
            forces=step.forces,
            stress=step.stress,
            converged=step.converged,
            k_mesh=list(output.k_mesh),
            convergence=output.convergence,
            wall_time=output.wall_time if len(output.steps) == 1 else None,
        )
        batch.structures.append(structure)
        batch.calculations.append(calculation)
    return batch


def energies_of(output: CodeOutput, step: IonicStep) -> dict[str, Any]:
    """The energy of a step, its kind, and the free energy where it is another."""
    energy, kind, free_energy = told_apart(step.energy, step.free_energy)
    if kind is None and output.method["smearing"].get("energy") == FREE_ENERGY:
        kind = EnergyKind.FREE
    return {"energy": energy, "energy_kind": kind, "free_energy": free_energy}


def _k_points(output: CodeOutput, atoms: Atoms, k_spacing: float | None) -> dict[str, Any]:
    cell, mesh = atoms.cell.array, output.k_mesh
    vacuum = vacuum_axes(cell, atoms.positions)
    shifted = any(output.k_shift)
    if k_spacing is not None:
        expected = kpoint_mesh(cell, k_spacing, vacuum)
        if tuple(mesh) != expected or shifted:
            raise InputError(
                f"its k-mesh {'x'.join(map(str, mesh)) or 'of single points'}"
                f"{' is shifted and' if shifted else ''} is not "
                f"{'x'.join(map(str, expected))}, which a spacing of {k_spacing:g} gives.",
                hint="Import it without --k-spacing, or with the spacing that was used.",
            )
        return {"rule": SPACING_RULE, "spacing_per_A": k_spacing}
    if len(mesh) != 3:
        if not len(output.k_points):
            raise InputError(
                "it does not tell its k-points.",
                hint="Put the input that names them beside it (pw.x: run it with `-in FILE`).",
            )
        points = [[round(float(x), 6) for x in point] for point in output.k_points]
        return {"rule": "points named one by one", "points": content_digest(points)}
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell).T, axis=1)
    apart = [
        length / n
        for length, n, empty in zip(lengths, mesh, vacuum, strict=True)
        if not (empty and n == 1)
    ]
    shift = {"shift": [float(x) for x in output.k_shift]} if shifted else {}
    return {"rule": MESH_RULE, "spacing_per_A": round(float(max(apart, default=0.0)), 2), **shift}
