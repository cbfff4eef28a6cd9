"""flows/wse2_main_job.py with a model of seconds, on one thread: else the load would choose."""

from __future__ import annotations

from flow_modules import flow_module
from jobflow import Flow

from forcebase.database.database import Database
from forcebase.models.training_settings import QUICK


def build(db: Database, epochs: int = 1) -> Flow:
    module = flow_module("wse2_main_job")
    module.DEMO = QUICK  # type: ignore[attr-defined]
    flow: Flow = module.build(db, epochs=epochs, threads=1)
    return flow
