"""Labelled cells, the trained model of the session, and models of random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ase.io import read

from forcebase.digest import bytes_digest
from forcebase.frames import Frames
from forcebase.models.mace_calculator import LoadedModel, load_mace
from forcebase.models.network_form import describe_network


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
def training(quick_model) -> Any:
    """The training of the session: splits, e0s, settings, folder, heard and trained."""
    return quick_model.training


@pytest.fixture(scope="session")
def model(quick_model) -> LoadedModel:
    """What came of it, loaded."""
    return quick_model.load()


@pytest.fixture(scope="session")
def random_model() -> Callable[..., LoadedModel]:
    """A function that makes a MACE model of W and Se with random weights, of the kind asked for."""
    made: dict[str, LoadedModel] = {}

    def make(dtype: str = "float64", **changes: Any) -> LoadedModel:
        key = f"{dtype} {sorted(changes.items(), key=str)}"
        if key not in made:
            neutral = describe_network(_random_network("float64", **changes)).to_bytes()
            made[key] = load_mace(neutral, bytes_digest(neutral), dtype)
        return made[key]

    return make


@pytest.fixture(scope="session")
def random_network() -> Callable[..., Any]:
    """A function that makes a MACE network of W and Se in a precision: `(dtype, **changes)`."""
    return _random_network


def _random_network(dtype: str, **changes: Any) -> Any:
    import mace.modules as modules  # before e3nn
    import torch
    from e3nn import o3

    settings = {
        "r_max": 4.0,
        "num_bessel": 6,
        "num_polynomial_cutoff": 5,
        "max_ell": 2,
        "interaction_cls": modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        "interaction_cls_first": modules.interaction_classes["RealAgnosticInteractionBlock"],
        "num_interactions": 2,
        "num_elements": 2,
        "hidden_irreps": "4x0e + 4x1o",
        "MLP_irreps": o3.Irreps("5x0e"),
        "atomic_energies": [-3.0, -5.0],
        "avg_num_neighbors": 9.0,
        "atomic_numbers": [34, 74],
        "correlation": 2,
        "gate": torch.nn.functional.silu,
        "radial_MLP": [8, 8],
        "atomic_inter_scale": 1.3,
        "atomic_inter_shift": 0.1,
        **changes,
    }
    settings["hidden_irreps"] = o3.Irreps(settings["hidden_irreps"])
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        if settings.pop("unscaled", False):
            del settings["atomic_inter_scale"], settings["atomic_inter_shift"]
            network = modules.MACE(**settings)
        else:
            network = modules.ScaleShiftMACE(**settings)
    torch.set_default_dtype(before)
    return network
