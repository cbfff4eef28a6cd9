"""What a package of models must be able to do; a module does it for each kind.

Such a module is registered as a plug-in under the name of the kind. It has `PACKAGE`, the package
whose models it runs; `open_engine(weights, dtype, arguments)`, which gives an `Engine`; and
`bundled(source)`, the weights that the package brings by that name.

Engines import nothing of forcebase but its errors and each other, so that they run in an
environment in which forcebase's own packages are not installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from forcebase.errors import InputError, ModelError
from forcebase.plugins import Group, load


@dataclass(frozen=True)
class Labels:
    """Answers for n structures with N atoms in all.

    Attributes:
        energies: (n,) eV.
        forces: (N, 3) eV/angstrom, the structures' rows one after another.
        stresses: (n, 6) eV/angstrom^3, ASE Voigt order, tension positive.
    """

    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    stresses: NDArray[np.float64]


class Engine(Protocol):
    """A model of some package, loaded.

    Attributes:
        numbers: atomic numbers that it knows; () where it does not say.
        r_max: angstrom, the cutoff of its neighbour list; None where it does not say.
        n_parameters: 0 where it does not say.
        versions: package name -> version, of what its answers depend on.
    """

    numbers: tuple[int, ...]
    r_max: float | None
    n_parameters: int
    versions: dict[str, str]

    def label(self, structures: Sequence[Atoms]) -> Labels:
        """Answer for periodic structures, as one batch where the package can."""
        ...


def open_engine(kind: str, weights: bytes, dtype: str, arguments: Mapping[str, Any]) -> Engine:
    """Load a model in this process.

    Args:
        kind: that is registered.
        weights: its file; a pickle runs code, so only bytes of a known digest may come here.
        dtype: float64 or float32.
        arguments: of the kind, see its module.

    Raises:
        InputError: no such kind.
        ModelError: the package cannot read the file.
    """
    module = engine_module(kind)
    return module.open_engine(weights, dtype, arguments)  # type: ignore[no-any-return]


def engine_module(kind: str) -> Any:
    """The module of a kind; raises InputError for one that there is not."""
    return load(Group.MODELS, kind)


def module_at(place: str) -> Any:
    """A module in the environment of a kind, where no plug-in of forcebase is registered.

    Args:
        place: where the process that started this one has it, by its own plug-ins.

    Raises:
        ModelError: it is not in this environment.
    """
    try:
        return import_module(place)
    except ImportError as error:
        raise ModelError(
            f"{place} cannot be imported in the model's environment: {error}",
            hint="Install the package that registers this kind of model there too.",
        ) from None


def bundled_file(folder: Path, names: Mapping[str, str], source: str) -> bytes:
    """The weights that a package brings, by the name that people call them.

    Args:
        folder: of the package.
        names: name -> pattern of the file below the folder.
        source: the name asked for.

    Raises:
        InputError: no such name, or an installed package without that file.
    """
    if source not in names:
        raise InputError(
            f"{folder.name} brings no model {source!r}.",
            hint=f"Give a file, or one of {', '.join(names)}.",
        )
    found = sorted(folder.glob(names[source]))
    if not found:
        raise InputError(f"The installed {folder.name} does not hold {names[source]}.")
    return found[0].read_bytes()
