"""Every command and Python block of README.md and docs/*.md, typed in order by a new user."""

from __future__ import annotations

import re

import pytest
from documents import DOCUMENTS, INVENTED, RUN, Block, Note, blocks_of, indented_blocks

MARKS = {
    "README.md": (pytest.mark.remote,),
    "clusters.md": (pytest.mark.remote, pytest.mark.slurm),
    "faults.md": (pytest.mark.remote,),
    "remote.md": (pytest.mark.remote,),
}
NOT_RUN = {
    "README.md": [
        "make demo",
        "make test",
        "make check",
        "apt install libxc-dev libopenblas-dev libopenmpi-dev",
        ".venv/bin/pip install -c requirements/lock.txt -e '.[mace,dft]'",
        "forcebase launch flows/wse2_training_structures.py --remote --worker slurm "
        "--worker sample=cpu \\",
    ],
    "clusters.md": ["apt install slurm-wlm munge"],
    "plugins.md": [
        "pip install ./forcebase-example",
        "forcebase import run.minidft",
        "forcebase model add lj argon --name lj-argon",
        "forcebase model check lj-argon",
        "forcebase dataset build argon elements=Ar --step few-atoms:n=2",
        "forcebase launch flows/wse2_training_structures.py --set static_maker=coarse-gpaw \\",
    ],
    "speed.md": [
        "python benchmarks/comparison.py --records 1000000 --folder scratch --no-verify --json"
    ],
}
"""Document -> commands that no test of the documents runs, anywhere."""

parametrized = [pytest.param(p, id=p.name, marks=MARKS.get(p.name, ())) for p in DOCUMENTS]


@pytest.mark.training  # the model of the demo, and what the documents train
@pytest.mark.parametrize("path", parametrized)
def test_what_is_typed_works(path, reader, lacking, record_property):
    """All of a document, past what fails, so that one run shows everything that does."""
    told, failed = type_all(path, reader, lacking)
    for done in reader.done:
        print(f"{done.seconds:6.1f} s  {first_line(done.command)}")
    for line in told:
        record_property("documentation", line)
    assert not failed, "\n\n".join(["", *failed])


def type_all(path, reader, lacking) -> tuple[list[str], list[str]]:
    """Run a document's blocks; give what to tell at the end, and what failed."""
    told, failed = [], []
    for block in blocks_of(path):
        reader.save(block)
        if block.language not in RUN:
            continue
        for note in block.all("given"):
            if not_run(block, note.text, lacking):
                continue
            done = reader.run(note.text)
            assert done.code == 0, f"{block.place}: given {note.text}\n{done.text}"
        for command in block.commands:
            said = not_run(block, command, lacking)
            if said:
                told.append(said)
                continue
            typed, stand_ins = as_typed(block, command, reader)
            told += stand_ins
            done = reader.run(typed) if block.language == "sh" else reader.python(typed)
            wrong = faults(block, command, done)
            failed += [f"{block.place} {what}:\n{typed}\n{done.text}" for what in wrong]
    return told, failed


def not_run(block: Block, command: str, lacking) -> str:
    """Why a command is not run here, or nothing."""
    for note in block.about("not run", command):
        return f"not run  {block.place} {first_line(command)}: {note.reason}"
    for note in block.about("needs", command):
        if lacking(note.text):
            return f"not run  {block.place} {first_line(command)}: {lacking(note.text)}"
    return ""


def as_typed(block: Block, command: str, reader) -> tuple[str, list[str]]:
    """The command with its stand-ins and real ids, and what stands in."""
    told = []
    for note in block.about("stand-in", command):
        command = command.replace(note.about, note.replacement)
        told.append(f"stand-in {block.place} {note.about} => {note.text}")
    for note in block.about("fill in", command):
        command = re.sub(rf"\b{note.about}\b", reader.find(note.text), command)
    return command, told


def faults(block: Block, command: str, done) -> list[str]:
    """What is wrong with how a command of the text ended and with what it printed."""
    found = ["ends in a traceback"] if "Traceback" in done.text else []
    refusals = block.about("fails", command)
    if (done.code != 0) != bool(refusals):
        found.append(f"ends with exit code {done.code}")
    printed = " ".join(done.text.split())
    wanted = [*refusals, *block.about("prints", command)]
    return found + [f"does not say {n.text!r}" for n in wanted if n.text not in printed]


def first_line(command: str) -> str:
    return command.partition("\n")[0].partition("  #")[0].strip()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_each_note_is_about_a_command_below_it(path):
    """A note whose command was changed or taken out would keep nothing from anybody."""
    for block in blocks_of(path):
        for note in block.notes:
            assert is_well_formed(note), f"{block.place}: {note}"
            if note.verb not in ("given", "file"):
                commands = [*block.commands, *(given.text for given in block.all("given"))]
                assert any(note.about in c for c in commands), f"{block.place}: {note}"


def is_well_formed(note: Note) -> bool:
    if note.verb == "stand-in":
        return bool(note.about and note.replacement and note.reason)
    if note.verb in ("given", "file"):
        return bool(note.text) and not note.about
    return bool(note.text)


def test_commands_that_are_never_run_are_listed():
    """What nobody runs may be wrong: more of it is a decision."""
    found = {
        path.name: [
            first_line(command)
            for block in blocks_of(path)
            for command in block.commands
            if block.language in RUN and block.about("not run", command)
        ]
        for path in DOCUMENTS
    }
    assert {name: commands for name, commands in found.items() if commands} == NOT_RUN


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_stand_in_blocks_that_are_run(path):
    for text in indented_blocks(path):
        assert not re.search(r"^(forcebase|jf|python|pip) ", text, re.MULTILINE), text
    for block in blocks_of(path):
        assert block.language in (*RUN, "yaml", "ini", "toml"), f"{block.place}: of no language"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_an_id_to_fill_in_is_written_as_one(path):
    """RECORD, MODEL, CALCULATION: invented digits look as if they could be typed."""
    for block in blocks_of(path):
        if block.language in RUN:
            assert not INVENTED.search(block.text), block.place
