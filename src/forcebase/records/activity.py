"""What made records: a job, an import or a comparison (PROV-DM's activity)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mongoengine import (
    BooleanField,
    DateTimeField,
    DictField,
    EmbeddedDocument,
    EmbeddedDocumentField,
    FloatField,
    IntField,
    ListField,
    StringField,
)

from forcebase.records.base import CHECKSUM, DIGEST_PATTERN, Sealed, document_checksum, utc_now
from forcebase.records.bound import home_of
from forcebase.records.description import BlobField, Description, columns

STARTED, FINISHED, FAILED = "started", "finished", "failed"
WHEN_WRITTEN, AT_MIGRATION, FROM_ARCHIVE = "when written", "at migration", "from an archive"


KINDS = ("job", "import", "comparison", "failure", "forgetting")


class Run(EmbeddedDocument):
    """How an activity went in this database, and what it left here; no archive has it."""

    state = StringField(required=True, choices=(STARTED, FINISHED, FAILED))
    started_at = DateTimeField(help_text="UTC; nothing where that is not known")
    user = StringField(help_text="of the database, or else of the machine")
    host = StringField(help_text="the machine that it ran on")
    pid = IntField(help_text="its process there")
    reason = StringField(help_text="why it failed")
    raw_file = StringField(
        regex=DIGEST_PATTERN, help_text="blob of the imported file itself, compressed"
    )
    repeated_at = DateTimeField(
        help_text="UTC; when it was last done again, after others had taken back what it had found"
    )
    counted = StringField(
        choices=(WHEN_WRITTEN, AT_MIGRATION, FROM_ARCHIVE), help_text="when `written` was made"
    )
    written = DictField(
        help_text="collection to n and Merkle root of the ids of the records that it wrote here, "
        "and the ids where they are few"
    )
    checksum = StringField(regex=DIGEST_PATTERN, help_text="of this part of the document")

    def to_mongo(self, *args: Any, **kwargs: Any) -> Any:
        """Give the stored form, with the checksum of what it now holds."""
        return sealed_run(super().to_mongo(*args, **kwargs))


def sealed_run(run: Any) -> Any:
    """Put the checksum of it into the stored form of a run, and give it."""
    run[CHECKSUM] = document_checksum(run)
    return run


class Activity(Sealed):
    """One act: named by the job's uuid and index, or by the digest of what was imported.

    It is written as started before its records are, and as finished after the last of them.

    A job that failed is a `failure`, named by the job and by what went wrong when. It stays when
    the job is run again with success, marked as resolved.
    """

    meta: ClassVar[dict[str, Any]] = {
        "collection": "activities",
        "indexes": [
            "kind",
            "name",
            "finished_at",
            "job.uuid",
            {"fields": ["findings.model"], "sparse": True},
            ["run.started_at", "finished_at"],
        ],
    }

    OPEN_FIELDS = ("run",)
    DESCRIPTION = Description(
        columns=columns("id", "kind", "finished_at", "name", "resolved", "reason"),
        blobs=(BlobField("run.raw_file", "imported file"),),
        heavy=("error", "settings"),
        many=True,
        rights=("insert", "update"),  # it ends, and a failed job is marked as resolved
        colour="#e6e6e6",
    )

    id = StringField(primary_key=True, help_text="uuid:index of a job, or a digest")
    kind = StringField(required=True, choices=KINDS)
    name = StringField(required=True, help_text="job name, or file name")
    job = DictField(help_text="uuid, index, store: where the raw output lies; its sha256")
    source = DictField(help_text="file name and sha256 of an import")
    settings = DictField()
    package_versions = DictField()
    finished_at = DateTimeField(default=utc_now)
    wall_time = FloatField(unit="s", help_text="s")
    error = StringField(help_text="of a failure: what the job said")
    resolved = BooleanField(help_text="of a failure: the same job ended well later")
    n_records = IntField(help_text="records that came of it")
    findings = ListField(
        DictField(), help_text="models that did not reproduce what they gave before: with figures"
    )
    run = EmbeddedDocumentField(Run, help_text="how it went here, and what it left here")

    @property
    def title(self) -> str:
        """What was done: an import by its file and the file's digest, the rest by its name.

        What was taken from a JobStore has no file with a digest, but a job.
        """
        if self.kind == "import" and "sha256" in self.source:
            told = f"import of {self.name} (sha256 {self.source['sha256'][:10]})"
        else:
            told = f"{self.kind} {self.name} ({self.id[:10]})"
        return "; ".join([told, *self.messages])

    def facts(self) -> list[tuple[str, object]]:
        """When, how long and how many records, then what was found or went wrong."""
        return [
            ("finished", f"{self.finished_at:%Y-%m-%d %H:%M} UTC" if self.finished_at else ""),
            ("records", self.n_records if self.n_records is not None else ""),
            ("took", f"{self.wall_time:.3g} s" if self.wall_time is not None else ""),
            ("reason", self.reason),
        ]

    def made(self) -> Any:
        """All records that it made: a list for each collection, by its name.

        Raises:
            InputError: it was not read by `forcebase.connect()`.
        """
        return home_of(self).answers.made_by(self)

    @property
    def messages(self) -> list[str]:
        """What was found on the way, one line each."""
        return [finding["message"] for finding in self.findings or ()]

    @property
    def reason(self) -> str:
        """Of a failure, the line that says most: an exception's own words come last."""
        return (self.error or "").strip().rpartition("\n")[2]


def resolved_as_field(document: Mapping[str, Any]) -> dict[str, Any]:
    """An activity as schemas from 9 on have it: up to 8 it was called mended."""
    found = dict(document)
    if "mended" in found:
        found["resolved"] = found.pop("mended")
    return found
