"""One labelled structure: (structure, method) -> energy, forces, stress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from mongoengine import BooleanField, DictField, FloatField, IntField, ListField, StringField
from numpy.typing import ArrayLike, NDArray

from forcebase.errors import InputError
from forcebase.physics.energy_kinds import EnergyKind
from forcebase.records.array_field import ArrayField
from forcebase.records.base import DIGEST_PATTERN, Record, StructuresOf
from forcebase.records.bound import called, home_of
from forcebase.records.description import BlobField, Column, Description, Reference, columns
from forcebase.records.formula import composition
from forcebase.records.method import Method
from forcebase.records.structure import Structure

BY_INPUTS = 2
"""Of a model's answer: named by structure and method alone, for its last bits change with threads
and batches. Records of schemas up to 7 have no number, and are named by their labels too, as those
of DFT are."""
FARTHEST = 1e7
"""eV/atom, eV/angstrom, eV/angstrom^3; all electrons of the heaviest atoms have 1e6 eV. A label of
DFT beyond it is a number that was broken, or of another unit."""
RENEWS = "renews"
"""Role of the edge to a calculation of a schema up to 8 that has the same labels."""


class Calculation(Record):
    """What one method says of one structure, be it DFT or a model."""

    meta: ClassVar[dict[str, Any]] = {
        "collection": "calculations",
        "indexes": [
            ["method", "structure", "_id"],
            "structure",
            "formula",
            "chemical_formula_reduced",
            "elements",
            "nelements",
            "kind",
            "method_class",
            "max_force",
            "energy_per_atom",
            # of the few that are not: an index of all would cost every insert
            {"fields": ["converged"], "partialFilterExpression": {"converged": False}},
            "provenance.edges.record",
        ],
    }
    DESCRIPTION = Description(
        columns=columns(
            *("id", "formula", "method"),
            Column("energy", unit="eV", digits=3),
            Column("max_force", "max |F|", "eV/A", digits=3),
            "kind",
        ),
        references=(
            Reference("structure", "structures", "structure"),
            Reference("method", "methods", "method"),
        ),
        blobs=(BlobField("log"),),
        heavy=("forces", "stress"),
        aliases=(("nsites", "n_atoms"), ("chemical_formula_hill", "formula")),
        tells_source=True,
        many=True,
        colour="#d6efd4",
    )

    structure = StringField(required=True, regex=DIGEST_PATTERN, help_text="that is labelled")
    method = StringField(required=True, regex=DIGEST_PATTERN, help_text="that labels it")
    method_class = StringField(required=True, choices=("dft", "model"), help_text="dft or model")
    formula = StringField(required=True, help_text="of its structure")
    chemical_formula_reduced = StringField(required=True, help_text="of its structure, as Se2W")
    elements = ListField(StringField(), required=True, help_text="of its structure")
    nelements = IntField(required=True, min_value=1, help_text="number of elements")
    kind = StringField(default="", help_text="configuration kind of its structure")
    n_atoms = IntField(required=True, min_value=1, help_text="atoms of the cell")
    energy = FloatField(required=True, unit="eV", help_text="eV, whole cell")
    energy_per_atom = FloatField(
        required=True, unit="eV/atom", help_text="`energy` by the number of atoms, eV/atom"
    )
    energy_kind = StringField(
        choices=tuple(EnergyKind),
        help_text="of `energy`: the free energy, of which forces are derivatives, or extrapolated "
        "to zero width; not there where it was not recorded",
    )
    free_energy = FloatField(
        unit="eV",
        help_text="eV, whole cell, of which forces are derivatives; where `energy` is another",
    )
    forces = ArrayField(
        (None, 3), required=True, unit="eV/angstrom", help_text="(n, 3) eV/angstrom"
    )
    stress = ArrayField(
        (6,),
        unit="eV/angstrom^3",
        help_text="eV/angstrom^3, ASE Voigt order, tension positive",
    )
    max_force = FloatField(
        required=True, unit="eV/angstrom", help_text="largest |F| of an atom, eV/angstrom"
    )
    converged = BooleanField(required=True, help_text="whether it reached its criteria")
    k_mesh = ListField(IntField(), help_text="k-mesh actually used")
    k_shift = ListField(FloatField(), help_text="of the mesh, in steps of it; none with Gamma")
    k_spacing = FloatField(
        unit="1/angstrom", help_text="largest distance of k-points, 1/angstrom, 2 pi included"
    )
    k_rule = DictField(help_text="rule of the mesh where stated, or digest of points one by one")
    code_version = StringField(help_text="of the code")
    libxc_version = StringField(help_text="of libxc, where it makes the functional")
    potentials = DictField(help_text="symbol to name, hash or library of its potential")
    plus_u = DictField(help_text="symbol to Hubbard u_eV, j_eV and l")
    charge = FloatField(unit="e", help_text="of the cell, |e|; not there where it was not recorded")
    magnetic = DictField(help_text="order, pattern, total and moments (muB), asked and found")
    findings = ListField(StringField(), help_text="what is to be known before it is used")
    convergence = DictField(help_text="criteria asked for and what was reached")
    wall_time = FloatField(unit="s", help_text="s")
    log = StringField(regex=DIGEST_PATTERN, help_text="blob of the code's text output")
    identity = IntField(help_text="2: named by structure and method; none: by its labels too")

    @classmethod
    def of(
        cls,
        structure: Structure,
        method: Method,
        *,
        energy: float,
        forces: ArrayLike,
        stress: ArrayLike | None = None,
        converged: bool = True,
        **beside: Any,
    ) -> Self:
        """Make a sealed record of what `method` says of `structure`.

        Args:
            structure: its record.
            method: its record.
            energy: eV, whole cell.
            forces: (n, 3) eV/angstrom.
            stress: (6,) eV/angstrom^3, ASE Voigt order, tension positive; None where unknown.
            converged: whether the calculation reached its criteria.
            **beside: energy_kind, free_energy, k_mesh, convergence, wall_time, log, and what else
                the method's rules gave: see `GIVEN`.

        Raises:
            InputError: a label is not a number, NaN, infinite, of the wrong shape or, of DFT,
                beyond all that there is.
        """
        array = _numbers("forces", forces)
        tensor = None if stress is None else _numbers("stress", stress)
        if array.shape != (structure.n_atoms, 3):
            raise InputError(
                f"Forces of shape {array.shape} for {structure.n_atoms} atoms.",
                hint=f"They must have shape ({structure.n_atoms}, 3).",
            )
        free = beside.get("free_energy")
        if not (np.isfinite([energy, energy if free is None else free, *array.flat]).all()):
            raise InputError("The energy or a force is NaN or infinite.")
        if tensor is not None and not (tensor.shape == (6,) and np.isfinite(tensor).all()):
            raise InputError("The stress is not six finite numbers.")
        if not method.is_model:
            _refuse_far(energy / max(structure.n_atoms, 1), array, tensor)
        record = cls(
            structure=structure.id,
            method=method.id,
            method_class="model" if method.is_model else "dft",
            formula=structure.formula,
            chemical_formula_reduced=structure.chemical_formula_reduced,
            elements=list(structure.elements),
            nelements=len(structure.elements),
            kind=structure.kind,
            n_atoms=structure.n_atoms,
            energy=float(energy),
            energy_per_atom=float(energy) / structure.n_atoms,
            forces=array,
            stress=tensor,
            max_force=float(np.linalg.norm(array, axis=1).max()),
            converged=converged,
            identity=BY_INPUTS if method.is_model else None,
            **beside,
        )
        record.made_from("structure", "structures", structure.id)
        record.made_from("method", "methods", method.id)
        return record.sealed()

    GIVEN: ClassVar[tuple[str, ...]] = ("k_shift", "k_rule", "potentials", "plus_u", "magnetic")
    """What the method's rules gave for this structure, beside mesh, charge and convergence."""

    def content(self) -> dict[str, Any]:
        """Structure and method; of DFT also labels and what the method's rules gave.

        The time it took is no part of it. What a record does not say is left out, so that those of
        schemas up to 7 keep their ids.
        """
        if self.identity == BY_INPUTS:
            return {"prediction": {"structure": self.structure, "method": self.method}}
        kinds = {"energy_kind": self.energy_kind, "free_energy": self.free_energy}
        given = {name: value for name in self.GIVEN if (value := getattr(self, name))}
        if self.charge is not None:
            given["charge"] = self.charge
        return {
            "calculation": {
                "structure": self.structure,
                "method": self.method,
                "energy": self.energy,
                **{name: value for name, value in kinds.items() if value is not None},
                "forces": self.forces,
                "stress": self.stress,
                "converged": self.converged,
                "k_mesh": list(self.k_mesh or []),
                "convergence": self.convergence or {},
                **given,
            }
        }

    @property
    def title(self) -> str:
        """As "Se8W4 dft -79.123456 eV"."""
        return f"{self.formula} {self.method_class} {self.energy:.6f} eV"

    def facts(self) -> list[tuple[str, object]]:
        """Method and largest force, then what else is usually asked."""
        return [
            ("method", called(self, "method")),
            ("largest force", f"{self.max_force:.3g} eV/Å"),
            ("atoms", self.n_atoms),
            ("energy per atom", f"{self.energy / self.n_atoms:.6f} eV"),
            ("kind", self.kind or ""),
            ("converged", "yes" if self.converged else "no"),
            ("stress", "yes" if self.stress is not None else "no"),
        ]

    @property
    def atoms(self) -> Atoms:
        """ASE Atoms of its structure, with the labels on a SinglePointCalculator.

        Raises:
            InputError: it was not read by `forcebase.connect()`.
        """
        return self.to_atoms(home_of(self).record("structures", self.structure))

    @classmethod
    def atoms_of(cls, found: Sequence[Calculation], structures: StructuresOf) -> list[Atoms]:
        """The geometries, with the labels on a SinglePointCalculator."""
        known = structures({record.structure for record in found})
        return [record.to_atoms(known[record.structure]) for record in found]

    def to_atoms(self, structure: Structure) -> Atoms:
        """Give ASE Atoms of its structure, with the labels on a SinglePointCalculator."""
        atoms = structure.to_atoms()
        labels = {"energy": self.energy, "forces": self.forces}
        if self.free_energy is not None or self.energy_kind == EnergyKind.FREE:
            labels["free_energy"] = self.energy if self.free_energy is None else self.free_energy
        if self.stress is not None:
            labels["stress"] = self.stress
        atoms.calc = SinglePointCalculator(atoms, **labels)
        return atoms


def with_found_fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give a stored calculation of before with the fields by which it is found and that it lacks.

    Raises:
        ValueError: its formula is none; somebody edited it.
    """
    told = composition(document["formula"])
    return {
        **document,
        **{name: told[name] for name in ("chemical_formula_reduced", "nelements")},
        "energy_per_atom": document["energy"] / document["n_atoms"],
    }


def _numbers(what: str, given: ArrayLike) -> NDArray[np.float64]:
    """Labels as an array; text and booleans that could be taken for numbers are none."""
    array = np.asarray(given)
    if array.dtype.kind not in "iuf":
        raise InputError(f"The {what} of a calculation must be numbers.")
    return array.astype(float, copy=False)


def _refuse_far(
    energy: float, forces: NDArray[np.float64], stress: NDArray[np.float64] | None
) -> None:
    labels = {
        "energy per atom": [energy],
        "force": forces,
        "stress": [0] if stress is None else stress,
    }
    for name, values in labels.items():
        largest = float(np.abs(np.asarray(values, dtype=float)).max())
        if largest > FARTHEST:
            raise InputError(
                f"The largest {name} is {largest:.1e} eV or eV/angstrom, beyond {FARTHEST:.0e}.",
                hint="Look at its units, and whether the file is whole.",
            )
