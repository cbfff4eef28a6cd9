"""Kill -9 of single commands while they work: `faults.py --commands`.

Each command is run undisturbed in one database, which says how long it works, and in another killed
at a random moment of that time and run again. A moment before its first line is none: the commands
are forked with their imports behind them (forked_commands.py). At the end the two databases hold
the same.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml
from ase import Atoms
from ase.io import read, write

import forked_commands as forked
from forcebase.actions.datasets import build_dataset
from forcebase.actions.training import train_model
from forcebase.database.database import Database
from forcebase.database.server import EmbeddedServer
from forcebase.ingest.importing import import_paths
from forcebase.integrity.verify import verify
from forcebase.models.training_settings import QUICK
from forcebase.settings import Settings

DATA = Path(__file__).parents[1] / "data" / "wse2_gpaw"
TRAINING = Path(__file__).with_name("quick_training.yaml")
NAMES = ("import", "build", "predict", "compare", "taint", "untaint", "train")
COPIED = (
    *("structures", "methods", "calculations", "datasets", "dataset_members", "phonons"),
    *("activities", "labels", "outputs", "blobs.files", "blobs.chunks", "data.files"),
    "data.chunks",
)
COMPARED = (
    *("structures", "methods", "calculations", "datasets", "dataset_members", "phonons"),
    *("validations", "blobs.files", "labels", "taints"),
)
FRAMES = 6
"""of a file that is imported, and structures that are predicted at once."""
MOVED = 0.01
"""A."""
NO_TAINT = "There is no taint on"
POOL = "pool.extxyz"
"""What is predicted comes from it."""
ATTEMPTS = 3
"""for each kill that is asked for: a command may be done before its moment comes."""


@dataclass
class Case:
    """A command that is killed again and again, each time with other work.

    Attributes:
        words: the arguments of its k-th run.
        counts: kills, commands that were done before, and what else is counted.
        moments: of the kills, as shares of the undisturbed run's time.
        seconds: of the undisturbed runs.
        refused: what a run after a kill said, where it did not end well.
        before: arguments of what is run, undisturbed, before the k-th run.
        done: what a run says that finds all done by the one that was killed.
    """

    words: Callable[[int], list[str]]
    before: Callable[[int], list[str]] | None = None
    done: str | None = None
    counts: Counter = field(default_factory=Counter)
    moments: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Counts and times."""
        moments = sorted(self.moments)
        return {
            "kills": self.counts["killed"],
            "done_before": self.counts["done before"],
            "well_when_run_again": self.counts["well"],
            "refused": self.refused,
            "works_s": round(statistics.median(self.seconds), 2),
            "moments": [round(moment, 2) for moment in moments],
        }


@dataclass(frozen=True)
class Sides:
    """The database in which commands are killed, and the one in which they are not."""

    killed: Database
    undisturbed: Database
    folder: Path

    def run(self, db: Database, words: Sequence[str], kill_after: float | None = None) -> Any:
        """Run a command on one of the two."""
        place = {
            "FORCEBASE_HOME": str(db.settings.home),
            "FORCEBASE_DATABASE": db.settings.database,
            "TMPDIR": str(self.folder / "tmp"),
        }
        return forked.run([*words, "--json"], place, self.folder, kill_after=kill_after)


def measure(
    folder: Path, names: Sequence[str], kills: int, chance: random.Random
) -> dict[str, Any]:
    """Kill each command so many times, and compare the two databases."""
    forked.start_server()
    (folder / "tmp").mkdir()
    home = folder / "home"
    killed = Database(Settings(home, database="killed"))
    undisturbed = Database(Settings(home, database="undisturbed"))
    try:
        sides = Sides(killed, undisturbed, folder)
        prepare(sides, ATTEMPTS * kills)
        cases = _cases(sides)
        started = time.perf_counter()
        for name in names:
            disturb(sides, cases[name], kills, chance)
        return {
            "kills": sum(cases[name].counts["killed"] for name in names),
            "commands": {name: cases[name].as_dict() for name in names},
            **compare(sides),
            "seconds": round(time.perf_counter() - started),
            "load_at_the_end": round(os.getloadavg()[0], 1),
            "cores": os.cpu_count(),
        }
    finally:
        killed.close()
        undisturbed.close()
        EmbeddedServer(home).stop()


def prepare(sides: Sides, n: int) -> None:
    """The same records, dataset and model in both; files to import; names for `n` runs."""
    db, folder = sides.killed, sides.folder
    described = yaml.safe_load((DATA / "method.yaml").read_text())
    (folder / "method.yaml").write_text(yaml.safe_dump({"method": described["method"]}))
    for k in range(n):
        write(folder / f"{k}.extxyz", list(_moved(k)), format="extxyz")
    drawn = [atoms for k in range(n) for atoms in _moved(-k - 1)]
    write(folder / POOL, drawn, format="extxyz")
    import_paths(db, [DATA / "wse2_gpaw_pbe.extxyz", folder / POOL])
    db.names.name("pbe", "methods", db.calculations.one(method_class="dft").method)
    dataset = build_dataset(db, "base", {"n_atoms": 3})
    db.names.name("quick", "methods", train_model(db, dataset, QUICK).id)
    for name in COPIED:
        if rows := list(db.raw[name].find()):
            sides.undisturbed.raw[name].insert_many(rows)


def _moved(k: int) -> Iterator[Atoms]:
    """Cells of the data, atoms moved a little: energies to first order, forces as before."""
    rng = np.random.default_rng(abs(2 * k + (k < 0)))
    for atoms in read(DATA / "wse2_gpaw_pbe.extxyz", f":{FRAMES}"):
        moves = rng.normal(scale=MOVED, size=atoms.positions.shape)
        atoms.positions += moves
        atoms.info["REF_energy"] -= float((atoms.arrays["REF_forces"] * moves).sum())
        atoms.info["rattle_seed"] = int(rng.integers(1, 2**31))
        yield atoms


def _cases(sides: Sides) -> dict[str, Case]:
    """Each command, with the words of its k-th run."""
    db = sides.killed
    calculations = sorted(c.id for c in db.calculations.find(n_atoms=3))
    drawn = db.structures.find({"provenance.activity": db.activities.one(name=POOL).id})
    structures = sorted(record.id for record in drawn)

    def predicted(k: int) -> list[str]:
        some = structures[k * FRAMES : (k + 1) * FRAMES]
        return ["predict", "quick", *(word for one in some for word in ("--structure", one))]

    def built(k: int) -> list[str]:
        return ["dataset", "build", f"d{k}", "method_class=dft", "--seed", str(k)]

    def tainted(k: int) -> list[str]:
        return ["taint", calculations[k % len(calculations)], "--reason", f"kill {k}"]

    return {
        "import": Case(lambda k: ["import", f"{k}.extxyz", "--method", "method.yaml"]),
        "build": Case(built),
        "predict": Case(predicted),
        "compare": Case(
            lambda k: ["compare", "pbe", "pbe", "--on", f"d{k}:train", "--stale"], before=built
        ),
        "taint": Case(tainted),
        "untaint": Case(lambda k: ["untaint", tainted(k)[1]], before=tainted, done=NO_TAINT),
        "train": Case(lambda k: ["train", "base@1", "--seed", str(k), "--settings", str(TRAINING)]),
    }


def disturb(sides: Sides, case: Case, kills: int, chance: random.Random) -> None:
    """Kill a command at moments of its work until it was killed so often, and run it again."""
    for k in range(ATTEMPTS * kills):
        if case.counts["killed"] == kills:
            return
        words = case.words(k)
        if case.before is not None:
            for db in (sides.undisturbed, sides.killed):
                sides.run(db, case.before(k))
        reference = sides.run(sides.undisturbed, words)
        if reference.code != 0:
            raise RuntimeError(f"undisturbed, {' '.join(words)} said: {reference.said}")
        case.seconds.append(reference.seconds)
        moment = chance.random()
        done = sides.run(sides.killed, words, moment * reference.seconds)
        if not done.was_killed:
            case.counts["done before"] += 1
            continue
        case.counts["killed"] += 1
        case.moments.append(moment)
        again = sides.run(sides.killed, words)
        if again.code == 0 or (case.done and case.done in again.said):
            case.counts["well"] += 1
        else:
            case.refused.append(again.said[:300])


def compare(sides: Sides) -> dict[str, Any]:
    """What is lost, there twice, damaged, or left over."""
    lost: Counter = Counter()
    doubled: Counter = Counter()
    for name in COMPARED:
        ids, wanted = (
            {row["_id"] for row in db.raw[name].find({}, {"_id": 1})}
            for db in (sides.killed, sides.undisturbed)
        )
        lost[name] += len(wanted - ids)
        doubled[name] += len(ids - wanted)
    report = verify(sides.killed, models=False)
    return {
        "lost": lost.total(),
        "doubled": doubled.total(),
        "where": {name: n for name, n in (lost + doubled).items() if n},
        "verify": {kind.value: n for kind, n in report.counts.items()},
        "processes_left": _processes_left(sides.folder),
        "scratch_left": len(list((sides.folder / "tmp").iterdir())),
    }


def _processes_left(folder: Path) -> int:
    """Processes of killed commands that go on; the server's folder is its own."""
    time.sleep(2.0)
    found = 0
    for process in psutil.process_iter():
        try:
            found += Path(process.cwd()).is_relative_to(folder / "tmp")
        except (psutil.Error, OSError):
            continue
    return found
