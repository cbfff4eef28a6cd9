from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ase.build import bulk, mx2
from ase.io import read
from jobflow import JobStore
from monty.json import MontyDecoder, MontyEncoder
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.errors import CalculationError, InputError, MissingDependencyError
from forcebase.ingest.described_method import described_method
from forcebase.makers.gpaw import MESH_RULE, GPAWStaticMaker, GPAWTaskDocument, dft_method
from forcebase.units import stress_from_kbar_pressure

DATA = Path(__file__).parents[2] / "data" / "wse2_gpaw"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def layer() -> Structure:
    atoms = mx2("WSe2", a=3.25, thickness=3.36, vacuum=5.0)
    atoms.pbc = True
    atoms.rattle(0.03, seed=1)
    return AseAtomsAdaptor.get_structure(atoms)


def run(maker: GPAWStaticMaker, structure: Structure, store: JobStore) -> GPAWTaskDocument:
    return maker.make(structure).run(store).output


def test_the_method_is_that_of_the_data_which_comes_along() -> None:
    described = described_method(yaml.safe_load((DATA / "method.yaml").read_text())["method"])
    made = described_method(dft_method(functional="PBE", cutoff=350.0, smearing_width=0.01))
    assert made.method.id == described.method.id
    assert described.given["k_rule"] == {"rule": MESH_RULE, "spacing_per_A": 0.38}
    assert described.library_version == "1.2.1"


def test_meshes_are_those_of_the_data_which_comes_along() -> None:
    maker = GPAWStaticMaker()
    for atoms in read(DATA / "wse2_gpaw_pbe.extxyz", ":"):
        assert "x".join(map(str, maker.k_mesh(atoms))) == atoms.info["kpts"]


@pytest.mark.parametrize("name", ["xc", "mode", "kpts", "spinpol", "setups"])
def test_parameters_that_make_another_method_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=name):
        GPAWStaticMaker(calculator_kwargs={name: "anything"})


def test_without_gpaw_the_packages_are_named(
    monkeypatch: pytest.MonkeyPatch, layer: Structure, store: JobStore
) -> None:
    monkeypatch.setitem(sys.modules, "gpaw", None)  # as Python does for a failed import
    with pytest.raises(MissingDependencyError) as caught:
        run(GPAWStaticMaker(), layer, store)
    for word in ("forcebase[dft]", "libxc-dev", "libopenblas-dev", "libopenmpi-dev"):
        assert word in str(caught.value)


@pytest.mark.dft
def test_the_document_says_all_that_was_done(layer: Structure, store: JobStore) -> None:
    pytest.importorskip("gpaw")
    maker = GPAWStaticMaker(cutoff=150.0, k_spacing=1.2, force_tolerance=0.05)
    document = run(maker, layer, store)
    assert document.k_mesh == (2, 2, 1)
    assert document.calculator_parameters["kpts"] == {"size": (2, 2, 1), "gamma": True}
    assert document.method["basis"]["cutoff_eV"] == 150.0
    assert document.given["k_rule"]["spacing_per_A"] == 1.2
    assert document.given["potentials"].keys() == {"W", "Se"}
    assert document.setups.keys() == {"W", "Se"}
    assert document.converged
    assert 3 < document.n_iterations < 60
    assert document.convergence["forces_eV_per_A"] == document.scf_criteria["forces"]["atol"]
    assert document.wall_time > 0
    assert document.structure == layer
    np.testing.assert_allclose(document.output.forces, document.forces, atol=1e-12)
    np.testing.assert_allclose(
        stress_from_kbar_pressure(document.output.stress), document.stress, rtol=1e-6, atol=1e-12
    )
    assert document.output.energy == document.energy
    assert abs(np.sum(document.forces, axis=0)).max() < 0.3
    _survives_the_road(document)


def _survives_the_road(document: GPAWTaskDocument) -> None:
    text = MontyEncoder().encode(document)
    again: Any = MontyDecoder().decode(text)
    assert type(again) is GPAWTaskDocument
    assert again.forces == document.forces
    assert len(text) < 10_000


@pytest.mark.dft
def test_a_compressed_crystal_has_negative_stress(store: JobStore) -> None:
    pytest.importorskip("gpaw")
    small = AseAtomsAdaptor.get_structure(bulk("Si", a=5.1))
    document = run(GPAWStaticMaker(cutoff=250.0, k_spacing=0.9), small, store)
    assert document.k_mesh == (3, 3, 3)
    assert max(document.stress[:3]) < -0.05
    assert np.mean(np.diag(document.output.stress)) > 50


@pytest.mark.dft
def test_no_convergence_is_an_error(layer: Structure, store: JobStore) -> None:
    pytest.importorskip("gpaw")
    hasty = GPAWStaticMaker(cutoff=150.0, k_spacing=1.2, calculator_kwargs={"maxiter": 2})
    with pytest.raises(CalculationError, match="2 iterations") as caught:
        run(hasty, layer, store)
    assert caught.value.evidence == {"converged": False, "n_iterations": 2}


@pytest.mark.dft
def test_the_data_which_comes_along_is_reproduced(store: JobStore) -> None:
    pytest.importorskip("gpaw")
    frames = read(DATA / "wse2_gpaw_pbe.extxyz", ":")
    atoms = next(frame for frame in frames if frame.info["dft_index"] == 3)
    document = run(GPAWStaticMaker(), AseAtomsAdaptor.get_structure(atoms), store)
    assert document.energy == pytest.approx(atoms.info["REF_energy"], abs=1e-4)
    np.testing.assert_allclose(document.forces, atoms.arrays["REF_forces"], atol=1e-3)
    np.testing.assert_allclose(document.stress, atoms.info["REF_stress"], atol=1e-5)
