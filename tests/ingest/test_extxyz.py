"""extxyz: what a frame says becomes a record, exactly, by the keys that method.yaml names."""

import shutil
import tarfile

import numpy as np
import pytest
import yaml
from ase.io import read, write

from forcebase.errors import InputError
from forcebase.ingest.extxyz import read_extxyz

NAME = "cells.extxyz"


@pytest.fixture
def described(data_folder, tmp_path):
    """Write frames and their description, and give the file."""

    def make(frames, **entry):
        shutil.copy(data_folder / "method.yaml", tmp_path)
        content = yaml.safe_load((tmp_path / "method.yaml").read_text())
        content["files"] = {NAME: entry}
        (tmp_path / "method.yaml").write_text(yaml.safe_dump(content))
        write(tmp_path / NAME, frames, format="extxyz")
        return tmp_path / NAME

    return make


@pytest.fixture
def frames(data_folder):
    return read(data_folder / "wse2_gpaw_pbe.extxyz", ":3")


def test_labels_are_the_files_own_bits(data_folder):
    """eV, eV/angstrom, eV/angstrom^3 in ASE's order and sign: nothing is converted."""
    source = read(data_folder / "wse2_gpaw_pbe.extxyz", ":")
    batch = read_extxyz(data_folder / "wse2_gpaw_pbe.extxyz")
    assert len(batch.calculations) == len(batch.structures) == len(source) == 68
    for atoms, calculation, structure in zip(
        source, batch.calculations, batch.structures, strict=True
    ):
        assert calculation.energy == atoms.info["REF_energy"]
        np.testing.assert_array_equal(calculation.forces, atoms.arrays["REF_forces"])
        np.testing.assert_array_equal(calculation.stress, atoms.info["REF_stress"])
        np.testing.assert_array_equal(structure.positions, atoms.positions)
        assert calculation.wall_time == atoms.info["wall_s"]
        assert structure.kind == atoms.info["kind"]
        assert structure.recipe["parameters"]["exx"] == atoms.info["exx"]
        assert structure.recipe["seed"] == atoms.info["rattle_seed"]
        assert calculation.structure == structure.id


def test_stretched_cells_pull_and_compressed_cells_push(data_folder):
    """Tension is positive: over the draws, in-plane stress rises with in-plane strain."""
    batch = read_extxyz(data_folder / "wse2_gpaw_pbe.extxyz")
    strain = [
        s.recipe["parameters"]["exx"] + s.recipe["parameters"]["eyy"] for s in batch.structures
    ]
    stress = [c.stress[0] + c.stress[1] for c in batch.calculations]
    assert np.corrcoef(strain, stress)[0, 1] > 0.5


def test_a_stress_as_matrix_or_absent(described, frames):
    """ASE writes 3x3 stresses; phonon displacements have none."""
    for atoms in frames:
        del atoms.info["REF_stress"]
    batch = read_extxyz(described(frames))
    assert [c.stress for c in batch.calculations] == [None] * 3


def test_a_stress_of_nine_numbers_is_the_one_of_six(described, frames):
    six = frames[1].info["REF_stress"]
    xx, yy, zz, yz, xz, xy = six
    frames[1].info["REF_stress"] = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    assert read_extxyz(described(frames)).calculations[1].stress == pytest.approx(six, abs=1e-8)


def test_without_a_description_ref_keys_are_meant_and_each_is_its_own_family(described, frames):
    batch = read_extxyz(described(frames))
    assert [s.family for s in batch.structures] == [s.id for s in batch.structures]
    assert all(s.recipe == {} for s in batch.structures)


def test_a_seed_that_two_frames_share_is_one_family(described, frames):
    frames[1].info["rattle_seed"] = frames[0].info["rattle_seed"]
    batch = read_extxyz(described(frames, family_from=["rattle_seed"]))
    families = [s.family for s in batch.structures]
    assert families[0] == families[1] != families[2]
    del frames[2].info["rattle_seed"]
    batch = read_extxyz(described(frames, family_from=["rattle_seed"]))
    assert batch.structures[2].family == batch.structures[2].id


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("kpts", "dense", "dense"),
        ("wall_s", "long", "long"),
        ("REF_energy", "inf", "NaN or infinite"),
        ("REF_energy", "low", "low"),
        ("REF_energy", [1.0, 2.0], "frame 1"),
        ("REF_stress", [1.0, 2.0], "stress"),
        ("rattle_seed", "odd", "odd"),
    ],
)
def test_values_that_are_none_name_their_frame(described, frames, key, value, words):
    frames[1].info[key] = value
    recipe = {"operation": "rattle", "parameters": [], "seed": "rattle_seed"}
    with pytest.raises(InputError, match="frame 1") as caught:
        read_extxyz(described(frames, recipe=recipe))
    assert words in caught.value.message


def test_logs_stay_with_their_frames(described, frames):
    path = described(frames, logs={"archive": "logs.tar", "member": "{dft_index}.txt"})
    log = path.parent / "text"
    log.write_text("the text output")
    with tarfile.open(path.parent / "logs.tar", "w") as files:
        files.add(log, f"{frames[1].info['dft_index']}.txt")
    batch = read_extxyz(path)
    assert batch.blobs == [b"the text output"]
    assert [c.log is None for c in batch.calculations] == [True, False, True]


def test_a_log_name_made_of_a_key_that_is_not_there(described, frames):
    path = described(frames, logs={"archive": "logs.tar", "member": "{number}.txt"})
    with tarfile.open(path.parent / "logs.tar", "w") as files:
        files.add(path, "1.txt")
    with pytest.raises(InputError, match=r"frame 0.*number"):
        read_extxyz(path)


def test_the_same_frame_twice_is_one_record(db, described, frames):
    from forcebase.ingest.importing import import_paths

    report = import_paths(db, [described([frames[0], frames[0], frames[1]])])
    assert report.added == {"structures": 2, "methods": 1, "calculations": 2}
