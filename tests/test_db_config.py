"""The files of db_config, filled in and used for real."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from jobflow import JobStore
from ruamel.yaml import YAML

from forcebase.remote.template import JOBFLOW, fill
from forcebase.settings import Settings

FOLDER = Path(__file__).parents[1] / "db_config"


def test_no_file_holds_a_password():
    paths = [path for path in FOLDER.iterdir() if path.is_file()]
    assert len(paths) >= 5
    for path in paths:
        for _, secret in re.findall(r"://([^:@/\s]+):([^@\s]+)@", path.read_text()):
            assert secret == "${FORCEBASE_PASSWORD}"
        assert "password:" not in path.read_text()


def test_the_jobflow_file_is_our_job_store(settings, db):
    filled = YAML(typ="safe").load(fill(JOBFLOW, settings, "any", Path()))
    theirs = JobStore.from_dict_spec(filled["JOB_STORE"])
    assert theirs.docs_store == db.job_store.docs_store
    assert theirs.additional_stores == db.job_store.additional_stores


@pytest.mark.parametrize("way", ["single_server", "cluster"])
def test_the_settings_take_the_password_from_the_shell(way):
    done = subprocess.run(
        ["sh", "-c", f"set -a; . '{FOLDER / f'{way}.env'}'; env"],
        env={"FORCEBASE_PASSWORD": "s3cret", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    read = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert Settings.from_environment(read).mongodb_uri.startswith("mongodb://USER:s3cret@SERVER")
