"""(structure, supercell, method, protocol) -> force constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ase import Atoms
from mongoengine import DictField, FloatField, IntField, ListField, StringField

from forcebase.records.array_field import ArrayField
from forcebase.records.base import DIGEST_PATTERN, Record, StructuresOf
from forcebase.records.bound import called, home_of
from forcebase.records.description import BlobField, Column, Description, Reference, columns

BY_INPUTS = 2
"""Of a model's phonon: named by what it was made from and how, not by the bits of its force
constants. Records of schemas up to 7 have no number and are named by those too, as DFT's are."""
FOUND = (
    "why_displacements",
    "precision",
    "n_displacements",
    "n_centers",
    "moved_A",
    "sum_rule_error_eV_per_A2",
    "symmetry_error_eV_per_A2",
    "check",
    "fit",
)
"""What a protocol says of how it went; all else is what was asked for."""
LATER = ("fit",)
"""Of these, what records of schemas up to 7 do not have: it names no record."""


class Phonon(Record):
    """Force constants of one structure; bands, DOS and projections follow on any q-points."""

    meta: ClassVar[dict[str, Any]] = {
        "collection": "phonons",
        "indexes": [
            ["method", "structure"],
            "structure",
            "initial_structure",
            "protocol_digest",
            "force_constants",
            ["defect.name", "n_atoms_supercell"],
            "defect.host",
            "provenance.edges.record",
        ],
    }
    DESCRIPTION = Description(
        columns=columns(
            *("id", "formula", "method", "supercell"),
            Column("n_atoms_supercell", "atoms"),
            Column("defect.name", "defect"),
        ),
        references=(
            Reference("structure", "structures", "structure"),
            Reference("method", "methods", "method"),
            Reference("initial_structure", "structures"),
            Reference("defect.host", "structures", "host"),
        ),
        blobs=(BlobField("force_constants", "force constants"),),
        heavy=("masses",),
        tells_source=True,
        colour="#f8d0da",
    )

    structure = StringField(required=True, regex=DIGEST_PATTERN, help_text="relaxed unit cell")
    initial_structure = StringField(regex=DIGEST_PATTERN, help_text="before the relaxation")
    method = StringField(required=True, regex=DIGEST_PATTERN)
    method_class = StringField(required=True, choices=("dft", "model"))
    formula = StringField(required=True)
    supercell_matrix = ListField(ListField(IntField()), required=True)
    primitive_matrix = ListField(ListField(FloatField()), required=True)
    masses = ArrayField((None,), required=True, help_text="(n,) of the unit cell, amu")
    n_atoms_supercell = IntField(required=True)
    force_constants = StringField(
        required=True,
        regex=DIGEST_PATTERN,
        help_text="blob (n_primitive, n_supercell, 3, 3), eV/angstrom^2",
    )
    born = ArrayField((None, 3, 3), help_text="(n_primitive, 3, 3) Born effective charges, e")
    epsilon_static = ArrayField((3, 3), help_text="dielectric tensor of the electrons alone")
    nac = DictField(help_text="of the non-analytical term: method, factor_eV_A; source of charges")
    magnetic_moments = ArrayField(
        (None, None), help_text="(n, 1) or (n, 3) of the unit cell, muB; of its symmetry"
    )
    protocol = DictField(required=True, help_text="displacement, fmax, symmetrized, ...")
    protocol_digest = StringField(required=True, regex=DIGEST_PATTERN)
    defect = DictField(help_text="name, changes, centre, supercell_matrix, host; {} if pristine")
    relaxation = DictField(help_text="steps, energy, max_force, stress, converged")
    findings = ListField(StringField(), help_text="what to know before it is trusted")
    wall_time = FloatField(unit="s", help_text="s")
    identity = IntField(help_text="2: named by its inputs and protocol; none: by all that it says")

    @property
    def title(self) -> str:
        """As "SeW v_Se model 6x6x1"."""
        defect = (self.defect or {}).get("name", "")
        return " ".join(p for p in (self.formula, defect, self.method_class, self.supercell) if p)

    @property
    def supercell(self) -> str:
        """As "3x3x1", or "-1,1,1;1,-1,1;1,1,-1" where the matrix is not diagonal."""
        rows = [list(row) for row in self.supercell_matrix]
        if all(value == 0 for i, row in enumerate(rows) for j, value in enumerate(row) if i != j):
            return "x".join(str(row[i]) for i, row in enumerate(rows))
        return ";".join(",".join(map(str, row)) for row in rows)

    def facts(self) -> list[tuple[str, object]]:
        """Method and supercell, then how the force constants were made."""
        return [
            ("method", called(self, "method")),
            ("supercell atoms", self.n_atoms_supercell),
            ("force constants", self.protocol.get("method", "")),
            ("Born charges", "yes" if self.born is not None else "no"),
            ("findings", "; ".join(self.findings or ())),
        ]

    @property
    def atoms(self) -> Atoms:
        """ASE Atoms of the unit cell; raises InputError unless `forcebase.connect()` read it."""
        return home_of(self).record("structures", self.structure).to_atoms()

    def bands(self) -> Any:
        """Frequencies on the usual path of its lattice: a `forcebase.api.phonons.PhononBands`.

        Raises:
            InputError: a molecule, or a cell of which no path is known.
        """
        return home_of(self).answers.bands(self)

    def dos(self, sigma: float | None = None, mesh: Sequence[int] | None = None) -> Any:
        """Density of states, by element too: a `forcebase.api.phonons.PhononDOS`.

        Args:
            sigma: of the Gaussians, THz; 0.05 by default.
            mesh: q-points along the reciprocal primitive vectors, as (20, 20, 20); by default one
                that fits the cell.
        """
        return home_of(self).answers.dos(self, sigma, mesh)

    def thermal(self, temperatures: Any, mesh: Sequence[int] | None = None) -> Any:
        """Harmonic heat at constant volume: a `forcebase.api.phonons.Thermal`.

        Args:
            temperatures: (n,) K.
            mesh: q-points along the reciprocal primitive vectors; by default as of `dos`.

        Raises:
            InputError: a temperature is negative or no number.
        """
        return home_of(self).answers.thermal(self, temperatures, mesh)

    def to_phonopy(self) -> Any:
        """A fresh phonopy object with these force constants, and Born charges in three dimensions.

        Its frequencies are those of `bands`.
        """
        return home_of(self).answers.crystal(self).to_phonopy()

    @classmethod
    def atoms_of(cls, found: Sequence[Phonon], structures: StructuresOf) -> list[Atoms]:
        """The unit cells."""
        known = structures({record.structure for record in found})
        return [known[record.structure].to_atoms() for record in found]

    @property
    def start(self) -> str:
        """Id of the structure that was given: before the relaxation, where there was one."""
        return str(self.initial_structure or self.structure)

    @property
    def is_relaxed(self) -> bool:
        """Whether the relaxation came to its end, as far as the record says."""
        return bool((self.relaxation or {}).get("converged", True))

    @property
    def asked(self) -> dict[str, Any]:
        """Of the protocol, what was asked for and how it was done; not how it went."""
        return {key: value for key, value in self.protocol.items() if key not in FOUND}

    def inputs(self) -> dict[str, Any]:
        """What decides the force constants, but for their last bits.

        A structure that was not relaxed to the end is one of many on the way, and named itself.
        """
        return {
            "start": self.start,
            "structure": None if self.is_relaxed else self.structure,
            "method": self.method,
            "supercell_matrix": [list(row) for row in self.supercell_matrix],
            "masses": self.masses,
            "protocol": self.asked,
        }

    def polar(self) -> dict[str, Any]:
        """Charges, dielectric tensor, how their term is made, and moments: those that are there."""
        term = {key: value for key, value in (self.nac or {}).items() if key != "source"}
        found = {
            "born": self.born,
            "epsilon_static": self.epsilon_static,
            "nac": term or None,
            "magnetic_moments": self.magnetic_moments,
        }
        return {name: value for name, value in found.items() if value is not None}

    def content(self) -> dict[str, Any]:
        """Structure, method, cells, masses, protocol, charges; of DFT the force constants too."""
        if self.identity == BY_INPUTS:
            return {"prediction": {"phonon": {**self.inputs(), **self.polar()}}}
        protocol = {key: value for key, value in self.protocol.items() if key not in LATER}
        return {
            "phonon": {
                "structure": self.structure,
                "method": self.method,
                "supercell_matrix": [list(row) for row in self.supercell_matrix],
                "primitive_matrix": [list(row) for row in self.primitive_matrix],
                "masses": self.masses,
                "force_constants": self.force_constants,
                "protocol": protocol,
                **self.polar(),
            }
        }
