"""An engine in a process of another Python, spoken to through pipes."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from ase import Atoms

from forcebase.errors import ModelError
from forcebase.models.third_party.engine import Labels
from forcebase.models.third_party.message import read_message, write_message
from forcebase.plugins import Group, place_of

PACKAGE = Path(__file__).parents[2]
START = (
    "import sys, types; package = types.ModuleType('forcebase'); package.__path__ = [sys.argv[1]]; "
    "sys.modules['forcebase'] = package; "
    "from forcebase.models.third_party.program import main; main()"
)
"""Of this installation nothing but this package is to be found there: what else lies beside it
belongs to another environment, and a forcebase of that environment may be of another version."""


class EngineProcess:
    """An `Engine` in another process, which ends with this object or with this process.

    Args:
        python: the interpreter of the environment.
    """

    def __init__(self, python: Path) -> None:
        self._python = python
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [str(python), "-c", START, str(PACKAGE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self.numbers: tuple[int, ...] = ()
        self.r_max: float | None = None
        self.n_parameters = 0
        self.versions: dict[str, str] = {}
        self.python_version = ""

    def open(self, kind: str, weights: bytes, dtype: str, arguments: Mapping[str, Any]) -> None:
        """Load a model there; raises as `open_engine`."""
        place = place_of(Group.MODELS, kind)
        header = {"ask": "open", "module": place, "dtype": dtype, "arguments": dict(arguments)}
        found, _ = self._ask(header, weights=np.frombuffer(weights, dtype=np.uint8))
        self.numbers = tuple(found["numbers"])
        self.r_max = found["r_max"]
        self.n_parameters = found["n_parameters"]
        self.versions = found["versions"]
        self.python_version = found["python"]

    def bundled(self, kind: str, source: str) -> bytes:
        """The weights of this name that come with the package there."""
        _, arrays = self._ask(
            {"ask": "bundled", "module": place_of(Group.MODELS, kind), "source": source}
        )
        return arrays["weights"].tobytes()

    def label(self, structures: Sequence[Atoms]) -> Labels:
        """Answer for structures, as one batch where the package can.

        Raises:
            ModelError: the model refused them, or its process died.
        """
        _, arrays = self._ask(
            {"ask": "label"},
            n_atoms=np.array([len(atoms) for atoms in structures]),
            numbers=np.concatenate([atoms.numbers for atoms in structures]),
            positions=np.concatenate([atoms.positions for atoms in structures]),
            cells=np.array([atoms.cell.array for atoms in structures]),
            pbc=np.array([atoms.pbc for atoms in structures]),
        )
        return Labels(arrays["energies"], arrays["forces"], arrays["stresses"])

    def close(self) -> None:
        """End the process; twice changes nothing."""
        for stream in (self._process.stdin, self._process.stdout):
            cast(BinaryIO, stream).close()
        self._process.wait()
        self._log.close()

    def _ask(
        self, header: dict[str, Any], **arrays: np.ndarray
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        try:
            write_message(cast(BinaryIO, self._process.stdin), header, **arrays)
            answer = read_message(cast(BinaryIO, self._process.stdout))
        except BrokenPipeError:
            answer = None
        if answer is None:
            raise ModelError(
                f"The model's process ended with code {self._process.wait()}: {self._last_words()}",
                hint=f"Check the environment of {self._python}: `forcebase model environment`.",
            )
        if "error" in answer[0]:
            raise ModelError(answer[0]["error"], hint=answer[0]["hint"])
        return answer

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:400] if lines else "it said nothing."
