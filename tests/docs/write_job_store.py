"""A JobStore that somebody else's atomate2 left: `python write_job_store.py MODEL JOBFLOW.yaml`.

One static calculation with a model of the database, and the file that says where the store is.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import yaml
from atomate2.forcefields.jobs import ForceFieldStaticMaker
from jobflow import JobStore, run_locally

import forcebase as fb

name, target = sys.argv[1], Path(sys.argv[2]).absolute()
db = fb.connect()


def json_store(suffix: str) -> dict:
    path = str(target.with_suffix(suffix))
    return {"type": "JSONStore", "paths": [path], "read_only": False}


spec = {
    "docs_store": json_store(".json"),
    "additional_stores": {"data": json_store(".data.json")},
}
store = JobStore.from_dict_spec(spec)
with tempfile.TemporaryDirectory() as folder:
    weights = Path(folder) / "weights.model"
    weights.write_bytes(db.blobs.get(db.require_model(name).weights))
    keywords = {"model": str(weights), "default_dtype": "float64", "device": "cpu"}
    maker = ForceFieldStaticMaker(force_field_name="MACE", calculator_kwargs=keywords)
    cell = db.require_structure("wse2-unit-cell").to_pymatgen()
    run_locally(maker.make(cell), store=store, log=False, root_dir=folder)
db.close()
target.write_text(yaml.safe_dump({"JOB_STORE": spec}))
