"""A dataset as files that trainers read: extxyz, and MACE's own HDF5."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path

from ase import Atoms
from ase.io import write

from forcebase.database.database import Database
from forcebase.database.energy_kinds import NOT_RECORDED
from forcebase.datasets.frozen import dataset_frames, labelled_atoms
from forcebase.models.loading import MACE, require_package
from forcebase.models.mace_package import import_mace
from forcebase.paths import check_folder, unwritable
from forcebase.records import Dataset
from forcebase.records.dataset import SPLITS
from forcebase.safety.files import below
from forcebase.scratch import scratch_folder

Writer = Callable[[Path, list[Atoms]], None]


class ExportFormat(StrEnum):
    """Formats of the files, one for each split."""

    EXTXYZ = "extxyz"
    """with MACE's REF_ keys; text of 8 decimals for positions, all digits for energies"""
    MACE_HDF5 = "mace-hdf5"
    """what `mace_prepare_data` writes and `mace_run_train --train_file` reads; exact"""


SUFFIXES = {ExportFormat.EXTXYZ: "extxyz", ExportFormat.MACE_HDF5: "h5"}


def export(
    db: Database, dataset: Dataset, folder: Path, how: ExportFormat = ExportFormat.EXTXYZ
) -> list[Path]:
    """Write one file a split, with each record's id. A file appears whole or not at all.

    Raises:
        InputError: the folder cannot be written to.
        MissingDependencyError: MACE is not installed, and its format was asked for.
    """
    writer = WRITERS[how]
    if how is ExportFormat.MACE_HDF5:
        require_package(MACE)
    check_folder(folder)
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            name = f"{dataset.name}-{dataset.version}-{split}.{SUFFIXES[how]}"
            target = below(folder, name, "The file")
            with scratch_folder(".part", folder) as scratch:
                part = scratch / target.name
                writer(part, _told(dataset, labelled_atoms(dataset_frames(db, dataset, split))))
                part.replace(target)
            written.append(target)
    except OSError as error:
        raise unwritable(folder, error) from error
    return written


def _told(dataset: Dataset, labelled: Iterable[Atoms]) -> list[Atoms]:
    """Each with the kind of its energy, which an import reads back."""
    found = list(labelled)
    for atoms in found:
        atoms.info["energy_kind"] = dataset.energy_kind or NOT_RECORDED
    return found


def _write_extxyz(path: Path, atoms: list[Atoms]) -> None:
    write(path, atoms, format="extxyz")


def _write_mace(path: Path, atoms: list[Atoms]) -> None:
    """By MACE's own writer; each group carries its record's id as an attribute beside."""
    import_mace()
    import h5py
    from mace.data.utils import (
        KeySpecification,
        config_from_atoms_list,
        save_configurations_as_HDF5,
    )

    keys = KeySpecification(
        info_keys={"energy": "REF_energy", "stress": "REF_stress"},
        arrays_keys={"forces": "REF_forces"},
    )
    with h5py.File(path, "w") as file:
        file.attrs["drop_last"] = False
        save_configurations_as_HDF5(config_from_atoms_list(atoms, keys), None, file)
        for i, cell in enumerate(atoms):
            attributes = file[f"config_batch_0/config_{i}"].attrs
            attributes.update({name: cell.info[name] for name in ("calculation", "structure")})


WRITERS: dict[ExportFormat, Writer] = {
    ExportFormat.EXTXYZ: _write_extxyz,
    ExportFormat.MACE_HDF5: _write_mace,
}
