"""Numbers that cannot be: each option and setting says so, before anything is begun."""

import inspect
import math
import sys
import types
import typing
from dataclasses import replace

import pytest
import typer

from forcebase.bounds import Bounds
from forcebase.cli.main import app, main
from forcebase.curation.recipe import CurationRecipe, parse_step, recipe_from
from forcebase.errors import InputError
from forcebase.ingest.options import ImportOptions
from forcebase.makers.gpaw import GPAWStaticMaker
from forcebase.makers.phonon import ForceConstantsMaker
from forcebase.makers.relaxation import RelaxMaker
from forcebase.models.training_settings import DEMO
from forcebase.physics.sampling import CellDraws, SamplingPlan

NEVER = ("-1", "nan", "inf", "1e99", "9" * 30, "", "many")
"""What no numeric option of any command takes."""


def commands(group=app, words=()):
    """(words, function) of each command, and of each group that does something by itself."""
    for command in group.registered_commands:
        yield (*words, command.name or command.callback.__name__), command.callback
    for child in group.registered_groups:
        inner = child.typer_instance
        if inner.registered_callback:
            yield (*words, child.name), inner.registered_callback.callback
        yield from commands(inner, (*words, child.name))


def numeric_options():
    for words, function in commands():
        for name, hint in typing.get_type_hints(function, include_extras=True).items():
            if typing.get_origin(hint) is not typing.Annotated:
                continue
            kind, *notes = typing.get_args(hint)
            plain = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
            if {int, float} & set(plain):
                [option] = [note for note in notes if hasattr(note, "param_decls")]
                yield words, function, option.param_decls or [f"--{name.replace('_', '-')}"]


def needed(function):
    """An argument for each that the command cannot do without."""
    hints = typing.get_type_hints(function, include_extras=True)
    given = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is not parameter.empty or hints[name] is typer.Context:
            continue
        notes = typing.get_args(hints[name])[1:]
        is_option = any(type(note).__name__ == "OptionInfo" for note in notes)
        given += [f"--{name.replace('_', '-')}", "nothing"] if is_option else ["nothing"]
    return given


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """Run a command that must end with code 2 and no traceback, and leave nothing behind."""
    monkeypatch.setenv("FORCEBASE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FORCEBASE_MONGODB_URI", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["forcebase", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        done = capsys.readouterr()
        assert ended.value.code == 2, (arguments, done)
        assert "Traceback" not in done.err + done.out
        assert list(tmp_path.iterdir()) == []
        return done.err

    return run


def test_numeric_options_are_found():
    found = {(*words, names[0]) for words, _, names in numeric_options()}
    assert {("ls", "--limit"), ("train", "--lr"), ("jobs", "unlock", "--older-than")} <= found
    assert len(found) >= 15


@pytest.mark.parametrize(
    ("words", "function", "names"),
    [pytest.param(*found, id=" ".join((*found[0], found[2][0]))) for found in numeric_options()],
)
def test_a_number_that_cannot_be_is_told_before_anything_is_begun(refused, words, function, names):
    for value in NEVER:
        refused(*words, *needed(function), names[0], value)


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "nothing", "--epochs", "0"),
        ("train", "nothing", "--lr", "0"),
        ("phonon", "nothing", "nothing", "--fmax", "0"),
        ("phonon", "nothing", "nothing", "--max-steps", "0"),
        ("phonon", "nothing", "nothing", "--displacement", "0"),
        ("import", "nothing", "--workers", "0"),
        ("import", "nothing", "--k-spacing", "0"),
        ("demo", "--epochs", "0"),
        *(
            ("phonon", "nothing", "nothing", "--supercell", text)
            for text in ("0x1x1", "3x3", "²x1x1", "100x1x1", "", "-1x1x1", "1e3x1x1")
        ),
        *(
            ("dataset", "build", "d", "--fractions", text)
            for text in ("nan,0.5,0.5", "1,0,0", "0.8,0.2", "inf,1,1", "", "-1,1,1")
        ),
        ("dataset", "build", "d", "--step", "force-outliers:z=.nan"),
        ("dataset", "build", "d", "--step", "farthest-point:n=0"),
        ("defect", "nothing", "--edges", "nan,3"),
        ("compare", "a", "b", "--host", "c", "--edges", "inf"),
    ],
    ids=" ".join,
)
def test_values_of_one_command(refused, arguments):
    assert "Error" in refused(*arguments)


@pytest.mark.parametrize("text", ["0", "-2", "1.5", "abc", "100000", "²"])
def test_threads_of_the_environment(refused, monkeypatch, text):
    monkeypatch.setenv("FORCEBASE_THREADS", text)
    assert "FORCEBASE_THREADS" in refused("ls", "structures")


@pytest.mark.parametrize("name", DEMO.BOUNDS)
def test_training_settings_name_the_field_and_its_range(name):
    for value in (-1, math.nan, math.inf, -math.inf, 1e99, "3", True):
        with pytest.raises(InputError, match=f"{name} of TrainingSettings cannot be"):
            replace(DEMO, **{name: value})


def test_all_numbers_of_a_training_have_bounds():
    numbers = {k for k, v in vars(DEMO).items() if isinstance(v, (int, float))}
    assert numbers <= DEMO.BOUNDS.keys() <= vars(DEMO).keys()
    with pytest.raises(InputError, match="dtype"):
        replace(DEMO, dtype="float16")


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (RelaxMaker, "fmax"),
        (RelaxMaker, "max_steps"),
        (ForceConstantsMaker, "tolerance"),
        (ForceConstantsMaker, "displacement"),
        (GPAWStaticMaker, "cutoff"),
        (GPAWStaticMaker, "k_spacing"),
        (GPAWStaticMaker, "smearing_width"),
        (GPAWStaticMaker, "force_tolerance"),
        (ImportOptions, "k_spacing"),
        (ImportOptions, "workers"),
    ],
)
def test_settings_of_makers_and_imports(made, name):
    for value in (-1, math.nan, math.inf, "3"):
        with pytest.raises(InputError, match=f"{name} of {made.__name__} cannot be"):
            made(**{name: value})


@pytest.mark.parametrize(
    "made",
    [
        lambda: CellDraws(size=0, count=1),
        lambda: CellDraws(size=1, count=-1),
        lambda: SamplingPlan(cells=(), strain=math.nan),
        lambda: SamplingPlan(cells=(), seed=-1),
        lambda: SamplingPlan(cells=(), rattle=(0.1, math.nan, 0.2)),
        lambda: SamplingPlan(cells=(), rattle=(0.3, 0.2, 0.1)),
        lambda: CurationRecipe(seed=-1),
        lambda: recipe_from({"seed": math.inf}),
        lambda: recipe_from({"seed": 1.7}),
        lambda: recipe_from({"e0s": {"W": math.nan}}),
        lambda: parse_step("minimum-distance:fraction=-1"),
        lambda: parse_step("near-duplicates:cutoff=.inf"),
        lambda: parse_step("stratified:n=5,seed=-1"),
        lambda: ForceConstantsMaker(method="guess"),
    ],
)
def test_what_flows_and_recipes_are_given(made):
    with pytest.raises(InputError):
        made()


def test_a_range_is_said_as_people_say_it():
    assert str(Bounds(1, 1_000_000, whole=True)) == "a whole number from 1 to 1,000,000"
    assert str(Bounds(0, 10, above=True)) == "a number above 0 and at most 10"
    assert Bounds(0, 1).holds(0)
    assert not Bounds(0, 1, above=True).holds(0)
    assert not Bounds(0, 5, whole=True).holds(2.0)
