"""What mongod says in its log of why it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

SERIOUS = ("F", "E")


def last_words(log: Path, start: int) -> str:
    """Explanation from what the log holds beyond byte `start`."""
    try:
        with log.open(errors="replace") as file:
            file.seek(start)
            return explanation(file)
    except OSError:
        return "it left no log, as on a full disk."


def explanation(lines: Iterable[str]) -> str:
    """The first serious message (mongod logs JSON lines), else the last one of all."""
    last = ""
    for line in lines:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            last = line.strip() or last
            continue
        last = _sentence(entry)
        if entry.get("s") in SERIOUS:
            return last
    return last or "it said nothing."


def _sentence(entry: dict) -> str:
    attributes = entry.get("attr") or {}
    detail = attributes.get("error") or attributes.get("message") or attributes.get("reason") or ""
    return f"{entry.get('msg', '')} {detail}".strip()[:400]
