"""Plug-ins: the package that docs/plugins.md shows, installed and used; broken and doubled ones."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.io import write
from documents import blocks_of

from forcebase import plugins
from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.models.sources import Source, read_source
from forcebase.plugins import Group

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
PAGE = ROOT / "docs" / "plugins.md"


def run_of(atoms: Atoms) -> str:
    """What MiniDFT, if there were one, would print of argon: labels that fit together."""
    atoms.calc = LennardJones(epsilon=0.0104, sigma=3.4, rc=8.0, smooth=True)
    rows = zip(atoms.positions, atoms.get_forces(), strict=True)
    return "\n".join(
        [
            *("MiniDFT 2.1", "cutoff 300 eV", f"cubic cell {atoms.cell[0, 0]} A"),
            f"energy {atoms.get_potential_energy()} eV",
            *("atom Ar " + " ".join(map(repr, map(float, [*x, *f]))) for x, f in rows),
            "MiniDFT ended\n",
        ]
    )


def run_energy(atoms: Atoms) -> float:
    """The one that its run prints."""
    return float(run_of(atoms).partition("energy ")[2].partition(" eV")[0])


def argon(length: float, third: bool = False) -> Atoms:
    places = [[0, 0, 0], [0.5, 0.45, 0], *([[0, 0.5, 0.55]] if third else [])]
    return Atoms(["Ar"] * len(places), scaled_positions=places, cell=3 * [length], pbc=True)


NAMES = {Group.CODES: "MiniDFT", Group.MODELS: "LJ"}
NAMES |= {Group.STATIC_MAKERS: "coarse-gpaw", Group.CURATION_STEPS: "few-atoms"}


def look_again() -> None:
    """Have this process look at the installed packages anew."""
    for cached in (plugins._found, plugins._loaded, plugins.load_all):
        cached.cache_clear()


def write_example(folder: Path) -> None:
    """The files of the page, as its reader would write them."""
    for block in blocks_of(PAGE):
        if block.language == "toml":
            (folder / "pyproject.toml").write_text(block.text)
        for note in block.all("file"):
            (folder / note.text).write_text(block.text)


def installed(source: Path, target: Path) -> Path:
    """Install a package as pip does, into a folder of its own."""
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target")
    command = [sys.executable, "-m", "pip", "install", *options, str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return target


@pytest.fixture(scope="session")
def example(tmp_path_factory) -> Path:
    """A folder with the example package installed in it."""
    source = tmp_path_factory.mktemp("example") / "forcebase-example"
    source.mkdir()
    write_example(source)
    return installed(source, source.parent / "installed")


@pytest.fixture
def registered(monkeypatch):
    """A function that puts packages of `name -> entry points` on the path, in this process."""

    def put(folder: Path) -> None:
        monkeypatch.syspath_prepend(str(folder))
        look_again()

    yield put
    monkeypatch.undo()
    look_again()


def a_package(folder: Path, name: str, entries: str) -> None:
    """What an installed package leaves: its name and its entry points."""
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(entries)


@pytest.fixture
def typed(example, settings, tmp_path):
    """Run a command of a shell, where the example is installed, in a folder with the flows."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FORCEBASE_")}
    environment = {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{example}:{SRC}",
        "OMP_NUM_THREADS": "1",
        "FORCEBASE_HOME": str(settings.home),
        "FORCEBASE_DATABASE": settings.database,
    }
    (tmp_path / "flows").symlink_to(ROOT / "flows")
    (tmp_path / "data").symlink_to(ROOT / "data")
    (tmp_path / "run.minidft").write_text(run_of(argon(5.3)))
    (tmp_path / "more").mkdir()
    for n in range(1, 6):
        (tmp_path / "more" / f"{n}.minidft").write_text(run_of(argon(5.3 + n / 10)))
    (tmp_path / "more" / "large.minidft").write_text(run_of(argon(5.5, third=True)))
    write(tmp_path / "al.extxyz", bulk("Al"))

    def run(command: str, code: int = 0) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    return run


def commands() -> list[str]:
    """What the page types, but for the installation."""
    [block] = [block for block in blocks_of(PAGE) if block.language == "sh"]
    assert block.commands[0].startswith("pip install")
    return block.commands[1:]


@pytest.mark.dft
def test_the_page_types_what_works(typed, settings):
    pytest.importorskip("gpaw")
    said = {}
    for command in commands():
        if "dataset build" in command:
            typed("forcebase import more")
        said[command.split()[1]] = typed(command)
    db = Database(settings)
    try:
        [method] = db.methods.find(code="minidft")
        assert (method.title, method.basis["cutoff_eV"]) == ("minidft LDA 300 eV", 300.0)
        [large] = db.calculations.find(method=method.id, n_atoms=3)
        small = db.calculations.one(method=method.id, energy=run_energy(argon(5.3)))
        assert small is not None
        assert small.code_version == "2.1"
        assert small.forces.shape == (2, 3)
        model = db.require_model("lj-argon")
        assert (model.kind, model.elements) == ("LJ", ["Ar"])
        [dataset] = db.datasets.find()
        [dropped] = db.members.find(split="dropped")
        assert (dropped.step, dropped.calculation) == ("few-atoms", large.id)
        assert dropped.reason == "3 atoms > 2"
        taken = {step["name"]: step for step in dataset.steps}
        assert (taken["few-atoms"]["parameters"], taken["few-atoms"]["n_dropped"]) == ({"n": 2}, 1)
        [labelled] = db.calculations.find(kind="aluminium")
        assert db.methods.get(labelled.method).basis["cutoff_eV"] == 200.0
    finally:
        db.close()


def test_listing_names_imports_none_of_them(typed):
    code = (
        "import sys; from forcebase.plugins import Group, names; "
        "print([name for group in Group for name in names(group)]); "
        "print([m for m in sys.modules if m.startswith(('example_', 'forcebase.', 'numpy'))])"
    )
    listed, imported = typed(f'python -c "{code}"').splitlines()
    assert set(NAMES.values()) <= set(eval(listed))
    assert set(eval(imported)) == {"forcebase.plugins", "forcebase.errors"}


def test_a_command_that_needs_none_reads_no_entry_points(typed):
    code = (
        "import sys; from forcebase.cli.main import app; "
        "print([m for m in sys.modules if m in ('forcebase.plugins', 'forcebase.ingest')])"
    )
    assert typed(f'python -c "{code}"').strip() == "[]"


def test_own_ones_are_those_of_the_project_and_each_can_be_loaded():
    """Fails too where the project was not installed again after a change of its entry points."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for group in Group:
        own = project["entry-points"][group.value]
        found = {e.name: e.value for e in importlib.metadata.entry_points(group=group)}
        assert own.items() <= found.items(), "run `pip install -e .`"
        for name in own:
            assert plugins.is_own(group, name)
            assert plugins.load(group, name) is not None


def test_a_broken_reader_is_named_in_a_line_and_the_others_work(tmp_path, registered, caplog):
    entries = "[forcebase.codes]\nBad = no_such_module:READER\n"
    a_package(tmp_path, "broken-package", entries)
    registered(tmp_path)
    found = plugins.load_all(Group.CODES)
    assert "Bad" not in found
    assert "vasprun.xml" in found
    [line] = caplog.messages
    assert line.startswith("The reader 'Bad' of broken-package 1.0 cannot be imported: Module")
    assert "\n" not in line


BROKEN = {
    "ends the process": "raise SystemExit(0)",
    "is of no class": "IT = 5",
    "has an odd sign": "from forcebase.ingest.codes.reader import CodeReader\n"
    "IT = CodeReader(lambda path: None, sign='(')",
}


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
def test_what_a_package_brings_ends_no_command(tmp_path, registered, caplog, source):
    entries = "".join(f"[{group.value}]\nodd = odd_module:IT\n" for group in Group)
    a_package(tmp_path, "odd-one", entries)
    (tmp_path / "odd_module.py").write_text(source)
    registered(tmp_path)
    sys.modules.pop("odd_module", None)
    assert "VASP" in " ".join(plugins.load_all(Group.CODES)).upper()
    assert "The reader 'odd' of odd-one 1.0 cannot be imported" in caplog.text
    for group in Group:
        with pytest.raises(InputError, match=r"'odd' of odd-one 1\.0 cannot be imported"):
            plugins.load(group, "odd")


def test_a_kind_that_brings_no_models_is_given_files(tmp_path, registered):
    a_package(tmp_path, "files-only", "[forcebase.models]\nfiles = files_only\n")
    text = 'PACKAGE = "ase"\n\n\ndef open_engine(weights, dtype, arguments): ...\n'
    (tmp_path / "files_only.py").write_text(text)
    registered(tmp_path)
    with pytest.raises(InputError, match="small is not there, and files brings no models"):
        read_source(Source("files", "small"))


@pytest.mark.parametrize("name", ["stratified", "theirs"])
def test_a_name_twice_is_taken_from_neither(tmp_path, registered, name):
    """Of forcebase and a package, or of two packages."""
    for package in ("one-package", "other-package"):
        a_package(tmp_path, package, f"[forcebase.curation_steps]\n{name} = {package[:3]}:Step\n")
    registered(tmp_path)
    assert name in plugins.names(Group.CURATION_STEPS)
    with pytest.raises(InputError, match=f"{name}.*registered twice.*one-package 1.0 and other-p"):
        plugins.load(Group.CURATION_STEPS, name)
    assert plugins.load(Group.CURATION_STEPS, "alike").name == "alike"


def test_a_step_must_call_itself_as_it_is_registered(tmp_path, registered):
    from forcebase.curation.recipe import step_named

    entries = "[forcebase.curation_steps]\nother = forcebase.curation.alike:Alike\n"
    a_package(tmp_path, "renaming", entries)
    registered(tmp_path)
    with pytest.raises(InputError, match="calls itself 'alike'"):
        step_named("other", {})


@pytest.mark.parametrize("group", Group)
@pytest.mark.parametrize("name", ["os", "os:system", "forcebase.curation.steps:Step", ""])
def test_what_data_names_is_only_a_name(group, name):
    with pytest.raises(InputError, match=r"There is no .*There are|There is no"):
        plugins.load(group, name)


def test_an_installation_older_than_its_code_says_so(monkeypatch):
    look_again()
    monkeypatch.setattr(plugins, "entry_points", lambda group: ())
    try:
        with pytest.raises(InputError, match="older than its code") as raised:
            plugins.names(Group.MODELS)
        assert "pip install -e ." in (raised.value.hint or "")
    finally:
        look_again()


def test_a_static_maker_by_name_takes_settings_and_refuses_others():
    from forcebase.makers.gpaw import GPAWStaticMaker
    from forcebase.makers.static_makers import static_maker

    assert static_maker("gpaw", cutoff=300.0) == GPAWStaticMaker(cutoff=300.0)
    given = GPAWStaticMaker()
    assert static_maker(given) is given
    with pytest.raises(InputError, match="does not take these settings"):
        static_maker("gpaw", colour="red")
    with pytest.raises(InputError, match="There is no static maker 'vasp'"):
        static_maker("vasp")


def test_a_kind_of_model_runs_in_an_environment_of_its_own(typed):
    """Which knows of no entry points: it is told the module."""
    typed("forcebase model add lj argon --name here")
    where = json.loads(
        typed(
            f"FORCEBASE_PYTHON_LJ={sys.executable} forcebase model add lj argon --name there --json"
        )
    )
    assert where["runs"] == "here", "the same model is found again"
    said = typed(f"FORCEBASE_PYTHON_LJ={sys.executable} forcebase model check there")
    assert "FAILED" not in said
