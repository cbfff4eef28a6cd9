"""The committed versions: exact, of known packages only, and allowed by pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pinned(name: str) -> dict[str, str]:
    """Package -> version of a file of requirements, which may hold nothing else."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    kept = [line for line in lines if not line.startswith("#")]
    wrong = [
        line for line in kept if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)
    ]
    assert wrong == [], "only NAME==VERSION: no addresses, no paths, no builds of one machine"
    pairs = [line.split("==") for line in kept]
    return {canonicalize_name(package): version for package, version in pairs}


def wanted(*extras: str) -> list[Requirement]:
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in EXTRAS[extra])]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("requirement", wanted("mace", "dev", "dft"), ids=lambda found: found.name)
def test_the_lock_holds_what_make_installs(requirement):
    version = pinned("lock.txt").get(canonicalize_name(requirement.name))
    assert version is not None, "`make lock` writes it anew"
    assert requirement.specifier.contains(version)


@pytest.mark.parametrize("requirement", wanted("mace"), ids=lambda found: found.name)
def test_the_oldest_versions_are_the_lowest_allowed(requirement):
    if requirement.name == "torch":
        assert "torch" not in pinned("oldest.txt"), "tried in one version, the lock's"
        return
    [bound] = requirement.specifier
    assert bound.operator == ">=", "an upper bound needs a measured break beside it"
    lowest = pinned("oldest.txt")[canonicalize_name(requirement.name)]
    assert Version(lowest) == Version(bound.version)


def test_torch_is_in_the_extra_alone():
    assert "torch" not in {requirement.name for requirement in wanted()}
    assert "torch" in {Requirement(text).name for text in EXTRAS["mace"]}
