"""Records as job inputs: published into the JobStore, they cross to any worker as references.

A published record looks like the output of a job that had made it, so makers need not know the
difference, and a worker without a route to MongoDB gets it from whoever resolves its inputs.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bson import ObjectId
from jobflow import JobStore, OutputReference
from jobflow.core.schemas import JobStoreDocument
from maggma.stores import MemoryStore
from monty.json import jsanitize
from pymongo.errors import DuplicateKeyError

from forcebase.blob import DATA_STORE, Blob
from forcebase.database.access import refusals_told
from forcebase.database.database import Database
from forcebase.database.job_store import OUTPUTS
from forcebase.database.trust import require_runnable
from forcebase.digest import content_digest
from forcebase.frames import Frames
from forcebase.models.loading import neutral_of
from forcebase.outputs import HEAVY, MACE, CandidatesOutput, CurationOutput, ModelOutput
from forcebase.records import Dataset, ModelMethod
from forcebase.records.dataset import DROPPED

PUBLISHED = "published"


def publish_frames(db: Database, frames: Frames) -> OutputReference:
    """Publish labelled or bare structures as a `CandidatesOutput`."""
    output: CandidatesOutput = {"forcebase": "candidates", "frames": frames.to_blob()}
    return _publish(db, "candidates", output["frames"].sha256, dict(output))


def publish_dataset(db: Database, dataset: Dataset) -> OutputReference:
    """Publish a dataset's decisions as a `CurationOutput`; its frames go with `publish_frames`."""
    members = [
        {
            "calculation": member.calculation,
            "structure": member.structure,
            "family": member.family,
            "split": member.split,
        }
        for member in db.members.iterate(dataset=dataset.id, sort="calculation")
        if member.split != DROPPED
    ]
    output: CurationOutput = {
        "forcebase": "curation",
        "name": dataset.name,
        "version": dataset.version,
        "parent": dataset.parent,
        "query": dict(dataset.query),
        "method": dataset.method,
        "members": members,  # type: ignore[typeddict-item]
        "dropped": [],
        "steps": [],
        "e0s": dict(dataset.e0s),
        "e0s_source": dataset.e0s_source,
        "energy_kind": dataset.energy_kind,
        "wall_time": dataset.wall_time or 0.0,
    }
    return _publish(db, "dataset", dataset.id, dict(output))


def publish_model(db: Database, model: ModelMethod) -> OutputReference:
    """Publish a model as a `ModelOutput`; what it is loaded from is checked against its digest.

    Raises:
        IntegrityError: it is not that of the digest.
        ModelError: a MACE without a neutral form.
    """
    output = stored_model(db, model)
    if model.kind == MACE:
        neutral_of(output)
    digest = content_digest([model.id, model.neutral]) if model.neutral else model.id
    return _publish(db, "model", digest, dict(output))


def stored_model(db: Database, model: ModelMethod) -> ModelOutput:
    """Give a model as jobs take it; what it is loaded from is checked against its digest.

    That is the neutral form of a MACE, whose file stays where it is, and else the file. Every way
    to run a model of the database goes through here.

    Raises:
        ModelError: it came in an archive, runs code, and nobody trusted it.
    """
    require_runnable(db, model)
    neutral = Blob(db.blobs.get(model.neutral)) if model.neutral else None
    only_neutral = model.kind == MACE
    return {
        "forcebase": "model",
        "kind": model.kind,
        "weights": None if only_neutral else Blob(db.blobs.get(model.weights)),
        "weights_sha256": model.weights,
        "neutral": neutral,
        "dtype": model.dtype,
        "head": model.head,
        "elements": list(model.elements),
        "dataset": model.dataset,
        "dataset_job": None,
        "e0s": dict(model.e0s),
        "hyperparameters": dict(model.hyperparameters),
        "seed": model.seed,
        "n_parameters": model.n_parameters or 0,
        "learning_curve": [],
        "golden_probe": dict(model.golden_probe),  # type: ignore[typeddict-item]
        "package_versions": dict(model.package_versions),
        "wall_time": model.wall_time or 0.0,
        "arguments": dict(model.arguments),
        "package": model.package,
        "environment": dict(model.environment),
        "parent": model.parent,
    }


def _publish(db: Database, what: str, digest: str, output: dict[str, Any]) -> OutputReference:
    """Publish once: heavy parts first, so that whoever finds the document finds them too.

    JobStore.update writes the document first, which another process takes, or a kill leaves, alone.
    """
    name = content_digest([what, digest])
    uuid = f"{PUBLISHED}-{name[:32]}"
    found = _published(db, uuid)
    if found is not None and _is_whole(db, found):
        return OutputReference(uuid)
    document = JobStoreDocument(
        uuid=uuid,
        index=1,
        output=jsanitize(output, strict=True, allow_bson=True),
        completed_at=datetime.now().isoformat(),
        metadata={PUBLISHED: what, "digest": digest},
        hosts=[],
        name=f"published {what}",
    )
    stores: Any = db.job_store.additional_stores  # type: ignore[has-type]
    with refusals_told(db.raw):
        light = JobStore(MemoryStore(), additional_stores=stores)
        light.docs_store.connect()
        light.update(document, save={DATA_STORE: [Blob, *HEAVY]})
        made: Any = light.docs_store.query_one({"uuid": uuid})
        if found is not None:  # half of it, left by a kill
            made["_id"] = found["_id"]
            db.raw[OUTPUTS].replace_one({"_id": found["_id"]}, made)
            return OutputReference(uuid)
        made["_id"] = ObjectId(name[:24])  # of two who publish at once the first counts
        try:
            db.raw[OUTPUTS].insert_one(made)
        except DuplicateKeyError:
            for part in _heavy(made):
                stores[DATA_STORE].remove_docs({"blob_uuid": part})
    return OutputReference(uuid)


def _published(db: Database, uuid: str) -> dict[str, Any] | None:
    return db.raw[OUTPUTS].find_one({"uuid": uuid}, {"output": 1})


def _is_whole(db: Database, document: dict[str, Any]) -> bool:
    """Whether all heavy parts of a document are there."""
    parts = _heavy(document)
    asked = {"metadata.blob_uuid": {"$in": parts}}
    return len(db.raw[f"{DATA_STORE}.files"].distinct("metadata.blob_uuid", asked)) == len(parts)


def _heavy(document: dict[str, Any]) -> list[str]:
    """Where the heavy parts of a published document are, in the store for them."""
    parts = [part for part in document["output"].values() if isinstance(part, dict)]
    return [part["blob_uuid"] for part in parts if "blob_uuid" in part]
