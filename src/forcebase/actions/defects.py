"""The defect study: supercells with and without a defect, computed once, and their spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
from jobflow import Flow, Job, OutputReference

from forcebase.actions.phonons import find_phonon, find_relaxation
from forcebase.actions.preconditions import check_phonon
from forcebase.actions.running import Where, found_record, run
from forcebase.actions.running_there import Handle
from forcebase.database.crystals import crystal_of
from forcebase.database.database import Database
from forcebase.database.publishing import publish_model
from forcebase.errors import InputError, NotFoundError
from forcebase.ingest.collect import CollectReport, collect
from forcebase.makers.defect import DefectMaker, defect_cell
from forcebase.makers.phonon import PhononMaker
from forcebase.models.loading import require_package
from forcebase.physics.defect_spectra import DefectSpectra, defect_spectra
from forcebase.physics.shells import Shells
from forcebase.progress import Progress, following, report
from forcebase.records import Method, ModelMethod, Phonon, Structure

IDENTITY = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
Matrix = list[list[int]]


@dataclass(frozen=True)
class DefectPhonons:
    """Phonons of one supercell without and with a defect."""

    pristine: Phonon
    defective: Phonon


def defect_flow(
    db: Database,
    model: ModelMethod,
    unit_cell: Structure,
    supercells: Sequence[Matrix],
    defect: str,
    maker: PhononMaker | None = None,
    *,
    here: bool = False,
) -> Flow:
    """Make one flow of all that is still missing; outputs of an interrupted run are used.

    The unit cell is relaxed once. Each supercell has the force constants of the perfect crystal,
    and a defect cell made from the relaxed unit cell, relaxed itself, with its force constants.

    Args:
        db: the database.
        model: whose energy surface.
        unit_cell: of the perfect crystal.
        supercells: (3, 3) matrices of diagonal form.
        defect: see `forcebase.physics.defect.read_defect`; read anew in each supercell.
        maker: how phonons are computed.
        here: they will run in this process, so that the model's package is needed.

    Raises:
        InputError: the defect does not fit one of the supercells.
        ModelError: the model does not know an element.
        MissingDependencyError: the model's package is not installed here.
    """
    maker = maker or PhononMaker()
    atoms = unit_cell.to_atoms()
    for matrix in supercells:  # says now what would fail after an hour
        made = defect_cell(atoms, matrix, defect)[0].atoms
        check_phonon(model, made.get_chemical_symbols(), maker)
    collect(db)
    name = f"{defect} in {unit_cell.formula}"
    todo = [
        matrix
        for matrix in supercells
        if find_defect_phonons(db, model, unit_cell, matrix, defect, maker) is None
    ]
    if not todo:
        return Flow([], name=name)
    if here:
        require_package(model.kind)
    published = publish_model(db, model)
    relaxed = find_relaxation(db, model, unit_cell.id, maker)
    jobs: list[Flow | Job] = []
    if relaxed is None:
        relaxation = maker.relax_maker.make(published, unit_cell.to_pymatgen())
        relaxation.append_name(f" {unit_cell.formula}")
        relaxed, jobs = relaxation.output, [relaxation]
    for matrix in todo:
        jobs += _missing(db, model, published, unit_cell, relaxed, matrix, defect, maker)
    return Flow(jobs, name=name)


@overload
def compute_defect_phonons(
    db: Database,
    model: ModelMethod,
    unit_cell: Structure,
    supercell_matrix: Matrix,
    defect: str,
    maker: PhononMaker | None = ...,
    *,
    where: None = ...,
    progress: Progress | None = ...,
) -> DefectPhonons: ...
@overload
def compute_defect_phonons(
    db: Database,
    model: ModelMethod,
    unit_cell: Structure,
    supercell_matrix: Matrix,
    defect: str,
    maker: PhononMaker | None = ...,
    *,
    where: Where,
) -> Handle[DefectPhonons]: ...
def compute_defect_phonons(
    db: Database,
    model: ModelMethod,
    unit_cell: Structure,
    supercell_matrix: Matrix,
    defect: str,
    maker: PhononMaker | None = None,
    *,
    where: Where | None = None,
    progress: Progress | None = None,
) -> DefectPhonons | Handle[DefectPhonons]:
    """Compute what is missing of one supercell's two phonons, and give their records.

    Args:
        db: the database.
        model: whose energy surface.
        unit_cell: of the perfect crystal.
        supercell_matrix: (3, 3) of diagonal form.
        defect: see `forcebase.physics.defect.read_defect`.
        maker: how phonons are computed.
        where: elsewhere: a worker's name, or a place.
        progress: told of each stage.

    Returns:
        Both phonons; elsewhere a handle, whose `result()` waits for them.

    Raises:
        MissingDependencyError: the model's package is not installed here, where it is to run.
    """
    maker = maker or PhononMaker()
    here = where is None
    flow = defect_flow(db, model, unit_cell, [supercell_matrix], defect, maker, here=here)

    def answer(report: CollectReport) -> DefectPhonons:
        found = find_defect_phonons(db, model, unit_cell, supercell_matrix, defect, maker)
        return found_record(found, f"pair of phonons of {defect}", report)

    return run(db, flow, answer, where, progress)


def find_defect_phonons(
    db: Database,
    model: ModelMethod,
    unit_cell: Structure,
    supercell_matrix: Matrix,
    defect: str,
    maker: PhononMaker,
) -> DefectPhonons | None:
    """The phonons of one supercell without and with a defect, if both are there."""
    pristine = find_phonon(db, model, unit_cell.id, supercell_matrix, maker)
    if pristine is None:
        return None
    start = _start(db, pristine, supercell_matrix, defect)
    defective = find_phonon(db, model, start, IDENTITY, maker)
    return DefectPhonons(pristine, defective) if defective else None


def pristine_of(db: Database, defective: Phonon) -> Phonon:
    """The phonon of the perfect crystal that a defect phonon is to be compared with.

    Of the same method and host: that of the same supercell, else that of the largest.

    Raises:
        InputError: the phonon is of no defect.
        NotFoundError: there is no phonon of its host.
    """
    defect = require_defect(defective)
    found = db.phonons.find(
        method=defective.method, structure=defect["host"], sort="-n_atoms_supercell"
    )
    matrix = defect["supercell_matrix"]
    same = [phonon for phonon in found if phonon.supercell_matrix == matrix]
    if not found:
        raise NotFoundError(
            f"There is no phonon of the perfect crystal behind {defective.id[:10]}.",
            hint="Compute or import the phonon of its host with the same method.",
        )
    return (same or list(found))[0]


def dft_counterpart(db: Database, defective: Phonon) -> Phonon | None:
    """A DFT phonon of the same defect in the same supercell, where there is one.

    Raises:
        InputError: the phonon is of no defect.
    """
    defect = require_defect(defective)
    found = db.phonons.find(
        {"defect.supercell_matrix": defect["supercell_matrix"]},
        method_class="dft",
        formula=defective.formula,
        **{"defect.name": defect["name"]},
    )
    return found[0] if found else None


def spectra_of_defect(
    db: Database,
    defective: Phonon,
    shells: Shells | None = None,
    *,
    n_path: int | None = 48,
    progress: Progress | None = None,
) -> DefectSpectra:
    """Compute local spectra of a stored defect phonon and of the perfect crystal behind it.

    Born charges are left out on both sides: the modes of a supercell are those at Gamma.
    """
    pristine = pristine_of(db, defective)
    with following(progress):
        return defect_spectra(
            replace(crystal_of(db, defective), response=None),
            replace(crystal_of(db, pristine), response=None),
            np.array(defective.defect["supercell_matrix"]),
            np.array(defective.defect["centre"]),
            name=defective.defect["name"],
            shells=shells,
            n_path=n_path,
            on_step=report,
        )


def defect_phonons(db: Database, method: Method, name: str | None = None) -> list[Phonon]:
    """The phonons of one defect by a method: the best of each supercell, the smallest first.

    Of several, the best has a relaxation that converged, then to the smaller force, and then
    force constants of the smaller tolerance.

    Args:
        db: the database.
        method: a model or DFT.
        name: of the defect; may be left out where the method has one only.

    Raises:
        InputError: several defects, and no name.
        NotFoundError: there is none.
    """
    query: dict[str, Any] = {"defect.name": name if name else {"$exists": True}}
    found = db.phonons.find(query, method=method.id, sort="n_atoms_supercell")
    if not found:
        raise NotFoundError(
            f"There are no phonons of {name or 'a defect'} by {method.id[:10]}.",
            hint="`forcebase phonon MODEL STRUCTURE --supercell 6x6x1 --defect v_Se`",
        )
    names = sorted({phonon.defect["name"] for phonon in found})
    if len(names) > 1:
        raise InputError(
            f"There are phonons of {len(names)} defects: {', '.join(names)}.",
            hint=f"Say of which: --name {names[-1]}.",
        )
    best: dict[tuple[str, str, str], Phonon] = {}
    for phonon in sorted(found, key=_doubt):
        family = db.structures.get(phonon.structure).family
        cell = str(phonon.defect["supercell_matrix"])
        best.setdefault((family, phonon.formula, cell), phonon)
    return sorted(best.values(), key=lambda phonon: int(phonon.n_atoms_supercell))


def _doubt(phonon: Phonon) -> tuple[bool, float, float]:
    protocol = phonon.protocol
    analytic = protocol.get("method") == "analytic"
    return (
        not phonon.is_relaxed,
        protocol.get("fmax_eV_per_A", 0.0),
        protocol.get("tolerance_eV_per_A2", 0.0) if analytic else np.inf,
    )


def require_defect(phonon: Phonon) -> dict[str, Any]:
    """What a phonon's record says of its defect.

    Raises:
        InputError: the phonon is of no defect.
    """
    if not phonon.defect:
        raise InputError(
            f"The phonon {phonon.id[:10]} is of a perfect crystal.",
            hint="`forcebase phonon MODEL STRUCTURE --defect v_Se` computes one with a defect.",
        )
    return dict(phonon.defect)


def _missing(
    db: Database,
    model: ModelMethod,
    published: OutputReference,
    unit_cell: Structure,
    relaxed: OutputReference,
    matrix: Matrix,
    defect: str,
    maker: PhononMaker,
) -> list[Flow | Job]:
    """Jobs for what is not there yet of one supercell: the defect's phonon at least."""
    jobs: list[Flow | Job] = []
    size = "x".join(str(matrix[i][i]) for i in range(3))
    pristine = find_phonon(db, model, unit_cell.id, matrix, maker)
    if pristine is None:
        constants = maker.force_constants_maker.make(published, relaxed, matrix)
        constants.append_name(f" pristine {size}")
        jobs.append(constants)
    cell = DefectMaker(defect=defect).make(relaxed["structure"], matrix, unit_cell.family)
    begun = pristine and _start(db, pristine, matrix, defect)
    known: dict[str, Any] = {}
    if begun:
        known = {
            "relaxed": find_relaxation(db, model, begun, maker),
            "begun": find_relaxation(db, model, begun, maker, converged=False),
        }
    phonon = maker.make(published, cell.output["structures"][0], IDENTITY, **known)
    phonon.append_name(f" {defect} {size}")
    return [*jobs, cell, phonon]


def _start(db: Database, pristine: Phonon, matrix: Matrix, defect: str) -> str:
    """Id of the defect cell that is made from the host of a pristine phonon."""
    host = db.structures.get(pristine.structure).to_atoms()
    return Structure.geometry_id(defect_cell(host, matrix, defect)[0].atoms)
