"""The program of a model's own environment: it loads one model and answers until its input ends.

It is started by `forcebase.models.third_party.process` with another Python, reads requests from
standard input and writes answers to standard output, both by `message`. What packages print goes
to standard error.
"""

from __future__ import annotations

import os
import platform
import sys
from typing import Any, BinaryIO

import numpy as np
from ase import Atoms

from forcebase.errors import ForcebaseError
from forcebase.models.third_party.engine import Engine, module_at
from forcebase.models.third_party.message import read_message, write_message

Answer = tuple[dict[str, Any], dict[str, np.ndarray]]


def main() -> None:
    """Answer one request after another; the end of the input ends the program."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(requests, answers)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer what comes; an error of ours is an answer, any other ends the program."""
    engine: Engine | None = None
    while (message := read_message(requests)) is not None:
        header, arrays = message
        try:
            if header["ask"] == "label":
                assert engine is not None
                answer = _label(engine, arrays)
            elif header["ask"] == "bundled":
                found = module_at(header["module"]).bundled(header["source"])
                answer = {}, {"weights": np.frombuffer(found, dtype=np.uint8)}
            else:
                engine = module_at(header["module"]).open_engine(
                    arrays["weights"].tobytes(),
                    header["dtype"],
                    header["arguments"],
                )
                answer = _described(engine), {}
        except ForcebaseError as error:
            answer = {"error": error.message, "hint": error.hint}, {}
        write_message(answers, answer[0], **answer[1])


def _label(engine: Engine, arrays: dict[str, np.ndarray]) -> Answer:
    ends = np.cumsum(arrays["n_atoms"])
    structures = [
        Atoms(arrays["numbers"][end - n : end], arrays["positions"][end - n : end], cell=c, pbc=p)
        for end, n, c, p in zip(
            ends, arrays["n_atoms"], arrays["cells"], arrays["pbc"], strict=True
        )
    ]
    found = engine.label(structures)
    return {}, {
        "energies": found.energies,
        "forces": found.forces,
        "stresses": found.stresses,
    }


def _described(engine: Engine) -> dict[str, Any]:
    return {
        "numbers": list(engine.numbers),
        "r_max": engine.r_max,
        "n_parameters": engine.n_parameters,
        "versions": engine.versions,
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    main()
