"""forcebase demo: the main job on the data that comes with the project."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from forcebase.cli.console import (
    JsonOption,
    console,
    error_console,
    open_database,
    print_json,
    print_table,
    stage_bars,
)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("forcebase-demo"),
    full: Annotated[
        bool, typer.Option("--full", help="More DFT data, a larger model, longer training.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Other than the settings' own.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the training; 1 gives the same bits each time.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the main job: import, curate, train, predict, phonons, report.

    What an earlier run finished is found again, not computed again. A comparison that the model
    does not allow is named with the reason, here and in the report.

    Examples:
      forcebase demo --out my-report
      forcebase demo --threads 1
      forcebase demo --full --out my-report-full
    """
    started = time.monotonic()
    error_console.print("Starting: database and libraries ...")
    from forcebase.main_job import DEMO_JOB, FULL_JOB, run_main_job

    job = FULL_JOB if full else DEMO_JOB
    if epochs is not None:
        job = replace(
            job,
            model_name=f"{job.model_name}-{epochs}-epochs",
            settings=replace(job.settings, epochs=epochs),
        )
    if threads is not None:
        job = replace(job, settings=replace(job.settings, threads=threads))
    with open_database() as db, stage_bars() as bars:
        answer = run_main_job(db, job, out, _say, bars)
    seconds = time.monotonic() - started
    if as_json:
        metrics = {metric.name: metric.value for metric in answer.metrics}
        said = {"missing": answer.missing, "remarks": answer.remarks}
        print_json({**metrics, **said, "seconds": answer.steps, "report": str(answer.report)})
        return
    rows = [
        [m.label, f"{m.value:.{m.precision}f}", m.unit, _verdict(m.value, m.target), m.note]
        for m in answer.metrics
    ]
    print_table("Results", ["metric", "value", "unit", "target", "on"], rows)
    for what, reason in answer.missing.items():
        console.print("[yellow]Not compared:[/]", Text(f"{what}: {reason}"), soft_wrap=True)
    for remark in answer.remarks:
        console.print("[yellow]Note:[/]", Text(remark), soft_wrap=True)
    steps = ", ".join(f"{step} {s:.1f}" for step, s in answer.steps.items())
    console.print(f"Seconds by step, as recorded: {steps}. This run: {seconds:.0f} s.")
    console.print(f"Report: [bold]{answer.report}[/]", soft_wrap=True)


def _say(sentence: str) -> None:
    error_console.print(sentence, markup=False, soft_wrap=True)


def _verdict(value: float, target: float | None) -> str:
    if target is None:
        return ""
    return f"[green]< {target:g}[/]" if value < target else f"[yellow]missed {target:g}[/]"
