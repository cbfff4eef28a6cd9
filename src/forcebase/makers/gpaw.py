"""GPAW as an atomate2 static maker, with a document that says all that was done."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from atomate2.ase.jobs import AseRelaxMaker
from atomate2.ase.schemas import AseResult, AseStructureTaskDoc, AseTaskDoc
from jobflow import job
from pydantic import Field
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.bounds import Bounds, check_bounds
from forcebase.errors import CalculationError, InputError, MissingDependencyError
from forcebase.physics.periodicity import kpoint_mesh, vacuum_axes

if TYPE_CHECKING:
    from ase import Atoms

NEUTRAL = frozenset({"eigensolver", "maxiter", "mixer", "nbands", "parallel", "random"})
"""GPAW parameters that change the way to the answer, not the answer."""
MESH_RULE = "Gamma-centred, ceil(|b| / spacing), 1 along vacuum"
RANGES = {
    "cutoff": Bounds(10, 10_000),
    "k_spacing": Bounds(0, 10, above=True),
    "smearing_width": Bounds(0, 5),
    "force_tolerance": Bounds(0, 1, above=True),
    "density_tolerance": Bounds(0, 1, above=True),
}


class GPAWTaskDocument(AseStructureTaskDoc):
    """A static GPAW calculation: atomate2's document, and what it leaves out.

    Energies, forces and stress stand here in the units, signs and precision of ASE;
    `output.stress` is in kbar with the sign turned, as everywhere in atomate2.
    """

    code: Literal["gpaw"] = "gpaw"
    code_version: str
    method: dict[str, Any] = Field(description="rules that change the answers, see dft_method")
    given: dict[str, Any] = Field(description="what they gave for this structure")
    calculator_parameters: dict[str, Any] = Field(description="as given to GPAW")
    setups: dict[str, dict[str, str]] = Field(description="symbol -> PAW data set, fingerprint")
    xc: str
    libxc_version: str
    cutoff: float = Field(description="plane-wave cutoff, eV")
    k_mesh: tuple[int, int, int] = Field(description="Gamma-centred mesh actually used")
    n_k_points: int = Field(description="irreducible k-points")
    k_spacing: float = Field(description="1/angstrom, 2 pi included")
    smearing_width: float = Field(description="Fermi-Dirac width, eV")
    spin_polarized: bool
    energy: float = Field(description="extrapolated to zero width, eV")
    free_energy: float = Field(description="consistent with the forces, eV")
    forces: list[list[float]] = Field(description="(n, 3) eV/angstrom")
    stress: list[float] = Field(description="(6,) eV/angstrom^3, xx yy zz yz xz xy, tension +")
    converged: bool
    n_iterations: int = Field(description="SCF iterations")
    convergence: dict[str, float] = Field(description="criteria asked for")
    scf_criteria: dict[str, dict[str, Any]] = Field(description="criteria in force, GPAW's names")
    wall_time: float = Field(description="s")
    n_cores: int


def dft_method(*, functional: str, cutoff: float, smearing_width: float) -> dict[str, Any]:
    """Describe a GPAW method: the rules that change its answers.

    Calculations of equal description may stand in one data set.

    Args:
        functional: as "PBE".
        cutoff: of the plane waves, eV.
        smearing_width: Fermi-Dirac, eV.
    """
    return {
        "code": "gpaw",
        "functional": functional,
        "functional_parameters": {},
        "basis": {"type": "plane waves", "cutoff_eV": cutoff},
        "pseudopotentials": {"type": "PAW", "library": "gpaw-data"},
        "smearing": {"type": "Fermi-Dirac", "width_eV": smearing_width},
        "spin": "none",
        "dispersion": "none",
        "dispersion_parameters": {},
        "spin_orbit": False,
        "plus_u": {},
        "corrections": {},
        "settings": {},
    }


def _potentials(setups: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    library = f"gpaw-data {version('gpaw-data')}"
    return {
        symbol: {
            "name": setup["file"].removesuffix(".gz"),
            "hash": setup["fingerprint"],
            "library": library,
        }
        for symbol, setup in setups.items()
    }


@dataclass
class GPAWStaticMaker(AseRelaxMaker):
    """Energy, forces and stress of a structure with GPAW, plane waves, not spin-polarised.

    Takes the place of any static maker of atomate2. The defaults are those of the WSe2 data that
    comes with the project.

    Attributes:
        name: of the job.
        cutoff: of the plane waves, eV.
        xc: exchange-correlation functional.
        k_spacing: largest distance of k-points, 1/angstrom (2 pi included); the mesh is
            Gamma-centred, with one point along a vacuum axis.
        smearing_width: of the Fermi-Dirac occupations, eV.
        force_tolerance: change of the forces at convergence, eV/angstrom.
        density_tolerance: change of the density at convergence, electrons per valence electron.
        calculator_kwargs: further GPAW parameters, of those that leave the method as it is.
        text: file for GPAW's own text output, in the folder of the job.
    """

    name: str = "GPAW static"
    relax_cell: bool = False
    steps: int = 1
    ionic_step_data: tuple[str, ...] | None = None
    relax_kwargs: dict = field(default_factory=lambda: {"final_atoms_object_file": None})
    cutoff: float = 350.0
    xc: str = "PBE"
    k_spacing: float = 0.38
    smearing_width: float = 0.01
    force_tolerance: float = 1e-3
    density_tolerance: float = 1e-5
    text: str = "gpaw.txt"

    def __post_init__(self) -> None:
        """Refuse parameters that would make another method under the same description."""
        self._calculator: Any = None
        check_bounds(self, RANGES)
        foreign = sorted(set(self.calculator_kwargs) - NEUTRAL)
        if foreign:
            raise InputError(
                f"calculator_kwargs of {type(self).__name__} cannot hold {', '.join(foreign)}.",
                hint=f"Use the maker's own fields; allowed here: {', '.join(sorted(NEUTRAL))}.",
            )

    @property
    def calculator(self) -> Any:
        """GPAW with the mesh of this structure; atomate2 before 0.1.3 has none to inherit."""
        return self._calculator

    @job(output_schema=GPAWTaskDocument)
    def make(self, structure: Structure, prev_dir: str | Path | None = None) -> GPAWTaskDocument:
        """Calculate one structure.

        Args:
            structure: pymatgen's.
            prev_dir: not used; every static maker has it.

        Raises:
            CalculationError: the self-consistent field did not converge.
            MissingDependencyError: GPAW, or a library that it needs, is not installed.
        """
        mesh = self.k_mesh(AseAtomsAdaptor.get_atoms(structure))
        self._calculator = self._gpaw(mesh)
        start = time.perf_counter()
        result = self._converge(structure, prev_dir)
        seconds = time.perf_counter() - start
        task = AseTaskDoc.from_ase_compatible_result(
            "gpaw",
            result,
            self.steps,
            relax_cell=self.relax_cell,
            ionic_step_data=self.ionic_step_data,
            tags=self.tags,
        )
        # atomate2 keeps a static's structure three times, wrapped and with all labels again;
        # the one that was asked for says the same.
        task.mol_or_struct = structure
        task.input.mol_or_struct = task.output.mol_or_struct = None
        found, told = _found(self._calculator), self._described()
        return GPAWTaskDocument.from_ase_task_doc(
            task,
            **told,
            **found,
            given={
                "code_version": told["code_version"],
                "libxc_version": told["libxc_version"],
                "potentials": _potentials(found["setups"]),
                "charge": 0.0,
                "k_rule": {"rule": MESH_RULE, "spacing_per_A": self.k_spacing},
            },
            k_mesh=mesh,
            wall_time=seconds,
        )

    def k_mesh(self, atoms: Atoms) -> tuple[int, int, int]:
        """Mesh for these atoms by the k-spacing; one point along a vacuum axis."""
        cell = atoms.cell.array
        n1, n2, n3 = kpoint_mesh(cell, self.k_spacing, vacuum_axes(cell, atoms.positions))
        return int(n1), int(n2), int(n3)

    def parameters(self, mesh: tuple[int, int, int]) -> dict[str, Any]:
        """GPAW's input parameters for a k-mesh."""
        return {
            "mode": {"name": "pw", "ecut": self.cutoff},
            "xc": self.xc,
            "kpts": {"size": mesh, "gamma": True},
            "occupations": {"name": "fermi-dirac", "width": self.smearing_width},
            "spinpol": False,
            "convergence": {"forces": self.force_tolerance, "density": self.density_tolerance},
            **self.calculator_kwargs,
        }

    def check_requirements(self) -> None:
        """Import GPAW, with the libraries that it needs.

        Raises:
            MissingDependencyError: it cannot be imported.
        """
        try:
            import gpaw  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                f"GPAW cannot be used here: {error}.",
                hint="Debian packages libxc-dev libopenblas-dev libopenmpi-dev, then "
                "`pip install 'forcebase[dft]'`.",
            ) from None

    def _gpaw(self, mesh: tuple[int, int, int]) -> Any:
        self.check_requirements()
        from gpaw import GPAW

        return GPAW(**self.parameters(mesh), txt=self.text)

    def _converge(self, structure: Structure, prev_dir: str | Path | None) -> AseResult:
        from gpaw import KohnShamConvergenceError

        try:
            return self.run_ase(structure, prev_dir=prev_dir)
        except KohnShamConvergenceError:
            n = int(self.calculator.dft.scf_loop.niter)
            raise CalculationError(
                f"GPAW did not converge {structure.composition.formula} in {n} iterations.",
                hint="Look at the structure, or give calculator_kwargs={'maxiter': ...}.",
                converged=False,
                n_iterations=n,
            ) from None

    def _described(self) -> dict[str, Any]:
        from gpaw import cgpaw

        libxc_version = str(cgpaw.libxc_version)
        return {
            "code_version": version("gpaw"),
            "libxc_version": libxc_version,
            "method": dft_method(
                functional=self.xc, cutoff=self.cutoff, smearing_width=self.smearing_width
            ),
            "xc": self.xc,
            "cutoff": self.cutoff,
            "k_spacing": self.k_spacing,
            "smearing_width": self.smearing_width,
            "spin_polarized": False,
            "convergence": {
                "forces_eV_per_A": self.force_tolerance,
                "density_per_electron": self.density_tolerance,
            },
        }


def _found(calculator: Any) -> dict[str, Any]:
    """What a converged GPAW calculator knows of its calculation."""
    results, dft = calculator.results, calculator.dft
    return {
        "energy": float(results["energy"]),
        "free_energy": float(results["free_energy"]),
        "forces": results["forces"].tolist(),
        "stress": results["stress"].tolist(),
        "converged": True,
        "n_iterations": int(dft.scf_loop.niter),
        "scf_criteria": {
            name: {key: _plain(value) for key, value in criterion.todict().items()}
            for name, criterion in dft.scf_loop.convergence.items()
        },
        "n_k_points": len(calculator.get_ibz_k_points()),
        "calculator_parameters": calculator.params.todict(),
        "setups": {
            setup.symbol: {"file": Path(setup.filename).name, "fingerprint": setup.fingerprint}
            for setup in dft.setups.setups.values()
        },
        "n_cores": int(calculator.comm.size),
    }


def _plain(value: Any) -> Any:
    """JSON has no infinity; GPAW says it where a criterion does not apply."""
    return None if value == float("inf") else value
