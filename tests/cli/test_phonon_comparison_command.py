"""`forcebase compare` of two phonons, as a user runs it."""

from __future__ import annotations

import json

import pytest
from small_phonons import unpacked_case
from typer.testing import CliRunner

from forcebase.blob import Blob
from forcebase.cli.main import app
from forcebase.database.crystals import crystal_of
from forcebase.errors import InputError
from forcebase.ingest.outputs import phonon_record
from forcebase.records import ModelMethod


@pytest.fixture
def run(db, settings, monkeypatch, imported):
    """Run a command on a database with the DFT phonon, and two of a model: `here` and `far`."""
    imported(db, "phonopy_wse2_gpaw_3x3.yaml")
    dft = db.phonons.one()
    store(db, dft, "here", 1.1, 0.02)
    store(db, dft, "far", 1.101, 0.05)
    monkeypatch.setenv("FORCEBASE_HOME", str(settings.home))
    monkeypatch.setenv("FORCEBASE_DATABASE", settings.database)

    def invoke(*words):
        return CliRunner().invoke(app, list(words), catch_exceptions=False)

    return invoke


def store(db, dft, name, factor, length):
    """A phonon of a model whose weights are never run."""
    crystal = crystal_of(db, dft)
    arrays = Blob.from_arrays(force_constants=factor * crystal.force_constants)
    db.blobs.put(arrays.data)
    weights = Blob(b"model").sha256
    model = ModelMethod(kind="MACE", weights=weights, dtype="float64", elements=["Se", "W"])
    model = model.sealed()
    db.methods.add([model])
    made = phonon_record(
        db.structures.get(dft.structure),
        model,
        crystal.supercell_matrix,
        crystal.primitive_matrix,
        crystal.masses,
        arrays,
        {"displacement_A": length, "symmetrized": True, "drift_removed": True},
    )
    db.phonons.add([made])
    db.names.name(name, "phonons", made.id)


def test_errors_with_their_floor_and_a_picture(run, tmp_path):
    picture = tmp_path / "pair.png"
    shown = run("compare", "here", "wse2-dft-phonon", "--picture", str(picture)).output
    assert "noise floor of the model: displacement 0.02 A and 0.05 A" in shown
    assert "force_constants.relative" in shown
    assert "distance, A" in shown
    assert "not told by both records: relaxation" in shown
    assert str(picture) in shown.replace("\n", "")
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_no_spectra_are_computed_twice(run, tmp_path, counted):
    """Those of the comparison are in the picture; the floor is a comparison of its own."""
    spectra = counted("forcebase.physics.spectra", "spectra_of")
    picture = str(tmp_path / "pair.png")
    run("compare", "here", "wse2-dft-phonon", "--picture", picture)
    assert spectra.calls == 2
    run("compare", "here", "wse2-dft-phonon")
    assert spectra.calls == 2
    run("compare", "here", "wse2-dft-phonon", "--picture", picture)
    assert spectra.calls == 3


def test_json_has_the_record_and_the_floors(run):
    answer = json.loads(run("compare", "here", "wse2-dft-phonon", "--json").output)
    assert answer["metrics"]["force_constants"]["relative"] == pytest.approx(0.1, rel=1e-6)
    (floor,) = answer["floors"]
    assert floor["values"] == ["0.02 A", "0.05 A"]
    assert floor["metrics"]["force_constants"]["relative"] == pytest.approx(0.001 / 1.1, rel=1e-3)


def test_whose_born_charges(run, db, tmp_path):
    folder = unpacked_case("ph_nac_params", tmp_path)
    assert run("import", str(folder)).exit_code == 0
    (salt,) = [p for p in db.phonons.find() if p.born is not None]
    shown = " ".join(run("compare", salt.id, salt.id).output.split())
    assert "the splitting of longitudinal and transversal modes is the reference's" in shown
    assert "gamma.G-X.highest_reference_THz" in shown
    assert "7.39" in shown
    shown = " ".join(run("compare", salt.id, salt.id, "--nac", "none").output.split())
    assert "left out on both sides, as asked" in shown
    assert "gamma.G-X" not in shown
    with pytest.raises(InputError, match="no Born charges 'some'"):
        run("compare", salt.id, salt.id, "--nac", "some")


def test_allow(run):
    with pytest.raises(InputError, match="displacement"):
        run("compare", "far", "wse2-dft-phonon")
    words = ("compare", "far", "wse2-dft-phonon", "--allow", "displacement", "--allow", "nac")
    shown = run(*words).output
    assert "allowed: displacement, 0.05 A and 0.02 A" in shown
    method = json.loads(run(*words, "--json").output)["model"]
    with pytest.raises(InputError, match="Only phonons"):
        run("compare", method, method, "--allow", "nac")
