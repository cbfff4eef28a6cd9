"""New training structures of monolayer WSe2, labelled with DFT.

    forcebase launch flows/wse2_training_structures.py --set n_unit_cells=10 --set seed=1

Strained and rattled unit cells, 2x2 supercells and 2x2 supercells with a selenium vacancy. Any
static maker of atomate2 takes GPAW's place: build(static_maker=StaticMaker()), or that of a package
by its name: --set static_maker=NAME (docs/plugins.md). Cells around
another start, as a vacancy relaxed with a first model:

    forcebase launch flows/wse2_training_structures.py --set n_unit_cells=6 \\
        --set start=data/structures/wse2_vacancy_2x2_start.extxyz \\
        --set kind=relaxed-Se-vacancy-2x2

With DFT on a cluster, and all else here:

    forcebase launch flows/wse2_training_structures.py --remote --set 'workers={"GPAW": "slurm"}'
"""

from pathlib import Path

from ase.io import read
from jobflow import Flow, Maker
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.makers.sampling import LabelStructuresMaker, SampleStructuresMaker
from forcebase.makers.static_makers import GPAW
from forcebase.makers.static_makers import static_maker as make_static
from forcebase.physics.sampling import CellDraws, SamplingPlan
from forcebase.remote.placement import place

UNIT_CELL = Path(__file__).parent.parent / "data" / "wse2_gpaw" / "wse2_gpaw_unitcell.extxyz"


def build(
    static_maker: Maker | str = GPAW,
    n_unit_cells: int = 10,
    n_supercells: int = 0,
    n_vacancies: int = 0,
    seed: int = 1,
    start: str = str(UNIT_CELL),
    kind: str | None = None,
    workers: dict[str, str] | None = None,
) -> Flow:
    """Draw and label structures; on one core 1x1 takes 20 s, 2x2 one to three minutes.

    `start` takes the unit cell's place; its 1x1 draws are then of `kind`. `workers`: job name, or
    a part of it, to a worker of jobflow-remote.
    """
    plan = SamplingPlan(
        cells=(
            CellDraws(size=1, count=n_unit_cells, name=kind),
            CellDraws(size=2, count=n_supercells),
            CellDraws(size=2, count=n_vacancies, vacancy="Se"),
        ),
        seed=seed,
    )
    sampling = SampleStructuresMaker(plan=plan).make(AseAtomsAdaptor.get_structure(read(start)))
    maker = LabelStructuresMaker(static_maker=make_static(static_maker))
    labelling = maker.make(sampling.output)
    flow = Flow([sampling, labelling], output=labelling.output, name="WSe2 training structures")
    return place(flow, workers)
