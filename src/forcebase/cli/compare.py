"""The command `forcebase compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from forcebase.cli.console import JsonOption, open_database, print_json, stage_bars
from forcebase.cli.filters import parse_filters
from forcebase.cli.places import (
    ProjectOption,
    RemoteOption,
    ResourcesOption,
    WorkerOption,
    check_place,
    place_of,
)
from forcebase.cli.stale import refuse_stale_sides, warn_of_comparison
from forcebase.errors import InputError
from forcebase.paths import check_writable


def compare(
    records: Annotated[
        list[str],
        typer.Argument(
            help="A model and its reference, or two phonons; or models for --reference."
        ),
    ],
    on: Annotated[str | None, typer.Option(help="dataset, dataset:split, or a filter")] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(help="Compare all the models with this method; repeatable: gives a matrix."),
    ] = None,
    align: Annotated[
        str, typer.Option(help="Energies first shifted by: none, mean, composition.")
    ] = "none",
    only: Annotated[str, typer.Option(help="all, or unseen: not trained on, nor near it.")] = "all",
    fill: Annotated[
        bool, typer.Option("--fill", help="Have the models label what they have not yet.")
    ] = False,
    remote: RemoteOption = False,
    worker: WorkerOption = None,
    resources: ResourcesOption = None,
    project: ProjectOption = None,
    host: Annotated[
        str | None, typer.Option(help="Perfect unit cell: adds errors by distance from defects.")
    ] = None,
    edges: Annotated[
        str | None, typer.Option(help="Radii of the shells, A; 3,6 by default.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Phonons: what may be unlike, as supercell, displacement; repeatable."),
    ] = None,
    nac: Annotated[
        str | None,
        typer.Option(help="Phonons: Born charges of both: reference (the default), own, none."),
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="PNG of phonons, or of a matrix.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Compute it once more, and compare it with the record.")
    ] = False,
    stale: Annotated[bool, typer.Option("--stale", help="Also where a side is tainted.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare a model with a reference: energies, forces and stress, or two phonons.

    With --reference, all models given are compared with each reference, on the structures common to
    all. With --host, errors of forces are given by distance from the defect. With --fill --remote
    workers label what is missing; once that is collected, the same command compares.

    Examples:
      forcebase compare wse2-mace gpaw-pbe --on wse2-pbe@1:test
      forcebase compare chgnet gpaw-pbe --on kind=Se-vacancy-2x2 --align composition
      forcebase compare wse2-mace gpaw-pbe --on elements=Se,W --only unseen
      forcebase compare wse2-mace gpaw-pbe --on 'nsites > 10 AND max_force < 2'
      forcebase compare wse2-mace chgnet --reference gpaw-pbe --on wse2-pbe@1:test --fill \\
        --picture models.png
      forcebase compare wse2-mace gpaw-pbe --on wse2-pbe@1:test --fill --remote --worker gpu
      forcebase compare wse2-mace gpaw-pbe --on wse2-pbe@1:test --host wse2-unit-cell
      forcebase compare MODEL_PHONON wse2-dft-phonon --picture phonons.png
      forcebase compare MODEL_PHONON wse2-dft-phonon --allow supercell --allow displacement
      forcebase compare MODEL_PHONON wse2-dft-phonon --nac none
    """
    radii = parse_edges(edges)
    several = bool(reference)
    if not several and len(records) != 2:
        raise InputError(
            f"{len(records)} records are not a model and a reference.",
            hint="Give two, or models and --reference METHOD.",
        )
    if several and (host or edges or allow or nac):
        raise InputError(
            "--host, --edges, --allow and --nac are for one comparison, not for a matrix."
        )
    _check_words(align, only, allow or (), nac, radii)
    if picture is not None:
        check_writable(picture, (".png",))
    where = place_of(remote, worker, resources, project)
    if where is not None and not fill:
        raise InputError(
            "--remote is for --fill: a comparison is made where the database is.",
            hint="Add --fill, or leave out --remote.",
        )
    with open_database(writing=fill) as db:
        check_place(db, where)
        selected = parse_on(db, on)
        if not stale:
            refuse_stale_sides(db, [*records, *(reference or [])])
        _check_sides(db, [*records, *(reference or [])], several, fill, picture)
        _check_place(db, selected, host)
        if fill:
            from forcebase.cli.matrix import fill_labels

            sides = (records, reference or []) if several else (records[:1], records[1:])
            if not fill_labels(db, *sides, selected, where, as_json):
                return
        if several:
            from forcebase.cli.matrix import show_matrix

            show_matrix(
                db, records, reference or [], selected, align, only, again, picture, as_json
            )
            return
        from forcebase.comparison import compare as compare_records

        with stage_bars() as bars:
            comparison = compare_records(
                db,
                records[0],
                records[1],
                selected,
                align=align,
                only=only,
                host=host,
                edges=radii,
                allow=allow or (),
                nac=nac,
                recompute=again,
                progress=bars,
            )
        validation = comparison.validation
        warn_of_comparison(db, validation)
        fields = {"id": validation.id, **plain_fields(validation)} if as_json else None
        if validation.kind == "phonons":
            from forcebase.cli.phonon_comparison import show_phonon_comparison

            numbers = flatten(dict(validation.metrics))
            show_phonon_comparison(db, comparison, numbers, picture, fields)
            return
        from forcebase.cli.label_comparison import show_label_comparison

        show_label_comparison(db, comparison, records, print_json, fields)


def _check_words(
    align: str,
    only: str,
    allow: Sequence[str],
    nac: str | None,
    radii: tuple[float, ...] | None,
) -> None:
    from forcebase.comparison.comparing import align_of, only_of
    from forcebase.comparison.phonon_protocol import parts_of
    from forcebase.physics.polar_splitting import nac_of
    from forcebase.physics.shells import Shells

    align_of(align), only_of(only), parts_of(allow), nac_of(nac or "reference")
    if radii is not None:
        Shells(radii)


def _check_sides(
    db: Any, names: list[str], several: bool, fill: bool, picture: Path | None
) -> None:
    """All that is named is there, and of the kind that the options ask for."""
    places = {name: db.resolve(name)[0] for name in names}
    for name, place in places.items():
        if place != "methods" and (several or fill):
            option = "--fill" if fill else "--reference"
            raise InputError(f"{name} is in {place}: {option} is for models and DFT methods.")
    if picture is not None and not several and places[names[0]] != "phonons":
        raise InputError("--picture draws phonons, or a matrix: give --reference.")


def _check_place(db: Any, on: Any, host: str | None) -> None:
    from forcebase.comparison import selection

    selection(db, on)
    if host is not None:
        db.require_structure(host)


def plain_fields(record: Any) -> dict[str, Any]:
    """Fields of a record but its id."""
    return {key: value for key, value in record.to_mongo().items() if key != "_id"}


def parse_on(db: Any, text: str | None) -> str | dict[str, Any] | None:
    """Read --on: a dataset and split stay text, a filter becomes arguments of `find`."""
    from forcebase.database.filters.texts import is_filter, short_form

    if text is None or not is_filter(text):
        return text
    parts = text.split()
    return parse_filters(db, parts if all(map(short_form, parts)) else [text])


def parse_edges(text: str | None) -> tuple[float, ...] | None:
    """Read --edges, as 3,6."""
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--edges {text}: no numbers.", hint="Write them as 3,6.") from None


def flatten(metrics: dict[str, Any], prefix: str = "") -> list[tuple[str, Any, str]]:
    """Nested metrics as (dotted name, number, unit); names may end in their unit."""
    rows: list[tuple[str, Any, str]] = []
    unit = str(metrics.get("unit") or "")
    for key, value in metrics.items():
        if isinstance(value, dict):
            rows += flatten(value, f"{prefix}{key}.")
        elif isinstance(value, (int, float)):
            without = "" if key in ("n", "r2", "n_structures", "n_atoms") else unit
            rows.append((f"{prefix}{key}", value, without))
    return rows
