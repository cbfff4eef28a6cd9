"""VASP: labels by ASE, which takes PSTRESS out of the energy; the set-up by pymatgen."""

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
from ase.data import atomic_numbers
from numpy.typing import NDArray

from forcebase.digest import content_digest
from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import CodeOutput, IonicStep, ionic_steps
from forcebase.ingest.codes.outcar_tags import outcar_tags
from forcebase.ingest.codes.telling import plain
from forcebase.ingest.codes.text import first, integers, required, rows
from forcebase.ingest.codes.vasp_run import (
    AtomType,
    element_of,
    found_moments,
    moments_beside,
    total_moment,
    vasp_fields,
)
from forcebase.safety.ase_files import read_images

POINTS = "k-points in reciprocal lattice and weights"
POINT = r"^ +(-?[\d.]+) +(-?[\d.]+) +(-?[\d.]+) +([\d.]+) *$"
RESPONSE = (7.0, 8.0)
"""IBRION of linear response."""
WHOLE = "alphaZ"
"""Which the first and the last step of a self-consistent loop print, and none of its others."""
TAIL = 1 << 24
"""Bytes in which the last ionic step of a vasprun.xml that was cut off is looked for."""


def read_vasprun(path: Path) -> CodeOutput:
    """Read vasprun.xml; energies are extrapolated to zero width (VASP's energy(sigma->0)).

    It names the POTCARs by their titles; their hashes are of a POTCAR beside it, if one has them,
    and moments of an OUTCAR beside it.

    Raises:
        InputError: the file is cut off before a step ends, or is of no ionic calculation.
    """
    from pymatgen.io.vasp.outputs import Vasprun

    class Run(Vasprun):
        @property
        def converged(self) -> bool:
            """Of no use here, and its own fails on linear response without a last step apart."""
            return True

    _require_whole_energies(path)
    types = _atom_types(path)
    with _with_elements(path, types) as named:
        run = Run(
            named,
            parse_dos=False,
            parse_eigen=False,
            parse_potcar_file=False,
            exception_on_bad_xml=False,
        )
        images = read_images(named, "vasp-xml")
    run.update_potcar_spec(path.parent)
    hashes = potcar_hashes(run.potcar_spec)
    if len(hashes) == len(types):
        types = [replace(t, hash=h) for t, h in zip(types, hashes, strict=True)]
    tags = {**run.parameters, **run.incar}
    fields = vasp_fields(tags, run.incar, types, str(run.vasp_version))
    limit = int(run.parameters["NELM"])
    counts = [scf_steps(step["electronic_steps"], tags) for step in run.ionic_steps]
    converged = [n < limit for n in counts]
    steps = ionic_steps(images[: len(converged)], converged)
    mesh, shift = k_mesh(run.kpoints)
    found, total = moments_beside(path, sum(t.count for t in types))
    return CodeOutput(
        steps=with_moments(steps, found),
        found_total=total,
        k_mesh=mesh,
        k_shift=shift,
        k_points=run.actual_kpoints or [],
        convergence={"energy_eV": float(run.parameters["EDIFF"])},
        **fields,
    )


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


def _require_whole_energies(path: Path) -> None:
    """Refuse a file that was cut off inside the energies of a step, which parsers stumble over."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - TAIL))
        tail = file.read()
        if b"</modeling>" in tail[-200:]:
            return
        start = tail.rfind(b"<calculation>")
        rest = tail[start:] if start >= 0 else tail
        if b"</calculation>" in rest or rest.count(b"<energy>") == rest.count(b"</energy>"):
            return
        file.seek(0)
        number = sum(line.count(b"<calculation>") for line in file)
    raise InputError(
        f"it is cut off inside the energy of step {number}.",
        hint="The run was killed, or the file copied while it was written.",
    )


def _atom_types(path: Path) -> list[AtomType]:
    """The table of atom types, with elements of the POTCARs' titles where names were cut."""
    try:
        for _, node in ElementTree.iterparse(path):
            if node.tag == "array" and node.attrib.get("name") == "atomtypes":
                return [_atom_type(row) for row in node.iter("rc")]
    except ElementTree.ParseError:
        pass
    raise InputError("it does not say its atoms: the file is cut off.")


def _atom_type(row: ElementTree.Element) -> AtomType:
    cells = [str(cell.text or "").strip() for cell in row.iter("c")]
    count, symbol, _mass, valence, title = cells[:5]
    if symbol not in atomic_numbers or symbol == "X":
        symbol = element_of(title) if element_of(title) in atomic_numbers else symbol
    if symbol not in atomic_numbers or symbol == "X":
        raise InputError(f"its atoms are called {symbol!r}, and so is no element ({title}).")
    return AtomType(symbol, int(count), float(valence), title)


@contextmanager
def _with_elements(path: Path, types: Sequence[AtomType]) -> Iterator[Path]:
    """The file, or a copy in which atoms have whole names: VASP cuts "Zr" to "r"."""
    data = path.read_bytes()
    head, end, rest = data.partition(b"</atominfo>")
    kinds = re.findall(rb"<rc><c>([^<]*)</c><c>\s*(\d+)\s*</c></rc>", head)
    if all(name.strip().decode(errors="replace") in atomic_numbers for name, _ in kinds):
        yield path
        return
    names = [t.symbol.ljust(2).encode() for t in types]
    atoms = iter(kinds)

    def renamed(_: re.Match[bytes]) -> bytes:
        number = next(atoms)[1]
        return b"<rc><c>" + names[int(number) - 1] + b"</c><c>" + number + b"</c></rc>"

    head = re.sub(rb"<rc><c>[^<]*</c><c>\s*\d+\s*</c></rc>", renamed, head)
    with TemporaryDirectory(prefix="forcebase-import-") as scratch:
        copy = Path(scratch) / path.name
        copy.write_bytes(head + end + rest)
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


def read_outcar(path: Path) -> CodeOutput:
    """Read OUTCAR, which has fewer digits than vasprun.xml.

    Raises:
        InputError: the file is cut off before the first step ends, or does not tell all rules.
    """
    text = path.read_text(errors="replace")
    types = _outcar_types(text)
    tags, asked, known = outcar_tags(path, text)
    fields = vasp_fields(
        tags, asked, types, required(r"^ *vasp\.(\d+\.\d+\.\d+)", text, "VASP's version")
    )
    if not known:  # MAGMOM is not printed
        fields["asked_moments"] = None
    steps = read_images(path, "vasp-out")
    reached = text.count("aborting loop because EDIFF is reached")
    cut = text.count("aborting loop EDIFF was not reached") or text.count("EDIFF was not reached")
    converged = not cut and reached >= len(steps)
    labelled = ionic_steps(steps, converged)
    n_atoms = sum(t.count for t in types)
    mesh, shift = _outcar_mesh(text)
    return CodeOutput(
        steps=with_moments(labelled, found_moments(text, n_atoms)),
        found_total=total_moment(text),
        k_mesh=mesh,
        k_shift=shift,
        k_points=rows(POINT, text.partition(POINTS)[2].partition("\n \n")[0]),
        convergence={"energy_eV": first(r"EDIFF += *([\d.E+-]+)", text, float, None)},
        wall_time=first(r"Elapsed time \(sec\): +([\d.]+)", text, float, None),
        **fields,
    )


def _outcar_mesh(text: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The mesh, and its shift as the KPOINTS that is repeated at the top, or its points, say."""
    mesh = first(r"generate k-points for: +(\d+ +\d+ +\d+)", text, integers, ())
    points = rows(POINT, text.partition(POINTS)[2].partition("\n \n")[0])
    gamma = any(not np.any(np.round(point[:3], 6)) for point in points)
    if len(mesh) != 3 or gamma or not points:
        return mesh, (0.0, 0.0, 0.0)
    return mesh, tuple(0.5 if n % 2 == 0 else 0.0 for n in mesh)


def _outcar_types(text: str) -> list[AtomType]:
    titles = re.findall(r"^ +TITEL += (.+?) *$", text, re.MULTILINE)
    if not titles:  # each is announced twice
        twice = re.findall(r"^ POTCAR: +(.+?) *$", text, re.MULTILINE)
        titles = twice[: max(1, len(twice) // 2)] if twice else []
    if not titles:
        raise InputError("it does not say its POTCARs: the file is cut off.")
    counts = first(r"ions per type = +([\d ]+)", text, integers, ())
    counts = counts if len(counts) == len(titles) else (0,) * len(titles)
    valences: list[float | None] = [
        float(x) for x in re.findall(r"POMASS = +[\d.]+; ZVAL += +([\d.]+)", text)
    ]
    if len(valences) != len(titles):
        table = first(r"Ionic Valenz\s+ZVAL += +([\d. ]+)", text, str.split, [])
        valences = [float(x) for x in table]
    if len(valences) != len(titles):
        valences = [None] * len(titles)
    hashes: list[str | None] = list(re.findall(r"^ +SHA256 += *(\w+)", text, re.MULTILINE))
    hashes = hashes if len(hashes) == len(titles) else [None] * len(titles)
    return [
        AtomType(element_of(title), count, valence, title, digest)
        for title, count, valence, digest in zip(titles, counts, valences, hashes, strict=True)
    ]
