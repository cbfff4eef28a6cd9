"""Loading any model from what a job is given of it."""

from __future__ import annotations

from forcebase.models.foreign.environments import python_of
from forcebase.models.foreign.model import load_foreign
from forcebase.models.mace_calculator import load_mace
from forcebase.models.mace_package import require_mace
from forcebase.models.potential import Potential
from forcebase.outputs import ModelOutput

MACE = "MACE"


def require_package(kind: str) -> None:
    """Refuse to begin what needs a model whose package is not installed; loads nothing.

    Args:
        kind: as the model's record says.

    Raises:
        MissingDependencyError: the package is not here, with the command that installs it.
    """
    if kind == MACE:
        require_mace()
    else:
        python_of(kind)


def load_model(model: ModelOutput) -> Potential:
    """Load a model; once a process for each.

    A model file is a pickle, which runs code when it is loaded: nothing is unpickled whose
    digest is not the one that the model was added or trained with.

    Raises:
        IntegrityError: the weights are not those of the digest.
        MissingDependencyError: its package is not installed.
        ModelError: its package cannot read the file.
    """
    weights, sha256, dtype = model["weights"].data, model["weights_sha256"], model["dtype"]
    if model["kind"] == MACE:
        return load_mace(weights, sha256, dtype, model["head"])
    arguments = model.get("arguments") or {}
    return load_foreign(model["kind"], weights, sha256, dtype, arguments, model["elements"])
