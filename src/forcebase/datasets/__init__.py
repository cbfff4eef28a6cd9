"""What can be done with a frozen dataset: read, compare, explain, describe, export."""

from forcebase.datasets.frozen import (
    DatasetDifference,
    check_split,
    dataset_frames,
    diff,
    energy_taken,
    families_of,
    labelled_atoms,
    latest,
    splits_of,
)

__all__ = [
    "DatasetDifference",
    "check_split",
    "dataset_frames",
    "diff",
    "energy_taken",
    "families_of",
    "labelled_atoms",
    "latest",
    "splits_of",
]
