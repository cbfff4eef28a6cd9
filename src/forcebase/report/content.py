"""Content of a report: all that is shown, as plain arrays and text, each with its record ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SHORT_ID = 10
"""Characters of a record id that a reader is shown."""


@dataclass(frozen=True)
class Names:
    """What the two sides are called in figures and tables.

    Attributes:
        reference: as "GPAW PBE".
        model: as "MACE".
    """

    reference: str
    model: str

    @property
    def difference(self) -> str:
        """As "MACE − GPAW PBE"."""
        return f"{self.model} − {self.reference}"


@dataclass(frozen=True)
class DatasetFacts:
    """What a dataset holds and what was left out.

    Attributes:
        title: name and version, for a reader.
        id: record id.
        counts: name of a count ("train", "atoms", ...) -> number.
        kinds: kind of configuration -> split -> number of configurations.
        dropped: (calculation id, curation step, reason) of each calculation left out.
    """

    title: str
    id: str
    counts: dict[str, int]
    kinds: dict[str, dict[str, int]]
    dropped: list[tuple[str, str, str]]


@dataclass(frozen=True, eq=False)
class ParityData:
    """Labels and predictions of the test split.

    Attributes:
        energies_reference: (n,) eV/atom.
        energies_model: (n,) eV/atom.
        kinds: (n,) kind of each configuration.
        forces_reference: (N, 3) eV/angstrom, the atoms of all configurations in a row.
        forces_model: (N, 3) eV/angstrom.
        symbols: (N,) element of each atom.
    """

    energies_reference: Array
    energies_model: Array
    kinds: NDArray[np.str_]
    forces_reference: Array
    forces_model: Array
    symbols: NDArray[np.str_]


@dataclass(frozen=True)
class ShellForces:
    """Forces on the test split's atoms at one distance from a defect, or in pristine cells.

    Attributes:
        label: as "3–6 Å", or "pristine".
        number: of the shell, from 1 at the inside; None for the cells without a defect.
        n_structures: cells with such atoms.
        n_atoms: such atoms.
        mean_force: mean |F| of the reference, meV/angstrom.
        mae: mean absolute error of the force components, meV/angstrom.
        rmse: root of their mean squared error, meV/angstrom.
        mae_by_element: element symbol -> `mae` of its atoms.
    """

    label: str
    number: int | None
    n_structures: int
    n_atoms: int
    mean_force: float
    mae: float
    rmse: float
    mae_by_element: dict[str, float]

    @property
    def pristine(self) -> bool:
        """Whether these are the cells without a defect."""
        return self.number is None


@dataclass(frozen=True, eq=False)
class BandsData:
    """Bands of reference and model at the same q-points.

    Attributes:
        distances: (n_q,) length of path, 1/angstrom.
        frequencies_reference: (n_q, n_modes) THz.
        frequencies_model: (n_q, n_modes) THz.
        ticks: distance and name of each special point; "G" is Gamma, "U|K" both sides of a jump.
        segments: (start, stop) slices of the q-points without a jump inside.
    """

    distances: Array
    frequencies_reference: Array
    frequencies_model: Array
    ticks: list[tuple[float, str]]
    segments: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class DosData:
    """Densities of states of reference and model on one frequency grid.

    Attributes:
        frequencies: (n,) THz.
        reference_total: (n,) states per THz and cell.
        reference_projected: element symbol -> (n,), adding up to the total.
        model_total: as the reference's.
        model_projected: as the reference's.
    """

    frequencies: Array
    reference_total: Array
    reference_projected: dict[str, Array]
    model_total: Array
    model_projected: dict[str, Array]


@dataclass(frozen=True, eq=False)
class PhononFigures:
    """What is drawn of a pair of phonons.

    Attributes:
        key: of the names of its figures: "" for the first pair, "_2" for the second.
        name: of what they are phonons.
        bands: of both.
        dos: of both.
        sources: ids of the records that they were drawn from.
    """

    key: str
    name: str
    bands: BandsData
    dos: DosData
    sources: list[str]


@dataclass(frozen=True)
class Metric:
    """One number with its unit, its target and the records it comes from.

    Attributes:
        name: key for scripts, e.g. "test_energy_mae_meV_per_atom".
        label: what a reader is shown.
        value: in `unit`.
        unit: "" for a pure number.
        target: the largest value aimed for, in `unit`; None where there is none.
        sources: record ids.
        precision: digits after the decimal point.
        note: what it is compared with, or how it was computed.
    """

    name: str
    label: str
    value: float
    unit: str
    target: float | None
    sources: tuple[str, ...]
    precision: int
    note: str = ""


@dataclass(frozen=True)
class Timing:
    """Wall times of one configuration by the reference and by the model.

    Attributes:
        kind: kind of configuration.
        n_atoms: atoms of the configuration.
        reference_seconds: of the reference calculation.
        model_seconds: of the prediction.
        sources: calculation ids of the reference and of the model.
    """

    kind: str
    n_atoms: int
    reference_seconds: float
    model_seconds: float
    sources: tuple[str, str]


@dataclass(frozen=True)
class ProvenanceNode:
    """One record in the lineage of what is shown.

    Attributes:
        record: record id.
        collection: where it is kept: "models", "datasets", ...
        title: what it is, for a reader.
        made_by: the activity that made it, in a few words.
        parents: (role, record id) of each record it was made from.
    """

    record: str
    collection: str
    title: str
    made_by: str
    parents: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class ReportContent:
    """All that a report shows.

    Attributes:
        title: heading of the page.
        names: of the two sides.
        missing: what could not be compared -> why.
        remarks: what to know of the model's phonons before they are trusted.
        facts: (label, text) of system, methods, model, versions.
        dataset: what the model was trained and tested on.
        parity: labels and predictions of the test split; None where there are no predictions.
        shells: errors of forces from the defect outwards, those of pristine cells last; empty
            where no test cell has a defect.
        learning_curve: one entry per epoch after which the valid split was looked at: epoch, loss,
            energy_mae (eV/atom), force_mae (eV/angstrom), stress_mae (eV/angstrom^3), seconds.
        phonons: pairs of phonons that could be compared, the perfect crystal's first.
        metrics: numbers with their units, targets and sources.
        timings: one per configuration compared with its reference.
        steps: seconds by step of the job.
        step_activities: step -> ids of the activities whose seconds were added up.
        figure_sources: figure -> ids of the records that it was drawn from.
        provenance: every record that a number comes from, and its ancestors.
    """

    title: str
    names: Names
    missing: dict[str, str]
    remarks: list[str]
    facts: list[tuple[str, str]]
    dataset: DatasetFacts
    parity: ParityData | None
    shells: list[ShellForces]
    learning_curve: list[dict[str, float]]
    phonons: list[PhononFigures]
    metrics: list[Metric]
    timings: list[Timing]
    steps: dict[str, float]
    step_activities: dict[str, list[str]]
    figure_sources: dict[str, list[str]]
    provenance: list[ProvenanceNode]
