"""How a label is made: a DFT set-up or a model. Interchangeable in every query."""

from __future__ import annotations

from typing import Any, ClassVar

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


class Method(Record):
    """A way to give a structure its energy, forces and stress."""

    meta: ClassVar[dict[str, Any]] = {
        "collection": "methods",
        "allow_inheritance": True,
        "indexes": ["provenance.edges.record"],
    }

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


class DFTMethod(Method):
    """A DFT set-up. Convergence criteria belong to each calculation, not to the method."""

    meta: ClassVar[dict[str, Any]] = {"indexes": ["code", "functional"]}

    code = StringField(required=True, help_text="as gpaw, vasp, cp2k")
    code_version = StringField(required=True)
    functional = StringField(required=True, help_text="as PBE")
    basis = DictField(required=True, help_text="type and cutoff_eV")
    pseudopotentials = DictField(required=True, help_text="type, library, version")
    k_points = DictField(required=True, help_text="rule and spacing_per_A")
    smearing = DictField(required=True, help_text="type and width_eV")
    spin = StringField(required=True, help_text="none, collinear, noncollinear")
    dispersion = StringField(required=True, help_text="none, or the correction's name")
    spin_orbit = BooleanField(required=True)
    libxc_version = StringField(help_text="version of libxc, where it makes the functional")

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

    def content(self) -> dict[str, Any]:
        """All that changes the method's answers."""
        return {"dft": {name: getattr(self, name) for name in self.FIELDS}}

    @property
    def title(self) -> str:
        """As "gpaw 26.7.0 PBE 350 eV"."""
        cutoff = self.basis.get("cutoff_eV")
        parts = [self.code, self.code_version, self.functional]
        return " ".join([*parts, f"{cutoff:g} eV"] if cutoff else parts)

    @property
    def short_title(self) -> str:
        """As "GPAW PBE"."""
        return f"{CODE_NAMES.get(self.code, self.code)} {self.functional}"


class ModelMethod(Method):
    """A model: its weights' digest and what else changes its answers."""

    meta: ClassVar[dict[str, Any]] = {"indexes": ["weights", "neutral", "dataset"]}

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
    wall_time = FloatField(help_text="training time, s")

    def content(self) -> dict[str, Any]:
        """All that changes the answers: the same file in float32 is another model."""
        fields = ("kind", "dtype", "head", "package", "arguments")
        return model_content({name: getattr(self, name) for name in fields}, self.weights)

    @property
    def title(self) -> str:
        """As "MACE 1a2b3c4d5e"."""
        return f"{self.kind} {self.id[:10]}"

    @property
    def short_title(self) -> str:
        """As "MACE"."""
        return str(self.kind)
