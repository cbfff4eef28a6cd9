"""What made records: a job, an import or a comparison (PROV-DM's activity)."""

from __future__ import annotations

from typing import Any, ClassVar

from mongoengine import (
    BooleanField,
    DateTimeField,
    DictField,
    Document,
    FloatField,
    IntField,
    StringField,
)

from forcebase.records.base import utc_now


class Activity(Document):
    """One act: named by the job's uuid and index, or by the digest of what was imported.

    A job that failed is a `failure`, named by the job and by what went wrong when. It stays when
    the job is run again with success, marked as mended.
    """

    meta: ClassVar[dict[str, Any]] = {
        "collection": "activities",
        "indexes": ["kind", "name", "finished_at", "job.uuid"],
    }

    id = StringField(primary_key=True, help_text="uuid:index of a job, or a digest")
    kind = StringField(required=True, choices=("job", "import", "comparison", "failure"))
    name = StringField(required=True, help_text="job name, or file name")
    job = DictField(help_text="uuid, index, store: where the raw output lies")
    source = DictField(help_text="file name and sha256 of an import")
    settings = DictField()
    package_versions = DictField()
    finished_at = DateTimeField(default=utc_now)
    wall_time = FloatField(help_text="s")
    error = StringField(help_text="of a failure: what the job said")
    mended = BooleanField(help_text="of a failure: the same job ended well later")
    n_records = IntField(help_text="records that came of it")

    @property
    def reason(self) -> str:
        """Of a failure, the line that says most: an exception's own words come last."""
        return (self.error or "").strip().rpartition("\n")[2]
