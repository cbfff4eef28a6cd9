"""Which energies are compared: of the kind that the model was trained on, and what is not known."""

from __future__ import annotations

from forcebase.comparison.joining import Join
from forcebase.database.database import Database
from forcebase.database.energy_kinds import NOT_RECORDED, counted, kind_counts
from forcebase.datasets import energy_taken
from forcebase.physics.energy_kinds import EnergyKind
from forcebase.records import Method, ModelMethod


def compared_kind(db: Database, model: Method) -> EnergyKind:
    """The kind that both sides are read with: that of the training data, else the free energy."""
    if isinstance(model, ModelMethod) and model.dataset:
        return energy_taken(db.datasets.get(model.dataset))
    return EnergyKind.FREE


def trained_kind(db: Database, model: ModelMethod) -> EnergyKind | None:
    """The kind of the energies that a model was trained on; None where it is not recorded."""
    kind = db.datasets.get(model.dataset).energy_kind if model.dataset else None
    return EnergyKind(kind) if kind else None


def energies_told(db: Database, model: Method, reference: Method, compared: Join) -> str:
    """Say where the kinds of the energies of both sides are unlike or unknown; "" else.

    It is looked up with each comparison, as a floor is: records that tell it stay.
    """
    taken = compared_kind(db, model)
    sides = [
        _kinds(db, model, compared.model.ids.astype(str).tolist(), taken),
        _kinds(db, reference, compared.reference.ids.astype(str).tolist(), taken),
    ]
    if sides[0].keys() == sides[1].keys() and len(sides[0]) == 1 and NOT_RECORDED not in sides[0]:
        return ""
    unlike = {name for side in sides for name in side} - {NOT_RECORDED}
    what = (
        "energies are of unlike kinds" if len(unlike) > 1 else "not all kinds of energies are known"
    )
    return (
        f"{what}: the model's {counted(sides[0])}; the reference's {counted(sides[1])} (free, or "
        "extrapolated to zero width: with smearing they differ)"
    )


def _kinds(db: Database, method: Method, ids: list[str], taken: EnergyKind) -> dict[str, int]:
    if isinstance(method, ModelMethod):
        return {str(trained_kind(db, method) or NOT_RECORDED): len(ids)}
    return kind_counts(db, ids, taken)
