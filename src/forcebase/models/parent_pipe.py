"""A process that ends when its parent does, however that ends."""

from __future__ import annotations

import os
import stat
import threading


def end_with_parent() -> None:
    """Watch standard input where it is a pipe: the system closes it when the parent dies.

    A SIGKILL of the parent included. With any other standard input nothing happens.
    """
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_end_at_close, daemon=True).start()


def _end_at_close() -> None:
    os.read(0, 1)  # waits: nothing is ever written, so it returns when the pipe closes
    os._exit(1)
