"""Users of a database: a reader, a curator and an admin, each with an address of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from forcebase.database.connection import open_client, server_uri
from forcebase.database.database import Database
from forcebase.database.roles import Role
from forcebase.database.users import add_user, new_password, user_uri
from forcebase.settings import Settings

NAMES = {Role.READER: "rita", Role.CURATOR: "carl", Role.ADMIN: "anna"}


@dataclass(frozen=True)
class Group:
    """A database of the session's server, and how its users reach it.

    Attributes:
        settings: of the server's own user, who may do all.
        members: settings of each user, by role.
    """

    settings: Settings
    members: dict[Role, Settings]


def add(settings: Settings, name: str, role: Role) -> Settings:
    """Add a user, and give the settings it connects with."""
    password = new_password()
    with open_client(settings) as client:
        add_user(client[settings.database], name, role, password)
    uri = user_uri(server_uri(settings), settings.database, name, password)
    return replace(settings, mongodb_uri=uri)


def drop_users(settings: Settings) -> None:
    """Users and roles outlive their database."""
    with open_client(settings) as client:
        client[settings.database].command("dropAllUsersFromDatabase")
        client[settings.database].command("dropAllRolesFromDatabase")


def make_group(settings: Settings) -> Group:
    """A database, in shape and otherwise empty, with its users."""
    Database(settings).close()
    return Group(settings, {role: add(settings, name, role) for role, name in NAMES.items()})


@pytest.fixture
def group(settings) -> Iterator[Group]:
    """An empty database with users."""
    yield make_group(settings)
    drop_users(settings)


@pytest.fixture(scope="module")
def filled_group(server_home) -> Iterator[Group]:
    """The same for all tests of a module, which fill it."""
    settings = Settings(home=server_home, database=f"test_{uuid.uuid4().hex[:12]}")
    yield make_group(settings)
    drop_users(settings)
    with open_client(settings) as client:
        client.drop_database(settings.database)
