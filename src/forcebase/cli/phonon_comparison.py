"""How `forcebase compare` shows two phonons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forcebase.cli.console import print_json, say
from forcebase.cli.label_comparison import leakage_told
from forcebase.cli.tables import print_table


def show_phonon_comparison(
    db: Any,
    comparison: Any,
    rows: list[tuple[str, Any, str]],
    picture: Path | None,
    fields: dict[str, Any] | None,
) -> None:
    """Print a comparison of phonons with its noise floors, and draw it.

    Args:
        db: the database.
        comparison: of phonons.
        rows: its metrics as (dotted name, number, unit).
        picture: PNG to write, or None.
        fields: of the record, to be printed as JSON; None for tables.
    """
    from forcebase.comparison.phonon_floor import largest_floors

    validation, floors = comparison.validation, comparison.floors
    if picture is not None:
        from forcebase.report.phonon_pair import write_phonon_picture

        write_phonon_picture(db, comparison, picture)
    if fields is not None:
        print_json({**fields, "floors": [floor.as_dict() for floor in floors]})
        return
    _print_metrics(validation, rows, largest_floors(floors))
    _print_force_constants(validation.metrics["force_constants"]["by_distance"])
    if words := validation.on.get("nac_words"):
        say(f"  {words}")
    for part, values in validation.on["allowed"].items():
        say(f"  allowed: {part}, {' and '.join(values)}")
    if validation.on["not_known"]:
        say(f"  not told by both records: {', '.join(validation.on['not_known'])}")
    say(f"  cell and displaced cells: {leakage_told(validation)}")
    for floor in floors:
        say(
            f"  noise floor of the {floor.side}: {floor.varied} {' and '.join(floor.values)}, "
            f"band MAE {floor.validation.metrics['band_mae_THz']:.2g} THz, "
            f"validation {floor.validation.id[:10]}"
        )
    if picture is not None:
        say(f"Picture in {picture}")


def _print_metrics(
    validation: Any, rows: list[tuple[str, Any, str]], floors: dict[str, float]
) -> None:
    title = f"validation {validation.id[:10]}, n = {validation.n}"
    shown: list[list[Any]] = [[name, value] for name, value, _ in rows]
    columns = ["metric", "value"]
    if floors:
        columns.append("noise floor")
        for row in shown:
            row.append(None if _is_no_error(row[0]) else floors.get(row[0]))
    print_table(title, columns, shown)


def _is_no_error(name: str) -> bool:
    """What both sides have, or the comparison's own counts, has no floor."""
    words = ("reference", "imaginary", "temperature", "n_pairs", "n_left_out", "overlap")
    return any(word in name for word in words)


def _print_force_constants(bins: list[dict[str, Any]]) -> None:
    names = ("distance", "n_pairs", "mae", "rmse", "frobenius", "size")
    print_table(
        "Errors of force constants by the pair's distance, eV/A^2",
        ["distance, A", "pairs", "MAE", "RMSE", "norm", "norm of reference"],
        [[row[name] for name in names] for row in bins],
    )
