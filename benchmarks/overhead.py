"""What a job costs beside its computation, here and through jobflow-remote, against both bare.

    python benchmarks/overhead.py --json

Trivial jobs: `run_here` against jobflow's own `run_locally` (into memory, and into our JobStore);
our project's `cpu` and `batch` workers against jobflow-remote's plain project with the same delays.
And one real case: the forces of displaced 3x3 supercells as one batched job, and as a job each.
Everything runs in a scratch database with a runner in a process of its own; ratios of one run can
be trusted on a busy machine, seconds cannot.
"""

from __future__ import annotations

import argparse
import json
import operator
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import read
from jobflow import Flow, Job, JobStore, run_locally
from maggma.stores import MemoryStore
from ruamel.yaml import YAML

from forcebase.actions.datasets import build_dataset
from forcebase.actions.running_here import run_here
from forcebase.actions.training import train_model
from forcebase.database.database import Database
from forcebase.database.publishing import publish_frames, publish_model
from forcebase.database.server import EmbeddedServer
from forcebase.frames import Frames
from forcebase.ingest.importing import import_paths
from forcebase.makers.prediction import PredictMaker
from forcebase.models.training_settings import QUICK
from forcebase.remote.project import RemoteProject, init_project
from forcebase.settings import Settings
from machine import Conditions

DATA = Path(__file__).parents[1] / "data" / "wse2_gpaw"
RUN = """
import sys
from jobflow_remote.jobs.runner import Runner
Runner(project_name=sys.argv[1]).run_all_jobs(max_seconds=7200)
"""
PARTS = ("here", "remote", "displacements")
DISPLACEMENT = 0.03
"""angstrom, of every atom at random."""


def main() -> None:
    arguments = parse()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="forcebase-overhead-") as folder:
        os.environ["JFREMOTE_PROJECTS_FOLDER"] = f"{folder}/projects"
        conditions = Conditions()
        found: dict[str, Any] = {}
        try:
            if "here" in arguments.parts:
                found["trivial_here"] = trivial_here(Path(folder), arguments.jobs)
            if "remote" in arguments.parts:
                found["trivial_remote"] = trivial_remote(Path(folder), arguments.remote_jobs)
            if "displacements" in arguments.parts:
                found["displacements"] = displaced(Path(folder), arguments)
        finally:
            EmbeddedServer(Path(folder) / "home").stop()
    found |= conditions.as_dict()
    print(json.dumps(found, indent=2) if arguments.json else lines(found))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="all by default")
    parser.add_argument("--jobs", type=int, default=100, help="trivial jobs run here")
    parser.add_argument("--remote-jobs", type=int, default=20, help="trivial jobs of a worker")
    parser.add_argument("--displacements", type=int, default=200)
    parser.add_argument(
        "--each", type=int, default=200, help="so many of them as jobs of the batch worker"
    )
    parser.add_argument(
        "--alone", type=int, default=20, help="so many of them as processes of the cpu worker"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


@contextmanager
def scratch(folder: Path, name: str) -> Iterator[Database]:
    db = Database(Settings(home=folder / "home", database=name))
    try:
        yield db
    finally:
        db.close()


def sums(n: int) -> Flow:
    return Flow([Job(operator.add, function_args=(i, 1), name=f"add {i}") for i in range(n)])


def seconds(work: Any, *args: Any, **kwargs: Any) -> float:
    started = time.perf_counter()
    work(*args, **kwargs)
    return time.perf_counter() - started


def trivial_here(folder: Path, n: int) -> dict[str, float]:
    """Milliseconds a job."""
    quiet = {"log": False, "create_folders": True, "root_dir": str(folder / "run")}
    (folder / "run").mkdir()
    with scratch(folder, "here") as db:
        run_here(db, sums(2))  # imports
        memory = seconds(run_locally, sums(n), store=JobStore(MemoryStore()), **quiet)
        stored = seconds(run_locally, sums(n), store=db.job_store, **quiet)
        ours = seconds(run_here, db, sums(n))
    return {
        "jobs": n,
        "bare_jobflow_memory_ms": 1e3 * memory / n,
        "bare_jobflow_mongodb_ms": 1e3 * stored / n,
        "forcebase_ms": 1e3 * ours / n,
        "ratio_to_bare_mongodb": ours / stored,
    }


def trivial_remote(folder: Path, n: int) -> dict[str, float]:
    """Seconds a job, of a runner's start and first look too, which is given for one job."""
    with scratch(folder, "remote") as db:
        ours, _ = init_project(db.settings)
        bare = bare_project(ours)
        one = through_queue(ours, sums(1), "cpu")
        times = {
            "bare_jobflow_remote": through_queue(bare, sums(n), "cpu"),
            "forcebase_cpu": through_queue(ours, sums(n), "cpu"),
            "forcebase_batch": through_queue(ours, sums(n), "batch"),
        }
    found = {f"{name}_s": time_ / n for name, time_ in times.items()}
    ratio = times["forcebase_cpu"] / times["bare_jobflow_remote"]
    return {"jobs": n, "one_job_s": one, **found, "ratio_to_bare": ratio}


def bare_project(ours: RemoteProject) -> RemoteProject:
    """jobflow-remote's own way to carry outputs, and nothing of ours in the environment."""
    content = {**ours.content, "name": "bare"}
    for of_ours in ("remote_jobstore", "metadata"):
        content.pop(of_ours)
    path = ours.path.with_name("bare.yaml")
    with path.open("w") as file:
        YAML().dump(content, file)
    return RemoteProject(path, content)


def through_queue(project: RemoteProject, flow: Flow, worker: str) -> float:
    """Seconds from the start of a runner until the last job's output is stored."""
    controller = project.controller()
    numbers = controller.add_flow(flow, worker=worker, allow_external_references=True)
    command = [sys.executable, "-W", "ignore", "-c", RUN, project.name]
    started = datetime.now(UTC).replace(tzinfo=None)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    jobs = list(controller.get_jobs({"db_id": {"$in": numbers}}, ["state", "updated_on"]))
    controller.close()
    if any(job["state"] != "COMPLETED" for job in jobs):
        raise SystemExit(f"Jobs did not end well: see jf -p {project.name} job list")
    return (max(job["updated_on"] for job in jobs) - started).total_seconds()


def displaced(folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds a displacement, as one job and as a job each."""
    supercell = read(DATA / "wse2_gpaw_unitcell.extxyz") * (3, 3, 1)
    cells = []
    for seed in range(arguments.displacements):
        cells.append(supercell.copy())
        cells[-1].rattle(DISPLACEMENT, seed=seed)
    frames = Frames.from_atoms(cells, ids=[f"{n}" for n in range(len(cells))])
    with scratch(folder, "displacements") as db:
        import_paths(db, [DATA / "wse2_gpaw_pbe.extxyz"])
        dataset = build_dataset(db, "overhead", {})
        model = publish_model(db, train_model(db, dataset, QUICK))
        project, _ = init_project(db.settings)

        def job(indices: Any) -> Job:
            return PredictMaker(split=None).make(model, publish_frames(db, frames.take(indices)))

        def flow(n: int) -> Flow:
            return Flow([job([i]) for i in range(n)])

        together = through_queue(project, Flow([job(np.arange(len(frames)))]), "cpu")
        each = through_queue(project, flow(arguments.each), "batch")
        alone = through_queue(project, flow(arguments.alone), "cpu")
    one = together / len(frames)
    return {
        "displacements": len(frames),
        "atoms": len(supercell),
        "one_job_s": together,
        "batch_worker_jobs": arguments.each,
        "batch_worker_s_a_job": each / arguments.each,
        "cpu_worker_jobs": arguments.alone,
        "cpu_worker_s_a_job": alone / arguments.alone,
        "ratio_batch_worker_to_one_job": each / arguments.each / one,
        "ratio_cpu_worker_to_one_job": alone / arguments.alone / one,
    }


def lines(found: dict[str, Any], indent: str = "") -> str:
    text = []
    for name, value in found.items():
        inside = isinstance(value, dict)
        text.append(f"{indent}{name:<34}{'' if inside else value}")
        if inside:
            text.append(lines(value, indent + "  "))
    return "\n".join(text)


if __name__ == "__main__":
    main()
