"""(structure, supercell, method, protocol) -> force constants."""

from __future__ import annotations

from typing import Any, ClassVar

from mongoengine import DictField, FloatField, IntField, ListField, StringField

from forcebase.records.array_field import ArrayField
from forcebase.records.base import DIGEST_PATTERN, Record


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
    protocol = DictField(required=True, help_text="displacement, fmax, symmetrized, ...")
    protocol_digest = StringField(required=True, regex=DIGEST_PATTERN)
    defect = DictField(help_text="name, changes, centre, supercell_matrix, host; {} if pristine")
    relaxation = DictField(help_text="steps, energy, max_force, stress, converged")
    findings = ListField(StringField(), help_text="what to know before it is trusted")
    wall_time = FloatField(help_text="s")

    def content(self) -> dict[str, Any]:
        """Structure, method, cells, masses, protocol and force constants."""
        return {
            "phonon": {
                "structure": self.structure,
                "method": self.method,
                "supercell_matrix": [list(row) for row in self.supercell_matrix],
                "primitive_matrix": [list(row) for row in self.primitive_matrix],
                "masses": self.masses,
                "force_constants": self.force_constants,
                "protocol": self.protocol,
            }
        }
