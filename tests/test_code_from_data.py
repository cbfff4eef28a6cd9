"""What can turn data into code stands in one named place each, and nowhere else."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
ALLOWED = {
    "exec_module": {"forcebase.actions.flow_files"},  # a flow file, which the user named
    "import_module": {
        "forcebase.models.third_party.ase_calculator",  # a calculator, which the user trusted
        "forcebase.models.third_party.engine",  # of a registered kind, in an environment of its own
    },
    "entry_points": {"forcebase.plugins"},  # what installed packages registered, by name
    "torch.load": {
        "forcebase.models.mace_conversion",  # a file that the user named, in a confined process
        "forcebase.models.third_party.chgnet",  # weights that may run, after their digest
    },
    "load_checkpoint": {"forcebase.models.third_party.sevennet"},
    "MontyDecoder": {
        "forcebase.remote.submission",  # resources of a job that this process just made
    },
    "Structure.from_dict": {  # structures that jobs gave to jobs, in this database's own JobStore
        *("forcebase.makers.defect", "forcebase.makers.phonon"),
        *("forcebase.makers.relaxation", "forcebase.makers.sampling"),
    },
    "yaml.load": {"forcebase.safety.yaml_text"},  # the safe loader, after a look at the events
    "ruamel.yaml": {"forcebase.remote.project"},  # safe; jobflow-remote's own projects
    "ase.io.read": {"forcebase.safety.ase_files"},
    "ase.db.connect": {"forcebase.ingest.ase_database"},
    "ulm.open": {"forcebase.ingest.codes.gpaw_output"},  # JSON and numbers
    "extractall": {"forcebase.ingest.unpacking"},
    "tarfile.open": {"forcebase.safety.tar_files"},  # with its headers checked against limits
}
"""What may run, import or write by what it reads -> the modules that may call it, and why."""
NEVER = {
    *("eval", "exec", "__import__", "pickle.load", "pickle.loads", "marshal.loads"),
    *("yaml.unsafe_load", "yaml.full_load", "yaml.safe_load", "yaml.load_all", "read_phonopy_yaml"),
    *(
        "phonopy.load",
        "loadfn",
        "read_pickle",
        "os.system",
        "os.popen",
        "shelve.open",
        "shell=True",
    ),
    *("allow_pickle=True", "joblib.load", "dill.loads", "Structure.from_file", "read_json_file"),
}
FROM = {
    ("ase.io", "read"): "ase.io.read",
    ("ase.io", "iread"): "ase.io.read",
    ("ase.db", "connect"): "ase.db.connect",
    ("ruamel.yaml", "YAML"): "ruamel.yaml",
    ("monty.serialization", "loadfn"): "loadfn",
    ("phonopy", "load"): "phonopy.load",
    ("tarfile", "open"): "tarfile.open",
}
CALLS = {*ALLOWED, *NEVER}


def found_in(tree: ast.AST) -> Iterator[str]:
    """Names out of `CALLS` that a module uses, called or imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield FROM.get((node.module or "", alias.name), alias.name)
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)
            if node.attr not in ("eval", "exec"):  # torch's modules have an eval of their own
                yield node.attr
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id
            for keyword in node.keywords:
                yield f"{keyword.arg}={ast.unparse(keyword.value)}"


def uses(paths: list[Path]) -> dict[str, set[str]]:
    """Name out of `CALLS` -> modules that use it."""
    found = defaultdict(set)
    for path in paths:
        module = (
            ".".join(path.relative_to(SRC).with_suffix("").parts) if SRC in path.parents else "x"
        )
        for name in found_in(ast.parse(path.read_text())):
            if name in CALLS:
                found[name].add(module)
    return found


def test_each_stands_in_its_place_alone():
    found = uses(sorted(SRC.rglob("*.py")))
    assert not NEVER & found.keys(), {name: found[name] for name in NEVER & found.keys()}
    assert dict(found) == ALLOWED


@pytest.mark.parametrize(
    "source",
    [
        "import yaml\nyaml.load(x)",
        "from ase.io import read",
        "import pickle\npickle.loads(x)",
        "eval(x)",
        "import torch\ndef f():\n    return torch.load(x)",
        "from monty.json import MontyDecoder",
        "import subprocess\nsubprocess.run(x, shell=True)",
        "import numpy as np\nnp.load(x, allow_pickle=True)",
        "from importlib import import_module",
        "from importlib.metadata import entry_points",
        "from phonopy.interface.phonopy_yaml import read_phonopy_yaml",
        "from monty.serialization import loadfn",
    ],
)
def test_the_walker_sees_them(tmp_path, source):
    path = tmp_path / "module.py"
    path.write_text(source)
    assert uses([path])
