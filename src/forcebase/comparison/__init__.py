"""Any model against any reference: a join on the structure, kept as a validation record."""

from forcebase.comparison.comparing import Comparison, compare, selection
from forcebase.comparison.joining import Join, Pairs, join
from forcebase.comparison.labels import Selection, compare_labels
from forcebase.comparison.matrix import Matrix, compare_matrix
from forcebase.comparison.phonons import compare_phonons

__all__ = [
    "Comparison",
    "Join",
    "Matrix",
    "Pairs",
    "Selection",
    "compare",
    "compare_labels",
    "compare_matrix",
    "compare_phonons",
    "join",
    "selection",
]
