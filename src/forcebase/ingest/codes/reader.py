"""What a package registers to have the outputs of a code imported: how to know and read them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from forcebase.ingest.codes.code_output import CodeOutput


@dataclass(frozen=True)
class CodeReader:
    """How the outputs of one code are recognised and read.

    Attributes:
        read: gives what a file tells; raises InputError with a reason where it cannot. The file
            is never compressed, but where `looks_beside_itself`.
        sign: regular expression that is found in the first 100,000 characters of such a file and
            of no other; `^` and `$` are at each line. "" where the file is not text.
        is_text: whether a file that was cut inside its last number does not show it by itself.
        has_files_beside: whether trajectories, inputs or pseudopotentials are read from beside it.
        looks_beside_itself: whether `read` wants the path as it is, and unpacks by itself.
    """

    read: Callable[[Path], CodeOutput]
    sign: str = ""
    is_text: bool = True
    has_files_beside: bool = False
    looks_beside_itself: bool = False

    def __post_init__(self) -> None:
        """Raise re.error where the sign is no regular expression, as it is made."""
        re.compile(self.sign)
