"""A curator launches flows, runs the runner and collects, on a queue that an admin made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forcebase.actions.flow_files import load_flow
from forcebase.database.database import Database
from forcebase.database.roles import Role
from forcebase.errors import AccessError
from forcebase.ingest.collect import collect
from forcebase.remote.placement import Place
from forcebase.remote.project import init_project
from forcebase.remote.submission import submit

FLOW = Path(__file__).parents[1] / "faults" / "spreading_flow.py"
RUN = """
import sys
from jobflow_remote.jobs.runner import Runner
Runner(project_name=sys.argv[1]).run_all_jobs(max_seconds=600)
"""


@pytest.mark.remote
def test_a_curator_works_the_queue_off(group, tmp_path, monkeypatch):
    monkeypatch.setenv("JFREMOTE_PROJECTS_FOLDER", str(tmp_path / "projects"))
    carl = group.members[Role.CURATOR]
    with pytest.raises(AccessError, match="queue of jobs is not made yet, and User 'carl'"):
        init_project(carl)
    assert not (tmp_path / "projects").exists()
    init_project(group.members[Role.ADMIN], name="annas")
    project, new = init_project(carl, name="carls", force=True)
    assert new
    db = Database(carl)
    submit(db, load_flow(db, FLOW, {"alone": "true"}), Place(project="carls", modules=FLOW.parent))
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, project.name],
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "FORCEBASE_MONGODB_URI": str(carl.mongodb_uri),
            "FORCEBASE_DATABASE": carl.database,
            "OMP_NUM_THREADS": "1",
        },
        check=True,
        timeout=700,
    )
    report = collect(db)
    assert (report.jobs, report.failed) == (1, [])
    assert db.structures.count() == 2
    db.close()
