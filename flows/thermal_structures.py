"""Structures displaced as at a temperature, drawn from a phonon's force constants and labelled.

    forcebase launch flows/thermal_structures.py --set phonon=wse2-dft-phonon \\
        --set kind=pristine-2x2 --set 'supercell=[2, 2, 1]' --set 'temperatures=[300, 600]'

Any phonon in the database will do, a model's or DFT's, of a crystal or of a defect cell. With DFT
on a cluster, and all else here:

    forcebase launch flows/thermal_structures.py --set phonon=wse2-dft-phonon \\
        --set kind=pristine-3x3 --remote --set 'workers={"GPAW": "slurm"}'
"""

from jobflow import Flow, Maker
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.database.crystals import crystal_of
from forcebase.database.database import Database
from forcebase.makers.gpaw import GPAWStaticMaker
from forcebase.makers.sampling import LabelStructuresMaker
from forcebase.makers.static_makers import GPAW
from forcebase.makers.static_makers import static_maker as make_static
from forcebase.outputs import StructureOutput
from forcebase.physics.thermal_displacements import ThermalDraws, draw_thermal
from forcebase.remote.placement import place


def build(
    db: Database,
    phonon: str,
    kind: str,
    static_maker: Maker | str = GPAW,
    temperatures: list[float] = [300.0],  # noqa: B006 - never changed
    count: int = 1,
    supercell: list[int] | None = None,
    strain: float = 0.0,
    seed: int = 1,
    cutoff: float = GPAWStaticMaker.cutoff,
    k_spacing: float = GPAWStaticMaker.k_spacing,
    workers: dict[str, str] | None = None,
) -> Flow:
    """Draw `count` structures at each temperature (K) and label each with DFT.

    `supercell`: repeats of the phonon's unit cell; its own supercell by default. `strain`: largest
    component. `cutoff` (eV) and `k_spacing` (1/angstrom) are for GPAW, where no other
    `static_maker`, or the name of one, is given. `workers`: job name, or a part of it, to a worker
    of jobflow-remote.
    """
    found = db.phonons.get(db.resolve(phonon, "phonons")[1].id)
    draws = ThermalDraws(
        kind=kind,
        temperatures=tuple(temperatures),
        count=count,
        supercell_matrix=_diagonal(*supercell) if supercell else None,
        strain=strain,
        seed=seed,
    )
    structures = [
        StructureOutput(
            structure=AseAtomsAdaptor.get_structure(made.atoms).as_dict(),
            family=made.family,
            kind=made.kind,
            recipe=made.recipe,
        )
        for made in draw_thermal(crystal_of(db, found), draws, found.id)
    ]
    settings = {"cutoff": cutoff, "k_spacing": k_spacing} if static_maker == GPAW else {}
    maker = make_static(static_maker, **settings)
    labelling = LabelStructuresMaker(static_maker=maker).make(
        {"forcebase": "structures", "structures": structures}
    )
    return place(Flow([labelling], name=f"{kind} at {temperatures} K"), workers)


def _diagonal(n1: int, n2: int, n3: int) -> tuple[tuple[int, int, int], ...]:
    return (n1, 0, 0), (0, n2, 0), (0, 0, n3)
