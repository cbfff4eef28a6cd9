"""Import of code outputs against reading the same files with ASE alone, in one run.

    python benchmarks/imports.py --copies 50 --json
    python benchmarks/imports.py --folder RUNS --workers 2

Without `--folder`, the files are copies of real small outputs of pw.x and ABINIT, each with a line
of its own at the end, so that no two have the same digest; all of their ionic steps become records.
ASE reads every step too. Import recognises, reads the set-up, makes records and writes them into a
fresh database; ASE alone does none of that. The two ways take turns, and the ratio is of the sums.

    python benchmarks/imports.py --vasp RUNS --json

With `--vasp`, all vasprun.xml files below a folder, compressed by gzip, in one process, against
pymatgen's Vasprun without density of states and projected states. The results in
`results/imports_vasp.json` and `imports_vasp_large.json` (`--smallest 600000`) are of the outputs
among the examples of phonopy 4.10's source.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
import uuid
import warnings
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ase.io import read
from pymatgen.io.vasp.outputs import Vasprun

from forcebase.database.connection import open_client
from forcebase.database.database import Database
from forcebase.ingest.codes.code_output import Steps
from forcebase.ingest.file_kinds import FileKind, kind_of
from forcebase.ingest.importing import import_paths
from forcebase.ingest.options import ImportOptions
from forcebase.safety.files import read_unpacked
from forcebase.settings import Settings
from machine import Conditions

CODES = Path(__file__).parents[1] / "tests" / "data" / "codes"
FORMATS = {
    FileKind.VASPRUN: "vasp-xml",
    FileKind.OUTCAR: "vasp-out",
    FileKind.PW_TEXT: "espresso-out",
    FileKind.ABINIT: "abinit-out",
    FileKind.AIMS: "aims-output",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="outputs of codes, instead of copies")
    parser.add_argument("--vasp", type=Path, help="a folder with vasprun.xml files")
    parser.add_argument("--smallest", type=int, default=0, help="bytes of a vasprun.xml, unpacked")
    parser.add_argument("--copies", type=int, default=50, help="of each output")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with TemporaryDirectory() as scratch:
        if arguments.vasp:
            files = vaspruns(arguments.vasp, Path(scratch), arguments.smallest)
            found = measure_vasp(files, arguments.rounds)
        else:
            folder = arguments.folder or copies(Path(scratch), arguments.copies)
            found = measure(folder, arguments.workers, arguments.rounds)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:<36} {value}")


def copies(folder: Path, n: int) -> Path:
    """Copies of the outputs that ASE can read too."""
    text = gzip.decompress((CODES / "quantum_espresso" / "si.pwo.gz").read_bytes())
    abinit = gzip.decompress((CODES / "abinit" / "wse2.abo.gz").read_bytes())
    for i in range(n):
        mark = f"\n copy {i}\n".encode()
        (folder / f"{i:04}.pwo").write_bytes(text + mark)
        (folder / f"{i:04}.abo").write_bytes(abinit + mark)
    return folder


def measure(folder: Path, workers: list[int], rounds: int) -> dict[str, float | int | str]:
    conditions = Conditions()
    files = {file: kind for file in sorted(folder.iterdir()) if (kind := kind_of(file))}
    files = {file: FORMATS[kind] for file, kind in files.items() if kind in FORMATS}
    seconds = {"ase": 0.0, **{f"import_{n}": 0.0 for n in workers}}
    n_images = n_records = 0
    with_ase(dict(list(files.items())[:1]))  # imports and first calls
    for _ in range(rounds):
        start = time.perf_counter()
        n_images = with_ase(files)
        seconds["ase"] += time.perf_counter() - start
        for n in workers:
            taken, n_records = with_import(list(files), n)
            seconds[f"import_{n}"] += taken
    total = len(files) * rounds
    return {
        "files": len(files),
        "ionic_steps": n_images,
        "calculations_a_round": n_records,
        **conditions.as_dict(),
        **{f"{name}_files_per_s": round(total / s, 1) for name, s in seconds.items()},
        **{f"{name}_records_per_s": round(n_images * rounds / s, 1) for name, s in seconds.items()},
        **{
            f"{name}_time_over_ase": round(s / seconds["ase"], 2)
            for name, s in seconds.items()
            if name != "ase"
        },
    }


def vaspruns(folder: Path, scratch: Path, smallest: int) -> list[Path]:
    """Copies of all vasprun.xml below a folder, each compressed in a folder of its own."""
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if kind_of(file, named=False) is not FileKind.VASPRUN:
            continue
        content = read_unpacked(file)
        if len(content) >= smallest and b"</modeling>" in content[-200:]:
            copy = scratch / f"{len(found):04}" / "vasprun.xml.gz"
            copy.parent.mkdir()
            copy.write_bytes(gzip.compress(content))
            found.append(copy)
    return found


def measure_vasp(files: list[Path], rounds: int) -> dict[str, float | int | str]:
    conditions = Conditions()
    seconds = {"pymatgen": 0.0, "import": 0.0}
    with_pymatgen(files[:1])  # imports and first calls
    with_import(files[:1], 1)
    for _ in range(rounds):
        seconds["pymatgen"] += with_pymatgen(files)
        taken, n_records = with_import(files, 1)
        seconds["import"] += taken
    return {
        "files": len(files),
        "megabytes_packed": round(sum(file.stat().st_size for file in files) / 1e6, 2),
        "megabytes_unpacked": round(sum(len(read_unpacked(file)) for file in files) / 1e6, 2),
        "rounds": rounds,
        "calculations_a_round": n_records,
        **conditions.as_dict(),
        **{f"{name}_seconds_a_round": round(s / rounds, 3) for name, s in seconds.items()},
        "import_time_over_pymatgen": round(seconds["import"] / seconds["pymatgen"], 2),
    }


def with_pymatgen(files: list[Path]) -> float:
    start = time.perf_counter()
    for file in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Vasprun(file, parse_dos=False, parse_eigen=False, parse_potcar_file=False)
    return time.perf_counter() - start


def with_ase(files: dict[Path, str]) -> int:
    count = 0
    for file, form in files.items():
        images = read(file, format=form, index=":")
        count += len(images)
    return count


def with_import(files: list[Path], workers: int) -> tuple[float, int]:
    settings = replace(Settings.from_environment(), database=f"benchmark_{uuid.uuid4().hex[:10]}")
    db = Database(settings)
    try:
        db.activities.count()
        start = time.perf_counter()
        report = import_paths(db, files, options=ImportOptions(steps=Steps.ALL, workers=workers))
        taken = time.perf_counter() - start
        if report.failed:
            raise SystemExit(f"not read: {report.failed[0]}")
        return taken, report.added.get("calculations", 0)
    finally:
        db.close()
        with open_client(settings) as client:
            client.drop_database(settings.database)


if __name__ == "__main__":
    main()
