"""What every model must do, with figures: run it on a model of your own.

In pytest, with any ASE calculator:

    from forcebase.models.contract import CHECKS, of_calculator

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        assert check(Case(of_calculator(calculator, ["Se", "W"]), atoms)).passed
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import atomic_numbers
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from forcebase.errors import ModelError
from forcebase.models.contract_case import Case, ContractReport, Finding, frames_of, moved, rattle
from forcebase.models.evaluation import evaluate
from forcebase.models.potential import Potential
from forcebase.models.third_party.ase_calculator import CalculatorEngine
from forcebase.models.third_party.engine import Labels
from forcebase.models.third_party.model import ThirdPartyModel

STEP = {"float64": 1e-3, "float32": 2e-2}
"""Angstrom for atoms, and a tenth of it as strain."""

NOISE_STEP = 1e-5
"""Angstrom: a change of energy that float32 cannot resolve and float64 can."""

DOUBLE = 1e-8
"""eV: float64 energies are linear to this over `NOISE_STEP`, float32 ones are 1e-6 off or more."""


def extensive(case: Case) -> Finding:
    """Twice the cell has twice the energy, and the same forces and stress."""
    found = case.ask([case.atoms.repeat((2, 1, 1))])
    deviation = _largest_of(
        _largest(found.energies - 2 * case.labels.energies) / len(case.atoms),
        _largest(found.forces - np.tile(case.labels.forces, (2, 1))),
        _largest(found.stresses - case.labels.stresses),
    )
    return Finding(
        "energy is extensive",
        deviation,
        case.tolerance(1e-7, 2e-4),
        "eV/atom, eV/A, eV/A^3",
        "the cell and two of it side by side",
    )


def forces_are_gradient(case: Case) -> Finding:
    """Forces against central differences of the energy along random directions."""
    rng = np.random.default_rng(1)
    directions = [rng.normal(size=case.atoms.positions.shape) for _ in range(3)]
    step = STEP[case.model.dtype]
    deviations = []
    for direction in (d / np.linalg.norm(d) for d in directions):
        slope = case.slope(lambda x, d=direction: moved(case.atoms, x * d), step)  # type: ignore[misc]
        deviations.append(slope + float(np.sum(case.labels.forces * direction)))
    return Finding(
        "forces are the energy's gradient",
        _largest(np.array(deviations)),
        case.tolerance(1e-5, 5e-3),
        "eV/A",
        f"3 random directions, step {step:g} A, fourth order",
    )


def stress_is_derivative(case: Case) -> Finding:
    """Stress against central differences of the energy with strain, all six components."""
    step = STEP[case.model.dtype] / 10
    volume = case.atoms.get_volume()
    stress = _tensor(case.labels.stresses[0])
    deviations = []
    for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        strain = np.zeros((3, 3))
        strain[i, j] = strain[j, i] = 1 if i == j else 0.5
        slope = case.slope(lambda x, s=strain: _strained(case.atoms, x * s), step)  # type: ignore[misc]
        deviations.append(slope / volume - stress[i, j])
    return Finding(
        "stress is the energy's derivative",
        _largest(np.array(deviations)),
        case.tolerance(1e-7, 5e-4),
        "eV/A^3",
        f"6 strains, step {step:g}, fourth order",
    )


def invariant_under_rotation(case: Case) -> Finding:
    """A turned cell has the same energy; forces and stress turn with it."""
    turn = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()
    turned = case.atoms.copy()
    turned.set_cell(case.atoms.cell.array @ turn.T)
    turned.positions = case.atoms.positions @ turn.T
    found = case.ask([turned])
    stress = turn.T @ _tensor(found.stresses[0]) @ turn
    deviation = _largest_of(
        _largest(found.energies - case.labels.energies) / len(case.atoms),
        _largest(found.forces @ turn - case.labels.forces),
        _largest(stress - _tensor(case.labels.stresses[0])),
    )
    return _symmetry(case, "turns with the structure", deviation, "a rotation about no axis")


def invariant_under_translation(case: Case) -> Finding:
    """A shift of all atoms, and of one by a lattice vector, changes nothing."""
    shifted = moved(case.atoms, np.array([0.37, -0.21, 0.11]))
    image = case.atoms.copy()
    image.positions[0] += image.cell.array[np.flatnonzero(image.pbc)].sum(axis=0)
    found = case.ask([shifted, image])
    return _symmetry(
        case,
        "stays under translation",
        _apart(found, case.labels, 2),
        "all atoms shifted; one atom in another cell",
    )


def invariant_under_permutation(case: Case) -> Finding:
    """Atoms in another order have the same energy, and their own forces."""
    order = np.random.default_rng(2).permutation(len(case.atoms))
    found = case.ask([case.atoms[order]])
    expected = replace(case.labels, forces=case.labels.forces[order])
    return _symmetry(case, "stays under permutation", _apart(found, expected, 1), "random order")


def batched_equals_single(case: Case) -> Finding:
    """Structures of several sizes together have the answers that they have alone."""
    cells = [case.atoms, case.atoms.repeat((1, 2, 1)), moved(case.atoms, rattle(case.atoms, 0.1))]
    together = evaluate(frames_of(cells), case.model).frames
    alone = case.ask(cells)
    found = Labels(together.energies, together.forces, together.stresses)
    return _symmetry(case, "batched equals single", _apart(found, alone, 1), "3 cells of 2 sizes")


def precision_kept(case: Case) -> Finding:
    """A float64 model resolves an energy change that float32 cannot."""
    noise = energy_noise(case.model, case.atoms)
    if case.model.dtype != "float64":
        return Finding("float64 is kept", None, DOUBLE, "eV", f"float32; noise {noise:.0e} eV")
    note = f"energies over {NOISE_STEP:g} A against the forces"
    return Finding("float64 is kept", noise, DOUBLE, "eV", note)


def same_after_reload(case: Case) -> Finding:
    """Loaded again from its store, the model gives the same answers."""
    name = "same answers after store and reload"
    if case.reload is None:
        return Finding(name, None, 0.0, "eV, eV/A, eV/A^3", "not stored")
    found = Case(case.reload(), case.atoms).labels
    return _symmetry(case, name, _apart(found, case.labels, 1), "weights read from the store")


def unknown_elements_refused(case: Case) -> Finding:
    """An element that the model does not know is an error, not an answer."""
    name, unit = "unknown elements are refused", "answers given"
    foreign = sorted(set(range(1, 119)) - set(case.model.numbers))
    if not foreign:
        return Finding(name, None, 0.0, unit, "it knows all")
    atoms = case.atoms.copy()
    atoms.numbers[0] = foreign[0]
    try:
        evaluate(frames_of([atoms]), case.model)
    except ModelError:
        return Finding(name, 0.0, 0.0, unit, f"asked for {atoms.symbols[0]}")
    return Finding(name, 1.0, 0.0, unit, f"asked for {atoms.symbols[0]}")


CHECKS: tuple[Callable[[Case], Finding], ...] = (
    extensive,
    forces_are_gradient,
    stress_is_derivative,
    invariant_under_rotation,
    invariant_under_translation,
    invariant_under_permutation,
    batched_equals_single,
    precision_kept,
    same_after_reload,
    unknown_elements_refused,
)


def check_model(
    model: Potential, atoms: Atoms, reload: Callable[[], Potential] | None = None
) -> ContractReport:
    """Run all checks.

    Args:
        model: loaded.
        atoms: periodic, of elements that the model knows; it is rattled, so that no force is
            zero by symmetry.
        reload: loads the model again from where it is stored.

    Raises:
        ModelError: the model cannot answer for this structure at all.
    """
    case = Case(model, moved(atoms, rattle(atoms, 0.05)), reload)
    return ContractReport([check(case) for check in CHECKS])


def of_calculator(
    calculator: Calculator, elements: Sequence[str], dtype: str = "float64"
) -> ThirdPartyModel:
    """An ASE calculator as the checks, and all of forcebase, take it.

    Args:
        calculator: any, with energy, forces and stress.
        elements: symbols that it knows.
        dtype: the precision that it claims.
    """
    module = type(calculator).__module__
    engine = CalculatorEngine(calculator, f"{module}:{type(calculator).__name__}")
    return ThirdPartyModel(engine, "0" * 64, dtype, tuple(atomic_numbers[e] for e in elements))


def energy_noise(model: Potential, atoms: Atoms) -> float:
    """How far energy differences over steps too small to matter are from the forces, eV.

    Of each step forth and back, so that the curvature drops out.
    """
    case = Case(model, atoms)
    direction = rattle(atoms, 1.0)
    direction /= np.linalg.norm(direction)
    steps = NOISE_STEP * np.array([1, -1, 2, -2])
    energies = case.ask([moved(atoms, step * direction) for step in steps]).energies
    slope = -float(np.sum(case.labels.forces * direction))
    return _largest(energies[::2] - energies[1::2] - 2 * slope * steps[::2])


def _symmetry(case: Case, name: str, deviation: float, note: str) -> Finding:
    tolerance = case.tolerance(1e-7, 2e-4)
    return Finding(name, deviation, tolerance, "eV/atom, eV/A, eV/A^3", note)


def _apart(found: Labels, expected: Labels, repeats: int) -> float:
    """The largest difference to `repeats` copies of what was expected; energies per atom."""
    per_structure = len(expected.forces) / len(expected.energies)
    return _largest_of(
        _largest(found.energies - np.tile(expected.energies, repeats)) / per_structure,
        _largest(found.forces - np.tile(expected.forces, (repeats, 1))),
        _largest(found.stresses - np.tile(expected.stresses, (repeats, 1))),
    )


def _strained(atoms: Atoms, strain: NDArray[np.float64]) -> Atoms:
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return strained


def _tensor(stress: NDArray[np.float64]) -> NDArray[np.float64]:
    """(6,) in ASE's Voigt order as (3, 3)."""
    xx, yy, zz, yz, xz, xy = stress
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def _largest_of(*deviations: float) -> float:
    """Like `max`, which however loses a NaN."""
    return float(np.max(deviations))


def _largest(values: NDArray[np.float64]) -> float:
    return float(np.abs(values).max())
