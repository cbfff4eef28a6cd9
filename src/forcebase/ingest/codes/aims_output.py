"""FHI-aims: labels by ASE, the set-up from the input that aims repeats in its output."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import FREE_ENERGY, CodeOutput, ionic_steps
from forcebase.ingest.codes.text import first, integers, required
from forcebase.safety.ase_files import read_images


def read_aims_text(path: Path) -> CodeOutput:
    """Read aims' output; energies are free energies, to which aims' forces belong.

    Raises:
        InputError: the output does not repeat its input, from which the method follows.
    """
    text = path.read_text(errors="replace")
    method = _method(text)
    images = read_images(path, "aims-output", non_convergence_ok=True)
    failed = "Self-consistency cycle not converged" in text
    mesh = first(r"^ *k_grid +(\d+ +\d+ +\d+)", text, integers, ())
    offset = first(r"^ *k_offset +([\d. ]+)", text, str, "0 0 0").split()
    return CodeOutput(
        method=method,
        steps=ionic_steps(images, not failed),
        k_mesh=mesh,
        k_shift=tuple(float(x) for x in offset),
        convergence={
            name: value
            for name in ("sc_accuracy_rho", "sc_accuracy_etot", "sc_accuracy_forces")
            if (value := first(rf"^ *{name} +([\d.Ee+-]+)", text, float, None)) is not None
        },
        wall_time=first(r"\| Total time +:.*?([\d.]+) s *$", text, float, None),
    )


def _method(text: str) -> dict[str, Any]:
    species = re.findall(r"^ *species +(\w+)", text, re.MULTILINE)
    if not species:
        raise InputError(
            "it does not repeat control.in, which says its method.",
            hint="Keep aims' whole output, its first part included.",
        )
    smearing = re.search(r"^ *occupation_type +(\w+) +([\d.Ee+-]+)", text, re.MULTILINE)
    kind, width = (smearing.group(1), float(smearing.group(2))) if smearing else ("gaussian", 0.01)
    return {
        "code": "fhi-aims",
        "code_version": required(
            r"(?:FHI-aims version +: +|Version +)(\S+)", text, "aims' version"
        ),
        "functional": required(r"^ *xc +(\S.*?) *$", text, "the functional (xc)"),
        "basis": {
            "type": "numeric atomic orbitals",
            "radial_functions": first(r"Total number of radial functions: +(\d+)", text, int, 0),
            "relativistic": first(r"^ *relativistic +(\S.*?) *$", text, str, "none"),
        },
        "pseudopotentials": {"type": "all electrons", "species": sorted(set(species))},
        "smearing": {"type": kind, "width_eV": width, "energy": FREE_ENERGY},
        "spin": first(r"^ *spin +(\w+)", text, str, "none"),
        "dispersion": first(
            r"^ *(vdw_correction_hirshfeld|many_body_dispersion\w*|d4)", text, str, "none"
        ),
        "spin_orbit": bool(re.search(r"^ *include_spin_orbit", text, re.MULTILINE)),
    }
