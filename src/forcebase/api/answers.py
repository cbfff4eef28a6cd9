"""What records are asked for and only upper floors can compute: `records.bound.Answers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import ArrayLike

from forcebase.actions.models import open_model
from forcebase.api.labels import ForceErrors, Learning, Parity
from forcebase.api.phonons import PhononBands, PhononDOS, Thermal
from forcebase.comparison.inputs import pairs_of
from forcebase.database.collections import Results
from forcebase.database.crystals import crystal_of
from forcebase.database.database import Database
from forcebase.datasets import check_split, dataset_frames
from forcebase.errors import InputError
from forcebase.physics.band_path import band_path
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.periodicity import kpoint_mesh, vacuum_axes
from forcebase.physics.spectra import Q_SPACING, Q_SPACING_BULK
from forcebase.physics.vibrations import SIGMA, bands, density_of_states, thermal_properties
from forcebase.records import Activity, Dataset, ModelMethod, Phonon, Validation
from forcebase.records.dataset import DROPPED
from forcebase.report.content import Names
from forcebase.report.gathering import parity_of
from forcebase.report.phonon_pair import draw_record

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from matplotlib.figure import Figure


SMALL = 6
"""Atoms of a primitive cell whose thousand irreducible q-points take a second or two."""
SMALL_SPACING = 0.07
"""1/angstrom, between q-points of a small bulk cell; at 0.15 a DOS of 0.05 THz shows each point."""


class Made(dict[str, Results]):
    """Collection -> records of it, shown as lists are."""

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.values())) or "no records"

    def _repr_html_(self) -> str:
        return "".join(records._repr_html_() for records in self.values()) or "no records"


class RecordAnswers:
    """Computes what the records of a database are asked for.

    Args:
        db: the database.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def crystal(self, phonon: Phonon) -> HarmonicCrystal:
        """Its cells and force constants."""
        return crystal_of(self._db, phonon)

    def bands(self, phonon: Phonon) -> PhononBands:
        """On the usual path of the primitive cell."""
        crystal = self.crystal(phonon)
        polar = crystal.applied_response is not None
        path = band_path(crystal.primitive_cell, _vacuum(crystal), polar=polar)
        return PhononBands(phonon, crystal, bands(crystal, path))

    def dos(self, phonon: Phonon, sigma: float | None, mesh: Sequence[int] | None) -> PhononDOS:
        """On a mesh that shows a smooth curve, where the cell is small; or on the one given."""
        crystal = self.crystal(phonon)
        mesh = _mesh(crystal) if mesh is None else _checked(mesh)
        if sigma is not None and not sigma > 0:
            raise InputError(f"A width of {sigma} THz is not positive.")
        found = density_of_states(crystal, mesh, sigma=SIGMA if sigma is None else sigma)
        return PhononDOS(phonon, crystal, found, mesh)

    def thermal(
        self, phonon: Phonon, temperatures: ArrayLike, mesh: Sequence[int] | None
    ) -> Thermal:
        """On the mesh of the density of states, or on the one given."""
        crystal = self.crystal(phonon)
        asked = np.atleast_1d(np.asarray(temperatures, dtype=float))
        if asked.ndim != 1 or not len(asked) or not (np.isfinite(asked) & (asked >= 0)).all():
            raise InputError(
                f"{temperatures!r} are not temperatures.", hint="Give kelvins, as [0, 100, 300]."
            )
        points = _mesh(crystal) if mesh is None else _checked(mesh)
        return Thermal(phonon, thermal_properties(crystal, asked, points))

    def calculator(self, model: ModelMethod) -> Calculator:
        """An ASE calculator of the weights, checked against their digest."""
        return open_model(self._db, model).calculator()

    def learning(self, model: ModelMethod) -> Learning:
        """Its errors by epoch."""
        if not model.learning_curve:
            raise InputError(
                f"{model.title} has no learning curve: it was not trained here.",
                hint="db.train(dataset) gives a model that has one.",
            )
        return Learning(model, [dict(epoch) for epoch in model.learning_curve])

    def parity(self, validation: Validation) -> Parity:
        """Both sides' labels."""
        return Parity(
            validation, parity_of(pairs_of(self._db, validation)), self._names(validation)
        )

    def force_errors(self, validation: Validation) -> ForceErrors:
        """Structure by structure."""
        pairs = pairs_of(self._db, validation)
        parity = Parity(validation, parity_of(pairs), self._names(validation))
        return ForceErrors.of(parity, pairs)

    def draw_phonons(self, validation: Validation) -> Figure:
        """Bands, density of states and force constants of both sides."""
        return draw_record(self._db, validation)

    def members(self, dataset: Dataset, split: str | None) -> Results:
        """Records of its members, or of those that were dropped."""
        if split != DROPPED:
            check_split(split)
        wanted = split or {"$ne": DROPPED}
        asked = {"dataset": str(dataset.id), "split": wanted}
        return self._db.members.find(asked, sort="calculation")

    def dataset_atoms(self, dataset: Dataset, split: str | None) -> list[Atoms]:
        """With the labels that a training takes, on a SinglePointCalculator."""
        frames = dataset_frames(self._db, dataset, split)
        offsets, found = frames.offsets, []
        for i, atoms in enumerate(frames.atoms()):
            labels: dict[str, Any] = {
                "energy": float(frames.energies[i]),
                "forces": frames.forces[offsets[i] : offsets[i + 1]],
            }
            if np.isfinite(frames.stresses[i]).all():
                labels["stress"] = frames.stresses[i]
            atoms.calc = SinglePointCalculator(atoms, **labels)
            atoms.info = {
                "calculation": str(frames.ids[i]),
                "structure": str(frames.structures[i]),
                "config_type": str(frames.kinds[i]),
            }
            found.append(atoms)
        return found

    def made_by(self, activity: Activity) -> Made:
        """The records that an activity made, by collection, where there are any."""
        found = {
            name: collection.find({"provenance.activity": str(activity.id)})
            for name, collection in self._db.record_collections.items()
        }
        return Made({name: records for name, records in found.items() if len(records)})

    def _names(self, validation: Validation) -> Names:
        reference, model = (self._name(m) for m in (validation.reference, validation.model))
        return Names(reference=reference, model=model)

    def _name(self, method_id: str) -> str:
        method = self._db.methods.get(str(method_id))
        return self._db.names.names_of([method.id]).get(method.id, method.short_title)


def _vacuum(crystal: HarmonicCrystal) -> list[bool]:
    found = vacuum_axes(crystal.primitive_cell, crystal.primitive_atoms.positions)
    return [bool(flag) for flag in found]


def _mesh(crystal: HarmonicCrystal) -> tuple[int, int, int]:
    """Of layers and chains, and of large cells, that of comparisons; of small bulk ones a finer."""
    vacuum = _vacuum(crystal)
    bulk = SMALL_SPACING if len(crystal.primitive_symbols) <= SMALL else Q_SPACING_BULK
    return kpoint_mesh(crystal.primitive_cell, Q_SPACING if any(vacuum) else bulk, vacuum)


def _checked(mesh: Sequence[int]) -> tuple[int, int, int]:
    given = tuple(mesh) if isinstance(mesh, (Sequence, np.ndarray)) else ()
    if len(given) != 3 or any(int(n) != n or n < 1 for n in given):
        raise InputError(
            f"{mesh!r} is not a mesh.", hint="Give three whole numbers, as (20, 20, 20)."
        )
    return int(given[0]), int(given[1]), int(given[2])
