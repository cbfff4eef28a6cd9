"""Write docs/reference.md from the commands themselves: `python docs/reference.py`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from forcebase.cli.main import app

PAGE = Path(__file__).parent / "reference.md"
HEAD = """# Reference: commands, options, variables

Written by `python docs/reference.py` (`make reference`) from the commands themselves: change their help, not this
page. `forcebase COMMAND --help` has the same with examples. Exit codes: 0 done, 1 not, 2 bad input,
3 not found; others stand with their commands. `--json` prints plain JSON on standard output;
progress and messages go to standard error.

## Environment variables

| variable | meaning |
| --- | --- |
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
    "FORCEBASE_PROGRESS": "set by forcebase for its own jobs: the file in which they say how far they are",
    "JFREMOTE_PROJECTS_FOLDER": "jobflow-remote's: where `forcebase remote init` writes; `~/.jfremote`",
    "JFREMOTE_PROJECT": "jobflow-remote's: which of several projects `jf` takes",
}


def main() -> None:
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    rows = [f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items()]
    return HEAD + "\n".join(rows) + "\n\n## Commands\n" + "".join(map(section, commands()))


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
    table = ["", "| | default | |", "| --- | --- | --- |", *rows] if rows else []
    level = "###" if name.count(" ") < 2 else "####"
    return "\n".join(["", f"{level} {name}", "", what_it_does(command), *table, ""])


def what_it_does(command: Any) -> str:
    """The help but for its examples, each paragraph on one line."""
    text = inspect.cleandoc(command.help or "").partition("\nExample")[0]
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n") if part.strip())


def parameters(command: Any) -> list[Any]:
    """Arguments and options, without --help and the shell completion's."""
    ours = ("help", "install_completion", "show_completion")
    return [parameter for parameter in command.params if parameter.name not in ours]


def names(parameter: Any) -> str:
    """How it is typed: --option and its opposite, or the argument's name."""
    if parameter.param_type_name == "argument":
        return str(parameter.human_readable_name)
    return " / ".join([*parameter.opts, *parameter.secondary_opts])


def row(parameter: Any) -> str:
    default = parameter.default
    told = "" if default is None or callable(default) or default in (False, ()) else f"`{default}`"
    if parameter.required:
        told = "required"
    help_text = " ".join((getattr(parameter, "help", "") or "").split()).replace("|", "\\|")
    return f"| `{names(parameter)}` | {told} | {help_text} |"


if __name__ == "__main__":
    main()
