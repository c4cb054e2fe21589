"""A throw-away replica set of several members, each a mongod of its own that can be killed or frozen by itself.

For tests and measurements of what a node does while its database fails over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pymongo
import pymongo.errors
import trio

from step_node.storage.interface import StorageUnavailable
from step_node.storage.mongo_replica_set import DEFAULT_NAME, initiate_replica_set
from step_node.testing.devnet.ports import free_ports
from step_node.testing.mongod import ThrowawayMongod

MEMBERS = 3
ELECTION_TIMEOUT_MS = 10_000
"""How long secondaries do without their primary before they elect another: MongoDB's own default."""

STEPPED_DOWN_SECONDS = 3
SETTLED_SECONDS_MAX = 60.0
POLL_SECONDS = 0.1
ANSWER_MS_MAX = 2_000


class ThrowawayReplicaSet:
    """`start`, then `ready`; `discard` on every way out. Members can be killed, frozen and started one by one."""

    def __init__(self, *, members: int = MEMBERS, election_timeout_ms: int = ELECTION_TIMEOUT_MS) -> None:
        self.members = [ThrowawayMongod(port=ports.api) for ports in free_ports(members)]
        self._election_timeout_ms = election_timeout_ms

    @property
    def uri(self) -> str:
        """All members, for a node."""
        hosts = ",".join(member.address for member in self.members)
        return f"mongodb://{hosts}/?replicaSet={DEFAULT_NAME}"

    def start(self) -> None:
        """Start the processes, and do not wait for them."""
        for member in self.members:
            member.start()

    async def ready(self) -> None:
        """Make them one set, and wait until each has its place. Raises `StorageUnavailable`."""
        await initiate_replica_set(self.uri)
        primary = await self.settled()
        await trio.to_thread.run_sync(self._set_election_timeout, primary)
        await self.settled()

    async def settled(self) -> ThrowawayMongod:
        """Wait until every member that runs is the primary or a secondary, and all agree; the primary.

        Raises `StorageUnavailable` after `SETTLED_SECONDS_MAX`.
        """
        with trio.move_on_after(SETTLED_SECONDS_MAX):
            while True:
                hellos = await trio.to_thread.run_sync(self._hellos)
                primaries = {hello.get("primary") for hello in hellos}
                have_places = all(hello.get("isWritablePrimary") or hello.get("secondary") for hello in hellos)
                if have_places and len(primaries) == 1 and None not in primaries:
                    return next(member for member in self.members if member.address in primaries)
                await trio.sleep(POLL_SECONDS)
        raise StorageUnavailable(f"{self.uri} has not settled within {SETTLED_SECONDS_MAX:g} s")

    async def next_primary(self, last: ThrowawayMongod) -> ThrowawayMongod:
        """Wait until all members but `last` agree on another primary; it. Raises as `settled` does."""
        others = [member for member in self.members if member is not last]
        with trio.move_on_after(SETTLED_SECONDS_MAX):
            while True:
                hellos = await trio.to_thread.run_sync(lambda: [command(member, {"hello": 1}) for member in others])
                primaries = {hello.get("primary") for hello in hellos}
                if len(primaries) == 1 and not primaries <= {None, last.address}:
                    return next(member for member in others if member.address in primaries)
                await trio.sleep(POLL_SECONDS)
        raise StorageUnavailable(f"{self.uri} has no other primary within {SETTLED_SECONDS_MAX:g} s")

    async def step_down(self) -> None:
        """Have the primary hand over in good order, and not stand for election for `STEPPED_DOWN_SECONDS`."""
        primary = await self.settled()
        stepping_down = {
            "replSetStepDown": STEPPED_DOWN_SECONDS,
            "secondaryCatchUpPeriodSecs": STEPPED_DOWN_SECONDS - 1,
        }
        await trio.to_thread.run_sync(lambda: command(primary, stepping_down))

    def discard(self) -> None:
        """Kill all and delete their data."""
        for member in self.members:
            member.discard()

    def _hellos(self) -> list[dict[str, Any]]:
        return [command(member, {"hello": 1}) for member in self.members if member.is_running]

    def _set_election_timeout(self, primary: ThrowawayMongod) -> None:
        config = command(primary, {"replSetGetConfig": 1})["config"]
        config["version"] += 1
        config["settings"]["electionTimeoutMillis"] = self._election_timeout_ms
        command(primary, {"replSetReconfig": config})


def command(member: ThrowawayMongod, what: dict[str, Any]) -> dict[str, Any]:
    """What this one member answers to an administrator's command; {} if it does not answer. Blocks.

    Raises `PyMongoError` for what it refuses.
    """
    client = pymongo.MongoClient[dict[str, Any]](
        f"mongodb://{member.address}/",
        directConnection=True,
        serverSelectionTimeoutMS=ANSWER_MS_MAX,
        socketTimeoutMS=SETTLED_SECONDS_MAX * 1000,
    )
    with client:
        try:
            return client.admin.command(what)
        except pymongo.errors.ConnectionFailure:
            return {}


@asynccontextmanager
async def throwaway_replica_set(
    *, members: int = MEMBERS, election_timeout_ms: int = ELECTION_TIMEOUT_MS
) -> AsyncIterator[ThrowawayReplicaSet]:
    """A running set; `.uri` is where it is. Raises `StorageUnavailable` where there is no binary."""
    replica_set = ThrowawayReplicaSet(members=members, election_timeout_ms=election_timeout_ms)
    try:
        replica_set.start()
        await replica_set.ready()
        yield replica_set
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(replica_set.discard)
