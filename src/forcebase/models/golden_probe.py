"""The golden probe: a structure and a model's answers, to notice when they change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.errors import ModelError
from forcebase.frames import Frames
from forcebase.models.evaluation import evaluate
from forcebase.models.loading import load_model
from forcebase.models.potential import Potential
from forcebase.outputs import GoldenProbe, ModelOutput
from forcebase.safety.structures import plain_structure

TOLERANCE = {"float64": 1e-8, "float32": 1e-3}
"""eV and eV/angstrom; versions and machines differ in the last digits."""


def probe_frames(elements: Sequence[str]) -> Frames:
    """Make a structure for a model that brings no data: two of its elements, out of order.

    Args:
        elements: symbols that the model knows; the first two are taken, by the alphabet.
    """
    chosen = (sorted(elements) * 2)[:2]
    numbers = [atomic_numbers[symbol] for symbol in chosen]
    bond = float(sum(covalent_radii[z] for z in numbers))
    atoms = bulk("".join(chosen), "cesiumchloride", a=2 / 3**0.5 * bond).repeat((2, 1, 1))
    atoms.positions += np.random.default_rng(0).normal(scale=0.05, size=(len(atoms), 3))
    return Frames.from_atoms([atoms], ids=["probe"])


def probe_of_all(numbers: Sequence[int], cutoff: float) -> Frames:
    """Make a structure with every element that a model knows, some atoms close to each other.

    Args:
        numbers: atomic numbers.
        cutoff: of the model, angstrom: each atom has neighbours within it.
    """
    n = max(2, int(np.ceil(len(numbers) ** (1 / 3))))
    radius = float(np.mean([covalent_radii[z] for z in numbers]))
    spacing = min(1.8 * radius, 0.6 * cutoff)
    rng = np.random.default_rng(1)
    sites = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = (sites + rng.uniform(-0.15, 0.15, size=sites.shape)) * spacing
    atoms = Atoms(
        numbers=np.resize(np.asarray(numbers), len(sites)),
        positions=positions,
        cell=np.eye(3) * n * spacing,
        pbc=True,
    )
    return Frames.from_atoms([atoms], ids=["probe"])


def make_probe(frames: Frames, model: Potential) -> GoldenProbe:
    """Take the first structure of `frames` and the model's answers to it."""
    first = evaluate(frames.take([0]), model).frames
    structure = AseAtomsAdaptor.get_structure(next(first.atoms()))
    return {
        "structure": structure.as_dict(),
        "energy": float(first.energies[0]),
        "forces": first.forces.tolist(),
        "stress": first.stresses[0].tolist(),
    }


def load_checked(model: ModelOutput) -> Potential:
    """Load a model that still gives the answers stored with it; one without a probe is let pass.

    Raises:
        IntegrityError: the weights are not those of the digest.
        MissingDependencyError: its package is not installed.
        ModelError: its package cannot read the file, or the answers are others.
    """
    loaded = load_model(model)
    if model["golden_probe"]:
        check_probe(model["golden_probe"], loaded)
    return loaded


def check_probe(probe: GoldenProbe, model: Potential) -> float:
    """Ask again, and give the largest deviation in eV or eV/angstrom.

    Raises:
        ModelError: the answers are no longer those that were stored.
    """
    atoms = AseAtomsAdaptor.get_atoms(plain_structure(probe["structure"]))
    now = evaluate(Frames.from_atoms([atoms], ids=["probe"]), model).frames
    answers = np.concatenate([now.energies, now.forces.ravel(), now.stresses.ravel()])
    stored = np.concatenate([[probe["energy"]], np.ravel(probe["forces"]), probe["stress"]])
    same_shape = answers.shape == stored.shape
    deviation = float(np.abs(answers - stored).max()) if same_shape else float("inf")
    if not deviation <= TOLERANCE[model.dtype]:  # NaN is not an answer either
        raise ModelError(
            f"The model {model.weights_sha256[:10]} no longer gives the answers that were "
            f"stored with it: off by {deviation:.2e} eV or eV/angstrom.",
            hint="Compare the installed package versions with those in its record.",
            deviation=deviation,
        )
    return deviation
