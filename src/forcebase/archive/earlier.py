"""Documents of archives of earlier versions, in the shape that they have today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forcebase.records import Activity, Calculation, Structure
from forcebase.records.activity import resolved_as_field
from forcebase.records.calculation import with_found_fields
from forcebase.records.structure import defect_as_field, with_composition


def in_todays_shape(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of an earlier schema with the fields that came since; its checksum is the old one.

    Args:
        name: of its collection.
        document: as the archive holds it.

    Raises:
        Exception: of any kind, where the document has not the shape of a record.
    """
    if name == Structure.collection_name():
        return with_composition(defect_as_field(document))
    if name == Calculation.collection_name():
        return with_found_fields(document)
    if name == Activity.collection_name():
        return resolved_as_field(document)
    return dict(document)
