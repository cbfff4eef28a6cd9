import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.physics.alignment import Align
from forcebase.physics.error_tally import ErrorTally
from forcebase.physics.label_errors import FrameErrors
from forcebase.physics.metrics import FrameTally


def reference_frames(n: int = 6, seed: int = 0) -> Frames:
    """Cells of two compositions and two kinds with random labels."""
    rng = np.random.default_rng(seed)
    cells = [
        Atoms(
            "WSe2" if i % 2 else "WSe", rng.random((3 if i % 2 else 2, 3)), cell=[5] * 3, pbc=True
        )
        for i in range(n)
    ]
    return Frames.from_atoms(
        cells,
        ids=[f"c{i}" for i in range(n)],
        structures=[f"s{i}" for i in range(n)],
        kinds=["pristine" if i % 2 else "vacancy" for i in range(n)],
        energies=rng.normal(-20, 1, n).tolist(),
        forces=[rng.normal(size=(len(a), 3)) for a in cells],
        stresses=list(rng.normal(size=(n, 6))),
    )


def noisy(frames: Frames, seed: int = 1) -> Frames:
    rng = np.random.default_rng(seed)
    return replace(
        frames,
        energies=frames.energies + rng.normal(0, 0.1, frames.energies.shape),
        forces=frames.forces + rng.normal(0, 0.1, frames.forces.shape),
        stresses=frames.stresses + rng.normal(0, 0.01, frames.stresses.shape),
    )


def errors_of(prediction: Frames, reference: Frames, alignment: Align = Align.NONE) -> FrameErrors:
    tally = FrameTally()
    tally.add(prediction, reference)
    return tally.errors(alignment)


def test_agrees_with_the_definitions_atom_by_atom():
    reference = reference_frames()
    prediction = noisy(reference)
    errors = errors_of(prediction, reference).overall

    offsets = reference.offsets
    per_atom, by_element = [], {"W": [], "Se": []}
    for i, atoms in enumerate(reference.atoms()):
        per_atom.append((prediction.energies[i] - reference.energies[i]) / len(atoms))
        for k, symbol in enumerate(atoms.get_chemical_symbols()):
            row = offsets[i] + k
            by_element[symbol] += list(prediction.forces[row] - reference.forces[row])
    assert errors.energy.mae == pytest.approx(1000 * np.mean(np.abs(per_atom)))
    assert errors.energy.rmse == pytest.approx(1000 * np.sqrt(np.mean(np.square(per_atom))))
    assert errors.energy.max == pytest.approx(1000 * np.max(np.abs(per_atom)))
    for symbol, parts in by_element.items():
        found = errors.forces_by_element[symbol]
        assert found.n == len(parts)
        assert found.mae == pytest.approx(1000 * np.mean(np.abs(parts)))
        assert found.rmse == pytest.approx(1000 * np.sqrt(np.mean(np.square(parts))))
    assert errors.stress.n == 6 * len(reference)
    assert errors.n_atoms == offsets[-1]


def test_kinds_are_compared_apart():
    reference = reference_frames()
    shift = np.where(reference.kinds == "vacancy", 0.2, 0.0)
    found = errors_of(replace(reference, energies=reference.energies + shift), reference)
    assert found.by_kind["vacancy"].energy.mae == pytest.approx(100)  # 0.2 eV on two atoms
    assert found.by_kind["pristine"].energy.mae == pytest.approx(0, abs=1e-9)
    assert found.by_kind["pristine"].n_atoms == 9


def test_another_zero_of_energy_is_seen_and_can_be_aligned():
    reference = reference_frames()
    zeros = {74: 300.0, 34: -70.0}
    shift = [sum(zeros[z] for z in atoms.numbers) for atoms in reference.atoms()]
    found = errors_of(replace(reference, energies=reference.energies + shift), reference)
    assert found.overall.energy.mae > 50_000
    assert found.overall.energy_aligned.mae == pytest.approx(0, abs=1e-8)
    assert found.overall.energy.r2 < 0
    # All cells of one kind have one composition: three structures, two elements.
    assert found.by_kind["vacancy"].energy_aligned.mae == pytest.approx(0, abs=1e-8)


def test_labels_that_the_reference_lacks_are_left_out():
    reference = reference_frames()
    stresses = reference.stresses.copy()
    stresses[1:] = np.nan
    energies = reference.energies.copy()
    energies[0] = np.nan
    found = errors_of(noisy(reference), replace(reference, stresses=stresses, energies=energies))
    assert found.overall.stress.n == 6
    assert found.overall.energy.n == 5
    bare = replace(reference, stresses=np.full_like(stresses, np.nan))
    assert errors_of(noisy(bare), reference).overall.stress is None


def test_r2_of_the_mean_is_zero_and_of_a_constant_unknown():
    reference = np.array([1.0, 2.0, 6.0])
    assert ErrorTally.of(np.full(3, 3.0), reference).summary("meV").r2 == pytest.approx(0)
    assert ErrorTally.of(reference, reference).summary("meV").r2 == 1
    assert ErrorTally.of(np.array([0.1, 0.3]), np.full(2, 0.1)).summary("meV").r2 is None


def test_refuses_what_does_not_match():
    reference = reference_frames()
    prediction = noisy(reference)
    swapped = replace(
        prediction, numbers=np.where(prediction.numbers == 74, 42, prediction.numbers)
    )
    with pytest.raises(InputError, match="differ in their atoms"):
        errors_of(swapped, reference)
    with pytest.raises(InputError, match="nothing to compare"):
        FrameTally().errors()


def test_refuses_a_prediction_of_nan_and_names_the_structure():
    reference = reference_frames()
    forces = reference.forces.copy()
    forces[reference.offsets[3] + 1, 2] = np.nan
    with pytest.raises(InputError, match="structure s3"):
        errors_of(replace(reference, forces=forces), reference)


def test_parts_add_up_to_the_whole():
    reference = reference_frames(9)
    prediction = noisy(reference)
    tally = FrameTally()
    for rows in ([5], [0, 3, 8], [1, 2, 4, 6, 7]):
        tally.add(prediction.take(rows), reference.take(rows))
    for alignment in Align:
        whole = numbers(errors_of(prediction, reference, alignment).as_dict())
        assert numbers(tally.errors(alignment).as_dict()) == pytest.approx(whole, rel=1e-12)


def numbers(value, path=""):
    """Path -> number, of all there are."""
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    else:
        return {path: value} if isinstance(value, (int, float)) else {}
    parts = (numbers(item, f"{path}/{key}").items() for key, item in pairs)
    return {place: number for part in parts for place, number in part}


def test_as_dict_is_plain_json():
    reference = reference_frames()
    plain = errors_of(noisy(reference), reference).as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["overall"]["forces"]["unit"] == "meV/A"


def test_the_work_is_done_by_arrays_however_many_structures_there_are():
    """A loop over structures or atoms would call something each time."""
    few, many = copies_of(reference_frames(2), 50), copies_of(reference_frames(2), 50_000)
    calls = []
    for frames in (few, many):
        other = noisy(frames)
        with counted_calls() as counted:
            found = errors_of(other, frames)
        calls.append(counted[0])
    assert calls[1] < calls[0] + 200
    assert found.overall.n_atoms == 250_000
    assert found.overall.forces.rmse == pytest.approx(100, rel=0.01)


def copies_of(few: Frames, n: int) -> Frames:
    """Each structure so many times, as structures of their own without families."""
    total = n * len(few)
    rows = np.tile(np.arange(len(few.numbers)), n)
    return Frames(
        ids=np.arange(total).astype(str),
        structures=np.arange(total).astype(str),
        families=np.full(total, ""),
        kinds=np.tile(few.kinds, n),
        methods=np.full(total, "m"),
        n_atoms=np.tile(few.n_atoms, n),
        numbers=few.numbers[rows],
        positions=few.positions[rows],
        cells=np.tile(few.cells, (n, 1, 1)),
        pbc=np.tile(few.pbc, (n, 1)),
        energies=np.tile(few.energies, n),
        forces=few.forces[rows],
        stresses=np.tile(few.stresses, (n, 1)),
    )


@contextmanager
def counted_calls() -> Iterator[list[int]]:
    """Count the functions, of Python and of C, that are called in the block."""
    counted = [0]

    def count(frame, event, arg) -> None:
        counted[0] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        yield counted
    finally:
        sys.setprofile(None)
