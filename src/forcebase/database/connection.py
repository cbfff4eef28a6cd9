"""Connections: the embedded server, or any MongoDB that the settings name."""

from __future__ import annotations

import re

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError

from forcebase.database.server import EmbeddedServer
from forcebase.errors import DatabaseError
from forcebase.settings import Settings

TIMEOUT_MS = 5000
AUTHENTICATION_FAILED = (18, 13)


def server_uri(settings: Settings) -> str:
    """URI with credentials, for whoever opens a connection of its own (the JobStore)."""
    return settings.mongodb_uri or EmbeddedServer(settings.home).uri


def open_client(settings: Settings) -> MongoClient:
    """Connect, starting the embedded server where no other is named.

    Raises:
        DatabaseError: nothing answers, or it does not accept the credentials; the message
            never holds the password.
    """
    if settings.mongodb_uri is None:
        EmbeddedServer(settings.home).start()
    uri = server_uri(settings)
    where = without_password(uri)
    try:
        client: MongoClient = MongoClient(uri, serverSelectionTimeoutMS=TIMEOUT_MS)
        client[settings.database].command("ping")
        client[settings.database].list_collection_names(filter={"name": "meta"})
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise DatabaseError(
            f"The database address cannot be used: {without_password(str(error))}",
            hint="Write FORCEBASE_MONGODB_URI as mongodb://user:password@host:port.",
        ) from None
    except OperationFailure as error:
        if error.code not in AUTHENTICATION_FAILED:
            raise DatabaseError(
                f"MongoDB at {where} refuses database {settings.database!r}: {error}",
                hint="Choose another FORCEBASE_DATABASE.",
            ) from None
        raise DatabaseError(
            f"MongoDB at {where} does not accept the user or password, or gives no right to "
            f"database {settings.database!r}.",
            hint="Check the credentials in FORCEBASE_MONGODB_URI, and authSource.",
        ) from None
    except PyMongoError:
        raise DatabaseError(
            f"No MongoDB answers at {where} within {TIMEOUT_MS // 1000} s.",
            hint="Check FORCEBASE_MONGODB_URI, or unset it to use the embedded database.",
        ) from None
    return client


def supports_transactions(client: MongoClient) -> bool:
    """Whether the server is a replica set or sharded; a standalone has no transactions."""
    hello = client.admin.command("hello")
    return "setName" in hello or hello.get("msg") == "isdbgrid"


def without_password(text: str) -> str:
    """The text with the password of every MongoDB URI in it blanked out."""
    return re.sub(
        r"(\w://[^:/@\s]*):[^\s]*@", r"\1:***@", text
    )  # up to the last @: it may hold one
