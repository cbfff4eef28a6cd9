"""FHI-aims: labels by ASE, the set-up from the input that aims repeats in its output."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.digest import content_digest
from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import FREE_ENERGY, CodeOutput, ionic_steps
from forcebase.ingest.codes.hubbard import join, shell_of, term
from forcebase.ingest.codes.telling import plain, telling
from forcebase.ingest.codes.text import first, integers, required
from forcebase.ingest.codes.version_breaks import era
from forcebase.safety.ase_files import read_images

EXCHANGE = ("hse_unit", "hybrid_xc_coeff", "lc_dielectric_constant")
FIELDS = ("homogeneous_field", "evaluate_work_function", "use_dipole_correction", "solvent", "mpe_")
SWITCHES = (
    *("use_dipole_correction", "evaluate_work_function", "include_spin_orbit"),
    *("vdw_correction_hirshfeld", "many_body_dispersion", "many_body_dispersion_nl", "d4"),
)
"""Keywords that may stand alone."""
CAPITAL = ("RI_method", "KS_method", "RI_full_output")
"""Keywords that do not begin in lower case, as all others do."""
TOLD = (
    "xc",
    "spin",
    "relativistic",
    "occupation_type",
    "include_spin_orbit",
    "plus_u_petukhov_mixing",
)
DEFAULTS = {"override_relativity": False, "spin": "none"}
BASIS = (
    *("nucleus", "l_hartree", "cut_pot", "basis_dep_cutoff", "radial_base", "radial_multiplier"),
    *(
        "angular_grids",
        "division",
        "outer_grid",
        "valence",
        "ion_occ",
        "hydro",
        "ionic",
        "gaussian",
    ),
    *("include_min_basis", "pure_gauss", "confined", "basis_acc", "prodbas_acc", "for_aux"),
)
"""Words of a species: its basis and grids."""


def read_aims_text(path: Path) -> CodeOutput:
    """Read aims' output; energies are free energies, to which aims' forces belong.

    Raises:
        InputError: the output does not repeat its input, from which the method follows.
    """
    text = path.read_text(errors="replace")
    if not _species(text):
        raise InputError(
            "it does not repeat control.in, which says its method.",
            hint="Keep aims' whole output, its first part included.",
        )
    version = required(r"(?:FHI-aims version +: +|Version +)(\S+)", text, "aims' version")
    method = _method(text, version)
    images = read_images(path, "aims-output", non_convergence_ok=True)
    failed = "Self-consistency cycle not converged" in text
    mesh = first(r"^ *k_grid +(\d+ +\d+ +\d+)", text, integers, ())
    offset = first(r"^ *k_offset +([\d. ]+)", text, str, "0 0 0").split()
    steps = ionic_steps(images, not failed)
    if steps and method["spin"] != "none":
        steps[-1] = replace(steps[-1], moments=_site_moments(text, len(steps[-1].atoms)))
    return CodeOutput(
        method=method,
        steps=steps,
        k_mesh=mesh,
        k_shift=tuple(float(x) for x in offset),
        convergence={
            name: value
            for name in ("sc_accuracy_rho", "sc_accuracy_etot", "sc_accuracy_forces")
            if (value := first(rf"^ *{name} +([\d.Ee+-]+)", text, float, None)) is not None
        },
        wall_time=first(r"\| Total time +:.*?([\d.]+) s *$", text, float, None),
        code_version=version,
        potentials=_species(text),
        plus_u=_hubbard(text),
        charge=first(r"^ *charge +(-?[\d.]+)", _control(text), float, 0.0),
        asked_moments=_asked_moments(text) if method["spin"] != "none" else None,
        asked_total=first(r"^ *fixed_spin_moment +(-?[\d.]+)", _control(text), float, None),
        found_total=_total(text),
    )


def _control(text: str) -> str:
    """The input that aims repeats; all of the text where it is not marked."""
    start = text.find("Parsing control.in")
    rest = text[max(start, 0) :]
    end = re.search(r"Parsing geometry|Reading geometry|Completed first pass over input", rest)
    return rest[: end.start()] if end else rest


def _asked(text: str) -> dict[str, str]:
    """Settings of control.in's general part, and of its species by their names."""
    echo = text.partition("verbatim copy")[2]
    lines = (echo or _control(text)).splitlines()
    found: dict[str, str] = {}
    species = ""
    for line in lines:
        words = re.sub(r"#.*", "", line).split()
        if len(words) == 1 and (echo or words[0] in SWITCHES):
            words.append(".true.")
        named = words and (re.fullmatch(r"[a-z]\w*", words[0]) or words[0] in CAPITAL)
        if len(words) < 2 or not named:
            if "-----------" in line and found and echo:
                break
            continue
        if words[0] == "species":
            species = words[1]
        elif not species:
            found[words[0]] = " ".join(words[1:])
    return found


def _species(text: str) -> dict[str, dict[str, str]]:
    """Element -> its species' name, and a digest of its basis as control.in says it."""
    blocks: dict[str, list[str]] = {}
    block: list[str] = []
    for line in _control(text).splitlines():
        words = re.sub(r"#.*", "", line).split()
        if len(words) > 1 and words[0] == "species":
            block = blocks.setdefault(words[1], [])
        elif words and words[0] in BASIS:
            block.append(" ".join(words))
    names = set(re.findall(r"^ *species +(\w+)", text, re.MULTILINE)) | set(blocks)
    return {
        re.sub(r"[\d_].*", "", name): {
            "name": f"species {name}",
            **({"hash": content_digest(blocks[name])} if blocks.get(name) else {}),
        }
        for name in sorted(names)
    }


def _hubbard(text: str) -> dict[str, dict[str, Any]]:
    """Element -> u_eV and shell of `plus_u`, of the species that it stands under."""
    found: dict[str, dict[str, Any]] = {}
    species = ""
    for line in _control(text).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "species":
            species = re.sub(r"[\d_].*", "", words[1])
        if len(words) > 3 and words[0] == "plus_u" and species:
            join(found, species, term(float(words[3]), 0.0, shell_of(words[2])))
    return found


def _asked_moments(text: str) -> NDArray[np.float64] | None:
    """(n,) muB of `initial_moment` in geometry.in, or the default of all atoms."""
    geometry = text.partition("geometry.in")[2]
    default = first(r"^ *default_initial_moment +(-?[\d.]+)", _control(text), float, None)
    moments: list[float | None] = []
    for line in geometry.splitlines():
        words = line.split()
        if len(words) >= 5 and words[0] in ("atom", "atom_frac"):
            moments.append(default)
        elif len(words) == 2 and words[0] == "initial_moment" and moments:
            moments[-1] = float(words[1])
    if not moments or any(moment is None for moment in moments):
        return None
    return np.array(moments, dtype=float)


def _site_moments(text: str, n_atoms: int) -> NDArray[np.float64] | None:
    """(n,) muB of the last Mulliken or Hirshfeld analysis."""
    found = re.findall(r"Hirshfeld spin moment +: +(-?[\d.]+)", text)
    if len(found) >= n_atoms:
        return np.array(found[-n_atoms:], dtype=float)
    table = text.rpartition("Per-atom charge:")[0].rpartition("spin")[2]
    rows = re.findall(r"^ *\| +\d+ +(-?\d+\.\d+) ", table, re.MULTILINE)
    return np.array(rows, dtype=float) if len(rows) == n_atoms else None


def _total(text: str) -> float | None:
    found = re.findall(r"N = N_up - N_down.*?: +(-?[\d.]+)", text)
    return float(found[-1]) if found else None


def _smearing(text: str) -> tuple[str, float]:
    """Kind, with the order of Methfessel and Paxton's, and width in eV; aims' own where none is."""
    asked = first(r"^ *occupation_type +(\S.*?) *(?:#.*)?$", text, str.split, [])
    if len(asked) < 2:
        return "gaussian", 0.01
    order = f" {asked[2]}" if len(asked) > 2 else ""
    return f"{asked[0].lower()}{order}", float(asked[1])


def _of_dispersion(words: str) -> dict[str, Any]:
    """What stands behind the keyword of a dispersion correction, as "beta=0.81 k_grid=2:2:2"."""
    pairs = dict(re.findall(r"(\w+) *= *(\S+)", words))
    rest = re.sub(r"\w+ *= *\S+", "", words).strip()
    options = {"options": rest} if plain(rest) not in (True, "", 1.0) else {}
    return {name: plain(value) for name, value in {**pairs, **options}.items()}


def _method(text: str, version: str) -> dict[str, Any]:
    for pattern, what in (
        (r"qpe_calc", "GW"),
        (r"neutral_excitation", "BSE"),
        (r"sc_self_energy", "GW"),
    ):
        if re.search(rf"^ *{pattern}", _control(text), re.MULTILINE):
            raise InputError(f"it is a run of {what}: it gives no labels of a ground state.")
    kind, width = _smearing(text)
    asked = _asked(text)
    exchange = {name: asked[name] for name in EXCHANGE if name in asked}
    share = exchange.pop("hybrid_xc_coeff", None)
    fields = {name: asked[name] for name in FIELDS if name in asked}
    dispersion = first(
        r"^ *(vdw_correction_hirshfeld|many_body_dispersion\w*|d4)", text, str, "none"
    )
    return {
        "code": "fhi-aims",
        "functional": required(r"^ *xc +(\S.*?) *$", text, "the functional (xc)").lower(),
        "functional_parameters": {
            **({} if share is None else {"exchange_fraction": plain(share)}),
            **telling("fhi-aims", exchange),
        },
        "basis": {
            "type": "numeric atomic orbitals",
            "relativistic": first(r"^ *relativistic +(\S.*?) *$", text, str, "none"),
        },
        "pseudopotentials": {"type": "all electrons"},
        "smearing": {"type": kind, "width_eV": width, "energy": FREE_ENERGY},
        "spin": first(r"^ *spin +(\w+)", text, str, "none"),
        "dispersion": dispersion,
        "dispersion_parameters": _of_dispersion(asked.get(dispersion, "")),
        "spin_orbit": bool(re.search(r"^ *include_spin_orbit", text, re.MULTILINE)),
        "plus_u": {"scheme": asked.get("plus_u_petukhov_mixing", "aims' own")}
        if _hubbard(text)
        else {},
        "corrections": telling("fhi-aims", fields),
        "settings": {
            **telling("fhi-aims", asked, DEFAULTS, (*TOLD, *EXCHANGE, *FIELDS, dispersion)),
            **era("fhi-aims", version),
        },
    }
