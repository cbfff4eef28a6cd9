"""A real MACE model of seconds, trained once a session, and what it was trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from ase.io import read

from forcebase.digest import bytes_digest
from forcebase.frames import Frames
from forcebase.models.mace_calculator import LoadedModel, load_mace
from forcebase.models.mace_training import Epoch, TrainedModel, train_mace
from forcebase.models.training_settings import QUICK, TrainingSettings
from forcebase.physics.reference_energies import fit_e0s


@dataclass(frozen=True)
class Training:
    """A training, its inputs and what was heard of it."""

    splits: dict[str, Frames]
    e0s: dict[str, float]
    settings: TrainingSettings
    folder: Path
    heard: list[Epoch]
    trained: TrainedModel


@pytest.fixture(scope="session")
def labelled(data_folder: Path) -> Frames:
    """All labelled cells."""
    atoms = read(data_folder / "wse2_gpaw_pbe.extxyz", ":")
    return Frames.from_atoms(
        atoms,
        ids=[f"c{a.info['dft_index']:04}" for a in atoms],
        energies=[a.info["REF_energy"] for a in atoms],
        forces=[a.arrays["REF_forces"] for a in atoms],
        stresses=[a.info["REF_stress"] for a in atoms],
    )


@pytest.fixture(scope="session")
def unit_cells(labelled: Frames) -> Frames:
    """The labelled cells of 3 atoms."""
    return labelled.take([i for i, n in enumerate(labelled.n_atoms) if n == 3])


@pytest.fixture(scope="session")
def training(unit_cells: Frames, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A training of seconds, on layers that are not periodic across."""
    layers = replace(unit_cells, pbc=unit_cells.pbc & [True, True, False])
    splits = {"train": layers.take(range(10)), "valid": layers.take(range(10, 14))}
    e0s = fit_e0s(unit_cells.numbers, unit_cells.owners, unit_cells.energies)
    settings = replace(QUICK, epochs=3)
    folder = tmp_path_factory.mktemp("training")
    heard: list[Epoch] = []
    trained = train_mace(splits, e0s, settings, folder, heard.append)
    return Training(splits, e0s, settings, folder, heard, trained)


@pytest.fixture(scope="session")
def model(training: Training) -> LoadedModel:
    """What came of it, loaded."""
    weights = training.trained.weights
    return load_mace(weights, bytes_digest(weights))
