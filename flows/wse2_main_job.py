"""The main job as one flow: curate, train, predict and phonons, from records in the database.

    forcebase import data/wse2_gpaw
    forcebase launch flows/wse2_main_job.py --set epochs=20
    forcebase launch flows/wse2_main_job.py --remote --set 'workers={"train": "gpu"}'

`forcebase demo` does the same step by step, and writes the report.
"""

from dataclasses import replace
from typing import Any

from jobflow import Flow

from forcebase.actions.datasets import dataset_recipe
from forcebase.actions.phonons import reference_phonon
from forcebase.database.database import Database
from forcebase.database.publishing import publish_frames
from forcebase.database.reading import read_frames
from forcebase.makers.curation import CurateMaker
from forcebase.makers.phonon import PhononMaker
from forcebase.makers.prediction import PredictMaker
from forcebase.makers.training import MACETrainMaker
from forcebase.models.training_settings import DEMO
from forcebase.remote.placement import place


def build(
    db: Database,
    name: str = "wse2-flow",
    epochs: int = DEMO.epochs,
    threads: int | None = None,
    workers: dict[str, str] | None = None,
) -> Flow:
    """Curate dataset `name` from all converged records of W and Se by the method of the DFT phonon.

    `threads`: of the training; by default chosen where it runs, 1 gives the same bits each time.
    `workers`: job name, or a part of it, to a worker of jobflow-remote.
    """
    reference = reference_phonon(db)
    filters: dict[str, Any] = {
        "method": reference.method,
        "method_class": "dft",
        "converged": True,
        "elements": ["Se", "W"],
    }
    frames = read_frames(db, db.calculations.selector(**filters))
    candidates = publish_frames(db, frames)
    curating = CurateMaker(recipe=dataset_recipe(db, name, filters, frames)).make(candidates)
    maker = MACETrainMaker(settings=replace(DEMO, epochs=epochs, threads=threads))
    training = maker.make(candidates, curating.output)
    predicting = PredictMaker(split="test").make(training.output, candidates, curating.output)
    unit_cell = db.structures.get(reference.structure).to_pymatgen()
    vibrating = PhononMaker().make(training.output, unit_cell, reference.supercell_matrix)
    flow = Flow([curating, training, predicting, vibrating], name=f"main job of {name}")
    return place(flow, workers)
