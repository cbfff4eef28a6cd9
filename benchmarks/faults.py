"""Kill -9 at random moments: what is lost, doubled or stuck at the end.

    python benchmarks/faults.py --kills 50 --json > benchmarks/results/faults.json
    python benchmarks/faults.py --commands --kills 50 --json > killed_commands.json

With --commands, each of the commands that write is killed so often while it works, and run again:
see killed_commands.py. Without, a stream of small flows is disturbed.

Flows of drawn structures, curations and predictions go through jobflow-remote's local worker while
runner, jobs, mongod and collector are killed. A supervisor, as systemd would be, starts runner and
collector again, and mends what they leave with forcebase's own commands: `jobs unlock` before a
runner starts, `jobs rerun --failed`. At the end all is compared with the same flows run undisturbed
in another database. Runner and collector are killed once they are connected to MongoDB, and a job
once it has spent the processor time that its imports take: not at the start of Python.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from jobflow import Flow

import killed_commands
from forcebase.actions.flow_files import load_flow
from forcebase.actions.running_here import run_here
from forcebase.curation.pipeline import Curation
from forcebase.database.database import Database
from forcebase.database.publishing import publish_frames, publish_model
from forcebase.database.reading import read_frames
from forcebase.database.server import EmbeddedServer
from forcebase.ingest.collect import collect
from forcebase.ingest.importing import import_paths
from forcebase.makers.curation import CurateMaker
from forcebase.makers.prediction import PredictMaker
from forcebase.makers.training import MACETrainMaker
from forcebase.models.training_settings import QUICK
from forcebase.records.base import document_checksum
from forcebase.remote.placement import Place
from forcebase.remote.project import init_project
from forcebase.remote.submission import submit
from forcebase.settings import Settings
from machine import Conditions

ROOT = Path(__file__).parents[1]
SPREADING = ROOT / "tests" / "faults" / "spreading_flow.py"
DATA = ROOT / "data" / "wse2_gpaw" / "wse2_gpaw_pbe.extxyz"
VICTIMS = ("runner", "job", "mongod", "collector")
PAUSE = (3.0, 12.0)
"""s between two kills."""
IN_QUEUE = 4
"""jobs that are kept in the queue."""
PATIENCE = 300.0
"""s without a job's end after which what is left is stuck."""
RUNNER = (
    "import sys; from jobflow_remote.jobs.runner import Runner; "
    "Runner(project_name=sys.argv[1]).run()"
)
JOB_IMPORTS = (
    "import jobflow_remote.jobs.run, forcebase.makers.sampling, os; print(os.times().user)"
)
FORCEBASE = (sys.executable, "-m", "forcebase.cli.main")


@dataclass
class Stage:
    """A database with a project, and the two processes that a supervisor keeps alive."""

    db: Database
    project: str
    folder: Path
    imports_s: float
    """Processor time that a job spends on its imports."""
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)
    counts: Counter = field(default_factory=Counter)

    def supervise(self) -> None:
        """Start what does not run, and run again what failed."""
        if not self._runs("runner"):
            self.counts["unlocked"] += self._forcebase("jobs", "unlock", "--older-than", "0")
            self._start("runner", [sys.executable, "-W", "ignore", "-c", RUNNER, self.project])
        if not self._runs("collector"):
            self._start("collector", [*FORCEBASE, "collect", "--watch", "--json"])
        failed = {"state": {"$in": ["FAILED", "REMOTE_ERROR"]}, "lock_id": None}
        if self.db.raw["jf_jobs"].find_one(failed, {"_id": 1}):
            self.counts["rerun"] += self._forcebase("jobs", "rerun", "--failed")

    def kill(self, victim: str) -> bool:
        """kill -9 of one of them; False where there is none."""
        process = self._process(victim)
        if process is None or not self._works(victim, process):
            return False
        try:
            process.kill()
            process.wait(timeout=30)
        except psutil.NoSuchProcess:
            return False
        if victim == "mongod":  # a runner that lost the server has steps rest for two minutes
            self.kill("runner")
            self._forcebase("db", "start")
        return True

    def end(self) -> None:
        """Stop runner and collector."""
        for process in self.processes.values():
            process.kill()
            process.wait()

    def _works(self, victim: str, process: psutil.Process) -> bool:
        """Whether its start is behind it."""
        try:
            if victim == "job":
                return process.cpu_times().user > self.imports_s
            port = EmbeddedServer(self.db.settings.home).status().port
            ends = [c.raddr for c in process.net_connections("tcp") if c.raddr]
            return victim == "mongod" or any(end.port == port for end in ends)
        except psutil.NoSuchProcess:
            return False

    def _process(self, victim: str) -> psutil.Process | None:
        if victim in self.processes:
            return psutil.Process(self.processes[victim].pid) if self._runs(victim) else None
        if victim == "mongod":
            pid = EmbeddedServer(self.db.settings.home).status().pid
            return psutil.Process(pid) if pid else None
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or [""]
            if "execution" in words and words[-1].startswith(str(self.folder)):
                return process
        return None

    def _runs(self, name: str) -> bool:
        return name in self.processes and self.processes[name].poll() is None

    def _start(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("a") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log)
        self.counts[f"{name} starts"] += 1

    def _forcebase(self, *arguments: str) -> int:
        """Run a command; the number of what it did."""
        command = [*FORCEBASE, *arguments, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            self.counts["commands refused"] += 1
            print(f"{' '.join(arguments)}: {done.stderr}", file=sys.stderr)
            return 0
        answer = json.loads(done.stdout)
        found = answer.get("unlocked", answer.get("rerun", 0))
        return found if isinstance(found, int) else len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument(
        "--commands", nargs="*", choices=killed_commands.NAMES, help="kill these; all by default"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="forcebase-faults-") as folder,
        contextlib.redirect_stdout(sys.stderr),  # libraries print
    ):
        chance = random.Random(arguments.seed)
        if arguments.commands is None:
            found = measure(Path(folder), arguments.kills, chance)
        else:
            names = arguments.commands or killed_commands.NAMES
            found = killed_commands.measure(Path(folder), names, arguments.kills, chance)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:<20} {value}")


def measure(folder: Path, kills: int, chance: random.Random) -> dict[str, Any]:
    """Run the stream with its kills, then the same flows undisturbed, and compare."""
    os.environ.update(
        FORCEBASE_HOME=str(folder / "home"),
        JFREMOTE_PROJECTS_FOLDER=str(folder / "projects"),
        OMP_NUM_THREADS="1",
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    )
    settings = Settings(home=folder / "home")
    db, reference = Database(settings), Database(Settings(folder / "home", database="reference"))
    try:
        prepare(db)
        for name in ("outputs", "data.files", "data.chunks", *RECORDS, "labels"):
            if rows := list(db.raw[name].find()):
                reference.raw[name].insert_many(rows)
        started, conditions = time.perf_counter(), Conditions()
        stage = Stage(db, init_project(settings)[0].name, folder, imports_of_a_job())
        killed, n_flows = disturb(stage, kills, chance)
        stuck = settle(stage)
        seconds = time.perf_counter() - started
        collect(db)
        for k in range(n_flows):
            run_here(reference, flow(reference, k))
        return {
            "kills": killed.total(),
            **compare(db, reference),
            "stuck": stuck,
            "killed": dict(killed),
            "flows": n_flows,
            "jobs": db.raw["jf_jobs"].count_documents({}),
            "failures recorded": db.activities.count(kind="failure"),
            "failures not mended": db.activities.count(kind="failure", resolved=False),
            **stage.counts,
            "seconds": round(seconds),
            **conditions.as_dict(),
        }
    finally:
        db.close()
        reference.close()
        EmbeddedServer(settings.home).stop()


def prepare(db: Database) -> None:
    """DFT records, and a model of seconds."""
    import_paths(db, [DATA])
    frames = publish_frames(db, read_frames(db, {"n_atoms": 3}))
    curating = CurateMaker(recipe=Curation("quick")).make(frames)
    training = MACETrainMaker(settings=QUICK).make(frames, curating.output)
    run_here(db, Flow([curating, training]))
    model = db.methods.one(kind="MACE")
    assert model is not None
    db.names.name("quick", "methods", model.id)


def imports_of_a_job() -> float:
    """Processor time, s, of what every job imports before its function."""
    command = [sys.executable, "-W", "ignore", "-c", JOB_IMPORTS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def flow(db: Database, k: int) -> Flow:
    """The k-th flow of the stream."""
    frames = read_frames(db, {"method_class": "dft", "n_atoms": 3})
    drawing = load_flow(db, SPREADING, {"seed": str(10 * k)})
    recipe = Curation(f"stream-{k}", seed=k)
    jobs = [drawing, CurateMaker(recipe=recipe).make(publish_frames(db, frames))]
    if k % 4 == 0:
        some = publish_frames(db, frames.take([k % len(frames), (k + 1) % len(frames)]))
        model = publish_model(db, db.require_model("quick"))
        jobs.append(PredictMaker(split=None).make(model, some))
    return Flow(jobs, name=f"stream {k}")


def disturb(stage: Stage, kills: int, chance: random.Random) -> tuple[Counter, int]:
    """Kill at random moments, and keep the queue filled; the kills, and the number of flows."""
    killed: Counter = Counter()
    n_flows = 0
    next_kill = time.monotonic() + chance.uniform(*PAUSE)
    while killed.total() < kills:
        stage.supervise()
        over = {"state": {"$ne": "COMPLETED"}}
        if stage.db.raw["jf_jobs"].count_documents(over) < IN_QUEUE:
            submit(stage.db, flow(stage.db, n_flows), Place(modules=SPREADING.parent))
            n_flows += 1
        time.sleep(0.2)
        if time.monotonic() > next_kill:
            victim = chance.choice(VICTIMS)
            if stage.kill(victim):
                killed[victim] += 1
                next_kill = time.monotonic() + chance.uniform(*PAUSE)
    return killed, n_flows


def settle(stage: Stage) -> int:
    """Wait until all is done; the number of jobs that do not come to their end."""
    left, since = -1, time.monotonic()
    while left and time.monotonic() - since < PATIENCE:
        stage.supervise()
        time.sleep(1)
        now = stage.db.raw["jf_jobs"].count_documents({"state": {"$ne": "COMPLETED"}})
        if now != left:
            left, since = now, time.monotonic()
    stage.end()
    return max(left, 0)


RECORDS = (
    *("structures", "methods", "calculations", "datasets", "dataset_members"),
    *("blobs.files", "blobs.chunks", "activities"),
)


def compare(db: Database, reference: Database) -> dict[str, int]:
    """Count records that are lost, there twice, or damaged."""
    lost = doubled = damaged = 0
    for name in RECORDS[:6]:
        ids, wanted = (
            {found["_id"] for found in one.raw[name].find({}, {"_id": 1})}
            for one in (db, reference)
        )
        lost += len(wanted - ids)
        doubled += len(ids - wanted)
    jobs = {"kind": "job"}
    surplus = db.activities.raw.count_documents(jobs)
    surplus -= reference.activities.raw.count_documents(jobs)
    lost, doubled = lost + max(-surplus, 0), doubled + max(surplus, 0)
    for collection in db.record_collections.values():
        rows = collection.raw.find()
        damaged += sum(row["checksum"] != document_checksum(row) for row in rows)
    for file in db.raw["blobs.files"].find({}, {"_id": 1}):
        db.blobs.get(file["_id"])
    return {"lost": lost, "doubled": doubled, "damaged": damaged}


if __name__ == "__main__":
    main()
