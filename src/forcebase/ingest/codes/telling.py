"""Settings that tell methods apart, in one form for all readers of a code."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from forcebase.ingest.codes.harmless import is_harmless

SMALL = 1e-6
"""Smaller values are rounded to significant digits, others to decimals."""


def telling(
    code: str,
    settings: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    told: Iterable[str] = (),
) -> dict[str, Any]:
    """Give the settings that tell methods apart, in one form for all readers of a code.

    Args:
        code: as in `HARMLESS`.
        settings: name -> value, as an input or an output says them.
        defaults: name in lower case -> the code's own value, in the form of `plain`.
        told: names, in lower case, of what other rules of the method tell already.
    """
    skipped = set(told)
    found = {}
    for name, value in settings.items():
        key, form = name.lower(), plain(value)
        if key in skipped or is_harmless(code, key) or form in ("", [], None):
            continue
        if defaults is not None and key in defaults and _same(form, defaults[key]):
            continue
        found[key.replace(".", "_").replace("$", "_")] = form
    return dict(sorted(found.items()))


def plain(value: Any) -> Any:
    """A value in one form: numbers as floats, logicals as booleans, text in lower case."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return _rounded(float(value)) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key).replace(".", "_"): plain(item) for key, item in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        items = [plain(item) for item in value]
        return items[0] if len(items) == 1 else items
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    text = str(value).strip().strip("'\"").lower()
    if text in ("t", ".t.", "true", ".true.", "on", "yes"):
        return True
    if text in ("f", ".f.", "false", ".false.", "off", "no"):
        return False
    try:
        return plain(float(re.sub(r"(?<=\d|\.)d(?=[+-]?\d)", "e", text)))
    except ValueError:
        return " ".join(text.split())


def _rounded(value: float) -> float:
    """Without the noise of its last digits; thresholds as 1e-12 and 1e-14 stay apart."""
    return round(value, 10) if abs(value) >= SMALL else float(f"{value:.10g}")


def _same(value: Any, default: Any) -> bool:
    if isinstance(default, tuple):
        return any(_same(value, one) for one in default)
    return bool(value == default)
