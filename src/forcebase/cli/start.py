"""The `forcebase` process: Ctrl-C is one line and exit code 130 from its first moment to its last.

Importing the commands takes longer than all else that small ones do, so it stands in here, and
this file imports what Python has loaded by then: `signal` itself takes longer than Python's start.
What Python does before is Python's.
"""

import _signal as signal
import os
import sys

from forcebase.cli import interruption

ONCE_MORE = 0.05
"""Seconds until an interrupt that got lost is given again."""


def main() -> None:
    """Entry point of the `forcebase` command."""
    heeded = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN  # it is, in the background
    if heeded:
        signal.signal(signal.SIGINT, _end)
    from forcebase.cli.main import main as run

    if heeded:
        sys.unraisablehook = _unraisable
        signal.signal(signal.SIGINT, interruption.interrupt)
    try:
        run()
    finally:
        if heeded:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python itself ends: nothing to tidy


def _end(*_: object) -> None:
    """Nothing was begun while modules are imported, so there is nothing to tidy."""
    os.write(2, f"{interruption.SAID} {interruption.KEPT}\n".encode())
    os._exit(interruption.CODE)


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    """Give an interrupt again that came in a callback, where Python can only print it."""
    if issubclass(args.exc_type, KeyboardInterrupt):
        import threading

        threading.Timer(ONCE_MORE, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(args)
