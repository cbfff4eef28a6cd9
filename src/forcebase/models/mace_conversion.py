"""The one place where the pickle of a MACE is opened, to take its neutral form out of it.

`python -m forcebase.models.mace_conversion SOURCE TARGET REPORT` does so in a confined process;
`forcebase.models.conversion` starts it. A training converts what it has just made.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

from forcebase.models.confinement import Limits, confine

MEMORY = 8 << 30
"""Bytes; a MACE of 44 MB (89 elements, 128x0e+128x1o) took 2 GB to load, rebuild and compare."""
SECONDS = 1200
FILE_SIZE = 2 << 30


def main() -> None:
    """Convert, and leave a report for the process that asked."""
    source, target, report = map(Path, sys.argv[1:4])
    confined = confine(Limits(MEMORY, SECONDS, FILE_SIZE))  # before anything starts a thread
    from forcebase.errors import ForcebaseError
    from forcebase.models.parent_pipe import end_with_parent

    end_with_parent()
    try:
        found: dict[str, Any] = {"deviation": convert_file(source, target)}
    except ForcebaseError as error:
        found = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    except MemoryError:
        found = {"error": "ModelError", "message": "It needs too much memory.", "hint": None}
    report.write_text(json.dumps({**found, "confined": confined}))
    sys.stdout.flush()
    os._exit(0)  # whatever the pickle left to be run at the end


def convert_file(source: Path, target: Path) -> float:
    """Open MACE's file, and write the neutral form: this runs what the pickle says.

    The answers of both are compared, for each head and in both precisions, on a structure that
    holds every element.

    Args:
        source: MACE's model file.
        target: of the neutral form.

    Returns:
        The largest difference of the answers, eV or eV/angstrom; 0.0 where each bit is the same.

    Raises:
        ModelError: it is not a MACE of a kind that has a neutral form, or that answers otherwise.
        MissingDependencyError: MACE is not installed.
    """
    from forcebase.models.network_form import build_network, describe_network
    from forcebase.models.neutral_form import read_neutral

    given = _unpickled(source)
    data = describe_network(given).to_bytes()
    form = read_neutral(data)
    deviation = _deviation(given, build_network(form), form.heads, form.dtype)
    target.write_bytes(data)
    return deviation


def _unpickled(source: Path) -> Any:
    from forcebase.errors import ModelError
    from forcebase.models.mace_package import import_mace

    import_mace()
    import torch

    try:
        return torch.load(source, map_location="cpu", weights_only=False)
    except (
        AttributeError,
        EOFError,
        ImportError,
        KeyError,
        RuntimeError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        raise ModelError(
            f"The installed mace-torch cannot read it: {type(error).__name__} "
            f"{str(error).rstrip('.')}.",
            hint="Give a model file of MACE, or install the version that wrote it.",
        ) from error


def _deviation(given: Any, built: Any, heads: list[str], dtype: str) -> float:
    """The largest difference of answers; the own precision first, for the other loses it."""
    import numpy as np

    from forcebase.errors import ModelError
    from forcebase.models.golden_probe import TOLERANCE

    found = 0.0
    for precision in (dtype, "float32" if dtype == "float64" else "float64"):
        for head in heads:
            answers = [_answers(network, precision, head) for network in (given, built)]
            apart = float(np.abs(answers[0] - answers[1]).max())
            if not apart <= TOLERANCE[precision]:
                raise ModelError(
                    f"Its neutral form answers otherwise: off by {apart:.1e} eV or eV/angstrom "
                    f"in {precision}, head {head}.",
                    hint="Please report this with the version of mace-torch.",
                )
            found = max(found, apart)
    return found


def _answers(network: Any, dtype: str, head: str) -> Any:
    """Energy, forces and stress of a structure with every element, in one array."""
    import numpy as np

    from forcebase.models.golden_probe import probe_of_all
    from forcebase.models.mace_calculator import freeze

    model = freeze(network, "", dtype, head, "cpu")
    labels = model.label(probe_of_all(model.numbers, model.r_max))
    return np.concatenate([labels.energies, labels.forces.ravel(), labels.stresses.ravel()])


if __name__ == "__main__":
    main()
