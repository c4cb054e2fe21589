"""The MongoDB driver, named in one place, and what its errors mean to the node.

The driver is Motor. Its successor is PyMongo's own asynchronous client, and the storage engine keeps to the calls
that both have: to change over, change the import below to `from pymongo import AsyncMongoClient as AsyncClient`.
The tests run the contract against both (docs/adr/0005-motor-on-its-own-thread.md). The two differ in which calls are
awaitable, which `settled` evens out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import isawaitable
from typing import Any, TypeAlias
from zlib import crc32

from motor.motor_asyncio import AsyncIOMotorClient as AsyncClient
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)
from pymongo.server_description import ServerDescription
from pymongo.uri_parser import parse_uri

from step_node.storage.interface import StorageMismatch, StorageUnavailable

Driver: TypeAlias = Any
"""A client, database, collection, session, or what a call to one gives: the two drivers share no types."""

SERVER_SELECTION_TIMEOUT_MS = 2_000
CONNECT_TIMEOUT_MS = 2_000
HEARTBEAT_MS = 2_000
"""How often a server says that it is there. One that has been silent for this time and `CONNECT_TIMEOUT_MS` counts as
lost, and every call to it that is under way fails at once: so a server that hangs holds nobody up for longer."""
SOCKET_TIMEOUT_MS = 20_000
"""A server that is there, and does not answer a call in this time, counts as lost."""

CONNECTIONS_MAX = 12
"""Connections a node keeps to each server; a further call waits for one."""

_TRANSACTION_OPTIONS: dict[str, tuple[object, ...]] = {
    "readpreference": ("primary", "Primary", "PRIMARY"),
    "readconcernlevel": ("majority", "snapshot"),
    "w": ("majority",),
    "journal": (True,),
    "fsync": (False,),
}
"""What of a URI's options a transaction allows, by their names in lower case; the first is what errors name."""

_DUPLICATE_KEY = 11_000
_TRY_AGAIN_CODES = frozenset(
    {
        50,  # MaxTimeMSExpired
        91,  # ShutdownInProgress
        112,  # WriteConflict
        239,  # SnapshotTooOld
        246,  # SnapshotUnavailable: an index was made a moment ago
        251,  # NoSuchTransaction
        262,  # ExceededTimeLimit
        11_601,  # Interrupted: somebody has ended the session or the operation
        14_031,  # OutOfDiskSpace
    }
)
_NOT_ALLOWED_CODES = frozenset({13, 18})  # Unauthorized, AuthenticationFailed
_TRY_AGAIN_LABELS = ("TransientTransactionError", "UnknownTransactionCommitResult", "RetryableWriteError")


class SnapshotBehind(PyMongoError):
    """The server's snapshot lacks a height that a majority has: it is a secondary, or has just become the primary."""


def server_for(name: str) -> Callable[[list[ServerDescription]], list[ServerDescription]]:
    """What a client named `name` chooses of the servers that would do: always the same one of the same servers.

    All reads of one snapshot must go to one server: another that lags would keep them waiting until it has that moment
    too. Clients of different names spread over the servers.
    """

    def choose(servers: list[ServerDescription]) -> list[ServerDescription]:
        return sorted(servers, key=lambda server: crc32(f"{name} {server.address}".encode()))[:1]

    return choose


def new_client(uri: str, **options: Any) -> Driver:
    """A client for `uri`; what the URI itself says goes before our defaults, and `options` before both.

    Made on the asyncio loop that will use it. Raises `StorageMismatch` for a URI that is not one, or whose options
    would take from a batch that it is one durable transaction.
    """
    defaults: dict[str, Any] = {
        "serverSelectionTimeoutMS": SERVER_SELECTION_TIMEOUT_MS,
        "connectTimeoutMS": CONNECT_TIMEOUT_MS,
        "heartbeatFrequencyMS": HEARTBEAT_MS,
        "socketTimeoutMS": SOCKET_TIMEOUT_MS,
        "maxPoolSize": CONNECTIONS_MAX,
    }
    in_uri = options_in(uri)
    unnamed = {name: value for name, value in defaults.items() if name.lower() not in in_uri}
    try:
        return AsyncClient(uri, **(unnamed | options))
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise _unusable(error) from error


def parsed(uri: str) -> Mapping[str, Any]:
    """What a URI says: its `nodelist`, `options` and so on. One of `mongodb+srv` is looked up in the DNS.

    Raises `StorageMismatch` for one that is none.
    """
    try:
        return parse_uri(uri)
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise _unusable(error) from error


def options_in(uri: str) -> Mapping[str, Any]:
    """The options that a URI names, in small letters. Raises `StorageMismatch` as `new_client` does."""
    options = {name.lower(): value for name, value in parsed(uri)["options"].items()}
    _require_transactions(options)
    return options


def _unusable(error: Exception) -> StorageMismatch:
    # Not the URI itself: it may hold a password.
    return StorageMismatch(f"the MongoDB URI (storage.mongodb_uri) cannot be used: {error}")


def _require_transactions(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        allowed = _TRANSACTION_OPTIONS.get(name)
        if allowed is not None and value not in allowed:
            written, *_ = allowed
            rule = f"must be {str(written).lower()}, or be left out, not {value!r}"
            raise StorageMismatch(
                f"the MongoDB URI (storage.mongodb_uri): its option {name}: {rule}: a batch is one transaction, on a"
                " majority"
            )


async def settled(call: Driver) -> Driver:
    """The outcome of a driver's call, whether or not this driver makes it awaitable.

    A cancelled caller waits for the call to end before it goes on unwinding. Motor's calls run in threads, which
    cannot be interrupted: one left behind would still use its session while that is being ended. The wait is bounded
    by the driver's own time-outs.
    """
    if not isawaitable(call):
        return call
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise


def worth_retrying(error: PyMongoError) -> bool:
    """Whether the same work, done again from its start, may succeed: the database was at fault, not the work."""
    if isinstance(error, (ConnectionFailure, ExecutionTimeout, SnapshotBehind, WTimeoutError)):
        return True
    if any(error.has_error_label(label) for label in _TRY_AGAIN_LABELS):
        return True
    return isinstance(error, OperationFailure) and error.code in _TRY_AGAIN_CODES


@contextmanager
def meaningful_errors() -> Iterator[None]:
    """Turn the driver's errors into the interface's; one that means a bug in this package stays as it is."""
    try:
        yield
    except PyMongoError as error:
        if worth_retrying(error):
            raise StorageUnavailable(f"MongoDB does not answer: {error}") from error
        if isinstance(error, OperationFailure) and error.code in _NOT_ALLOWED_CODES:
            raise StorageMismatch(f"MongoDB refuses this user: {error}; give the URI a user who may write") from error
        if _is_duplicate_key(error) or isinstance(error, DocumentTooLarge):
            raise ValueError(f"conflicts with what is stored, or with MongoDB's limits: {error}") from error
        raise


def _is_duplicate_key(error: PyMongoError) -> bool:
    if isinstance(error, BulkWriteError):
        details: dict[str, Any] = dict(error.details)
        return any(one.get("code") == _DUPLICATE_KEY for one in details.get("writeErrors", ()))
    return isinstance(error, OperationFailure) and error.code == _DUPLICATE_KEY
