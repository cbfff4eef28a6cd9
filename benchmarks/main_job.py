"""The main job, measured: accuracy against DFT, and time by step.

    python benchmarks/main_job.py --json > benchmarks/results/main_job.json
    python benchmarks/main_job.py --full --json > benchmarks/results/main_job_full.json

Runs in a database of its own, which goes afterwards, so that every step is really done. With two
threads figures of accuracy differ from run to run, by a few per cent; seconds depend on the machine
and on what else it does, which is why its load stands beside them, before and meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from data import sizes_of_split
from forcebase.actions.main_job import DEMO_JOB, FULL_JOB, run_main_job
from forcebase.database.database import Database
from forcebase.database.server import EmbeddedServer
from forcebase.settings import Settings
from machine import Conditions


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="the long settings on all data")
    parser.add_argument("--threads", type=int, help="of the training; 1 gives the same bits")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    job = FULL_JOB if arguments.full else DEMO_JOB
    if arguments.threads:
        job = replace(job, settings=replace(job.settings, threads=arguments.threads))
    with tempfile.TemporaryDirectory(prefix="forcebase-benchmark-") as folder:
        settings = Settings(home=Path(folder) / "home")
        conditions = Conditions()
        db = Database(settings)
        try:
            answer = run_main_job(db, job, Path(folder) / "report", say)
            (model,) = db.methods.find({"hyperparameters": {"$exists": True}})
            test_split = sizes_of_split(db, db.datasets.get(model.dataset))
        finally:
            db.close()
            EmbeddedServer(settings.home).stop()
        found = {
            **{metric.name: metric.value for metric in answer.metrics},
            "missing": answer.missing,
            "remarks": answer.remarks,
            "targets": job.targets,
            "test_split": test_split,
            "settings": dict(model.hyperparameters),
            "seconds": answer.steps,
            **conditions.as_dict(),
        }
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:<36} {value}")


if __name__ == "__main__":
    main()
