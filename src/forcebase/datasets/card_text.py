"""A dataset's card as Markdown, and as one HTML file with its pictures inside."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forcebase.datasets.card import Card
from forcebase.errors import InputError
from forcebase.records.dataset import SPLITS
from forcebase.safety.text import html_text, markdown_text, readable

COLOURS = {"train": "#4477aa", "valid": "#ccbb44", "test": "#ee6677"}
N_BINS = 30
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#222}}
table{{border-collapse:collapse;margin:1rem 0}}th,td{{padding:.2rem .7rem;text-align:left;
border-bottom:1px solid #ddd}}pre{{background:#f6f6f6;padding:1rem;overflow-x:auto}}
img{{max-width:100%}}li{{overflow-wrap:anywhere}}</style>
<body>{body}</body></html>
"""


def write_card(card: Card, out: Path) -> Path:
    """Write a card as its file's name asks: .md or .html.

    Raises:
        InputError: another ending, or the file cannot be written.
    """
    if out.suffix not in (".md", ".html"):
        raise InputError(f"{out} names no kind of card.", hint="End it in .md or .html.")
    text = markdown(card) if out.suffix == ".md" else html(card)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}.") from error
    return out


def markdown(card: Card) -> str:
    """Give the card as Markdown, ranges in the place of pictures."""
    return "\n\n".join([*_head(card), *_ranges(card), *_curation(card), *_again(card)]) + "\n"


def html(card: Card) -> str:
    """Give the card as one HTML page, histograms embedded as PNG."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.disable(["autolink", "html_inline", "image", "link", "reference"])  # a card has none
    before = reader.render("\n\n".join([*_head(card), *_ranges(card)]))
    after = reader.render("\n\n".join([*_curation(card), *_again(card)]))
    data = base64.b64encode(histograms(card)).decode()
    picture = f'<img alt="Histograms by split" src="data:image/png;base64,{data}">'
    return PAGE.format(title=html_text(card.dataset.title), body=before + picture + after)


def histograms(card: Card) -> bytes:
    """Draw each quantity's histogram, splits stacked, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n = len(card.quantities)
    rows = (n + 1) // 2
    figure = Figure(figsize=(9, 2.9 * rows), layout="constrained")
    for place, quantity in enumerate(card.quantities):
        axes = figure.add_subplot(rows, 2, place + 1)
        values = [quantity.values[split] for split in SPLITS]
        bins = np.histogram_bin_edges(np.concatenate(values), N_BINS)
        colours = [COLOURS[split] for split in SPLITS]
        axes.hist(values, bins=bins.tolist(), stacked=True, color=colours, label=SPLITS)
        axes.set_xlabel(f"{quantity.name} ({quantity.unit})" if quantity.unit else quantity.name)
        axes.set_ylabel("atoms" if quantity.name == "force on an atom" else "records")
        axes.spines[["top", "right"]].set_visible(False)
        if place == 0:
            axes.legend(frameon=False)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _head(card: Card) -> list[str]:
    dataset = card.dataset
    facts = [
        ["digest", dataset.id],
        ["Merkle root of the members", dataset.members_root],
        ["license", card.license],
        ["parent", dataset.parent or "none"],
        *([f"method: {name}", value] for name, value in card.method.items()),
        ["elements (atoms)", ", ".join(f"{s} {n}" for s, n in card.elements.items())],
    ]
    e0s = [[symbol, f"{energy:.6f}"] for symbol, energy in dataset.e0s.items()]
    return [
        f"# Dataset {markdown_text(dataset.title)}",
        _table(["", ""], facts),
        "## Splits",
        _table(
            ["split", "records", "atoms", "families"],
            [[split, *counts.values()] for split, counts in card.counts.items()],
        ),
        _table(
            ["kind", *SPLITS],
            [[kind, *counts.values()] for kind, counts in card.kinds.items()],
        ),
        f"## Reference energies ({dataset.e0s_source})",
        _table(["element", "E0 (eV)"], e0s),
    ]


def _ranges(card: Card) -> list[str]:
    rows = [
        [q.name, q.unit, *(f"{value:.4g}" for value in q.summary.values())] for q in card.quantities
    ]
    columns = ["", "unit", "min", "5 %", "median", "95 %", "max"]
    return ["## Ranges", _table(columns, rows)]


def _curation(card: Card) -> list[str]:
    rows = [
        [step["name"], _settings(step["parameters"]), step["n_in"], step["n_dropped"]]
        for step in card.dataset.steps
    ]
    dropped = [f"{step}, {text}" for step, texts in card.reasons.items() for text in texts]
    reasons = [f"- {markdown_text(text)}" for text in dropped]
    parts = ["## Curation", _table(["step", "settings", "in", "dropped"], rows)]
    if reasons:
        parts += ["Dropped, at most three of each step:", "\n".join(reasons)]
    if card.changes:
        parts += ["## Changes", "\n".join(f"- {markdown_text(line)}" for line in card.changes)]
    return parts


def _again(card: Card) -> list[str]:
    name = card.dataset.name
    if not card.recipe:
        return ["## To make it again", "The record does not hold its whole recipe."]
    longest = max((len(run) for run in re.findall("`+", card.recipe)), default=0)
    recipe = readable(card.recipe, keep="\n")
    fence = "`" * max(3, longest + 1)
    return [
        "## To make it again",
        f"With this as `recipe.yaml`: `forcebase dataset build {name} --recipe recipe.yaml`. "
        "The same candidates find this version again.",
        f"{fence}yaml\n{recipe}{fence}",
    ]


def _settings(parameters: dict[str, Any]) -> str:
    return ", ".join(
        f"{key}={f'{len(value)} listed' if isinstance(value, list) else value}"
        for key, value in parameters.items()
        if value is not None
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    words = [[markdown_text(cell) for cell in line] for line in (columns, *rows)]
    lines = [words[0], ["---"] * len(columns), *words[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
