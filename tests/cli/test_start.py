"""The `forcebase` process itself: Ctrl-C from its first moment on, closed pipes, help, version."""

import importlib.metadata
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from forcebase.cli.main import app, main

ROOT = Path(__file__).parents[2]
START = "from forcebase.cli.start import main; main()"
LINE = "Interrupted. What was finished before is kept."
COMMANDS = ("forcebase ", "jf ", "FORCEBASE_", "mace_create_lammps_model ")
BEGUN = re.compile(r"start\.py.*, in main")
"""Where a traceback would have come from the package, and not from what Python does before."""
STAGES = ("typer", "pymongo", "rich.table", "forcebase.cli.work")
"""Modules that are imported one after another before the command begins."""
LATER = ("mongoengine", "numpy", "forcebase.records", "forcebase.database.database")
"""And by the command."""


def environment(home, **changes):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FORCEBASE_")}
    return {**kept, "FORCEBASE_HOME": str(home), "OMP_NUM_THREADS": "1", **changes}


@pytest.fixture
def begin(server_home):
    """Start a command as its installed script does, in a group of its own as a shell does."""
    begun = []

    def start(*arguments, **changes):
        process = subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            env=environment(server_home, **changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def interrupt(process):
    os.killpg(process.pid, signal.SIGINT)


def test_the_script_is_the_one_that_is_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["forcebase"].partition(":")
    assert f"from {module} import {name}; {name}()" == START


@pytest.mark.parametrize("stage", [*STAGES, *LATER])
def test_ctrl_c_while_modules_are_imported(begin, stage):
    """At the same moment on any machine: Python says of each module when it is imported."""
    process = begin("ls", "structures", PYTHONPROFILEIMPORTTIME="1")
    for line in process.stderr:
        if line.startswith("import time:") and line.split("|")[-1].strip() == stage:
            interrupt(process)
            break
    else:
        pytest.fail(f"{stage} was not imported")
    rest = [line for line in process.stderr if not line.startswith("import time:")]
    assert process.wait() == 130, rest
    assert [line.strip() for line in rest] == [LINE]


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.2, 0.4, 0.8])
@pytest.mark.parametrize("arguments", [("ls", "structures"), ("train", "nothing"), ("demo",)])
def test_ctrl_c_at_any_time(begin, seconds, arguments):
    """Where Python itself has not come to this package yet, the same again a little later."""
    err = ""
    while seconds < 60:
        process = begin(*arguments, FORCEBASE_MONGODB_URI="mongodb://127.0.0.1:9/")
        time.sleep(seconds)
        interrupt(process)
        out, err = process.communicate()
        if process.returncode not in (-signal.SIGINT, 1) or BEGUN.search(err):
            break
        seconds *= 1.5
    assert process.returncode == 130, (out, err)
    assert err.strip().splitlines()[-1] == LINE
    assert "Traceback" not in out + err
    assert out == ""


def test_an_interrupt_that_a_library_turns_into_another_error(begin):
    """As torch and others do, whose C++ cannot pass it on."""
    code = """
import signal, forcebase.cli.work as work
def import_files(paths: list[str]) -> None:
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("initialization failed") from None
work.import_files = import_files
"""
    process = subprocess.run(
        [sys.executable, "-c", code + START, "import", "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stderr.strip()) == (130, LINE)


def test_an_interrupt_in_a_callback_is_not_lost(begin):
    code = """
import signal, time, forcebase.cli.work as work
class Noisy:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
def import_files(paths: list[str]) -> None:
    Noisy()
    time.sleep(60)
work.import_files = import_files
"""
    process = subprocess.run(
        [sys.executable, "-c", code + START, "import", "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stderr.strip()) == (130, LINE)


def test_a_job_in_the_background_does_not_hear_ctrl_c(server_home):
    """A shell has it ignored there, and so it stays."""
    process = subprocess.Popen(
        ["bash", "-c", f"trap '' INT; exec '{sys.executable}' -c '{START}' --version"],
        env=environment(server_home),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(0.3)
    interrupt(process)
    assert process.communicate()[0].startswith("forcebase ")


@pytest.mark.parametrize(
    "command", ["--help", "compare --help", "db status", "doctor", "ls structures --json"]
)
def test_a_closed_pipe_is_silent(server_home, command):
    """The reader has gone before the first line is written."""
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -c '{START}' {command} | true; echo done"],
        env=environment(server_home),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_version(begin):
    out, err = begin("--version").communicate()
    assert out == f"forcebase {importlib.metadata.version('forcebase')}\n"
    assert err == ""


def test_options_that_are_none_start_no_server(begin, tmp_path):
    process = begin("ls", "structures", "--limit", "-1", FORCEBASE_HOME=str(tmp_path / "home"))
    _, err = process.communicate()
    assert process.returncode == 2
    assert "--limit" in err
    assert not (tmp_path / "home").exists()


def docstrings(group=app, words=()):
    for command in group.registered_commands:
        name = command.name or command.callback.__name__
        yield (*words, name), command.callback.__doc__
    for child in group.registered_groups:
        inner = child.typer_instance
        callback = inner.registered_callback
        if callback and "Example" in callback.callback.__doc__:
            yield (*words, child.name), callback.callback.__doc__
        yield from docstrings(inner, (*words, child.name))


@pytest.mark.parametrize(
    ("words", "text"), [pytest.param(*found, id=" ".join(found[0])) for found in docstrings()]
)
def test_examples_in_help_are_lines_that_can_be_copied(words, text, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["forcebase", *words, "--help"])
    with pytest.raises(SystemExit):
        main()
    shown = [line.strip() for line in capsys.readouterr().out.splitlines()]
    examples = [line.strip() for line in text.partition("Example")[2].splitlines()[1:]]
    examples = [line for line in examples if line]
    assert examples
    for line in examples:
        assert line in shown
    for before, line in zip(["", *examples], examples, strict=False):
        assert line.startswith(COMMANDS) or before.endswith("\\")
