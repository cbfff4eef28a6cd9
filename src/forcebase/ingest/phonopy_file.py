"""Phonons from phonopy's YAML files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from forcebase.blob import Blob
from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.ingest.batch import Batch
from forcebase.ingest.born_charges import with_response
from forcebase.ingest.codes.code_output import (
    CodeOutput,
    Steps,
    energies_of,
    mesh_spacing,
    output_batch,
)
from forcebase.ingest.described_method import Described
from forcebase.ingest.description import FileDescription, describe
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.outputs import phonon_record
from forcebase.ingest.phonopy_forces import (
    DisplacedCell,
    complete_with_forces,
    displaced_cells,
    same_cell,
    supercells_with_forces,
)
from forcebase.ingest.phonopy_protocol import protocol_of
from forcebase.ingest.reasons import in_words
from forcebase.physics.force_fit import ForceFit, force_fit
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.phonopy_contents import from_phonopy_contents, read_phonopy_contents
from forcebase.physics.phonopy_units import PhonopyUnits
from forcebase.physics.stability import instability
from forcebase.records import Calculation, Phonon, Structure
from forcebase.safety.ase_files import read_cell
from forcebase.safety.files import below

NOT_APPLIED = (
    "its Born charges and dielectric tensor are kept and not applied: the non-analytical term is "
    "that of a crystal in three dimensions, and this one is not"
)
NEAR_COPIES = 0.025
"""angstrom; random displacements up to this are copies of one cell as far as splits go."""
ALIKE = ("k_rule", "potentials", "plus_u", "charge", "code_version")
"""What the runs of one phonon must have alike."""


def read_phonopy(path: Path, options: ImportOptions | None = None) -> Batch:
    """Turn a phonopy file with forces or force constants into a phonon record.

    Raises:
        InputError: the file cannot be read, or has neither forces nor force constants.
    """
    options = options or ImportOptions()
    loaded = _load(path)
    crystal, contents, runs = loaded.crystal, loaded.contents, loaded.runs
    description = _description(path, options, runs)
    atoms = Atoms(crystal.numbers, crystal.positions, cell=crystal.cell, pbc=True)
    structure = Structure.from_atoms(atoms, kind=description.kind)
    arrays = Blob.from_arrays(force_constants=crystal.force_constants)
    phonon = phonon_record(
        structure,
        description.method,
        crystal.supercell_matrix,
        crystal.primitive_matrix,
        crystal.masses,
        arrays,
        protocol_of(contents, loaded.fit, description.protocol),
        response=crystal.response,
        response_from=loaded.response_from,
        moments=crystal.moments,
        relaxation=description.relaxation,
        defect=_defect(path, description.defect),
        findings=_findings(loaded),
    )
    batch = Batch(
        blobs=[arrays.data],
        methods=[description.method],
        structures=[structure],
        phonons=[phonon],
        tags=[(tag, "phonons", phonon.id) for tag in description.tags],
        displaced_cells=supercells_with_forces(contents),
    )
    _add_displaced(batch, structure, description, loaded, options.k_spacing)
    return batch


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A phonopy file with what is beside it.

    Attributes:
        crystal: that it makes.
        contents: all that it holds, forces from beside it put in.
        runs: of VASP, that tell its method.
        fit: of the force constants to the forces.
        response_from: the file that told the Born charges.
    """

    crystal: HarmonicCrystal
    contents: Any
    runs: list[CodeOutput]
    fit: ForceFit | None
    response_from: str


def _findings(loaded: _Loaded) -> list[str]:
    crystal = loaded.crystal
    found = [
        instability(crystal),
        crystal.symmetry.finding(),
        loaded.fit.finding() if loaded.fit is not None else None,
        crystal.response.finding() if crystal.response is not None else None,
        NOT_APPLIED if crystal.response is not None and not crystal.is_bulk else None,
    ]
    return [finding for finding in found if finding]


def _description(path: Path, options: ImportOptions, runs: list[CodeOutput]) -> FileDescription:
    """What is said of the file; sets of vasprun.xml say their method themselves.

    Raises:
        InputError: the runs are of several methods, or did not converge.
    """
    if not runs:
        return describe(path, options.description)
    found = {
        method.id: method
        for run in runs
        for method in output_batch(run, Steps.LAST, options.k_spacing).methods
    }
    if len(found) > 1:
        raise InputError(
            f"{path.name}: the vasprun.xml files beside it are of {len(found)} methods.",
            hint="Forces of one phonon must be of one set-up.",
        )
    if not all(run.steps[-1].converged for run in runs):
        raise InputError(f"{path.name}: a vasprun.xml beside it did not converge.")
    (method,) = found.values()
    given = [_given(run, options.k_spacing) for run in runs]
    unlike = [key for key in ALIKE if any(one[key] != given[0][key] for one in given)]
    if unlike:
        raise InputError(
            f"{path.name}: the vasprun.xml files beside it differ in {', '.join(unlike)}.",
            hint="Forces of one phonon must be of one set-up.",
        )
    return FileDescription(
        described=Described(method, {key: given[0][key] for key in ALIKE}),
        convergence=runs[0].convergence,
    )


def _given(run: CodeOutput, k_spacing: float | None) -> dict[str, Any]:
    """What the calculation of a run keeps of what its method's rules gave."""
    (calculation,) = output_batch(run, Steps.LAST, k_spacing).calculations
    names = (*Calculation.GIVEN, "charge", "code_version", "libxc_version", "findings")
    return {name: getattr(calculation, name) for name in names}


def _add_displaced(
    batch: Batch,
    structure: Structure,
    description: FileDescription,
    loaded: _Loaded,
    k_spacing: float | None,
) -> None:
    """Displaced supercells with energies become calculations.

    They are of the unit cell's family, but for random displacements of all atoms by more than
    `NEAR_COPIES`: each of these is a draw of its own, as those of a rattled cell are.
    """
    contents, runs, fit = loaded.contents, loaded.runs, loaded.fit
    apart = fit is not None and fit.is_random and fit.amplitude > NEAR_COPIES
    cells = [
        DisplacedCell(step.atoms, energies_of(run, step), step.forces, step.stress)
        for run, step in ((run, run.steps[-1]) for run in runs)
    ] or list(displaced_cells(contents))
    given = [_given(run, k_spacing) for run in runs] or [{}] * len(cells)
    for cell, own in zip(cells, given, strict=True):
        displaced = Structure.from_atoms(
            cell.atoms,
            family="" if apart else structure.family,
            kind="phonon-displacement",
            recipe={"operation": "displacement", "parent": structure.id},
        )
        batch.structures.append(displaced)
        batch.calculations.append(
            Calculation.of(
                displaced,
                description.method,
                **cell.energies,
                forces=cell.forces,
                stress=cell.stress,
                k_mesh=(mesh := list(runs[0].k_mesh if runs else description.k_mesh)),
                k_spacing=mesh_spacing(cell.atoms, mesh),
                convergence=description.convergence,
                **description.described.fields(displaced.elements, own),
            )
        )


def _defect(path: Path, described: dict[str, Any]) -> dict[str, Any]:
    """The defect with its host's structure id in place of the file that the host is in."""
    if not described:
        return {}
    fields = ("name", "changes", "centre", "supercell_matrix", "host_file")
    lacking = [name for name in fields if name not in described]
    name = str(described.get("host_file"))
    host = below(path.parent, name, "The host's file", within=path.parent.parent)
    if lacking or not host.is_file():
        raise InputError(
            f"The defect of {path.name} lacks {', '.join(lacking) or f'its host: no file {host}'}.",
            hint="data/wse2_gpaw_vacancy/method.yaml is an example.",
        )
    kept = {name: described[name] for name in fields[:-1]}
    return {**kept, "host": Structure.geometry_id(read_cell(host))}


def link_displaced(db: Database, batch: Batch) -> None:
    """Link each phonon of a batch to the calculations of its displaced supercells.

    They are those that came with it, else those that the database knows of its very cells.
    """
    for phonon in batch.phonons:
        structure = next(s for s in batch.structures if s.id == phonon.structure)
        own = [calculation.id for calculation in batch.calculations]
        for calculation in own or _displaced(db, phonon, structure, batch.displaced_cells):
            phonon.made_from("displaced supercell", "calculations", calculation)


def _displaced(
    db: Database, phonon: Phonon, structure: Structure, displaced: list[Atoms]
) -> list[str]:
    """Ids of its displaced supercells' calculations that are in the database already.

    They are of the unit cell's family, in the phonon's supercell, by its method.
    """
    if not displaced:
        return []
    candidates = db.structures.find(family=structure.family, n_atoms=phonon.n_atoms_supercell)
    cells = [
        candidate.id
        for candidate in candidates
        if any(same_cell(candidate.to_atoms(), cell) for cell in displaced)
    ]
    found = db.calculations.find(method=phonon.method, structure=cells, sort="id")
    return [calculation.id for calculation in found]


def _load(path: Path) -> _Loaded:
    """The crystal, and all that the file and those beside it tell."""
    try:
        contents = read_phonopy_contents(path)
        runs = complete_with_forces(contents, path)
        units = PhonopyUnits.of(contents.calculator)
        crystal, source = with_response(from_phonopy_contents(contents), path, units)
        fit = force_fit(crystal, contents.dataset or {})
        return _Loaded(crystal, contents, runs, fit, source)
    except InputError as error:
        if path.name in error.message:
            raise
        raise InputError(f"{path.name}: {error.message}", hint=error.hint) from None
    except Exception as error:
        raise InputError(f"{path.name} cannot be read by phonopy: {in_words(error)}") from None
