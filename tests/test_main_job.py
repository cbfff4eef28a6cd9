"""The main job from the outside: `forcebase demo` on the real data, once and again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE

from forcebase.database.database import Database

COMMAND = Path(sys.executable).parent / "forcebase"
METRICS = (
    "test_energy_mae_meV_per_atom",
    "test_force_mae_meV_per_A",
    "band_mae_THz",
    "lattice_constant_A",
    "dft_over_model_time",
)


def demo(settings, folder, out):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FORCEBASE_")}
    place = {"FORCEBASE_HOME": str(settings.home), "FORCEBASE_DATABASE": settings.database}
    return subprocess.run(
        [COMMAND, "demo", "--epochs", "3", "--out", out],
        env={**environment, "OMP_NUM_THREADS": "1", **place},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
        cwd=folder,
    )


def counts(db):
    return {name: db.raw[name].count_documents({}) for name in db.raw.list_collection_names()}


def check_metrics(db, metrics):
    """Each number is there, is one, and names the records that it follows from."""
    for name in METRICS:
        assert metrics[name] > 0, name
        for source in metrics["sources"][name]:
            db.resolve(source)
        assert metrics["sources"][name], name
    assert 3.0 < metrics["lattice_constant_A"] < 3.7
    assert metrics["leakage"]["n_in_training"] == metrics["leakage"]["n_same_family"] == 0
    assert all(seconds >= 0 for seconds in metrics["seconds"].values())
    assert metrics["seconds"]
    overall = db.validations.get(metrics["records"]["labels"]).metrics["overall"]
    assert metrics["test_energy_mae_meV_per_atom"] == overall["energy"]["mae"]
    assert metrics["test_force_mae_meV_per_A"] == overall["forces"]["mae"]
    bands = db.validations.get(metrics["records"]["phonons"]).metrics
    assert metrics["band_mae_THz"] == bands["band_mae_THz"]


@pytest.mark.training
def test_the_demo_leaves_a_report_and_is_found_again(db, settings, tmp_path):
    out = tmp_path / "report"
    done = demo(settings, tmp_path, out)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    page = (out / "report.html").read_text()
    assert str(out) not in page
    for outside in ('src="http', 'href="http', 'src="//', "url(http"):
        assert outside not in page
    pictures = sorted(out.glob("*.png"))
    assert len(pictures) >= 4
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in pictures)
    metrics = json.loads((out / "metrics.json").read_text())
    check_metrics(db, metrics)
    for record in metrics["records"].values():
        assert record[:10] in page
    assert "report.html" in done.stdout
    assert list(out.glob(".*")) == []
    assert {c.id for c in db.calculations.find(method_class="dft")} >= {
        m.calculation for m in db.members.find()
    }

    before = counts(db)
    again = demo(settings, tmp_path, out)
    assert again.returncode == 0, again.stderr
    assert counts(db) == before
    repeated = json.loads((out / "metrics.json").read_text())
    assert repeated["records"] == metrics["records"]
    assert {name: repeated[name] for name in METRICS} == {name: metrics[name] for name in METRICS}


def test_a_folder_that_cannot_be_written_to_is_said_before_the_training(settings, tmp_path):
    (tmp_path / "file").write_text("")
    done = demo(settings, tmp_path, tmp_path / "file" / "report")
    assert done.returncode == 2
    assert "cannot be written to" in done.stderr
    assert "Traceback" not in done.stderr
    db = Database(settings)
    assert db.activities.count() == 0
    db.close()
