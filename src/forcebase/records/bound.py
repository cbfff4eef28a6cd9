"""What a record can ask of the database that it was read from: other records, and what they give.

Records are on a lower floor than the database and the use cases. They say here what they need, as
protocols; `forcebase.connect()` gives a database that has all of it, and binds what it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pymongo.errors import PyMongoError

from forcebase.errors import ForcebaseError, InputError
from forcebase.safety.text import html_text

SHORT = 10
"""Digits of an id that people are shown."""


class Home(Protocol):
    """The connected database that a record came from."""

    def record(self, collection: str, record_id: str) -> Any:
        """The record of this full id, bound to the same database."""
        ...

    def name_of(self, record_id: str) -> str:
        """The name that people gave a record; "" where it has none."""
        ...

    @property
    def answers(self) -> Answers:
        """What records are asked for that only upper floors can compute."""
        ...


class Answers(Protocol):
    """What upper floors make of a record; `forcebase.api.answers` is it."""

    def crystal(self, phonon: Any) -> Any: ...  # noqa: D102
    def bands(self, phonon: Any) -> Any: ...  # noqa: D102
    def dos(self, phonon: Any, sigma: float | None, mesh: Any) -> Any: ...  # noqa: D102
    def thermal(self, phonon: Any, temperatures: Any, mesh: Any) -> Any: ...  # noqa: D102
    def calculator(self, model: Any) -> Any: ...  # noqa: D102
    def learning(self, model: Any) -> Any: ...  # noqa: D102
    def parity(self, validation: Any) -> Any: ...  # noqa: D102
    def force_errors(self, validation: Any) -> Any: ...  # noqa: D102
    def draw_phonons(self, validation: Any) -> Any: ...  # noqa: D102
    def members(self, dataset: Any, split: str | None) -> Any: ...  # noqa: D102
    def dataset_atoms(self, dataset: Any, split: str | None) -> list[Any]: ...  # noqa: D102
    def made_by(self, activity: Any) -> Any: ...  # noqa: D102


class RecordId(str):
    """The id of another record, as text, that leads to it: `calculation.structure.atoms`.

    Equal to the id, stored, compared and sliced as the text that it is; attributes that text does
    not have are those of the record, which is read when it is first asked for.
    """

    collection: str
    _home: Home
    _found: Any

    def __new__(cls, text: str, collection: str, home: Home) -> RecordId:  # noqa: D102
        made = super().__new__(cls, text)
        made.collection, made._home, made._found = collection, home, None
        return made

    @property
    def record(self) -> Any:
        """The record.

        Raises:
            NotFoundError: it is not in the database.
        """
        if self._found is None:
            self._found = self._home.record(self.collection, str(self))
        return self._found

    @property
    def title(self) -> str:  # type: ignore[override]
        """What the record is called: of text the word means something else."""
        return str(self.record.title)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.record, name)

    def __dir__(self) -> list[str]:
        try:
            return sorted({*super().__dir__(), *dir(self.record)})
        except ForcebaseError:
            return sorted(super().__dir__())

    def __repr__(self) -> str:
        try:
            return repr(self.record)
        except (ForcebaseError, PyMongoError):  # it is not there, or the connection was closed
            return super().__repr__()

    def _repr_html_(self) -> str:
        try:
            return str(self.record._repr_html_())
        except (ForcebaseError, PyMongoError):  # as above
            return html_text(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        """Away from its database, it is the text alone."""
        return str, (str(self),)


def bind(record: Any, home: Home) -> Any:
    """Let a record, just read, reach others by the ids in its fields; gives the record."""
    record._home = home
    for cls in type(record).__mro__:
        about = cls.__dict__.get("DESCRIPTION")
        references = about.references if about else ()
        for reference in (*references, *cls.__dict__.get("LEADS_TO", ())):
            held = record._data.get(reference.field)
            if held:
                record._data[reference.field] = RecordId(held, reference.collection, home)
    return record


def home_of(record: Any) -> Home:
    """The database that a record was read from.

    Raises:
        InputError: it was made here, or read by other ways than `forcebase.connect()`.
    """
    home: Home | None = record._home
    if home is None:
        raise InputError(
            f"This {type(record).__name__} does not know its database.",
            hint="Read it with forcebase.connect(): db.get(id_or_name).",
        )
    return home


def called(record: Any, field: str) -> str:
    """What people call the record that a field names: its name, its title, or its first digits."""
    held = getattr(record, field)
    if not isinstance(held, RecordId):
        return str(held or "")[:SHORT]
    try:
        if held.collection == "datasets":  # by their title, for names of theirs move
            return held.title
        return held._home.name_of(held) or held.title
    except Exception:  # it is not there, or the connection was closed
        return str(held)[:SHORT]


def html_card(title: str, rows: Sequence[tuple[str, object]]) -> str:
    """A heading and a table of two columns, escaped, for notebooks."""
    body = "".join(
        f"<tr><th style='text-align:left'>{html_text(name)}</th>"
        f"<td style='text-align:left'>{html_text(value)}</td></tr>"
        for name, value in rows
    )
    return f"<div><b>{html_text(title)}</b><table>{body}</table></div>"


def html_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A heading and a table, escaped, for notebooks."""
    head = "".join(f"<th>{html_text(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html_text(value)}</td>" for value in row) + "</tr>" for row in rows
    )
    heading = f"<b>{html_text(title)}</b>"
    return f"<div>{heading}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
