"""Commands without the seconds that their imports take: each is a fork.

They are `forcebase`, `jf`, `python` for scripts, and the two processes that forcebase starts for a
MACE: `train`, and `convert`, which opens its file. A server has everything imported, computes
nothing itself, and forks for each command; a small program of the command's name gives it the
arguments, the folder, the environment, its own input and output and its network, and ends as the
command ends. Signals reach the command, and it does not outlive the program. How a fresh
interpreter starts is tested elsewhere.

    python warm_commands.py FOLDER PID     # the server, until process PID ends; it says "ready"
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

HEAVY = ("matplotlib.pyplot", "mace.calculators", "mace.cli.run_train", "mace.data")
"""What commands import as they go."""
QUEUE = ("forcebase.remote.submission", "forcebase.remote.worker_store")
"""They import jobflow-remote, which looks for its projects in the HOME of its first import."""
OF_JOBS = ("jobflow_remote.cli", "jobflow_remote.jobs.run", *QUEUE)
"""What `jf execution run` imports besides."""
COMMANDS, JOBS = "commands", "jobs"
PROGRAMS_IN = {COMMANDS: ("forcebase", "jf", "python"), JOBS: ("jf", "train", "convert")}
"""Folders of programs: what users type, in any HOME, and what runs jobs."""
PROGRAMS = "WARM_PROGRAMS"
"""Variable with the folder of `train` and `convert`, for the processes of commands."""
NAMESPACES = ("user", "net")
"""A program may have been started without a network: its command then has none."""
SET_BY_IMPORTS: dict[str, str] = {}
"""Variables that packages set as they are imported: a fresh process would have them too."""
CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
asked = json.dumps([{name!r}, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
spaces = [os.open("/proc/self/ns/" + name, os.O_RDONLY) for name in {namespaces!r}]
socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2, *spaces])
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


def warm_commands(folder: Path, top: int) -> Path:
    """Give the folder of `PROGRAMS_IN`; the first who asks starts the server.

    Args:
        folder: of the server, the same for all processes of the tests.
        top: number of the process with which the server ends.
    """
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").is_file():
            _start(folder, top)
            (folder / "ready").touch()
    return folder


def _start(folder: Path, top: int) -> None:
    for place, names in PROGRAMS_IN.items():
        (folder / place).mkdir()
        address = str(_socket_of(folder, place))
        for name in names:
            program = folder / place / name
            program.write_text(
                CLIENT.format(
                    python=sys.executable, address=address, name=name, namespaces=NAMESPACES
                )
            )
            program.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, str(folder), str(top)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    assert b"ready\n" in server.stdout  # after what packages print when they are imported


def _socket_of(folder: Path, place: str) -> Path:
    return folder / f"{place}.socket"


def main() -> None:
    """Import everything, then fork for each connection until the tests have ended."""
    import forcebase

    folder, top = Path(sys.argv[1]), int(sys.argv[2])
    given = set(os.environ)
    for module in pkgutil.walk_packages(forcebase.__path__, "forcebase."):
        if not module.name.endswith("__main__") and module.name not in QUEUE:
            importlib.import_module(module.name)
    for name in HEAVY:
        importlib.import_module(name)
    assert "jobflow_remote" not in sys.modules
    for name in set(os.environ) - given:
        SET_BY_IMPORTS[name] = os.environ[name]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait for commands
    listening = {place: socket.socket(socket.AF_UNIX) for place in PROGRAMS_IN}
    for place, opened in listening.items():
        opened.bind(str(_socket_of(folder, place)))
        opened.listen(16)
    gc.collect()
    gc.freeze()  # or each fork copies and looks through all of it
    if os.fork() == 0:
        for name in OF_JOBS:
            importlib.import_module(name)
        gc.freeze()
        _listen(listening[JOBS], top)
    print("ready", flush=True)
    _listen(listening[COMMANDS], top)


def _listen(listening: socket.socket, top: int) -> None:
    """Fork for each connection, until process `top` ends."""
    ended = os.pidfd_open(top)
    while True:
        ready, _, _ = select.select([listening, ended], [], [])
        if ended in ready:
            os._exit(0)
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            os.close(ended)
            with contextlib.suppress(OSError):  # the program is gone
                _serve(connection)
            os._exit(0)
        connection.close()


def _serve(connection: socket.socket) -> None:
    """Fork the command, tell its number, wait for its end or for that of the program."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    start, fds, _, _ = socket.recv_fds(connection, 8, 3 + len(NAMESPACES))
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
        for number, fd in enumerate(fds[:3]):
            os.dup2(fd, number)
        _enter(fds[3:])
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(SET_BY_IMPORTS | environment)
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


def _run_script() -> None:
    """Be Python with this script; with anything else, a fresh one."""
    sys.argv.pop(0)
    if not sys.argv or not sys.argv[0].endswith(".py"):
        os.execv(sys.executable, [sys.executable, *sys.argv])
    sys.path.insert(0, str(Path(sys.argv[0]).absolute().parent))
    runpy.run_path(sys.argv[0], run_name="__main__")


def _enter(namespaces: list[int]) -> None:
    """Be in the network of the program."""
    libc = ctypes.CDLL(None, use_errno=True)
    for name, fd in zip(NAMESPACES, namespaces, strict=True):
        if os.fstat(fd).st_ino != Path(f"/proc/self/ns/{name}").stat().st_ino and libc.setns(fd, 0):
            raise OSError(ctypes.get_errno(), f"cannot enter the {name} namespace of the program")
        os.close(fd)


def _entry_point(command: str) -> Callable[[], None]:
    if command == "python":
        return _run_script
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
