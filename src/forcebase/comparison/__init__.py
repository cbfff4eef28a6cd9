"""Any model against any reference: a join on the structure, kept as a validation record."""

from forcebase.comparison.comparing import compare
from forcebase.comparison.joining import Pairs, join
from forcebase.comparison.labels import compare_labels
from forcebase.comparison.phonons import compare_phonons

__all__ = ["Pairs", "compare", "compare_labels", "compare_phonons", "join"]
