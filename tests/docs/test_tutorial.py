"""The tutorial notebook, run as a reader runs it; the repository has it without outputs."""

from __future__ import annotations

import json
import os
import uuid

import nbformat
import pytest
from documents import ROOT
from nbclient import NotebookClient

from forcebase.database.connection import open_client
from forcebase.settings import Settings

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"
PICTURES = 7
"""Cells that show a figure."""


@pytest.fixture
def home(server_home, monkeypatch, tmp_path):
    """Variables of a reader with an empty database."""
    settings = Settings(home=server_home, database=f"tutorial_{uuid.uuid4().hex[:12]}")
    for name in [name for name in os.environ if name.startswith("FORCEBASE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FORCEBASE_HOME", str(server_home))
    monkeypatch.setenv("FORCEBASE_DATABASE", settings.database)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    yield settings
    with open_client(settings) as client:
        client.drop_database(settings.database)


@pytest.mark.training
def test_it_runs_and_shows_what_it_says(home, tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in shown if output["output_type"] == "error"]
    data = [output["data"] for output in shown if "data" in output]
    assert len([one for one in data if "image/png" in one]) == PICTURES
    pages = "".join(one["text/html"] for one in data if "text/html" in one)
    for part in ("Structure Cu", "30 calculations", "Dataset cu-emt@1", "forces MAE"):
        assert part in pages
    text = "".join(output.get("text", "") for output in shown)
    assert "object at 0x" not in text
    assert float(text.partition("bands: ")[2].partition(" THz")[0]) < 1.0
    assert float(text.partition("forces: ")[2].partition(" meV/A")[0]) < 100


def test_the_repository_has_no_outputs():
    notebook = json.loads(NOTEBOOK.read_text())
    nbformat.validate(nbformat.reads(NOTEBOOK.read_text(), as_version=4))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 10
    assert not [c for c in code if c["outputs"] or c["execution_count"] is not None]
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
