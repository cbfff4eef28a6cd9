"""What is printed is data: hostile text neither breaks a command nor steers the terminal."""

import ast
import json
import os
import re
import sys
import uuid
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forcebase.cli import console
from forcebase.cli.console import note, plain, print_tree, say, words
from forcebase.cli.main import main
from forcebase.cli.tables import print_table
from forcebase.database.database import Database
from forcebase.ingest.failures import failure
from forcebase.ingest.importing import import_paths
from forcebase.provenance.taint import set_taint
from forcebase.settings import Settings

CLI = Path(console.__file__).parent
TAG = re.compile(r"\[/|\[(bold|dim|italic|red|green|yellow|cyan|blue|white)\b[a-z ]*\]")
HOSTILE = (
    "[/x]",
    "[bold]",
    "[red",
    "[/]",
    "[link=file:///etc/passwd]here[/link]",
    "[@click=quit]x[/]",
    "\\[dft]",
    "pip install 'forcebase[dft]'",
    "[true, false]",
    ":warning: :smile:",
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31mred",
    "a\rb\x08c\x7f",
    "two\nlines\tand a tab",
    "\u202egnp.exe \u2066x",
    "{0} %s {task.description}",
    "שלום עולם",
    "很长" * 300,
    "x" * 5000,
)
hostile = st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=300))
several = st.lists(hostile, min_size=1, max_size=4).map(" ".join)
quick = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
few = settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
ALL = " ".join(text for text in HOSTILE if len(text) < 100)


def bare(text):
    """Without what tables and trees put between words: blanks, rules and guides."""
    return re.sub(r"[\s─│└├━]", "", text)


def named(text):
    """What of it a name may be made of."""
    kept = "".join(letter for letter in text if letter.isprintable() and letter != ":")
    return kept.strip()[:100].strip()


def harmless(text):
    """Nothing that steers a terminal is left; capsys is not a terminal, so no style is either."""
    return plain(text) == text


@pytest.fixture(scope="module")
def filled(server_home, data_folder):
    own = Settings(home=server_home, database=f"test_{uuid.uuid4().hex[:12]}")
    db = Database(own)
    import_paths(db, [data_folder / "wse2_gpaw_unitcell.extxyz"])
    yield db
    db.client.drop_database(own.database)
    db.close()


@pytest.fixture
def run(filled, monkeypatch, capsys):
    """A command that must end well, and what it printed."""
    for name in [name for name in os.environ if name.startswith("FORCEBASE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FORCEBASE_HOME", str(filled.settings.home))
    monkeypatch.setenv("FORCEBASE_DATABASE", filled.settings.database)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["forcebase", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        done = capsys.readouterr()
        assert not ended.value.code, (arguments, done)
        assert harmless(done.out + done.err)
        return done.out

    return call


@pytest.mark.parametrize("collection", ["calculations", "structures", "methods", "activities"])
def test_lists_of_records_stand_in_80_columns_with_their_ids_whole(
    run, filled, monkeypatch, collection
):
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("ls", collection).splitlines()
    assert max(map(len, lines)) <= 80
    for record in filled.collection(collection).find():
        assert any(line.split()[:1] == [record.id[:10]] for line in lines)


def test_ids_and_numbers_in_tables_are_not_broken(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    print_table("", ["id", "n_atoms", "path"], [["0123456789", 1.234567, "a/long/path/" * 5]])
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("0123456789", "1.23457", "n_atoms"))
    assert bare("a/long/path/" * 5) not in printed, "what is long is folded"
    assert max(map(len, printed.splitlines())) <= 40


def test_units_stand_below_their_headings_where_there_is_no_room(monkeypatch, capsys):
    columns = ["id", "formula", "energy (eV)", "max_F (eV/A)"]
    rows = [["0123456789", "W4Se7", -123.457, 0.553179]]
    for width, lines in (("40", 2), ("80", 1)):
        monkeypatch.setenv("COLUMNS", width)
        print_table("", columns, rows)
        printed = capsys.readouterr().out
        assert ("max_F (eV/A)" in printed) == (lines == 1)
        assert all(text in printed for text in ("max_F", "(eV/A)", "-123.457", "0.553179"))
        assert max(map(len, printed.splitlines())) <= int(width)


def test_a_table_of_many_numbers_loses_none_of_them(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    numbers = [1.23456 * 10**power for power in range(8)]
    print_table("", [f"column{n}" for n in range(8)], [numbers])
    lines = capsys.readouterr().out.splitlines()
    below = next(number for number, line in enumerate(lines) if "──" in line)
    last = "".join(line[-5:].strip() for line in lines[below + 1 :])
    assert last == f"{numbers[-1]:.6g}", "the digits of one column, line by line"


@quick
@given(text=hostile)
def test_lines(capsys, text):
    say("before ", (text, "bold red"), " after")
    note(text)
    out, err = capsys.readouterr()
    assert bare(out) == bare(f"before {plain(text)} after")
    assert bare(err) == bare(plain(text))
    assert harmless(out + err)


@quick
@given(text=hostile)
def test_tables_and_trees(capsys, text):
    print_table(
        text, [text, "number"], [[text, 1.0], [[text, True], None], [words((text, "red")), 2]]
    )
    tree = console.Tree(words(text))
    tree.add(words((text, "dim")))
    print_tree(tree)
    out, _ = capsys.readouterr()
    assert harmless(out)
    if len(plain(text)) < 50 and text.isprintable():  # else it is folded beside the next column
        assert bare(out).count(bare(plain(text))) >= 7


@quick
@given(text=hostile)
def test_progress(capsys, text):
    with console.stage_bars() as bars:
        bars(text, 1, 2, {text: text})
    assert harmless(capsys.readouterr().err)


@few
@given(text=several.map(str.strip).filter(bool))
@example(text=ALL)
def test_a_reason_breaks_no_command(filled, run, text):
    record = filled.structures.one().id
    set_taint(filled, "structures", record, text)
    run("ls", "structures")
    assert bare(plain(text)) in bare(run("trace", record, "--down"))
    assert json.loads(run("show", record, "--json"))["stale"].endswith(text)


@few
@given(text=several)
@example(text=ALL)
def test_what_a_job_said_breaks_no_command(filled, run, text):
    named = {"uuid": str(uuid.uuid4()), "index": 1}
    filled.activities.add([failure(text, named, text)])
    try:
        run("ls", "activities", "kind=failure", "--limit", "0")
    finally:
        filled.activities.raw.delete_many({"kind": "failure"})


@few
@given(text=several.map(named).filter(bool))
@example(text=named(ALL))
def test_a_name_breaks_no_command(filled, run, text):
    record = filled.structures.one().id
    filled.names.name(text, "structures", record)
    try:
        assert bare(plain(text))[:40] in bare(run("show", record))
        run("ls", "structures")
    finally:
        filled.names.unname(text)


def test_a_file_whose_name_is_markup(run, data_folder, tmp_path):
    path = tmp_path / "[bold]cells[x]\x1b[2J.extxyz"
    path.write_bytes((data_folder / "wse2_gpaw_unitcell.extxyz").read_bytes())
    described = yaml.safe_load((data_folder / "method.yaml").read_text())
    (tmp_path / "method.yaml").write_text(yaml.safe_dump({"method": described["method"]}))
    run("import", str(path))
    bad = tmp_path / "[red]bad.extxyz"
    bad.write_text("3\nnothing\nW 0 0\n")
    with pytest.raises(AssertionError, match="red"):  # code 2, and the file is named
        run("import", str(bad))


def test_an_error_whose_message_is_markup(run):
    with pytest.raises(AssertionError, match=r"\[/x\]"):
        run("show", "[/x]")


def test_lists_of_booleans_are_shown(run):
    assert "True True True" in run("ls", "structures", "--columns", "id,pbc")


def test_no_module_gives_data_to_a_parser_of_markup():
    """All printing goes through `console.py`, whose consoles read no markup."""
    found = [
        f"{path.name}:{getattr(node, 'lineno', 0)}: {problem}"
        for path in sorted(CLI.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        for problem in _problems(node, path.name == "console.py")
    ]
    assert found == []


def _problems(node, is_console):
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and TAG.search(node.value):
        yield f"markup in {node.value!r}"
    if isinstance(node, ast.ImportFrom) and node.module == "rich.markup":
        yield "imports rich.markup"
    if not isinstance(node, ast.Call):
        return
    name = ast.unparse(node.func)
    keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
    if keywords.get("markup", "False") != "False" or keywords.get("emoji", "False") != "False":
        yield f"{name} reads markup"
    if name == "TextColumn" and "markup" not in keywords:
        yield "TextColumn reads markup"
    if name.endswith(("from_markup", "typer.echo", "secho")):
        yield name
    if name == "Console" and not is_console:
        yield "a console of its own"
    first = node.args[0] if node.args else None
    if name in ("console.print", "error_console.print", "Group") and _is_text(first):
        yield f"{name} of text: use say, note or words"
    if name in ("Tree", "tree.add") and not ast.unparse(first).startswith("words("):
        yield f"{name} of text: use words"
    if name == "print" and not ast.unparse(first).startswith("json.dumps("):
        yield "print: use say or print_json"


def _is_text(node):
    return isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp))


@pytest.mark.parametrize(
    "source",
    [
        'console.print(f"{name}")',
        'say("[bold]x[/]")',
        "Text.from_markup(x)",
        "Console()",
        'tree.add(f"{x}")',
        'TextColumn("{x}")',
        "print(name)",
        "console.print(x, markup=True)",
    ],
)
def test_the_reader_of_the_sources_sees_each_fault(source):
    assert [p for node in ast.walk(ast.parse(source)) for p in _problems(node, False)]
