"""A real MongoDB for the tests: one embedded server a session, one database a test."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from forcebase.database.connection import open_client
from forcebase.database.database import Database
from forcebase.database.server import EmbeddedServer
from forcebase.settings import Settings

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def server_home(tmp_path_factory):
    """Home of the session's server, on a free port, stopped at the end."""
    home = tmp_path_factory.mktemp("forcebase")
    yield home
    EmbeddedServer(home).stop()


@pytest.fixture
def settings(server_home):
    """Settings of a fresh database, dropped after the test."""
    made = Settings(home=server_home, database=f"test_{uuid.uuid4().hex[:12]}")
    yield made
    with open_client(made) as client:
        client.drop_database(made.database)


@pytest.fixture
def db(settings):
    """A fresh database."""
    opened = Database(settings)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def data_folder():
    """The real DFT data that comes with the project."""
    return DATA
