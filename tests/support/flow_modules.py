"""Flow files of the project as modules, for tests that run them with settings of seconds."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

FLOWS = Path(__file__).parents[2] / "flows"


def flow_module(name: str) -> ModuleType:
    """Load a file of flows/ anew."""
    spec = spec_from_file_location(name, FLOWS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
