"""Filters as they are typed: the short form, texts, both; what is refused; completion."""

import json

import pytest
from typer import Context
from typer.main import get_command
from typer.testing import CliRunner

from forcebase.cli.filters import complete_field, parse_filters
from forcebase.cli.main import app
from forcebase.errors import ForcebaseError, InputError, NotFoundError


@pytest.fixture(scope="module")
def db(new_database, imported):
    db = new_database()
    imported(db, "wse2_gpaw_unitcell.extxyz", "wse2_gpaw_pbe.extxyz", "phonopy_wse2_gpaw_3x3.yaml")
    db.names.name("pbe", "methods", db.methods.one().id)
    return db


@pytest.fixture
def ls(db):
    place = {"FORCEBASE_HOME": str(db.settings.home), "FORCEBASE_DATABASE": db.settings.database}

    def command(*arguments, head="ls"):
        done = CliRunner().invoke(app, [head, *arguments, "--json"], env=place)
        if isinstance(done.exception, ForcebaseError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return command


def test_ranges_and_texts(db, ls):
    small = ls("calculations", "max_force<1", "--limit", "0")
    assert {row["id"] for row in small} == {c.id for c in db.calculations.find("max_force < 1")}
    assert 0 < len(small) < db.calculations.count()
    both = ls("calculations", "max_force<1", "kind=pristine-1x1", "nsites>=3", "--limit", "0")
    assert len(both) == db.calculations.count('max_force < 1 AND kind="pristine-1x1"')
    either = ls("calculations", "n_atoms=3 OR n_atoms=12", "max_force<1", "--limit", "0")
    assert len(either) == db.calculations.count("(n_atoms=3 OR n_atoms=12) AND max_force<1")


def test_the_short_form_is_read_by_the_field(db):
    wanted = parse_filters(db, ["kind=12", "n_atoms=12", "converged=TRUE", "method=pbe"])
    method = db.methods.one().id
    assert wanted == {"kind": "12", "n_atoms": 12, "converged": True, "method": method}
    assert parse_filters(db, ["kind=a,b", "elements=W"]) == {"kind": ["a", "b"], "elements": ["W"]}
    dates = parse_filters(db, ["created_at=2026-01-01"], "structures")
    assert dates["created_at"].isoformat() == "2026-01-01T00:00:00"
    inside = parse_filters(db, ["settings.a=5", "basis.type=true", "code="], "methods")
    assert inside == {"settings.a": 5, "basis.type": True, "code": ""}


@pytest.mark.parametrize(
    ("collection", "text", "words"),
    [
        ("calculations", "formla=WSe2", "Did you mean formula"),
        ("calculations", "n_atoms=many", "is a number"),
        ("calculations", "max_force=NaN", "is a number"),
        ("calculations", "max_force=true", "is a number, in eV/angstrom"),
        ("calculations", "converged=1", "true or false"),
        ("calculations", "method.functional=PBE", "Write 'method.functional = "),
        ("calculations", "forces=1", "of type array"),
        ("calculations", 'max_force<5 kind="x"', "stands AND or OR"),
        ("calculations", "max_force<5 kind=x", 'double quotes: "x"'),
        ("calculations", "max_force=1e999", "is a number"),
        ("calculations", "energy=-Infinity", "is a number"),
        ("calculations", "nonsense", "ends too early"),
        ("calculations", "$where=1", "cannot be read"),
        ("structures", "created_at=soon", "is a date"),
    ],
)
def test_what_is_refused(ls, collection, text, words):
    with pytest.raises(InputError) as refused:
        ls(collection, text)
    assert words in str(refused.value)


def test_names_that_are_not_there(ls):
    with pytest.raises(NotFoundError):
        ls("calculations", "method=nobody")


def test_fields_are_listed_with_their_units(ls):
    rows = {row["name"]: row for row in ls("calculations", head="fields")}
    assert (rows["max_force"]["type"], rows["max_force"]["unit"]) == ("number", "eV/angstrom")
    assert rows["method"]["reference"] == "methods"
    with pytest.raises(NotFoundError, match="calculation'"):
        ls("calculation", head="fields")


@pytest.mark.parametrize(
    ("command", "collection", "begun", "offered"),
    [
        ("ls", "structures", "chemical_formula_r", {"chemical_formula_reduced"}),
        ("ls", "calculations", "max", {"max_force"}),
        ("ls", "nothing", "max", set()),
        ("build", None, "max", {"max_force"}),
    ],
)
def test_a_shell_is_offered_fields(command, collection, begun, offered):
    context = Context(get_command(app), info_name=command)
    context.params = {"collection": collection}
    assert {name for name, _ in complete_field(context, begun)} == offered
