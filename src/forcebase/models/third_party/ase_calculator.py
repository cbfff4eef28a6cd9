"""Any ASE calculator, named by `module:callable` and keyword arguments, one structure at a time.

The arguments of the kind are `callable`, `keywords`, and `weights_as`: the keyword that takes the
path of the model's file, where there is one. The file goes along with the model, and each process
that loads it puts it where it can be read: a path would break on the next machine.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from forcebase.errors import InputError, ModelError
from forcebase.models.third_party.engine import Labels
from forcebase.scratch import scratch_folder

PACKAGE = "ase"
CALLABLE_PACKAGES = {
    *("ase", "mace", "sevenn", "chgnet", "matgl", "orb_models", "fairchem", "mattersim"),
    *("nequip", "allegro", "deepmd", "tensorpotential", "grace_fm", "pet_mad", "upet", "metatomic"),
    *("tblite", "xtb", "dftbplus", "dftd3", "dftd4", "torch_dftd", "simple_dftd3", "quippy"),
    *("gpaw", "torch_sim", "aimnet", "torchani", "diep"),
}
"""Packages that are known for calculators; a record's callable of another is not trusted unseen."""


def open_engine(weights: bytes, dtype: str, arguments: Mapping[str, Any]) -> CalculatorEngine:  # noqa: ARG001
    """Make the calculator; its precision is its own affair, and is measured when it is added.

    Raises:
        InputError: there is no such callable.
        ModelError: it refused its arguments.
    """
    make = find_callable(arguments["callable"])
    keywords = dict(arguments.get("keywords") or {})
    named = arguments.get("weights_as")
    with scratch_folder("forcebase-model") as folder:
        if named:
            path = folder / "weights.model"
            path.write_bytes(weights)
            keywords[named] = str(path)
        try:
            with redirect_stdout(io.StringIO()):
                calculator = make(**keywords)
        except Exception as error:
            raise ModelError(
                f"{arguments['callable']} could not be made: {type(error).__name__}: {error}",
                hint="Check its keyword arguments.",
            ) from error
    return CalculatorEngine(calculator, arguments["callable"])


def package_of(text: str) -> str:
    """The package that a `module:callable` is in."""
    return text.partition(":")[0].partition(".")[0]


def find_callable(text: str) -> Any:
    """What `module:callable` names; raises InputError where there is no such thing."""
    module, _, name = text.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (AttributeError, ImportError, ValueError) as error:
        raise InputError(
            f"{text!r} names nothing that can be called here: {error}",
            hint="Write it as ase.calculators.emt:EMT.",
        ) from None
    except Exception as error:  # of a module that somebody else wrote
        raise InputError(
            f"Module {module} cannot be imported: {type(error).__name__}: {error}",
            hint="Correct the module, or name another.",
        ) from None
    if not callable(found):
        raise InputError(f"{text!r} cannot be called.", hint="Name a class or a function.")
    return found


class CalculatorEngine:
    """An ASE calculator, asked for one structure after another."""

    def __init__(self, calculator: Any, name: str) -> None:
        self._calculator, self._name = calculator, name
        self.numbers: tuple[int, ...] = ()
        self.r_max: float | None = None
        self.n_parameters = 0
        self.versions = {"ase": version("ase"), **_distributions(name)}

    def label(self, structures: Sequence[Atoms]) -> Labels:
        """One call of the calculator a structure.

        Raises:
            ModelError: it failed, or gives no forces or stress.
        """
        energies, forces, stresses = [], [], []
        for given in structures:
            atoms = given.copy()
            atoms.calc = self._calculator
            try:
                energies.append(float(atoms.get_potential_energy()))
                forces.append(atoms.get_forces())
                stresses.append(atoms.get_stress())
            except PropertyNotImplementedError as error:
                raise ModelError(f"{self._name} gives no forces or stress: {error}") from error
            except Exception as error:
                raise ModelError(
                    f"{self._name} failed on {atoms.get_chemical_formula()}: "
                    f"{type(error).__name__}: {error}",
                    hint="Check that it knows these elements.",
                ) from error
        return Labels(
            np.array(energies), np.concatenate(forces).astype(float), np.array(stresses, float)
        )


def _distributions(name: str) -> dict[str, str]:
    """The installed packages that the callable comes from; none for a script's own module."""
    top = package_of(name)
    found = {}
    for distribution in packages_distributions().get(top, []):
        try:
            found[distribution.replace(".", "-")] = version(distribution)
        except PackageNotFoundError:
            continue
    return found
