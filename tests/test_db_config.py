"""The folders of db_config, filled in and used for real."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jobflow import JobStore
from jobflow_remote.config.base import Project
from ruamel.yaml import YAML

from forcebase.settings import Settings

FOLDER = Path(__file__).parents[1] / "db_config"
WAYS = ("embedded", "single_server", "cluster")

RUN_ONE_JOB = """
import operator, sys
from jobflow import Flow, Job
from jobflow_remote import submit_flow
from jobflow_remote.jobs.jobcontroller import JobController
from jobflow_remote.jobs.runner import Runner

JobController.from_project_name("forcebase").reset()
job = Job(operator.add, function_args=(20, 22))
submit_flow(Flow([job]), worker="here", project="forcebase")
Runner(project_name="forcebase").run_all_jobs(max_seconds=60)
"""


def filled(way, name, settings, **variables):
    """A template filled in by the script, as a user does it."""
    environment = {
        **os.environ,
        "FORCEBASE_HOME": str(settings.home),
        "FORCEBASE_DATABASE": settings.database,
        **variables,
    }
    done = subprocess.run(
        [sys.executable, FOLDER / "fill.py", FOLDER / way / name],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_no_folder_holds_a_password(way):
    for path in (FOLDER / way).iterdir():
        for _, secret in re.findall(r"://([^:@/\s]+):([^@\s]+)@", path.read_text()):
            assert secret == "${FORCEBASE_PASSWORD}"
        assert "password:" not in path.read_text()


@pytest.mark.parametrize("way", WAYS)
def test_every_project_is_one(way, settings):
    project = Project.model_validate(YAML(typ="safe").load(filled(way, "project.yaml", settings)))
    store = project.get_jobstore()
    stores = YAML(typ="safe").load(filled(way, "jobflow.yaml", settings))["JOB_STORE"]
    assert store.as_dict() == JobStore.from_dict_spec(stores).as_dict()


def test_the_jobflow_file_is_our_job_store(settings, db):
    stores = YAML(typ="safe").load(filled("embedded", "jobflow.yaml", settings))["JOB_STORE"]
    theirs = JobStore.from_dict_spec(stores)
    assert theirs.docs_store == db.job_store.docs_store
    assert theirs.additional_stores == db.job_store.additional_stores


@pytest.mark.slow
def test_a_job_runs_through_jobflow_remote(settings, db, tmp_path):
    project = filled("embedded", "project.yaml", settings, HOME=str(tmp_path))
    (tmp_path / "projects").mkdir()
    (tmp_path / "forcebase-jobs").mkdir()
    (tmp_path / "projects" / "forcebase.yaml").write_text(project)
    subprocess.run(
        [sys.executable, "-c", RUN_ONE_JOB],
        env={**os.environ, "JFREMOTE_PROJECTS_FOLDER": str(tmp_path / "projects")},
        check=True,
        timeout=120,
    )
    assert [output["output"] for output in db.job_store.query()] == [42]


@pytest.mark.parametrize("way", ["single_server", "cluster"])
def test_the_settings_take_the_password_from_the_shell(way):
    done = subprocess.run(
        ["sh", "-c", f"set -a; . '{FOLDER / way / 'forcebase.env'}'; env"],
        env={"FORCEBASE_PASSWORD": "s3cret", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    read = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert Settings.from_environment(read).mongodb_uri.startswith("mongodb://USER:s3cret@SERVER")
