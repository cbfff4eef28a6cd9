"""Connections: the embedded server, or any MongoDB that the settings name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from pymongo import MongoClient
from pymongo.errors import (
    ConfigurationError,
    InvalidName,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)

from forcebase.database.server import EmbeddedServer
from forcebase.errors import DatabaseError
from forcebase.settings import Settings

TIMEOUT_MS = 5000
NOT_ALLOWED = (13, 18, 8000)
"""Unauthorized, AuthenticationFailed, and Atlas' own for both."""

ASKS_FOR_TLS = " A server that closes the connection may want TLS: add tls=true to the address."


def server_uri(settings: Settings) -> str:
    """URI with credentials, for whoever opens a connection of its own (the JobStore).

    Raises:
        DatabaseError: it is the embedded server's, and that was never started.
    """
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
    with _explained(uri, settings.database):
        client: MongoClient = MongoClient(uri, serverSelectionTimeoutMS=TIMEOUT_MS)
        try:
            # ping needs no rights; this needs those that records need
            client[settings.database].list_collection_names(filter={"name": "meta"})
        except BaseException:
            client.close()
            raise
    return client


def supports_transactions(client: MongoClient) -> bool:
    """Whether the server is a replica set or sharded; a standalone has no transactions."""
    hello = client.admin.command("hello")
    return "setName" in hello or hello.get("msg") == "isdbgrid"


def without_password(text: str) -> str:
    """The text with the password of every address in it blanked out."""
    # up to the last @: a password may hold one; any scheme, for that may be what is mistyped
    return re.sub(r"(\w://[^:/@\s]*):\S*@", r"\1:***@", text)


@contextmanager
def _explained(uri: str, database: str) -> Iterator[None]:
    """Turn what pymongo says into what is wrong and what to do."""
    where = without_password(uri)
    try:
        yield
    except InvalidName:
        raise DatabaseError(
            f"{database!r} is not a name that MongoDB allows for a database.",
            hint="Set FORCEBASE_DATABASE to letters, digits and underscores.",
        ) from None
    except (InvalidURI, ValueError):  # whose words may hold a piece of the password
        raise DatabaseError(
            "FORCEBASE_MONGODB_URI is not a MongoDB address.",
            hint="Write mongodb://user:password@host:port, with : / @ % in user and password "
            "as %3A %2F %40 %25.",
        ) from None
    except ConfigurationError as error:
        raise DatabaseError(
            f"MongoDB at {where} cannot be used: {without_password(str(error))}.",
            hint="Check FORCEBASE_MONGODB_URI.",
        ) from None
    except OperationFailure as error:
        if error.code in NOT_ALLOWED:
            raise DatabaseError(
                f"MongoDB at {where} does not accept the user or password, or gives no right "
                f"to database {database!r}.",
                hint="Check the credentials in FORCEBASE_MONGODB_URI, and authSource.",
            ) from None
        reason = (error.details or {}).get("errmsg", "")
        raise DatabaseError(
            f"MongoDB at {where} refuses database {database!r}: {reason}.",
            hint="Choose another FORCEBASE_DATABASE, or ask who runs the server.",
        ) from None
    except OSError as error:  # of the files that the address names
        raise DatabaseError(
            f"A certificate file that the address of MongoDB at {where} names cannot be used: "
            f"{error.strerror or error}.",
            hint="tlsCAFile and tlsCertificateKeyFile in FORCEBASE_MONGODB_URI name PEM files.",
        ) from None
    except PyMongoError as error:
        if "certificate" in str(error).lower():
            raise _distrusted(where, str(error)) from None
        reason = str(error).split(" (configured", 1)[0].split(", Timeout:", 1)[0]
        raise DatabaseError(
            f"No MongoDB answers at {where} within {TIMEOUT_MS // 1000} s: {reason}.",
            hint="Start it, check FORCEBASE_MONGODB_URI, or unset that to use the embedded "
            "database." + (ASKS_FOR_TLS if "connection closed" in reason else ""),
        ) from None


def _distrusted(where: str, words: str) -> DatabaseError:
    """The server answers, and what it shows does not prove that it is the one meant."""
    lower = words.lower()
    if "mismatch" in lower or "doesn't match" in lower:
        what = "shows a certificate for other names than this address"
        hint = "Use a name of the server that its certificate holds."
    elif "required" in lower:
        what = "asks for a certificate of yours"
        hint = "Name its file in FORCEBASE_MONGODB_URI: tlsCertificateKeyFile=FILE.pem."
    elif "expired" in lower:
        what = "shows a certificate that has expired"
        hint = "Ask who runs the server for a new one."
    else:
        what = "shows a certificate that is signed by no authority known here"
        hint = "Name the file of the authority in FORCEBASE_MONGODB_URI: tlsCAFile=FILE.pem."
    return DatabaseError(f"MongoDB at {where} {what}: nothing was sent.", hint=hint)
