"""Versions of the packages that a result depends on."""

from __future__ import annotations

from importlib.metadata import version


def package_versions(*names: str) -> dict[str, str]:
    """Installed version of each package, forcebase included.

    Names have no dots, so that they can be keys of a MongoDB document.
    """
    return {name: version(name) for name in ("forcebase", *names)}
