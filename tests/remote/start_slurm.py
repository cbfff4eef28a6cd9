"""A Slurm cluster of one machine in one folder: Debian's slurm-wlm, with a key of its own.

    python tests/remote/start_slurm.py FOLDER         # starts it, and says what to export
    python tests/remote/start_slurm.py FOLDER --stop

slurmd has to be root to start jobs. Nothing outside the folder is written, and two clusters in two
folders, with ports of their own, do not know each other.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
PATIENCE = 180.0
"""s until the node is idle."""
CONFIGURATION = """
ClusterName=forcebase
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
MinJobAge=60
SchedulerParameters=sched_interval=1,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime=01:00:00 State=UP OverSubscribe=YES:8
PartitionName=long Nodes={host} MaxTime=24:00:00 State=UP OverSubscribe=YES:8
"""


class NoSlurmError(Exception):
    """Slurm cannot start here; the message says why."""


@dataclass(frozen=True)
class SlurmCluster:
    """A cluster in a folder.

    Attributes:
        folder: of its configuration, state, logs and key.
    """

    folder: Path

    @property
    def configuration(self) -> Path:
        """What SLURM_CONF has to be for sbatch and squeue."""
        return self.folder / "slurm.conf"

    def start(self) -> None:
        """Start munged, slurmctld and slurmd, and wait until the node takes jobs.

        Raises:
            NoSlurmError: a program is not installed, this user is not root, or one of them does
                not come up.
        """
        lacking = [name for name in PROGRAMS if not _find(name)]
        if lacking:
            raise NoSlurmError(f"{', '.join(lacking)} not found: apt install slurm-wlm munge")
        if os.geteuid() != 0:
            raise NoSlurmError("slurmd has to be root to start jobs")
        self._prepare()
        with ExitStack() as undone:
            undone.callback(self.stop)
            self._run_munge()
            self._run("slurmctld", "-i", "-f", str(self.configuration))
            self._run("slurmd", "-f", str(self.configuration))
            self._wait()
            undone.pop_all()

    def stop(self) -> None:
        """Cancel what runs, and end the three programs."""
        if self._is_answering():
            self._command("scancel", "--user=root")
            deadline = time.monotonic() + 10
            while self._command("squeue", "-h").stdout and time.monotonic() < deadline:
                time.sleep(0.2)
        for name in ("slurmd", "slurmctld", "munged"):
            _end(self.folder / f"{name}.pid")

    def _prepare(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        key = self.folder / "munge.key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(secrets.token_bytes(128))
        content = CONFIGURATION.format(
            folder=self.folder,
            host=socket.gethostname().split(".")[0],
            controller_port=_free_port(),
            node_port=_free_port(),
            cpus=os.cpu_count(),
        )
        self.configuration.write_text(content)

    def _run_munge(self) -> None:
        files = {
            "key-file": "munge.key",
            "socket": "munge.socket",
            "pid-file": "munged.pid",
            "log-file": "munged.log",
            "seed-file": "munged.seed",
        }
        options = [f"--{name}={self.folder / file}" for name, file in files.items()]
        self._run("munged", "--force", *options)  # forced: pytest's folders are not munge's taste

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [_find(program) or program, *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        if done.returncode:
            raise NoSlurmError(f"{program} does not start: {done.stderr.strip()[-300:]}")

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._command("sinfo", "-h", "-o", "%T").stdout.strip().startswith("idle"):
                return
            time.sleep(0.3)
        log = (self.folder / "slurmctld.log").read_text()[-500:]
        raise NoSlurmError(f"the node takes no jobs after {PATIENCE:.0f} s: {log}")

    def _is_answering(self) -> bool:
        return self._command("scontrol", "ping").returncode == 0

    def _command(self, *words: str) -> subprocess.CompletedProcess:
        environment = {**os.environ, "SLURM_CONF": str(self.configuration)}
        return subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )


def _find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(pid_file: Path) -> None:
    """End the process of a pid file, and wait for it."""
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return
    for word in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, word)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                os.kill(pid, 0)
                time.sleep(0.1)
    pid_file.unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stop", action="store_true")
    arguments = parser.parse_args()
    cluster = SlurmCluster(arguments.folder.resolve())
    if arguments.stop:
        cluster.stop()
        return
    try:
        cluster.start()
    except NoSlurmError as error:
        raise SystemExit(f"Slurm cannot start: {error}") from None
    print(f"export SLURM_CONF={cluster.configuration}")


if __name__ == "__main__":
    main()
