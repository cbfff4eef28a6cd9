"""What every reader of a code's output gives: the method, and labelled ionic steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from forcebase.physics.magnetic_state import NOT_POLARISED, described, left_order
from forcebase.physics.periodicity import kpoint_mesh, vacuum_axes
from forcebase.records import Calculation, DFTMethod, Structure

SPACING_RULE = "Gamma-centred, ceil(|b| / spacing), 1 along vacuum"
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
        moments: (n,) or (n, 3) muB at its end; None where not printed.
    """

    atoms: Atoms
    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64] | None
    converged: bool
    index: int = 0
    free_energy: float | None = None
    moments: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class CodeOutput:
    """A run of a code, as its output tells it.

    Attributes:
        method: rules of `DFTMethod`.
        steps: those with energy and forces, in the order of the run.
        k_mesh: (3,) mesh, or () where the file names its points one by one.
        k_points: then what tells them apart from others: the points, with weights if told.
        k_shift: of the mesh, in steps of it; zeros where it contains Gamma.
        convergence: criteria asked for.
        wall_time: of the whole run, s.
        code_version: of the code.
        libxc_version: of libxc, where it is told.
        potentials: symbol -> name, hash.
        plus_u: symbol -> u_eV, j_eV, l; elements without Hubbard terms are left out.
        charge: of the cell, |e|; None where the file does not tell.
        asked_moments: (n,) or (n, 3) muB that the run began with.
        asked_total: muB that the cell was held at.
        found_total: muB of the cell at its end.
        k_rule: rule and spacing of the mesh, where the input states one.
        notes: what is to be known of it before it is used.
    """

    method: dict[str, Any]
    steps: Sequence[IonicStep]
    k_mesh: tuple[int, ...]
    k_shift: tuple[float, ...] = (0.0, 0.0, 0.0)
    k_points: Sequence[Sequence[float]] = ()
    convergence: dict[str, Any] = field(default_factory=dict)
    wall_time: float | None = None
    code_version: str = ""
    libxc_version: str | None = None
    potentials: dict[str, dict[str, Any]] = field(default_factory=dict)
    plus_u: dict[str, dict[str, Any]] = field(default_factory=dict)
    charge: float | None = None
    asked_moments: NDArray[np.float64] | None = None
    asked_total: float | None = None
    found_total: float | None = None
    k_rule: dict[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


def ionic_steps(images: Iterable[Atoms], converged: Sequence[bool] | bool) -> list[IonicStep]:
    """Take steps with energy and forces from ASE's images; a step without forces is not a label.

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
        k_spacing: 1/angstrom, where the mesh was chosen by `SPACING_RULE`.

    Raises:
        InputError: no step has energy and forces, the run is not periodic, or its mesh is not
            the one that the rule gives.
    """
    if not output.steps:
        raise InputError("it has no ionic step with energy and forces.")
    start = output.steps[0].atoms
    if not start.pbc.all() or start.cell.rank < 3:
        raise InputError(
            "it is not periodic in three directions.",
            hint="Records hold periodic cells, with vacuum where there is none of the crystal.",
        )
    method = DFTMethod.of_rules(**output.method)
    k_points = _k_points(output, start, k_spacing)
    batch = Batch(methods=[method], notes=list(output.notes))
    family = Structure.geometry_id(start)
    for step in output.steps if which is Steps.ALL else output.steps[-1:]:
        recipe = {"operation": "ionic step", "parameters": {"step": step.index}}
        structure = Structure.from_atoms(
            step.atoms, family=family, recipe=recipe if step.index else {}
        )
        magnetic = _magnetic(output, step)
        left = left_order(magnetic)
        calculation = Calculation.of(
            structure,
            method,
            **energies_of(output, step),
            forces=step.forces,
            stress=step.stress,
            converged=step.converged,
            k_mesh=list(output.k_mesh),
            k_spacing=mesh_spacing(step.atoms, output.k_mesh),
            **k_points,
            convergence=output.convergence,
            wall_time=output.wall_time if len(output.steps) == 1 else None,
            code_version=output.code_version or None,
            libxc_version=output.libxc_version,
            potentials=of_elements(output.potentials, structure.elements),
            plus_u=of_elements(output.plus_u, structure.elements),
            charge=output.charge,
            magnetic=magnetic,
            findings=[left] if left else [],
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


def of_elements(table: Mapping[str, Any], elements: Iterable[str]) -> dict[str, Any]:
    """The entries of these elements."""
    return {symbol: table[symbol] for symbol in sorted(set(elements)) if symbol in table}


def _magnetic(output: CodeOutput, step: IonicStep) -> dict[str, Any]:
    if output.method["spin"] == "none":
        return dict(NOT_POLARISED)
    is_last = step is output.steps[-1]
    state = described(output.asked_moments, step.moments, output.found_total if is_last else None)
    if state and output.asked_total is not None:
        state["constrained_total"] = output.asked_total
    return state


def mesh_spacing(atoms: Atoms, mesh: Sequence[int]) -> float | None:
    """Largest distance of k-points, 1/angstrom, one point along a vacuum axis left out.

    None where there is no mesh; 0 where all axes are of vacuum.
    """
    if len(mesh) != 3:
        return None
    cell = atoms.cell.array
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell).T, axis=1)
    vacuum = vacuum_axes(cell, atoms.positions)
    apart = [
        length / n
        for length, n, empty in zip(lengths, mesh, vacuum, strict=True)
        if not (empty and n == 1)
    ]
    return round(float(max(apart, default=0.0)), 4)


def _k_points(output: CodeOutput, atoms: Atoms, k_spacing: float | None) -> dict[str, Any]:
    """Fields of a calculation: shift of the mesh, and its rule or the digest of its points."""
    mesh = output.k_mesh
    shifted = any(output.k_shift)
    if k_spacing is not None:
        cell = atoms.cell.array
        expected = kpoint_mesh(cell, k_spacing, vacuum_axes(cell, atoms.positions))
        if tuple(mesh) != expected or shifted:
            raise InputError(
                f"its k-mesh {'x'.join(map(str, mesh)) or 'of single points'}"
                f"{' is shifted and' if shifted else ''} is not "
                f"{'x'.join(map(str, expected))}, which a spacing of {k_spacing:g} gives.",
                hint="Import it without --k-spacing, or with the spacing that was used.",
            )
        return {"k_rule": {"rule": SPACING_RULE, "spacing_per_A": k_spacing}}
    if len(mesh) == 3:
        shift = {"k_shift": [float(x) for x in output.k_shift]} if shifted else {}
        return {**shift, "k_rule": output.k_rule}
    if not len(output.k_points):
        raise InputError(
            "it does not tell its k-points.",
            hint="Put the input that names them beside it (pw.x: run it with `-in FILE`).",
        )
    points = [[round(float(x), 6) for x in point] for point in output.k_points]
    rule = output.k_rule or {"rule": "points named one by one"}
    return {"k_rule": {**rule, "points": content_digest(points)}}
