"""Documents of atomate2's jobs become records: one set of readers for JobStores and `collect`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.io.vasp.inputs import Kpoints

from forcebase.blob import Blob
from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.ingest.atoms import plain_atoms
from forcebase.ingest.batch import Batch
from forcebase.ingest.codes.code_output import CodeOutput, IonicStep, output_batch
from forcebase.ingest.codes.telling import plain
from forcebase.ingest.codes.vasp_output import k_mesh, potcar_hashes, scf_steps, with_moments
from forcebase.ingest.codes.vasp_run import AtomType, element_of, vasp_fields
from forcebase.ingest.description import read_description
from forcebase.ingest.drawn import with_drawn
from forcebase.ingest.file_kinds import FileKind
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.outputs import READERS, phonon_record
from forcebase.ingest.parsing import parse
from forcebase.ingest.sources import find_sources
from forcebase.ingest.task_documents import drawn_of, is_task_document, task_document_batch
from forcebase.physics.dielectric_response import DielectricResponse
from forcebase.physics.finite_displacement import unit_cell_masses
from forcebase.physics.harmonic_crystal import HarmonicCrystal, bare_phonopy
from forcebase.physics.stability import instability
from forcebase.records import Calculation, Method, ModelMethod, Structure
from forcebase.units import stress_from_kbar_pressure

if TYPE_CHECKING:
    from phonopy import Phonopy

Document = dict[str, Any]


class UnsaidMethodError(InputError):
    """A document is of a known kind, and does not say by which method it was made."""


Reader = Callable[[Database, Document, ImportOptions], Batch]


def document_batch(
    db: Database, document: Document | None, options: ImportOptions | None = None
) -> Batch | None:
    """Turn a job's document into records; None where its output is of no shape that is known.

    Structures have the kind, family and recipe that a labelling flow put beside the job.

    Args:
        db: the database.
        document: of a JobStore, with its heavy parts: `output`, and `metadata` where it has some.
        options: `model` names the model of documents that do not say theirs.

    Raises:
        InputError: the output lacks something, or cannot be used.
        Exception: whatever pymatgen and phonopy make of a foreign document.
    """
    output = (document or {}).get("output")
    if document is None or not isinstance(output, dict):
        return None
    drawn = drawn_of(document)
    if own := READERS.get(str(output.get("forcebase"))):
        return own(db, output)
    if is_task_document(output):
        return task_document_batch(output, drawn)
    reader = _reader(output)
    if reader is None:
        return None
    found = reader(db, {**output, "_metadata": document}, options or ImportOptions())
    return with_drawn(found, drawn)


def _reader(output: Document) -> Reader | None:
    """Which kind of document it is, by the fields that only that kind has."""
    if "force_constants" in output and "supercell_matrix" in output:
        return _phonon
    if "forcefield_name" in output or "ase_calculator_name" in output:
        return _force_field
    if output.get("calcs_reversed"):
        run = output["calcs_reversed"][0]
        return _vasp if "vasp_version" in run else _cp2k if "cp2k_version" in run else None
    return None


def _cp2k(db: Database, output: Document, options: ImportOptions) -> Batch:  # noqa: ARG001
    """The run in the folder that atomate2's document names: it says less than the run.

    Raises:
        InputError: the folder is not here, or holds no output of CP2K that can be read.
    """
    named = str(output.get("dir_name") or output["calcs_reversed"][0].get("dir_name") or "")
    folder = Path(named.rpartition(":")[2])
    if not named or not folder.is_dir():
        raise InputError(
            f"its document does not say all of the method, and its folder {named!r} is not here.",
            hint="Import the folder where it is: `forcebase import FOLDER`.",
        )
    with find_sources([folder]) as found:
        runs = [source for source in found.sources if source.kind is FileKind.CP2K]
        if len(runs) != 1:
            raise InputError(f"its folder {folder} holds {len(runs)} outputs of CP2K.")
        parsed = parse(runs[0], options)
    if parsed.batch is None:
        raise InputError(parsed.reason)
    return parsed.batch


def _vasp(db: Database, output: Document, options: ImportOptions) -> Batch:  # noqa: ARG001
    """emmet's TaskDoc: the labels of its last run's ionic steps, the method of its input."""
    run = output["calcs_reversed"][0]
    asked = run["input"]
    settings = {**(asked.get("parameters") or {}), **(asked.get("incar") or {})}
    if float(settings.get("PSTRESS", 0.0)):
        raise InputError("its energies hold PSTRESS.", hint="Import its vasprun.xml.")
    specs = asked.get("potcar_spec") or []
    family = (asked.get("potcar_type") or ["PAW_PBE"])[0]
    titles = [spec["titel"] for spec in specs] or list(asked.get("potcar") or [])
    titles = [title if " " in title else f"{family} {title}" for title in titles]
    hashes = potcar_hashes(specs) or [None] * len(titles)
    found = plain_atoms(run["output"]["ionic_steps"][-1]["structure"])
    counts = {symbol: found.symbols.count(symbol) for symbol in set(found.symbols)}
    types = [
        AtomType(symbol, counts.get(symbol, 0), None, title, digest)
        for title, digest in zip(titles, hashes, strict=True)
        if (symbol := element_of(title))
    ]
    fields = vasp_fields(
        _with_hubbard(asked, settings, types), asked.get("incar") or {}, types, run["vasp_version"]
    )
    if fields["charge"] is None:
        fields["charge"] = _stated_charge(output, run)
    limit = int(settings.get("NELM", 60))
    learns = plain(settings.get("ML_LMLFF", False)) is True
    steps = [
        IonicStep(
            atoms=plain_atoms(step["structure"]),
            energy=float(step["e_0_energy"]),
            forces=np.array(step["forces"], dtype=float),
            stress=stress_from_kbar_pressure(step["stress"]) if step.get("stress") else None,
            converged=scf_steps(step.get("electronic_steps") or (), settings) < limit,
            index=index,
            free_energy=None if step.get("e_fr_energy") is None else float(step["e_fr_energy"]),
        )
        for index, step in enumerate(run["output"]["ionic_steps"])
        if step.get("forces") is not None and (step.get("electronic_steps") or not learns)
    ]
    points = Kpoints.from_dict(asked["kpoints"]) if asked.get("kpoints") else None
    mesh, shift = k_mesh(points)
    told = [[settings["KSPACING"]]] if settings.get("KSPACING") else []
    named = list(points.kpts) if points is not None else told
    found_run = CodeOutput(
        steps=_with_site_moments(steps, output),
        found_total=_number(run["output"].get("magnetization")),
        k_mesh=mesh,
        k_shift=shift,
        k_points=named,
        **fields,
    )
    return output_batch(found_run, options.steps, options.k_spacing)


def _stated_charge(output: Document, run: Document) -> float | None:
    """Of the structure, which atomate2 makes NELECT from; None where it does not say one."""
    for place in (output.get("structure"), run["output"].get("structure"), output.get("input")):
        structure = place.get("structure", place) if isinstance(place, dict) else None
        charge = structure.get("charge") if isinstance(structure, dict) else None
        if charge is not None:
            return float(charge)
    return None


def _with_site_moments(steps: list[IonicStep], output: Document) -> list[IonicStep]:
    """The last step with the moments that emmet keeps with the final structure's sites."""
    geometry = output.get("structure") or {}
    sites = geometry.get("sites", []) if isinstance(geometry, dict) else []
    moments = [(site.get("properties") or {}).get("magmom") for site in sites]
    if not steps or len(moments) != len(steps[-1].atoms) or any(m is None for m in moments):
        return steps
    return with_moments(steps, [np.array(moments, dtype=float)])


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _with_hubbard(asked: Document, settings: Document, types: list[AtomType]) -> Document:
    """Settings whose Hubbard terms are as VASP wrote them for each POTCAR.

    Raises:
        InputError: they are on, and the document does not say them.
    """
    if not (asked.get("is_hubbard") or settings.get("LDAU")):
        return settings
    if isinstance(settings.get("LDAUU"), (list, tuple)):
        return {**settings, "LDAU": True}
    if not asked.get("hubbards"):
        raise InputError("it has Hubbard terms that it does not tell.", hint="Import its run.")
    values = [float(asked["hubbards"].get(kind.symbol, 0.0)) for kind in types]
    return {**settings, "LDAU": True, "LDAUU": values}


def _force_field(db: Database, output: Document, options: ImportOptions) -> Batch:
    """atomate2's force field and ASE documents: the labels of the last geometry."""
    model = _model(db, output, options)
    found = output["output"]
    geometry = found.get("structure") or found.get("mol_or_struct") or output.get("structure")
    if geometry is None or found.get("forces") is None:
        raise InputError("it holds no structure with forces.")
    structure = Structure.from_atoms(plain_atoms(geometry))
    stress = found.get("stress")
    calculation = Calculation.of(
        structure,
        model,
        energy=float(found["energy"]),
        forces=found["forces"],
        stress=None if stress is None else stress_from_kbar_pressure(stress),
        converged=output.get("is_force_converged") is not False,
    )
    return Batch(structures=[structure], calculations=[calculation])


def _model(db: Database, output: Document, options: ImportOptions) -> ModelMethod:
    """The model that is asked for, or that of the weights which the labelling flow named.

    Raises:
        InputError: neither is said, or no model or several have these weights.
    """
    if options.model:
        return db.require_model(options.model)
    weights = drawn_of(output["_metadata"]).get("weights") or {}
    if not weights.get("sha256"):
        raise UnsaidMethodError(
            f"a document of {output.get('forcefield_name') or output.get('ase_calculator_name')} "
            "does not say which weights made it.",
            hint="Give --model with the model that is in the database.",
        )
    asked = {"weights": weights["sha256"]}
    asked |= {name: weights[name] for name in ("dtype", "head") if weights.get(name)}
    found = [method for method in db.methods.find(asked) if isinstance(method, ModelMethod)]
    if len(found) != 1:
        raise InputError(
            f"{len(found) or 'no'} models of the database have its weights "
            f"{weights['sha256'][:10]}.",
            hint="`forcebase model add` adds the file that the job used; import the JobStore with "
            "--model where several models share it.",
        )
    return found[0]


def _phonon(db: Database, output: Document, options: ImportOptions) -> Batch:
    """atomate2's phonon document; it does not say its method: a model's or a method.yaml's."""
    method: Method
    if options.model:
        method = db.require_model(options.model)
    elif options.description:
        method = read_description(options.description, "the JobStore", listed=False).method
    else:
        raise UnsaidMethodError(
            f"a phonon document of {output.get('code') or 'unknown code'} does not say its method.",
            hint="Give --model, or --method with a method.yaml.",
        )
    atoms = plain_atoms(output["structure"])
    constants: Any = output["force_constants"]
    constants = constants["force_constants"] if isinstance(constants, dict) else constants
    made = bare_phonopy(
        atoms.numbers,
        atoms.cell.array,
        atoms.positions,
        unit_cell_masses(atoms),
        np.array(output["supercell_matrix"], dtype=np.int64),
        np.array(output["primitive_matrix"], dtype=float),
    )
    made.force_constants = np.array(constants, dtype=float)
    crystal = HarmonicCrystal.from_phonopy(made)
    response = _response(output, made)
    findings = [
        instability(crystal),
        crystal.symmetry.finding(),
        None if response is None else response.finding(),
    ]
    arrays = Blob.from_arrays(force_constants=crystal.force_constants)
    structure = Structure.from_atoms(atoms)
    phonon = phonon_record(
        structure,
        method,
        crystal.supercell_matrix,
        crystal.primitive_matrix,
        crystal.masses,
        arrays,
        {"code": str(output.get("code") or "unknown"), "document": "atomate2"},
        response=response,
        response_from="" if response is None else "the document",
        findings=[finding for finding in findings if finding],
    )
    return Batch(
        blobs=[arrays.data],
        structures=[structure],
        methods=[] if method.is_model else [method],
        phonons=[phonon],
    )


def _response(output: Document, made: Phonopy) -> DielectricResponse | None:
    """Born charges of the document, which are of the unit cell's atoms or the primitive ones."""
    if not output.get("born") or not output.get("epsilon_static"):
        return None
    born = np.array(output["born"], dtype=float)
    found = DielectricResponse(born, np.array(output["epsilon_static"], dtype=float))
    if len(born) == len(made.primitive):
        return found
    if len(born) != len(made.unitcell):
        raise InputError(
            f"it has Born charges of {len(born)} atoms, and {len(made.primitive)} in its "
            "primitive cell."
        )
    repeats = len(made.supercell) // len(made.unitcell)
    return found.of_atoms(np.array(made.primitive.p2s_map) // repeats)
