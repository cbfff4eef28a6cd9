"""Connections: any MongoDB, and clear words where there is none."""

import shutil
import socket
import subprocess
from dataclasses import replace

import pytest
from maggma.stores import MongoStore

from forcebase.database.connection import (
    open_client,
    server_uri,
    supports_transactions,
    without_password,
)
from forcebase.database.database import Database
from forcebase.database.mongod_binary import find_mongod
from forcebase.database.server import EmbeddedServer
from forcebase.errors import DatabaseError
from forcebase.settings import Settings

SECRET = "s3cret"


@pytest.fixture
def silent_port():
    """A port where somebody listens and never answers."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


@pytest.fixture
def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def refusal(settings, uri):
    """What open_client says of this address."""
    with pytest.raises(DatabaseError) as failure:
        open_client(replace(settings, mongodb_uri=uri))
    assert SECRET not in str(failure.value)
    assert SECRET not in repr(failure.value.evidence)
    assert failure.value.__suppress_context__, "no traceback of pymongo's, which shows the address"
    return str(failure.value)


@pytest.fixture
def impatient(monkeypatch):
    """A second of patience, so that a test takes no longer."""
    monkeypatch.setattr("forcebase.database.connection.TIMEOUT_MS", 1000)


def test_no_server_is_said_after_a_while(settings, free_port, impatient):
    words = refusal(settings, f"mongodb://me:{SECRET}@127.0.0.1:{free_port}")
    assert f"No MongoDB answers at mongodb://me:***@127.0.0.1:{free_port}" in words
    assert "FORCEBASE_MONGODB_URI" in words
    assert "within 1 s" in words


def test_a_server_that_never_answers_is_given_up(settings, silent_port, impatient):
    words = refusal(settings, f"mongodb://me:{SECRET}@127.0.0.1:{silent_port}")
    assert "No MongoDB answers" in words
    assert "within 1 s" in words


def test_a_wrong_password_is_said_and_not_shown(db, settings):
    address = server_uri(settings).rpartition("@")[2]
    words = refusal(settings, f"mongodb://forcebase:{SECRET}@{address}")
    assert "does not accept the user or password" in words


def test_no_credentials_are_said(db, settings):
    address = server_uri(settings).rpartition("@")[2]
    words = refusal(settings, f"mongodb://{address}")
    assert "does not accept the user or password" in words


@pytest.mark.parametrize(
    "uri",
    [
        f"localhost:{SECRET}",
        f"postgres://me:{SECRET}@localhost",
        f"mongodb://me:{SECRET}@localhost:port",
        f"mongodb://me:p@{SECRET}@localhost",
        f"mongodb://me:{SECRET}/@localhost",
        f"mongodb://me:{SECRET}@localhost/?nonsense",
        f"mongodb://me:{SECRET}@localhost:99999",
        "mongodb://",
    ],
)
def test_a_malformed_address_is_said_and_shows_no_password(settings, uri):
    words = refusal(settings, uri)
    assert "mongodb://user:password@host:port" in words
    assert "within" not in words  # said before anything is waited for


def test_an_impossible_database_name_is_said(settings, db):
    for name in ("a b", "a.b", "", "x" * 100, "Test$"):
        with pytest.raises(DatabaseError):
            open_client(replace(settings, database=name))


@pytest.mark.parametrize(
    ("text", "blanked"),
    [
        ("mongodb://me:pw@host/db", "mongodb://me:***@host/db"),
        ("mongodb+srv://me:pw@host", "mongodb+srv://me:***@host"),
        ("mongodb://me:p@ss/w@host", "mongodb://me:***@host"),
        ("mongodb://host:27017/db", "mongodb://host:27017/db"),
        ("at mongodb://a:b@c and mongodb://d:e@f", "at mongodb://a:***@c and mongodb://d:***@f"),
    ],
)
def test_passwords_are_blanked_out(text, blanked):
    assert without_password(text) == blanked


def test_the_embedded_server_has_transactions(db):
    assert supports_transactions(db.client)


def test_the_embedded_server_is_a_mongodb_like_any_other(settings, db):
    outside = replace(settings, home=settings.home / "nowhere", mongodb_uri=server_uri(settings))
    other = Database(outside)
    db.names.name("here", "methods", "a" * 64)
    assert other.names.named("here") == ("methods", "a" * 64)
    assert other.job_store.count() == 0
    other.close()
    assert not (settings.home / "nowhere").exists()


def test_opening_starts_the_embedded_server(settings):
    EmbeddedServer(settings.home).stop()
    with open_client(settings) as client:
        things = client[settings.database].things
        things.insert_one({"_id": 1})
        with client.start_session() as session, session.start_transaction():
            things.delete_one({"_id": 1}, session=session)
        assert things.count_documents({}) == 0


def test_the_uri_serves_a_store_of_maggma(settings, db):
    store = MongoStore(settings.database, "elsewhere", uri=server_uri(settings))
    store.connect()
    store.update([{"task_id": 1, "value": 2}])
    assert store.query_one({"task_id": 1})["value"] == 2
    store.close()


def test_a_server_never_started_has_no_uri(tmp_path):
    with pytest.raises(DatabaseError, match="never started") as caught:
        server_uri(Settings(home=tmp_path / "home"))
    assert "forcebase db start" in caught.value.hint
    assert not (tmp_path / "home").exists()


@pytest.fixture
def standalone(tmp_path, free_port):
    """URI of somebody's plain mongod: no replica set, no users."""
    data = tmp_path / "standalone"
    data.mkdir()
    command = [find_mongod(tmp_path), "--dbpath", data, "--bind_ip", "127.0.0.1", "--nounixsocket"]
    with subprocess.Popen(
        [*command, "--port", str(free_port)], stdout=subprocess.DEVNULL
    ) as process:
        yield f"mongodb://127.0.0.1:{free_port}"
        process.terminate()
    shutil.rmtree(data)


def test_a_plain_mongod_serves_without_transactions(settings, standalone):
    outside = replace(settings, mongodb_uri=standalone)
    assert server_uri(outside) == standalone
    with open_client(outside) as client:
        assert not supports_transactions(client)
        client[settings.database].things.insert_one({"_id": 1})
    with pytest.raises(DatabaseError, match="'my data' is not a name") as caught:
        open_client(replace(outside, database="my data"))
    assert "FORCEBASE_DATABASE" in caught.value.hint
