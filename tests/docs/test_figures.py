"""Figures of the text are those of benchmarks/results."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys

import numpy as np
import pytest
from ase.io import read
from documents import ROOT

from forcebase.actions.datasets import build_dataset

SCRIPT = ROOT / "benchmarks" / "figures.py"
figures = runpy.run_path(str(SCRIPT))
significant, rewritten = figures["significant"], figures["rewritten"]


def run(root, *arguments):
    script = root / "benchmarks" / "figures.py"
    return subprocess.run(
        [sys.executable, script, *arguments], capture_output=True, text=True, check=False
    )


def test_no_figure_is_stale():
    done = run(ROOT, "--check")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nrun `python benchmarks/figures.py`"


def test_figures_are_many():
    text = "".join(path.read_text() for path in figures["TEXTS"])
    assert len(figures["FIGURE"].findall(text)) > 100


@pytest.fixture
def clone(tmp_path):
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    shutil.copy(SCRIPT, tmp_path / "benchmarks")
    found = {"seconds": 82.6, "by": [{"a b": 1234567.8}], "share": 0.012046}
    (tmp_path / "benchmarks" / "results" / "run.json").write_text(json.dumps(found))
    (tmp_path / "README.md").write_text(
        "It takes 12<!--run:seconds .0f--> s, | 1,000<!--run:by.0.a b 3s--> |"
        " 5.5<!--run:share*100 .1f--> % in 1e-9<!--run:share .0e-->"
    )
    return tmp_path


def test_a_stale_figure_is_named_and_mended(clone):
    before = (clone / "README.md").read_text()
    done = run(clone, "--check")
    assert done.returncode == 1
    assert "README.md:1: run seconds: 12 -> 83" in done.stdout
    assert (clone / "README.md").read_text() == before
    assert run(clone).returncode == 0
    text = (clone / "README.md").read_text()
    assert "takes 83<!--run:seconds .0f--> s, | 1,230,000<!--run:by.0.a b 3s--> | 1.2<!--" in text
    assert "in 1e-2<!--run:share .0e-->" in text
    assert run(clone, "--check").returncode == 0


@pytest.mark.parametrize(
    ("comment", "reason"),
    [
        ("3<!--run:secs .0f-->", "run.json has no secs"),
        ("3<!--other:seconds .0f-->", "no benchmarks/results/other.json"),
        ("three<!--run:seconds .0f-->", "no figure before it"),
        ("3<!--run:by .0f-->", "by is not a number"),
    ],
)
def test_a_comment_that_names_no_figure_is_refused(clone, comment, reason):
    (clone / "docs" / "a.md").write_text(comment)
    done = run(clone)
    assert done.returncode == 1
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(92669.9, 3, "92,700"), (0.0731, 2, "0.073"), (7.96, 2, "8.0"), (2969.7, 1, "3,000"),
     (10092, 5, "10,092"), (99.96, 3, "100"), (0, 2, "0.0"), (-4.25e-3, 1, "-0.004")],
)  # fmt: skip
def test_significant_digits(value, digits, text):
    assert significant(value, digits) == text


def test_sizes_of_forces_are_those_of_the_data(data_folder, db, imported, monkeypatch):
    """What is a mean of lengths and what of components, from the records themselves."""
    stored = json.loads((ROOT / "benchmarks" / "results" / "data.json").read_text())
    cells = read(data_folder / "wse2_gpaw_pbe.extxyz", ":")
    check_sizes(stored["wse2_gpaw_pbe"], [atoms.arrays["REF_forces"] for atoms in cells])
    imported(db, "wse2_gpaw_pbe.extxyz")
    dataset = build_dataset(db, "d", {})
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    found = runpy.run_path(str(ROOT / "benchmarks" / "data.py"))["sizes_of_split"](db, dataset)
    test = [m.calculation for m in db.members.find(dataset=dataset.id, split="test")]
    check_sizes(found, [c.forces for c in db.calculations.find(id=test)])
    assert 0 < found["largest_rattle_A"] < 0.14


def check_sizes(stored, forces):
    assert stored["cells"] == len(forces)
    all_forces = np.concatenate(forces)
    lengths = np.linalg.norm(all_forces, axis=1)
    assert stored["mean_force_eV_per_A"] == pytest.approx(lengths.mean())
    assert stored["mean_force_component_eV_per_A"] == pytest.approx(np.abs(all_forces).mean())
