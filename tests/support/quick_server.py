"""A server that does not wait for its disk: no test that kills a mongod uses it."""

from __future__ import annotations

from pymongo import MongoClient

from forcebase.database import replica_set
from forcebase.database.server import EmbeddedServer

ITERATIONS = 5000
"""MongoDB's fewest: both sides compute them whenever a client connects."""


def hurry(server: EmbeddedServer) -> None:
    """Start it; writes are done before they are on the disk, and passwords are cheap to check."""
    server.start()
    with MongoClient(server.uri) as client:
        client.admin.command("setParameter", 1, scramSHA256IterationCount=ITERATIONS)
        client.admin.command("updateUser", replica_set.USER, pwd=server.home.password)
        config = client.admin.command("replSetGetConfig")["config"]
        relaxed = {"version": config["version"] + 1, "writeConcernMajorityJournalDefault": False}
        client.admin.command("replSetReconfig", config | relaxed)
