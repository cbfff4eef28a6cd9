"""Labels of many calculations in one document, for reading them fast."""

from __future__ import annotations

from typing import Any, ClassVar

from mongoengine import Document, IntField, StringField

from forcebase.records.array_field import ArrayField
from forcebase.records.base import DIGEST_PATTERN
from forcebase.records.description import Description


class LabelBlock(Document):
    """All calculations of one method whose structures' ids begin alike: a copy, no record.

    It may be deleted at any time, and is made again when it is next of use. It counts only while
    `members` is the digest of the calculations that are there, and `checksum` that of its columns.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "label_blocks", "indexes": ["method"]}
    DESCRIPTION = Description(
        rights=("insert", "update", "remove")
    )  # made again when they do not fit

    id = StringField(primary_key=True, help_text="method:prefix")
    method = StringField(required=True, regex=DIGEST_PATTERN)
    prefix = StringField(required=True, help_text="first digits of the structures' ids")
    digits = IntField(required=True, min_value=0, help_text="how many")
    members = StringField(required=True, regex=DIGEST_PATTERN, help_text="digest of the ids")
    checksum = StringField(required=True, regex=DIGEST_PATTERN, help_text="of all columns")
    ids = ArrayField((None, 32), "|u1", required=True, help_text="of the calculations, as bytes")
    structures = ArrayField((None, 32), "|u1", required=True, help_text="ids, as bytes, ascending")
    n_atoms = ArrayField((None,), "<i8", required=True, help_text="of each structure")
    numbers = ArrayField((None,), "|u1", required=True, help_text="atomic numbers, all atoms")
    energies = ArrayField((None,), required=True, help_text="eV, whole cell")
    forces = ArrayField((None, 3), required=True, help_text="all atoms, eV/angstrom")
    stresses = ArrayField((None, 6), required=True, help_text="eV/angstrom^3; NaN where unknown")
