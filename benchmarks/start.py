"""How long commands take that only read: what they import, for the most part.

    python benchmarks/start.py --json
    python benchmarks/start.py --before ../forcebase-earlier --json    # against another checkout

Each is a fresh process on a small filled database of the embedded server; the commands of the two
checkouts take turns, so that a busy machine slows both. Given are medians of the repeats: seconds,
those of the processor (`cpu_s`), which other work on the machine lengthens less, and the ratio of
the latter, which can be trusted where seconds cannot. `python` is the interpreter alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from forcebase.actions.datasets import build_dataset
from forcebase.comparison import compare
from forcebase.database.database import Database
from forcebase.database.server import EmbeddedServer
from forcebase.ingest.importing import import_paths
from forcebase.settings import Settings
from machine import Conditions

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data" / "wse2_gpaw"
COMMAND = "from forcebase.cli.start import main; main()"
CODES = {"python": "pass", "import_forcebase": "import forcebase"}
COMMANDS = {
    "version": "--version",
    "ls": "ls structures",
    "show": "show gpaw-pbe",
    "trace": "trace d@1",
    "why": "why CALCULATION d@1",
    "compare_found": "compare gpaw-pbe gpaw-pbe --on d@1:test",
    "compare_phonons_found": "compare wse2-dft-phonon wse2-dft-phonon",
    "dataset_card": "dataset card d@1",
    "doctor": "doctor",
    "jobs": "jobs",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="another checkout, to compare with")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    checkouts = {"": ROOT}
    if arguments.before is not None:
        checkouts["before_"] = arguments.before.resolve()
    with tempfile.TemporaryDirectory(prefix="forcebase-start-") as folder:
        conditions = Conditions()
        settings = Settings(home=Path(folder), database="start")
        try:
            calculation = fill(settings)
            measured = {
                name: measure(words, settings, checkouts, arguments.repeats)
                for name, words in processes(calculation).items()
            }
        finally:
            EmbeddedServer(settings.home).stop()
    found = {"repeats": arguments.repeats, **measured, **conditions.as_dict()}
    print(json.dumps(found, indent=2) if arguments.json else table(measured))


def fill(settings: Settings) -> str:
    """The project's own data, a dataset and two comparisons; gives the id of a calculation."""
    db = Database(settings)
    try:
        import_paths(db, [DATA])
        build_dataset(db, "d", {"elements": ["Se", "W"]})
        db.names.name("gpaw-pbe", "methods", db.methods.one().id)
        compare(db, "gpaw-pbe", "gpaw-pbe", "d@1:test")
        compare(db, "wse2-dft-phonon", "wse2-dft-phonon")
        return db.calculations.raw.find_one({"kind": "pristine-2x2"})["_id"]
    finally:
        db.close()


def processes(calculation: str) -> dict[str, list[str]]:
    """Arguments of Python for each thing that is measured."""
    found = {name: ["-c", code] for name, code in CODES.items()}
    for name, words in COMMANDS.items():
        found[name] = ["-c", COMMAND, *words.replace("CALCULATION", calculation).split()]
    return found


def measure(
    words: list[str], settings: Settings, checkouts: Mapping[str, Path], repeats: int
) -> dict[str, float]:
    """Medians of a process in each checkout, the first run of each not counted."""
    runs: dict[str, list[tuple[float, float]]] = {key: [] for key in checkouts}
    for _ in range(repeats + 1):
        for key, checkout in checkouts.items():
            runs[key].append(run(words, settings, checkout))
    found: dict[str, float] = {}
    for key, times in runs.items():
        wall, cpu = (round(median(numbers), 3) for numbers in zip(*times[1:], strict=True))
        found |= {f"{key}s": wall, f"{key}cpu_s": cpu}
    if "before_cpu_s" in found:
        found["cpu_ratio"] = round(found["before_cpu_s"] / found["cpu_s"], 2)
    return found


def run(words: list[str], settings: Settings, checkout: Path) -> tuple[float, float]:
    """Seconds that one process takes from its start to its end, and those of the processor."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout / "src"),
        "FORCEBASE_HOME": str(settings.home),
        "FORCEBASE_DATABASE": settings.database,
        "OMP_NUM_THREADS": "1",
    }
    before, started = cpu_of_children(), time.perf_counter()
    subprocess.run([sys.executable, *words], env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started, cpu_of_children() - before


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(measured: dict[str, Any]) -> str:
    """A line for each thing that was measured."""
    return "\n".join(
        f"{name:<24}" + "  ".join(f"{key} {value:g}" for key, value in numbers.items())
        for name, numbers in measured.items()
    )


if __name__ == "__main__":
    main()
