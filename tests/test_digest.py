from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from hypothesis import given
from hypothesis import strategies as st

from forcebase.digest import bytes_digest, content_digest, merkle_root, structure_digest
from forcebase.errors import InputError

finite = st.floats(allow_nan=False, allow_infinity=False)
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
whole = st.integers(-3, 3)


@st.composite
def crystals(draw) -> Atoms:
    """Random triclinic cells with 1 to 6 atoms, any periodicity."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 6))
    return Atoms(
        rng.choice([34, 42, 74], n),
        scaled_positions=rng.random((n, 3)),
        cell=6 * np.eye(3) + rng.uniform(-1, 1, (3, 3)),
        pbc=draw(st.tuples(*[st.booleans()] * 3)),
    )


def name(atoms: Atoms) -> str:
    return structure_digest(atoms.numbers, atoms.cell.array, atoms.positions, atoms.pbc)


@given(atoms=crystals(), turns=st.lists(st.tuples(whole, whole, whole), min_size=6, max_size=6))
def test_same_name_after_lattice_translations_of_single_atoms(atoms, turns):
    moved = atoms.copy()
    moved.positions += (np.array(turns[: len(atoms)]) * atoms.pbc) @ atoms.cell.array
    assert name(moved) == name(atoms)


@given(atoms=crystals(), axis=st.integers(0, 2), turn=st.sampled_from([-2, -1, 1, 2]))
def test_a_translation_along_an_axis_that_is_not_periodic_changes_the_name(atoms, axis, turn):
    atoms.pbc[axis] = False
    moved = atoms.copy()
    moved.positions[0] += turn * atoms.cell.array[axis]
    assert name(moved) != name(atoms)


def other_species(atoms: Atoms) -> None:
    atoms.numbers[-1] += 1


def other_cell(atoms: Atoms) -> None:
    cell = atoms.cell.array.copy()
    cell[1, 2] += 1e-7
    atoms.set_cell(cell)


def other_strain(atoms: Atoms) -> None:
    atoms.set_cell(atoms.cell.array * (1 + 1e-7), scale_atoms=True)


def other_position(atoms: Atoms) -> None:
    atoms.positions[0] += 1e-6 * atoms.cell.array[2] / atoms.cell.lengths()[2]


def other_periodicity(atoms: Atoms) -> None:
    atoms.pbc[2] = not atoms.pbc[2]


@pytest.mark.parametrize(
    "change", [other_species, other_cell, other_strain, other_position, other_periodicity]
)
@given(atoms=crystals())
def test_anything_that_matters_changes_the_name(change: Callable[[Atoms], None], atoms):
    before = name(atoms)
    change(atoms)
    assert name(atoms) != before


@given(atoms=crystals().filter(lambda a: len(a) > 1))
def test_the_order_of_atoms_is_part_of_the_name(atoms):
    assert name(atoms[::-1]) != name(atoms)


@given(noise=st.floats(-1e-11, 1e-11))
def test_special_positions_are_not_at_the_edge_of_the_grid(noise):
    sites = np.array([(0, 0, 0), (1 / 3, 2 / 3, 0.5), (0.25, 0.75, 0.125), (1, -0.0, 0.1)])
    cell = 10 * np.eye(3)
    clean = structure_digest([34] * 4, cell, sites @ cell, [True] * 3)
    assert structure_digest([34] * 4, cell, sites @ cell + noise, [True] * 3) == clean


@given(atoms=crystals())
def test_a_structure_read_from_text_keeps_its_name_when_written_again(atoms, tmp_path_factory):
    path = tmp_path_factory.mktemp("xyz") / "a.extxyz"
    atoms.write(path)
    first = read(path)
    first.write(path)
    assert name(read(path)) == name(first)


@pytest.mark.parametrize(
    ("cell", "position", "message"),
    [
        (np.zeros((3, 3)), 0.0, "no volume"),
        (np.ones((3, 3)), 0.0, "no volume"),
        (np.eye(3), np.nan, "finite"),
        (np.full((3, 3), np.inf), 0.0, "finite"),
    ],
)
def test_refuses_geometries_that_are_none(cell, position, message):
    with pytest.raises(InputError, match=message):
        structure_digest([1], cell, [[position, 0, 0]], [True] * 3)


@given(content=json_like)
def test_content_is_named_by_value(content):
    assert content_digest(content) == content_digest(_rebuilt(content))
    assert content_digest({"a": content}) != content_digest({"a": [content]})


def _rebuilt(value):
    """The same content by other means: keys the other way round, tuples for lists."""
    if isinstance(value, dict):
        return {key: _rebuilt(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return tuple(_rebuilt(item) for item in value)
    return np.float64(value) if isinstance(value, float) else value


@given(values=st.lists(finite, min_size=1), index=st.integers(0, 10**6))
def test_one_bit_of_an_array_changes_the_digest(values, index):
    array = np.array(values)
    other = array.copy()
    k = index % len(array)
    other[k] = np.nextafter(array[k], -np.inf if array[k] > 0 else np.inf)
    assert content_digest({"a": array}) == content_digest({"a": array.astype(">f8")})
    assert content_digest({"a": other}) != content_digest({"a": array})


def test_shape_type_and_sign_of_zero():
    array = np.arange(6.0)
    assert content_digest(array.reshape(2, 3)) != content_digest(array.reshape(3, 2))
    assert content_digest(array) != content_digest(array.astype(int))
    assert content_digest(np.array([-0.0])) == content_digest(np.array([0.0]))
    assert content_digest(-0.0) == content_digest(0.0)
    assert content_digest(array[::2]) == content_digest(array[::2].copy())


@pytest.mark.parametrize("value", [np.array([1j]), np.array(["a"]), {1, 2}, b"bytes"])
def test_refuses_what_has_no_canonical_form(value):
    with pytest.raises(TypeError, match="no canonical form"):
        content_digest({"a": value})


def test_refuses_nan_in_content():
    with pytest.raises(ValueError, match="Out of range float"):
        content_digest({"energy": float("nan")})


@given(
    leaves=st.lists(
        st.text(min_size=1, max_size=5).map(lambda t: bytes_digest(t.encode())), min_size=1
    )
)
def test_merkle_root_depends_on_the_members_not_on_their_order(leaves):
    root = merkle_root(leaves)
    assert merkle_root(reversed(leaves)) == root
    assert merkle_root([*leaves, bytes_digest(b"one more")]) != root
    assert merkle_root([bytes_digest(b"another"), *leaves[1:]]) != root
    assert merkle_root([]) != root
