"""What people call a structure."""

import pytest
from ase import Atoms
from ase.build import bulk, graphene, molecule, mx2

from forcebase.physics.material import form_of


def layers(n: int) -> Atoms:
    """n layers of MoS2 above each other, 6.5 angstrom apart, and 13 angstrom of vacuum.

    ASE's analysis looks at all bonds up to those through the vacuum: its time grows with it.
    """
    stacked = Atoms()
    for i in range(n):
        layer = mx2("MoS2", a=3.18, thickness=3.13, vacuum=10)
        layer.positions[:, 2] += 6.5 * i
        stacked.extend(layer)
    stacked.set_cell([*layer.cell[:2], [0, 0, 6.5 * n + 9.6]])
    return stacked


@pytest.mark.parametrize(
    ("atoms", "form"),
    [
        (bulk("Si"), "bulk"),
        (bulk("NaCl", "rocksalt", a=5.6), "bulk"),
        (mx2("WSe2", a=3.31, thickness=3.36, vacuum=8), "monolayer"),
        (graphene(vacuum=8), "monolayer"),
        (layers(2), "bilayer"),
        (layers(4), "4 layers"),
        (molecule("H2O", vacuum=6), "molecule"),
        (Atoms("C2", [[6, 6, 0], [6, 6, 1.3]], cell=[12, 12, 2.6], pbc=True), "chain"),
    ],
)
def test_forms(atoms, form):
    if "layer" in form:
        atoms.pbc = [True, True, False]
    assert form_of(atoms) == form
