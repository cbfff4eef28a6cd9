"""Reading many calculations as columns: exact, in order, and only whole."""

import numpy as np
import pytest
from ase.io import read

from forcebase.database.reading import read_frames, read_unlabelled_frames
from forcebase.errors import NotFoundError
from forcebase.records import Calculation, DFTMethod, Structure

SIZES = (3, 12, 3, 11)


@pytest.fixture
def cells(data_folder):
    """Four cells of real DFT data, the sizes mixed."""
    found = read(data_folder / "wse2_gpaw_pbe.extxyz", ":")
    by_size = {n: iter([atoms for atoms in found if len(atoms) == n]) for n in set(SIZES)}
    return [next(by_size[n]) for n in SIZES]


@pytest.fixture
def calculations(db, cells):
    """Their records, stored; the last one without stress."""
    method = DFTMethod(
        code="gpaw",
        code_version="26.7.0",
        functional="PBE",
        basis={"cutoff_eV": 350.0},
        pseudopotentials={"type": "PAW"},
        k_points={"spacing_per_A": 0.38},
        smearing={"width_eV": 0.01},
        spin="none",
        dispersion="none",
        spin_orbit=False,
    ).sealed()
    structures = [Structure.from_atoms(a, kind=f"kind-{i}") for i, a in enumerate(cells)]
    made = [
        Calculation.of(
            structure,
            method,
            energy=atoms.info["REF_energy"],
            forces=atoms.arrays["REF_forces"],
            stress=atoms.info["REF_stress"] if i < len(cells) - 1 else None,
        )
        for i, (structure, atoms) in enumerate(zip(structures, cells, strict=True))
    ]
    db.methods.add([method])
    db.structures.add(structures)
    db.calculations.add(made)
    return made


def test_columns_are_what_was_written_bit_by_bit(db, cells, calculations):
    frames = read_frames(db, {})
    assert list(frames.ids) == sorted(c.id for c in calculations), "one order, whatever was first"
    offsets = frames.offsets
    for atoms, record in zip(cells, calculations, strict=True):
        i = list(frames.ids).index(record.id)
        rows = slice(offsets[i], offsets[i + 1])
        assert frames.positions[rows].tobytes() == np.asarray(atoms.positions).tobytes()
        assert frames.forces[rows].tobytes() == atoms.arrays["REF_forces"].tobytes()
        assert frames.cells[i].tobytes() == atoms.cell.array.tobytes()
        assert frames.energies[i] == atoms.info["REF_energy"]
        assert list(frames.numbers[rows]) == list(atoms.numbers)
        assert list(frames.pbc[i]) == list(atoms.pbc)
        assert frames.structures[i] == record.structure
        assert frames.methods[i] == record.method
        assert frames.kinds[i] == record.kind


def test_a_stress_that_is_not_known_is_nan_and_the_others_are_not(db, calculations):
    frames = read_frames(db, {})
    unknown = frames.ids == calculations[-1].id
    assert np.isnan(frames.stresses[unknown]).all()
    assert np.isfinite(frames.stresses[~unknown]).all()


def test_a_query_chooses(db, calculations):
    frames = read_frames(db, {"n_atoms": 3})
    assert list(frames.n_atoms) == [3, 3]


def test_nothing_is_frames_of_length_zero(db):
    for frames in (read_frames(db, {}), read_unlabelled_frames(db, [])):
        assert len(frames) == 0
        assert frames.positions.shape == (0, 3)
        assert frames.cells.shape == (0, 3, 3)
        assert frames.stresses.shape == (0, 6)
        assert len(type(frames).from_blob(frames.to_blob())) == 0


def test_structures_alone_come_in_the_order_asked_for_and_without_labels(db, calculations):
    wanted = [c.structure for c in reversed(calculations)] + [calculations[0].structure]
    frames = read_unlabelled_frames(db, wanted)
    assert list(frames.ids) == list(frames.structures) == wanted
    assert np.isnan(frames.energies).all()
    assert np.isnan(frames.forces).all()


def test_a_structure_that_is_gone_is_named(db, calculations):
    gone = calculations[0].structure
    db.structures.raw.delete_one({"_id": gone})
    for find in (lambda: read_frames(db, {}), lambda: read_unlabelled_frames(db, [gone])):
        with pytest.raises(NotFoundError, match=rf"1 of \d structures .*{gone[:10]}"):
            find()
