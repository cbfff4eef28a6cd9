"""The records: one mongoengine document a file, named by their content."""

from forcebase.records.activity import Activity, Run
from forcebase.records.base import Edge, Provenance, Record, Sealed
from forcebase.records.calculation import Calculation
from forcebase.records.dataset import Dataset, DatasetMember
from forcebase.records.equivalence import Equivalence
from forcebase.records.journal_entry import JournalEntry
from forcebase.records.kinds import register
from forcebase.records.label_block import LabelBlock
from forcebase.records.method import DFTMethod, Method, ModelMethod
from forcebase.records.name import Name
from forcebase.records.phonon import Phonon
from forcebase.records.quarantine import Quarantine
from forcebase.records.structure import Structure
from forcebase.records.taint import Taint
from forcebase.records.validation import Validation

for _document in (
    *(Structure, Method, Equivalence, Calculation, Dataset, DatasetMember, Phonon, Validation),
    *(Activity, Name, Taint, Quarantine, JournalEntry, LabelBlock),
):
    register(_document)

__all__ = [
    "Activity",
    "Calculation",
    "DFTMethod",
    "Dataset",
    "DatasetMember",
    "Edge",
    "Equivalence",
    "JournalEntry",
    "LabelBlock",
    "Method",
    "ModelMethod",
    "Name",
    "Phonon",
    "Provenance",
    "Quarantine",
    "Record",
    "Run",
    "Sealed",
    "Structure",
    "Taint",
    "Validation",
]
