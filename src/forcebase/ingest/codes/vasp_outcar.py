"""VASP's OUTCAR, which has fewer digits than vasprun.xml: labels by ASE."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import CodeOutput, ionic_steps
from forcebase.ingest.codes.outcar_tags import outcar_tags
from forcebase.ingest.codes.text import first, integers, required, rows
from forcebase.ingest.codes.vasp_output import with_moments
from forcebase.ingest.codes.vasp_run import (
    AtomType,
    element_of,
    found_moments,
    total_moment,
    vasp_fields,
)
from forcebase.safety.ase_files import read_images

POINTS = "k-points in reciprocal lattice and weights"
POINT = r"^ +(-?[\d.]+) +(-?[\d.]+) +(-?[\d.]+) +([\d.]+) *$"


def read_outcar(path: Path) -> CodeOutput:
    """Read OUTCAR, which has fewer digits than vasprun.xml.

    Raises:
        InputError: the file is cut off before the first step ends, or does not tell all rules.
    """
    text = path.read_text(errors="replace")
    if first(r"\bML_LMLFF *= *([TF])", text, str, "F") == "T":
        raise InputError(
            "its steps of DFT and of VASP's own force field (ML_LMLFF) are not told apart in it.",
            hint="Import its vasprun.xml, or the ML_AB.",
        )
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
