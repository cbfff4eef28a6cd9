"""Commands for models from elsewhere: add, check, make an environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from forcebase.cli.arguments import ModelArgument
from forcebase.cli.commands import CommandGroup
from forcebase.cli.console import JsonOption, note, open_database, print_json, say
from forcebase.cli.tables import print_table
from forcebase.errors import InputError, ModelError
from forcebase.paths import check_folder

app = CommandGroup(help="Models from elsewhere: add them, check them.")
Format = Literal["model", "neutral"]
DType = Literal["float64", "float32"]


@app.command()
def add(
    kind: Annotated[str, typer.Argument(help="mace, sevennet, chgnet, ase, or of a plug-in.")],
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

    The file of a model is a pickle, which runs code when it is opened: add only files that you
    would run. That of a MACE is opened once, in a process without network, and kept as numbers
    and architecture, from which it is loaded ever after; such a neutral form (`forcebase model
    export --format neutral`) can be added too, and runs nothing. What is in the database already
    is found again. Of a MACE with several readout heads one is named, by --head.

    Examples:
      forcebase model add mace my.model --name my-mace
      forcebase model add mace two-heads.model --head pbe
      forcebase model add mace from-a-colleague.safetensors
      forcebase model add sevennet 7net-l3i5 --name l3i5
      forcebase model add chgnet 0.3.0 --name chgnet
      forcebase model add ase ase.calculators.emt:EMT --elements Cu,Au
      forcebase model add ase mace.calculators:MACECalculator --weights model_paths=my.model \\
        --keyword device=cpu --keyword default_dtype=float64 --elements W,Se
    """
    from forcebase.actions.models import add_model
    from forcebase.database.neutral_models import same_models
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
        if name:
            db.names.check(name)
        model = add_model(db, wanted)
        if name:
            db.names.name(name, "methods", model.id)
        same = same_models(db.raw, [model.id]).get(model.id, [])
    summary = {
        "id": model.id,
        "title": model.title,
        "dtype": model.dtype,
        "head": model.head or "",
        "elements": f"{len(model.elements)}: {', '.join(model.elements[:12])}",
        "network": _network(model.hyperparameters),
        "package": model.package or "",
        "runs": model.environment.get("where", "here"),
        "weights": model.weights,
        "neutral": model.neutral or "",
    }
    if as_json:
        print_json({**summary, "elements": list(model.elements), "same_as": same})
        return
    if same:
        summary["same as"] = f"{', '.join(m[:10] for m in same)}: another file of the same numbers"
    for key, value in summary.items():
        say(f"{key:<9} {value}")


@app.command()
def convert(
    model: Annotated[str, typer.Argument(help="MACE: id, name or tag.")],
    as_json: JsonOption = False,
) -> None:
    """Open the file of a MACE that has no neutral form, and keep that.

    Such are models of a database that was brought to schema version 7 where MACE was not
    installed. The file is a pickle, which runs code when it is opened; one that came in an archive
    needs `forcebase model trust` instead. It is opened in a process of its own, without network
    where the system permits, and with limits; the neutral form is compared with the file's answers
    and with the golden probe. Where there is one already it is compared with the file.

    Example:
      forcebase model convert old-mace
    """
    from forcebase.actions.models import convert_model

    with open_database(writing=True) as db:
        converted, notes = convert_model(db, db.require_model(model))
    if as_json:
        print_json({"id": converted.id, "neutral": converted.neutral, "notes": notes})
        return
    say(f"{converted.title}: neutral form {converted.neutral}")
    for remark in notes:
        note(remark)


@app.command()
def export(
    model: ModelArgument,
    out: Annotated[Path, typer.Option("--out", help="A new file.")],
    format: Annotated[Format, typer.Option(help="model or neutral.")] = "model",
    as_json: JsonOption = False,
) -> None:
    """Give a model's file back, for ASE, LAMMPS or its own package.

    `model` is the very file that was added or trained. Where a MACE is there only in its neutral
    form, its file is made from that by the installed MACE. `neutral` is the neutral form: numbers
    and architecture in one safetensors file, that nobody need be trusted for.

    Examples:
      forcebase model export wse2-mace --out wse2.model       # MACECalculator(model_paths=...)
      mace_create_lammps_model wse2.model                     # MACE's own, for LAMMPS
      forcebase model export wse2-mace --out wse2.safetensors --format neutral
    """
    from forcebase.actions.models import export_model

    with open_database() as db:
        chosen = db.require_model(model)
        what = export_model(db, chosen, out, format)
    if as_json:
        print_json({"model": chosen.id, "file": str(out), "format": format, "what": what})
        return
    say(f"{out}: {chosen.title}, {what}, {out.stat().st_size:,} bytes")


@app.command()
def check(
    model: ModelArgument,
    structure: Annotated[
        str | None, typer.Option(help="Check on this one: id, name or tag.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that forces are the energy's gradient, that symmetry holds, and more.

    The exit code is 6 when a check fails. What the model did not give again earlier, when it was
    asked the same, is told below.

    Examples:
      forcebase model check l3i5
      forcebase model check wse2-mace --structure wse2-unit-cell
    """
    from forcebase.actions.models import check_stored_model, not_reproduced

    with open_database() as db:
        method = db.require_model(model)
        chosen = db.require_structure(structure) if structure else None
        report = check_stored_model(db, method, chosen)
        before = not_reproduced(db, method)
    if as_json:
        print_json({"model": method.id, **report.as_dict(), "not_reproduced": before})
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
        for text in before:
            say(("finding", "yellow"), f" {text}")
    if not report.passed:
        raise typer.Exit(ModelError.exit_code)


@app.command()
def trust(
    model: Annotated[
        str | None, typer.Argument(help="Model: id, name or tag; without, those that wait.")
    ] = None,
    named: Annotated[
        str | None,
        typer.Option("--callable", help="module:callable, of a package that is not known."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let a model run that came in an archive, after showing what it would run.

    Until then it can be listed, compared and exported; nothing of it runs, and `forcebase verify`
    leaves out its probe. Trust a model only if you trust those who made it. The file of a MACE is
    then opened, once, as `forcebase model convert` does.

    Examples:
      forcebase model trust
      forcebase model trust their-mace
      forcebase model trust their-emt --callable their_package.calculators:EMT --yes
    """
    from dataclasses import asdict

    from forcebase.actions.models import convert_model, require_converting
    from forcebase.database import trust as trusting
    from forcebase.outputs import MACE

    with open_database(writing=model is not None) as db:
        if model is None:
            _print_waiting(db, trusting, as_json)
            return
        method = db.require_model(model)
        runs = trusting.what_runs(db, method)
        waits = trusting.may_run(db, method) is not None
        if not as_json:
            for key, value in asdict(runs).items():
                say(f"{key:<9} {value or ''}")
        if waits:
            trusting.require_known_callable(runs, named)
            require_converting(db, method)
            if not yes and (as_json or not typer.confirm("Let it run?", err=True)):
                raise InputError("It was not trusted.", hint="--yes does not ask.")
            trusting.trust(db, method)
            if method.kind == MACE:  # with a neutral form it would not have waited
                convert_model(db, method)
    if as_json:
        print_json({**asdict(runs), "may_run": True})
        return
    say("It may run." if waits else "It could run already.")


def _print_waiting(db: Any, trusting: Any, as_json: bool) -> None:
    found = [trusting.what_runs(db, db.methods.get(model)) for model in trusting.waiting(db)]
    if as_json:
        print_json([{"model": runs.model, "origin": runs.origin} for runs in found])
        return
    rows = [
        [runs.model[:10], runs.kind, " ".join(db.names.of(runs.model)), runs.origin]
        for runs in found
    ]
    print_table(f"{len(rows)} models wait to be trusted", ["id", "kind", "labels", "origin"], rows)


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
    from forcebase.models.third_party.environments import REQUIREMENTS, make_environment

    known = {name.lower(): name for name in REQUIREMENTS}
    if kind.lower() not in known:
        raise InputError(f"{kind!r} needs no environment.", hint=f"There is {', '.join(known)}.")
    if folder is not None:
        check_folder(folder)
    note("Making the environment; pip takes minutes the first time.")
    python = make_environment(known[kind.lower()], folder)
    if as_json:
        print_json({"kind": known[kind.lower()], "python": str(python)})
        return
    say(f"{known[kind.lower()]} models run with {python}")


def _network(settings: Mapping[str, Any]) -> str:
    """Of a MACE, as "2 layers of 64 channels, max_L 1, cutoff 5 A"."""
    if "num_channels" not in settings:
        return ""
    layers = settings["num_interactions"]
    return (
        f"{layers} layer{'s' if layers != 1 else ''} of {settings['num_channels']} channels, "
        f"max_L {settings['max_L']}, cutoff {settings['r_max']:g} A"
    )


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise InputError(f"--keyword {text}: no key=value.", hint="Write it as device=cpu.")
    try:
        return key, json.loads(value)
    except (ValueError, RecursionError):
        return key, value


def _weights(text: str | None) -> tuple[str, Path] | None:
    if text is None:
        return None
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise InputError(f"--weights {text}: no keyword=FILE.", hint="As model_paths=my.model.")
    return key, Path(value)
