"""Writing one file's records while the next file is parsed: the server works meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

DEPTH = 2
"""Files that may wait for the writing, whose records are in memory."""


class Writer:
    """Does work in one thread, in the order given; parsing stays in the thread that asks.

    What the work raises is raised in the thread that asks, and no work is begun after it.
    """

    def __enter__(self) -> Writer:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._pending: deque[tuple[Future[None], Callable[[], None]]] = deque()
        return self

    def put(self, work: Callable[[], None], after: Callable[[], None]) -> None:
        """Have work done behind all before it; `after` is called in this thread when it is."""
        self._pending.append((self._pool.submit(work), after))
        while len(self._pending) > DEPTH:
            self._take()

    def drain(self) -> None:
        """Wait for all of it."""
        while self._pending:
            self._take()

    def _take(self) -> None:
        future, after = self._pending.popleft()
        future.result()
        after()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.drain()
        finally:
            self._pool.shutdown(cancel_futures=True)
