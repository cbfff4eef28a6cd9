"""How `forcebase compare --reference` shows several models, and has them label what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forcebase.cli.console import note, print_json, say, stage_bars
from forcebase.cli.places import awaited
from forcebase.cli.stale import warn_of_comparison
from forcebase.cli.tables import print_table

NAMED = 3
"""Missing structures that are named; all are with --json."""


def show_matrix(
    db: Any,
    models: Sequence[str],
    references: Sequence[str],
    on: Any,
    align: str,
    only: str,
    again: bool,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Compare all models with all references, print it, and draw it."""
    from forcebase.comparison import compare_matrix, selection
    from forcebase.comparison.comparing import align_of, only_of
    from forcebase.comparison.matrix import require_cells

    rows, columns = _methods(db, models), _methods(db, references)
    chosen = selection(db, on, only_of(only))
    matrix = compare_matrix(db, rows, columns, chosen, alignment=align_of(align), recompute=again)
    names = dict(zip([m.id for m in [*rows, *columns]], [*models, *references], strict=True))
    if picture is not None or not as_json:
        require_cells(matrix)
    for validation in matrix.cells.values():
        if validation is not None:
            warn_of_comparison(db, validation)
    if picture is not None:
        from forcebase.report.matrix import write_matrix_picture

        write_matrix_picture(matrix, names, picture)
    if as_json:
        print_json(matrix.as_dict())
        return
    _print_matrix(matrix, names)
    if picture is not None:
        say(f"Picture in {picture}")


def fill_labels(
    db: Any, models: Sequence[str], references: Sequence[str], on: Any, where: Any, as_json: bool
) -> bool:
    """Have models label what a reference has labelled and they have not, here or at a place.

    Returns:
        Whether all labels are there; else they are on their way, which is told.
    """
    from forcebase.actions.filling import fill_labels as fill
    from forcebase.comparison import selection
    from forcebase.records import ModelMethod

    named = dict(zip(models, _methods(db, models), strict=True))
    able = {name: method for name, method in named.items() if isinstance(method, ModelMethod)}
    for name in named.keys() - able:
        note(f"{name} is DFT: `forcebase launch FLOW --remote` computes what it lacks.")
    asked = (db, list(able.values()), _methods(db, references), selection(db, on))
    with stage_bars() as bars:
        filled = awaited(fill(*asked, where=where, progress=bars), as_json)
    if filled is None:
        return False
    for name, method in able.items():
        note(f"{name}: {filled[method.id]} structures labelled now")
    return True


def _methods(db: Any, names: Sequence[str]) -> list[Any]:
    return [db.resolve(name, "methods")[1] for name in names]


def _seen(leakage: Any) -> str:
    """How many of the structures, or members of their families, the model was trained on."""
    if leakage["n_unknown"]:
        return "unknown"
    return str(leakage["n_in_training"] + leakage["n_same_family"])


def _print_matrix(matrix: Any, names: dict[str, str]) -> None:
    rows = []
    for (model, reference), found in matrix.cells.items():
        missing = len(matrix.missing[model, reference])
        if found is None:
            rows.append([names[model], names[reference], 0, missing, *[""] * 5])
            continue
        overall = found.metrics["overall"]
        kept = ("energy", "energy_aligned", "forces", "stress")
        errors = [f"{overall[key]['mae']:.3g}" if overall[key] else "" for key in kept]
        seen = _seen(found.leakage)
        rows.append([names[model], names[reference], found.n, missing, seen, *errors])
    columns = ["model", "reference", "n", "lacks", "seen", "energy", "shifted", "force", "stress"]
    title = "MAE: meV/atom, meV/A, meV/A^3, on the structures that all models have labelled"
    print_table(title, columns, rows)
    for (model, reference), missing in matrix.missing.items():
        if missing:
            some = ", ".join(structure[:10] for structure in missing[:NAMED])
            rest = ", ..." if len(missing) > NAMED else ""
            say(
                f"  {names[model]} lacks {len(missing)} that {names[reference]} has: {some}{rest}; "
                "--fill has it label them"
            )
