"""Replica sets: making one, waiting for its primary, and saying why a server is not of any.

Finalising a batch is one multi-document transaction, and MongoDB has those in replica sets only. One member is
enough; what matters is that mongod was started with `--replSet` and that the set has been initiated once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus

from pymongo.errors import ConnectionFailure, OperationFailure

from step_node.storage.asyncio_bridge import AsyncioThread
from step_node.storage.interface import StorageMismatch, StorageUnavailable
from step_node.storage.mongo_driver import Driver, meaningful_errors, new_client, parsed, settled

DEFAULT_NAME = "step"
"""The set's name where the URI gives none (`?replicaSet=`)."""

WAIT_MAX_S = 60.0
POLL_S = 0.1
"""Between two looks at a set that has no primary yet."""

PROBE_TIMEOUT_MS = 2_000

_KEPT_OPTIONS = frozenset({"tls", "tlscafile", "tlscertificatekeyfile", "authsource", "authmechanism"})
"""What of the URI's options also goes for one server by itself."""

_NO_REPLICATION_ENABLED = 76
_ALREADY_INITIALIZED = 23
_NODE_NOT_FOUND = 74
_NOT_YET_INITIALIZED = 94

_STANDALONE = (
    "{where} is a standalone mongod: finalising a batch needs a replica set (one member is enough)."
    " Start mongod with --replSet " + DEFAULT_NAME + ", then run `step-node store init`"
)
_NOT_INITIATED = "{where} was started with --replSet, but its set has not been initiated: run `step-node store init`"


def require_replica_set(hello: Mapping[str, Any], where: str) -> None:
    """Raises `StorageMismatch`, saying what to do, when the server's answer to `hello` is not from a replica set."""
    if "setName" in hello:
        return
    if hello.get("isreplicaset"):
        raise StorageMismatch(_NOT_INITIATED.format(where=where))
    if hello.get("msg") == "isdbgrid":
        raise StorageMismatch(f"{where} is a mongos: name the members of a replica set instead")
    raise StorageMismatch(_STANDALONE.format(where=where))


def require_all_members(hello: Mapping[str, Any], uri: str) -> None:
    """Raises `StorageMismatch` if the URI keeps the driver at one member of a set that has several.

    It would not follow the set to its next primary, and all reads would go to that member whatever it has become.
    """
    others = len(hello.get("hosts", ())) + len(hello.get("passives", ())) - 1
    if others > 0 and parsed(uri)["options"].get("directConnection"):
        raise StorageMismatch(
            f"the MongoDB URI (storage.mongodb_uri): its option directConnection: must be left out: the set has"
            f" {others} members more, and the node has to follow whichever is the primary"
        )


def nodes_of(uri: str) -> Sequence[tuple[str, int]]:
    """The URI's servers. Raises `StorageMismatch` for a URI that is not one."""
    return [(host, int(port)) for host, port in parsed(uri)["nodelist"]]


def where_is(uri: str) -> str:
    """The URI's servers, for messages: without its user and password."""
    return ",".join(f"{host}:{port}" for host, port in nodes_of(uri))


async def explain_missing_primary(uri: str) -> None:
    """Asks the URI's servers one by one why there is no primary; called on the asyncio loop.

    Raises `StorageMismatch` when one is standalone or its set has not been initiated; otherwise returns.
    """
    for host, port in nodes_of(uri):
        client = _direct_client(uri, host, port)
        try:
            require_replica_set(await settled(client.admin.command("hello")), f"{host}:{port}")
        except ConnectionFailure:
            continue  # this one is down; another may be able to say more
        finally:
            await settled(client.close())


async def initiate_replica_set(
    uri: str,
    *,
    members: Sequence[str] = (),
    wait_max_s: float = WAIT_MAX_S,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Make the URI's first server the first member of a replica set, and wait until the set has a primary.

    `members` are `host:port`, as the members and the clients reach each other; by default the URI's own servers. The
    set is named as in the URI's `replicaSet`, or "step". A set that exists is left as it is. `report` is called with
    a line for each step. Called from trio.

    Raises `StorageMismatch` when the server is standalone or refuses the configuration, `StorageUnavailable` when
    there is no primary after `wait_max_s` seconds.
    """
    thread = AsyncioThread()
    try:
        await thread.run(lambda: _initiate(uri, members, wait_max_s, report))
    finally:
        await thread.close()


async def _initiate(uri: str, members: Sequence[str], wait_max_s: float, report: Callable[[str], None]) -> None:
    with meaningful_errors():
        host, port = nodes_of(uri)[0]
        client = _direct_client(uri, host, port)
        try:
            await _until_primary(client, uri, members, wait_max_s, report)
        finally:
            await settled(client.close())


async def _until_primary(
    client: Driver, uri: str, members: Sequence[str], wait_max_s: float, report: Callable[[str], None]
) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_max_s
    where = where_is(uri)
    said = ""
    while True:
        state = await _step_towards_primary(client, uri, members)
        if state != said:
            report(f"{where}: {state}")
            said = state
        if state == "has a primary":
            return
        if loop.time() >= deadline:
            raise StorageUnavailable(f"{where} has no primary after {wait_max_s:g} s: it {state}")
        await asyncio.sleep(POLL_S)


async def _step_towards_primary(client: Driver, uri: str, members: Sequence[str]) -> str:
    """Look, initiate if that is what is missing, and say in words how things stand."""
    try:
        hello = await settled(client.admin.command("hello"))
        if hello.get("setName"):
            return "has a primary" if hello.get("primary") else "is waiting for an election"
        await _send_initiate(client, uri, members)
    except ConnectionFailure:
        return "does not answer yet"
    except OperationFailure as error:
        if error.code == _NODE_NOT_FOUND:
            return f"cannot reach a member yet ({error.details.get('errmsg') if error.details else error})"
        if error.code not in (_ALREADY_INITIALIZED, _NOT_YET_INITIALIZED):
            raise
    return "has been initiated"


async def _send_initiate(client: Driver, uri: str, members: Sequence[str]) -> None:
    said = parsed(uri)
    hosts = list(members) or [f"{host}:{port}" for host, port in nodes_of(uri)]
    configuration = {
        "_id": said["options"].get("replicaSet") or DEFAULT_NAME,
        "members": [{"_id": index, "host": host} for index, host in enumerate(hosts)],
    }
    try:
        await settled(client.admin.command("replSetInitiate", configuration))
    except OperationFailure as error:
        if error.code == _NO_REPLICATION_ENABLED:
            raise StorageMismatch(_STANDALONE.format(where=where_is(uri))) from error
        if error.code in (_ALREADY_INITIALIZED, _NOT_YET_INITIALIZED, _NODE_NOT_FOUND):
            raise
        raise StorageMismatch(f"{where_is(uri)} refuses to form the set {configuration}: {error}") from error


def _credentials(parsed: Mapping[str, Any]) -> str:
    if not parsed["username"]:
        return ""
    return f"{quote_plus(parsed['username'])}:{quote_plus(parsed['password'] or '')}@"


def _direct_client(uri: str, host: str, port: int) -> Driver:
    """A client of this one server, with the URI's other options, whatever set it is of."""
    said = parsed(uri)
    return new_client(
        f"mongodb://{_credentials(said)}{host}:{port}/",
        **{name: value for name, value in said["options"].items() if name.lower() in _KEPT_OPTIONS},
        directConnection=True,
        serverSelectionTimeoutMS=PROBE_TIMEOUT_MS,
        connectTimeoutMS=PROBE_TIMEOUT_MS,
    )
