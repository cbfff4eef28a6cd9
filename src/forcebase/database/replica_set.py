"""The replica set of one: MongoDB keeps transactions and change streams for replica sets."""

from __future__ import annotations

import time
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import OperationFailure

from forcebase.errors import DatabaseError

HOST = "127.0.0.1"
REPLICA_SET = "forcebase"
USER = "forcebase"
TIMEOUT_MS = 5000
PRIMARY_SECONDS = 60.0
ALREADY_INITIALIZED = 23
"""MongoDB's error code for a second replSetInitiate."""


def admin_uri(port: int, password: str) -> str:
    """URI of the admin, password included."""
    secret = quote(password, safe="")
    return f"mongodb://{USER}:{secret}@{HOST}:{port}/?authSource=admin&directConnection=true"


def bootstrap(port: int, password: str) -> None:
    """Make the replica set and its admin, as far as an earlier start did not come.

    Raises:
        PyMongoError: the server is not that far yet, or does not accept the password.
        DatabaseError: it does not become primary.
    """
    client: MongoClient
    with MongoClient(admin_uri(port, password), serverSelectionTimeoutMS=TIMEOUT_MS) as client:
        try:
            primary = _is_primary(client)  # the first word to the server: it needs the admin
        except OperationFailure:
            pass  # no admin yet: only a first start, or one cut off, gets here
        else:
            if not primary:
                _readdress(client, f"{HOST}:{port}")
                _await_primary(client)
            return
    with MongoClient(
        HOST, port, directConnection=True, serverSelectionTimeoutMS=TIMEOUT_MS
    ) as client:  # MongoDB's localhost exception: as long as it has no user
        _initiate(client, f"{HOST}:{port}")
        _await_primary(client)
        client.admin.command("createUser", USER, pwd=password, roles=["root"])


def _initiate(client: MongoClient, member: str) -> None:
    config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": member}]}
    try:
        client.admin.command("replSetInitiate", config)
    except OperationFailure as error:
        if error.code != ALREADY_INITIALIZED:
            raise


def _readdress(client: MongoClient, member: str) -> None:
    """Tell the only member its own address, after a start on another port.

    mongod refuses this until it knows that it is not the old address. Where something listens
    there but never answers, that takes it 30 s.
    """
    config = client.admin.command("replSetGetConfig")["config"]
    if config["members"][0]["host"] != member:
        config["members"][0]["host"] = member
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)


def _is_primary(client: MongoClient) -> bool:
    return bool(client.admin.command("hello").get("isWritablePrimary"))


def _await_primary(client: MongoClient) -> None:
    end = time.monotonic() + PRIMARY_SECONDS
    while not _is_primary(client):
        if time.monotonic() > end:
            raise DatabaseError("The embedded database did not become primary.")
        time.sleep(0.05)
