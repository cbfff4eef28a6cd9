"""forcebase dataset: build, list, show, tell versions apart, export."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from forcebase.cli.arguments import DatasetArgument
from forcebase.cli.commands import CommandGroup
from forcebase.cli.console import JsonOption, open_database, print_json, say, stage_bars
from forcebase.cli.filters import FiltersArgument, parse_filters, resolve_names
from forcebase.cli.records import SHORT
from forcebase.cli.stale import warn_if_stale
from forcebase.cli.tables import print_table
from forcebase.errors import InputError
from forcebase.paths import check_writable

app = CommandGroup(help="Frozen, versioned lists of calculations.")
MANY = 8
"""Entries of a list that a reader is shown in full."""


@app.command()
def build(
    name: Annotated[str, typer.Argument(help="Name of the dataset.")],
    filters: FiltersArgument = None,
    recipe_file: Annotated[
        Path | None, typer.Option("--recipe", help="Recipe file to start from.")
    ] = None,
    step: Annotated[
        list[str] | None, typer.Option(help="Take or change a step: name:setting=value,...")
    ] = None,
    skip: Annotated[list[str] | None, typer.Option(help="Leave a step out.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the split.")] = None,
    fractions: Annotated[
        str | None, typer.Option(help="Shares of train,valid,test, as 0.8,0.08,0.12.")
    ] = None,
    license: Annotated[str | None, typer.Option(help="SPDX identifier, as CC-BY-4.0.")] = None,
    energy: Annotated[
        str | None, typer.Option(help="extrapolated, in place of the free energy of the forces.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Curate calculations into a new version; the same records give the same version again.

    Examples:
      forcebase dataset build wse2-pbe elements=W,Se method_class=dft
      forcebase dataset build wse2-weak elements=W,Se 'max_force < 5 AND nsites >= 8'
      forcebase dataset build wse2-few elements=W,Se --step farthest-point:n=30
      forcebase dataset build wse2-own --step force-outliers:z=6 --skip near-duplicates
      forcebase dataset build wse2-again --recipe recipe.yaml --license CC-BY-4.0
    """
    from forcebase.actions.datasets import build_dataset
    from forcebase.curation.recipe import CurationRecipe, change_steps, parse_step, read_recipe

    recipe = read_recipe(recipe_file) if recipe_file else CurationRecipe()
    said: dict[str, Any] = {
        "seed": seed,
        "license": license,
        "fractions": _shares(fractions),
        "energy": energy,
    }
    recipe = replace(
        recipe,
        steps=change_steps(recipe.steps, map(parse_step, step or []), skip or []),
        **{key: value for key, value in said.items() if value is not None},
    )
    with open_database(writing=True) as db, stage_bars() as bars:
        recipe = replace(recipe, filters=resolve_names(db, recipe.filters))
        if recipe.e0s_method:
            recipe = replace(recipe, e0s_method=db.resolve(recipe.e0s_method, "methods")[1].id)
        chosen = parse_filters(db, filters)
        dataset = build_dataset(db, name, chosen, recipe=recipe, progress=bars)
        _print_dataset(db, dataset, as_json)


@app.command()
def recipe(dataset: DatasetArgument, as_json: JsonOption = False) -> None:
    """Print the recipe of a dataset, as `dataset build --recipe` reads it.

    Example:
      forcebase dataset recipe wse2-pbe@1 > recipe.yaml
    """
    from forcebase.curation.recipe import recipe_text
    from forcebase.datasets.recipe import recipe_of
    from forcebase.safety.yaml_text import parse_yaml

    with open_database() as db:
        text = recipe_text(recipe_of(db.resolve(dataset, "datasets")[1]))
    if as_json:
        print_json(parse_yaml(text, dataset))
        return
    sys.stdout.write(text)


@app.command(name="ls")
def list_datasets(as_json: JsonOption = False) -> None:
    """List all datasets.

    Example:
      forcebase dataset ls
    """
    with open_database() as db:
        rows = [_row(dataset) for dataset in db.datasets.find(sort="name")]
    if as_json:
        print_json(rows)
        return
    _print_rows(rows)


@app.command()
def show(dataset: DatasetArgument, as_json: JsonOption = False) -> None:
    """Show a dataset: counts, steps, E0s, and what was dropped with the reason.

    Example:
      forcebase dataset show wse2-pbe@1
    """
    with open_database() as db:
        found = db.resolve(dataset, "datasets")[1]
        _print_dataset(db, found, as_json)
        warn_if_stale(db, ("datasets", found.id))


@app.command()
def diff(before: DatasetArgument, after: DatasetArgument, as_json: JsonOption = False) -> None:
    """Say what changed from one version to another.

    Example:
      forcebase dataset diff wse2-pbe@1 wse2-pbe@2
    """
    from forcebase import datasets

    with open_database() as db:
        found = datasets.diff(
            db, db.resolve(before, "datasets")[1], db.resolve(after, "datasets")[1]
        )
        kinds = {c.id: c.kind for c in db.calculations.find(id=_mentioned(found))}
    if as_json:
        print_json(found.as_dict())
        return
    for sign, members in (("+", found.added), ("-", found.removed)):
        for split, calculations in members.items():
            for calculation in calculations:
                say(f"{sign} {split:<6} {calculation[:SHORT]} {kinds.get(calculation, '')}")
    for calculation, old, new in found.moved:
        say(f"> {calculation[:SHORT]} {old} -> {new}")
    for calculation, reason in found.dropped.items():
        say(f"x {calculation[:SHORT]} {reason}")
    for calculation, reason in found.gone.items():
        say(f"x {calculation[:SHORT]} no candidate: {reason}")
    for name, (earlier, later) in found.steps.items():
        say(f"~ step {name}: {_taken(earlier)} -> {_taken(later)}")
    for field, (old, new) in found.changed.items():
        say(f"~ {field}: {_in_short(old)} -> {_in_short(new)}")
    n_added, n_removed = (sum(map(len, m.values())) for m in (found.added, found.removed))
    say(
        f"{found.before} -> {found.after}: {n_added} added, {n_removed} removed, "
        f"{len(found.moved)} moved, {len(found.dropped)} newly dropped"
    )


def _in_short(value: Any) -> Any:
    """A value without its long lists: hundreds of ids say nothing to a reader."""
    if isinstance(value, dict):
        return {key: _in_short(item) for key, item in value.items()}
    return f"{len(value)} of them" if isinstance(value, list) and len(value) > MANY else value


@app.command()
def card(
    dataset: DatasetArgument,
    out: Annotated[
        Path | None, typer.Option(help="FILE.md or FILE.html; without it, Markdown here.")
    ] = None,
) -> None:
    """Write a dataset's card: composition, ranges, method, license, drops, how to make it again.

    Examples:
      forcebase dataset card wse2-pbe@1
      forcebase dataset card wse2-pbe@1 --out wse2-pbe.html
    """
    from forcebase.datasets.card import make_card
    from forcebase.datasets.card_text import markdown, write_card

    if out is not None:
        check_writable(out, (".md", ".html"))
    with open_database() as db:
        found = db.resolve(dataset, "datasets")[1]
        made = make_card(db, found)
        warn_if_stale(db, ("datasets", found.id))
    if out is None:
        sys.stdout.write(markdown(made))
        return
    say(str(write_card(made, out)))


@app.command()
def export(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(),
    how: Annotated[str, typer.Option("--format", help="extxyz or mace-hdf5.")] = "extxyz",
    as_json: JsonOption = False,
) -> None:
    """Write one file a split: extxyz with MACE's REF_ keys, or MACE's own HDF5.

    Examples:
      forcebase dataset export wse2-pbe@1 --out exported
      forcebase dataset export wse2-pbe@1 --out exported --format mace-hdf5
    """
    from forcebase.datasets.export import ExportFormat
    from forcebase.datasets.export import export as write_files

    if how not in tuple(ExportFormat):
        known = " or ".join(ExportFormat)
        raise InputError(f"--format {how}: no such format.", hint=f"Give {known}.")
    with open_database() as db:
        found = db.resolve(dataset, "datasets")[1]
        written = write_files(db, found, out, ExportFormat(how))
        warn_if_stale(db, ("datasets", found.id))
    if as_json:
        print_json([str(path) for path in written])
        return
    for path in written:
        say(str(path))


def _taken(parameters: dict[str, Any] | None) -> str:
    """A step's settings in a line; long lists of ids as their number."""
    if parameters is None:
        return "not taken"
    return ", ".join(
        f"{key}={f'{len(value)} listed' if isinstance(value, list) else value}"
        for key, value in parameters.items()
    )


def _shares(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"{text!r} are not shares.", hint="Write three numbers, as 0.8,0.08,0.12."
        ) from None


def _mentioned(found: Any) -> list[str]:
    groups = [*found.added.values(), *found.removed.values()]
    return [calculation for group in groups for calculation in group]


def _row(dataset: Any) -> dict[str, Any]:
    counts = {name: dataset.counts.get(name, 0) for name in ("train", "valid", "test", "dropped")}
    return {"dataset": dataset.title, "id": dataset.id, **counts, "method": dataset.method}


def _print_rows(rows: list[dict[str, Any]]) -> None:
    short = [{**row, "id": row["id"][:SHORT], "method": row["method"][:SHORT]} for row in rows]
    columns = ["dataset", "id", "train", "valid", "test", "dropped", "method"]
    print_table("datasets", columns, [[row[column] for column in columns] for row in short])


def _print_dataset(db: Any, dataset: Any, as_json: bool) -> None:
    dropped = [
        {"calculation": m.calculation, "step": m.step, "reason": m.reason}
        for m in db.members.iterate(dataset=dataset.id, split="dropped", sort="calculation")
    ]
    steps = [dict(step) for step in dataset.steps]
    if as_json:
        beside = {"e0s": dict(dataset.e0s), "e0s_source": dataset.e0s_source, "steps": steps}
        beside |= {"findings": list(dataset.findings), "energy_kind": dataset.energy_kind}
        beside["equated"] = list(dataset.query.get("equated") or ())
        print_json({**_row(dataset), **beside, "dropped_records": dropped})
        return
    _print_rows([_row(dataset)])
    e0s = "  ".join(f"{symbol} {energy:.4f} eV" for symbol, energy in dataset.e0s.items())
    say(f"E0s {e0s}  ({dataset.e0s_source}, of method {dataset.method[:SHORT]})")
    say(f"energies: {dataset.energy_kind or 'of a kind that is not recorded'}")
    for equivalence in dataset.query.get("equated") or ():
        found = db.equivalences.get(equivalence)
        say(f"methods taken for one: {found.title} ({found.reason})")
    for finding in dataset.findings:
        say(("finding", "yellow"), f" {finding}")
    print_table(
        "steps", ["step", "in", "dropped"], [[s["name"], s["n_in"], s["n_dropped"]] for s in steps]
    )
    if dropped:
        rows = [[d["calculation"][:SHORT], d["step"], d["reason"]] for d in dropped]
        print_table("dropped", ["calculation", "step", "reason"], rows)
