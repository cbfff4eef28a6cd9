"""Which worker runs which tests: those of one group, in one worker, one after another.

pytest-xdist's own `--dist=loadgroup` writes the group into the name of a test, which pytest 9.2 no
longer allows, without a word. So the workers write the groups into a file instead.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling


class GroupScheduling(LoadScopeScheduling):
    """Gives whole groups to the workers, in the order in which they were collected."""

    def __init__(self, config: pytest.Config, log: Any, file: Path) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False
        self._file = file
        self._groups: dict[str, str] = {}

    def _split_scope(self, nodeid: str) -> str:
        if not self._groups:
            self._groups = json.loads(self._file.read_text())
        return self._groups[nodeid]


def write_groups(groups: dict[str, str], file: Path) -> None:
    """Write them whole: all workers do, and write the same."""
    part = file.with_name(f"{file.name}.{os.getpid()}")
    part.write_text(json.dumps(groups))
    part.replace(file)
