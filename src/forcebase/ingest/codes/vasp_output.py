"""VASP's vasprun.xml, read once, by pymatgen; and what all readers of VASP's files share."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from forcebase.digest import content_digest
from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import CodeOutput, IonicStep
from forcebase.ingest.codes.telling import plain
from forcebase.ingest.codes.vasp_run import (
    AtomType,
    element_of,
    is_polarised,
    moments_beside,
    vasp_fields,
)
from forcebase.ingest.plain_file import plain_file
from forcebase.safety.files import compression, unpacked
from forcebase.safety.limits import TEXT_BYTES
from forcebase.units import stress_from_kbar_pressure

RESPONSE = (7.0, 8.0)
"""IBRION of linear response."""
WHOLE = "alphaZ"
"""Which the first and the last step of a self-consistent loop print, and none of its others."""
TAIL = 1 << 24
"""Bytes in which the last ionic step of a vasprun.xml that was cut off is looked for."""
HEAD_PIECE = 1 << 18
KBAR = 1e-22 / 1.60217733e-19
"""eV/angstrom^3, by VASP's own eV: so PSTRESS is in its energies."""


_kept: dict[tuple[str, int, int], CodeOutput] = {}
KEPT_AT_MOST = 256


def read_vasprun(path: Path, keep: bool = False) -> CodeOutput:
    """Read vasprun.xml; energies are extrapolated to zero width (VASP's energy(sigma->0)).

    It names the POTCARs by their titles; their hashes are of a POTCAR beside it, if one has them,
    and moments of an OUTCAR beside it. Steps that VASP's own force field predicted are not DFT
    labels: they are left out, and counted in a note.

    Args:
        path: of the file, compressed or not.
        keep: the runs of a phonon's cells are asked for again when it is their turn to be
            imported: keep what was read until then, and parse each file once.

    Raises:
        InputError: the file is cut off before a step ends, or is of no ionic calculation.
    """
    found = path.stat()
    name = (str(path.resolve()), found.st_mtime_ns, found.st_size)
    run = _kept.pop(name) if name in _kept else _read(path)
    if keep and len(run.steps) == 1 and len(_kept) < KEPT_AT_MOST:
        _kept[name] = run
    return run


def _read(path: Path) -> CodeOutput:
    from pymatgen.io.vasp.outputs import Vasprun

    class Run(Vasprun):
        @property
        def converged(self) -> bool:
            """Of no use here, and its own fails on linear response without a last step apart."""
            return True

    with plain_file(path) as file:
        is_whole = _is_whole(file)
        head = _head(file)
        types = _atom_types(head)
        with _with_elements(file, head, types) as named:
            try:
                run = Run(
                    named,
                    parse_dos=False,
                    parse_eigen=False,
                    parse_potcar_file=False,
                    exception_on_bad_xml=False,
                )
            except Exception:  # whatever pymatgen makes of a file that ends too early
                if is_whole:
                    raise
                raise _cut_early() from None
        if not is_whole and not (run.ionic_steps or run.md_data):
            raise _cut_early()
    types = _with_hashes(run, path.parent, types)
    tags = {**run.parameters, **run.incar}
    fields = vasp_fields(tags, run.incar, types, str(run.vasp_version))
    limit = int(run.parameters["NELM"])
    steps, predicted = _steps(run, tags, limit)
    if not steps and predicted:
        raise InputError(
            f"its {predicted} steps are predictions of VASP's own force field (ML_LMLFF), and no "
            "DFT labels.",
            hint="Import the ML_AB, or the runs, that the force field was made from.",
        )
    mesh, shift = k_mesh(run.kpoints)
    n_atoms = sum(t.count for t in types)
    found, total = moments_beside(path, n_atoms) if is_polarised(tags) else ([], None)
    return CodeOutput(
        steps=with_moments(steps, found),
        found_total=total,
        k_mesh=mesh,
        k_shift=shift,
        k_points=run.actual_kpoints or [],
        convergence={"energy_eV": float(run.parameters["EDIFF"])},
        notes=_of_predicted(predicted, len(steps)),
        **fields,
    )


def _of_predicted(predicted: int, computed: int) -> tuple[str, ...]:
    if not predicted:
        return ()
    return (
        f"{predicted} steps that VASP's own force field predicted are left out; {computed} of "
        "DFT are labels.",
    )


def _steps(run: Any, tags: Mapping[str, Any], limit: int) -> tuple[list[IonicStep], int]:
    """Steps with labels of DFT, and how many the force field of VASP predicted.

    Energies as ASE reads them: the one of the step holds PSTRESS and corrections, and its
    zero-width one is wrong in some versions; those of the electronic steps hold neither.
    """
    numbers = [atomic_numbers[symbol] for symbol in run.atomic_symbols]
    pressure = float(plain(tags.get("PSTRESS", 0.0)) or 0.0) * KBAR
    learns = plain(tags.get("ML_LMLFF", False)) is True
    found, computed = [], 0
    for index, step in enumerate(run.ionic_steps):
        electronic = step["electronic_steps"]
        if learns and not electronic:
            continue
        computed += 1
        if step.get("forces") is None or step.get("structure") is None or not electronic:
            continue
        cell = step["structure"].lattice.matrix
        free = step["e_fr_energy"] - pressure * np.linalg.det(cell)
        wider = electronic[-1]["e_0_energy"] - electronic[-1]["e_fr_energy"]
        stress = step.get("stress")
        found.append(
            IonicStep(
                atoms=Atoms(
                    numbers, scaled_positions=step["structure"].frac_coords, cell=cell, pbc=True
                ),
                energy=float(free + wider),
                forces=np.asarray(step["forces"], dtype=float),
                stress=None if stress is None else _stress(stress),
                converged=scf_steps(electronic, tags) < limit,
                index=index,
                free_energy=float(free),
            )
        )
    told = max(len(run.md_data), len(run.ionic_steps)) if learns else computed
    return found, told - computed


def _stress(tensor: Any) -> NDArray[np.float64]:
    """(6,) of VASP's (3, 3), kbar; of the shears, the entries that ASE takes: no digit is new."""
    return stress_from_kbar_pressure(np.ravel(tensor)[[0, 4, 8, 5, 2, 1]])


def _with_hashes(run: Any, folder: Path, types: list[AtomType]) -> list[AtomType]:
    """The types with what tells POTCARs of one title apart, of the POTCAR in the folder."""
    for file in folder.glob("POTCAR*"):  # pymatgen unpacks without a limit
        if file.is_file() and compression(file) is not None:
            for _ in unpacked(file, TEXT_BYTES):
                pass
    run.update_potcar_spec(folder)
    hashes = potcar_hashes(run.potcar_spec)
    if len(hashes) != len(types):
        return types
    return [replace(t, hash=h) for t, h in zip(types, hashes, strict=True)]


def scf_steps(electronic: Sequence[Mapping[str, Any]], tags: Mapping[str, Any]) -> int:
    """Electronic steps up to self-consistency; those of a linear response come after."""
    responds = plain(tags.get("LEPSILON", False)) is True or plain(tags.get("IBRION")) in RESPONSE
    if not responds:
        return len(electronic)
    whole = [i for i, step in enumerate(electronic) if WHOLE in step]
    if len(whole) > 1:
        return whole[1] + 1
    energies = [step.get("e_fr_energy") for step in electronic]
    limit = float(plain(tags.get("EDIFF", 1e-4)))
    for i in range(1, len(energies)):
        one, other = energies[i - 1], energies[i]
        if one is not None and other is not None and abs(other - one) < limit:
            return i + 1
    return len(electronic)


def with_moments(
    steps: Sequence[IonicStep], moments: Sequence[NDArray[np.float64]]
) -> list[IonicStep]:
    """Give each step its moments, or the last step the last ones where not each was printed."""
    if not moments or not steps:
        return list(steps)
    if len(moments) == len(steps):
        return [replace(s, moments=m) for s, m in zip(steps, moments, strict=True)]
    return [*steps[:-1], replace(steps[-1], moments=moments[-1])]


def _cut_early() -> InputError:
    return InputError(
        "it is cut off before its first ionic step ends.",
        hint="The run was killed, or the file copied while it was written.",
    )


def _is_whole(path: Path) -> bool:
    """Whether a file has its end.

    Raises:
        InputError: it was cut off inside the energies of a step, which parsers stumble over.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 200))
        if b"</modeling>" in file.read():
            return True
        file.seek(max(0, size - TAIL))
        tail = file.read()
        start = tail.rfind(b"<calculation>")
        rest = tail[start:] if start >= 0 else tail
        if b"</calculation>" in rest or rest.count(b"<energy>") == rest.count(b"</energy>"):
            return False
        file.seek(0)
        number = sum(line.count(b"<calculation>") for line in file)
    raise InputError(
        f"it is cut off inside the energy of step {number}.",
        hint="The run was killed, or the file copied while it was written.",
    )


def _head(path: Path) -> bytes:
    """All up to the end of the table of atoms, or the whole file where it has none."""
    found = b""
    with path.open("rb") as file:
        while piece := file.read(HEAD_PIECE):
            found += piece
            if (end := found.find(b"</atominfo>")) >= 0:
                return found[:end]
    return found


def _atom_types(head: bytes) -> list[AtomType]:
    """The table of atom types, with elements of the POTCARs' titles where names were cut."""
    start = head.rfind(b'<array name="atomtypes"')
    end = head.find(b"</array>", start)
    if start < 0 or end < 0:
        raise InputError("it does not say its atoms: the file is cut off.")
    try:
        table = ElementTree.fromstring(head[start:end] + b"</array>")
    except ElementTree.ParseError:
        raise InputError("the table of its atoms is damaged.") from None
    return [_atom_type(row) for row in table.iter("rc")]


def _atom_type(row: ElementTree.Element) -> AtomType:
    cells = [str(cell.text or "").strip() for cell in row.iter("c")]
    count, symbol, _mass, valence, title = cells[:5]
    if symbol not in atomic_numbers or symbol == "X":
        symbol = element_of(title) if element_of(title) in atomic_numbers else symbol
    if symbol not in atomic_numbers or symbol == "X":
        raise InputError(f"its atoms are called {symbol!r}, and so is not an element ({title}).")
    return AtomType(symbol, int(count), float(valence), title)


@contextmanager
def _with_elements(path: Path, head: bytes, types: Sequence[AtomType]) -> Iterator[Path]:
    """The file, or a copy in which atoms have whole names: VASP cuts "Zr" to "r"."""
    kinds = re.findall(rb"<rc><c>([^<]*)</c><c>\s*(\d+)\s*</c></rc>", head)
    if all(name.strip().decode(errors="replace") in atomic_numbers for name, _ in kinds):
        yield path
        return
    names = [t.symbol.ljust(2).encode() for t in types]
    atoms = iter(kinds)

    def renamed(_: re.Match[bytes]) -> bytes:
        number = next(atoms)[1]
        return b"<rc><c>" + names[int(number) - 1] + b"</c><c>" + number + b"</c></rc>"

    rest = path.read_bytes()[len(head) :]
    head = re.sub(rb"<rc><c>[^<]*</c><c>\s*\d+\s*</c></rc>", renamed, head)
    with TemporaryDirectory(prefix="forcebase-import-") as scratch:
        copy = Path(scratch) / path.name
        copy.write_bytes(head + rest)
        yield copy


def potcar_hashes(specs: Iterable[Mapping[str, Any]]) -> list[str | None]:
    """What tells POTCARs of one title apart; None where the file was not there.

    Args:
        specs: pymatgen's, as emmet's documents keep them: with a hash in those of old, now with
            statistics of the numbers in the file, whose digest takes its place.
    """
    found = []
    for spec in specs:
        statistics = json.loads(json.dumps(spec.get("summary_stats") or {}, default=float))
        found.append(spec.get("hash") or (content_digest(statistics) if statistics else None))
    return found


def k_mesh(points: Any) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Mesh and shift of pymatgen's Kpoints; Monkhorst's meshes of even size leave out Gamma."""
    nothing = (0.0, 0.0, 0.0)
    if points is None or points.num_kpts != 0 or points.style.name not in ("Gamma", "Monkhorst"):
        return (), nothing
    mesh = tuple(int(n) for n in points.kpts[0])
    shift = tuple(float(x) for x in points.kpts_shift or nothing)
    if points.style.name == "Gamma":
        return mesh, shift
    return mesh, tuple(0.5 if n % 2 == 0 else x for n, x in zip(mesh, shift, strict=True))
