"""How a label is made: a DFT set-up or a model. Interchangeable in every query."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from mongoengine import (
    BooleanField,
    DictField,
    FloatField,
    IntField,
    ListField,
    StringField,
)

from forcebase.outputs import model_content
from forcebase.records.base import DIGEST_PATTERN, Record
from forcebase.records.bound import called, home_of
from forcebase.records.description import BlobField, Description, Reference, columns


class Method(Record):
    """A way to give a structure its energy, forces and stress."""

    meta: ClassVar[dict[str, Any]] = {
        "collection": "methods",
        "allow_inheritance": True,
        "indexes": ["provenance.edges.record"],
    }
    DESCRIPTION = Description(
        columns=columns("id", "title", "dataset"), shared=True, colour="#fbe0b5"
    )

    @property
    def is_model(self) -> bool:
        """True for a model, false for a DFT set-up."""
        return isinstance(self, ModelMethod)

    @property
    def title(self) -> str:
        """A short name for people."""
        raise TypeError("a Method is a DFTMethod or a ModelMethod")

    @property
    def short_title(self) -> str:
        """What figures call it, without versions and ids."""
        raise TypeError("a Method is a DFTMethod or a ModelMethod")


CODE_NAMES = {
    "abinit": "ABINIT",
    "cp2k": "CP2K",
    "fhi-aims": "FHI-aims",
    "gpaw": "GPAW",
    "quantum espresso": "Quantum ESPRESSO",
    "vasp": "VASP",
}
"""As their authors write them."""


IDENTITY = 2
"""Of what names a DFT method now: rules alone. Records of schemas up to 8 have none, and are named
by their version, potentials and k-points too."""


class DFTMethod(Method):
    """A DFT set-up: the rules of a whole data set.

    What the rules gave for one structure (potential and U of each element, k-mesh, charge, magnetic
    state, convergence, the code's version) belongs to its calculation.
    """

    meta: ClassVar[dict[str, Any]] = {"indexes": ["code", "functional"]}
    DESCRIPTION = Description(heavy=("settings",))

    code = StringField(required=True, help_text="as gpaw, vasp, cp2k")
    functional = StringField(required=True, help_text="as PBE, HSE06")
    functional_parameters = DictField(help_text="as exchange_fraction, screening_per_A")
    basis = DictField(required=True, help_text="type and cutoff_eV")
    pseudopotentials = DictField(required=True, help_text="type and library")
    smearing = DictField(required=True, help_text="type and width_eV")
    spin = StringField(required=True, help_text="none, collinear, noncollinear")
    dispersion = StringField(required=True, help_text="none, or the correction's name")
    dispersion_parameters = DictField(help_text="those that are not the correction's own")
    spin_orbit = BooleanField(required=True)
    plus_u = DictField(help_text="scheme of Hubbard terms; values are the calculations'")
    corrections = DictField(help_text="fields, dipole and charge corrections, solvent")
    settings = DictField(
        help_text="other settings that are not the code's defaults and not known to be harmless"
    )
    identity = IntField(help_text="2; none: of a schema up to 8, see k_points and code_version")
    code_version = StringField(help_text="up to schema 8")
    k_points = DictField(help_text="up to schema 8: rule and spacing_per_A")
    libxc_version = StringField(help_text="up to schema 8")

    RULES: ClassVar[tuple[str, ...]] = (
        "code",
        "functional",
        "functional_parameters",
        "basis",
        "pseudopotentials",
        "smearing",
        "spin",
        "dispersion",
        "dispersion_parameters",
        "spin_orbit",
        "plus_u",
        "corrections",
        "settings",
    )
    FIELDS: ClassVar[tuple[str, ...]] = (
        "code",
        "code_version",
        "functional",
        "basis",
        "pseudopotentials",
        "k_points",
        "smearing",
        "spin",
        "dispersion",
        "spin_orbit",
        "libxc_version",
    )
    """Up to schema 8."""

    @classmethod
    def of_rules(cls, **rules: Any) -> Self:
        """Make a sealed record of a method, named by its rules alone.

        Raises:
            ValidationError: a rule lacks or is of the wrong kind.
        """
        return cls(identity=IDENTITY, **rules).sealed()

    @property
    def is_recorded(self) -> bool:
        """Whether it keeps every rule; a record of a schema up to 8 does not."""
        return self.identity is not None

    def content(self) -> dict[str, Any]:
        """All that changes the method's answers."""
        identity = {"identity": self.identity} if self.is_recorded else {}
        return {"dft": {**identity, **self.rules()}}

    def rules(self) -> dict[str, Any]:
        """The fields that name it."""
        return {
            name: getattr(self, name) for name in (self.RULES if self.is_recorded else self.FIELDS)
        }

    @property
    def title(self) -> str:
        """As "gpaw PBE 350 eV", "vasp HSE (35 % exchange) 400 eV"."""
        parts = [self.code, *([self.code_version] if self.code_version else []), self._named()]
        cutoff = self.basis.get("cutoff_eV")
        return " ".join([*parts, f"{cutoff:g} eV"] if cutoff else parts)

    def facts(self) -> list[tuple[str, object]]:
        """Dispersion and spin, then the rest of the rules."""
        return [
            ("dispersion", "" if self.dispersion in (None, "none") else self.dispersion),
            ("spin", "" if self.spin == "none" else self.spin),
            ("smearing", " ".join(str(value) for value in dict(self.smearing).values())),
            ("basis", " ".join(str(value) for value in dict(self.basis).values())),
        ]

    def _named(self) -> str:
        name = str(self.functional)
        share = (self.functional_parameters or {}).get("exchange_fraction")
        if share is not None:
            name += f" ({100 * share:g} % exchange)"
        name += "+U" if self.plus_u else ""
        return name if self.dispersion in (None, "none") else f"{name}-{self.dispersion}"

    @property
    def short_title(self) -> str:
        """As "GPAW PBE"."""
        return f"{CODE_NAMES.get(self.code, self.code)} {self.functional}"


class ModelMethod(Method):
    """A model: its weights' digest and what else changes its answers."""

    meta: ClassVar[dict[str, Any]] = {"indexes": ["weights", "neutral", "dataset"]}
    DESCRIPTION = Description(
        references=(
            Reference("dataset", "datasets", "training data"),
            Reference("parent", "methods", "parent model"),
        ),
        blobs=(BlobField("weights"), BlobField("neutral", "neutral form")),
        heavy=("learning_curve", "golden_probe", "hyperparameters"),
        long=("learning_curve", "golden_probe"),
    )

    kind = StringField(required=True, help_text="as MACE")
    weights = StringField(required=True, regex=DIGEST_PATTERN, help_text="blob of the model file")
    neutral = StringField(regex=DIGEST_PATTERN, help_text="of a MACE: blob of its neutral form")
    dtype = StringField(required=True, choices=("float64", "float32"))
    head = StringField(help_text="readout head of a multi-head model")
    arguments = DictField(help_text="of another package: what else changes the answers")
    package = StringField(help_text="of another package: its name and version")
    environment = DictField(help_text="of another package: where it ran when it was added")
    parent = StringField(regex=DIGEST_PATTERN, help_text="method id of what it was tuned from")
    elements = ListField(StringField(), required=True, help_text="symbols that it knows")
    dataset = StringField(regex=DIGEST_PATTERN, help_text="dataset that it was trained on")
    e0s = DictField(help_text="symbol to isolated-atom energy, eV, of the dataset's method")
    hyperparameters = DictField(help_text="all settings of the training")
    seed = IntField()
    n_parameters = IntField()
    learning_curve = ListField(DictField(), help_text="per epoch, on the valid split")
    golden_probe = DictField(help_text="a structure and the answers that the model must give")
    package_versions = DictField()
    wall_time = FloatField(unit="s", help_text="training time, s")

    def content(self) -> dict[str, Any]:
        """All that changes the answers: the same file in float32 is another model."""
        fields = ("kind", "dtype", "head", "package", "arguments")
        return model_content({name: getattr(self, name) for name in fields}, self.weights)

    def facts(self) -> list[tuple[str, object]]:
        """Elements and data, then size and precision."""
        known = ", ".join(list(self.elements)[:6]) + (", ..." if len(self.elements) > 6 else "")
        return [
            ("of", known),
            ("trained on", called(self, "dataset") if self.dataset else ""),
            ("tuned from", called(self, "parent") if self.parent else ""),
            ("parameters", f"{self.n_parameters:,}" if self.n_parameters else ""),
            ("dtype", self.dtype),
            ("package", self.package or ""),
        ]

    def calculator(self) -> Any:
        """An ASE calculator of it.

        Raises:
            IntegrityError: its weights are not those of its digest; nothing is loaded.
            MissingDependencyError: its package is not installed.
            ModelError: it came in an archive and nobody trusted it.
        """
        return home_of(self).answers.calculator(self)

    def learning(self) -> Any:
        """Errors on the valid split by epoch: a `forcebase.api.labels.Learning`, with `.plot()`.

        Raises:
            InputError: it was not trained here.
        """
        return home_of(self).answers.learning(self)

    @property
    def title(self) -> str:
        """As "MACE 1a2b3c4d5e"."""
        return f"{self.kind} {self.id[:10]}"

    @property
    def short_title(self) -> str:
        """As "MACE"."""
        return str(self.kind)
