"""Many things, some at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
RECORDS_AT_ONCE = 1000


def batches(items: Iterable[T], size: int = RECORDS_AT_ONCE) -> Iterator[list[T]]:
    """Yield the items in lists of `size`, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
