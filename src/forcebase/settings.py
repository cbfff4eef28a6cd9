"""Settings: read once from the environment, then passed as an argument."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forcebase.errors import InputError

MOST_THREADS = 1024


@dataclass(frozen=True)
class Settings:
    """Where the data lives and what may be used.

    Attributes:
        home: folder of the embedded server (data, log, password file), made on first use.
        mongodb_uri: any other MongoDB; None means the embedded server.
        database: name of the MongoDB database.
        threads: CPU threads for models and DFT.
    """

    home: Path
    mongodb_uri: str | None = None
    database: str = "forcebase"
    threads: int = 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read FORCEBASE_HOME, FORCEBASE_MONGODB_URI, FORCEBASE_DATABASE, FORCEBASE_THREADS.

        Raises:
            InputError: the number of threads is none.
        """
        env = os.environ if environment is None else environment
        share = env.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        home = Path(env.get("FORCEBASE_HOME") or Path(share) / "forcebase")
        return cls(
            home=home.expanduser().absolute(),
            mongodb_uri=env.get("FORCEBASE_MONGODB_URI") or None,
            database=env.get("FORCEBASE_DATABASE") or "forcebase",
            threads=_threads(env.get("FORCEBASE_THREADS") or "1"),
        )


def _threads(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) <= MOST_THREADS):
        raise InputError(
            f"FORCEBASE_THREADS is {text!r}, not a number of threads.",
            hint=f"Set it to a number from 1 to {MOST_THREADS}, or unset it.",
        )
    return int(text)
