"""The defect study as tables and pictures: each supercell, and how the modes converge."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from forcebase.actions.defects import dft_counterpart, pristine_of, spectra_of_defect
from forcebase.database.database import Database
from forcebase.physics.defect_comparison import DefectErrors, compare_defect_spectra
from forcebase.physics.defect_spectra import DefectSpectra
from forcebase.physics.local_dos import DIRECTIONS
from forcebase.physics.shells import Shells
from forcebase.progress import Progress
from forcebase.records import Phonon

SUMMARY = "defect.json"
N_PATH = 48
"""q-points of bands; a 12x12 supercell takes about a second for each."""


@dataclass(frozen=True, eq=False)
class SizeStudy:
    """One supercell of the study; reference and errors where DFT has the same cell."""

    phonon: Phonon
    spectra: DefectSpectra
    reference: Phonon | None = None
    reference_spectra: DefectSpectra | None = None
    errors: DefectErrors | None = None

    def as_dict(self) -> dict[str, Any]:
        """Numbers for a table or JSON, without arrays."""
        spectra = self.spectra
        return {
            "phonon": self.phonon.id,
            "name": spectra.name,
            "size": spectra.size,
            "n_atoms": len(spectra.atoms),
            "mesh": list(spectra.mesh),
            "shells": dict(
                zip(
                    spectra.groups.shells.labels,
                    (int(mask.sum()) for mask in spectra.groups.by_shell().values()),
                    strict=True,
                )
            ),
            "flexural_exponent": spectra.flexural_exponent,
            "localised": [mode.as_dict() for mode in spectra.localised],
            "findings": [*self.phonon.findings, *spectra.findings],
            "reference": self.reference
            and self.errors
            and {"phonon": self.reference.id, **self.errors.as_dict()},
        }


@dataclass(frozen=True, eq=False)
class DefectStudy:
    """All supercells, the smallest first."""

    sizes: tuple[SizeStudy, ...]

    def as_dict(self) -> dict[str, Any]:
        """Numbers of all supercells."""
        return {"supercells": [size.as_dict() for size in self.sizes]}

    def write(self, folder: Path, unit: str = "cm-1") -> list[Path]:
        """Write the pictures, local densities of states and `defect.json`; give their paths."""
        from forcebase.report.defect import draw_study  # matplotlib, which numbers do not need
        from forcebase.report.phonons import FrequencyUnit
        from forcebase.report.style import png

        units = {
            "cm-1": FrequencyUnit.PER_CM,
            "THz": FrequencyUnit.THZ,
            "meV": FrequencyUnit.MEV,
        }
        folder.mkdir(parents=True, exist_ok=True)
        figures = draw_study(
            [size.spectra for size in self.sizes],
            references=[size.reference_spectra for size in self.sizes],
            unit=units[unit],
        )
        written = []
        for name, figure in figures.items():
            written.append(folder / f"{name}.png")
            written[-1].write_bytes(png(figure))
        for size, name in zip(self.sizes, self._table_names(), strict=True):
            written.append(folder / f"{name}.csv")
            _table(size.spectra).to_csv(written[-1], index=False, float_format="%.6g")
        written.append(folder / SUMMARY)
        written[-1].write_text(json.dumps(self.as_dict(), indent=2) + "\n")
        return written

    def _table_names(self) -> list[str]:
        """By supercell; where two phonons have the same one, by phonon too."""
        names = [f"local_dos_{size.spectra.size}" for size in self.sizes]
        return [
            name if names.count(name) == 1 else f"{name}_{size.phonon.id[:10]}"
            for size, name in zip(self.sizes, names, strict=True)
        ]


def study_defects(
    db: Database,
    phonons: Sequence[Phonon],
    shells: Shells | None = None,
    *,
    with_bands: bool = True,
    progress: Progress | None = None,
) -> DefectStudy:
    """Compute the spectra of stored defect phonons; bands for the largest, and beside DFT's."""
    ordered = sorted(phonons, key=lambda phonon: phonon.n_atoms_supercell)
    for phonon in ordered:  # said now, not after the first of them
        pristine_of(db, phonon)
    sizes = []
    for phonon in ordered:
        reference = dft_counterpart(db, phonon) if phonon.method_class == "model" else None
        drawn = with_bands and (phonon is ordered[-1] or reference is not None)
        spectra = spectra_of_defect(
            db, phonon, shells, n_path=N_PATH if drawn else None, progress=progress
        )
        theirs = errors = None
        if reference is not None:
            theirs = spectra_of_defect(
                db, reference, shells, n_path=N_PATH if drawn else None, progress=progress
            )
            errors = compare_defect_spectra(spectra, theirs)
        sizes.append(SizeStudy(phonon, spectra, reference, theirs, errors))
    return DefectStudy(tuple(sizes))


def _table(spectra: DefectSpectra) -> pd.DataFrame:
    """Local densities of states, states per THz: a column for each shell, species, direction."""
    columns = {"frequency_THz": spectra.dos.frequencies}
    sides = {
        "defect": (spectra.dos, spectra.groups),
        "pristine": (spectra.perfect_dos, spectra.perfect_groups),
    }
    for name, (dos, groups) in sides.items():
        columns[f"{name}, total"] = dos.total
        for shell, near in groups.by_shell().items():
            for species, alike in groups.by_species().items():
                for direction in DIRECTIONS:
                    if (near & alike).any():
                        label = f"{name}, {shell}, {species}, {direction}"
                        columns[label] = dos.of(near & alike, direction)
    return pd.DataFrame(columns)
