"""What nothing calls: a public function or class that only tests know is dead."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
SCRIPTS = ("flows", "benchmarks", "docs")
TEXTS = ("README.md", "pyproject.toml", "docs/*.md", "db_config/**/*", "src/**/*.yaml")
CALLED_BY_NAME = {
    "forcebase.records.kinds.register": "records/__init__ calls it for each class",
}
"""Public names that no source spells out with their module, and what calls them all the same."""

Definition = ast.FunctionDef | ast.ClassDef


@cache
def modules() -> dict[str, ast.Module]:
    """Module name -> its source, parsed."""
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        name = ".".join(path.relative_to(SRC).with_suffix("").parts)
        found[name] = ast.parse(path.read_text())
    return found


def definitions() -> Iterator[tuple[str, Definition]]:
    """Public functions and classes of all modules, but for commands: those are called by typer."""
    for module, tree in modules().items():
        for node in tree.body:
            if isinstance(node, Definition) and not node.name.startswith("_"):
                decorators = " ".join(map(ast.unparse, node.decorator_list))
                if not re.search(r"\bapp\.(command|callback)\b", decorators):
                    yield module, node


@cache
def named_elsewhere() -> frozenset[tuple[str, str]]:
    """(module, name) of what is imported from a module, or taken of an imported module.

    A package's `__init__` that passes a name on does not use it; whoever imports it there does.
    """
    passed_on: dict[tuple[str, str], tuple[str, str]] = {}
    found: set[tuple[str, str]] = set()
    scripts = [p for folder in SCRIPTS for p in sorted((ROOT / folder).rglob("*.py"))]
    trees = list(modules().items()) + [("", ast.parse(path.read_text())) for path in scripts]
    for module, tree in trees:
        package = module.removesuffix(".__init__")
        imported = dict(_imported(tree))
        if package != module and "." in package:
            passed_on |= {(package, name): target for name, target in imported.items()}
            continue
        found |= set(imported.values())
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                base = imported.get(node.value.id)
                if base is not None:
                    found.add((".".join(base), node.attr))
    for _ in range(3):  # a package may pass on what a package in it passes on
        found |= {passed_on[name] for name in found if name in passed_on}
    return frozenset(found)


def _imported(tree: ast.AST) -> Iterator[tuple[str, tuple[str, str]]]:
    """Name here -> (module, name there)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield alias.asname or alias.name, (node.module, alias.name)


def _used_at_home(tree: ast.Module, definition: Definition) -> bool:
    inside = set(ast.walk(definition))
    return any(
        isinstance(node, ast.Name) and node.id == definition.name and node not in inside
        for node in ast.walk(tree)
    )


@cache
def texts() -> str:
    """Documents and settings, which name functions for users, jobs and entry points."""
    paths = [path for pattern in TEXTS for path in sorted(ROOT.glob(pattern)) if path.is_file()]
    return "\n".join(path.read_text(errors="replace") for path in paths)


def unused() -> set[str]:
    return {
        f"{module}.{node.name}"
        for module, node in definitions()
        if (module.removesuffix(".__init__"), node.name) not in named_elsewhere()
        and not _used_at_home(modules()[module], node)
        and not re.search(rf"\b{node.name}\b", texts())
    }


def test_all_that_is_public_is_called():
    dead = sorted(unused() - CALLED_BY_NAME.keys())
    assert not dead, (
        f"no source, flow, benchmark or document names {dead}: give it a command or a caller, or "
        "delete it with its tests; what is called by a name in a variable is for CALLED_BY_NAME"
    )


def test_the_exceptions_are_needed():
    assert CALLED_BY_NAME.keys() <= unused()


def test_much_is_looked_at():
    assert len(list(definitions())) > 1000


def test_a_function_that_nothing_calls_is_found(monkeypatch):
    tree = modules()["forcebase.units"]
    (alone,) = ast.parse("def nobody_calls_this():\n    pass").body
    monkeypatch.setattr(tree, "body", [*tree.body, alone])
    assert "forcebase.units.nobody_calls_this" in unused()
