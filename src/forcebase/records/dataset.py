"""A frozen, versioned list of calculations with splits."""

from __future__ import annotations

from typing import Any, ClassVar

from ase import Atoms
from mongoengine import DictField, FloatField, IntField, ListField, StringField

from forcebase.digest import content_digest
from forcebase.physics.energy_kinds import EnergyKind
from forcebase.records.base import DIGEST_PATTERN, Record, Sealed
from forcebase.records.bound import SHORT, called, home_of
from forcebase.records.description import Description, Reference, columns
from forcebase.safety.names import NAME_PATTERN

DROPPED = "dropped"
SPLITS = ("train", "valid", "test")
E0S_SOURCES = ("fitted", "given", "isolated atoms")


class Dataset(Record):
    """A dataset's head; its members stand in a collection of their own."""

    meta: ClassVar[dict[str, Any]] = {
        "collection": "datasets",
        "indexes": [
            {"fields": ["name", "version"], "unique": True},
            "members_root",
            "provenance.edges.record",
        ],
    }
    DESCRIPTION = Description(
        columns=columns("id", "title", "method", "counts"),
        references=(
            # a version has members of its own: one that left the bad record out is sound
            Reference("parent", "datasets", "parent version", carries_taint=False),
            Reference("method", "methods", "method"),
        ),
        heavy=("steps",),
        colour="#e4d7f3",
    )

    name = StringField(required=True, regex=NAME_PATTERN, help_text="part of names of files")
    version = IntField(required=True, min_value=1)
    parent = StringField(regex=DIGEST_PATTERN, help_text="the version before")
    method = StringField(required=True, regex=DIGEST_PATTERN, help_text="of all members")
    members_root = StringField(required=True, regex=DIGEST_PATTERN, help_text="Merkle root")
    counts = DictField(required=True, help_text="members per split, and dropped")
    query = DictField(help_text="which calculations were asked for")
    steps = ListField(DictField(), help_text="each with parameters, n_in, n_dropped")
    e0s = DictField(required=True, help_text="symbol to eV, of `method`")
    e0s_source = StringField(required=True, choices=E0S_SOURCES)
    energy_kind = StringField(
        choices=tuple(EnergyKind),
        help_text="of the members' energies; not there where it was not recorded, or is not one",
    )
    findings = ListField(StringField(), help_text="what is to be known before it is trained on")
    wall_time = FloatField(unit="s", help_text="s")

    def content(self) -> dict[str, Any]:
        """Name, version, members with splits, recipe and E0s."""
        return {
            "dataset": {
                "name": self.name,
                "version": self.version,
                "parent": self.parent,
                "method": self.method,
                "members_root": self.members_root,
                "query": self.query,
                "steps": list(self.steps),
                "e0s": self.e0s,
                "e0s_source": self.e0s_source,
            }
        }

    @property
    def title(self) -> str:
        """As "wse2-pbe@1", which also names it on the command line."""
        return f"{self.name}@{self.version}"

    def facts(self) -> list[tuple[str, object]]:
        """Method and counts, then E0s."""
        counts = ", ".join(f"{self.counts.get(n, 0)} {n}" for n in (*SPLITS, DROPPED))
        return [
            ("of", called(self, "method")),
            ("members", counts),
            ("E0s", ", ".join(f"{s} {e:.4f} eV" for s, e in self.e0s.items())),
            ("findings", "; ".join(self.findings or ())),
        ]

    def atoms(self, split: str | None = None) -> list[Atoms]:
        """ASE Atoms of the members with their labels, in the order of their ids.

        Args:
            split: train, valid or test; None for all three.

        Raises:
            InputError: there is no such split.
        """
        return home_of(self).answers.dataset_atoms(self, split)

    def members(self, split: str | None = None) -> Any:
        """Its members, each with `calculation`, `structure`, `family` and `split`.

        Args:
            split: train, valid, test, or dropped with the reasons; None for the first three.

        Raises:
            InputError: there is no such split.
        """
        return home_of(self).answers.members(self, split)

    @property
    def license(self) -> str:
        """SPDX identifier, or ""; ids of datasets of schemas up to 7 cover the other spelling."""
        return str(self.query.get("license") or self.query.get("licence") or "")


class DatasetMember(Sealed):
    """A calculation that is in a dataset, or was looked at and dropped."""

    meta: ClassVar[dict[str, Any]] = {
        "collection": "dataset_members",
        "indexes": [["dataset", "split", "calculation"], "calculation", "structure"],
    }
    DESCRIPTION = Description(
        part_of="datasets",
        many=True,
        rights=("insert", "remove"),  # what a killed writer left is written anew
        colour="#ece4f7",
    )

    LEADS_TO = (
        Reference("dataset", "datasets"),
        Reference("calculation", "calculations"),
        Reference("structure", "structures"),
        Reference("copy_of", "calculations"),
    )

    id = StringField(primary_key=True, help_text="dataset:calculation")
    dataset = StringField(required=True, regex=DIGEST_PATTERN)
    calculation = StringField(required=True, regex=DIGEST_PATTERN)
    structure = StringField(regex=DIGEST_PATTERN)
    family = StringField()
    split = StringField(required=True, choices=(*SPLITS, DROPPED))
    step = StringField(help_text="the step that dropped it")
    reason = StringField(help_text="why it was dropped")
    copy_of = StringField(
        regex=DIGEST_PATTERN, help_text="of a dropped copy: the calculation that was kept"
    )

    @property
    def title(self) -> str:
        """As "train", or "dropped near-duplicates near copy of ..."."""
        return " ".join(part for part in (self.split, self.step, self.reason) if part)

    def facts(self) -> list[tuple[str, object]]:
        """Its dataset and calculation."""
        return [
            ("of", called(self, "dataset")),
            ("calculation", str(self.calculation)[:SHORT]),
            ("family", str(self.family or "")[:SHORT]),
        ]

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self.facts()[:2])
        return f"<DatasetMember {self.title} ({told})>"

    @staticmethod
    def leaf(calculation: str, split: str) -> str:
        """Leaf of the dataset's Merkle tree."""
        return content_digest([calculation, split])
