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
    note,
    open_database,
    print_json,
    say,
    stage_bars,
    words,
)
from forcebase.cli.tables import print_table


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("forcebase-demo"),
    full: Annotated[
        bool, typer.Option("--full", help="More DFT data, a larger model, longer training.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Other than the settings' own.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Of the training; 1 gives the same bits each time."),
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
    note("Starting: database and libraries ...")
    from forcebase.actions.main_job import DEMO_JOB, FULL_JOB, run_main_job

    job = FULL_JOB if full else DEMO_JOB
    if epochs is not None:
        job = replace(
            job,
            model_name=f"{job.model_name}-{epochs}-epochs",
            settings=replace(job.settings, epochs=epochs),
        )
    if threads is not None:
        job = replace(job, settings=replace(job.settings, threads=threads))
    with open_database(writing=True) as db, stage_bars() as bars:
        answer = run_main_job(db, job, out, note, bars)
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
        say(("Not compared:", "yellow"), f" {what}: {reason}")
    for remark in answer.remarks:
        say(("Note:", "yellow"), f" {remark}")
    steps = ", ".join(f"{step} {s:.1f}" for step, s in answer.steps.items())
    say(f"Seconds by step, as recorded: {steps}. This run: {seconds:.0f} s.")
    say("Report: ", (str(answer.report), "bold"))


def _verdict(value: float, target: float | None) -> Text:
    if target is None:
        return words()
    met = (f"< {target:g}", "green")
    return words(met if value < target else (f"missed {target:g}", "yellow"))
