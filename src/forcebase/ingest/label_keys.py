"""Under which names labels stand in foreign structures: said, or recognised, never guessed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ase import Atoms

from forcebase.errors import InputError

NAMES = {
    "energy": ("energy", "total_energy", "etot", "e0"),
    "free_energy": ("free_energy", "total_free_energy"),
    "forces": ("forces", "force"),
    "stress": ("stress",),
}
BEFORE = re.compile(r"^(ref|dft|pbe|target|true|vasp|gpaw|qe|cp2k|aims|calc)[_-]|[_-](ref|dft)$")
ASE_OWN = ""
"""Stands for what ASE itself read as a label, whose key in a file is the bare name."""


def chosen_keys(path: Path, frames: list[Atoms], said: dict[str, Any]) -> dict[str, str | None]:
    """Give the key of each label: what was said, else the one that is recognised.

    Args:
        path: of the file, for messages.
        frames: its structures; keys of all of them count.
        said: names by the user; "" stands for ASE's own, None for no such label.

    Raises:
        InputError: two keys could be meant.
    """
    found: dict[str, str | None] = {}
    for name in NAMES:
        like = found.get("energy") if name == "free_energy" else None
        found[name] = said[name] if name in said else _recognised(path, frames, name, like)
    return found


def is_free_energy(key: str | None) -> bool:
    """Whether a key, said for the energy, is that of a free energy."""
    return bool(key) and BEFORE.sub("", str(key).lower()) in NAMES["free_energy"]


def _recognised(path: Path, frames: list[Atoms], name: str, like: str | None = None) -> str | None:
    """The one key that there is; beside an energy, only the free energy of the same source."""
    found = sorted({key for atoms in frames for key in _candidates(atoms, name)})
    if like is not None:
        found = [key for key in found if _source(key) == _source(like)]
    if len(found) > 1:
        shown = " and ".join(key or name for key in found)
        raise InputError(
            f"{path.name} has {shown}, and does not say which is the {name}.",
            hint=f"Give --{name.replace('_', '-')}-key, or `keys` in method.yaml "
            f"(`{name}` for ASE's own).",
        )
    if name == "stress" and not found:
        _refuse_virials(path, frames)
    return found[0] if found else None


def _refuse_virials(path: Path, frames: list[Atoms]) -> None:
    """Virials are stresses times volume, of either sign: not for us to guess."""
    keys = {key for atoms in frames for key in atoms.info}
    found = sorted(key for key in keys if BEFORE.sub("", key.lower()) in ("virial", "virials"))
    if found:
        raise InputError(
            f"{path.name} has {found[0]} and no stress.",
            hint="Write the stress beside it, eV/angstrom^3 and positive under tension (often "
            "-virial/volume), or leave it out: `keys: {stress: null}` of this file in method.yaml.",
        )


def _source(key: str) -> str:
    """What stands around the name of a label: whose it is."""
    return key.lower().replace(BEFORE.sub("", key.lower()), "") if key else ASE_OWN


def _candidates(atoms: Atoms, name: str) -> list[str]:
    keys = [
        key for key in [*atoms.info, *atoms.arrays] if BEFORE.sub("", key.lower()) in NAMES[name]
    ]
    if atoms.calc is not None and name in atoms.calc.results:
        keys.append(ASE_OWN)
    return keys


def label(atoms: Atoms, name: str, keys: dict[str, str | None]) -> Any:
    """Give a label of a structure by its key; None where it has none."""
    key = keys[name]
    if key is None:
        return None
    if key and key in (*atoms.info, *atoms.arrays):
        return atoms.info.get(key, atoms.arrays.get(key))
    if key in (ASE_OWN, name) and atoms.calc is not None:
        return atoms.calc.results.get(name)
    if key and atoms.calc is not None:
        return atoms.calc.results.get(key)
    return None
