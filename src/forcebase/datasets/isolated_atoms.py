"""Isolated atoms for a dataset: those of its method, and those of others, which are offered."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from ase.data import chemical_symbols

from forcebase.database.database import Database
from forcebase.database.reading import read_frames
from forcebase.frames import Frames
from forcebase.physics.energy_kinds import EnergyKind
from forcebase.physics.isolated_atoms import isolated
from forcebase.records import DFTMethod

SAME = ("code", "functional")
"""Fields in which a method must agree for its atoms to be worth offering."""


def with_atoms(
    db: Database,
    frames: Frames,
    method: str | None = None,
    energy: EnergyKind = EnergyKind.FREE,
) -> tuple[Frames, list[str]]:
    """Candidates with the isolated atoms of their method, and what is to be said of others.

    Filters such as `n_atoms` leave atoms out that belong to the labels all the same. Those of
    another method, as with spin, have another zero: they are offered in words, and not taken.

    Args:
        db: the database.
        frames: candidates.
        method: id of the method that is kept; None for the one that the crystals have.
        energy: the kind that was taken of the candidates.

    Returns:
        The candidates, and findings.
    """
    alone = isolated(frames)
    methods = {str(name) for name in frames.methods[~alone]}
    if method is None and len(methods) != 1:
        return frames, []
    method = method or methods.pop()
    elements = {chemical_symbols[z] for z in np.unique(frames.numbers[~alone[frames.owners]])}
    asked = {"formula": {"$in": sorted(elements)}, "method_class": "dft", "converged": True}
    atoms = read_frames(db, {**asked, "n_atoms": 1}, energy)
    atoms = atoms.take(np.flatnonzero(isolated(atoms)))
    own = atoms.methods == method
    crystals = frames.ids[~alone | (frames.methods == method)]
    wanted = sorted({*crystals.tolist(), *atoms.ids[own].tolist()})
    findings = _offers(db, atoms.take(np.flatnonzero(~own)), method)
    if wanted == sorted(frames.ids.tolist()):
        return frames, findings
    return read_frames(db, {"_id": {"$in": wanted}}, energy), findings


def _offers(db: Database, atoms: Frames, method: str) -> list[str]:
    ours = db.methods.get(method)
    by_method: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(atoms.methods):
        by_method[str(name)].append(i)
    said = []
    for name, places in sorted(by_method.items()):
        theirs = db.methods.get(name)
        if not isinstance(ours, DFTMethod) or not isinstance(theirs, DFTMethod):
            continue
        names = dict.fromkeys((*ours.rules(), *theirs.rules()))
        unlike = [name for name in names if getattr(ours, name) != getattr(theirs, name)]
        if set(unlike) & set(SAME):
            continue
        told = ", ".join(
            f"{chemical_symbols[atoms.numbers[i]]} {atoms.energies[i]:.4f} eV" for i in places
        )
        said.append(
            f"isolated atoms were run with another setting ({', '.join(unlike)}; method "
            f"{name[:10]}): {told}. They are offered and not taken: to take them as E0s, give "
            "them as `e0s` in the recipe"
        )
    return said
