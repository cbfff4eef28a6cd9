"""Parity, force errors and learning curve: of comparisons of labels, and of a model's training."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forcebase.comparison import Pairs
from forcebase.records import Calculation, ModelMethod, Validation
from forcebase.records.bound import home_of, html_card, html_table
from forcebase.report.content import Names, ParityData

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

WORST = 5
"""Structures that are shown."""


@dataclass(frozen=True, eq=False, repr=False)
class Parity:
    """Both sides' labels, as a parity plot shows them.

    Attributes:
        validation: the comparison's record.
        data: energies per atom, eV, and forces, eV/angstrom, of both sides.
        names: what the two sides are called.
    """

    validation: Validation
    data: ParityData
    names: Names

    def plot(self) -> Figure:
        """A matplotlib figure: energies at the left, forces at the right, residuals below."""
        from forcebase.report.parity import draw_parity

        return draw_parity(self.data, self.names)

    def histogram(self) -> Figure:
        """A matplotlib figure: how many energies and force components are off by how much."""
        from forcebase.report.parity import draw_error_histograms

        return draw_error_histograms(self.data, self.names)

    def __repr__(self) -> str:
        data = self.data
        return (
            f"<Parity of {self.names.model} and {self.names.reference}: "
            f"{len(data.energies_model)} structures, {len(data.forces_model)} atoms>"
        )

    def _repr_html_(self) -> str:
        return html_card(f"Parity of {self.names.model} and {self.names.reference}", self._facts())

    def _facts(self) -> list[tuple[str, object]]:
        data = self.data
        return [("structures", len(data.energies_model)), ("atoms", len(data.forces_model))]


@dataclass(frozen=True, eq=False, repr=False)
class ForceErrors:
    """Force errors, structure by structure, the largest first.

    Attributes:
        validation: the comparison's record.
        names: what the two sides are called.
        calculations: (n,) ids of the reference's calculations.
        largest: (n,) |F(model) - F(reference)| of the worst atom of each structure, eV/angstrom.
        mae: (n,) mean absolute error of the components of each structure, eV/angstrom.
        atoms: (n,) index of that worst atom in its structure.
    """

    validation: Validation
    names: Names
    parity: Parity
    calculations: list[str]
    largest: NDArray[np.float64]
    mae: NDArray[np.float64]
    atoms: NDArray[np.int64]

    @classmethod
    def of(cls, parity: Parity, pairs: Pairs) -> ForceErrors:
        """Find the errors of each structure of a comparison."""
        off = pairs.model.forces - pairs.reference.forces
        sizes = np.linalg.norm(off, axis=1)
        offsets = pairs.reference.offsets
        parts = [slice(a, b) for a, b in pairwise(offsets)]
        worst = np.array([int(sizes[part].argmax()) for part in parts])
        largest = np.array([sizes[part].max() for part in parts])
        order = np.argsort(-largest, kind="stable")
        ids = pairs.reference.ids
        return cls(
            validation=parity.validation,
            names=parity.names,
            parity=parity,
            calculations=[str(ids[i]) for i in order],
            largest=largest[order],
            mae=np.array([np.abs(off[part]).mean() for part in parts])[order],
            atoms=worst[order],
        )

    @property
    def worst(self) -> Calculation:
        """The reference's calculation of the structure with the largest error."""
        found: Any = home_of(self.validation).record("calculations", self.calculations[0])
        return found

    def plot(self) -> Figure:
        """A matplotlib figure: histograms of the errors, see `Parity.histogram`."""
        return self.parity.histogram()

    def to_dataframe(self) -> pd.DataFrame:
        """A row a structure; errors in meV/angstrom."""
        import pandas as pd

        return pd.DataFrame(
            {
                "calculation": self.calculations,
                "largest (meV/A)": 1e3 * self.largest,
                "MAE (meV/A)": 1e3 * self.mae,
                "atom": self.atoms,
            }
        )

    def __len__(self) -> int:
        return len(self.calculations)

    def __repr__(self) -> str:
        return (
            f"<ForceErrors of {self.names.model} against {self.names.reference}, {len(self)} "
            f"structures: the largest {1e3 * self.largest[0]:.4g} meV/Å, atom {self.atoms[0]} of "
            f"calculation {self.calculations[0][:10]}>"
        )

    def _repr_html_(self) -> str:
        rows = [
            (self.calculations[i][:10], f"{1e3 * self.largest[i]:.4g}", int(self.atoms[i]))
            for i in range(min(WORST, len(self)))
        ]
        title = f"Largest force errors of {self.names.model} against {self.names.reference}"
        return html_table(title, ("calculation", "error (meV/Å)", "atom"), rows)


@dataclass(frozen=True, eq=False, repr=False)
class Learning:
    """Errors on the valid split, by epoch.

    Attributes:
        model: the record.
        epochs: one entry for each epoch after which the valid split was looked at: epoch, loss,
            energy_mae (eV/atom), force_mae (eV/angstrom), ...
    """

    model: ModelMethod
    epochs: list[dict[str, float]]

    @property
    def kept(self) -> dict[str, float]:
        """The entry of the epoch whose weights the model has."""
        return min(self.epochs, key=lambda entry: entry["loss"])

    def plot(self) -> Figure:
        """A matplotlib figure of both errors, logarithmic."""
        from forcebase.report.curves import draw_learning_curve

        return draw_learning_curve(self.epochs)

    def to_dataframe(self) -> pd.DataFrame:
        """A row an epoch; energies in eV/atom, forces in eV/angstrom."""
        import pandas as pd

        return pd.DataFrame(self.epochs)

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self._facts())
        return f"<Learning of {self.model.title}: {told}>"

    def _repr_html_(self) -> str:
        return html_card(f"Learning of {self.model.title}", self._facts())

    def _facts(self) -> list[tuple[str, object]]:
        kept = self.kept
        return [
            ("epochs", int(self.epochs[-1]["epoch"]) + 1),
            ("kept", int(kept["epoch"]) + 1),
            ("energy MAE", f"{1e3 * kept['energy_mae']:.4g} meV/atom"),
            ("force MAE", f"{1e3 * kept['force_mae']:.4g} meV/Å"),
        ]
