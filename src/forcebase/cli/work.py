"""Commands that do work: import, train, predict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from forcebase.cli.archive import import_archives
from forcebase.cli.arguments import DatasetArgument, ModelArgument
from forcebase.cli.console import JsonOption, note, open_database, print_json, say, stage_bars
from forcebase.cli.launch import print_report
from forcebase.cli.model import DType
from forcebase.cli.places import (
    ProjectOption,
    RemoteOption,
    ResourcesOption,
    WorkerOption,
    awaited,
    check_place,
    place_of,
)
from forcebase.cli.stale import warn_if_stale
from forcebase.cli.tables import cell
from forcebase.errors import InputError
from forcebase.paths import check_readable

if TYPE_CHECKING:
    from forcebase.models.training_settings import TrainingSettings

TrainingDevice = Literal["auto", "cpu", "cuda"]
NameOption = Annotated[str | None, typer.Option(help="Name the result, to call it by.")]


def import_files(
    paths: Annotated[list[Path], typer.Argument(help="Files, folders, globs or archives.")],
    steps: Annotated[str, typer.Option(help="Ionic steps of a code's run: all or last.")] = "last",
    k_spacing: Annotated[
        float | None, typer.Option(help="1/A: the rule by which all k-meshes were chosen.")
    ] = None,
    energy_key: Annotated[str | None, typer.Option(help="Name of the energy in extxyz.")] = None,
    forces_key: Annotated[str | None, typer.Option(help="Name of the forces.")] = None,
    stress_key: Annotated[str | None, typer.Option(help="Name of the stress.")] = None,
    method: Annotated[
        Path | None, typer.Option(help="A method.yaml for files that have none beside them.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="The model of force field documents in a JobStore.")
    ] = "",
    workers: Annotated[int | None, typer.Option(help="Processes that parse.")] = None,
    keep_raw: Annotated[
        bool, typer.Option("--keep-raw", help="Keep the files themselves too, compressed.")
    ] = False,
    may_write: Annotated[
        bool, typer.Option("--may-write", help="Make indexes in the JobStores that are read.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Turn files into records: outputs of DFT codes, extxyz, ASE databases, phonopy, JobStores.

    VASP, CP2K, Quantum ESPRESSO, GPAW, FHI-aims and ABINIT are recognised by their content. A
    method.yaml says how labels were made where the files do not. The same import twice adds
    nothing; the exit code is 2 when an output could not be read. What else lies in a folder, as
    inputs, scripts and what tools write, is left and counted. Links are followed.

    Examples:
      forcebase import data/wse2_gpaw
      forcebase import runs.tar.gz 'old/**/vasprun.xml*' --steps all
      forcebase import cells.extxyz --energy-key dft_energy --method method.yaml
      forcebase import wse2-mace.zip          # of `forcebase export`
    """
    from forcebase.archive import is_archive
    from forcebase.ingest.description import read_description
    from forcebase.ingest.importing import import_paths
    from forcebase.ingest.options import ImportOptions, Steps

    if paths and all(map(is_archive, paths)):
        with open_database(writing=True) as db, stage_bars() as bars:
            import_archives(db, paths, bars, as_json)
        return
    if archives := [str(path) for path in paths if is_archive(path)]:
        raise InputError(f"{archives[0]} is an archive of records.", hint="Import it by itself.")

    if steps not in tuple(Steps):
        raise InputError(f"--steps {steps}: no such choice.", hint="Give all or last.")
    if method is not None:
        check_readable(method)
        read_description(method, "the files", listed=False)
    asked = {"energy": energy_key, "forces": forces_key, "stress": stress_key}
    options = ImportOptions(
        steps=Steps(steps),
        k_spacing=k_spacing,
        keys={name: key for name, key in asked.items() if key is not None},
        description=method,
        model=model,
        workers=workers,
        keep_raw=keep_raw,
        may_write=may_write,
    )
    with open_database(writing=True) as db, stage_bars() as bars:
        if model:
            db.require_model(model)
        report = import_paths(db, paths, lambda _, n, total: bars("import", n, total, {}), options)
    kept = f", {report.kept} kept" if report.kept else ""
    left = f", {report.left} of other kinds left" if report.left else ""
    read = f"{report.files} files read, {len(report.unchanged)} known"
    print_report(report, f"{read}{kept}{left}", as_json)
    if report.failed:
        raise typer.Exit(InputError.exit_code)


def train(
    dataset: DatasetArgument,
    name: NameOption = None,
    full: Annotated[
        bool, typer.Option("--full", help="The preset full, in place of demo.")
    ] = False,
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="YAML: settings by MACE's names.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the training.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Other than the settings' own.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Cells per step; by default by their number and size.")
    ] = None,
    dtype: Annotated[
        DType | None,
        typer.Option(help="Of the training; by default float32 where it resolves the energies."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="1 gives the same bits each time; by default 2 where free."),
    ] = None,
    device: Annotated[
        TrainingDevice, typer.Option(help="Where it is trained; auto takes a GPU if there is one.")
    ] = "auto",
    parent: Annotated[
        str | None, typer.Option("--from", help="Tune this MACE: id, name or tag.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Initial learning rate.")] = None,
    remote: RemoteOption = False,
    worker: WorkerOption = None,
    resources: ResourcesOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train MACE on a dataset; the same dataset and settings give the model there is.

    Two presets: demo (32 channels, max_L 1, correlation 2, 170 epochs: minutes on two cores for a
    hundred small cells) and full (64 channels, correlation 3, 300 epochs in float64: an hour or
    more). --settings names a file with any setting of MACE's: docs/training.md lists them.

    What is not said is chosen by the cells and the machine, and printed before the training
    begins; the model's record holds it. A model is applied in float64 whatever it was trained in.

    With --remote a worker trains it, chooses the number of threads, and the model gets its --name
    when it is collected.

    Examples:
      forcebase train wse2-pbe@1 --name wse2-mace
      forcebase train wse2-pbe@1 --threads 1 --dtype float64 --batch-size 2
      forcebase train wse2-pbe@2 --full --device cuda
      forcebase train wse2-pbe@2 --settings training.yaml
      forcebase train wse2-pbe@2 --from wse2-mace --epochs 30 --lr 0.001
      forcebase train wse2-pbe@2 --name wse2-mace-2 --remote --worker gpu
    """
    from dataclasses import replace

    from forcebase.actions.training import train_model
    from forcebase.models.settings_file import read_settings
    from forcebase.models.training_settings import DEMO, FULL

    if full and settings_file:
        raise InputError("Give --full or --settings.", hint="Write `preset: full` into the file.")
    said: dict[str, Any] = {
        "epochs": epochs,
        "lr": lr,
        "batch_size": batch_size,
        "dtype": dtype,
        "threads": threads,
        "device": None if device == "auto" else device,
        "seed": seed,
    }
    given = {key: value for key, value in said.items() if value is not None}
    base = read_settings(settings_file) if settings_file else FULL if full else DEMO
    settings = replace(base, **given)
    where = place_of(remote, worker, resources, project)
    with open_database(writing=True) as db, stage_bars() as bars:
        check_place(db, where)
        data: Any = db.resolve(dataset, "datasets")[1]
        warn_if_stale(db, ("datasets", data.id))
        tuned = db.require_model(parent) if parent else None
        answer = train_model(
            db,
            data,
            settings,
            parent=tuned,
            name=name,
            where=where,
            progress=bars,
            on_start=_print_settings,
        )
        model = awaited(answer, as_json)
        if model is None:
            return
        summary = {"id": model.id, "title": model.title, "dataset": data.title}
    _print_summary({**summary, "seconds": model.wall_time}, as_json)


def _print_settings(chosen: TrainingSettings) -> None:
    note(f"Training: {chosen.summary()}.")


def predict(
    model: ModelArgument,
    dataset: Annotated[str | None, typer.Option(help="Label this dataset's structures.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
    structure: Annotated[list[str] | None, typer.Option(help="Or these structures.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Label all anew, and compare with what is there.")
    ] = False,
    remote: RemoteOption = False,
    worker: WorkerOption = None,
    resources: ResourcesOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Label structures with a model; what it labelled before is not computed again.

    With --again it is: an answer that differs from the first by more than its precision allows is
    said, and kept with the activity; the first stays. With --remote a worker labels them.

    Examples:
      forcebase predict wse2-mace --dataset wse2-pbe@1 --split test
      forcebase predict wse2-mace --structure STRUCTURE
      forcebase predict wse2-mace --dataset wse2-pbe@1 --split test --again
      forcebase predict wse2-mace --dataset wse2-pbe@1 --remote --worker gpu
    """
    from forcebase.actions.datasets import structures_of
    from forcebase.actions.predictions import predict as predict_structures

    where = place_of(remote, worker, resources, project)
    with open_database(writing=True) as db, stage_bars() as bars:
        check_place(db, where)
        method = db.require_model(model)
        warn_if_stale(db, ("methods", method.id))
        ids = [db.require_structure(text).id for text in structure or []]
        if dataset:
            ids += structures_of(db, db.resolve(dataset, "datasets")[1], split)  # type: ignore[arg-type]
        if not ids:
            raise InputError("There is nothing to predict.", hint="Give --dataset or --structure.")
        before = db.calculations.count(method=method.id)
        done = predict_structures(db, method, ids, again=again, where=where, progress=bars)
        if awaited(done, as_json) is None:
            return
        n_new = db.calculations.count(method=method.id) - before
    _print_summary({"model": method.id, "structures": len(ids), "new": n_new}, as_json)


def _print_summary(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(summary)
        return
    for key, value in summary.items():
        say(f"{key:<10} {cell(value).plain}")
