"""Whether two databases hold the same records: by id where content is exact, else by their digits.

The bits of a sum of floats depend on threads, memory and load. So what was read or
drawn is compared by its id, and what a model was trained to or gave by what it was given, and by
values to the digits that its dtype keeps. A prediction has one id wherever it was made, if model
and structure are the same to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forcebase.blob import Blob
from forcebase.database.database import Database
from forcebase.records import Calculation, Dataset, ModelMethod, Phonon, Structure

ENERGY = 1e-5
"""eV an atom, of float64 after a training of some epochs."""
FORCE = 1e-4
"""eV/angstrom."""
LENGTH = 1e-4
"""angstrom, of positions relaxed until forces are below that."""
FORCE_CONSTANT = 1e-2
"""eV/angstrom^2, of two structures that differ by so much."""
OF_A_TRAINING = ("kind", "dtype", "head", "elements", "hyperparameters", "seed", "n_parameters")


def check_same(one: Database, other: Database) -> None:
    """Assert it, for every kind of record that a flow leaves."""
    assert exact_ids(one) == exact_ids(other)
    for left, right in pairs(one.datasets.find(), other.datasets.find(), key=_dataset_key):
        _check_datasets(one, left, other, right)
    for left, right in pairs(_models(one), _models(other), key=lambda m: m.kind):
        _check_models(one, left, other, right)
    for left, right in pairs(_computed(one), _computed(other), key=_structure_key):
        np.testing.assert_allclose(left.positions, right.positions, atol=LENGTH)
        np.testing.assert_allclose(left.cell, right.cell, atol=LENGTH)
    assert predicted_ids(one, other) == predicted_ids(other, one)
    labels = [db.calculations.find(method_class="model") for db in (one, other)]
    for left, right in pairs(*labels, key=lambda c: c.structure):
        _check_labels(left, right)
    for left, right in pairs(one.phonons.find(), other.phonons.find(), key=_phonon_key):
        _check_phonons(one, left, other, right)


def exact_ids(db: Database) -> dict[str, set[str]]:
    """Ids of what was read from files or drawn with a seed: no model had a part in it."""
    return {
        "structures": {s.id for s in db.structures.find()} - {s.id for s in _computed(db)},
        "methods": {m.id for m in db.methods.find() if not m.is_model},
        "calculations": {c.id for c in db.calculations.find(method_class="dft")},
    }


def predicted_ids(db: Database, other: Database) -> dict[str, set[str]]:
    """Ids of what a model gave, of models and structures that both databases have."""
    models = {m.id for m in _models(db)} & {m.id for m in _models(other)}
    structures = {s.id for s in db.structures.find()} & {s.id for s in other.structures.find()}
    labels = db.calculations.find(method_class="model")
    phonons = db.phonons.find(method_class="model")
    return {
        "calculations": {c.id for c in labels if c.method in models and c.structure in structures},
        "phonons": {p.id for p in phonons if p.method in models and p.start in structures},
    }


def pairs(left: Any, right: Any, key: Any) -> list[tuple[Any, Any]]:
    """Records of two databases side by side; there are as many of each key in both."""
    one, other = sorted(left, key=key), sorted(right, key=key)
    assert [key(record) for record in one] == [key(record) for record in other]
    return list(zip(one, other, strict=True))


def _computed(db: Database) -> list[Structure]:
    """Structures that a model relaxed, and those that were made of them."""
    found = {structure.id: structure for structure in db.structures.find()}

    def is_computed(structure: Structure) -> bool:
        parent = found.get(structure.recipe.get("parent"))
        relaxed = structure.recipe.get("operation") == "relax"
        return relaxed or (parent is not None and is_computed(parent))

    return [structure for structure in found.values() if is_computed(structure)]


def _models(db: Database) -> list[ModelMethod]:
    return [method for method in db.methods.find() if method.is_model]


def _structure_key(structure: Structure) -> tuple[str, str, str]:
    return structure.formula, structure.kind, structure.recipe["operation"]


def _dataset_key(dataset: Dataset) -> tuple[str, int]:
    return dataset.name, dataset.version


def _phonon_key(phonon: Phonon) -> tuple[str, str, str]:
    return phonon.method_class, phonon.formula, str(phonon.supercell_matrix)


def _check_datasets(one: Database, left: Dataset, other: Database, right: Dataset) -> None:
    members = [
        {(m.calculation, m.split, m.step) for m in db.members.find(dataset=dataset.id)}
        for db, dataset in ((one, left), (other, right))
    ]
    assert members[0] == members[1] != set()
    assert left.counts == right.counts
    assert [step["name"] for step in left.steps] == [step["name"] for step in right.steps]
    assert dict(left.e0s) == pytest.approx(dict(right.e0s), abs=ENERGY)


def _check_models(one: Database, left: ModelMethod, other: Database, right: ModelMethod) -> None:
    for name in OF_A_TRAINING:
        assert getattr(left, name) == getattr(right, name), name
    assert dict(left.e0s) == pytest.approx(dict(right.e0s), abs=ENERGY)
    trained_on = [
        _dataset_key(db.datasets.get(model.dataset)) if model.dataset else None
        for db, model in ((one, left), (other, right))
    ]
    assert trained_on[0] == trained_on[1]
    assert len(left.learning_curve) == len(right.learning_curve)


def _check_labels(left: Calculation, right: Calculation) -> None:
    assert left.energy == pytest.approx(right.energy, abs=ENERGY * left.n_atoms)
    np.testing.assert_allclose(left.forces, right.forces, atol=FORCE)
    if left.stress is not None:
        np.testing.assert_allclose(left.stress, right.stress, atol=FORCE)


def _check_phonons(one: Database, left: Phonon, other: Database, right: Phonon) -> None:
    assert left.protocol == right.protocol
    assert left.relaxation.get("converged") == right.relaxation.get("converged")
    assert left.defect.get("name") == right.defect.get("name")
    np.testing.assert_allclose(left.primitive_matrix, right.primitive_matrix, atol=1e-9)
    np.testing.assert_allclose(left.masses, right.masses)
    constants = [
        Blob(db.blobs.get(phonon.force_constants)).arrays()["force_constants"]
        for db, phonon in ((one, left), (other, right))
    ]
    np.testing.assert_allclose(constants[0], constants[1], atol=FORCE_CONSTANT)
