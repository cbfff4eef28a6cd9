"""Any record held to another of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forcebase.comparison.labels import compare_labels
from forcebase.comparison.phonon_protocol import parts_of
from forcebase.comparison.phonons import compare_phonons
from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.physics.shells import Shells
from forcebase.records import Dataset, Method, Phonon, Validation


def compare(
    db: Database,
    model: str,
    reference: str,
    on: str | Mapping[str, Any] | None = None,
    *,
    host: str | None = None,
    edges: Sequence[float] | None = None,
    allow: Sequence[str] = (),
) -> Validation:
    """Hold one record to another: method to method on common structures, or phonon to phonon.

    Args:
        db: the database.
        model: id, name or tag of a method or phonon.
        reference: the same kind of record.
        on: for methods: "dataset", "dataset:split", or keyword arguments of
            `db.calculations.find`; None for all structures that both have labelled.
        host: for methods: unit cell of the perfect crystal, as id or name; adds the errors of
            forces by distance from the defects.
        edges: of the shells of distance, angstrom; only with a host.
        allow: for phonons: parts of the protocol that may be unlike, as "supercell".

    Raises:
        InputError: a method and a phonon cannot be compared, there is no such split, or a
            structure is no supercell of the host.
    """
    if edges is not None and host is None:
        raise InputError("Shells need to know where the defects are.", hint="Give the host too.")
    place, left = db.resolve(model)
    other_place, right = db.resolve(reference)
    if isinstance(left, Phonon) and isinstance(right, Phonon):
        if on is not None or host is not None:
            raise InputError("Phonons are compared whole: leave `on` and `host` out.")
        return compare_phonons(db, left, right, allow=parts_of(allow))
    if not (isinstance(left, Method) and isinstance(right, Method)):
        raise InputError(
            f"{model!r} is in {place} and {reference!r} in {other_place}.",
            hint="Compare a method with a method, or a phonon with a phonon.",
        )
    if allow:
        raise InputError("Only phonons have a protocol to allow parts of.")
    around: dict[str, Any] = {}
    if host is not None:
        shells = None if edges is None else Shells(tuple(edges))
        around = {"host": db.require_structure(host), "shells": shells}
    if isinstance(on, str):
        name, _, split = on.partition(":")
        dataset = db.resolve(name, "datasets")[1]
        if not isinstance(dataset, Dataset):
            raise InputError(f"{name!r} is no dataset.")
        return compare_labels(db, left, right, dataset=dataset, split=split or None, **around)
    return compare_labels(db, left, right, query=db.calculations.selector(**(on or {})), **around)
