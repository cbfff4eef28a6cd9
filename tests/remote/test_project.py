"""The project of jobflow-remote: written once, found again, never taking what a user wrote."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from jobflow_remote.config.base import Project
from jobflow_remote.jobs.daemon import DaemonManager
from ruamel.yaml import YAML

from forcebase.database.connection import server_uri
from forcebase.errors import InputError, NotFoundError
from forcebase.remote.project import find_project, init_project


def test_it_is_for_its_owner_and_runs_jobs_of_this_database(settings, projects):
    project, new = init_project(settings)
    assert new
    assert project.path == projects / f"{settings.database}.yaml"
    assert stat.S_IMODE(project.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(projects.stat().st_mode) == 0o700
    assert project.workers == ["cpu", "gpu", "batch"]
    loaded = project.load()
    assert isinstance(loaded, Project)
    assert loaded.queue.store["database"] == settings.database
    assert loaded.queue.store["uri"] == server_uri(settings)
    assert loaded.runner.delay_checkout <= 2


def test_a_path_too_long_for_the_runners_socket_is_none(settings, tmp_path, monkeypatch):
    """supervisord's socket, in a home far down: `jf runner start` would refuse it."""
    far = tmp_path / ("d" * 40) / ("e" * 40)
    monkeypatch.setenv("JFREMOTE_PROJECTS_FOLDER", str(far))
    project = init_project(settings)[0]
    folder = Path(project.load().daemon_dir)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    DaemonManager.from_project(project.load()).sock_filepath  # noqa: B018 - raises
    folder.rmdir()


def test_its_job_store_is_that_of_the_database(settings, db, projects):
    store = init_project(settings)[0].load().get_jobstore()
    assert store.docs_store == db.job_store.docs_store
    assert store.additional_stores == db.job_store.additional_stores


def test_the_second_time_leaves_what_the_user_wrote(settings, projects):
    path = init_project(settings)[0].path
    path.write_text(path.read_text().replace("delay_checkout: 1", "delay_checkout: 7"))
    edited = path.read_text()
    again, new = init_project(settings)
    assert not new
    assert path.read_text() == edited
    assert again.load().runner.delay_checkout == 7


def test_an_address_that_changed_is_mended_and_nothing_else(settings, projects):
    path = init_project(settings)[0].path
    address = server_uri(settings)
    path.write_text(
        path.read_text().replace(address, "mongodb://old:secret@127.0.0.1:1/").replace("7", "7")
        + "# mine\n"
    )
    found = find_project(settings)
    assert found.load().queue.store["uri"] == address
    assert "secret" not in path.read_text()
    assert path.read_text().endswith("# mine\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_queue_that_is_there_stays(settings, db, projects):
    init_project(settings)
    db.raw["jf_jobs"].insert_one({"db_id": "1", "state": "READY"})
    init_project(settings)
    init_project(settings, force=True)
    assert db.raw["jf_jobs"].count_documents({}) == 1


def test_force_writes_anew_and_keeps_the_old_file(settings, projects):
    path = init_project(settings)[0].path
    path.write_text(path.read_text() + "# mine\n")
    _, new = init_project(settings, force=True)
    assert new
    assert "# mine" not in path.read_text()
    assert path.with_suffix(".yaml.old").read_text().endswith("# mine\n")


def test_another_databases_project_is_not_overwritten(settings, db, projects):
    path = init_project(settings, name="mine")[0].path
    before = path.read_text()
    other = replace(settings, database=f"{settings.database}_2")
    with pytest.raises(InputError, match="for another database"):
        init_project(other, name="mine")
    assert path.read_text() == before


def test_without_a_project_the_next_step_is_named(settings, db, projects):
    with pytest.raises(NotFoundError, match="forcebase remote init"):
        find_project(settings)
    projects.mkdir()
    (projects / "broken.yaml").write_text("{ not: yaml")
    with pytest.raises(NotFoundError, match="forcebase remote init"):
        find_project(settings)


def test_of_two_projects_the_environment_chooses(settings, db, projects, monkeypatch):
    init_project(settings, name="a")
    init_project(settings, name="b")
    assert find_project(settings).name == "a"
    monkeypatch.setenv("JFREMOTE_PROJECT", "b")
    assert find_project(settings).name == "b"
    assert find_project(settings, "a").name == "a"


def test_a_file_that_jobflow_remote_does_not_take_is_named_with_the_reason(settings, db, projects):
    path = init_project(settings)[0].path
    path.write_text(path.read_text().replace("type: local", "type: nowhere", 1))
    with pytest.raises(InputError, match=r"workers\.cpu") as caught:
        find_project(settings).load()
    assert str(path) in caught.value.message


def test_every_commented_worker_becomes_one_by_taking_the_signs_away(settings, projects):
    lines = init_project(settings)[0].path.read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("#   slurm:"))
    end = lines.index("", start)
    workers = YAML(typ="safe").load("\n".join(line[2:] for line in lines[start:end]))
    content = YAML(typ="safe").load("\n".join(lines))
    content["workers"] = workers
    project = Project.model_validate(content)
    assert {"slurm", "slurm_gpu", "slurm_batch", "pbs"} == set(project.workers)


@pytest.mark.parametrize(
    "content",
    [
        {"metadata": [1]},
        {"metadata": "x"},
        {"metadata": {"forcebase": [1]}},
        {"metadata": {"forcebase": "yes"}},
        {"queue": "x"},
        {"queue": {"store": "x"}},
    ],
    ids=str,
)
def test_a_file_of_another_shape_is_no_project_of_ours(settings, db, projects, content):
    projects.mkdir()
    (projects / "a.json").write_text(json.dumps({"name": "a", **content}))
    with pytest.raises(NotFoundError, match="forcebase remote init"):
        find_project(settings)
    assert init_project(settings)[1]


def test_files_deeper_than_python_recurses_are_no_projects_of_ours(settings, projects):
    projects.mkdir()
    for deep in ("json", "yaml", "toml"):
        (projects / f"deep.{deep}").write_text("a = " * (deep == "toml") + "[" * 5_000)
    with pytest.raises(NotFoundError, match="forcebase remote init"):
        find_project(settings)


@pytest.mark.parametrize("address", ["", "5"])
def test_a_project_without_an_address_is_named_and_left_alone(settings, projects, address):
    path = init_project(settings)[0].path
    path.write_text(path.read_text().replace(server_uri(settings), address, 1))
    edited = path.read_text()
    with pytest.raises(InputError, match=r"no address of the queue, queue\.store\.uri"):
        find_project(settings)
    assert path.read_text() == edited


def test_a_project_of_somebody_elses_is_neither_doubled_nor_told_to_be_written_anew(
    settings, db, projects
):
    projects.mkdir()
    path = projects / "group.json"
    path.write_text(json.dumps({"name": "group", "workers": {"node": 5}}))
    with pytest.raises(InputError, match=r"group\.json is a project 'group' already"):
        init_project(settings, name="group")
    with pytest.raises(InputError, match=r"workers\.node") as caught:
        find_project(settings, "group").load()
    assert "--force" not in caught.value.hint
    assert [p.name for p in projects.iterdir()] == ["group.json"]
