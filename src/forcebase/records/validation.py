"""One comparison, with exactly what went in."""

from __future__ import annotations

from typing import Any, ClassVar

from mongoengine import DictField, IntField, StringField

from forcebase.records.base import DIGEST_PATTERN, Record
from forcebase.records.bound import called, home_of
from forcebase.records.description import BlobField, Column, Description, Reference, columns
from forcebase.records.numbers import Numbers


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

    def facts(self) -> list[tuple[str, object]]:
        """The two sides and what they were compared on, then the errors."""
        seen = {key: value for key, value in (self.leakage or {}).items() if value}
        rows: list[tuple[str, object]] = [
            ("of", called(self, "model")),
            ("against", called(self, "reference")),
            ("on", self.on.get("path") or self.subject),
        ]
        if self.kind == "labels":
            errors = {name: self.errors.get(name) for name in ("energy", "forces", "stress")}
            rows += [
                (f"{name} MAE", f"{found['mae']:.4g} {found['unit']}")
                for name, found in errors.items()
                if found
            ]
        else:
            rows.append(("band MAE", f"{self.metrics['band_mae_THz']:.4g} THz"))
        return [*rows, *((name.removeprefix("n_"), value) for name, value in seen.items())]

    @property
    def errors(self) -> Numbers:
        """The metrics by attribute, as `errors.forces.mae`; those of all structures come first.

        Of labels, `energy`, `forces`, `stress` and `forces_by_element` are over all structures,
        each with `mae`, `rmse`, `max` and its `unit`; beside them stands the rest of `metrics`, as
        `by_kind`. Of phonons they are `metrics`, as `band_mae_THz`.
        """
        found = dict(self.metrics)
        return Numbers({**found.pop("overall", {}), **found}, "errors")

    def parity(self) -> Any:
        """Both sides' energies and forces: a `forcebase.api.labels.Parity`, with `.plot()`.

        Raises:
            InputError: it is of phonons, or its list of calculations was not kept.
        """
        return home_of(self).answers.parity(self)

    def force_errors(self) -> Any:
        """Force errors, structure by structure: a `forcebase.api.labels.ForceErrors`.

        Raises:
            InputError: it is of phonons, or its list of calculations was not kept.
        """
        return home_of(self).answers.force_errors(self)

    def plot(self) -> Any:
        """A matplotlib figure: of labels parity plots, of phonons bands, DOS, force constants."""
        if self.kind == "labels":
            return self.parity().plot()
        return home_of(self).answers.draw_phonons(self)

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
