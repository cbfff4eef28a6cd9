"""What a command is given is looked at before it begins: no job runs, and nothing is written."""

import json
import os
import sys
import uuid

import pytest

from forcebase.actions.datasets import build_dataset
from forcebase.actions.models import add_model
from forcebase.cli.main import main
from forcebase.database.database import Database
from forcebase.ingest.importing import import_paths
from forcebase.models.sources import Source
from forcebase.settings import Settings

FLOW = """
from jobflow import Flow, Maker
from forcebase.makers.gpaw import GPAWStaticMaker
from forcebase.makers.sampling import LabelStructuresMaker, SampleStructuresMaker
from pymatgen.core import Structure

def build(k_spacing: float = 0.4) -> Flow:
    cell = Structure([[3, 0, 0], [0, 3, 0], [0, 0, 3]], ["Se"], [[0, 0, 0]])
    drawn = SampleStructuresMaker().make(cell)
    maker = LabelStructuresMaker(static_maker=GPAWStaticMaker(k_spacing=k_spacing))
    return Flow([drawn, maker.make(drawn.output)])
"""


@pytest.fixture(scope="module")
def filled(server_home, data_folder):
    """DFT of all sizes, a phonon, a dataset, and two models that need no training."""
    settings = Settings(home=server_home, database=f"test_{uuid.uuid4().hex[:12]}")
    db = Database(settings)
    names = ("gpaw_pbe.extxyz", "gpaw_unitcell.extxyz", "gpaw_3x3_displacements.extxyz")
    files = [data_folder / f"wse2_{name}" for name in names]
    import_paths(db, [*files, data_folder / "phonopy_wse2_gpaw_3x3.yaml"])
    build_dataset(db, "d", {"elements": ["Se", "W"]})
    db.names.name("pbe", "methods", db.methods.one().id)
    lj = Source("ase", "ase.calculators.lj:LennardJones", elements=["Se", "W"])
    emt = Source("ase", "ase.calculators.emt:EMT", elements=["Cu", "Au"])
    for name, source in (("lj", lj), ("emt", emt)):
        db.names.name(name, "methods", add_model(db, source).id)
    yield db
    db.client.drop_database(settings.database)
    db.close()


@pytest.fixture
def refused(filled, monkeypatch, capsys, tmp_path):
    """Run a command that must end with this code and a line, and leave the database as it is."""
    for name in [name for name in os.environ if name.startswith("FORCEBASE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FORCEBASE_HOME", str(filled.settings.home))
    monkeypatch.setenv("FORCEBASE_DATABASE", filled.settings.database)
    monkeypatch.setenv("JFREMOTE_PROJECTS_FOLDER", str(tmp_path / "projects"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("nothing of use\n")

    def run(code, *arguments):
        monkeypatch.setattr(sys, "argv", ["forcebase", *map(str, arguments)])
        before, files = _content(filled), _files(tmp_path)
        with pytest.raises(SystemExit) as ended:
            main()
        done = capsys.readouterr()
        assert ended.value.code == code, (arguments, ended.value.code, done)
        assert "Traceback" not in done.out + done.err
        assert done.out == ""
        assert _content(filled) == before
        assert _files(tmp_path) == files
        return done.err

    return run


def _files(folder):
    """What a command left there; what Python compiled is not the command's."""
    return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


def _content(db):
    """How many documents each collection has: records, labels, taints, outputs of jobs, blobs."""
    return {name: db.raw[name].count_documents({}) for name in db.raw.list_collection_names()}


TARGET = ("compare", "lj", "pbe", "--on", "d@1:test")
BAD = [
    # import
    (2, "nowhere.yaml", "import", "text.txt", "--method", "nowhere.yaml"),
    (2, "folder", "import", "text.txt", "--method", "folder"),
    (2, "text.txt", "import", "flow.py", "--method", "text.txt"),
    (3, "'nobody'", "import", "text.txt", "--model", "nobody"),
    (2, "pbe", "import", "text.txt", "--model", "pbe"),
    (2, "nowhere", "import", "text.txt", "nowhere"),
    (2, "some", "import", "text.txt", "--steps", "some"),
    # datasets
    (2, "nowhere.yaml", "dataset", "build", "e", "--recipe", "nowhere.yaml"),
    (2, "no-step", "dataset", "build", "e", "--step", "no-step"),
    (2, "no-step", "dataset", "build", "e", "--skip", "no-step"),
    (2, "text.txt", "dataset", "card", "d", "--out", "text.txt"),
    (2, "folder", "dataset", "card", "d", "--out", "folder"),
    (2, "card.md", "dataset", "card", "d", "--out", "text.txt/card.md"),
    (2, "text.txt", "dataset", "export", "d", "--out", "text.txt"),
    (2, "cif", "dataset", "export", "d", "--format", "cif"),
    # models
    (3, "'e'", "train", "e"),
    (2, "'a:b'", "train", "d", "--name", "a:b"),
    (3, "'nobody'", "train", "d", "--from", "nobody"),
    (2, "pbe", "train", "d", "--from", "pbe"),
    (6, "cannot be tuned", "train", "d", "--from", "lj"),
    (3, "'nobody'", "predict", "nobody", "--dataset", "d"),
    (2, "nothing to predict", "predict", "lj"),
    (2, "'tset'", "predict", "lj", "--dataset", "d", "--split", "tset"),
    (3, "'nobody'", "predict", "lj", "--dataset", "d", "--structure", "nobody"),
    (6, "does not know Se, W", "predict", "emt", "--dataset", "d"),
    (2, "'a:b'", "model", "add", "ase", "ase.calculators.morse:MorsePotential", "--name", "a:b"),
    (2, "nowhere.model", "model", "add", "mace", "nowhere.model"),
    (2, "'cace'", "model", "add", "cace", "text.txt"),
    (2, "Xx", "model", "add", "ase", "ase.calculators.emt:EMT", "--elements", "Xx"),
    (7, "chgnet", "model", "add", "chgnet", "0.3.0"),
    (7, "sevenn", "model", "add", "sevennet", "7net-0"),
    (2, "text.txt", "model", "environment", "sevennet", "--folder", "text.txt/here"),
    (3, "'nobody'", "model", "check", "lj", "--structure", "nobody"),
    # phonons
    (6, "does not know Se, W", "phonon", "emt", "wse2-unit-cell"),
    (6, "no analytic", "phonon", "lj", "wse2-unit-cell", "--method", "analytic"),
    (2, "There is no Mo", "phonon", "lj", "wse2-unit-cell", "--defect", "v_Mo"),
    (6, "does not know Mo", "phonon", "lj", "wse2-unit-cell", "--defect", "Mo_W"),
    (2, "no site 99", "phonon", "lj", "wse2-unit-cell", "--defect", "remove:99"),
    (2, "not a defect", "phonon", "lj", "wse2-unit-cell", "--defect", "move:1:nan/0/0"),
    (2, "not a structure", "phonon", "lj", "lj"),
    (2, "text.txt", "defect", "--model", "pbe", "--out", "text.txt"),
    (2, "perfect crystal", "defect", "wse2-dft-phonon"),
    # comparisons
    (3, "'nobody'", "compare", "lj", "--reference", "nobody", "--on", "d", "--fill"),
    (2, "not a model and a reference", "compare", "lj", "--on", "d", "--fill"),
    (2, "--reference", *TARGET, "--fill", "--picture", "p.png"),
    (2, "p.jpg", "compare", "lj", "--reference", "pbe", "--fill", "--picture", "p.jpg"),
    (
        2,
        "folder",
        "compare",
        "lj",
        "--reference",
        "pbe",
        "--fill",
        "--picture",
        "folder.png/x.png/y",
    ),
    (2, "'median'", *TARGET, "--fill", "--align", "median"),
    (2, "'seen'", *TARGET, "--fill", "--only", "seen"),
    (2, "'colour'", *TARGET, "--fill", "--allow", "colour"),
    (2, "'tset'", "compare", "lj", "pbe", "--on", "d:tset", "--fill"),
    (3, "'e'", "compare", "lj", "pbe", "--on", "e", "--fill"),
    (3, "'nobody'", *TARGET, "--fill", "--host", "nobody"),
    (2, "not edges", *TARGET, "--fill", "--host", "wse2-unit-cell", "--edges", "nan"),
    (2, "phonons", "compare", "lj", "wse2-dft-phonon", "--fill"),
    # flows
    (2, "colour", "launch", "flow.py", "--set", "colour=red"),
    (2, "k_spacing", "launch", "flow.py", "--set", "k_spacing=0"),
    (2, "k_spacing", "launch", "flow.py", "--set", "k_spacing=NaN"),
    (2, "is for all other jobs", "launch", "flow.py", "--remote", "--worker", "a", "--worker", "b"),
    (2, "not JSON", "launch", "flow.py", "--remote", "--resources", "a=[" + 5000 * "["),
    (3, "no jobflow-remote project", "launch", "flow.py", "--remote"),
    # looking, keeping
    (2, "not UTF-8", "ls", "structures", "kind=\udcff"),
    (2, "not UTF-8", "import", "\udcff.extxyz"),
    (2, "lineage.gif", "trace", "d", "--picture", "lineage.gif"),
    (2, "lineage.png", "trace", "d", "--picture", "text.txt/lineage.png"),
    (2, "text.txt", "export", "d", "--out", "text.txt"),
    (2, "out.zip", "export", "d", "--out", "text.txt/out.zip"),
    (3, "'nobody'", "export", "nobody", "--out", "out.zip"),
    (2, "b.zip", "backup", "text.txt/b.zip"),
    (2, "nowhere.zip", "restore", "nowhere.zip"),
    (2, "reason", "taint", "d", "--reason", " "),
    (2, "text.txt", "demo", "--out", "text.txt"),
    (2, "jobflow.yaml", "remote", "init", "--jobflow", "text.txt/jobflow.yaml"),
]


@pytest.mark.parametrize(
    "case", BAD, ids=lambda case: " ".join(case[2:])[:60] if isinstance(case, tuple) else ""
)
def test_bad_input_is_told_before_anything_is_done(refused, case):
    code, words, *arguments = case
    assert words in refused(code, *arguments)


def test_a_flow_that_ends_with_gpaw_is_refused_at_its_beginning(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "gpaw", None)
    assert "GPAW cannot be used here" in refused(7, "launch", "flow.py")


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "lj", "--dataset", "d"),
        ("phonon", "lj", "wse2-unit-cell"),
        ("phonon", "lj", "wse2-unit-cell", "--defect", "v_Se"),
        (*TARGET, "--fill"),
    ],
    ids=" ".join,
)
def test_a_model_whose_package_is_not_there(refused, monkeypatch, arguments):
    monkeypatch.setenv("FORCEBASE_PYTHON_ASE", "/nowhere/python")
    assert "/nowhere/python" in refused(7, *arguments)


def test_what_is_right_is_done(filled, refused, monkeypatch, capsys):
    """The same command without its mistake: the tests above would otherwise pass for nothing."""
    monkeypatch.setattr(sys, "argv", ["forcebase", *TARGET, "--fill", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out)["n"] == filled.datasets.one().counts["test"]
