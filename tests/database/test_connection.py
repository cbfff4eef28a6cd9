"""Connections: to the embedded server, to others, and to what is not there."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from maggma.stores import MongoStore
from pymongo import MongoClient

from forcebase.database.connection import (
    open_client,
    server_uri,
    supports_transactions,
    without_password,
)
from forcebase.database.mongod_binary import find_mongod
from forcebase.database.mongod_process import HOST, free_port
from forcebase.database.server import EmbeddedServer
from forcebase.errors import DatabaseError
from forcebase.settings import Settings


@pytest.fixture(scope="module")
def standalone(tmp_path_factory):
    """URI of somebody's plain mongod: no replica set, no users."""
    folder = tmp_path_factory.mktemp("standalone")
    port = free_port(None)
    command = [find_mongod(folder), "--dbpath", folder, "--bind_ip", HOST, "--port", str(port)]
    with subprocess.Popen([*command, "--nounixsocket"], stdout=subprocess.DEVNULL) as process:
        yield f"mongodb://{HOST}:{port}"
        process.terminate()
    shutil.rmtree(folder)


def external(settings, uri):
    return Settings(home=settings.home, mongodb_uri=uri, database=settings.database)


def refusal(settings):
    with pytest.raises(DatabaseError) as caught:
        open_client(settings)
    return caught.value


def test_the_embedded_server_starts_by_itself_and_has_transactions(settings):
    EmbeddedServer(settings.home).stop()
    with open_client(settings) as client:
        assert supports_transactions(client)
        things = client[settings.database].things
        things.insert_one({"_id": 1})
        with client.start_session() as session, session.start_transaction():
            things.delete_one({"_id": 1}, session=session)
        assert things.count_documents({}) == 0


def test_its_uri_serves_others(settings):
    open_client(settings).close()
    store = MongoStore(settings.database, "outputs", uri=server_uri(settings))
    store.connect()
    store.update([{"task_id": 1, "value": 2}])
    assert store.query_one({"task_id": 1})["value"] == 2
    store.close()
    with MongoClient(server_uri(settings)) as client:
        assert supports_transactions(client)


def test_the_uri_of_a_server_never_started(tmp_path):
    with pytest.raises(DatabaseError, match="never started") as caught:
        server_uri(Settings(home=tmp_path / "home"))
    assert "forcebase db start" in caught.value.hint
    assert not (tmp_path / "home").exists()


def test_a_plain_mongod_serves_without_transactions(settings, standalone):
    with open_client(external(settings, standalone)) as client:
        assert not supports_transactions(client)
        client[settings.database].things.insert_one({"_id": 1})
        client.drop_database(settings.database)
    assert server_uri(external(settings, standalone)) == standalone


def test_a_database_that_is_not_there(settings):
    port = free_port(None)
    error = refusal(external(settings, f"mongodb://alice:s3cret@{HOST}:{port}/"))
    assert f"No MongoDB answers at mongodb://alice:***@{HOST}:{port}/" in error.message
    assert "refused" in error.message
    assert "FORCEBASE_MONGODB_URI" in error.hint
    assert "s3cret" not in str(error)


def test_a_wrong_password(settings):
    open_client(settings).close()
    uri = re.sub(r":[^:@]+@", ":s3cret@", server_uri(settings))
    error = refusal(external(settings, uri))
    assert "does not accept the user or password" in error.message
    assert "credentials" in error.hint
    assert "s3cret" not in str(error)


def test_no_user_where_one_is_needed(settings):
    open_client(settings).close()
    port = EmbeddedServer(settings.home).status().port
    error = refusal(external(settings, f"mongodb://{HOST}:{port}/?directConnection=true"))
    assert "does not accept" in error.message


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://alice:s3/cret@host:27017/",
        "mongodb://alice:s3@cret@host/",
        "mongodb://alice:s3:cret@host/",
        "mongodb://alice:s3%cret@host/",
        "postgres://alice:s3cret@host/",
        "mongodb://alice:s3cret@host:port/",
        "mongodb://",
    ],
)
def test_an_address_that_is_none_keeps_its_password_to_itself(settings, uri):
    error = refusal(external(settings, uri))
    assert "FORCEBASE_MONGODB_URI" in str(error)
    assert not re.search("s3|cret", str(error))


def test_a_name_that_no_database_can_have(settings, standalone):
    error = refusal(Settings(home=settings.home, mongodb_uri=standalone, database="my data"))
    assert "'my data'" in error.message
    assert "FORCEBASE_DATABASE" in error.hint


def test_passwords_are_blanked_wherever_they_are():
    text = "from mongodb://a:b@c/ to mongodb+srv://d:e@f@g/?h=1, not mongodb://i:1/"
    assert without_password(text) == (
        "from mongodb://a:***@c/ to mongodb+srv://d:***@g/?h=1, not mongodb://i:1/"
    )
