"""Connections: any MongoDB, and clear words where there is none."""

import socket
import time
from dataclasses import replace

import pytest

from forcebase.database.connection import (
    open_client,
    server_uri,
    supports_transactions,
    without_password,
)
from forcebase.database.database import Database
from forcebase.errors import DatabaseError

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
    """What open_client says of this address, and how long it took."""
    start = time.monotonic()
    with pytest.raises(DatabaseError) as failure:
        open_client(replace(settings, mongodb_uri=uri))
    assert SECRET not in str(failure.value)
    assert SECRET not in repr(failure.value.evidence)
    assert failure.value.__suppress_context__, "no traceback of pymongo's, which shows the address"
    return str(failure.value), time.monotonic() - start


def test_no_server_is_said_within_seconds(settings, free_port):
    words, seconds = refusal(settings, f"mongodb://me:{SECRET}@127.0.0.1:{free_port}")
    assert f"No MongoDB answers at mongodb://me:***@127.0.0.1:{free_port}" in words
    assert "FORCEBASE_MONGODB_URI" in words
    assert seconds < 8


def test_a_server_that_never_answers_is_given_up_within_seconds(settings, silent_port):
    words, seconds = refusal(settings, f"mongodb://me:{SECRET}@127.0.0.1:{silent_port}")
    assert "No MongoDB answers" in words
    assert seconds < 12


def test_a_wrong_password_is_said_and_not_shown(db, settings):
    address = server_uri(settings).rpartition("@")[2]
    words, _ = refusal(settings, f"mongodb://forcebase:{SECRET}@{address}")
    assert "does not accept the user or password" in words


def test_no_credentials_are_said(db, settings):
    address = server_uri(settings).rpartition("@")[2]
    words, _ = refusal(settings, f"mongodb://{address}")
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
    words, seconds = refusal(settings, uri)
    assert "mongodb://user:password@host:port" in words
    assert seconds < 3


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
    db.labels.name("here", "methods", "a" * 64)
    assert other.labels.named("here") == ("methods", "a" * 64)
    assert other.job_store.count() == 0
    other.close()
    assert not (settings.home / "nowhere").exists()
