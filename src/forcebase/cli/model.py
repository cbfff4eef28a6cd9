"""Commands for models from elsewhere: add, check, make an environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from forcebase.cli.console import (
    JsonOption,
    console,
    error_console,
    open_database,
    print_json,
    print_table,
)
from forcebase.errors import InputError, ModelError

app = typer.Typer(help="Models from elsewhere: add them, check them.", no_args_is_help=True)
DType = Literal["float64", "float32"]


@app.command()
def add(
    kind: Annotated[str, typer.Argument(help="mace, sevennet, chgnet or ase.")],
    source: Annotated[
        str, typer.Argument(help="File; name as 7net-l3i5, 0.3.0; for ase module:callable.")
    ],
    name: Annotated[str | None, typer.Option(help="Name the model, to call it by.")] = None,
    dtype: Annotated[DType, typer.Option(help="Precision to compute in.")] = "float64",
    head: Annotated[str | None, typer.Option(help="Readout head of a MACE with several.")] = None,
    keyword: Annotated[
        list[str] | None, typer.Option(help="key=value for the callable, value as JSON or text.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="keyword=FILE: the callable's file, kept with the model.")
    ] = None,
    elements: Annotated[
        str | None, typer.Option(help="As W,Se, where the package does not say.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a model: its weights are kept, and named by their digest.

    The file of a model is a pickle, which runs code when it is loaded: add only files that you
    would run. What is in the database already is found again.

    Examples:
      forcebase model add mace my.model --name my-mace
      forcebase model add sevennet 7net-l3i5 --name l3i5
      forcebase model add chgnet 0.3.0 --name chgnet
      forcebase model add ase ase.calculators.emt:EMT --elements Cu,Au
      forcebase model add ase mace.calculators:MACECalculator --weights model_paths=my.model
        --keyword device=cpu --keyword default_dtype=float64 --elements W,Se
    """
    from forcebase.model_library import add_model
    from forcebase.models.sources import Source

    wanted = Source(
        kind=kind,
        source=source,
        keywords=dict(_pair(text) for text in keyword or []),
        weights=_weights(weights),
        elements=[symbol.strip() for symbol in (elements or "").split(",") if symbol.strip()],
        dtype=dtype,
        head=head,
    )
    with open_database(writing=True) as db:
        model = add_model(db, wanted)
        if name:
            db.labels.name(name, "methods", model.id)
    summary = {
        "id": model.id,
        "title": model.title,
        "dtype": model.dtype,
        "elements": f"{len(model.elements)}: {', '.join(model.elements[:12])}",
        "package": model.package or "",
        "runs": model.environment.get("where", "here"),
        "weights": model.weights,
    }
    if as_json:
        print_json({**summary, "elements": list(model.elements)})
        return
    for key, value in summary.items():
        console.print(f"{key:<9} {value}", soft_wrap=True)


@app.command()
def check(
    model: Annotated[str, typer.Argument(help="Model: id, name or tag.")],
    structure: Annotated[
        str | None, typer.Option(help="Check on this one: id, name or tag.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that forces are the energy's gradient, that symmetry holds, and more.

    The exit code is 6 when a check fails.

    Examples:
      forcebase model check l3i5
      forcebase model check wse2-mace --structure wse2-unit-cell
    """
    from forcebase.model_library import check_stored_model

    with open_database() as db:
        method = db.require_model(model)
        chosen = db.require_structure(structure) if structure else None
        report = check_stored_model(db, method, chosen)
    if as_json:
        print_json({"model": method.id, **report.as_dict()})
    else:
        rows = [
            [
                "ok" if finding.passed else "FAILED",
                finding.name,
                "" if finding.figure is None else f"{finding.figure:.1e}",
                f"{finding.tolerance:.0e}",
                finding.unit,
                finding.note,
            ]
            for finding in report.findings
        ]
        columns = ["", "check", "deviation", "tolerance", "unit", "how"]
        print_table(f"{method.title}, {method.dtype}", columns, rows)
    if not report.passed:
        raise typer.Exit(ModelError.exit_code)


@app.command()
def environment(
    kind: Annotated[str, typer.Argument(help="sevennet or chgnet.")],
    folder: Annotated[Path | None, typer.Option(help="Other than the usual place.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an environment of its own for a package that cannot be installed beside MACE.

    Its models then run in a process of that environment. In another folder than the usual one it
    is found by FORCEBASE_PYTHON_SEVENNET. A second time installs nothing new.

    Example:
      forcebase model environment sevennet
    """
    from forcebase.models.foreign.environments import REQUIREMENTS, make_environment

    known = {name.lower(): name for name in REQUIREMENTS}
    if kind.lower() not in known:
        raise InputError(f"{kind!r} needs no environment.", hint=f"There is {', '.join(known)}.")
    error_console.print("Making the environment; pip takes minutes the first time.")
    python = make_environment(known[kind.lower()], folder)
    if as_json:
        print_json({"kind": known[kind.lower()], "python": str(python)})
        return
    console.print(f"{known[kind.lower()]} models run with {python}", soft_wrap=True)


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise InputError(f"--keyword {text}: no key=value.", hint="Write it as device=cpu.")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _weights(text: str | None) -> tuple[str, Path] | None:
    if text is None:
        return None
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise InputError(f"--weights {text}: no keyword=FILE.", hint="As model_paths=my.model.")
    return key, Path(value)
