"""Write docs/reference.md and docs/fields.md from the code itself: `python docs/reference.py`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from forcebase.cli.main import app
from forcebase.errors import ForcebaseError
from forcebase.records.fields import Field, fields_of
from forcebase.records.kinds import record_kinds

PAGE = Path(__file__).parent / "reference.md"
FIELDS_PAGE = Path(__file__).parent / "fields.md"
FIELDS_HEAD = """# Fields by which records are found

Written by `python docs/reference.py` from the record classes: change their help, not this page.
`forcebase fields COLLECTION` prints the same. How to ask for them: [filters.md](filters.md).

What is inside an `object` is named by a dot, as `basis.cutoff_eV`, and may be of any type. An
`array` is stored as binary: whether it is known can be asked of it, and no more. A field that names
another record takes a name, a tag of one record or the first digits of an id, and leads to its
fields, as `method.functional`.
"""
HEAD = """# Reference: commands, options, variables

Written by `python docs/reference.py` from the commands themselves: change their help, not this
page. `forcebase COMMAND --help` has the same with examples. Answers, and with `--json` plain JSON,
go to standard output; progress and messages go to standard error.
"""
VARIABLES = {
    "FORCEBASE_HOME": "folder of the embedded database; `$XDG_DATA_HOME/forcebase`, or "
    "`~/.local/share/forcebase`",
    "FORCEBASE_MONGODB_URI": "any other MongoDB than the embedded one",
    "FORCEBASE_DATABASE": "name of the database in it; `forcebase`",
    "FORCEBASE_THREADS": "CPU threads of models and DFT; 1",
    "FORCEBASE_ENVIRONMENTS": "folder of `forcebase model environment`; "
    "`~/.local/share/forcebase/environments` ([models.md](models.md))",
    "FORCEBASE_PYTHON_SEVENNET": "Python that runs SevenNet models, where it is elsewhere",
    "FORCEBASE_PYTHON_CHGNET": "the same for CHGNet",
    "FORCEBASE_PROGRESS": "set by forcebase for its own jobs: the file in which they say how "
    "far they are",
    "JFREMOTE_PROJECTS_FOLDER": "jobflow-remote's: where `forcebase remote init` writes; "
    "`~/.jfremote`",
    "JFREMOTE_PROJECT": "jobflow-remote's: which of several projects `jf` takes",
}


def main() -> None:
    """Write the pages."""
    PAGE.write_text(page())
    FIELDS_PAGE.write_text(fields_page())


def fields_page() -> str:
    """The fields of each collection that can be listed."""
    names = [*(kind.name for kind in record_kinds()), "activities"]
    return "\n".join([FIELDS_HEAD, *map(fields_table, names)])


def fields_table(collection: str) -> str:
    """A heading, and a row for each field."""
    rows = map(field_row, fields_of(collection).values())
    head = ["| field | type | unit | |", "| --- | --- | --- | --- |"]
    return "\n".join([f"## {collection}", "", *head, *rows, ""])


def field_row(field: Field) -> str:
    """A line of the table of a collection."""
    told = one_line(field.description).replace("|", "\\|")
    if field.reference:
        told = f"{told}; names one of {field.reference}".removeprefix("; ")
    return f"| `{field.name}` | {field.type_name} | {field.unit} | {told} |"


def page() -> str:
    """The whole page."""
    variables = [(f"`{name}`", meaning) for name, meaning in VARIABLES.items()]
    parts = [
        HEAD,
        table("## Environment variables", ("variable", "meaning"), variables),
        table("## Exit codes", ("code", "when"), exit_codes()),
        "## Commands\n" + "".join(map(section, commands())),
    ]
    return "\n".join(parts)


def table(heading: str, columns: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    """A heading with a table below it."""
    lines = [f"| {left} | {right} |" for left, right in (columns, ("---", "---"), *rows)]
    return "\n".join([heading, "", *lines, ""])


def exit_codes() -> list[tuple[str, str]]:
    """0, what the shell gives, and the codes of the errors by what they say of themselves."""
    kinds = sorted(ForcebaseError.__subclasses__(), key=lambda kind: kind.exit_code)
    told = [(str(kind.exit_code), one_line(kind.__doc__ or "")) for kind in kinds]
    other = ("1", "Something else failed, or what was looked at is not well (`verify`, `doctor`).")
    return [("0", "Done."), other, *told, ("130", "Ctrl-C.")]


def one_line(text: str) -> str:
    """Line ends and runs of blanks as one blank."""
    return " ".join(text.split())


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, groups before what is in them."""
    yield from _below("forcebase", typer.main.get_command(app))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for child in getattr(command, "commands", {}).values():
        yield from _below(f"{name} {child.name}", child)


def section(named: tuple[str, Any]) -> str:
    """A heading, what the command does, and a table of what it takes."""
    name, command = named
    rows = [row(parameter) for parameter in parameters(command)]
    taken = ["", "| | default | |", "| --- | --- | --- |", *rows] if rows else []
    level = "###" if name.count(" ") < 2 else "####"
    return "\n".join(["", f"{level} {name}", "", what_it_does(command), *taken, ""])


def what_it_does(command: Any) -> str:
    """The help but for its examples, each paragraph on one line."""
    text = inspect.cleandoc(command.help or "").partition("\nExample")[0]
    return "\n\n".join(one_line(part) for part in text.split("\n\n") if part.strip())


def parameters(command: Any) -> list[Any]:
    """Arguments and options, without --help and the shell completion's."""
    ours = ("help", "install_completion", "show_completion")
    return [parameter for parameter in command.params if parameter.name not in ours]


def names(parameter: Any) -> str:
    """How it is typed: --option and its opposite, or the argument's name."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return " / ".join([*parameter.opts, *parameter.secondary_opts])


def row(parameter: Any) -> str:
    """A line of a command's table."""
    default = parameter.default
    is_told = not (default is None or callable(default) or default in (False, (), ""))
    told = f"`{default}`" if is_told else ""
    if parameter.required:
        told = "required"
    help_text = one_line(getattr(parameter, "help", "") or "").replace("|", "\\|")
    return f"| `{names(parameter)}` | {told} | {help_text} |"


if __name__ == "__main__":
    main()
