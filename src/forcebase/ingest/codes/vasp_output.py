"""VASP: labels by ASE, which takes PSTRESS out of the energy; the set-up by pymatgen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from forcebase.digest import content_digest
from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import CodeOutput, ionic_steps
from forcebase.ingest.codes.text import first, integers, required, rows
from forcebase.safety.ase_files import read_images

SMEARING = {
    -5: "tetrahedron with Bloechl corrections",
    -4: "tetrahedron",
    -1: "Fermi-Dirac",
    0: "Gaussian",
}
DISPERSION = {
    0: "none",
    1: "D2",
    10: "D2",
    11: "D3",
    12: "D3(BJ)",
    13: "D4",
    2: "TS",
    20: "TS",
    21: "TS/HI",
    202: "MBD",
    4: "dDsC",
}
FLAGS = ("LNONCOLLINEAR", "LSORBIT", "LUSE_VDW")
FUNCTIONALS = {"8": "PBE", "PE": "PBE", "14": "PBEsol", "PS": "PBEsol", "91": "PW91", "CA": "LDA"}
"""OUTCAR's LEXCH, which names a functional by a number in some versions."""
POINTS = "k-points in reciprocal lattice and weights"
POINT = r"^ +(-?[\d.]+) +(-?[\d.]+) +(-?[\d.]+) +([\d.]+) *$"


def read_vasprun(path: Path) -> CodeOutput:
    """Read vasprun.xml; energies are extrapolated to zero width (VASP's energy(sigma->0)).

    It names the POTCARs by their titles; their hashes are of a POTCAR beside it, if one has them.

    Raises:
        InputError: the file is cut off before a step ends, or is of no ionic calculation.
    """
    from pymatgen.io.vasp.outputs import Vasprun

    run = Vasprun(
        path,
        parse_dos=False,
        parse_eigen=False,
        parse_potcar_file=False,
        exception_on_bad_xml=False,
    )
    run.update_potcar_spec(path.parent)
    limit = run.parameters["NELM"]
    converged = [len(step["electronic_steps"]) < limit for step in run.ionic_steps]
    images = read_images(path, "vasp-xml")
    steps = ionic_steps(images[: len(converged)], converged)
    mesh, shift = k_mesh(run.kpoints)
    titles = list(run.potcar_symbols)
    plus_u = {"plus_u_eV": dict(run.hubbards)} if run.is_hubbard else {}
    return CodeOutput(
        method=vasp_method(
            version=run.vasp_version,
            functional=functional_name(str(run.run_type), titles),
            settings={**run.parameters, **run.incar},
            titles=titles,
            hashes=potcar_hashes(run.potcar_spec),
            **plus_u,
        ),
        steps=steps,
        k_mesh=mesh,
        k_shift=shift,
        k_points=run.actual_kpoints or [],
        convergence={"energy_eV": float(run.parameters["EDIFF"])},
    )


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


def vasp_method(
    *,
    version: str,
    functional: str,
    settings: dict[str, Any],
    titles: list[str],
    hashes: list[Any],
    **beside: Any,
) -> dict[str, Any]:
    """Fields of the DFT method by VASP's settings: INCAR's, over the parameters in force.

    Args:
        version: of VASP.
        functional: its name.
        settings: INCAR tags with their values.
        titles: of the POTCARs.
        hashes: of the POTCARs, None where unknown.
        **beside: what else belongs to the Hamiltonian, as plus_u_eV.
    """
    cutoff = settings.get("ENCUT") or settings.get("ENMAX")
    if cutoff is None:
        raise InputError("it does not say its cutoff.")
    known = {"hashes": hashes} if any(hashes) else {}
    noncollinear = bool(settings.get("LNONCOLLINEAR", False))
    return {
        "code": "vasp",
        "code_version": version,
        "functional": functional,
        "basis": {"type": "plane waves", "cutoff_eV": float(cutoff), **beside},
        "pseudopotentials": {"type": "PAW", "titles": titles, **known},
        "smearing": _smearing(int(settings.get("ISMEAR", 1)), float(settings.get("SIGMA", 0.2))),
        "spin": "noncollinear" if noncollinear else _spin(int(settings.get("ISPIN", 1))),
        "dispersion": _dispersion(
            int(settings.get("IVDW", 0)), bool(settings.get("LUSE_VDW", False))
        ),
        "spin_orbit": bool(settings.get("LSORBIT", False)),
    }


def functional_name(said: str, titles: list[str]) -> str:
    """Pymatgen's name, or the family that the POTCARs were made for where it only says GGA."""
    name = said.removesuffix("+U")
    if name == "GGA" and titles and all(title.startswith("PAW_PBE") for title in titles):
        return "PBE"
    return name


def _spin(components: int) -> str:
    return "collinear" if components == 2 else "none"


def _smearing(kind: int, width: float) -> dict[str, Any]:
    name = SMEARING.get(kind, f"Methfessel-Paxton {kind}" if kind > 0 else f"ISMEAR {kind}")
    return {"type": name, "width_eV": width}


def _dispersion(kind: int, nonlocal_functional: bool) -> str:
    name = DISPERSION.get(kind, f"IVDW {kind}")
    if nonlocal_functional:
        return "nonlocal" if name == "none" else f"nonlocal, {name}"
    return name


def read_outcar(path: Path) -> CodeOutput:
    """Read OUTCAR, which has fewer digits than vasprun.xml.

    Raises:
        InputError: the file is cut off before the first step ends.
    """
    text = path.read_text(errors="replace")
    steps = read_images(path, "vasp-out")
    reached = text.count("aborting loop because EDIFF is reached")
    cut = text.count("aborting loop EDIFF was not reached") or text.count("EDIFF was not reached")
    converged = not cut and reached >= len(steps)
    return CodeOutput(
        method=_outcar_method(text),
        steps=ionic_steps(steps, converged),
        k_mesh=first(r"generate k-points for: +(\d+ +\d+ +\d+)", text, integers, ()),
        k_points=rows(POINT, text.partition(POINTS)[2].partition("\n \n")[0]),
        convergence={"energy_eV": first(r"EDIFF += *([\d.E+-]+)", text, float, None)},
        wall_time=first(r"Elapsed time \(sec\): +([\d.]+)", text, float, None),
    )


def _outcar_method(text: str) -> dict[str, Any]:
    titles = re.findall(r"^ +TITEL += (.+?) *$", text, re.MULTILINE)
    titles = titles or re.findall(r"^ POTCAR: +(.+?) *$", text, re.MULTILINE)
    if not titles:
        raise InputError("it does not say its POTCARs: the file is cut off.")
    for tag in ("LHFCALC", "LDAU", "LMETAGGA"):
        if first(rf"\b{tag} *= *([TF])", text, str, "F") == "T":
            raise InputError(
                f"it has {tag}, whose details an OUTCAR does not tell.",
                hint="Import its vasprun.xml.",
            )
    if first(r"PSTRESS *= *(-?[\d.]+)", text, float, 0.0):
        raise InputError("its energies may hold PSTRESS.", hint="Import its vasprun.xml.")
    lexch = required(r"LEXCH += *(\w+)", text, "the functional (LEXCH)")
    functional = first(r"^ +GGA +=? +([A-Z]\w)", text, str, "--").replace("--", "") or lexch
    tags = {name: first(rf"\b{name} *= *([TF])", text, str, "F") == "T" for name in FLAGS}
    return vasp_method(
        version=required(r"^ *vasp\.(\d+\.\d+\.\d+)", text, "VASP's version"),
        functional=FUNCTIONALS.get(functional, functional),
        settings={
            **tags,
            "ENCUT": float(required(r"ENCUT += +([\d.]+) eV", text, "ENCUT")),
            "ISMEAR": int(required(r"ISMEAR += +(-?\d+)", text, "ISMEAR")),
            "SIGMA": float(required(r"SIGMA += +([\d.]+)", text, "SIGMA")),
            "ISPIN": int(required(r"ISPIN += +(\d)", text, "ISPIN")),
            "IVDW": first(r"IVDW += +(\d+)", text, int, 0),
        },
        titles=list(dict.fromkeys(titles)),
        hashes=re.findall(r"^ +SHA256 += *(\w+)", text, re.MULTILINE),
    )
