"""Put measured figures from benchmarks/results/ into README.md and docs/*.md.

    python benchmarks/figures.py            # rewrites what is stale
    python benchmarks/figures.py --check    # names it, exit code 1

A figure stands in the text before a comment that no reader of the page sees:

    force MAE 38<!--main_job:test_force_mae_meV_per_A .0f--> meV/A

The comment names the file in benchmarks/results/ (without .json), the key, and how it is written:
Python's format, or `2s` for two significant digits with commas between thousands. A dot goes down
into dictionaries and lists, and `*100` or `/60` behind the key changes the unit.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TEXTS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("data/**/*.md")),
]
FIGURE = re.compile(
    r"(?P<value>-?[\d,]*\.?\d+(?:e[-+]?\d+)?)"
    r"<!--(?P<file>[\w.-]+):(?P<key>[^<>*/]+?)(?P<scale>[*/][\d.e+-]+)? (?P<format>\S+)-->"
)
COMMENT = re.compile(r"<!--[\w.-]+:[^ ].*?-->")
"""What is meant as a figure's comment, well written or not."""


class FigureError(Exception):
    """A comment that names no figure; the message says which and why."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    arguments = parser.parse_args()
    stale = []
    for path in TEXTS:
        before = path.read_text()
        after, changes = rewritten(before)
        stale += [f"{path.relative_to(ROOT)}:{change}" for change in changes]
        if after != before and not arguments.check:
            path.write_text(after)
    print("\n".join(stale) if stale else "All figures are those of benchmarks/results.")
    return 1 if stale and arguments.check else 0


def rewritten(text: str) -> tuple[str, list[str]]:
    """The text with each figure as its result has it, and what that changed."""
    found = len(FIGURE.findall(text))
    if found != len(COMMENT.findall(text)):
        whole = {match.group(0).partition("<!--")[2] for match in FIGURE.finditer(text)}
        lost = [c for c in COMMENT.findall(text) if c.partition("<!--")[2] not in whole]
        raise FigureError(f"no figure before it, or not FILE:KEY FORMAT: {', '.join(lost)}")
    changes: list[str] = []

    def replace(match: re.Match[str]) -> str:
        value = written(match)
        if value != match["value"]:
            line = text.count("\n", 0, match.start()) + 1
            changes.append(f"{line}: {match['file']} {match['key']}: {match['value']} -> {value}")
        return value + match.group(0)[len(match["value"]) :]

    return FIGURE.sub(replace, text), changes


def written(match: re.Match[str]) -> str:
    """A result as the comment asks for it."""
    value = look_up(match["file"], match["key"])
    if match["scale"]:
        factor = float(match["scale"][1:])
        value = value * factor if match["scale"][0] == "*" else value / factor
    how = match["format"]
    if how.endswith("s"):
        return significant(value, int(how[:-1]))
    text = format(value, how)
    return re.sub(r"e([-+])0*(\d)", lambda m: f"e{m[1].strip('+')}{m[2]}", text)


def look_up(file: str, key: str) -> Any:
    """The number of a result file under a key with dots."""
    found = results(file)
    for part in key.split("."):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (KeyError, IndexError, ValueError):
            raise FigureError(f"{file}.json has no {key}") from None
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise FigureError(f"{file}.json: {key} is not a number")
    return found


@cache
def results(file: str) -> Any:
    path = RESULTS / f"{file}.json"
    if not path.is_file():
        raise FigureError(f"there is no benchmarks/results/{file}.json")
    return json.loads(path.read_text())


def significant(value: float, digits: int) -> str:
    """Rounded to so many significant digits, without an exponent: 92,700; 0.073; 8.0."""
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = int(f"{rounded:e}".partition("e")[2]) if rounded else 0
    return f"{rounded:,.{max(digits - 1 - exponent, 0)}f}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FigureError as error:
        sys.exit(f"benchmarks/figures.py: {error}")
