"""What `forcebase.connect()` gives: the database with its use cases, and results that draw."""

from forcebase.api.labels import ForceErrors, Learning, Parity
from forcebase.api.phonons import PhononBands, PhononDOS, Thermal
from forcebase.api.session import Session

__all__ = [
    "ForceErrors",
    "Learning",
    "Parity",
    "PhononBands",
    "PhononDOS",
    "Session",
    "Thermal",
]
