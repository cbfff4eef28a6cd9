"""Python's own bound on recursion, which symfc raises so far that deep data end the process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

LIMIT = 1000
"""Python's default; parsers of JSON and BSON in C use up the stack long before symfc's 100,000."""


@contextmanager
def usual_recursion_limit() -> Iterator[None]:
    """Within it, what is nested too deeply is a RecursionError and no segmentation fault."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(LIMIT)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
