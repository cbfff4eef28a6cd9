"""Phonons of the selenium vacancy in WSe2: pristine and defective supercells of growing size.

    forcebase launch flows/wse2_vacancy.py --set model=wse2-mace
    forcebase launch flows/wse2_vacancy.py --set model=wse2-mace --set 'sizes=[3,4]'
    forcebase defect --model wse2-mace --out vacancy

Each supercell's cell is relaxed with the vacuum fixed. What the database has already is not
computed again, so an interrupted run goes on where it stopped.
"""

from jobflow import Flow

from forcebase.actions.defects import defect_flow
from forcebase.database.database import Database
from forcebase.makers.phonon import ForceConstantsMaker, PhononMaker
from forcebase.makers.relaxation import RelaxMaker
from forcebase.remote.placement import place

SIZES = (2, 3, 4, 5, 6, 9, 12)


def build(
    db: Database,
    model: str = "wse2-mace",
    unit_cell: str = "wse2-unit-cell",
    sizes: tuple[int, ...] = SIZES,
    defect: str = "v_Se",
    fmax: float = 1e-5,
    tolerance: float = 1e-8,
    workers: dict[str, str] | None = None,
) -> Flow:
    """Make the flow; `tolerance` of the force constants is in eV/angstrom^2.

    `workers`: job name, or a part of it, to a worker of jobflow-remote.
    """
    maker = PhononMaker(
        relax_maker=RelaxMaker(fmax=fmax),
        force_constants_maker=ForceConstantsMaker(tolerance=tolerance),
    )
    method, structure = db.require_model(model), db.require_structure(unit_cell)
    supercells = [[[n, 0, 0], [0, n, 0], [0, 0, 1]] for n in sizes]
    return place(defect_flow(db, method, structure, supercells, defect, maker), workers)
