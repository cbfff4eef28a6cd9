from dataclasses import fields

import numpy as np
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st

from forcebase.blob import Blob
from forcebase.frames import Frames


@st.composite
def frames(draw, min_size: int = 0) -> Frames:
    """Structures of 1 to 5 atoms; some with labels, some without."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=min_size, max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cells = [
        Atoms(rng.choice([34, 74], n), rng.normal(size=(n, 3)), cell=rng.normal(size=(3, 3)), pbc=p)
        for n, p in zip(sizes, rng.integers(0, 2, (len(sizes), 3)).astype(bool), strict=True)
    ]
    n = len(cells)
    labelled = draw(st.booleans())
    return Frames.from_atoms(
        cells,
        ids=[f"calculation-{i}" for i in range(n)],
        structures=[f"s{i}" for i in range(n)],
        families=draw(st.lists(st.text("abé", max_size=4), min_size=n, max_size=n)),
        energies=rng.normal(size=n).tolist() if labelled else None,
        forces=[rng.normal(size=(k, 3)) for k in sizes] if labelled else None,
        stresses=list(rng.normal(size=(n, 6))) if labelled else None,
    )


def same(a: Frames, b: Frames) -> bool:
    return all(
        getattr(a, f.name).dtype.kind == getattr(b, f.name).dtype.kind
        and getattr(a, f.name).shape == getattr(b, f.name).shape
        and np.array_equal(
            getattr(a, f.name),
            getattr(b, f.name),
            equal_nan=getattr(a, f.name).dtype.kind == "f",
        )
        for f in fields(Frames)
    )


@given(batch=frames())
def test_exact_over_the_road(batch):
    assert same(Frames.from_blob(Blob.from_dict(batch.to_blob().as_dict())), batch)


@given(batch=frames())
def test_atoms_come_back_as_they_went_in(batch):
    again = Frames.from_atoms(list(batch.atoms()), ids=batch.ids)
    for name in ("numbers", "positions", "cells", "pbc", "n_atoms"):
        np.testing.assert_array_equal(getattr(again, name), getattr(batch, name))


@given(batch=frames())
def test_columns_are_of_the_promised_shapes(batch):
    n, total = len(batch), int(batch.n_atoms.sum())
    assert batch.offsets.shape == (n + 1,)
    assert batch.offsets[-1] == total
    assert batch.owners.shape == batch.numbers.shape == (total,)
    assert batch.positions.shape == batch.forces.shape == (total, 3)
    assert batch.cells.shape == (n, 3, 3)
    assert batch.stresses.shape == (n, 6)
    assert batch.pbc.shape == (n, 3)
    np.testing.assert_array_equal(np.bincount(batch.owners, minlength=n), batch.n_atoms)


@given(batch=frames(min_size=1), data=st.data())
def test_take_takes_the_atoms_along_in_any_order(batch, data):
    chosen = data.draw(st.lists(st.integers(0, len(batch) - 1), max_size=8))
    taken = batch.take(chosen)
    assert taken.ids.tolist() == [batch.ids[i] for i in chosen]
    for row, i in enumerate(chosen):
        here = slice(*taken.offsets[row : row + 2])
        there = slice(*batch.offsets[i : i + 2])
        for name in ("numbers", "positions", "forces"):
            np.testing.assert_array_equal(getattr(taken, name)[here], getattr(batch, name)[there])
        np.testing.assert_array_equal(taken.cells[row], batch.cells[i])
        np.testing.assert_array_equal(taken.energies[row], batch.energies[i])


@given(batch=frames(min_size=1))
def test_taking_all_changes_nothing(batch):
    assert same(batch.take(range(len(batch))), batch)


def test_missing_labels_are_nan_and_missing_names_empty():
    bare = Frames.from_atoms([Atoms("WSe2", cell=[9] * 3)], ids=["s"])
    assert np.isnan(bare.energies).all()
    assert np.isnan(bare.forces).all()
    assert np.isnan(bare.stresses).all()
    assert bare.structures.tolist() == ["s"]
    assert (bare.methods[0], bare.families[0], bare.kinds[0]) == ("", "", "")
