"""The floors of the package, read from its source: imports go down, and never in circles."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
FLOORS = (
    ("scratch",),
    ("errors", "units", "progress"),
    ("settings", "bounds", "paths", "safety", "plugins"),
    ("digest",),
    ("blob",),
    ("frames", "outputs"),
    ("physics",),
    ("models", "curation"),
    ("makers", "records"),
    ("database",),
    ("ingest",),
    ("provenance",),
    ("integrity", "datasets", "remote"),
    ("comparison", "archive"),
    ("report",),
    ("actions",),
    ("api",),
    ("cli",),
)
"""Lowest first; rooms on the same floor do not know each other."""
FLOOR = {name: height for height, names in enumerate(FLOORS) for name in names}
NEVER_IN_JOBS = {"records", "database", "ingest"}
"""A maker runs on any worker, with no route to the database."""


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        name = ".".join(path.relative_to(SRC).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def imports(path: Path) -> frozenset[str]:
    """Modules of this package that a file imports: inside functions and for typing too."""
    known = modules()
    return frozenset(
        name
        for found in _names(ast.parse(path.read_text()))
        for name in [found if found in known else found.rpartition(".")[0]]
        if name in known and known[name] != path
    )


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports name their module in full"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _names(child)


def room(module: str) -> str:
    return module.split(".")[1]


def inner_modules() -> dict[str, Path]:
    """All modules but the facade `forcebase/__init__`, which may import anything, lazily."""
    return {name: path for name, path in modules().items() if "." in name}


def test_every_module_has_a_floor():
    assert {room(name) for name in inner_modules()} <= FLOOR.keys()


@pytest.mark.parametrize("module", inner_modules())
def test_imports_go_down(module):
    below = FLOOR[room(module)]
    wrong = {
        name
        for name in imports(inner_modules()[module])
        if name != "forcebase" and room(name) != room(module) and FLOOR[room(name)] >= below
    }
    assert not wrong, f"{module} imports {sorted(wrong)}, which is not below it"


def test_makers_know_no_database():
    for name, path in inner_modules().items():
        if room(name) == "makers":
            assert not {room(found) for found in imports(path)} & NEVER_IN_JOBS, name


def test_no_modules_import_each_other_typing_included():
    graph = {name: imports(path) for name, path in inner_modules().items()}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' -> '.join(error.args[1])}")


def test_the_reader_of_imports_sees_those_of_functions_and_of_typing(tmp_path):
    source = tmp_path / "module.py"
    source.write_text(
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from forcebase.report import content\n"
        "from forcebase import records\n"
        "import forcebase.digest\n"
        "def late():\n    from forcebase.database.database import Database\n"
    )
    assert imports(source) == {
        "forcebase.report.content",
        "forcebase.records",
        "forcebase.digest",
        "forcebase.database.database",
    }


def test_the_facade_imports_nothing_before_it_is_asked():
    tree = ast.parse((SRC / "forcebase" / "__init__.py").read_text())
    tree.body = [
        node
        for node in tree.body
        if not isinstance(node, ast.FunctionDef)
        and not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    assert not [name for name in _names(tree) if name.startswith("forcebase")]
