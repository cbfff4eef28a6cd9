from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from ase.build import mx2
from atomate2.ase.jobs import LennardJonesStaticMaker
from atomate2.cp2k.jobs.core import StaticMaker as CP2KStaticMaker
from atomate2.vasp.jobs.core import StaticMaker as VASPStaticMaker
from jobflow import Flow, JobStore, Maker, run_locally
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.digest import structure_digest
from forcebase.makers.gpaw import GPAWStaticMaker
from forcebase.makers.sampling import LabelStructuresMaker, SampleStructuresMaker
from forcebase.physics.sampling import CellDraws, SamplingPlan, sample

FLOW = Path(__file__).parents[2] / "flows" / "wse2_training_structures.py"
PLAN = SamplingPlan(cells=(CellDraws(1, 2), CellDraws(2, 1, vacancy="Se")), seed=5)


@pytest.fixture
def unit_cell() -> Structure:
    atoms = mx2("WSe2", a=3.31, thickness=3.36, vacuum=6.0)
    atoms.pbc = True
    return AseAtomsAdaptor.get_structure(atoms)


@pytest.fixture
def build() -> Callable[..., Flow]:
    return runpy.run_path(str(FLOW))["build"]


def digest(structure: Structure) -> str:
    atoms = AseAtomsAdaptor.get_atoms(structure)
    return structure_digest(atoms.numbers, atoms.cell.array, atoms.positions, atoms.pbc)


def test_the_job_gives_what_the_physics_gives(unit_cell: Structure, store: JobStore) -> None:
    output = SampleStructuresMaker(plan=PLAN).make(unit_cell).run(store).output
    drawn = sample(AseAtomsAdaptor.get_atoms(unit_cell), PLAN)
    assert output["forcebase"] == "structures"
    assert [made["family"] for made in output["structures"]] == [made.family for made in drawn]
    assert [made["recipe"] for made in output["structures"]] == [made.recipe for made in drawn]
    assert [digest(Structure.from_dict(made["structure"])) for made in output["structures"]] == [
        made.family for made in drawn
    ]


@pytest.mark.parametrize("static_maker", [VASPStaticMaker(), CP2KStaticMaker(), GPAWStaticMaker()])
def test_any_static_maker_takes_its_place(
    static_maker: Maker, unit_cell: Structure, store: JobStore
) -> None:
    structures = SampleStructuresMaker(plan=PLAN).make(unit_cell).run(store).output
    labelling = LabelStructuresMaker(static_maker=static_maker).make(structures).run(store).replace
    # jobflow adds one job of its own that gathers the outputs
    jobs = [job for job in labelling.jobs if job.name != "store_inputs"]
    assert [type(job.maker) for job in jobs] == [type(static_maker)] * 3
    assert [digest(job.function_args[0]) for job in jobs] == [
        made["family"] for made in structures["structures"]
    ]


def test_the_flow_runs_and_keeps_kind_family_and_recipe(
    build: Callable[..., Flow], store: JobStore, tmp_path: Path
) -> None:
    flow = build(LennardJonesStaticMaker(), n_unit_cells=2, n_supercells=1, n_vacancies=1, seed=3)
    run_locally(flow, store=store, root_dir=tmp_path, create_folders=True, ensure_success=True)
    labelled = list(store.query({"name": {"$regex": "static"}}))
    kinds = [document["metadata"]["forcebase"]["kind"] for document in labelled]
    assert sorted(kinds) == [
        "Se-vacancy-2x2",
        "pristine-1x1",
        "pristine-1x1",
        "pristine-2x2",
    ]
    for document in labelled:
        made = document["metadata"]["forcebase"]
        assert digest(Structure.from_dict(document["output"]["structure"])) == made["family"]
        assert document["output"]["output"]["forces"] is not None
        assert made["recipe"]["parameters"]["rattle_std"] > 0


def test_the_flow_labels_with_gpaw_by_default(build: Callable[..., Flow]) -> None:
    labelling = build(n_unit_cells=1).jobs[1]
    assert labelling.maker.static_maker == GPAWStaticMaker()
