"""What a job asks for is what the script of its worker's scheduler says."""

from __future__ import annotations

import operator
from copy import deepcopy

import pytest
from jobflow import Flow, Job
from jobflow_remote.remote.queue import set_name_out
from qtoolkit.core.data_objects import QResources

from forcebase.errors import InputError
from forcebase.remote.placement import Place, place, unmatched
from forcebase.remote.project import find_project
from forcebase.remote.submission import submit

GPU = {"nodes": 1, "time": "02:00:00", "gres": "gpu:1"}


def add(name: str) -> Job:
    return Job(operator.add, function_args=(1, 2), name=name)


@pytest.fixture
def clusters(remote, settings):
    """The project with its commented workers, as a user takes the signs away."""
    path = remote.project.path
    lines = path.read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("#   slurm:"))
    end = lines.index("", start)
    lines[start:end] = [line[2:] for line in lines[start:end]]
    path.write_text("\n".join(lines))
    return find_project(settings)


def script(project, worker: str, resources=None) -> list[str]:
    """The lines that a scheduler reads, as the runner has them written."""
    known = project.load().workers[worker]
    wanted = deepcopy(resources or known.resources)
    set_name_out(wanted, "train")
    text = known.get_scheduler_io().get_submission_script(["jf execution run ."], wanted)
    return [line for line in text.splitlines() if line.startswith(("#SBATCH", "#PBS"))]


@pytest.mark.parametrize(
    ("worker", "lines"),
    [
        ("slurm", ["--nodes=1", "--ntasks=16", "--time=08:00:00", "--partition=standard"]),
        ("slurm_gpu", ["--gres=gpu:1", "--cpus-per-task=8", "--partition=gpu"]),
        ("slurm_batch", ["--ntasks=1", "--cpus-per-task=16", "--time=04:00:00"]),
        ("pbs", ["-q standard", "-l select=1:ncpus=16:mpiprocs=16", "-l walltime=08:00:00"]),
    ],
)
def test_the_workers_of_the_template_ask_for_what_they_say(clusters, worker, lines):
    found = [line.split(maxsplit=1)[1] for line in script(clusters, worker)]
    assert set(lines) <= set(found)


def test_qresources_are_put_into_the_words_of_each_scheduler(clusters):
    wanted = QResources(queue_name="night", nodes=2, processes_per_node=8, time_limit=7200)
    slurm, pbs = (script(clusters, worker, wanted) for worker in ("slurm", "pbs"))
    assert {"#SBATCH --partition=night", "#SBATCH --nodes=2", "#SBATCH --time=0-2:0:0"} <= set(
        slurm
    )
    assert {"#PBS -q night", "#PBS -l select=2:ncpus=8:mpiprocs=8"} <= set(pbs)


def test_jobs_that_are_made_while_a_flow_runs_are_placed_too():
    job = place(add("drawing"), workers={"GPAW": "slurm"}, resources={"GPAW": GPU})
    made = add("GPAW static 1")
    for updates in job.config_updates:
        made.update_config(**updates)
    assert made.config.manager_config == {"worker": "slurm", "resources": GPU}
    assert job.config.manager_config == {}


def test_parts_of_names_that_no_job_has(db):
    flow = Flow([add("train it"), Flow([add("label it")])])
    assert unmatched(flow, ["train", "label", "relax"]) == ["relax"]


@pytest.mark.parametrize(
    ("worker", "resources", "message"),
    [
        ("cpu", {"nodes": 1}, r"worker 'cpu', Shell, does not know the resources of job 'train'"),
        ("cpu", QResources(processes=2), r"worker 'cpu', Shell.*processes"),
        ("slurm", {"partitoin": "gpu"}, r"'partition' instead of 'partitoin'"),
        ("pbs", GPU, r"worker 'pbs', PBS.*gres, nodes, time"),
        ("slurm_batch", GPU, r"worker 'slurm_batch' runs many jobs in one allocation"),
    ],
)
def test_resources_that_a_scheduler_does_not_know_are_refused(
    db, clusters, worker, resources, message
):
    with pytest.raises(InputError, match=message):
        submit(db, Flow([add("train")]), Place(worker, resources={"train": resources}))
    assert db.raw["jf_flows"].count_documents({}) == 0


def test_a_flow_that_names_a_worker_that_is_not_there_is_refused(db, remote):
    flow = place(Flow([add("train")]), workers={"train": "nowhere"})
    with pytest.raises(InputError, match="no worker 'nowhere'"):
        submit(db, flow)
    assert db.raw["jf_flows"].count_documents({}) == 0


def test_resources_that_it_knows_reach_the_queue(db, clusters):
    submit(db, Flow([add("train")]), Place("slurm_gpu", resources={"train": GPU}))
    submit(db, Flow([add("label")]), Place("pbs", resources={"label": QResources(processes=4)}))
    found = {job["worker"]: job["resources"] for job in db.raw["jf_jobs"].find()}
    assert found["slurm_gpu"] == GPU
    assert found["pbs"]["@class"] == "QResources"
