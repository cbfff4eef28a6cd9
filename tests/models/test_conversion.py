"""A MACE's file is opened once, in a process that can do little else."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys

import pytest
import torch

from forcebase.errors import MissingDependencyError, ModelError
from forcebase.models import conversion
from forcebase.models.conversion import convert_mace
from forcebase.models.mace_conversion import convert_file
from forcebase.models.network_form import describe_network

PROBE = """
import json, os, resource, socket, sys
from forcebase.models.confinement import Limits, confine
cut = confine(Limits(memory=1 << 30, seconds=20, file_size=1 << 20))
print(json.dumps({"cut": cut, "names": [name for _, name in socket.if_nameindex()],
    "cpu": resource.getrlimit(resource.RLIMIT_CPU)[0]}))
try:
    open("large", "wb").write(b"x" * (2 << 20))
except OSError as error:
    print("file", error.errno)
try:
    bytearray(2 << 30)
except MemoryError:
    print("memory")
socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
"""


class Runs:
    """A pickle of this calls a function when it is opened."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def saved(network) -> bytes:
    buffer = io.BytesIO()
    torch.save(network, buffer)
    return buffer.getvalue()


def test_the_file_of_mace_becomes_its_neutral_form(random_network, fresh_processes) -> None:
    network = random_network("float64", pair_repulsion=True)
    found = convert_mace(saved(network))
    assert found.neutral == describe_network(network).to_bytes()
    assert found.deviation == 0.0
    assert found.confined or "network" in found.notes[0]


def test_what_the_process_finds_in_its_environment(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("FORCEBASE_MONGODB_URI", "mongodb://user:secret@host")
    found = conversion._environment(tmp_path)
    assert "secret" not in str(found)
    assert found["HOME"] == str(tmp_path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pickle.dumps(Runs(os._exit, 7)), "ended with code 7"),
        (saved({"model": {}, "epoch": 3}), "It is a checkpoint of epoch 3"),
        (saved({"a": 3}), "It holds a dict, no MACE of energies"),
    ],
)
def test_what_is_no_mace_is_refused_by_a_line(data, words) -> None:
    with pytest.raises(ModelError) as caught:
        convert_mace(data)
    assert words in caught.value.message
    assert caught.value.hint


def take(given, folder) -> None:
    """Convert a file's bytes, or describe a network."""
    if isinstance(given, bytes):
        (folder / "given").write_bytes(given)
        convert_file(folder / "given", folder / "target")
    else:
        describe_network(given)


def test_what_else_is_no_mace(tmp_path, random_network) -> None:
    """Asked in this process, which these files do nothing to."""
    unlike = random_network("float64")
    unlike.cueq_config = object()
    compiled = torch.jit.script(torch.nn.Linear(2, 2))
    for given, words in (
        (saved(torch.nn.Linear(2, 2)), "It holds a Linear, no MACE"),
        (b"no model", "cannot read it: UnpicklingError"),
        (b"", "cannot read it: EOFError"),
        (unlike, "made for cuEquivariance or LAMMPS"),
        (compiled, "It is a network compiled by TorchScript, Linear"),
    ):
        with pytest.raises(ModelError) as caught:
            take(given, tmp_path)
        assert words in caught.value.message
    assert not (tmp_path / "target").exists()


def test_a_network_that_answers_otherwise_is_not_taken(tmp_path, random_network) -> None:
    """Something outside its numbers and architecture, as only the pickle can hold it."""
    network = random_network("float64")
    network.interactions[1].avg_num_neighbors = 5.0
    (tmp_path / "given").write_bytes(saved(network))
    with pytest.raises(ModelError, match=r"answers otherwise: off by .* in float64"):
        convert_file(tmp_path / "given", tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux'")
def test_a_confined_process_has_no_network_and_little_of_the_rest(tmp_path) -> None:
    import json
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        done = subprocess.run(
            [sys.executable, "-c", PROBE, host, str(port)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    first, *others = done.stdout.splitlines()
    said = json.loads(first)
    assert said["cpu"] == 20
    assert others == ["file 27", "memory"]
    if said["cut"]:
        assert said["names"] == ["lo"]
        assert "Error" in done.stderr.splitlines()[-1]
    else:
        assert done.returncode == 0


def test_a_report_that_a_pickle_wrote_is_not_believed(monkeypatch) -> None:
    """It ran in the process, so it can write what it likes there; here that is checked."""
    lie = """{"deviation": 0.0, "confined": true}"""
    for script, words in (
        (f"open('report', 'w').write({lie!r}), open('target', 'wb').write(b'x' * 99)", "refused"),
        ("open('report', 'w').write('[' * 90_000)", "could not be converted"),
        (
            f"open('report', 'w').write({lie!r}), "
            "__import__('os').symlink('/etc/passwd', 'target')",
            "refused",
        ),
    ):
        lying = pickle.dumps((Runs(eval, script), Runs(os._exit, 0)))
        with pytest.raises(ModelError, match=words):
            convert_mace(lying)


def test_without_mace_it_says_so(monkeypatch, tmp_path, fresh_processes) -> None:
    """As where the extra is not installed: a module of that name that cannot be imported."""
    (tmp_path / "mace").mkdir()
    (tmp_path / "mace" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module 'mace'\")"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError, match="MACE cannot be imported"):
        convert_mace(b"whatever")


def test_too_little_memory_ends_it_with_a_line(tmp_path) -> None:
    """The limit is set in the process itself; here a smaller one."""
    code = (
        "import sys; from pathlib import Path; import forcebase.models.mace_conversion as m;"
        "m.MEMORY = 200 << 20; sys.argv[1:] = ['source', 'target', 'report']; m.main()"
    )
    (tmp_path / "source").write_bytes(b"x")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    report = conversion._report(tmp_path / "report")
    assert done.returncode != 0 or (report and "error" in report)
    assert not (tmp_path / "target").exists()
