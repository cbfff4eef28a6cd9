"""One periodic structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.formula import Formula
from mongoengine import (
    BooleanField,
    DictField,
    FloatField,
    IntField,
    ListField,
    StringField,
)
from mongoengine.errors import ValidationError

from forcebase.digest import structure_digest, structure_digests
from forcebase.errors import InputError
from forcebase.physics.periodicity import vacuum_axes
from forcebase.records.array_field import ArrayField, decode_array
from forcebase.records.base import Record, StructuresOf
from forcebase.records.bound import SHORT
from forcebase.records.description import Column, Description, Reference, columns
from forcebase.records.formula import composition

LARGEST_LENGTH = 1e6
"""angstrom; a tenth of a millimetre."""

if TYPE_CHECKING:
    from pymatgen.core import Structure as PymatgenStructure


class Structure(Record):
    """One periodic structure; the id names its geometry alone.

    The same geometry reached twice is one record: the first recipe and family stay.
    """

    meta: ClassVar[dict[str, Any]] = {
        "collection": "structures",
        "indexes": [
            "formula",
            "elements",
            "elements_ratios",
            "nelements",
            "n_atoms",
            "chemical_formula_reduced",
            "chemical_formula_anonymous",
            "nperiodic_dimensions",
            "created_at",
            "family",
            "kind",
            "recipe.parent",
            "provenance.edges.record",
        ],
    }
    DESCRIPTION = Description(
        columns=columns("id", "formula", Column("n_atoms", "atoms"), "kind", "family"),
        references=(Reference("recipe.parent", "structures", "parent", may_be_elsewhere=True),),
        heavy=("positions", "numbers", "cell"),
        aliases=(("nsites", "n_atoms"), ("chemical_formula_hill", "formula")),
        tells_source=True,
        many=True,
        shared=True,
        colour="#cfe3f5",
    )

    formula = StringField(required=True, help_text="Hill formula, as W4Se7")
    reduced_formula = StringField(required=True, help_text="metals first, as WSe2")
    elements = ListField(StringField(), required=True, help_text="symbols, sorted")
    nelements = IntField(required=True, min_value=1, help_text="number of elements")
    elements_ratios = ListField(
        FloatField(), required=True, help_text="share of the atoms, in the order of `elements`"
    )
    chemical_formula_reduced = StringField(
        required=True, help_text="smallest whole numbers, alphabetical, as Se2W"
    )
    chemical_formula_anonymous = StringField(
        required=True, help_text="A is the most frequent element, as A2B"
    )
    n_atoms = IntField(required=True, min_value=1, help_text="atoms of the cell")
    numbers = ArrayField((None,), "<i8", required=True, help_text="(n,) atomic numbers")
    cell = ArrayField(
        (3, 3), required=True, unit="angstrom", help_text="lattice vectors as rows, angstrom"
    )
    positions = ArrayField(
        (None, 3), required=True, unit="angstrom", help_text="(n, 3) Cartesian, angstrom"
    )
    pbc = ListField(BooleanField(), required=True, help_text="lattice axes that are periodic")
    dimension_types = ListField(
        IntField(), required=True, help_text="`pbc` as OPTIMADE has it: 1 where periodic, 0 else"
    )
    nperiodic_dimensions = IntField(required=True, min_value=0, help_text="sum of these")
    vacuum_axes = ListField(BooleanField(), required=True, help_text="lattice axes with vacuum")
    family = StringField(required=True, help_text="ancestry root, by which splits are made")
    kind = StringField(default="", help_text="configuration kind, as pristine-2x2")
    recipe = DictField(help_text="operation, parameters, seed, parent")
    defect = DictField(
        default=None,
        help_text="of a made cell: name, changes, centre, supercell_matrix, host, as of phonons",
    )

    @property
    def title(self) -> str:
        """As "Se7W4 Se-vacancy-2x2 rattle"."""
        made = self.recipe.get("operation", "") if self.recipe else ""
        return " ".join(part for part in (self.formula, self.kind, made) if part)

    def content(self) -> dict[str, Any]:
        """The geometry, on the digest's grid."""
        return {"geometry": self.geometry_id(self.to_atoms())}

    def digest(self) -> str:
        """The geometry's digest is the id itself, so that anyone can compute it from Atoms."""
        return self.geometry_id(self.to_atoms())

    @classmethod
    def digests_of(cls, documents: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Digests of many stored structures at once, by id: four times as fast as one by one.

        Where one of them is malformed it gives none.
        """
        by_size: dict[int, list[Mapping[str, Any]]] = {}
        found: dict[str, str] = {}
        try:
            for document in documents:
                by_size.setdefault(document["numbers"]["shape"][0], []).append(document)
            for some in by_size.values():
                numbers, cells, positions = (
                    np.array([decode_array(document[name]) for document in some])
                    for name in ("numbers", "cell", "positions")
                )
                pbc = np.array([document["pbc"] for document in some], dtype=bool)
                ids = [document["_id"] for document in some]
                digests = structure_digests(numbers, cells, positions, pbc)
                found |= zip(ids, digests, strict=True)
        except (KeyError, TypeError, ValueError, IndexError, InputError):
            return {}
        return found

    @classmethod
    def atoms_of(cls, found: Sequence[Structure], structures: StructuresOf) -> list[Atoms]:  # noqa: ARG003
        """The geometries."""
        return [record.to_atoms() for record in found]

    @staticmethod
    def geometry_id(atoms: Atoms) -> str:
        """Id that a structure with this geometry has."""
        return structure_digest(atoms.numbers, atoms.cell.array, atoms.positions, atoms.pbc)

    @classmethod
    def from_atoms(
        cls,
        atoms: Atoms,
        *,
        family: str | None = None,
        kind: str = "",
        recipe: dict[str, Any] | None = None,
        defect: dict[str, Any] | None = None,
    ) -> Self:
        """Make a sealed record; without a family, the structure is the root of its own.

        Raises:
            InputError: an atom is of no element, or a length is that of no crystal.
        """
        require_plausible(atoms.numbers, atoms.cell.array, atoms.positions)
        record = cls(
            formula=atoms.get_chemical_formula(),
            reduced_formula=Formula(atoms.get_chemical_formula()).reduce()[0].format("metal"),
            elements=sorted(set(atoms.get_chemical_symbols())),
            **composition(atoms.get_chemical_formula()),
            **_periodicity(atoms.pbc),
            n_atoms=len(atoms),
            numbers=np.asarray(atoms.numbers, dtype=np.int64),
            cell=np.asarray(atoms.cell.array, dtype=float),
            positions=np.asarray(atoms.positions, dtype=float),
            pbc=[bool(flag) for flag in atoms.pbc],
            vacuum_axes=[bool(flag) for flag in vacuum_axes(atoms.cell.array, atoms.positions)],
            family=family or cls.geometry_id(atoms),
            kind=kind,
            recipe=recipe or {},
            defect=defect,
        )
        parent = (recipe or {}).get("parent")
        if parent:
            record.made_from("parent", "structures", parent)
        return record.sealed()

    def validate(self, clean: bool = True) -> None:
        """Check all fields, and that atoms are of elements and lengths of a crystal."""
        super().validate(clean)
        try:
            require_plausible(self.numbers, self.cell, self.positions)
        except InputError as error:
            raise ValidationError(error.message) from None

    def facts(self) -> list[tuple[str, object]]:
        """Atoms, lengths of the cell, family."""
        lengths = " ".join(f"{x:.4g}" for x in np.linalg.norm(self.cell, axis=1))
        return [
            ("atoms", self.n_atoms),
            ("cell lengths", f"{lengths} Å"),
            ("kind", self.kind or ""),
            ("family", str(self.family)[:SHORT]),
        ]

    @property
    def atoms(self) -> Atoms:
        """ASE Atoms, fresh each time."""
        return self.to_atoms()

    def to_atoms(self) -> Atoms:
        """Give ASE Atoms."""
        return Atoms(self.numbers, self.positions, cell=self.cell, pbc=self.pbc)

    def to_pymatgen(self) -> PymatgenStructure:
        """Give a pymatgen Structure."""
        from pymatgen.io.ase import AseAtomsAdaptor

        return AseAtomsAdaptor.get_structure(self.to_atoms())


def with_composition(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give a stored structure of before with the fields that OPTIMADE has and it lacks.

    Raises:
        ValueError: its formula is none; somebody edited it.
    """
    return {
        **document,
        **composition(document["formula"]),
        **_periodicity(document["pbc"]),
    }


def _periodicity(pbc: Any) -> dict[str, Any]:
    types = [int(flag) for flag in pbc]
    return {"dimension_types": types, "nperiodic_dimensions": sum(types)}


def defect_as_field(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give a structure with its defect as a field; up to schema 7 it stood in the recipe.

    Args:
        document: a stored structure, or one that a job made; where its recipe holds no defect it
            is given as it is, and so is a recipe of somebody's own that calls something else so.
    """
    recipe = document.get("recipe")
    parameters = recipe.get("parameters") if isinstance(recipe, Mapping) else None
    if not isinstance(parameters, Mapping) or not isinstance(parameters.get("defect"), Mapping):
        return dict(document)
    left = {name: value for name, value in parameters.items() if name != "defect"}
    return {
        **document,
        "recipe": {**(recipe or {}), "parameters": left},
        "defect": parameters["defect"],
    }


def require_plausible(numbers: Any, cell: Any, positions: Any) -> None:
    """Refuse what no crystal is: a letter that was flipped, a decimal point that was lost.

    Raises:
        InputError: an atom is of no element, or a coordinate is beyond `LARGEST_LENGTH`.
    """
    for index, number in enumerate(np.asarray(numbers).tolist()):
        if not 0 < number < len(chemical_symbols):
            raise InputError(
                f"Atom {index} is of no element: X, a ghost or a placeholder (atomic number "
                f"{number}).",
                hint="Leave such atoms out; a calculation with ghosts has another energy.",
            )
    for name, values in (("position", positions), ("lattice vector", cell)):
        array = np.abs(np.asarray(values, dtype=float))
        if array.size and not array.max() <= LARGEST_LENGTH:  # NaN neither
            raise InputError(
                f"A {name} of {array.max():.3g} angstrom is in no structure.",
                hint=f"Lengths up to {LARGEST_LENGTH:g} angstrom are taken.",
            )
