"""flows/wse2_training_structures.py with DFT of seconds: right in kind, no good in numbers."""

from __future__ import annotations

from flow_modules import flow_module
from jobflow import Flow

from forcebase.makers.gpaw import GPAWStaticMaker


def build(n_unit_cells: int = 1, seed: int = 1, workers: dict[str, str] | None = None) -> Flow:
    maker = GPAWStaticMaker(cutoff=150.0, k_spacing=1.2, force_tolerance=0.05)
    flow: Flow = flow_module("wse2_training_structures").build(
        static_maker=maker, n_unit_cells=n_unit_cells, seed=seed, workers=workers
    )
    return flow
