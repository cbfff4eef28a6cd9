"""Which flow a flow is: the same jobs with the same inputs, whatever uuids they got."""

from __future__ import annotations

import json
from typing import Any

from jobflow import Flow
from monty.json import jsanitize

from forcebase.digest import content_digest
from forcebase.remote.queue import OVER

KEY = "forcebase_flow"
"""In the metadata of each job of a flow."""


def flow_key(flow: Flow) -> str:
    """A digest of a flow's jobs, their inputs and the names wanted for their records."""
    text = json.dumps(jsanitize(flow.as_dict(), strict=True, enum_values=True), sort_keys=True)
    uuids = [flow.uuid, *(host for job, _ in flow.iterflow() for host in (job.uuid, *job.hosts))]
    for number, uuid in enumerate(dict.fromkeys(uuids)):
        text = text.replace(uuid, f"job {number}")
    return content_digest({"flow": text})


def mark(flow: Flow, key: str) -> None:
    """Have the jobs of a flow carry its key."""
    flow.update_metadata({KEY: key}, dynamic=False)


def waiting_with(controller: Any, key: str) -> str | None:
    """Uuid of the flow of this key in a queue that waits or runs there, or None."""
    wanted = {f"job.metadata.{KEY}": key, "state": {"$nin": list(OVER)}}
    found = controller.jobs.find_one(wanted, {"job.hosts": 1})
    return str(found["job"]["hosts"][-1]) if found else None
