"""Every command, option, setting and variable is documented, and the reference is in step."""

from __future__ import annotations

import dataclasses
import itertools
import re
import runpy
import shlex

import pytest
from documents import DOCUMENTS, INVENTED, ROOT, RUN, blocks_of, inline_code

from forcebase.settings import Settings

REPAIR = "run `python docs/reference.py` and look at what it changed"
reference = runpy.run_path(str(ROOT / "docs" / "reference.py"))
COMMANDS = dict(reference["commands"]())
PROSE = [path for path in DOCUMENTS if path.name not in ("reference.md", "fields.md")]


def test_the_reference_is_that_of_the_commands():
    assert reference["PAGE"].read_text() == reference["page"](), REPAIR


def test_the_fields_are_those_of_the_records():
    assert reference["FIELDS_PAGE"].read_text() == reference["fields_page"](), REPAIR


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_and_option_says_what_it_does(name):
    command = COMMANDS[name]
    assert reference["what_it_does"](command), name
    assert not INVENTED.search(command.help), "an id to fill in is written as RECORD"
    for parameter in reference["parameters"](command):
        assert parameter.help, f"{name}: {parameter.name} has no help"


def test_the_walk_finds_the_commands():
    assert {"forcebase demo", "forcebase dataset build", "forcebase jobs rerun"} <= set(COMMANDS)
    assert len(COMMANDS) > 35


def said_of_forcebase() -> list[list[str]]:
    """The words behind `forcebase` in blocks and in running text, of all documents."""
    texts = []
    for path in PROSE:
        for block in blocks_of(path):
            if block.language in RUN:
                texts += block.commands
        texts += inline_code(path)
    texts = [part for text in texts for part in re.split(r"[;&|] ", text)]
    return [words_of(text) for text in texts if re.match(r"(\w+=\S+ )*forcebase( |$)", text)]


def words_of(text: str) -> list[str]:
    words = shlex.split(text, comments=True)
    return words[words.index("forcebase") + 1 :]


def command_of(words: list[str]) -> tuple[str, list[str]]:
    """The longest command that the words begin with, and the words behind it."""
    name = "forcebase"
    while words and f"{name} {words[0]}" in COMMANDS:
        name, words = f"{name} {words[0]}", words[1:]
    return name, words


def each_of(words: list[str]) -> list[list[str]]:
    """`db start|stop|status` is three."""
    return [list(chosen) for chosen in itertools.product(*(word.split("|") for word in words[:4]))]


def test_each_command_stands_in_the_text_for_people():
    said = {command_of(one)[0] for words in said_of_forcebase() for one in each_of(words)}
    leaves = {name for name, command in COMMANDS.items() if not hasattr(command, "commands")}
    assert leaves - said == set(), "write of it in README.md or docs/"


@pytest.mark.parametrize("words", said_of_forcebase(), ids=" ".join)
def test_the_text_names_no_command_or_option_that_is_not_there(words):
    first, *others = [word.split("|")[0] for word in words[:2]] or [""]
    name, rest = command_of([first, *others, *words[2:]])
    if first and not first.startswith("-") and not first.isupper():
        assert name != "forcebase"
    known = {"--help"}.union(
        *(parameter.opts + parameter.secondary_opts for parameter in COMMANDS[name].params)
    )
    assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known


def test_each_setting_has_a_documented_variable():
    variables = reference["VARIABLES"]
    for field in dataclasses.fields(Settings):
        name = f"FORCEBASE_{field.name.upper()}"
        assert name in variables
        assert name in (ROOT / "db_config" / "README.md").read_text()
        assert getattr(Settings.from_environment({name: "7"}), field.name) != getattr(
            Settings.from_environment({}), field.name
        )


def test_each_variable_of_the_source_is_documented():
    """FORCEBASE_PYTHON_<KIND> is one for each kind that has an environment of its own."""
    from forcebase.models.third_party.environments import REQUIREMENTS

    sources = [*ROOT.glob("src/forcebase/**/*.py"), *ROOT.glob("db_config/*"), *DOCUMENTS]
    found = {
        name for path in sources for name in re.findall(r"FORCEBASE_[A-Z_]+", path.read_text())
    }
    found = {name for name in found if not name.endswith("_")} - {"FORCEBASE_PASSWORD"}
    kinds = {f"FORCEBASE_PYTHON_{kind.upper()}" for kind in REQUIREMENTS}
    documented = {name for name in reference["VARIABLES"] if name.startswith("FORCEBASE_")}
    assert documented == found | kinds
