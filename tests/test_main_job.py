"""The main job from the outside: `forcebase demo` of an installed wheel, on the real data."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from ase.io import read, write
from typer.testing import CliRunner

from forcebase.actions import main_job
from forcebase.actions.datasets import build_dataset
from forcebase.actions.main_job import DATA, WSE2, MainJob, run_main_job
from forcebase.cli.main import app
from forcebase.database.database import Database
from forcebase.ingest.importing import import_paths
from forcebase.models.training_settings import QUICK
from forcebase.provenance.taint import remove_taint, set_taint

ROOT = Path(__file__).parents[1]
METRICS = (
    "test_energy_mae_meV_per_atom",
    "test_force_mae_meV_per_A",
    "band_mae_THz",
    "band_mae_v_Se_in_2x2x1_THz",
    "lattice_constant_A",
    "dft_over_model_time",
)
BAD = replace(QUICK, epochs=1, lr=1e-6)
"""Of a model that has learnt nothing: its crystal shrinks by a tenth."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of these sources, built without a network, beside no clone."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("src", "data"):
        shutil.copytree(ROOT / name, folder / "tree" / name, symlinks=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "tree")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--quiet", "--wheel-dir", str(folder), str(folder / "tree")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    shutil.rmtree(folder / "tree")
    return built


@pytest.fixture
def demo(wheel, settings, tmp_path):
    """`forcebase demo` of the unpacked wheel, in a folder of its own."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FORCEBASE_")}
    place = {"FORCEBASE_HOME": str(settings.home), "FORCEBASE_DATABASE": settings.database}
    environment = {**kept, **place, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(site)}

    def run(*arguments):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "forcebase.cli.main", "demo", *map(str, arguments)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, cwd=elsewhere
        )

    return run


def test_the_wheel_holds_the_data(wheel):
    link = ROOT / "src" / "forcebase" / "data"
    assert link.is_symlink()
    assert link.resolve() == ROOT / "data"
    names = {str(path.relative_to(ROOT)) for path in (ROOT / "data").rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel) as packed:
        held = {name for name in packed.namelist() if "/data/" in name}
    assert held == {f"forcebase/{name}" for name in names}


def counts(db):
    """Documents of each collection, but for the journal: a name that moved is moved back."""
    names = set(db.raw.list_collection_names()) - {"journal"}
    return {name: db.raw[name].count_documents({}) for name in names}


def check_metrics(db, metrics):
    """Each number is there, is one, and names the records that it follows from."""
    for name in METRICS:
        assert metrics[name] > 0, name
        for source in metrics["sources"][name]:
            db.resolve(source)
        assert metrics["sources"][name], name
    assert metrics["missing"] == {}
    assert 3.0 < metrics["lattice_constant_A"] < 3.7
    assert metrics["dft_over_model_time"] > 10
    assert metrics["leakage"]["n_in_training"] == metrics["leakage"]["n_same_family"] == 0
    assert all(seconds >= 0 for seconds in metrics["seconds"].values())
    assert metrics["seconds"]
    overall = db.validations.get(metrics["records"]["labels"]).metrics["overall"]
    assert metrics["test_energy_mae_meV_per_atom"] == overall["energy"]["mae"]
    assert metrics["test_force_mae_meV_per_A"] == overall["forces"]["mae"]
    bands = db.validations.get(metrics["records"]["phonons"]).metrics
    assert metrics["band_mae_THz"] == bands["band_mae_THz"]
    settings = db.methods.get(metrics["records"]["model"]).hyperparameters
    assert metrics["settings"] == settings
    assert (settings["threads"], settings["epochs"]) == (1, 3)
    assert not [name for name, value in settings.items() if value is None]


def check_page(out, metrics):
    page = (out / "report.html").read_text()
    assert str(out) not in page
    for outside in ('src="http', 'href="http', 'src="//', "url(http"):
        assert outside not in page
    pictures = sorted(out.glob("*.png"))
    assert len(pictures) >= 6
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in pictures)
    for name, record in metrics["records"].items():
        for one in record if name == "further_phonons" else [record]:
            assert one[:10] in page
    assert list(out.glob(".*")) == []
    assert f"<title>{metrics['title']}</title>" in page


def named(db, metrics):
    """What the demo's names stand for."""
    records = metrics["records"]
    assert db.names.named("gpaw-pbe") == ("methods", records["reference"])
    assert db.names.named("wse2-mace-3-epochs") == ("methods", records["model"])
    assert db.names.named("wse2-mace-3-epochs-phonon") == ("phonons", records["phonon"])
    return db.names.named("wse2-mace-3-epochs-phonon-v_Se-2x2x1")


@pytest.mark.training
def test_the_demo_is_right_whatever_was_done_before_it(demo, db, tmp_path):
    """From a wheel: report, numbers, names; then what people do next, and the demo again."""
    out = tmp_path / "report"
    done = demo("--epochs", 3, "--threads", 1, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Training: 3 epochs, batches of 8, float32, 1 thread." in done.stderr
    assert "report.html" in done.stdout
    metrics = json.loads((out / "metrics.json").read_text())
    check_metrics(db, metrics)
    check_page(out, metrics)
    assert metrics["title"] == "WSe2 monolayer: MACE wse2-mace-3-epochs against GPAW PBE"
    vacancy = named(db, metrics)
    dataset = db.datasets.get(metrics["records"]["dataset"])
    assert (dataset.title, dataset.counts["train"]) == ("wse2-pbe@1", 86)

    do_what_people_do(db, tmp_path)
    assert [d.version for d in db.datasets.find(name="wse2-pbe", sort="version")] == [1, 2]
    before, noted = counts(db), db.raw["journal"].count_documents({})
    again = demo("--epochs", 3, "--out", out)  # with any number of threads
    assert again.returncode == 0, again.stderr
    assert counts(db) == before
    assert db.raw["journal"].count_documents({}) == noted + 1
    repeated = json.loads((out / "metrics.json").read_text())
    assert "Training" not in again.stderr
    assert {**repeated, "seconds": {}} == {**metrics, "seconds": {}}
    assert named(db, metrics) == vacancy


def do_what_people_do(db, tmp_path):
    """Further records of the method, another phonon, other versions, names that move, a taint."""
    import_paths(db, [further_records(tmp_path / "further")])
    build_dataset(db, "wse2-pbe", {"elements": ["Se", "W"], "method_class": "dft"})
    build_dataset(db, "another", {"id": [c.id for c in db.calculations.find(method_class="dft")]})
    for name in ("gpaw-pbe", "wse2-mace-3-epochs"):
        db.names.name(name, "methods", db.methods.one().id)
    calculation = db.calculations.one(method_class="dft")
    set_taint(db, "calculations", calculation.id, "looked at again")
    remove_taint(db, calculation.id)


def further_records(folder):
    """Unit cells stretched a little more, with the energy that goes with it, and a phonon."""
    folder.mkdir()
    cells = []
    for i, atoms in enumerate(read(DATA / "wse2_gpaw" / "wse2_gpaw_pbe.extxyz", ":3")):
        info, forces = dict(atoms.info), atoms.arrays["REF_forces"]
        atoms.set_cell(atoms.cell * [1.002, 1.002, 1.0], scale_atoms=True)
        atoms.info = {**info, "REF_energy": info["REF_energy"] + 0.01, "rattle_seed": 9000 + i}
        atoms.arrays["REF_forces"] = forces
        cells.append(atoms)
    write(folder / "wse2_gpaw_pbe.extxyz", cells)
    for name in ("method.yaml", "gpaw_logs.tar.xz"):
        shutil.copy(DATA / "wse2_gpaw" / name, folder)
    return folder


def test_the_dataset_is_the_same_whatever_was_imported_first(db, settings, tmp_path):
    """In another order, with other records, other phonons and another dataset beside it."""
    job = MainJob()
    fresh = replace(settings, database=f"{settings.database}_fresh")
    other = Database(fresh)
    try:
        held = main_job._import(other, job, None)
        plain = main_job._dataset(other, job, held, print, None)
    finally:
        other.client.drop_database(fresh.database)
        other.close()
    import_paths(db, [further_records(tmp_path / "further")])
    for folder in reversed(WSE2):
        import_paths(db, [DATA / folder])
    build_dataset(db, "mine", {"elements": ["Se", "W"]})
    held = main_job._import(db, job, None)
    dataset = main_job._dataset(db, job, held, print, None)
    assert (dataset.title, dataset.counts) == (plain.title, plain.counts)
    assert (dataset.members_root, dataset.e0s) == (plain.members_root, plain.e0s)


@pytest.mark.training
def test_a_bad_model_ends_with_a_report_that_says_what_it_does_not_allow(
    db, settings, tmp_path, monkeypatch
):
    bad = MainJob(data=(DATA / "wse2_gpaw",), settings=BAD)
    monkeypatch.setattr(main_job, "DEMO_JOB", bad)
    monkeypatch.setenv("FORCEBASE_HOME", str(settings.home))
    monkeypatch.setenv("FORCEBASE_DATABASE", settings.database)
    monkeypatch.setenv("COLUMNS", "200")
    db.names.name("wse2-mace-phonon", "phonons", "0" * 64)
    done = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    what = "phonons, WSe2 in 3x3x1"
    assert f"Not compared: {what}: " in done.output
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(metrics["missing"]) == {what}
    assert "not one structure" in metrics["missing"][what]
    assert "band_mae_THz" not in metrics
    assert metrics["test_force_mae_meV_per_A"] > 100
    assert metrics["lattice_constant_error_A"] > 0.1
    assert metrics["records"]["phonon"]
    assert "phonons" not in metrics["records"]
    page = (tmp_path / "report.html").read_text()
    assert f"Not compared: {what}.</b>" in page
    assert not (tmp_path / "bands.png").exists()
    assert db.names.named("wse2-mace-phonon") == ("phonons", metrics["records"]["phonon"])

    answer = run_main_job(db, bad, tmp_path)
    assert answer.missing == metrics["missing"]


def test_a_folder_that_cannot_be_written_to_is_said_before_the_training(demo, db, tmp_path):
    (tmp_path / "file").write_text("")
    done = demo("--epochs", 3, "--out", tmp_path / "file" / "report")
    assert done.returncode == 2
    assert "cannot be written to" in done.stderr
    assert "Traceback" not in done.stderr
    assert db.activities.count() == 0
