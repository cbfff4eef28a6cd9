"""What mongod says, in its log or on its way out, of why it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SERIOUS = ("F", "E")
IN_USE = "Another mongod instance is already running"
CHATTER = ("about to fork", "forked process", "ERROR: child process failed", "To see additional")
LONGEST = 400


def last_words(log: Path, start: int) -> str:
    """What explains the end of a log, from byte `start` on; empty where it says nothing."""
    if not log.is_file():
        return ""
    with log.open(errors="replace") as file:
        file.seek(start)
        return explanation(file)


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
            break
    return last[:LONGEST]


def printed(output: str) -> str:
    """What explains the end in what was printed, where it came to no log."""
    lines = [line for line in output.splitlines() if not line.startswith(CHATTER)]
    return explanation(lines) or "it said nothing."


def advice(words: str, log: Path) -> str:
    """The next step after these last words."""
    if IN_USE in words:
        return "It may run on another machine that shares this folder: stop it there."
    if "shared libraries" in words:
        return "Install the library (Debian and Ubuntu: apt install libcurl4 libssl3)."
    return f"Its log is {log}. `forcebase doctor` looks at disk and folders."


def _sentence(entry: dict[str, Any]) -> str:
    details = entry.get("attr") or {}
    for name in ("message", "error", "reason"):
        detail = details.get(name)
        if isinstance(detail, dict):
            detail = detail.get("msg") or detail.get("errmsg")
        if isinstance(detail, str):
            return f"{entry.get('msg', '')}: {detail}"
    return str(entry.get("msg", ""))
