"""Every query that a reading command sends is answered by an index: the server explains each."""

from functools import partial

import pymongo
import pytest
from pymongo.monitoring import CommandListener
from typer.testing import CliRunner

from forcebase.actions.datasets import build_dataset
from forcebase.actions.phonons import find_phonon
from forcebase.actions.predictions import predict
from forcebase.cli.main import app
from forcebase.comparison import compare
from forcebase.curation.alike import Alike
from forcebase.curation.recipe import CurationRecipe
from forcebase.curation.steps import default_steps
from forcebase.database import collections, connection, pieces
from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.makers.phonon import PhononMaker
from forcebase.records import Calculation

N = 600
"""Calculations besides the real ones: many more than any answer holds."""
SLACK = 110
"""Keys or documents that may be looked at in vain: more than there are of small collections."""
OUR_OWN = ("find", "aggregate", "count", "distinct")
SESSION = {"lsid", "$db", "$clusterTime", "$readPreference", "txnNumber", "signature"}


class Recorder(CommandListener):
    """Keeps the queries that are sent."""

    def __init__(self):
        self.commands = []

    def started(self, event):
        if event.command_name in OUR_OWN:
            sent = {k: v for k, v in event.command.items() if k not in SESSION}
            self.commands.append((event.database_name, sent))

    def succeeded(self, event):
        """What came of it does not matter here."""

    failed = succeeded


@pytest.fixture
def recorder(monkeypatch):
    found = Recorder()
    listening = partial(pymongo.MongoClient, event_listeners=[found])
    monkeypatch.setattr(connection, "MongoClient", listening)
    return found


@pytest.fixture
def filled(settings, recorder, imported):
    """The real data, a model that labelled nothing, a dataset, and many records more."""
    opened = Database(settings)
    names = ("wse2_gpaw_pbe.extxyz", "phonopy_wse2_gpaw_3x3.yaml")
    imported(opened, *names)
    build_dataset(opened, "d", {"elements": ["Se", "W"]})
    method = opened.methods.one()
    opened.names.name("pbe", "methods", method.id)
    compare(opened, "pbe", "pbe", "d@1:test")
    structure = opened.structures.one(n_atoms=3)
    more = [
        Calculation.of(structure, method, energy=float(i), forces=[[0, 0, i]] * 3) for i in range(N)
    ]
    opened.calculations.add(more)
    for calculation in more[:60]:
        opened.names.tag("many", "calculations", calculation.id)
    opened.names.tag("single", "calculations", more[0].id)
    yield opened
    opened.close()


def check_plans(db, recorder, within: int = SLACK) -> None:
    """Explain all that was recorded: nothing is read that does not belong to an answer."""
    sent = list(recorder.commands)
    recorder.commands.clear()
    assert sent
    for database, command in sent:
        plan = db.client[database].command("explain", command, verbosity="executionStats")
        stats, looked_at = _stats(plan)
        answers = stats["nReturned"]
        worst = max(looked_at["keys"], looked_at["documents"])
        # two keys an answer: an index of lists names a record once for each item
        assert worst <= 2 * answers + within, (command, stats)


def test_reading_everything_would_be_noticed(filled, recorder):
    recorder.commands.clear()
    filled.calculations.find(wall_time=-1.0)
    with pytest.raises(AssertionError, match="wall_time"):
        check_plans(filled, recorder)


def _stats(plan: dict) -> tuple[dict, dict]:
    found = plan.get("executionStats") or plan["stages"][0]["$cursor"]["executionStats"]
    return found, {"keys": found["totalKeysExamined"], "documents": found["totalDocsExamined"]}


def run(db, *arguments: object) -> str:
    place = {
        "FORCEBASE_HOME": str(db.settings.home),
        "FORCEBASE_DATABASE": db.settings.database,
    }
    done = CliRunner().invoke(app, [str(a) for a in arguments], env=place, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_listing_is_answered_by_an_index(filled, recorder, monkeypatch):
    monkeypatch.setattr(collections, "COUNT_AT_MOST", 50)
    calculation = filled.calculations.one(n_atoms=12)
    listed = [
        *(["ls", name] for name in filled.record_collections),
        ["ls", "activities"],
        ["log", "--limit", "2"],
        ["ls", "activities", "kind=failure", "resolved=false"],
        ["ls", "structures", "formula=W4Se8"],
        ["ls", "structures", "elements=W,Se"],
        ["ls", "structures", "n_atoms=12"],
        ["ls", "structures", f"family={filled.structures.one().family}"],
        ["ls", "structures", f"kind={filled.structures.one().kind}"],
        ["ls", "calculations", f"method={calculation.method[:12]}"],
        ["ls", "calculations", f"structure={calculation.structure[:12]}"],
        ["ls", "calculations", "formula=Se8W4"],
        ["ls", "calculations", "elements=W,Se", "--limit", "20"],
        ["ls", "calculations", f"kind={calculation.kind}"],
        ["ls", "calculations", "method_class=dft", "--json"],
        ["ls", "calculations", "method_class=model"],
        ["ls", "calculations", "converged=false"],
        ["ls", "calculations", "--tag", "many", "--limit", "3"],
        ["ls", "phonons", "defect.name=v_Se"],
        ["ls", "structures", "chemical_formula_reduced=WSe2", "--limit", "10"],
        ["ls", "structures", "chemical_formula_anonymous=AB2", "nelements=2"],
        ["ls", "structures", "nsites < 4"],
        ["ls", "structures", 'elements:elements_ratios HAS "W":>0.35'],
        ["ls", "calculations", 'elements HAS ALL "Se","W" AND max_force > 597'],
        ["ls", "calculations", "energy_per_atom > 198.9"],
        ["ls", "calculations", 'method.functional = "PBE" AND max_force > 597'],
        ["ls", "calculations", 'structure.family = "none" AND nelements = 1'],
        ["ls", "datasets", "name=d"],
    ]
    for arguments in listed:
        recorder.commands.clear()
        run(filled, *arguments)
        check_plans(filled, recorder)


def test_showing_one_record_is_answered_by_an_index(filled, recorder):
    calculation = filled.calculations.one(n_atoms=12)
    for name in (calculation.id, calculation.id[:9], "pbe", "d", "d@1", "single"):
        for command in ("show", "trace"):
            recorder.commands.clear()
            run(filled, command, name)
            # a trace reads some records more than it names, and counts to its bound
            check_plans(filled, recorder, SLACK if command == "show" else N + 2 * SLACK)
    for arguments in (["dataset", "show", "d"], ["dataset", "ls"]):
        recorder.commands.clear()
        run(filled, *arguments)
        check_plans(filled, recorder)


def test_questions_about_datasets_are_answered_by_an_index(filled, recorder):
    unlike = CurationRecipe(steps=(Alike(charge="any", magnetic="any"), *default_steps()))
    build_dataset(filled, "d", {"elements": ["Se", "W"], "kind": "pristine-1x1"}, recipe=unlike)
    (member, dropped) = (filled.members.one(split=split) for split in ("train", "dropped"))
    for arguments in (
        ["why", member.calculation, "d"],
        ["why", member.structure, "d@1"],
        ["why", dropped.calculation, "d@1"],
        ["dataset", "recipe", "d"],
        ["dataset", "diff", "d@1", "d@2"],
    ):
        recorder.commands.clear()
        run(filled, *arguments)
        check_plans(filled, recorder, N + 2 * SLACK)  # one structure has N replicates


def test_comparing_is_answered_by_an_index(filled, recorder):
    for arguments in (
        ["compare", "pbe", "pbe", "--on", "d:test"],
        ["compare", "pbe", "pbe", "--on", "kind=pristine-2x2", "--only", "unseen"],
        ["compare", "pbe", "pbe", "--reference", "pbe", "--on", "d:test"],
    ):
        recorder.commands.clear()
        run(filled, *arguments)
        check_plans(filled, recorder, N + 2 * SLACK)


def test_datasets_of_a_record_and_labels_of_a_method_are_answered_by_an_index(filled, recorder):
    member = filled.members.one(split="train")
    method = filled.methods.one()
    recorder.commands.clear()
    assert len(filled.members.find(calculation=member.calculation)) == 1
    assert len(filled.members.find(structure=member.structure)) >= 1
    assert len(filled.calculations.find(method=method.id, structure=member.structure)) >= 1
    check_plans(filled, recorder)


def test_what_a_model_has_not_labelled_is_answered_by_an_index(filled, recorder, monkeypatch):
    monkeypatch.setattr(pieces, "IDS_AT_ONCE", 7)
    calculations = filled.calculations.find(limit=20)
    wanted = sorted({c.structure for c in calculations})
    method = filled.methods.one()
    recorder.commands.clear()
    assert predict(filled, method, wanted) == 0
    assert find_phonon(filled, method, wanted[0], [[1, 0, 0]] * 3, PhononMaker()) is None
    sent = [c for _, c in recorder.commands if c.get("find") == "calculations"]
    assert len(sent) == -(-len(wanted) // 7)
    check_plans(filled, recorder, N + SLACK)  # one structure has N replicates


def test_a_search_without_an_index_is_refused_where_there_is_much(filled, monkeypatch):
    check = filled.calculations.check_indexed
    check(wall_time=1.0)  # few records: all are read
    monkeypatch.setattr(collections, "FEW", 10)
    check()
    check(wall_time=1.0, kind="x")
    check("wall_time > 1 AND max_force < 5")
    check('elements HAS "W" OR kind STARTS WITH "pristine"')
    check("wall_time > 1", tag="many")
    for text in (
        "wall_time > 1",
        'wall_time > 1 OR kind = "x"',
        'kind CONTAINS "x"',
        'NOT kind="x"',
    ):
        with pytest.raises(InputError, match="too many calculations to look for"):
            check(text)
    with pytest.raises(InputError, match="too many calculations to look for wall_time"):
        check(wall_time=1.0)
