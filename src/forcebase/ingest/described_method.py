"""A method as a person or a maker describes it, split into the rules and what they gave.

method.yaml and task documents of old have the code's version, the potentials' version and
the rule of the k-mesh among the method's fields; they belong to each calculation, and go there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from mongoengine import BooleanField, DictField

from forcebase.errors import InputError
from forcebase.physics.magnetic_state import NOT_POLARISED, described
from forcebase.records import DFTMethod

ELSEWHERE = ("code_version", "libxc_version", "k_points")
GIVEN = ("code_version", "libxc_version", "potentials", "plus_u", "charge", "k_rule")
CHARGES = ("charge", "total_charge", "tot_charge", "REF_charge")
MOMENTS = ("magmoms", "dft_magmom", "magnetic_moments", "REF_magmoms")


@dataclass(frozen=True)
class Described:
    """A method, and what holds for each of its calculations unless they say otherwise.

    Attributes:
        method: its rules.
        given: fields of the calculations.
        library_version: of the potentials, where one is told for all.
    """

    method: DFTMethod
    given: dict[str, Any] = field(default_factory=dict)
    library_version: str = ""

    def fields(
        self, elements: Iterable[str], more: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Fields of a calculation of a structure of these elements.

        Args:
            elements: symbols.
            more: what this calculation says itself, over what holds for all.
        """
        found = {**self.given, **(more or {})}
        found["potentials"] = self._potentials(elements, found.get("potentials") or {})
        among = set(elements)
        found["plus_u"] = {k: v for k, v in (found.get("plus_u") or {}).items() if k in among}
        found.setdefault("charge", 0.0)
        if not found.get("magnetic") and self.method.spin == "none":
            found["magnetic"] = dict(NOT_POLARISED)
        return found

    def _potentials(self, elements: Iterable[str], said: Mapping[str, Any]) -> dict[str, Any]:
        table = {}
        for symbol in sorted(set(elements)):
            entry = said.get(symbol, {})
            entry = {"name": entry} if isinstance(entry, str) else dict(entry)
            if self.library_version:
                library = self.method.pseudopotentials.get("library", "")
                entry["library"] = f"{library} {self.library_version}".strip()
            if entry:
                table[symbol] = entry
        return table


def described_method(
    fields: Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> Described:
    """Read what a description says of a method.

    Args:
        fields: of the method; the old places of version, potentials' version and k-points are good.
        given: what holds for each calculation: code_version, potentials, plus_u, charge, k_rule.

    Raises:
        InputError: something stands among `given` that no calculation has; a rule lacks, is of the
            wrong kind, or is none of a method.
    """
    beside = dict(given or {})
    if strange := sorted(set(beside) - set(GIVEN)):
        raise InputError(
            f"`calculation` has {strange[0]}, which no calculation has.",
            hint=f"It may have {', '.join(GIVEN)}.",
        )
    _check(fields)
    rules = {name: value for name, value in fields.items() if name not in ELSEWHERE}
    for name in ELSEWHERE[:2]:
        if fields.get(name) is not None:
            beside.setdefault(name, str(fields[name]))
    if fields.get("k_points"):
        beside.setdefault("k_rule", dict(fields["k_points"]))
    rules.pop("identity", None)
    library = dict(rules.get("pseudopotentials") or {})
    version = str(library.pop("version", ""))
    if library:
        rules["pseudopotentials"] = library
    return Described(DFTMethod.of_rules(**rules), beside, version)


def _check(fields: Mapping[str, Any]) -> None:
    """Refuse what the record of a method would refuse, or take for something else.

    Raises:
        InputError: with the field, and how it is written.
    """
    known = (*DFTMethod.RULES, *ELSEWHERE, "identity")
    if strange := sorted(set(fields) - set(known)):
        raise InputError(
            f"`method` has {', '.join(strange)}, which no method has.",
            hint=f"It may have {', '.join(known[:-1])}.",
        )
    kinds = {name: DFTMethod._fields[name] for name in DFTMethod.RULES}
    lacking = [
        name for name, kind in kinds.items() if kind.required and fields.get(name) in (None, "", {})
    ]
    if lacking:
        raise InputError(
            f"`method` lacks {', '.join(lacking)}.",
            hint="Where there is none, say so: `basis: {type: none}`, `spin: none`.",
        )
    for name, value in fields.items():
        is_table = name == "k_points" or isinstance(kinds.get(name), DictField)
        if is_table and value is not None and not isinstance(value, Mapping):
            raise InputError(
                f"`{name}` of the method is {value!r}, and has to have fields.",
                hint=f"Write it as `{name}: {{type: ...}}`.",
            )
        if isinstance(kinds.get(name), BooleanField) and not isinstance(value, bool):
            raise InputError(
                f"`{name}` of the method is {value!r}.", hint="It is true or false, without quotes."
            )


def said_by_atoms(atoms: Atoms, method: DFTMethod) -> dict[str, Any]:
    """Charge and magnetic state that a structure of a file says itself."""
    found: dict[str, Any] = {}
    for key in CHARGES:
        value = atoms.info.get(key)
        if value is not None and np.size(value) == 1:
            found["charge"] = round(float(value), 4) + 0.0
            break
    if method.spin == "none":
        return found
    moments = next((atoms.arrays[key] for key in MOMENTS if key in atoms.arrays), None)
    results = atoms.calc.results if atoms.calc is not None else {}
    moments = results.get("magmoms", moments)
    asked = atoms.get_initial_magnetic_moments() if atoms.has("initial_magmoms") else None
    found["magnetic"] = described(asked, moments, results.get("magmom"))
    return found
