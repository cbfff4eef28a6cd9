"""Task documents of other people's jobflow JobStores become records that point back at them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jobflow import JobStore
from pymatgen.io.vasp.inputs import Kpoints
from pymongo.errors import PyMongoError

from forcebase.blob import Blob
from forcebase.database.acts import done_among
from forcebase.database.database import Database
from forcebase.digest import bytes_digest, content_digest
from forcebase.errors import DatabaseError, ForcebaseError, InputError
from forcebase.ingest.atoms import plain_atoms
from forcebase.ingest.batch import Batch
from forcebase.ingest.codes.code_output import CodeOutput, IonicStep, output_batch
from forcebase.ingest.codes.vasp_output import (
    k_mesh,
    potcar_hashes,
    scf_steps,
    with_moments,
)
from forcebase.ingest.codes.vasp_run import AtomType, element_of, vasp_fields
from forcebase.ingest.description import read_description
from forcebase.ingest.import_report import ImportReport
from forcebase.ingest.label_checks import check_labels
from forcebase.ingest.options import EDITION, ImportOptions
from forcebase.ingest.outputs import phonon_record
from forcebase.ingest.renewal import link_renewed
from forcebase.ingest.store_files import open_store
from forcebase.ingest.task_documents import drawn_of, is_task_document, task_document_batch
from forcebase.physics.dielectric_response import DielectricResponse
from forcebase.physics.finite_displacement import unit_cell_masses
from forcebase.physics.harmonic_crystal import HarmonicCrystal, bare_phonopy
from forcebase.physics.stability import instability
from forcebase.records import Activity, Calculation, Method, Structure
from forcebase.safety.limits import bounded
from forcebase.units import stress_from_kbar_pressure

if TYPE_CHECKING:
    from phonopy import Phonopy

Document = dict[str, Any]
Reader = Callable[[Database, Document, ImportOptions], Batch]
NO_JOB = "it is of no job: it needs a text as uuid and a whole number as index."
LONGEST_NAME = 200


def import_job_store(
    db: Database, path: Path, options: ImportOptions, report: ImportReport
) -> None:
    """Turn every finished task document of known kind into records, each with its own activity.

    A document is not read again when its job (uuid, index, store) was imported before.

    Args:
        db: the database.
        path: jobflow.yaml, a store's configuration, or the JSON file of a JSONStore.
        options: `model` says which model force field documents come from.
        report: added to.

    Raises:
        InputError: the store cannot be opened.
    """
    store, name = open_store(path)
    with store:
        jobs = {}
        for n, job in enumerate(_finished_jobs(store)):
            if _is_job(job):
                jobs[_activity_id(job, name, options)] = job
            else:
                report.failed.append((f"document {n} of {name}", NO_JOB))
        known = done_among(db, jobs)
        report.activities += jobs
        for activity, job in jobs.items():
            if activity in known:
                report.unchanged.append(_name(job))
                continue
            _import_job(
                db,
                store,
                job,
                Activity(
                    id=activity,
                    kind="import",
                    name=_name(job),
                    job={"uuid": job["uuid"], "index": job["index"], "store": name},
                    source={"file": path.name, **options.asked()},
                ),
                options,
                report,
            )


def _finished_jobs(store: JobStore) -> list[Document]:
    fields = ["uuid", "index", "name", "completed_at"]
    try:
        return list(store.query({}, fields, sort={"completed_at": 1}, load=False))
    except PyMongoError as error:  # of theirs, not of ours
        raise InputError(
            f"the JobStore's MongoDB does not answer: {type(error).__name__}.",
            hint="Check host, port and password in its configuration.",
        ) from None


def _is_job(job: Document) -> bool:
    uuid, index = job.get("uuid"), job.get("index")
    return isinstance(uuid, str) and isinstance(index, int) and not isinstance(index, bool)


def _name(job: Document) -> str:
    """What to call a job, where its document has anything for it."""
    name = job.get("name")
    return name[:LONGEST_NAME] if name and isinstance(name, str) else "job"


def _import_job(
    db: Database,
    store: JobStore,
    job: Document,
    activity: Activity,
    options: ImportOptions,
    report: ImportReport,
) -> None:
    title = f"{activity.name} ({job['uuid'][:8]})"
    try:
        document = store.query_one({"uuid": job["uuid"], "index": job["index"]}, load=True)
        output = (document or {}).get("output")
        reader = _reader(output)
        if reader is None or not isinstance(output, dict):
            report.unknown.append(title)
            return
        with bounded(title):
            batch = reader(db, {**output, "_metadata": document}, options)
            check_labels(batch)
    except (DatabaseError, PyMongoError):  # not the document's fault, and the next one's too
        raise
    except ForcebaseError as error:
        report.failed.append((title, str(error)))
    except Exception as error:  # whatever pymatgen and phonopy make of a foreign document
        reason = " ".join(repr(error).split())[:200]
        report.failed.append((title, f"its document is not as expected: {reason}"))
    else:
        link_renewed(db, batch)
        report.add(batch.write(db, activity))
        report.findings += activity.messages
        report.notes += [(title, note) for note in batch.notes]
        report.jobs += 1
        report.names.append(activity.name)


def _activity_id(job: Document, store: str, options: ImportOptions) -> str:
    named = {"uuid": job["uuid"], "index": job["index"], "store": store, **options.asked()}
    named["edition"] = EDITION
    if options.description:
        named["description_sha256"] = bytes_digest(options.description.read_bytes())
    return content_digest({"import": named})


def _reader(output: Any) -> Reader | None:
    """Which kind of document it is, by the fields that only that kind has."""
    if not isinstance(output, dict):
        return None
    if is_task_document(output):
        return lambda db, found, options: task_document_batch(found, drawn_of(found["_metadata"]))
    if "force_constants" in output and "supercell_matrix" in output:
        return _phonon
    if "forcefield_name" in output or "ase_calculator_name" in output:
        return _force_field
    if output.get("calcs_reversed"):
        return _vasp if "vasp_version" in output["calcs_reversed"][0] else None
    return None


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
        if step.get("forces") is not None
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
    if not options.model:
        raise InputError(
            f"a document of {output.get('forcefield_name') or output.get('ase_calculator_name')} "
            "does not say which weights made it.",
            hint="Give --model with the model that is in the database.",
        )
    found = output["output"]
    geometry = found.get("structure") or found.get("mol_or_struct") or output.get("structure")
    if geometry is None or found.get("forces") is None:
        raise InputError("it holds no structure with forces.")
    structure = Structure.from_atoms(plain_atoms(geometry))
    stress = found.get("stress")
    calculation = Calculation.of(
        structure,
        db.require_model(options.model),
        energy=float(found["energy"]),
        forces=found["forces"],
        stress=None if stress is None else stress_from_kbar_pressure(stress),
        converged=output.get("is_force_converged") is not False,
    )
    return Batch(structures=[structure], calculations=[calculation])


def _phonon(db: Database, output: Document, options: ImportOptions) -> Batch:
    """atomate2's phonon document; it does not say its method: a model's or a method.yaml's."""
    method: Method
    if options.model:
        method = db.require_model(options.model)
    elif options.description:
        method = read_description(options.description, "the JobStore", listed=False).method
    else:
        raise InputError(
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
        findings=[f for f in (instability(crystal), crystal.symmetry.finding()) if f],
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
