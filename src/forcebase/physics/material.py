"""What people call a structure: a monolayer, a chain, a molecule."""

from __future__ import annotations

from ase import Atoms
from ase.geometry.dimensionality import analyze_dimensionality

from forcebase.physics.periodicity import periodicity

LAYERS = {1: "monolayer", 2: "bilayer", 3: "trilayer"}
OTHERS = {3: "bulk", 1: "chain", 0: "molecule"}


def form_of(atoms: Atoms) -> str:
    """Give "bulk", "monolayer", "bilayer", "4 layers", "chain" or "molecule".

    Layers are counted by their bonds (Larsen et al., Phys. Rev. Materials 3, 034003 (2019), as in
    ASE); where these make no layers, it is a "layer".
    """
    dimension = periodicity(atoms.cell.array, atoms.positions, atoms.pbc).dimension
    if dimension != 2:
        return OTHERS[dimension]
    closed = atoms.copy()
    closed.pbc = True
    n_layers = analyze_dimensionality(closed)[0].h[2]
    if n_layers == 0:
        return "layer"
    return LAYERS.get(n_layers, f"{n_layers} layers")
