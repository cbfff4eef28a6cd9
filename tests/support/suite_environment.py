"""What tests need of the environment, they set themselves: imported before numpy and torch are.

One thread, so that two workers on two cores do not wait for each other; compiled modules are kept,
for each worker and command would compile the same anew; and none of the settings of whoever starts
the tests, but for those that say what to run.
"""

from __future__ import annotations

import os
import sys

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
THEIRS = ("FORCEBASE_", "JFREMOTE_", "JOBFLOW_", "ATOMATE2_")
OF_TERMINALS = ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "CLICOLOR_FORCE")
KEPT = ("FORCEBASE_GATE", "FORCEBASE_FUZZ")

os.environ.update(dict.fromkeys(THREADS, "1"))
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
for _name in tuple(os.environ):
    if _name not in KEPT and (_name.startswith(THEIRS) or _name in OF_TERMINALS):
        del os.environ[_name]
