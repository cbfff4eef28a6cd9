"""A flow of jobs of seconds in which a job is replaced by others, and another waits for them."""

from pathlib import Path

from ase.io import read
from jobflow import Flow, Response, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.makers.sampling import SampleStructuresMaker
from forcebase.physics.sampling import CellDraws, SamplingPlan

UNIT_CELL = Path(__file__).parents[2] / "data" / "wse2_gpaw" / "wse2_gpaw_unitcell.extxyz"


def draw(cell: Structure, seed: int):
    plan = SamplingPlan(cells=(CellDraws(size=1, count=2),), seed=seed)
    return SampleStructuresMaker(name=f"draw {seed}", plan=plan).make(cell)


@job
def spread(drawn: dict, cell: Structure, seeds: list[int]) -> Response:
    """Replace this job by one draw for each seed."""
    jobs = [draw(cell, seed) for seed in seeds]
    return Response(replace=Flow(jobs, output=[made.output for made in jobs]))


@job
def count(drawn: list[dict]) -> int:
    """Count the structures of all draws."""
    return sum(len(found["structures"]) for found in drawn)


def build(seed: int = 1, alone: bool = False) -> Flow:
    """Draw, spread, draw twice, count; or draw alone."""
    cell = AseAtomsAdaptor.get_structure(read(UNIT_CELL))
    first = draw(cell, seed)
    if alone:
        return Flow([first])
    spreading = spread(first.output, cell, [seed + 1, seed + 2])
    return Flow([first, spreading, count(spreading.output)], name="spreading")
