"""The local DOS of a defect cell without diagonalisation: the kernel polynomial method."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from forcebase.actions.defects import require_defect
from forcebase.database.crystals import crystal_of
from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.physics.kernel_polynomial import (
    KernelDOS,
    crystal_matrix,
    kernel_dos,
    spectral_interval,
)
from forcebase.physics.local_dos import SiteGroups, site_groups
from forcebase.physics.mesh_modes import ROOT_TO_THZ
from forcebase.physics.shells import Shells
from forcebase.progress import Progress, following, report
from forcebase.records import Phonon

SUMMARY = "defect_kpm.json"
N_MOMENTS = 400
"""The kernel is some 0.01 to 0.05 THz wide then, as the Gaussians of the exact way are."""
N_FREQUENCIES = 2000
"""Points of the grid, from zero to the highest mode: nearer than the kernel is wide anywhere."""


@dataclass(frozen=True, eq=False)
class KernelStudy:
    """Local densities of states at Gamma of one defect cell.

    Attributes:
        phonon: that it is of.
        groups: its sites by shell.
        dos: by shell.
    """

    phonon: Phonon
    groups: SiteGroups
    dos: KernelDOS

    @property
    def size(self) -> str:
        """The supercell as "6x6x1"."""
        matrix = self.phonon.defect["supercell_matrix"]
        return "x".join(str(matrix[i][i]) for i in range(3))

    def as_dict(self) -> dict[str, Any]:
        """Numbers for a table or JSON, without arrays: states of each shell, THz."""
        step = self.dos.frequencies[1] - self.dos.frequencies[0]
        return {
            "phonon": self.phonon.id,
            "name": self.phonon.defect["name"],
            "size": self.size,
            "n_atoms": len(self.groups.shell),
            "highest_THz": float(self.dos.frequencies[-1]),
            "resolution_THz": float(np.median(self.dos.resolution)),
            "shells": [
                {
                    "shell": name,
                    "sites": int(self.groups.by_shell()[name].sum()),
                    "states": float(states.sum() * step),
                    "imaginary": self.dos.imaginary[name],
                    "largest_error": float(self.dos.errors[name].max()),
                }
                for name, states in self.dos.groups.items()
            ],
        }

    def table(self) -> str:
        """CSV: frequency, and of each shell the states per THz and their standard error."""
        columns = {"frequency_THz": self.dos.frequencies, "resolution_THz": self.dos.resolution}
        for name, states in self.dos.groups.items():
            columns |= {name: states, f"{name}, error": self.dos.errors[name]}
        rows = np.stack(list(columns.values()), axis=1)
        lines = [",".join(f'"{name}"' for name in columns)]
        lines += [",".join(f"{number:.6g}" for number in row) for row in rows]
        return "\n".join(lines) + "\n"


def study_by_kernel(
    db: Database,
    phonons: Sequence[Phonon],
    shells: Shells | None = None,
    *,
    n_moments: int = N_MOMENTS,
    progress: Progress | None = None,
) -> list[KernelStudy]:
    """Compute the local DOS of stored defect phonons by shell, the smallest cell first.

    The modes are those at Gamma of the cell, for which Born charges are left out. Memory and time
    grow with the number of force constants, and not with the cube of the number of atoms.

    Args:
        db: the database.
        phonons: of defects.
        shells: around the defect.
        n_moments: of the polynomials: with more, the kernel is narrower in proportion.
        progress: told of the shells that are done.

    Raises:
        InputError: a phonon is of a perfect crystal, or of a supercell of its defect cell.
    """
    ordered = sorted(phonons, key=lambda phonon: phonon.n_atoms_supercell)
    for phonon in ordered:
        require_defect(phonon)
    with following(progress):
        return [_study(db, phonon, shells or Shells(), n_moments) for phonon in ordered]


def write_kernel_studies(studies: Sequence[KernelStudy], folder: Path) -> list[Path]:
    """Write a table for each supercell, and all numbers as JSON; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for study in studies:
        written.append(folder / f"local_dos_kpm_{study.size}_{study.phonon.id[:10]}.csv")
        written[-1].write_text(study.table())
    written.append(folder / SUMMARY)
    found = {"supercells": [study.as_dict() for study in studies]}
    written[-1].write_text(json.dumps(found, indent=2) + "\n")
    return written


def _study(db: Database, phonon: Phonon, shells: Shells, n_moments: int) -> KernelStudy:
    crystal = replace(crystal_of(db, phonon), response=None)
    atoms = crystal.supercell_atoms
    if len(atoms) != len(crystal.primitive_atoms):
        raise InputError(
            f"The force constants of phonon {phonon.id[:10]} are those of a supercell of the "
            "defect cell.",
            hint="Leave --method kpm out.",
        )
    groups = site_groups(atoms, phonon.defect["centre"], shells)
    matrix = crystal_matrix(crystal)
    high = np.sqrt(spectral_interval(matrix).high) * ROOT_TO_THZ
    grid = np.linspace(0.0, high, N_FREQUENCIES + 1)[1:]

    def on_group(done: int, total: int) -> None:
        report("local DOS", done, total)

    masks = {name: np.repeat(sites, 3) for name, sites in _filled(groups)}
    dos = kernel_dos(matrix, masks, grid, n_moments=n_moments, on_group=on_group)
    return KernelStudy(phonon, groups, dos)


def _filled(groups: SiteGroups) -> Iterator[tuple[str, Any]]:
    """Shells that have sites: a small cell does not reach the outer ones."""
    return ((name, sites) for name, sites in groups.by_shell().items() if sites.any())
