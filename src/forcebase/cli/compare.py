"""The command `forcebase compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from forcebase.cli.console import JsonOption, console, open_database, print_json, print_table
from forcebase.cli.phonon_comparison import show_phonon_comparison
from forcebase.cli.records import parse_filters
from forcebase.cli.stale import warn_if_stale
from forcebase.cli.work import ModelArgument
from forcebase.errors import InputError


def compare(
    model: ModelArgument,
    reference: Annotated[str, typer.Argument(help="Any other method, or a phonon for a phonon.")],
    on: Annotated[str | None, typer.Option(help="dataset, dataset:split, or field=value")] = None,
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
    picture: Annotated[Path | None, typer.Option(help="Phonons: PNG to draw them into.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Hold a model to a reference: energies, forces and stress, or two phonons.

    With --host, errors of forces are told by distance from the defect, beside those of the
    cells without one.

    Examples:
      forcebase compare wse2-mace gpaw-pbe --on wse2-pbe@1:test
      forcebase compare wse2-mace gpaw-pbe --on kind=Se-vacancy-2x2
      forcebase compare wse2-mace gpaw-pbe --on wse2-pbe@1:test --host wse2-unit-cell
      forcebase compare MODEL_PHONON wse2-dft-phonon --picture phonons.png
      forcebase compare MODEL_PHONON wse2-dft-phonon --allow supercell --allow displacement
    """
    from forcebase.comparison import compare as compare_records

    radii = parse_edges(edges)
    with open_database() as db:
        selected = parse_on(db, on)
        validation = compare_records(
            db, model, reference, on=selected, host=host, edges=radii, allow=allow or ()
        )
        warn_if_stale(db, ("validations", validation.id))
        if validation.kind == "phonons":
            numbers = flatten(dict(validation.metrics))
            fields = {"id": validation.id, **plain_fields(validation)} if as_json else None
            show_phonon_comparison(db, validation, numbers, picture, fields)
            return
        if as_json:
            print_json({"id": validation.id, **plain_fields(validation)})
            return
        rows = [list(row) for row in flatten(dict(validation.metrics))]
        title = f"validation {validation.id[:10]}, n = {validation.n}"
        print_table(title, ["metric", "value", "unit"], rows)
        if "forces_by_shell" in validation.metrics:
            _print_shells(validation.metrics["forces_by_shell"])
        for key, value in (validation.leakage or {}).items():
            console.print(f"  {key} {value}")


def plain_fields(record: Any) -> dict[str, Any]:
    """Fields of a record but its id."""
    return {key: value for key, value in record.to_mongo().items() if key != "_id"}


def parse_on(db: Any, text: str | None) -> str | dict[str, Any] | None:
    """Read --on: a dataset and split stay text, field=value becomes a query."""
    if text is None or "=" not in text:
        return text
    return parse_filters(db, text.split(" "))


def parse_edges(text: str | None) -> tuple[float, ...] | None:
    """Read --edges, as 3,6."""
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--edges {text}: no numbers.", hint="Write them as 3,6.") from None


def _print_shells(shells: list[dict[str, Any]]) -> None:
    elements = sorted({element for shell in shells for element in shell["by_element"]})
    rows = []
    for shell in shells:
        errors = shell["forces"] or {}
        numbers = [shell["mean_force"], *(errors.get(key) for key in ("mae", "rmse", "max"))]
        numbers += [shell["by_element"].get(element, {}).get("mae") for element in elements]
        shown = ["" if number is None else f"{number:.1f}" for number in numbers]
        rows.append([shell["shell"], shell["n_structures"], shell["n_atoms"], *shown])
    columns = ["distance", "cells", "atoms", "mean |F|", "MAE", "RMSE", "max"]
    title = "Errors of forces by distance from the defect, meV/A"
    print_table(title, [*columns, *(f"MAE {element}" for element in elements)], rows)
    if not any(shell["n_atoms"] for shell in shells[:-1]):
        console.print("None of the cells has a defect.")


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
