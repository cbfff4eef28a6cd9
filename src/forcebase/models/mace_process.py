"""MACE's training program in a process that ends when its parent does, however that ends.

`python -m forcebase.models.mace_process ARGUMENTS` takes MACE's own arguments, and a pipe as
standard input: the system closes it when the parent dies, a SIGKILL included, and so this
process never trains on for nobody. With any other standard input it runs to its end.
"""

from __future__ import annotations

import os
import stat
import threading


def main() -> None:
    """Train, until done or until the parent is gone."""
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_end_with_parent, daemon=True).start()
    import mace.cli.run_train

    mace.cli.run_train.main()


def _end_with_parent() -> None:
    os.read(0, 1)  # waits: nothing is ever written, so it returns when the pipe closes
    os._exit(1)


if __name__ == "__main__":
    main()
