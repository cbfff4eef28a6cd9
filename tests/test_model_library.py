"""Models from elsewhere in the database: added once, used like any other, never unchecked."""

import importlib
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import bulk
from mace.calculators import MACECalculator

from forcebase.actions.models import add_model, check_stored_model, export_model, open_model
from forcebase.actions.phonons import compute_phonon
from forcebase.actions.predictions import predict
from forcebase.comparison import compare_labels
from forcebase.errors import (
    ForcebaseError,
    InputError,
    IntegrityError,
    MissingDependencyError,
    ModelError,
)
from forcebase.frames import Frames
from forcebase.ingest.batch import Batch
from forcebase.models.sources import Source
from forcebase.models.third_party.environments import python_of
from forcebase.models.third_party.model import _engine, load_third_party
from forcebase.records import Activity, Structure

EMT = Source("ase", "ase.calculators.emt:EMT", elements=("Cu", "Au"))


def add_structure(db, atoms):
    structure = Structure.from_atoms(atoms, family="f" * 64, kind="test")
    Batch(structures=[structure]).write(db, Activity(id="test", kind="import", name="test"))
    return structure


def test_a_calculator_is_added_once_and_keeps_the_contract(db):
    model = add_model(db, EMT)
    assert add_model(db, EMT).id == model.id
    assert db.methods.count() == 1
    assert model.package.startswith("ase ")
    assert model.elements == ["Cu", "Au"]
    assert model.arguments["callable"] == "ase.calculators.emt:EMT"
    assert model.dtype == "float64"
    assert model.digest() == model.id
    assert check_stored_model(db, model).passed


def test_keywords_make_another_model(db):
    plain = add_model(db, EMT)
    told = add_model(
        db, Source("ase", EMT.source, keywords={"asap_cutoff": True}, elements=("Cu", "Au"))
    )
    assert told.id != plain.id
    assert told.weights == plain.weights


MODULE = """
from ase.calculators.emt import EMT


class Scaled(EMT):
    def calculate(self, *arguments, **keywords):
        super().calculate(*arguments, **keywords)
        for name in ("energy", "free_energy", "forces", "stress"):
            if name in self.results:
                self.results[name] = SCALE * self.results[name]
"""


def test_code_that_changes_under_one_name_is_noticed(db, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file, source = tmp_path / "mine.py", Source("ase", "mine:Scaled", elements=("Cu", "Au"))

    def write(scale):
        sys.modules.pop("mine", None)
        file.write_text(MODULE.replace("SCALE", scale))
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        importlib.invalidate_caches()
        _engine.cache_clear()

    write("1.0")
    model = add_model(db, source)
    assert add_model(db, source).id == model.id
    with pytest.raises(InputError, match="knows Cu, Au"):
        add_model(db, replace(source, elements=("Cu", "Au", "Ag")))
    write("1.5")
    with pytest.raises(ModelError, match="no longer gives the answers"):
        add_model(db, source)
    structure = add_structure(db, bulk("Cu", a=3.6))
    with pytest.raises(ForcebaseError, match="no longer gives the answers"):
        compute_phonon(db, model, structure, [[2, 0, 0], [0, 2, 0], [0, 0, 2]])
    assert db.phonons.count() == 0
    file.write_text("def broken(:")
    sys.modules.pop("mine")
    importlib.invalidate_caches()
    with pytest.raises(InputError, match="Module mine cannot be imported: SyntaxError"):
        add_model(db, Source("ase", "mine:Other", elements=("Cu",)))


def test_predictions_and_phonons_are_records_like_any_other(db):
    model = add_model(db, EMT)
    structure = add_structure(db, bulk("Cu", a=3.6))
    assert predict(db, model, [structure.id]) == 1
    assert predict(db, model, [structure.id]) == 0
    (found,) = db.calculations.find(method=model.id)
    atoms = found.to_atoms(structure)
    assert np.isfinite(atoms.get_stress()).all()
    assert compare_labels(db, model, model).metrics["overall"]["energy"]["max"] == 0
    phonon = compute_phonon(db, model, structure, [[2, 0, 0], [0, 2, 0], [0, 0, 2]])
    assert phonon.method == model.id
    assert phonon.protocol["method"] == "displacements"
    assert phonon.protocol["why_displacements"] == "the model is not a MACE"


def test_a_mace_file_is_the_model_that_was_trained(db, quick_model, tmp_path):
    path = tmp_path / "my.model"
    path.write_bytes(quick_model.output["weights"].data)
    model = add_model(db, Source("mace", str(path)))
    assert model.kind == "MACE"
    assert model.package is None
    assert model.weights == quick_model.output["weights_sha256"]
    same = add_model(
        db,
        Source(
            "ase",
            "mace.calculators:MACECalculator",
            keywords={"device": "cpu", "default_dtype": "float64"},
            weights=("model_paths", path),
            elements=("W", "Se"),
        ),
    )
    assert same.id != model.id
    assert same.package.startswith("mace-torch ")
    frames = quick_model.frames.take([0])
    path.unlink()  # the file went along
    energies = [open_model(db, m).label(frames).energies[0] for m in (model, same)]
    assert energies[0] == pytest.approx(energies[1], abs=1e-9)


def test_changed_weights_are_not_loaded(db):
    model = add_model(db, EMT)
    assert open_model(db, model).weights_sha256 == model.weights
    with pytest.raises(IntegrityError, match="not loaded"):
        load_third_party("ASE", b"changed", model.weights, "float64", model.arguments, ["Cu"])


def test_what_cannot_be_added_is_named(db, tmp_path):
    for source, message in (
        (Source("foo", "x"), "no kind of model"),
        (Source("mace", str(tmp_path / "none")), "cannot be read"),
        (Source("ase", "ase.calculators.emt:EMT"), "which elements"),
        (Source("ase", "ase.calculators.emt:EMT", elements=("Xx",)), "no element"),
    ):
        with pytest.raises(InputError, match=message):
            add_model(db, source)
    assert db.methods.count() == 0


def test_a_file_is_no_keyword_as_its_path_would_be_kept_in_its_place(db, tmp_path):
    weights = tmp_path / "my.model"
    weights.write_bytes(b"weights")
    keywords = {"model_paths": str(weights)}
    with pytest.raises(InputError, match=r"model_paths is a file, my\.model") as caught:
        add_model(db, Source("ase", EMT.source, keywords=keywords, elements=("Cu",)))
    assert "--weights model_paths=FILE" in caught.value.hint
    assert db.methods.count() == 0


def test_chgnet_keeps_the_contract(db):
    pytest.importorskip("chgnet")
    model = add_model(db, Source("chgnet", "0.3.0"))
    assert model.package.startswith("chgnet ")
    assert len(model.elements) == 94
    with pytest.raises(InputError, match="brings no model"):
        add_model(db, Source("chgnet", "0.9"))


@pytest.mark.training
@pytest.mark.parametrize("kind", ["chgnet", "sevennet"])
def test_bundled_models_keep_the_contract(db, kind):
    source = {"chgnet": "0.3.0", "sevennet": "7net-0"}[kind]
    try:
        python_of({"chgnet": "CHGNet", "sevennet": "SevenNet"}[kind], os.environ)
    except MissingDependencyError as error:
        pytest.skip(error.message)
    model = add_model(db, Source(kind, source))
    report = check_stored_model(db, model)
    assert report.passed, report


def test_an_engine_in_its_own_environment_is_named_in_the_record(db, monkeypatch):
    monkeypatch.setenv("FORCEBASE_PYTHON_ASE", sys.executable)
    model = add_model(db, EMT)
    assert model.environment["where"] == "own environment"
    structure = add_structure(db, bulk("Cu", a=3.6))
    assert predict(db, model, [structure.id]) == 1


TWO_HEADS = Path(__file__).parent / "data" / "models" / "two_heads.model"


def test_of_several_heads_one_is_named_and_in_the_record(db, tmp_path):
    with pytest.raises(InputError, match=r"two_heads\.model has 2 readout heads: ") as caught:
        add_model(db, Source("mace", str(TWO_HEADS)))
    assert "--head" in caught.value.hint
    with pytest.raises(InputError, match="no head 'other'"):
        add_model(db, Source("mace", str(TWO_HEADS), head="other"))
    assert db.methods.count() == 0
    network = torch.load(TWO_HEADS, map_location="cpu", weights_only=False)
    models = [add_model(db, Source("mace", str(TWO_HEADS), head=h)) for h in network.heads]
    assert [model.head for model in models] == network.heads
    assert len({model.id for model in models}) == 2
    atoms = bulk("Cu", cubic=True)
    frames = Frames.from_atoms([atoms], ids=["cu"])
    for model in models:
        calculator = MACECalculator(models=[network], default_dtype="float64", head=model.head)
        atoms.calc = calculator
        found = open_model(db, model).label(frames)
        assert found.energies[0] == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    neutral = tmp_path / "two.safetensors"
    export_model(db, models[0], neutral, "neutral")
    with pytest.raises(InputError, match=r"two.safetensors has 2 readout heads"):
        add_model(db, Source("mace", str(neutral)))


def test_an_added_mace_says_what_its_network_is(db):
    network = torch.load(TWO_HEADS, map_location="cpu", weights_only=False)
    energies = network.atomic_energies_fn.atomic_energies.tolist()
    for place, head in enumerate(network.heads):
        model = add_model(db, Source("mace", str(TWO_HEADS), head=head))
        assert model.e0s == {"Cu": energies[place][0]}
        told = model.hyperparameters
        assert told["r_max"] == float(network.r_max)
        assert told["num_interactions"] == len(network.interactions)
        irreps = network.products[0].linear.irreps_out
        assert told["num_channels"] == irreps[0].mul
        assert told["max_L"] == irreps.lmax
