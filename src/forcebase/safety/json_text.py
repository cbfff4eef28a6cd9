"""JSON as plain data, within the limits; what names a class in it stays plain data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forcebase.errors import InputError
from forcebase.safety.files import read_unpacked
from forcebase.safety.limits import DEPTH, NODES, TEXT_BYTES
from forcebase.safety.recursion import usual_recursion_limit


def read_json(path: Path) -> Any:
    """Read a JSON file, compressed or not, as plain data.

    Raises:
        InputError: it is not JSON, or is beyond the limits.
        OSError: it cannot be read.
    """
    data = read_unpacked(path, TEXT_BYTES)
    # each value is the first of what it is in, or follows a comma: so there are not more
    NODES.check(sum(map(data.count, (b",", b"[", b"{"))), path.name)
    try:
        content = parse_json(data, object_pairs_hook=_without_twins)
    except _TwiceError as error:
        raise InputError(f"{path.name} has the key {str(error)[:80]!r} twice.") from None
    except ValueError as error:
        raise InputError(f"{path.name} is not JSON: {error}") from None
    except RecursionError:
        raise InputError(f"{path.name} is nested too deeply.") from None
    DEPTH.check(_depth(content), path.name)
    return content


def parse_json(text: str | bytes, **hooks: Any) -> Any:
    """`json.loads` of text from elsewhere, at any depth.

    Args:
        text: the JSON.
        **hooks: `object_pairs_hook` and others of `json.loads`.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    with usual_recursion_limit():
        return json.loads(text, **hooks)


class _TwiceError(Exception):
    """A key stands twice in one object."""


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return made


def _depth(content: Any) -> int:
    depth, level = 0, [content]
    while level := [item for item in level if isinstance(item, (dict, list))]:
        depth += 1
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, (dict, list))
        ]
    return depth
