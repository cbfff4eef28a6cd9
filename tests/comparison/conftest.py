"""Phonons for tests of comparisons: the real DFT one, and others made from it."""

from __future__ import annotations

import pytest

from forcebase.blob import Blob
from forcebase.database.crystals import crystal_of
from forcebase.ingest.outputs import phonon_record
from forcebase.records import ModelMethod, Structure

PROTOCOL = {"displacement_A": 0.02, "symmetrized": True, "drift_removed": True}


@pytest.fixture
def dft_phonon(db, imported):
    """The record of the 3x3 supercell, PBE."""
    imported(db, "phonopy_wse2_gpaw_3x3.yaml")
    return db.phonons.one()


@pytest.fixture
def dft_crystal(db, dft_phonon):
    return crystal_of(db, dft_phonon)


@pytest.fixture
def store_phonon(db):
    """Store a crystal as the phonon of a model; its weights are never run."""

    def store(crystal, protocol=None, relaxation=None, *, weights="model", **of_model):
        arrays = Blob.from_arrays(force_constants=crystal.force_constants)
        db.blobs.put(arrays.data)
        model = ModelMethod(
            kind="MACE",
            weights=Blob(weights.encode()).sha256,
            **{"dtype": "float64", "elements": ["Se", "W"], **of_model},
        ).sealed()
        structure = Structure.from_atoms(crystal.unit_cell)
        db.methods.add([model])
        db.structures.add([structure])
        made = phonon_record(
            structure,
            model,
            crystal.supercell_matrix,
            crystal.primitive_matrix,
            crystal.masses,
            arrays,
            {**PROTOCOL, **(protocol or {})},
            response=crystal.response,
            moments=crystal.moments,
            relaxation={"converged": True} if relaxation is None else relaxation,
        )
        db.phonons.add([made])
        return made

    return store
