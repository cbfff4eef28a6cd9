"""Commands without the seconds that their imports take: each is a fork.

They are `forcebase`, `jf`, and the two processes that forcebase starts for a MACE: `train`, and
`convert`, which opens its file. A server has everything imported, computes nothing itself, and
forks for each command; a small program of the command's name gives it the arguments, the folder,
the environment and its own input and output, and ends as the command ends. Signals reach the
command, and it does not outlive the program. How a fresh interpreter starts is tested elsewhere.

    python warm_commands.py SOCKET forcebase     # the server; it says "ready"
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HEAVY = ("matplotlib.pyplot", "mace.calculators", "mace.cli.run_train", "mace.data")
"""What commands import as they go."""
QUEUE = ("forcebase.remote.submission", "forcebase.remote.worker_store")
"""They import jobflow-remote, which looks for its projects in the HOME of its first import."""
OF_JOBS = ("jobflow_remote.cli", "jobflow_remote.jobs.run", *QUEUE)
"""What `jf execution run` imports besides."""
OF_JOBS_AND_MODELS = ("jf", "train", "convert")
PROGRAMS = "WARM_PROGRAMS"
"""Variable with the folder of `train` and `convert`, for the processes of commands."""
CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
asked = json.dumps([{name!r}, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
server.sendall(asked)
answers = server.makefile("rb")
pid = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, lambda number, frame: os.kill(pid, number))
code = int(answers.readline())
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


class OnDemand:
    """The command of a program whose server starts when somebody wants to run it.

    Args:
        folder: gives that of the programs, and starts their server.
        name: of the program.
    """

    def __init__(self, folder: Callable[[], Path], name: str) -> None:
        self._folder, self._name = folder, name

    def __iter__(self) -> Iterator[str]:
        yield str(self._folder() / self._name)


def use_programs(command_of: Callable[[str], Iterable[str]]) -> None:
    """Have this process start `train` and `convert` by these commands."""
    from forcebase.models import conversion, mace_training

    mace_training.COMMAND = command_of("train")
    conversion.COMMAND = command_of("convert")


def use_programs_of(environment: Mapping[str, str]) -> None:
    """The same for a process that was told their folder."""
    if folder := environment.get(PROGRAMS):
        use_programs(lambda name: (str(Path(folder) / name),))


@contextmanager
def warm_commands(names: tuple[str, ...], folder: Path) -> Iterator[Path]:
    """Start a server of commands, and give the folder of their programs."""
    address = folder / "socket"
    commands = folder / "bin"
    commands.mkdir()
    for name in names:
        text = CLIENT.format(python=sys.executable, address=str(address), name=name)
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, str(address), *names],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        assert b"ready\n" in server.stdout  # after what packages print when they are imported
        yield commands
    finally:
        server.kill()
        server.wait()


def main() -> None:
    """Import everything, then fork for each connection until killed."""
    import forcebase

    address, *commands = sys.argv[1:]
    for module in pkgutil.walk_packages(forcebase.__path__, "forcebase."):
        if not module.name.endswith("__main__") and module.name not in QUEUE:
            importlib.import_module(module.name)
    for name in (*HEAVY, *(OF_JOBS if "jf" in commands else ())):
        importlib.import_module(name)
    assert ("jobflow_remote" in sys.modules) == ("jf" in commands)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait for commands
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(16)
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                with contextlib.suppress(OSError):  # the program is gone
                    _serve(connection)
                os._exit(0)
            connection.close()


def _serve(connection: socket.socket) -> None:
    """Fork the command, tell its number, wait for its end or for that of the program."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    start, fds, _, _ = socket.recv_fds(connection, 8, 3)
    size, asked = int.from_bytes(start, "big"), b""
    while len(asked) < size:
        asked += connection.recv(size - len(asked))
    pid = os.fork()
    if pid == 0:
        connection.close()
        command, arguments, folder, environment = json.loads(asked)
        _run(command, arguments, folder, environment, fds)
    for fd in fds:
        os.close(fd)
    connection.sendall(b"%d\n" % pid)
    ended = os.pidfd_open(pid)
    ready, _, _ = select.select([ended, connection], [], [])
    if ended not in ready:
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _run(
    command: str, arguments: list[str], folder: str, environment: dict[str, str], fds: list[int]
) -> None:
    """Be the command."""
    code = 1
    try:
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[0:1] = [p for p in environment.get("PYTHONPATH", "").split(os.pathsep) if p]
        sys.argv = [command, *arguments]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        use_programs_of(environment)
        _entry_point(command)()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError, ValueError):
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _entry_point(command: str) -> Callable[[], None]:
    if command == "forcebase":
        from forcebase.cli.start import main as run

        return run
    if command == "convert":
        from forcebase.models.mace_conversion import main as convert

        return convert
    if command == "train":
        import torch

        from forcebase.models.mace_process import main as train

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # the server was given one
        return train
    import jobflow_remote
    from jobflow_remote.cli.jf import app

    settings = jobflow_remote.JobflowRemoteSettings
    jobflow_remote.SETTINGS = settings()  # type: ignore[call-arg]  # of this environment
    return app


if __name__ == "__main__":
    main()
