"""CONTRIBUTING.md and CITATION.cff are in step with the project."""

import re
import tomllib

import yaml
from documents import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_what_contributing_names_is_there():
    named = set(re.findall(r"`((?:src|tests|docs|schemas)/[\w./]*)`", CONTRIBUTING))
    assert len(named) > 15
    assert not [path for path in named if not (ROOT / path).exists()]


def test_targets_of_make_are_there():
    named = set(re.findall(r"\bmake ([a-z]+)", CONTRIBUTING))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"check", "lint", "schemas", "architecture"} <= named <= targets


def test_the_citation_is_of_this_version():
    """The fields that version 1.2 of the format asks for, and what pyproject.toml says."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert cited["cff-version"] == "1.2.0"
    assert cited["type"] == "software"
    assert cited["authors"] == [{"name": "The forcebase developers"}]
    assert str(cited["version"]) == PROJECT["version"]
    assert cited["license"] == PROJECT["license"]
