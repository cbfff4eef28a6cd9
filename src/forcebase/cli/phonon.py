"""Commands for phonons: compute them, pristine and with defects, and look at defects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from forcebase.cli.arguments import ModelArgument, StructureArgument
from forcebase.cli.compare import parse_edges
from forcebase.cli.console import JsonOption, open_database, print_json, say, stage_bars
from forcebase.cli.places import (
    ProjectOption,
    RemoteOption,
    ResourcesOption,
    WorkerOption,
    awaited,
    check_place,
    place_of,
)
from forcebase.cli.tables import cell, print_table
from forcebase.errors import InputError
from forcebase.paths import check_folder

Method = Literal["auto", "analytic", "displacements"]
Unit = Literal["cm-1", "THz", "meV"]
LocalDOS = Literal["exact", "kpm"]


def phonon(
    model: ModelArgument,
    structure: StructureArgument,
    supercell: Annotated[str, typer.Option(help="As 3x3x1.")] = "3x3x1",
    defect: Annotated[
        str | None, typer.Option(help="As v_Se, Mo_W, or remove:17,swap:20:Mo,move:3:0/0/0.1.")
    ] = None,
    method: Annotated[Method, typer.Option(help="Of the force constants.")] = "auto",
    tolerance: Annotated[
        float, typer.Option(help="Of analytic force constants, eV/A^2: 1e-8 exact, 1e-4 fast.")
    ] = 1e-8,
    displacement: Annotated[float, typer.Option(help="Of finite displacements, A.")] = 0.02,
    fmax: Annotated[float, typer.Option(help="Of the relaxation, eV/A.")] = 1e-5,
    max_steps: Annotated[int, typer.Option(help="Of the relaxation.")] = 500,
    remote: RemoteOption = False,
    worker: WorkerOption = None,
    resources: ResourcesOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Relax a structure with a model (vacuum fixed) and compute its force constants.

    With --defect, the perfect supercell's and the defect's; the defect is made in a supercell of
    the relaxed unit cell and relaxed again. v_Se removes one Se, Mo_W puts Mo on a W site; sites
    of a list are those of the repeated cell, counted from 0. What is there already is found again.
    With --remote workers compute what is missing.

    Examples:
      forcebase phonon wse2-mace wse2-unit-cell --supercell 3x3x1
      forcebase phonon wse2-mace wse2-unit-cell --supercell 6x6x1 --defect v_Se
      forcebase phonon wse2-mace wse2-unit-cell --supercell 6x6x1 --remote --worker gpu
    """
    from forcebase.actions.defects import compute_defect_phonons
    from forcebase.actions.phonons import compute_phonon
    from forcebase.makers.phonon import ForceConstantsMaker, PhononMaker
    from forcebase.makers.relaxation import RelaxMaker

    maker = PhononMaker(
        relax_maker=RelaxMaker(fmax=fmax, max_steps=max_steps),
        force_constants_maker=ForceConstantsMaker(
            method=method, tolerance=tolerance, displacement=displacement
        ),
    )
    matrix = _matrix(supercell)
    where = place_of(remote, worker, resources, project)
    with open_database(writing=True) as db, stage_bars() as bars:
        check_place(db, where)
        chosen, start = db.require_model(model), db.require_structure(structure)
        asked = (db, chosen, start, matrix)
        if defect is None:
            found = awaited(compute_phonon(*asked, maker, where=where, progress=bars), as_json)
        else:
            made = compute_defect_phonons(*asked, defect, maker, where=where, progress=bars)
            found = awaited(made, as_json)
        if found is None:
            return
        records = [found] if defect is None else [found.pristine, found.defective]
        summaries = [_summary(db, record) for record in records]
    if as_json:
        print_json(summaries[0] if defect is None else summaries)
        return
    for summary in summaries:
        for key, value in summary.items():
            say(f"{key:<12} {cell(value).plain}")


def defect(
    phonons: Annotated[
        list[str] | None, typer.Argument(help="Defect phonons: ids or names.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Or this model's, the best of each supercell.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of these, those of this defect, as v_Se.")
    ] = None,
    edges: Annotated[str, typer.Option(help="Radii of the shells, A.")] = "3,6",
    method: Annotated[
        LocalDOS,
        typer.Option(help="kpm: local DOS alone, without diagonalisation, of large cells."),
    ] = "exact",
    out: Annotated[Path | None, typer.Option(help="Folder for pictures and defect.json.")] = None,
    unit: Annotated[Unit, typer.Option(help="Of frequencies in the pictures.")] = "cm-1",
    as_json: JsonOption = False,
) -> None:
    """Local vibrations at a defect: density of states by shell, localised modes, pictures.

    Everything is recomputed from the stored force constants. Several supercells show how the
    modes converge; where a DFT phonon of the same cell is in the database, it is compared.
    With --method kpm, the local DOS at Gamma by the kernel polynomial method, and tables.

    Examples:
      forcebase defect --model wse2-mace --out vacancy
      forcebase defect --model wse2-mace --method kpm --out vacancy
      forcebase defect PHONON --edges 2.8,4.5,8 --json
    """
    from forcebase.actions.defect_report import study_defects
    from forcebase.physics.shells import Shells

    shells = Shells(parse_edges(edges) or ())
    if out is not None:
        check_folder(out)
    with open_database() as db, stage_bars() as bars:
        chosen = _defect_phonons(db, phonons or [], model, name)
        if method == "kpm":
            _show_kernel(db, chosen, shells, out, bars, as_json)
            return
        study = study_defects(db, chosen, shells, with_bands=out is not None, progress=bars)
        if out is not None:
            written = study.write(out, unit)
    if as_json:
        print_json(study.as_dict())
        return
    for size in study.as_dict()["supercells"]:
        _print_size(size)
    if out is not None:
        say(f"{len(written)} files in {out}: {', '.join(p.name for p in written)}")


def _defect_phonons(db: Any, texts: list[str], model: str | None, name: str | None) -> list[Any]:
    from forcebase.actions.defects import defect_phonons

    if bool(texts) == bool(model):
        raise InputError(
            "Say which defects: phonons by id or name, or --model for all of a model.",
            hint="`forcebase ls phonons` lists them.",
        )
    if texts:
        return [db.resolve(text, "phonons")[1] for text in texts]
    return defect_phonons(db, db.resolve(model, "methods")[1], name)


def _show_kernel(
    db: Any, phonons: list[Any], shells: Any, out: Path | None, bars: Any, as_json: bool
) -> None:
    from forcebase.actions.defect_kernel import study_by_kernel, write_kernel_studies

    studies = study_by_kernel(db, phonons, shells, progress=bars)
    written = [] if out is None else write_kernel_studies(studies, out)
    found = [study.as_dict() for study in studies]
    if as_json:
        print_json({"supercells": found})
        return
    for size in found:
        title = (
            f"{size['name']} in {size['size']}, {size['n_atoms']} atoms, phonon "
            f"{size['phonon'][:10]}, resolution {size['resolution_THz']:.2g} THz"
        )
        names = ("shell", "sites", "states", "imaginary", "largest_error")
        columns = ["shell", "sites", "states", "imaginary", "error, states/THz"]
        print_table(title, columns, [[shell[key] for key in names] for shell in size["shells"]])
    if written:
        say(f"{len(written)} files in {out}: {', '.join(p.name for p in written)}")


def _print_size(size: dict[str, Any]) -> None:
    rows = [
        [
            mode["frequency_cm1"],
            mode["frequency_THz"],
            mode["shell_weights"][0],
            mode["enrichment"],
            mode["participating_sites"],
            mode["degeneracy"],
            mode["character"],
        ]
        for mode in size["localised"]
    ]
    columns = ["cm^-1", "THz", "weight", "enriched", "sites", "modes", "character"]
    title = (
        f"{size['name']} in {size['size']}, {size['n_atoms']} atoms, phonon {size['phonon'][:10]}"
    )
    print_table(title, columns, rows)
    for finding in size["findings"]:
        say(("note", "yellow"), f" {finding}")
    if size["reference"]:
        metrics = size["reference"]
        say(
            f"against DFT {metrics['phonon'][:10]}: frequencies at Gamma off by "
            f"{metrics['gamma_mae_THz']:.3f} THz, the largest {metrics['gamma_max_THz']:.3f}"
        )


def _summary(db: Any, found: Any) -> dict[str, Any]:
    from forcebase.database.crystals import crystal_of
    from forcebase.physics.stability import stability

    relaxed = db.structures.get(found.structure)
    steps, force = found.relaxation["steps"], found.relaxation["max_force"]
    summary = {
        "id": found.id,
        "formula": found.formula,
        "lattice_A": [float(x) for x in relaxed.to_atoms().cell.lengths()],
        "relaxation": f"{steps} steps to {force:.1e} eV/A",
        "method": found.protocol["method"],
        "modes": stability(crystal_of(db, found)).words,
        "seconds": found.wall_time,
        "findings": list(found.findings),
    }
    if found.defect:
        summary["defect"] = found.defect["name"]
    return summary


def _matrix(text: str) -> list[list[int]]:
    parts = text.split("x")
    if len(parts) != 3 or not all(re.fullmatch("[1-9][0-9]?", part) for part in parts):
        raise InputError(
            f"{text!r} is not a supercell.", hint="Write three numbers from 1 to 99, as 3x3x1."
        )
    return [[int(parts[i]) if i == j else 0 for j in range(3)] for i in range(3)]
