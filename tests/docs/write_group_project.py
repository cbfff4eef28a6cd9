"""Writes a group's project of jobflow-remote, with a queue and a JobStore of its own."""

import json
import sys
from pathlib import Path

from forcebase.database.connection import server_uri
from forcebase.remote.project import find_project, projects_folder
from forcebase.settings import Settings

name = sys.argv[1]
settings = Settings.from_environment()
database = f"{settings.database}_{name.replace('-', '_')}"
store = {"type": "MongoStore", "uri": server_uri(settings), "database": database}
worker = {
    "type": "local",
    "scheduler_type": "shell",
    "work_dir": str(Path.cwd() / "group-jobs"),
    "pre_run": f'export PATH="{Path(sys.executable).parent}:$PATH"',
}
content = {
    "name": name,
    "workers": {"node": worker},
    "queue": {"store": {**store, "collection_name": "jobs"}},
    "jobstore": {
        "docs_store": {**store, "collection_name": "outputs"},
        "additional_stores": {"data": {**store, "type": "GridFSStore", "collection_name": "data"}},
    },
}
projects_folder().mkdir(parents=True, exist_ok=True)
(projects_folder() / f"{name}.json").write_text(json.dumps(content))
controller = find_project(settings, name).controller()
controller.reset(max_limit=1)
controller.close()
