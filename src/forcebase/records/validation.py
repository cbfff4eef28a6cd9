"""One comparison, with exactly what went in."""

from __future__ import annotations

from typing import Any, ClassVar

from mongoengine import DictField, IntField, StringField

from forcebase.records.base import DIGEST_PATTERN, Record
from forcebase.records.description import BlobField, Column, Description, Reference, columns


class Validation(Record):
    """A model (or any method) against a reference: metrics and where they come from."""

    meta: ClassVar[dict[str, Any]] = {
        "collection": "validations",
        "indexes": [["kind", "model", "reference"], "inputs_root", "provenance.edges.record"],
    }
    DESCRIPTION = Description(
        columns=columns(
            *("id", "model", "reference"),
            Column("subject", "on"),
            Column("energy_mae", "energy", "meV/atom", digits=2),
            Column("forces_mae", "forces", "meV/A", digits=1),
            Column("bands_mae", "bands", "THz", digits=3),
            "n",
        ),
        references=(Reference("model", "methods"), Reference("reference", "methods")),
        blobs=(BlobField("inputs"),),
        heavy=("metrics",),
        colour="#f7f3b3",
    )

    kind = StringField(required=True, choices=("labels", "phonons"))
    model = StringField(required=True, regex=DIGEST_PATTERN, help_text="method that is judged")
    reference = StringField(
        required=True, regex=DIGEST_PATTERN, help_text="method it is compared with"
    )
    on = DictField(required=True, help_text="dataset and split, query, or phonons and q-points")
    inputs_root = StringField(
        required=True, regex=DIGEST_PATTERN, help_text="Merkle root of all records that went in"
    )
    inputs = StringField(
        regex=DIGEST_PATTERN,
        help_text="of labels, blob: ids of the calculations of the model and, as many, of the "
        "reference, 32 bytes each",
    )
    n = IntField(required=True, help_text="structures, or q-points")
    metrics = DictField(required=True)
    leakage = DictField(help_text="n_in_training, n_same_family, n_new")

    @property
    def subject(self) -> str:
        """What was compared: dataset and split, a query, or the id of the reference's phonon."""
        on = self.on
        if "reference_phonon" in on:
            return str(on["reference_phonon"])
        if on.get("dataset"):
            return ":".join(str(on[key]) for key in ("dataset", "split") if on.get(key))
        return " ".join(f"{key}={value}" for key, value in (on.get("query") or {}).items())

    @property
    def energy_mae(self) -> float | None:
        """Of labels, meV/atom."""
        return self._mae("energy")

    @property
    def forces_mae(self) -> float | None:
        """Of labels, meV/angstrom."""
        return self._mae("forces")

    @property
    def bands_mae(self) -> float | None:
        """Of phonons, THz."""
        return (self.metrics or {}).get("band_mae_THz")

    def _mae(self, quantity: str) -> float | None:
        return (self.metrics or {}).get("overall", {}).get(quantity, {}).get("mae")

    @property
    def title(self) -> str:
        """As "labels n=7"."""
        return f"{self.kind} n={self.n}"

    def content(self) -> dict[str, Any]:
        """Both sides, the inputs and the metrics."""
        return {
            "validation": {
                "kind": self.kind,
                "model": self.model,
                "reference": self.reference,
                "on": self.on,
                "inputs_root": self.inputs_root,
                "metrics": self.metrics,
                "leakage": self.leakage or {},
            }
        }
