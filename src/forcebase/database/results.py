"""Records that were found, in their order: a sequence that becomes atoms, tables and text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mongoengine import Document

from forcebase.database.tables import data_frame, html_records, text_table

if TYPE_CHECKING:
    import pandas as pd

R = TypeVar("R", bound=Document)


class Results(Sequence[R], Generic[R]):
    """Records that a query found."""

    def __init__(self, records: list[R], to_atoms: Callable[[list[R]], list]):
        self._records = records
        self._to_atoms = to_atoms

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Results(self._records[index], self._to_atoms)
        return self._records[index]

    def to_atoms(self) -> list:
        """Give one ASE Atoms per record; calculations carry their labels.

        Raises:
            InputError: records of this class are not structures.
        """
        return self._to_atoms(self._records)

    def to_dataframe(self, *, forces: bool = False) -> pd.DataFrame:
        """Give a table: one row a record, scalar fields only; of validations their metrics too.

        Args:
            forces: of calculations, columns `forces`, (n, 3) eV/angstrom, and `stress` too.
        """
        return data_frame(self._records, forces=forces)

    def __repr__(self) -> str:
        return text_table(self._records)

    def _repr_html_(self) -> str:
        return html_records(self._records)
