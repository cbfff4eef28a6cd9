"""A million pairs of two methods: written, compared, traced; the same by file-based peers.

    python benchmarks/comparison.py --records 100000 --json

Starts a database of its own in a scratch folder and deletes it. Structures of 12 atoms are random,
as are both methods' labels, so nothing compresses and every answer is known beforehand. Records
are written by `Batch.write`, as imports and collected jobs are, with digests, checksums, provenance
and validation. ase.db (SQLite) and extxyz do the same work on `--peer-records` of the same frames,
in the same run, and are quoted per record: neither has an index that would make more of them
cheaper. For ase.db both sides are rows that carry the structure's id, joined in memory.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols
from ase.db import connect
from ase.io import iread, write
from numpy.typing import NDArray

from force_constants import peak_memory, reset_peak_memory
from forcebase.actions.datasets import build_dataset
from forcebase.comparison import compare
from forcebase.database.acts import done_among
from forcebase.database.database import Database
from forcebase.database.label_pairs import iterate_pairs
from forcebase.database.label_table import LabelTable
from forcebase.database.server import EmbeddedServer
from forcebase.database.structure_table import StructureTable
from forcebase.digest import content_digest
from forcebase.frames import Frames
from forcebase.ingest.batch import Batch
from forcebase.integrity.verify import verify
from forcebase.provenance import trace_down, trace_up
from forcebase.records import Activity, Calculation, DFTMethod, Method, Structure
from forcebase.settings import Settings
from machine import Conditions

N_ATOMS = 12
RECORDS_AT_ONCE = 20_000
NUMBERS = np.array([74] * 4 + [34] * 8)
ONE_BY_ONE = 1000
LOOKUPS = 200
"""Single look-ups that are timed."""
Sums = dict[int, NDArray[np.float64]]
"""Atomic number -> components compared, sum of |error|, sum of error squared."""


def main() -> None:
    arguments, conditions = parse(), Conditions()
    with scratch(arguments.folder) as folder:
        db = Database(Settings(home=folder / "home", database="benchmark"))
        try:
            found = measure(db, folder, arguments) | conditions.as_dict()
        finally:
            db.close()
            EmbeddedServer(folder / "home").stop()
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(map(str, found.items())))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=20_000, help="pairs, to 1,000,000")
    parser.add_argument("--peer-records", type=int, default=3000, help="pairs for the peers")
    parser.add_argument("--dataset", type=int, default=1000, help="calculations to curate")
    parser.add_argument("--repeats", type=int, default=3, help="of each comparison; median")
    parser.add_argument("--folder", type=Path, help="kept, and gone on with if it is there")
    parser.add_argument("--no-verify", action="store_true", help="leave `verify` out")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


@contextmanager
def scratch(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    folder = Path(tempfile.mkdtemp(prefix="forcebase-comparison-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(db: Database, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    model, reference = method(db, "model"), method(db, "reference")
    found: dict[str, Any] = {"records": arguments.records, "atoms_per_record": N_ATOMS}
    found |= insert(db, model, reference, arguments)
    found |= compare_sums(db, model, reference, folder, arguments)
    found |= compare_labels(db, model, reference)
    found["compare_pairs_per_s"] = arguments.records / found["compare_s"]
    found["compare_ratio_ase_db"] = found["compare_pairs_per_s"] / found["ase_db_pairs_per_s"]
    found |= look_up(db, model, arguments)
    if not arguments.no_verify:
        started = time.perf_counter()
        report = verify(db)
        found["verify_s"] = time.perf_counter() - started
        found["verify_findings"] = len(report.findings)
    return found


def method(db: Database, name: str) -> Method:
    """A made-up DFT set-up: what it is called is all that matters here."""
    fields = ("basis", "pseudopotentials", "smearing")
    record = DFTMethod.of_rules(
        code=name,
        functional="none",
        spin="none",
        dispersion="none",
        spin_orbit=False,
        **{field: {"type": "none"} for field in fields},
    )
    db.methods.add([record])
    return record


def frames_of(n: int, seed: int, kind: str) -> Frames:
    """n random cells of 12 atoms and labels."""
    rng = np.random.default_rng(seed)
    return Frames(
        ids=np.full(n, ""),
        structures=np.full(n, ""),
        families=np.full(n, ""),
        kinds=np.full(n, kind),
        methods=np.full(n, ""),
        n_atoms=np.full(n, N_ATOMS),
        numbers=np.tile(NUMBERS, n),
        positions=rng.random((n * N_ATOMS, 3)) * [6.6, 6.6, 20.0],
        cells=np.tile(np.diag([6.6, 6.6, 20.0]), (n, 1, 1)),
        pbc=np.ones((n, 3), dtype=bool),
        energies=rng.normal(-60, 1, n),
        forces=rng.normal(size=(n * N_ATOMS, 3)),
        stresses=rng.normal(size=(n, 6)) * 1e-3,
    )


def as_model(frames: Frames, seed: int) -> Frames:
    """The labels of a model that errs by 50 meV/A."""
    rng = np.random.default_rng([seed, 1])
    return replace(frames, forces=frames.forces + rng.normal(scale=0.05, size=frames.forces.shape))


def insert(
    db: Database, model: Method, reference: Method, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Write everything, by the path of imports and collected jobs."""
    structures_s = labels_s = 0.0
    written = 0
    reset_peak_memory()
    for start in range(0, arguments.records, RECORDS_AT_ONCE):
        n = min(RECORDS_AT_ONCE, arguments.records - start)
        if done_among(db, [activity(f"labels {start}").id]):
            continue  # by an earlier run in this folder
        frames = frames_of(n, start, "random")
        begun = time.perf_counter()
        table = StructureTable(frames)
        Batch(structure_tables=[table]).write(db, activity(f"structures {start}"))
        between = time.perf_counter()
        frames = replace(frames, structures=table.ids)
        labelled = ((reference, frames), (model, as_model(frames, start)))
        labels_s -= time.perf_counter()
        tables = [LabelTable.of(db, m, f) for m, f in labelled]
        Batch(label_tables=tables).write(db, activity(f"labels {start}"))
        labels_s += time.perf_counter()
        structures_s += between - begun
        written += n
        progress("written", start + n, arguments.records)
    return {
        "written": written,
        "insert_per_s": 2 * written / labels_s if written else None,
        "insert_structures_per_s": written / structures_s if written else None,
        "insert_peak_memory_mb": peak_memory(),
        "insert_one_by_one_per_s": insert_one_by_one(db, model),
    }


def insert_one_by_one(db: Database, model: Method) -> float:
    """Calculations a second where the record class makes each."""
    frames = frames_of(ONE_BY_ONE, 10**8, "one by one")
    structures = [Structure.from_atoms(atoms, kind="one by one") for atoms in frames.atoms()]
    Batch(structures=structures).write(db, activity("structures one by one"))
    started = time.perf_counter()
    made = [
        Calculation.of(
            structure,
            model,
            energy=frames.energies[i],
            forces=frames.forces[N_ATOMS * i : N_ATOMS * (i + 1)],
            stress=frames.stresses[i],
        )
        for i, structure in enumerate(structures)
    ]
    Batch(calculations=made).write(db, activity("labels one by one"))
    return ONE_BY_ONE / (time.perf_counter() - started)


def activity(name: str) -> Activity:
    digest = content_digest(["benchmark", name])
    return Activity(id=digest, kind="import", name=name, source={"file": name, "sha256": digest})


def compare_sums(
    db: Database, model: Method, reference: Method, folder: Path, arguments: argparse.Namespace
) -> dict[str, Any]:
    """MAE and RMSE of the forces per element, by the database and by its peers in turn."""
    n = arguments.records
    started = time.perf_counter()
    first = database_sums(db, model, reference)
    found: dict[str, Any] = {"first_pairs_per_s": n / (time.perf_counter() - started)}
    peers: dict[str, AseDb | ExtXyz] = {"ase_db": AseDb(folder), "extxyz": ExtXyz(folder)}
    m = min(n, arguments.peer_records)
    frames = frames_of(min(n, RECORDS_AT_ONCE), 0, "random")  # the first that were written
    sides = (frames.take(range(m)), as_model(frames, 0).take(range(m)))
    for name, peer in peers.items():
        begun = time.perf_counter()
        peer.fill(*sides)
        found[f"{name}_insert_per_s"] = 2 * m / (time.perf_counter() - begun)
    rates: dict[str, list[float]] = {"forcebase": [], "ase_db": [], "extxyz": []}
    cpu, peak = [], 0.0
    for _ in range(arguments.repeats):
        reset_peak_memory()
        begun, used = time.perf_counter(), time.process_time()
        again = database_sums(db, model, reference)
        rates["forcebase"].append(n / (time.perf_counter() - begun))
        cpu.append(time.process_time() - used)
        peak = max(peak, peak_memory())
        assert all(np.allclose(again[z], first[z], rtol=1e-12) for z in first)
        for name, peer in peers.items():
            begun = time.perf_counter()
            peer_sums = peer.sums()
            rates[name].append(m / (time.perf_counter() - begun))
            assert peer_sums[34][0] == 24 * m
    ours = statistics.median(rates["forcebase"])
    found |= {
        "pairs_per_s": ours,
        "pairs_s": n / ours,
        "pairs_client_cpu_s": statistics.median(cpu),
        "peak_memory_mb": peak,
        "peer_records": m,
    }
    for name in peers:
        rate = statistics.median(rates[name])
        found[f"{name}_pairs_per_s"] = rate
        found[f"ratio_{name}"] = ours / rate
    errors = {chemical_symbols[z]: errors_of(sums) for z, sums in sorted(first.items())}
    return found | {"errors_meV_per_A": errors}


def compare_labels(db: Database, model: Method, reference: Method) -> dict[str, float]:
    """All that `forcebase compare` tells: computed, and found again."""
    compare(db, model.id, reference.id)  # one that there may be is made once more below
    reset_peak_memory()
    before = peak_memory()
    begun = time.perf_counter()
    compare(db, model.id, reference.id, recompute=True)
    computed = time.perf_counter()
    compare(db, model.id, reference.id)
    return {
        "compare_s": computed - begun,
        "compare_found_s": time.perf_counter() - computed,
        "compare_peak_memory_mb": peak_memory(),
        "compare_memory_before_mb": before,
    }


def database_sums(db: Database, model: Method, reference: Method) -> Sums:
    sums: Sums = {}
    for pairs in iterate_pairs(db, model.id, reference.id):
        add(sums, pairs.reference.numbers, pairs.model.forces - pairs.reference.forces)
    return sums


def add(sums: Sums, numbers: NDArray[Any], errors: NDArray[np.float64]) -> None:
    absolute = np.bincount(numbers, np.abs(errors) @ np.ones(3))
    squared = np.bincount(numbers, np.einsum("ij,ij->i", errors, errors))
    counts = 3 * np.bincount(numbers)
    for z in np.flatnonzero(counts).tolist():
        found = np.array([counts[z], absolute[z], squared[z]])
        sums[z] = sums[z] + found if z in sums else found


def errors_of(sums: NDArray[np.float64]) -> dict[str, float]:
    n, absolute, squared = sums.tolist()
    return {"n": n, "mae": 1000 * absolute / n, "rmse": 1000 * (squared / n) ** 0.5}


class AseDb:
    """ase.db on SQLite: a row a calculation, with the structure's number as a key."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "peer.db"

    def fill(self, reference: Frames, model: Frames) -> None:
        with connect(self._path) as db:
            for name, frames in (("reference", reference), ("model", model)):
                for i, atoms in enumerate(labelled(frames)):
                    db.write(atoms, side=name, place=i)

    def sums(self) -> Sums:
        db = connect(self._path)
        known = {row.place: row.forces for row in db.select(side="model")}
        sums: Sums = {}
        for row in db.select(side="reference"):
            add(sums, row.numbers, known[row.place] - row.forces)
        return sums


class ExtXyz:
    """Two extxyz files in one order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fill(self, reference: Frames, model: Frames) -> None:
        for name, frames in (("reference", reference), ("model", model)):
            write(self._folder / f"{name}.extxyz", list(labelled(frames)), format="extxyz")

    def sums(self) -> Sums:
        sums: Sums = {}
        left, right = (iread(self._folder / f"{name}.extxyz") for name in ("model", "reference"))
        for a, b in zip(left, right, strict=True):
            add(sums, b.numbers, a.get_forces() - b.get_forces())
        return sums


def labelled(frames: Frames) -> Iterator[Atoms]:
    bounds = frames.offsets
    for i, atoms in enumerate(frames.atoms()):
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=frames.energies[i],
            forces=frames.forces[bounds[i] : bounds[i + 1]],
            stress=frames.stresses[i],
        )
        yield atoms


def look_up(db: Database, model: Method, arguments: argparse.Namespace) -> dict[str, Any]:
    """Single questions, and a dataset by the whole pipeline."""
    rows = list(
        db.calculations.raw.aggregate([{"$sample": {"size": LOOKUPS}}, {"$project": {"_id": 1}}])
    )
    ids = [row["_id"] for row in rows]
    found: dict[str, Any] = {}
    small = frames_of(arguments.dataset, 10**9, "curated")
    table = StructureTable(small)
    Batch(structure_tables=[table]).write(db, activity("structures to curate"))
    tables = [LabelTable.of(db, model, replace(small, structures=table.ids))]
    Batch(label_tables=tables).write(db, activity("labels to curate"))
    started = time.perf_counter()
    dataset = build_dataset(db, "curated", {"kind": "curated", "method": model.id})
    found["dataset_build_s"] = time.perf_counter() - started
    found["dataset_candidates"] = sum(dataset.counts.values())
    members = [m.calculation for m in db.members.find(dataset=dataset.id, limit=LOOKUPS)]
    questions: dict[str, Callable[[str], Any]] = {
        "datasets_of_a_record": lambda c: db.members.find(calculation=c),
        "trace_down": lambda c: trace_down(db, "calculations", c),
        "trace_up": lambda c: trace_up(db, "calculations", c),
        "resolve_by_prefix": lambda c: db.resolve(c[:16]),
    }
    for name, ask in questions.items():
        asked = [timed(ask, c) for c in (*members, *random.Random(0).sample(ids, len(ids)))]
        found[f"{name}_ms"] = 1000 * statistics.median(asked)
        found[f"{name}_slowest_ms"] = 1000 * max(asked)
    found["trace_down_of_method_ms"] = 1000 * timed(
        lambda m: trace_down(db, "methods", m), model.id
    )
    return found


def timed(ask: Callable[[str], Any], record: str) -> float:
    started = time.perf_counter()
    ask(record)
    return time.perf_counter() - started


def progress(what: str, done: int, total: int) -> None:
    print(f"{what} {done:,} of {total:,}", file=sys.stderr)


if __name__ == "__main__":
    main()
