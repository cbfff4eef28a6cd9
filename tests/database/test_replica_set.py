"""The replica set of one: brought up whole, whoever else is at it."""

from multiprocessing.pool import ThreadPool

import pytest
from pymongo import MongoClient

from forcebase.database.mongod_binary import find_mongod
from forcebase.database.mongod_process import HOST, end, find_process, free_port, launch
from forcebase.database.replica_set import NAME, WrongPasswordError, bring_up, connect
from forcebase.database.server_home import ServerHome


@pytest.fixture
def port(tmp_path):
    """Port of a mongod to which nobody has said anything yet."""
    home = ServerHome(tmp_path / "home")
    home.prepare()
    found = free_port(None)
    launch(find_mongod(home.folder), home, found, NAME)
    yield found
    end(find_process(home.data))


def test_many_at_once_make_one_user(port):
    """As where a start is killed, and the next begins while the server makes the first's user."""
    with ThreadPool(6) as pool:
        pool.map(lambda _: bring_up(HOST, port, "right"), range(6))
    with connect(HOST, port, "right") as client:
        assert client.admin.command("usersInfo")["users"][0]["user"] == "forcebase"
        assert len(client.admin.command("usersInfo")["users"]) == 1
        assert client.admin.command("hello")["isWritablePrimary"]


def test_the_first_password_stays_the_only_one(port):
    bring_up(HOST, port, "right/with:odd@signs%")
    for wrong in ("wrong", "right", " right/with:odd@signs%"):
        with pytest.raises(WrongPasswordError):
            bring_up(HOST, port, wrong)
    bring_up(HOST, port, "right/with:odd@signs%")


def test_what_was_begun_is_finished(port):
    members = [{"_id": 0, "host": f"{HOST}:{port}"}]
    with MongoClient(HOST, port, directConnection=True) as client:
        client.admin.command("replSetInitiate", {"_id": NAME, "members": members})
    bring_up(HOST, port, "right")
    with connect(HOST, port, "right") as client:
        assert client.begun.things.insert_one({}).acknowledged
