"""Datasets through real imports and the real flow: versions, splits, differences, exports."""

import numpy as np
import pytest
import yaml
from ase.io import read, write

from forcebase.actions.datasets import build_dataset
from forcebase.database.reading import read_frames
from forcebase.datasets import dataset_frames, diff, families_of, splits_of
from forcebase.datasets.export import export
from forcebase.errors import InputError, MixedMethodsError, NotFoundError
from forcebase.ingest.importing import import_paths

FILES = (
    "wse2_gpaw_pbe.extxyz",
    "wse2_gpaw_unitcell.extxyz",
    "wse2_gpaw_3x3_displacements.extxyz",
    "phonopy_wse2_gpaw_3x3.yaml",
)
FILTERS = {"elements": ["Se", "W"]}


@pytest.fixture(scope="module")
def grown(new_database, data_folder, imported):
    """A database where version 1 was built, then more records came, then version 2."""
    db = new_database()
    imported(db, *FILES)
    first = build_dataset(db, "d", FILTERS)
    again = build_dataset(db, "d", FILTERS)
    n_before = db.datasets.count()
    further = data_folder.parent / "wse2_gpaw_new"
    assert import_paths(db, [further]).failed == []
    second = build_dataset(db, "d", FILTERS)
    return db, first, again, n_before, second


def test_the_same_records_give_the_same_version(grown):
    _, first, again, n_before, _ = grown
    assert (first.id, first.version, n_before) == (again.id, 1, 1)


def test_more_records_give_the_next_version(grown):
    db, first, _, _, second = grown
    assert (second.version, second.parent) == (2, first.id)
    assert sum(second.counts[s] for s in ("train", "valid", "test")) > sum(
        first.counts[s] for s in ("train", "valid", "test")
    )
    assert build_dataset(db, "d", FILTERS).id == second.id


def test_every_candidate_is_in_or_dropped_with_a_reason(grown):
    db, _, _, _, second = grown
    looked_at = splits_of(db, second)
    assert set(looked_at) == {c.id for c in db.calculations.find()}
    for member in db.members.find(dataset=second.id, split="dropped"):
        assert member.step
        assert member.reason


def test_no_family_is_in_two_splits_or_changes_its_split(grown):
    db, first, _, _, second = grown
    for dataset in (first, second):
        splits = {}
        for member in db.members.find(dataset=dataset.id):
            if member.split != "dropped":
                splits.setdefault(member.family, set()).add(member.split)
        assert all(len(found) == 1 for found in splits.values())
    old, new = families_of(db, first), families_of(db, second)
    assert {family: new[family] for family in old} == old
    assert diff(db, first, second).moved == []


def test_difference_names_what_came_and_what_went(grown):
    db, first, _, _, second = grown
    found = diff(db, first, second)
    old, new = splits_of(db, first), splits_of(db, second)
    added = {c for members in found.added.values() for c in members}
    assert added == {
        c for c, s in new.items() if s != "dropped" and old.get(c, "dropped") == "dropped"
    }
    assert all(new[c] == split for split, members in found.added.items() for c in members)
    removed = {c for members in found.removed.values() for c in members}
    assert removed == {c for c, s in old.items() if s != "dropped" and new.get(c) == "dropped"}
    assert set(found.dropped) >= removed
    assert (found.before, found.after) == ("d@1", "d@2")
    assert "e0s" in found.changed
    nothing = diff(db, second, second)
    assert (nothing.added, nothing.removed, nothing.moved, nothing.changed) == ({}, {}, [], {})
    back = diff(db, second, first)
    assert {c for members in back.removed.values() for c in members} == added


def test_what_the_dft_phonon_is_made_of_stays_out(grown):
    db, first, _, _, second = grown
    phonon = db.phonons.one()
    family = db.structures.get(phonon.structure).family
    kin = {s.id for s in db.structures.find(family=family)}
    assert len(kin) >= 4
    for dataset in (first, second):
        assert not kin & set(dataset_frames(db, dataset).structures)
        reasons = {
            m.reason
            for m in db.members.find(dataset=dataset.id, split="dropped")
            if m.step == "reserved"
        }
        assert len(reasons) == 1
        assert "phonon" in reasons.pop()


def test_export_gives_the_same_labels_to_whoever_reads_it(grown, tmp_path):
    db, first, *_ = grown
    paths = export(db, first, tmp_path)
    assert [p.name for p in paths] == ["d-1-train.extxyz", "d-1-valid.extxyz", "d-1-test.extxyz"]
    for path, split in zip(paths, ("train", "valid", "test"), strict=True):
        frames = dataset_frames(db, first, split)
        offsets = frames.offsets
        found = read(path, ":")
        assert [a.info["calculation"] for a in found] == frames.ids.tolist()
        for i, atoms in enumerate(found):
            rows = slice(offsets[i], offsets[i + 1])
            assert atoms.info["REF_energy"] == pytest.approx(frames.energies[i], abs=1e-8)
            near = {"rtol": 0, "atol": 1.1e-8}
            np.testing.assert_allclose(atoms.arrays["REF_forces"], frames.forces[rows], **near)
            np.testing.assert_allclose(atoms.info["REF_stress"], frames.stresses[i], **near)
            np.testing.assert_allclose(atoms.positions, frames.positions[rows], **near)
            assert atoms.info["config_type"] == frames.kinds[i]
            assert atoms.calc is None
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_export_to_where_nothing_can_be_written(grown, tmp_path):
    db, first, *_ = grown
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        export(db, first, tmp_path / "file")


def test_a_split_that_there_is_not(grown):
    db, first, *_ = grown
    with pytest.raises(InputError, match=r"no split 'tset'"):
        dataset_frames(db, first, "tset")


@pytest.mark.parametrize("name", ["", "a b", "d@1", "d:test", "../d", "-d", "d\n"])
def test_names_that_could_not_be_told_apart(grown, name):
    db, *_ = grown
    with pytest.raises(InputError, match="cannot name a dataset"):
        build_dataset(db, name, FILTERS)


def test_filters_that_find_nothing(grown):
    db, *_ = grown
    with pytest.raises(NotFoundError, match="No calculation fits"):
        build_dataset(db, "d", {"kind": "nothing"})


@pytest.fixture
def two_methods(db, tmp_path, data_folder, imported):
    """The 1x1 cells twice: by GPAW PBE, and by another functional 3 eV away."""
    imported(db, "wse2_gpaw_pbe.extxyz")
    content = yaml.safe_load((data_folder / "method.yaml").read_text())
    content["method"]["functional"] = "PBEsol"
    del content["files"]["wse2_gpaw_pbe.extxyz"]["logs"]
    (tmp_path / "method.yaml").write_text(yaml.safe_dump(content))
    cells = [a for a in read(data_folder / "wse2_gpaw_pbe.extxyz", ":") if len(a) == 3]
    for atoms in cells:
        atoms.info["REF_energy"] += 3.0
    write(tmp_path / "wse2_gpaw_pbe.extxyz", cells, format="extxyz")
    assert import_paths(db, [tmp_path]).failed == []
    return db


def test_mixed_methods_are_refused_until_one_is_named(two_methods):
    db = two_methods
    assert db.methods.count() == 2
    with pytest.raises(MixedMethodsError, match=r"2|method"):
        build_dataset(db, "d", {})
    assert db.datasets.count() == db.members.count() == 0
    pbe = db.methods.one(functional="PBE")
    dataset = build_dataset(db, "d", {"method": pbe.id})
    assert (dataset.method, dataset.version) == (pbe.id, 1)
    assert set(dataset_frames(db, dataset).methods) == {pbe.id}


def test_export_leaves_out_a_stress_that_is_not_known(db, data_folder, tmp_path):
    """NaN in a file is a label to MACE; no key is none."""
    content = yaml.safe_load((data_folder / "method.yaml").read_text())
    content["files"] = {"wse2_gpaw_pbe.extxyz": {"family_from": ["rattle_seed"]}}
    (tmp_path / "method.yaml").write_text(yaml.safe_dump(content))
    cells = [a for a in read(data_folder / "wse2_gpaw_pbe.extxyz", ":") if len(a) == 3]
    for atoms in cells:
        del atoms.info["REF_stress"]
    write(tmp_path / "wse2_gpaw_pbe.extxyz", cells, format="extxyz")
    import_paths(db, [tmp_path])
    assert np.isnan(read_frames(db, {}).stresses).all()
    dataset = build_dataset(db, "d", {})
    for path in export(db, dataset, tmp_path / "out"):
        assert "REF_stress" not in path.read_text()
        assert "REF_energy" in path.read_text()
