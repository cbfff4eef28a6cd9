"""Loading any model from what a job is given of it."""

from __future__ import annotations

from forcebase.errors import ModelError
from forcebase.models.mace_calculator import load_mace
from forcebase.models.mace_package import require_mace
from forcebase.models.potential import Potential
from forcebase.models.third_party.environments import python_of
from forcebase.models.third_party.model import load_third_party
from forcebase.outputs import MACE, ModelOutput


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

    A MACE is made from its neutral form, which runs nothing. The file of another package may run
    code when it is loaded: none is whose digest is not the one that the model was added with.

    Raises:
        IntegrityError: the weights are not those of the digest.
        MissingDependencyError: its package is not installed.
        ModelError: its package cannot read the file, or a MACE has no neutral form.
    """
    sha256, dtype = model["weights_sha256"], model["dtype"]
    if model["kind"] == MACE:
        return load_mace(neutral_of(model), sha256, dtype, model["head"])
    if model["weights"] is None:
        raise ModelError(f"The model {sha256[:10]} came without its file.")
    weights = model["weights"].data
    arguments = model.get("arguments") or {}
    return load_third_party(model["kind"], weights, sha256, dtype, arguments, model["elements"])


def neutral_of(model: ModelOutput) -> bytes:
    """The neutral form of a MACE; its file is a pickle, which nothing here opens.

    Raises:
        ModelError: it has none.
    """
    neutral = model.get("neutral")
    if neutral is None:
        raise ModelError(
            f"The MACE {model['weights_sha256'][:10]} has no neutral form: its file is a pickle, "
            "which may run code, and is not opened unasked.",
            hint="If you trust where it came from: `forcebase model convert MODEL`.",
        )
    return neutral.data
