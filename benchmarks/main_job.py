"""The main job, measured: accuracy against DFT, and time by step.

    python benchmarks/main_job.py --json
    python benchmarks/main_job.py --full --json > benchmarks/results/main_job_full.json

Runs in a database of its own, which goes afterwards, so that every step is really done. Figures of
accuracy do not depend on the machine; seconds do, so compare them within one run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from forcebase.database.database import Database
from forcebase.database.server import EmbeddedServer
from forcebase.main_job import DEMO_JOB, FULL_JOB, run_main_job
from forcebase.settings import Settings
from machine import Conditions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="the long settings on all data")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    job = FULL_JOB if arguments.full else DEMO_JOB
    with tempfile.TemporaryDirectory(prefix="forcebase-benchmark-") as folder:
        settings = Settings(home=Path(folder) / "home")
        conditions = Conditions()
        db = Database(settings)
        try:
            answer = run_main_job(db, job, Path(folder) / "report")
        finally:
            db.close()
            EmbeddedServer(settings.home).stop()
        found = {
            **{metric.name: metric.value for metric in answer.metrics},
            "targets": job.targets,
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
