"""Task documents of other people's jobflow JobStores become records that point back at them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    functional_name,
    k_mesh,
    potcar_hashes,
    vasp_method,
)
from forcebase.ingest.description import read_description
from forcebase.ingest.import_report import ImportReport
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.outputs import phonon_record
from forcebase.ingest.store_files import open_store
from forcebase.ingest.task_documents import drawn_of, is_task_document, task_document_batch
from forcebase.physics.finite_displacement import unit_cell_masses
from forcebase.physics.harmonic_crystal import HarmonicCrystal, bare_phonopy
from forcebase.physics.stability import instability
from forcebase.records import Activity, Calculation, Method, Structure
from forcebase.safety.limits import bounded
from forcebase.units import stress_from_kbar_pressure

Document = dict[str, Any]
Reader = Callable[[Database, Document, ImportOptions], Batch]


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
        found = _finished_jobs(store)
        jobs = {_activity_id(job, name, options): job for job in found}
        known = done_among(db, jobs)
        report.activities += jobs
        for activity, job in jobs.items():
            if activity in known:
                report.unchanged.append(job.get("name") or "job")
                continue
            _import_job(
                db,
                store,
                job,
                Activity(
                    id=activity,
                    kind="import",
                    name=job.get("name") or "job",
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
    except (DatabaseError, PyMongoError):  # not the document's fault, and the next one's too
        raise
    except ForcebaseError as error:
        report.failed.append((title, str(error)))
    except Exception as error:  # whatever pymatgen and phonopy make of a foreign document
        reason = " ".join(repr(error).split())[:200]
        report.failed.append((title, f"its document is not as expected: {reason}"))
    else:
        report.add(batch.write(db, activity))
        report.findings += activity.messages
        report.jobs += 1
        report.names.append(activity.name)


def _activity_id(job: Document, store: str, options: ImportOptions) -> str:
    named = {"uuid": job["uuid"], "index": job["index"], "store": store, **options.asked()}
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
    titles = [spec["titel"] for spec in specs] or list(asked.get("potcar") or [])
    method = vasp_method(
        version=run["vasp_version"],
        functional=functional_name(str(run.get("run_type") or output.get("run_type")), titles),
        settings=settings,
        titles=titles,
        hashes=potcar_hashes(specs),
        **_plus_u(asked, settings),
    )
    limit = int(settings.get("NELM", 60))
    steps = [
        IonicStep(
            atoms=plain_atoms(step["structure"]),
            energy=float(step["e_0_energy"]),
            forces=np.array(step["forces"], dtype=float),
            stress=stress_from_kbar_pressure(step["stress"]) if step.get("stress") else None,
            converged=len(step.get("electronic_steps") or ()) < limit,
            index=index,
        )
        for index, step in enumerate(run["output"]["ionic_steps"])
        if step.get("forces") is not None
    ]
    points = Kpoints.from_dict(asked["kpoints"]) if asked.get("kpoints") else None
    mesh, shift = k_mesh(points)
    told = [[settings["KSPACING"]]] if settings.get("KSPACING") else []
    named = list(points.kpts) if points is not None else told
    return output_batch(
        CodeOutput(method, steps, mesh, shift, named), options.steps, options.k_spacing
    )


def _plus_u(asked: Document, settings: Document) -> Document:
    """Hubbard terms as `read_vasprun` gives them.

    Raises:
        InputError: they are on, and the document does not say them.
    """
    if not (asked.get("is_hubbard") or settings.get("LDAU")):
        return {}
    if not asked.get("hubbards"):
        raise InputError("it has Hubbard terms that it does not tell.", hint="Import its run.")
    return {"plus_u_eV": dict(asked["hubbards"])}


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
        findings=[found] if (found := instability(crystal)) else [],
    )
    return Batch(
        blobs=[arrays.data],
        structures=[structure],
        methods=[] if method.is_model else [method],
        phonons=[phonon],
    )
