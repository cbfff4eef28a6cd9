"""What a record class says of itself beside its fields; all other code reads it from here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A field that holds the id of another record.

    Attributes:
        field: its name, dotted where it is inside another.
        collection: of the record that it names.
        role: of the provenance edge that says the same; "" where there is none.
        may_be_elsewhere: whether a database may lack the other record and still be sound.
        carries_taint: whether what is said against the other record is said against this one too.
    """

    field: str
    collection: str
    role: str = ""
    may_be_elsewhere: bool = False
    carries_taint: bool = True

    @property
    def called(self) -> str:
        """The role, or the field where there is none."""
        return self.role or self.field


@dataclass(frozen=True)
class BlobField:
    """A field that holds the SHA-256 of a blob.

    Attributes:
        field: its name, dotted where it is inside another.
        called: what people call it; the field's name where it is "".
    """

    field: str
    called: str = ""

    @property
    def words(self) -> str:
        """What people call it."""
        return self.called or self.field


@dataclass(frozen=True)
class Column:
    """A column of `forcebase ls`.

    Attributes:
        field: a field or property, dotted where it is inside another.
        heading: where the field's name would take the room of what stands below it.
        unit: of its numbers, as "eV".
        digits: of its numbers, behind the point; None for six in all.
    """

    field: str
    heading: str = ""
    unit: str = ""
    digits: int | None = None

    @property
    def title(self) -> str:
        """The heading, with the unit in brackets."""
        name = self.heading or self.field
        return f"{name} ({self.unit})" if self.unit else name


@dataclass(frozen=True)
class Description:
    """What there is to know of the records of one class, as its attribute `DESCRIPTION`.

    A subclass, as a model is of a method, adds to what its parent says; `Kind` puts both together.
    What the content is, and how the record is called, are a method and a property of the class:
    `content` and `title`.

    Attributes:
        columns: of `forcebase ls`; id and title where there are none.
        references: fields that name other records.
        blobs: fields that name blobs.
        aliases: other names of fields in filters, as OPTIMADE has them, with the field's own.
        heavy: fields that are not read where only the title and the provenance are asked for.
        long: fields that `forcebase ls --json` and `to_dataframe` leave out.
        tells_source: whether lists say from which file or job each record came.
        many: whether there may be millions of them, each small.
        shared: whether other imports and jobs find such a record and use it too.
        part_of: collection of the records of which these are parts; "" for those that are none.
        rights: what commands do with them, in MongoDB's words.
        colour: of its boxes in pictures of lineages.
    """

    columns: tuple[Column, ...] = ()
    references: tuple[Reference, ...] = ()
    blobs: tuple[BlobField, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    heavy: tuple[str, ...] = ()
    long: tuple[str, ...] = ()
    tells_source: bool = False
    many: bool = False
    shared: bool = False
    part_of: str = ""
    rights: tuple[str, ...] = ("insert",)
    colour: str = "#e9e4d4"


def columns(*fields: str | Column) -> tuple[Column, ...]:
    """Columns of fields, in their order; those that are plain are given by their names."""
    return tuple(Column(field) if isinstance(field, str) else field for field in fields)
