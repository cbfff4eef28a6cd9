"""Stale records stay out of a dataset, each with its reason."""

import numpy as np
from ase.build import bulk
from monty.json import MontyDecoder, MontyEncoder

from forcebase.curation.staleness import NotStale
from forcebase.frames import Frames


def frames(*ids):
    return Frames.from_atoms([bulk("Cu")] * len(ids), ids=ids)


def test_stale_records_are_dropped_with_their_reasons():
    step = NotStale({"b": "tainted: bad", "d": "from a, tainted: worse"})
    kept = np.array([True, True, True, False])
    assert step.apply(frames("a", "b", "c", "d"), kept) == [(1, "tainted: bad")]
    assert step.parameters() == {"stale": ["b", "d"]}


def test_without_reasons_all_stay():
    assert NotStale().apply(frames("a"), np.array([True])) == []


def test_it_travels_to_a_worker():
    step = NotStale({"b": "tainted: bad"})
    assert MontyDecoder().decode(MontyEncoder().encode(step)) == step
