"""Commands without the seconds that their imports take: each is a fork.

They are `forcebase`, `jf`, and `convert`, which opens a MACE's file for its conversion. A server
has everything imported, computes nothing itself, and forks for each command; a small program of the
command's name gives it the arguments, the folder, the environment and its own input and output, and
ends as the command ends. Signals reach the command, and it does not outlive the program. How a
fresh interpreter starts is tested elsewhere.

    python warm_commands.py forcebase SOCKET     # the server; it says "ready"
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HEAVY = ("matplotlib.pyplot", "mace.calculators", "mace.data")
"""What commands import as they go."""
QUEUE = ("forcebase.remote.submission", "forcebase.remote.worker_store")
"""They import jobflow-remote, which looks for its projects in the HOME of its first import."""
OF_JOBS = ("jobflow_remote.cli", "jobflow_remote.jobs.run", *QUEUE)
"""What `jf execution run` imports besides."""
CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
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


@contextmanager
def warm_command(name: str, folder: Path) -> Iterator[Path]:
    """Start a server of a command, and give the command's program, alone in its folder."""
    address = folder / "socket"
    commands = folder / "bin"
    commands.mkdir()
    client = commands / name
    client.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    client.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, name, str(address)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        assert b"ready\n" in server.stdout  # after what packages print when they are imported
        yield client
    finally:
        server.kill()
        server.wait()


def main() -> None:
    """Import everything, then fork for each connection until killed."""
    import forcebase

    command, address = sys.argv[1:]
    for module in pkgutil.walk_packages(forcebase.__path__, "forcebase."):
        if not module.name.endswith("__main__") and module.name not in QUEUE:
            importlib.import_module(module.name)
    for name in (*HEAVY, *(OF_JOBS if command == "jf" else ())):
        importlib.import_module(name)
    assert ("jobflow_remote" in sys.modules) == (command == "jf")
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
                    _serve(connection, command)
                os._exit(0)
            connection.close()


def _serve(connection: socket.socket, command: str) -> None:
    """Fork the command, tell its number, wait for its end or for that of the program."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    start, fds, _, _ = socket.recv_fds(connection, 8, 3)
    size, asked = int.from_bytes(start, "big"), b""
    while len(asked) < size:
        asked += connection.recv(size - len(asked))
    pid = os.fork()
    if pid == 0:
        connection.close()
        _run(command, *json.loads(asked), fds)
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
    import jobflow_remote
    from jobflow_remote.cli.jf import app

    jobflow_remote.SETTINGS = jobflow_remote.JobflowRemoteSettings()  # of this environment
    return app


if __name__ == "__main__":
    main()
