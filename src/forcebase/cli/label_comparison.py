"""How `forcebase compare` shows two methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from forcebase.cli.console import say
from forcebase.cli.tables import print_table

QUANTITIES = {
    "energy": "energy",
    "energy_aligned": "  shifted",
    "forces": "forces",
    "stress": "stress",
}
COUNTS = {
    "n_in_training": "trained on",
    "n_same_family": "of a family trained on",
    "n_new": "new to the model",
    "n_unknown": "not known whether it has seen them",
}
MOST_FAMILIES = 5


def show_label_comparison(
    db: Any,
    comparison: Any,
    sides: Sequence[str],
    print_json: Callable[[Any], None],
    fields: dict[str, Any] | None,
) -> None:
    """Print a comparison of labels with its noise floors.

    Args:
        db: the database.
        comparison: of labels.
        sides: what model and reference were called.
        print_json: prints JSON.
        fields: of the record, to be printed as JSON; None for tables.
    """
    validation, floors, energies = comparison.validation, comparison.floors, comparison.energies
    if fields is not None:
        shown = [floor.as_dict() for floor in floors]
        print_json({**fields, "floors": shown, "energies": energies})
        return
    metrics = validation.metrics
    title = f"{sides[0]} against {sides[1]}: {validation.n} structures, meV/atom, meV/A, meV/A^3"
    rows = _rows(metrics["overall"], floors)
    columns = ["", "n", "MAE", "95 %", "RMSE", "p95", "max", "R2"]
    if floors:
        columns.append("floor")
    keep = len(columns)
    print_table(title, columns, [row[:keep] for row in rows])
    say(f"  validation {validation.id[:10]}")
    if "alignment" in metrics:
        _say_alignment(metrics["alignment"])
    if len(metrics["by_kind"]) > 1:
        _print_kinds(metrics["by_kind"])
    if metrics["n_families"] > MOST_FAMILIES:
        _print_families(metrics)
    if "forces_by_shell" in metrics:
        _print_shells(metrics["forces_by_shell"])
    if energies:
        say(f"  {energies}")
    say(f"  structures: {leakage_told(validation)}")
    if validation.on["n_missing"]:
        say(
            f"  {validation.on['n_missing']} more have the reference's labels only: --fill has the "
            "model label them"
        )
    for equivalence in validation.on.get("equated") or ():
        found = db.equivalences.get(equivalence)
        say(f"  methods taken for one: {found.title} ({found.reason})")
    for floor in floors:
        told = f"{floor.what}, {floor.errors.n_structures} structures"
        title = db.methods.get(floor.method).title
        say(f"  floor: {title} against itself, MAE, {told}")


def leakage_told(validation: Any) -> str:
    """How many of the structures of a comparison the model has seen, in words."""
    seen = {key: value for key, value in (validation.leakage or {}).items() if value}
    return ", ".join(f"{value} {COUNTS[key]}" for key, value in seen.items())


def _rows(overall: dict[str, Any], floors: list[Any]) -> list[list[Any]]:
    rows = []
    for name, shown in QUANTITIES.items():
        if overall[name]:
            rows.append(_row(shown, overall[name], overall["intervals"].get(name)))
            rows[-1].append(_floor_of(name, floors))
        if name == "forces":
            for element, errors in sorted(overall["forces_by_element"].items()):
                rows.append([*_row(f"  {element}", errors, None), ""])
    return rows


def _row(name: str, errors: dict[str, Any], intervals: dict[str, Any] | None) -> list[Any]:
    numbers = [_short(errors[key]) for key in ("rmse", "p95", "max")]
    r2 = "" if errors["r2"] is None else f"{errors['r2']:.4f}"
    interval = intervals["mae"] if intervals else None
    between = f"{interval['low']:.3g} {interval['high']:.3g}" if interval else ""
    return [name, errors["n"], _short(errors["mae"]), between, *numbers, r2]


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _floor_of(name: str, floors: list[Any]) -> str:
    found = [getattr(floor.errors, name) for floor in floors]
    return f"{max(errors.mae for errors in found if errors):.1g}" if any(found) else ""


def _say_alignment(alignment: dict[str, Any]) -> None:
    shifts = alignment["shifts_eV_per_atom"].items()
    told = ", ".join(f"{value:+.4f} eV for {name}" for name, value in shifts)
    say(
        f"  energies shifted by {alignment['n_parameters']} parameters fitted to "
        f"{alignment['n_structures']} structures: {told}"
    )


def _print_kinds(kinds: dict[str, Any]) -> None:
    rows = []
    for kind, errors in sorted(kinds.items()):
        found = [errors["energy"], errors["forces"], errors["forces"], errors["stress"]]
        names = ("mae", "mae", "rmse", "mae")
        shown = [_short(e[name]) if e else "" for e, name in zip(found, names, strict=True)]
        rows.append([kind or "(no kind)", errors["n_structures"], *shown])
    columns = ["kind", "n", "energy MAE", "force MAE", "RMSE", "stress MAE"]
    print_table("By kind: meV/atom, meV/A, meV/A^3", columns, rows)


def _print_families(metrics: dict[str, Any]) -> None:
    rows = [
        [
            family["family"][:10],
            family["n_structures"],
            "" if family["energy_mae"] is None else _short(family["energy_mae"]),
            "" if family["forces_rmse"] is None else _short(family["forces_rmse"]),
        ]
        for family in metrics["worst_families"][:MOST_FAMILIES]
    ]
    title = f"The worst of {metrics['n_families']} families: meV/atom, meV/A"
    print_table(title, ["family", "n", "energy MAE", "force RMSE"], rows)


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
        say("None of the cells has a defect.")
