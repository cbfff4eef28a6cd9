"""Datasets as files: MACE's own reader gives back the numbers of the records."""

import mace  # noqa: F401 - before e3nn
import numpy as np
import pytest
import torch
from ase.io import read
from mace.data import HDF5Dataset
from mace.tools import AtomicNumberTable
from mongoengine.errors import ValidationError

from forcebase.actions.datasets import build_dataset
from forcebase.datasets import dataset_frames
from forcebase.datasets.export import ExportFormat, export
from forcebase.errors import InputError
from forcebase.records import Dataset
from forcebase.records.dataset import SPLITS
from forcebase.safety.files import below


@pytest.fixture
def dataset(db, imported):
    imported(db, "wse2_gpaw_pbe.extxyz")
    return build_dataset(db, "d", {})


@pytest.fixture
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.usefixtures("float64")
def test_mace_reads_the_numbers_of_the_records(db, dataset, tmp_path):
    paths = export(db, dataset, tmp_path, ExportFormat.MACE_HDF5)
    assert [path.name for path in paths] == [f"d-1-{split}.h5" for split in SPLITS]
    table = AtomicNumberTable([34, 74])
    for split, path in zip(SPLITS, paths, strict=True):
        frames = dataset_frames(db, dataset, split)
        stored = HDF5Dataset(path, r_max=5.0, z_table=table)
        assert len(stored) == len(frames) > 0
        for i in range(len(frames)):
            one = frames.take([i])
            read_back = stored[i]
            assert float(read_back.energy) == one.energies[0]
            np.testing.assert_array_equal(read_back.forces.numpy(), one.forces)
            np.testing.assert_array_equal(read_back.positions.numpy(), one.positions)
            np.testing.assert_array_equal(read_back.cell.numpy(), one.cells[0])
            xx, yy, zz, yz, xz, xy = one.stresses[0]
            stress = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
            np.testing.assert_array_equal(read_back.stress.numpy()[0], stress)
            group = stored.file[f"config_batch_0/config_{i}"]
            assert group.attrs["calculation"] == one.ids[0]


def test_the_same_dataset_gives_the_same_bytes(db, dataset, tmp_path):
    for how in ExportFormat:
        first = export(db, dataset, tmp_path / "a", how)
        second = export(db, dataset, tmp_path / "b", how)
        assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_extxyz_holds_the_ids(db, dataset, tmp_path):
    cells = read(export(db, dataset, tmp_path)[0], ":")
    ids = dataset_frames(db, dataset, "train").ids
    assert [cell.info["calculation"] for cell in cells] == ids.tolist()


def test_a_folder_that_is_a_file_is_refused(db, dataset, tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(InputError, match="cannot be written"):
        export(db, dataset, tmp_path / "taken")


@pytest.mark.parametrize(
    "name", ["../../x", "a/b", "/x", ".hidden", "a\nb", "a\n", "a\x1b[2J", "", "a" * 200]
)
def test_names_that_lead_elsewhere_are_no_names_of_datasets(name):
    made = Dataset(
        name=name,
        version=1,
        method="0" * 64,
        members_root="0" * 64,
        counts={"train": 0},
        e0s={"W": 0.0},
        e0s_source="given",
    )
    with pytest.raises(ValidationError):
        made.sealed()


def test_no_file_of_an_export_lies_outside_its_folder(tmp_path):
    with pytest.raises(InputError, match="leads out"):
        below(tmp_path, "../../x-1-train.extxyz", "The file")
