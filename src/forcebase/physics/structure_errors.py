"""What a comparison keeps of each structure, whatever its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from forcebase.frames import Frames
from forcebase.physics.bootstrap import RowSums
from forcebase.physics.reference_energies import count_elements


@dataclass(frozen=True)
class StructureErrors:
    """Energies and sums over errors of n structures, as columns.

    Attributes:
        families: (n,) family of each, or its own id where it has none.
        kinds: (n,) configuration kinds.
        elements: k symbols, by atomic number.
        counts: (n, k) atoms of each element.
        predicted: (n,) total energies, eV.
        energies: (n,) what they are compared with, eV; NaN where unknown.
        forces: sums over the components, eV/angstrom.
        stresses: sums over the six components, eV/angstrom^3.
    """

    families: NDArray[np.bytes_]
    kinds: NDArray[np.bytes_]
    elements: list[str]
    counts: NDArray[np.float64]
    predicted: NDArray[np.float64]
    energies: NDArray[np.float64]
    forces: RowSums
    stresses: RowSums

    @property
    def n_atoms(self) -> NDArray[np.float64]:
        """(n,) atoms of each structure."""
        return self.counts.sum(axis=1)

    @classmethod
    def of(cls, prediction: Frames, reference: Frames) -> StructureErrors:
        """Sum the errors of frames that hold the same structures row for row."""
        n, owners = len(reference), reference.owners
        families = np.where(reference.families == "", reference.structures, reference.families)
        elements, counts = count_elements(reference.numbers, owners, n)
        return cls(
            # a quarter of the memory of NumPy's text
            families=np.char.encode(families, "utf-8"),
            kinds=np.char.encode(reference.kinds, "utf-8"),
            elements=elements,
            counts=counts,
            predicted=prediction.energies,
            energies=reference.energies,
            forces=RowSums.of(prediction.forces - reference.forces, owners, n),
            stresses=RowSums.of(prediction.stresses - reference.stresses),
        )

    @classmethod
    def joined(cls, parts: Sequence[StructureErrors]) -> StructureErrors:
        """One after another."""
        found = {element for part in parts for element in part.elements}
        elements = sorted(found, key=chemical_symbols.index)
        return cls(
            families=np.concatenate([part.families for part in parts]),
            kinds=np.concatenate([part.kinds for part in parts]),
            elements=elements,
            counts=np.concatenate([part._counts_of(elements) for part in parts]),
            predicted=np.concatenate([part.predicted for part in parts]),
            energies=np.concatenate([part.energies for part in parts]),
            forces=RowSums.joined([part.forces for part in parts]),
            stresses=RowSums.joined([part.stresses for part in parts]),
        )

    def take(self, rows: NDArray[np.bool_]) -> StructureErrors:
        """Those at which `rows`, (n,), is true."""
        return StructureErrors(
            families=self.families[rows],
            kinds=self.kinds[rows],
            elements=self.elements,
            counts=self.counts[rows],
            predicted=self.predicted[rows],
            energies=self.energies[rows],
            forces=self.forces.take(rows),
            stresses=self.stresses.take(rows),
        )

    def _counts_of(self, elements: Sequence[str]) -> NDArray[np.float64]:
        found = np.zeros((len(self.counts), len(elements)))
        found[:, [elements.index(element) for element in self.elements]] = self.counts
        return found
