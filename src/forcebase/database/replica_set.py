"""The replica set of one node, without which MongoDB has no transactions and change streams."""

from __future__ import annotations

import time
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure

USER = "forcebase"
NAME = "forcebase"
SELECTION_MS = 5000
PRIMARY_SECONDS = 90.0
"""After a change of port mongod asks whoever is at its old one if it is itself, and waits 30 s
for one that keeps silent; measured."""
AUTHENTICATION_FAILED = 18
USER_IS_THERE = (13, 51003)
"""Unauthorized, since the localhost exception has ended; and the user already exists."""
ALREADY_INITIALIZED = 23
STILL_LOADING = (93, 94, 109)
"""InvalidReplicaSetConfig, NotYetInitialized, ConfigurationInProgress: ask again."""


class WrongPasswordError(Exception):
    """The server has its user, and this is not the user's password."""


def bring_up(host: str, port: int, password: str) -> None:
    """Make a listening mongod primary of its own replica set, with our user in it.

    Every step is made only where it is lacking, so that what an earlier call was killed in is
    finished here. The set's member is told its address again when the port has changed.

    Raises:
        WrongPasswordError: the user is there with another password.
        ConnectionFailure: the server does not answer, or went away.
    """
    if _bring_up_as_user(host, port, password):
        return
    # A first start, or one that was cut off: until there is a user, MongoDB lets a local
    # client make one (the localhost exception).
    try:
        with _connect_without_user(host, port) as client:
            _become_primary(client, f"{host}:{port}")
            client.admin.command("createUser", USER, pwd=password, roles=["root"])
    except OperationFailure as error:
        if error.code not in USER_IS_THERE:
            raise
        # Of another password, or of a start that was killed while the server made the user.
        if not _bring_up_as_user(host, port, password):
            raise WrongPasswordError from None


def _bring_up_as_user(host: str, port: int, password: str) -> bool:
    """Make it primary; False where the server does not accept our user."""
    try:
        with connect(host, port, password) as client:
            _become_primary(client, f"{host}:{port}")
            return True
    except OperationFailure as error:
        if error.code != AUTHENTICATION_FAILED:
            raise
        return False


def connect(host: str, port: int, password: str) -> MongoClient:
    """Open a client as our user; a wrong password shows at the first command."""
    return MongoClient(
        host,
        port,
        username=USER,
        password=password,
        authSource="admin",
        directConnection=True,
        serverSelectionTimeoutMS=SELECTION_MS,
    )


def _connect_without_user(host: str, port: int) -> MongoClient:
    return MongoClient(host, port, directConnection=True, serverSelectionTimeoutMS=SELECTION_MS)


def _become_primary(client: MongoClient, member: str) -> None:
    end = time.monotonic() + PRIMARY_SECONDS
    client.admin.command("ping")
    while not (hello := client.admin.command("hello")).get("isWritablePrimary"):
        if time.monotonic() > end:
            raise ConnectionFailure(f"{member} did not become primary")
        if "setName" not in hello:
            _configure(client, member)
        time.sleep(0.05)


def _configure(client: MongoClient, member: str) -> None:
    """Begin the set, or tell the one that waits under another address its new one.

    A reconfiguration by force needs no version and no look at the old one, which a client
    without a user may not have.
    """
    config: dict[str, Any] = {"_id": NAME, "members": [{"_id": 0, "host": member}]}
    try:
        try:
            client.admin.command("replSetInitiate", config)
        except OperationFailure as error:
            if error.code != ALREADY_INITIALIZED:
                raise
            client.admin.command("replSetReconfig", {**config, "version": 1}, force=True)
    except OperationFailure as error:
        if error.code not in STILL_LOADING:
            raise
