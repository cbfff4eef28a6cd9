"""Bands, density of states and heat of a phonon: numbers that draw themselves and change hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.physics.band_path import BandPath
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.vibrations import Bands, DensityOfStates, ThermalProperties
from forcebase.records import Phonon
from forcebase.records.bound import called, html_card, html_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pymatgen.core import Structure
    from pymatgen.phonon.bandstructure import PhononBandStructureSymmLine
    from pymatgen.phonon.dos import PhononDos

    from forcebase.report.phonons import FrequencyUnit

SHOWN = 10
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class PhononBands:
    """Frequencies along the usual path of the lattice.

    Attributes:
        phonon: the record.
        crystal: its cells and force constants.
        bands: path and frequencies.
    """

    phonon: Phonon
    crystal: HarmonicCrystal
    bands: Bands

    @property
    def path(self) -> BandPath:
        """The q-points, with labels and jumps."""
        return self.bands.path

    @property
    def q_points(self) -> Array:
        """(n_q, 3) fractional, of the reciprocal primitive lattice."""
        return self.path.q_points

    @property
    def distances(self) -> Array:
        """(n_q,) length of path, 1/angstrom."""
        return self.path.distances

    @property
    def frequencies(self) -> Array:
        """(n_q, n_modes) THz, rising at each q-point; an imaginary one is negative."""
        return self.bands.frequencies

    @property
    def lowest(self) -> float:
        """The lowest frequency on the path, THz; negative where a mode is imaginary."""
        return float(self.frequencies.min())

    @property
    def highest(self) -> float:
        """The highest frequency on the path, THz."""
        return float(self.frequencies.max())

    @property
    def gap(self) -> float:
        """THz between the acoustic branches and those above, on the path; 0 where they meet."""
        if self.frequencies.shape[1] <= 3:
            return 0.0
        between = self.frequencies[:, 3:].min() - self.frequencies[:, :3].max()
        return max(float(between), 0.0)

    def plot(self, unit: str = "THz") -> Figure:
        """A matplotlib figure; `unit` is THz, cm-1 or meV."""
        from forcebase.report.phonons import draw_own_bands

        return draw_own_bands(self.bands, title_of(self.phonon), color_of(self.phonon), _unit(unit))

    def to_pymatgen(self) -> PhononBandStructureSymmLine:
        """pymatgen's band structure on the same q-points; a corner stands in both its branches."""
        from pymatgen.core import Lattice
        from pymatgen.phonon.bandstructure import PhononBandStructureSymmLine

        path = self.path
        named = dict(zip(path.label_indices, path.labels, strict=True))
        rows = []
        for start, stop in path.segments:
            for index in range(start, stop):
                inside = index in named and start < index < stop - 1
                rows += [index, index] if inside else [index]
        labels = {_label(name): path.q_points[index].tolist() for index, name in named.items()}
        return PhononBandStructureSymmLine(
            path.q_points[rows].tolist(),
            self.frequencies[rows].T,
            Lattice(self.crystal.primitive_cell).reciprocal_lattice,
            has_nac=self.crystal.applied_response is not None,
            labels_dict=labels,
            structure=primitive(self.crystal),
        )

    def __repr__(self) -> str:
        return (
            f"<PhononBands of {title_of(self.phonon)}, {self.path.name}: "
            f"{self.frequencies.shape[1]} branches from {self.lowest:.4g} to "
            f"{self.highest:.4g} THz>"
        )

    def _repr_html_(self) -> str:
        rows = [
            ("path", self.path.name.replace("G", "Γ")),
            ("branches", self.frequencies.shape[1]),
            ("lowest", f"{self.lowest:.4g} THz"),
            ("highest", f"{self.highest:.4g} THz"),
            ("gap", f"{self.gap:.4g} THz"),
        ]
        return html_card(f"Bands of {title_of(self.phonon)}", rows)


@dataclass(frozen=True, eq=False, repr=False)
class PhononDOS:
    """Density of vibrational states of a primitive cell.

    Attributes:
        phonon: the record.
        crystal: its cells and force constants.
        dos: frequencies, total and by element.
        mesh: q-points along the reciprocal primitive vectors.
    """

    phonon: Phonon
    crystal: HarmonicCrystal
    dos: DensityOfStates
    mesh: tuple[int, int, int]

    @property
    def frequencies(self) -> Array:
        """(n,) THz."""
        return self.dos.frequencies

    @property
    def total(self) -> Array:
        """(n,) states per THz and primitive cell."""
        return self.dos.total

    @property
    def projected(self) -> dict[str, Array]:
        """Element symbol -> (n,) states per THz; they add up to `total`."""
        return self.dos.projected

    def plot(self, unit: str = "THz") -> Figure:
        """A matplotlib figure; `unit` is THz, cm-1 or meV."""
        from forcebase.report.phonons import draw_own_dos

        return draw_own_dos(self.dos, title_of(self.phonon), _unit(unit))

    def to_pymatgen(self, element: str | None = None) -> PhononDos:
        """pymatgen's density of states: in total, or of the atoms of an element."""
        from pymatgen.phonon.dos import PhononDos

        if element is not None and element not in self.projected:
            raise InputError(
                f"There is no {element} in {self.phonon.formula}.",
                hint=f"There are: {', '.join(self.projected)}.",
            )
        return PhononDos(self.frequencies, self.projected[element] if element else self.total)

    def __repr__(self) -> str:
        mesh = "x".join(map(str, self.mesh))
        return (
            f"<PhononDOS of {title_of(self.phonon)}, mesh {mesh}: {len(self.frequencies)} points "
            f"from {self.frequencies[0]:.4g} to {self.frequencies[-1]:.4g} THz>"
        )

    def _repr_html_(self) -> str:
        rows = [
            ("mesh", "x".join(map(str, self.mesh))),
            ("from", f"{self.frequencies[0]:.4g} THz"),
            ("to", f"{self.frequencies[-1]:.4g} THz"),
            ("elements", ", ".join(self.projected)),
        ]
        return html_card(f"Density of states of {title_of(self.phonon)}", rows)


@dataclass(frozen=True, eq=False, repr=False)
class Thermal:
    """Harmonic heat at constant volume, per primitive cell (mol: of these cells).

    Attributes:
        phonon: the record.
        properties: as computed.
    """

    phonon: Phonon
    properties: ThermalProperties

    @property
    def temperatures(self) -> Array:
        """(n,) K."""
        return self.properties.temperatures

    @property
    def free_energy(self) -> Array:
        """(n,) eV, zero-point energy included."""
        return self.properties.free_energy

    @property
    def entropy(self) -> Array:
        """(n,) J/K/mol."""
        return self.properties.entropy

    @property
    def heat_capacity(self) -> Array:
        """(n,) J/K/mol."""
        return self.properties.heat_capacity

    @property
    def imaginary_share(self) -> float:
        """Of all modes, the share that is imaginary and so left out."""
        return self.properties.imaginary_share

    def plot(self) -> Figure:
        """A matplotlib figure of the three against temperature."""
        from forcebase.report.phonons import draw_thermal

        return draw_thermal(self.properties, title_of(self.phonon))

    def to_dataframe(self) -> pd.DataFrame:
        """A row a temperature; units are in the names of the columns."""
        import pandas as pd

        return pd.DataFrame(dict(zip(self._columns(), self._values().T, strict=True)))

    @staticmethod
    def _columns() -> tuple[str, ...]:
        return ("temperature (K)", "free energy (eV)", "entropy (J/K/mol)", "heat cap. (J/K/mol)")

    def _values(self) -> Array:
        own = self.properties
        return np.array([own.temperatures, own.free_energy, own.entropy, own.heat_capacity]).T

    def __repr__(self) -> str:
        rows = [", ".join(f"{value:.6g}" for value in row) for row in self._values()[:SHOWN]]
        lines = [f"<Thermal of {title_of(self.phonon)}: {', '.join(self._columns())}", *rows]
        if len(self.temperatures) > SHOWN:
            lines.append(f"... {len(self.temperatures) - SHOWN} more temperatures")
        return "\n  ".join(lines) + ">"

    def _repr_html_(self) -> str:
        rows = [[f"{value:.6g}" for value in row] for row in self._values()[:SHOWN]]
        more = f"; the first {SHOWN} of {len(self.temperatures)}"
        title = f"Heat of {title_of(self.phonon)}" + (
            more if len(self.temperatures) > SHOWN else ""
        )
        return html_table(title, self._columns(), rows)


def title_of(phonon: Phonon) -> str:
    """What it is of and by which method, as "Si2, tersoff, 4x4x4"."""
    matrix = np.array(phonon.supercell_matrix)
    diagonal = np.array_equal(matrix, np.diag(matrix.diagonal()))
    size = (
        "x".join(map(str, matrix.diagonal())) if diagonal else f"{phonon.n_atoms_supercell} atoms"
    )
    defect = (phonon.defect or {}).get("name", "")
    return ", ".join(p for p in (phonon.formula, defect, called(phonon, "method"), size) if p)


def color_of(phonon: Phonon) -> str:
    """The house's colour of DFT, or of models."""
    from forcebase.report import style

    return style.MODEL if phonon.method_class == "model" else style.REFERENCE


def primitive(crystal: HarmonicCrystal) -> Structure:
    """The primitive cell as pymatgen has it."""
    from pymatgen.io.ase import AseAtomsAdaptor

    found: Any = AseAtomsAdaptor.get_structure(crystal.primitive_atoms)
    return found


def _label(name: str) -> str:
    return r"$\Gamma$" if name == "G" else name


def _unit(text: str) -> FrequencyUnit:
    from forcebase.report.phonons import FrequencyUnit

    units: Sequence[tuple[str, FrequencyUnit]] = (
        ("THz", FrequencyUnit.THZ),
        ("cm-1", FrequencyUnit.PER_CM),
        ("meV", FrequencyUnit.MEV),
    )
    known = {name.lower(): unit for name, unit in units}
    if text.lower() not in known:
        names = ", ".join(name for name, _ in units)
        raise InputError(f"{text!r} is not a unit of frequency.", hint=f"Take one of {names}.")
    return known[text.lower()]
