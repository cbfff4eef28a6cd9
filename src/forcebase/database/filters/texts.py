"""Telling a text of the filter language from `field=value` and from a name."""

from __future__ import annotations

import re

SHORT_FORM = re.compile(r"(_*[A-Za-z][\w+.]*)=(?!\s*\")(.*)", re.DOTALL)
JOINED = re.compile(r"\s(AND|OR)\s")
OPERATOR = re.compile(r"[=<>]|\s(HAS|IS|CONTAINS|STARTS|ENDS|LENGTH)\s")


def short_form(text: str) -> tuple[str, str] | None:
    """The field and the value of `field=value`; None for a text of the filter language.

    The value has no quotes, and there is no AND or OR.
    """
    found = SHORT_FORM.fullmatch(text)
    return None if found is None or JOINED.search(text) else (found[1], found[2])


def is_filter(text: str) -> bool:
    """Whether a text says what records are like, and is not the name of one."""
    return OPERATOR.search(text) is not None


def together(texts: list[str]) -> str:
    """One filter of several that must all hold."""
    return texts[0] if len(texts) == 1 else " AND ".join(f"({text})" for text in texts)
