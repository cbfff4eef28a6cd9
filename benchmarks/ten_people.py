"""Ten people work on one database at the same time: what they see, and whether it is sound behind.

    python benchmarks/ten_people.py --minutes 5 --json > benchmarks/results/ten_people.json

Each is a user with a role of its own and runs one command of forcebase after another, each a
process of its own (forked_commands.py: with its imports behind it, so that ten meet in the database
and not at the start of Python): three import (now and then the same file as another), two build the
same dataset, one taints and takes it back, two compare (a curator, and a reader for whom nothing is
stored), one restores a backup again and again into a database of its own, and a reader verifies. At
the end the database is verified as a whole and compared with what the commands said.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from ase import Atoms
from ase.io import read, write

import forked_commands as forked
from forcebase.database.connection import open_client, server_uri
from forcebase.database.database import Database
from forcebase.database.roles import Role
from forcebase.database.server import EmbeddedServer
from forcebase.database.users import add_user, new_password, user_uri
from forcebase.ingest.importing import import_paths
from forcebase.integrity.backup import write_backup
from forcebase.integrity.verify import verify
from forcebase.settings import Settings

DATA = Path(__file__).parents[1] / "data" / "wse2_gpaw"
LONGEST = 300.0
"""s; a command that takes longer is stuck, and is ended."""
FRAMES = 6
"""of a file that is imported."""
DATASET = "team"
MOVED = 0.01
"""A; how far atoms are moved, so that each file is one of its own. Labels stay: nobody trains."""


@dataclass(frozen=True)
class Command:
    """A command that ended.

    Attributes:
        person: who ran it.
        what: its first words.
        code: exit code; None where it was stuck.
        seconds: that it took.
        answer: its JSON.
        said: its last line on stderr.
        traceback: whether it ended in one.
    """

    person: str
    what: str
    code: int | None
    seconds: float
    answer: Any
    said: str
    traceback: bool


@dataclass
class Team:
    """The database, its people, and what all their commands ended with."""

    settings: Settings
    folder: Path
    end: float
    chance: random.Random
    backup: Path
    commands: list[Command] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    """Frames by name of each file that somebody imported."""

    def run(self, person: str, settings: Settings, *words: str) -> Command:
        """Run a command as a user, and keep what it ended with."""
        place = {
            "FORCEBASE_HOME": str(settings.home),
            "FORCEBASE_MONGODB_URI": str(settings.mongodb_uri),
            "FORCEBASE_DATABASE": settings.database,
        }
        done = forked.run([*words, "--json"], place, self.folder, limit=LONGEST)
        what = " ".join(words[:2]) if words[0] == "dataset" else words[0]
        command = Command(
            person,
            what,
            done.code,
            done.seconds,
            done.answer,
            done.said,
            "Traceback" in done.stderr,
        )
        self.commands.append(command)
        return command

    def goes_on(self) -> bool:
        """Whether there is time for another command."""
        return time.monotonic() < self.end


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forcebase-people-") as folder:
        found = measure(Path(folder), 60 * arguments.minutes, random.Random(arguments.seed))
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            print(f"{name:<16} {value}")
    if found["findings"]:
        sys.exit(1)


def measure(folder: Path, seconds: float, chance: random.Random) -> dict[str, Any]:
    """Let ten people work for so long, then look at what they left."""
    owner = Settings(home=folder / "home", database="group")
    try:
        forked.start_server()
        team, people = prepare(owner, folder, seconds, chance)
        threads = [
            threading.Thread(target=_work, args=(team, name, settings, habit), name=name)
            for name, settings, habit in people
        ]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - started
        return {
            "people": len(people),
            "seconds": round(took),
            **figures(team),
            "findings": findings(team, len(people)),
            "load_at_the_end": round(os.getloadavg()[0], 1),
            "cores": os.cpu_count(),
        }
    finally:
        EmbeddedServer(owner.home).stop()


Habit = Callable[[Team, str, Settings], Iterator[None]]


def _work(team: Team, name: str, settings: Settings, habit: Habit) -> None:
    try:
        for _ in habit(team, name, settings):
            if not team.goes_on():
                return
    except Exception as error:  # the benchmark's own: told, so that it is not taken for quiet
        team.errors.append(f"{name}: {error!r}")


def prepare(
    owner: Settings, folder: Path, seconds: float, chance: random.Random
) -> tuple[Team, list[tuple[str, Settings, Habit]]]:
    """Records, a dataset, a backup, and ten users."""
    db = Database(owner)
    files = ["wse2_gpaw_pbe.extxyz", "wse2_gpaw_unitcell.extxyz", "phonopy_wse2_gpaw_3x3.yaml"]
    import_paths(db, [DATA / name for name in files])
    db.names.name("pbe", "methods", db.calculations.one(method_class="dft").method)
    described = yaml.safe_load((DATA / "method.yaml").read_text())
    (folder / "method.yaml").write_text(yaml.safe_dump({"method": described["method"]}))
    backup, _ = write_backup(db, folder / "before.zip")
    db.close()
    habits: list[tuple[str, Role, Habit]] = [
        *((f"importer-{k}", Role.CURATOR, imports) for k in range(3)),
        *((f"builder-{k}", Role.CURATOR, builds) for k in range(2)),
        ("tainter", Role.CURATOR, taints),
        ("comparer", Role.CURATOR, compares),
        ("onlooker", Role.READER, compares),
        ("verifier", Role.READER, verifies),
    ]
    people = [(name, _add(owner, name, role), habit) for name, role, habit in habits]
    mine = replace(owner, database="restored")
    people.append(("restorer", _add(mine, "restorer", Role.ADMIN), restores))
    team = Team(owner, folder, time.monotonic() + seconds, chance, backup)
    return team, people


def _add(settings: Settings, name: str, role: Role) -> Settings:
    password = new_password()
    with open_client(settings) as client:
        add_user(client[settings.database], name, role, password)
    uri = user_uri(server_uri(settings), settings.database, name, password)
    return replace(settings, mongodb_uri=uri)


def imports(team: Team, name: str, settings: Settings) -> Iterator[None]:
    """Files of one's own, and every third one that others import at the same time."""
    k = 0
    while True:
        k += 1
        file = f"common-{k}.extxyz" if k % 3 == 0 else f"{name}-{k}.extxyz"
        path = team.folder / file
        if not path.exists():
            part = team.folder / f".{name}-{file}"
            write(part, list(moved(file)), format="extxyz")
            part.replace(path)
        method = str(team.folder / "method.yaml")
        done = team.run(name, settings, "import", str(path), "--method", method)
        if done.code == 0:
            team.files[file] = FRAMES
        yield


def moved(file: str) -> Iterator[Atoms]:
    """Cells of the data, their atoms moved a little: the same for the same name of a file."""
    rng = np.random.default_rng(list(file.encode()))
    for atoms in read(DATA / "wse2_gpaw_pbe.extxyz", f":{FRAMES}"):
        moves = rng.normal(scale=MOVED, size=atoms.positions.shape)
        atoms.positions += moves
        atoms.info["REF_energy"] -= float((atoms.arrays["REF_forces"] * moves).sum())
        atoms.info["rattle_seed"] = int(rng.integers(1, 2**31))
        yield atoms


def builds(team: Team, name: str, settings: Settings) -> Iterator[None]:
    """The next version of the one dataset that both build."""
    while True:
        team.run(name, settings, "dataset", "build", DATASET, "elements=Se,W", "method_class=dft")
        yield


def taints(team: Team, name: str, settings: Settings) -> Iterator[None]:
    """A calculation is bad, and then it is not."""
    while True:
        found = team.run(name, settings, "ls", "calculations", "n_atoms=12", "--limit", "40")
        if found.answer:
            record = team.chance.choice(found.answer)["id"]
            team.run(name, settings, "taint", record, "--reason", "tried by ten people")
            team.run(name, settings, "untaint", record)
        yield


def compares(team: Team, name: str, settings: Settings) -> Iterator[None]:
    """The method with itself on all that is there: new inputs, so a new comparison each time."""
    while True:
        team.run(name, settings, "compare", "pbe", "pbe", "--on", "method_class=dft", "--stale")
        yield


def restores(team: Team, name: str, settings: Settings) -> Iterator[None]:
    """A backup into a database of its own, which is dropped again."""
    while True:
        team.run(name, settings, "restore", str(team.backup))
        yield
        with open_client(settings) as client:
            client.drop_database(settings.database)


def verifies(team: Team, name: str, settings: Settings) -> Iterator[None]:
    """Is everything still what it was."""
    while True:
        team.run(name, settings, "verify", "--no-models")
        yield


def figures(team: Team) -> dict[str, Any]:
    """Counts and times of each command."""
    by_command: dict[str, Any] = {}
    for what in sorted({command.what for command in team.commands}):
        some = [command for command in team.commands if command.what == what]
        times = sorted(command.seconds for command in some)
        by_command[what] = {
            "n": len(some),
            "well": sum(command.code == 0 for command in some),
            "median_s": round(statistics.median(times), 2),
            "p95_s": round(times[math.ceil(0.95 * (len(times) - 1))], 2),
            "max_s": round(times[-1], 2),
        }
    return {"n_commands": len(team.commands), "commands": by_command}


def findings(team: Team, people: int) -> list[str]:
    """Everything that is not as it should be."""
    found = list(team.errors)
    idle = people - len({command.person for command in team.commands})
    if idle:
        found.append(f"{idle} people ran no command")
    for command in team.commands:
        if command.traceback or command.code != 0:
            said = command.said or json.dumps(command.answer)
            found.append(f"{command.person}: {command.what}: {command.code}: {said[:300]}")
    db = Database(team.settings)
    try:
        report = verify(db, models=False)
        found += [f"verify: {kind.value}: {n}" for kind, n in report.counts.items()]
        found += _unlike(db, team)
    finally:
        db.close()
    return found


def _unlike(db: Database, team: Team) -> Iterator[str]:
    """Where the database is not what the commands said they did."""
    activities = Counter(
        str(row["source"]["file"]) for row in db.activities.raw.find({"kind": "import"})
    )
    for file in team.files:
        if activities[file] != 1:
            yield f"{file} was imported, and {activities[file]} activities say so"
    before = len(read(DATA / "wse2_gpaw_pbe.extxyz", ":")) + 1
    wanted = before + sum(team.files.values())
    if (n := db.calculations.count()) != wanted:
        yield f"{n} calculations where {wanted} were imported"
    versions = sorted(row["version"] for row in db.datasets.raw.find({"name": DATASET}))
    if versions != list(range(1, len(versions) + 1)):
        yield f"versions of the dataset: {versions}"
    said = {
        ("datasets", command.answer["id"])
        for command in team.commands
        if command.what == "dataset build" and command.code == 0
    } | {
        ("validations", command.answer["id"])
        for command in team.commands
        if command.person == "comparer" and command.code == 0
    }
    for collection, record in said:
        if not db.collection(collection).count(id=record):
            yield f"{collection} {record[:10]} was said to be stored, and is not there"
    if n := db.taints.count():
        yield f"{n} taints where all were taken back"


if __name__ == "__main__":
    main()
