"""CP2K: main output and the trajectories beside it, by pymatgen and ASE."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Bohr, GPa, Hartree, bar, kB
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.ingest.atoms import plain_atoms
from forcebase.ingest.codes.code_output import FREE_ENERGY, CodeOutput, IonicStep
from forcebase.ingest.codes.cp2k_input import element, flattened, hubbard_terms, keyword, kinds
from forcebase.ingest.codes.harmless import is_harmless
from forcebase.ingest.codes.telling import telling
from forcebase.ingest.codes.text import first, integers, required, rows
from forcebase.ingest.codes.version_breaks import era
from forcebase.safety.ase_files import check_frames, read_images
from forcebase.safety.files import read_unpacked
from forcebase.safety.limits import TEXT_BYTES
from forcebase.units import voigt

GPW = r"QS\| Method: +(\S+)"
FLOAT = r" +(-?\d+\.\d+)"
VECTOR = rf"CELL(?:_TOP)?\| Vector [abc] \[angstrom\]?:?{FLOAT}{FLOAT}{FLOAT} +\|[abc]\| ={FLOAT}"
DIRECTIVE = re.compile(r"@(?:INCLUDE +['\"]?[\w.-]+['\"]?|SET +\w+ +[\w.+-]+)", re.IGNORECASE)
"""Of CP2K's preprocessor, what pymatgen may follow: it opens the files that are named."""
FIELD = re.compile(
    r"/(EFIELD|PERIODIC_EFIELD|EXTERNAL_POTENTIAL|SCRF|SCCS|POISSON|DENSITY_FITTING|SURFACE_DIPOLE\w*"
    r"|SURF_DIP_DIR|SURF_DIP_POS)\b",
    re.IGNORECASE,
)
DEFAULTS = {
    "force_eval/dft/qs/eps_default": 1e-10,
    "force_eval/dft/poisson/periodic": "xyz",
    "force_eval/dft/poisson/poisson_solver": "periodic",
    "force_eval/dft/mgrid/ngrids": 4.0,
    "force_eval/dft/xc/density_cutoff": 1e-10,
    "force_eval/dft/xc/gradient_cutoff": 1e-10,
    "force_eval/dft/xc/tau_cutoff": 1e-10,
    "force_eval/dft/xc/xc_functional/pbe/parametrization": "orig",
    "force_eval/dft/xc/xc_functional/pbe/scale_x": 1.0,
    "force_eval/dft/xc/xc_functional/pbe/scale_c": 1.0,
}
"""CP2K's own values."""
STATIC = ("ENERGY", "ENERGY_FORCE")
TABLE = re.compile(r"Atom\s+Kind\s+Element\s+X\s+Y\s+Z\s+Z\(eff\)\s+Mass")
"""Head of the table of atoms, as pymatgen looks for it."""
POINT = r"^ BRILLOUIN\| +\d+ +([\d.]+) +(-?[\d.]+) +(-?[\d.]+) +(-?[\d.]+)"


def read_cp2k_text(path: Path) -> CodeOutput:
    """Read a static calculation, or a run whose positions and forces lie beside its output.

    CP2K prints a stress that is positive under compression; here it is turned. With smearing,
    energies are free energies. The lattice is the input's, which must lie beside the output, or
    of the run's .cell file.

    Raises:
        InputError: no forces were printed, some are held at zero, the input is not beside it,
            or the files of positions and forces are missing or of another run.
    """
    text = path.read_text(errors="replace")
    if "ENERGY| Total FORCE_EVAL" not in text:  # pymatgen would look for ever
        raise InputError("it is cut off before its first energy.")
    _require_table(text)
    run = _opened(path)
    if not run.input:
        raise InputError(
            "it prints its cell with three decimals only, and its input is not beside it.",
            hint="Keep the input file beside the output, under the name that the output gives.",
        )
    _require_ground_state(run.input)
    if run.input.check("MOTION/CONSTRAINT"):
        raise InputError(
            "it has constraints, and CP2K prints no forces of what they hold.",
            hint="Compute the labels of its geometry without MOTION/CONSTRAINT.",
        )
    run.parse_initial_structure()
    _check_lattice(run, text)
    run.parse_global_params()
    run.parse_dft_params()
    run.parse_energies()
    run.parse_forces()
    run.parse_stresses()
    kind = str(run.data["global"].get("Run_type", "")).upper()
    converged = [_converged(part) for part in text.split("ENERGY| Total FORCE_EVAL")[:-1]]
    steps = _static(run, converged) if kind in STATIC else _trajectory(run, path, converged)
    version = required(r"CP2K\| version string: +CP2K version (\S+)", text, "CP2K's version")
    method = _method(run, text, version)
    if steps and method["spin"] != "none":
        steps[-1] = replace(steps[-1], moments=_site_moments(text, len(steps[-1].atoms)))
    return CodeOutput(
        method=method,
        steps=steps,
        k_mesh=_mesh(text),
        k_points=rows(POINT, text),
        k_shift=_shift(text),
        convergence={"scf": first(r"eps_scf: +([\d.E+-]+)", text, float, None)},
        wall_time=first(r"^ CP2K +1 +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +([\d.]+)$", text, float, None),
        code_version=version,
        potentials=_potentials(run),
        plus_u=hubbard_terms(run.input),
        charge=first(r"DFT\| Charge +(-?\d+)", text, float, 0.0),
        asked_moments=_asked_moments(run, steps) if method["spin"] != "none" else None,
        asked_total=_held_total(text) if method["spin"] != "none" else None,
        found_total=None,
    )


def _require_table(text: str) -> None:
    """Refuse an output without its table of atoms: pymatgen looks for it, and its rows, for ever.

    Raises:
        InputError: there is none, or there are fewer lines than atoms.
    """
    lines = text.split("\n")
    n = first(r"- Atoms:\s+(\d+)", text, int, 0)
    if n > len(lines) or not any(TABLE.search(line) for line in lines):
        raise InputError("its table of atomic coordinates is not there, or is broken.")


def _require_ground_state(asked: Any) -> None:
    """Refuse what is not a self-consistent ground state.

    Raises:
        InputError: it is a run of a band, of GW or of excitations.
    """
    kind = str(keyword(asked, "GLOBAL/RUN_TYPE") or "").upper()
    if kind in ("BAND", "NEB"):
        raise InputError("it is of images of a band: their forces hold the band's springs.")
    names = {path.lower() for path, _ in flattened(asked)}
    if any("/xc/wf_correlation/" in name or "/ri_rpa/gw" in name for name in names):
        raise InputError(
            "it is of wave function correlation (RPA, GW, MP2): its labels are not DFT's."
        )


def _potentials(run: Any) -> dict[str, dict[str, Any]]:
    """Symbol -> its potential's and its basis set's names, as CP2K says them of each kind."""
    run.parse_atomic_kind_info()
    asked = kinds(run.input)
    return {
        element(name, asked.get(name, {})): {
            "name": str(kind["pseudo_potential"]),
            "basis": str(kind["orbital_basis_set"]),
        }
        for name, kind in run.data["atomic_kind_info"].items()
    }


def _asked_moments(run: Any, steps: list[IonicStep]) -> NDArray[np.float64] | None:
    """(n,) muB of the KINDs' MAGNETIZATION; None where none has one."""
    asked = kinds(run.input)
    said = {
        n: float(k["MAGNETIZATION"].split()[0]) for n, k in asked.items() if "MAGNETIZATION" in k
    }
    sites = run.initial_structure.sites
    if not said or not steps:
        return None
    names = [site.properties.get("name", site.specie.symbol) for site in sites]
    return np.array(
        [
            said.get(str(name), said.get(s.specie.symbol, 0.0))
            for name, s in zip(names, sites, strict=True)
        ]
    )


def _site_moments(text: str, n_atoms: int) -> NDArray[np.float64] | None:
    """(n,) muB of the last Mulliken analysis."""
    table = text.rpartition("Mulliken Population Analysis")[2].partition("Total charge")[0]
    found = re.findall(
        r"^ +\d+ +\w+ +\d+ +-?[\d.]+ +-?[\d.]+ +-?[\d.]+ +(-?[\d.]+) *$", table, re.MULTILINE
    )
    return np.array(found, dtype=float) if len(found) == n_atoms else None


def _held_total(text: str) -> float | None:
    """Electrons up less down, which the multiplicity fixes where nothing is smeared."""
    if "Smear method" in text:
        return None
    multiplicity = first(r"DFT\| Multiplicity +(\d+)", text, int, 0)
    return float(multiplicity - 1) if multiplicity > 0 else None


def _opened(path: Path) -> Any:
    """Pymatgen's reader, which takes the input from beside the output and from nowhere else.

    Raises:
        InputError: the input includes files of other folders, or sets variables of strange names.
    """
    from pymatgen.io.cp2k.inputs import Cp2kInput
    from pymatgen.io.cp2k.outputs import Cp2kOutput

    class Output(Cp2kOutput):
        def parse_input(self) -> None:
            named = self.data["input_filename"]
            if not named:
                return
            beside = path.parent / Path(named[0][0]).name
            found = (beside.with_name(beside.name + end) for end in ("", ".gz", ".bz2"))
            file = next((file for file in found if file.is_file()), None)
            if file is not None:
                _check_directives(read_unpacked(file, TEXT_BYTES).decode(errors="replace"))
                self.input = Cp2kInput.from_file(file)

    return Output(path, auto_load=False)


def _check_directives(text: str) -> None:
    for line in re.findall(r"@(?:include|set).*", text, re.IGNORECASE):
        if not DIRECTIVE.fullmatch(line.strip()):
            raise InputError(
                f"its input has {line.strip()[:60]!r}: only files beside it are included.",
                hint="Write the input out in one file.",
            )


def _converged(text: str) -> bool:
    """Whether the last electronic loop before an energy was; an outer loop ends several."""
    ends = re.findall(r"SCF run(?: NOT)? converged|outer SCF loop (?:converged|FAILED)", text)
    return bool(ends) and "NOT" not in ends[-1] and "FAILED" not in ends[-1]


def _check_lattice(run: Any, text: str) -> None:
    """Pymatgen takes the lattice from the input file beside, else from three printed decimals."""
    rows = np.array(re.findall(VECTOR, text)[:3], dtype=float)
    lattice = run.initial_structure.lattice.matrix
    if len(rows) < 3:
        raise InputError("it does not print its cell.")
    lengths = np.linalg.norm(lattice, axis=1)
    if np.abs(lattice - rows[:, :3]).max() > 6e-4 or np.abs(lengths - rows[:, 3]).max() > 2e-6:
        raise InputError("its cell is not the one of the input file beside it.")


def _static(run: Any, converged: list[bool]) -> list[IonicStep]:
    forces, stress = run.data.get("forces") or [], run.data.get("stress_tensor") or []
    if not forces:
        raise InputError(
            "it has no forces.", hint="Switch on FORCE_EVAL/PRINT/FORCES and run it again."
        )
    return [
        IonicStep(
            atoms=plain_atoms(run.initial_structure),
            energy=float(run.data["total_energy"][-1]),
            forces=np.array(forces[-1], dtype=float) * Hartree / Bohr,
            stress=voigt(-np.array(stress[-1], dtype=float)) * GPa if stress else None,
            converged=bool(converged) and converged[-1],
        )
    ]


def _trajectory(run: Any, path: Path, converged: list[bool]) -> list[IonicStep]:
    """Steps of a relaxation or a molecular dynamics run."""
    positions, cells = run.filenames["trajectory"], run.filenames["cell"]
    if len(positions) != 1 or len(run.filenames["forces"]) != 1:
        raise InputError(
            "it is a run of several steps without its files of positions and forces.",
            hint="Keep PROJECT-pos-1.xyz and PROJECT-frc-1.xyz, of MOTION/PRINT, beside it.",
        )
    images = read_images(Path(positions[0]), "xyz")
    check_frames(Path(run.filenames["forces"][0]))
    n = len(images)
    energies, forces = run.data["total_energy"][-n:], run.data["forces"]
    stress = run.data.get("stress_tensor") or []
    if len(run.filenames["stress"]) != 1 or len(stress) != n:
        stress = [None] * n
    if not (len(energies) == len(forces) == n <= len(converged)):
        raise InputError(
            f"{path.name} has {len(energies)} energies and {len(forces)} sets of forces for "
            f"{n} geometries: its files are not of one run.",
            hint="Print positions and forces at every step.",
        )
    lattice = np.array([run.initial_structure.lattice.matrix] * n)
    if len(cells) == 1:
        lattice = np.loadtxt(cells[0], ndmin=2)[:, 2:11].reshape(-1, 3, 3)
    elif re.search(r"CELL_OPT|NPT", str(run.data["global"].get("Run_type"))):
        raise InputError("its cell changes, and its .cell file is not beside it.")
    return [
        IonicStep(
            atoms=Atoms(image.numbers, image.positions, cell=lattice[i], pbc=True),
            energy=float(energies[i]),
            forces=np.array(forces[i], dtype=float) * Hartree / Bohr,
            stress=None if stress[i] is None else voigt(-np.array(stress[i], dtype=float)) * bar,
            converged=converged[len(converged) - n + i],
            index=i,
        )
        for i, image in enumerate(images)
    ]


def _method(run: Any, text: str, version: str) -> dict[str, Any]:
    cutoff = required(r"QS\| Density cutoff \[a\.u\.\]: +([\d.]+)", text, "the density cutoff")
    relative = first(r"QS\| Relative density cutoff \[a\.u\.\]: +([\d.]+)", text, float, 0.0)
    described = run.data["dft"]
    asked = dict(flattened(run.input))
    fields = {name: value for name, value in asked.items() if FIELD.search(name)}
    exchange = {name: value for name, value in asked.items() if "/XC/HF" in name.upper()}
    vdw = {name: value for name, value in asked.items() if "/XC/VDW_POTENTIAL" in name.upper()}
    functional = {
        name: value
        for name, value in asked.items()
        if "/XC/XC_FUNCTIONAL/" in name.upper() and value.strip()
    }
    among = (*fields, *exchange, *vdw, *functional)
    terms = hubbard_terms(run.input)
    scheme = str(keyword(run.input, "FORCE_EVAL/DFT/PLUS_U_METHOD") or "MULLIKEN").lower()
    parameters = _shortened({**exchange, **functional}, "parameters")
    said = next((v for k, v in parameters.items() if k.endswith(" fraction")), 1.0)
    share = said if exchange else None
    return {
        "code": "cp2k",
        "functional": "+".join(described.get("functional") or ["unknown"]),
        "functional_parameters": {
            **parameters,
            **({"exchange_fraction": float(share)} if share is not None else {}),
        },
        "basis": {
            "type": f"Gaussians and plane waves ({first(GPW, text, str, 'GPW')})",
            "density_cutoff_eV": round(float(cutoff) * Hartree, 6),
            "relative_density_cutoff_eV": round(relative * Hartree, 6),
        },
        "pseudopotentials": {"type": "GTH"},
        "smearing": _smearing(text),
        "spin": "none" if int(described.get("Number_of_spin_states", 1)) == 1 else "collinear",
        "dispersion": _dispersion(text, described),
        "dispersion_parameters": _shortened(vdw, "parameters"),
        "spin_orbit": False,
        "plus_u": {"scheme": scheme} if terms else {},
        "corrections": _shortened(fields),
        "settings": {
            **_shortened({k: v for k, v in asked.items() if k not in among}),
            **era("cp2k", version),
        },
    }


def _shortened(settings: dict[str, str], of: str = "cp2k") -> dict[str, Any]:
    """Those that tell methods apart, by the last parts of their paths."""
    plain_names = {
        k.lower(): v
        for k, v in settings.items()
        if "/PRINT/" not in k.upper() and not is_harmless("cp2k", k)
    }
    found = telling(of, plain_names, DEFAULTS)
    return {re.sub(r"^force_eval/(dft/)?", "", k).replace("/", " "): v for k, v in found.items()}


def _smearing(text: str) -> dict[str, Any]:
    kind = first(r"Smear method: +(\S+)", text, str, "")
    kelvin = first(r"Electronic temperature \[K\]: +([\d.]+)", text, float, 0.0)
    if not kind:
        return {"type": "fixed", "width_eV": 0.0}
    return {"type": kind, "width_eV": kelvin * kB, "energy": FREE_ENERGY}


def _dispersion(text: str, described: dict[str, Any]) -> str:
    if described.get("vdw"):
        return str(described["vdw"])
    return first(r"(DFT-?D\d(?:\(BJ\))?|Grimme D\d)", text, str, "none")


def _mesh(text: str) -> tuple[int, ...]:
    found = first(r"BRILLOUIN\| K-[Pp]oint grid +(\d+ +\d+ +\d+)", text, integers, ())
    return found if found or "BRILLOUIN|" in text else (1, 1, 1)


def _shift(text: str) -> tuple[float, ...]:
    """Monkhorst and Pack's own meshes of even size leave out Gamma."""
    gamma = "MACDONALD" in text.upper()
    return tuple(0.0 if gamma or n % 2 else 0.5 for n in _mesh(text)) or (0.0, 0.0, 0.0)
