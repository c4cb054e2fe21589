"""The two kinds of network behind one way of making them, for the contract tests."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, Protocol

import trio

from p2p.libp2p_network import open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from p2p.memory import MemoryHub
from p2p.network import GossipMessage, Network, PeerId
from tests.support.waiting import until

TEST_TIMEOUT_SECONDS: Final = 30.0
TOPIC: Final = "/test/topic/1"


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class World(Protocol):
    """A place where networks meet."""

    clock: Clock

    def join(self, name: str, linked_to: Iterable[Network]) -> AbstractAsyncContextManager[Network]:
        """A network that, once started, connects to those networks and to no others."""
        ...

    async def ban_has_ended(self) -> None:
        """Give banned peers the chance to come back."""
        ...


class MemoryWorld:
    """Networks of one hub."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.hub = MemoryHub(clock=self.clock)
        self._names: list[str] = []

    @asynccontextmanager
    async def join(self, name: str, linked_to: Iterable[Network]) -> AsyncIterator[Network]:
        linked = {network.peer_id for network in linked_to}
        for other in self._names:
            if PeerId(other) not in linked:
                self.hub.cut(name, other)
        self._names.append(name)
        async with self.hub.join(name) as network:
            yield network

    async def ban_has_ended(self) -> None:
        self.hub.heal()
        await trio.lowlevel.checkpoint()


class Libp2pWorld:
    """Real hosts on loopback ports of the system's choice."""

    def __init__(self) -> None:
        self.clock = Clock()

    @asynccontextmanager
    async def join(self, name: str, linked_to: Iterable[Network]) -> AsyncIterator[Network]:
        settings = Libp2pSettings(
            private_key=private_key_of(name),
            bootstrap_addresses=tuple(network.listen_addresses[0] for network in linked_to),
            redial_delay_initial_seconds=0.05,
            redial_delay_max_seconds=0.2,
        )
        async with open_libp2p_network(settings, clock=self.clock) as network:
            yield network

    async def ban_has_ended(self) -> None:
        await trio.lowlevel.checkpoint()  # The dialler is at it by itself.


Prepare = Callable[[Network], None]


@asynccontextmanager
async def cluster(world: World, size: int, prepare: Prepare, *, chain: bool = False) -> AsyncIterator[list[Network]]:
    """Started networks, each connected to all (or, in a chain, to its neighbours). The test must end in time."""
    with trio.fail_after(TEST_TIMEOUT_SECONDS):
        async with AsyncExitStack() as stack:
            networks: list[Network] = []
            for index in range(size):
                linked = networks[-1:] if chain else networks
                network = await stack.enter_async_context(world.join(f"node{index}", linked))
                prepare(network)
                await network.start()
                networks.append(network)
            for index, network in enumerate(networks):
                expected = size - 1 if not chain else (index > 0) + (index < size - 1)
                await connected(network, expected)
            yield networks


async def connected(network: Network, peers: int) -> None:
    """Wait until it has so many peers."""
    await until(lambda: len(network.peers()) == peers)


async def receive(channel: trio.MemoryReceiveChannel[GossipMessage], count: int) -> list[bytes]:
    """The next messages' data, sorted, since gossip has no order."""
    return sorted([(await channel.receive()).data for _ in range(count)])


class Names(trio.abc.HostnameResolver):
    """An operating system that knows these names, until it knows others."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}

    async def getaddrinfo(self, host: Any, port: Any, family: int = 0, *_: Any, **__: Any) -> Any:
        await trio.lowlevel.checkpoint()
        name = host.decode() if isinstance(host, bytes) else host
        hosts = self.known.get(name, [])
        answers = [host for host in hosts if family in (0, socket.AF_INET6 if ":" in host else socket.AF_INET)]
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(family, socket.SOCK_STREAM, 6, "", (host, port)) for host in answers]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise NotImplementedError


def private_key_of(name: str) -> bytes:
    """A key that is the same in each run."""
    return hashlib.sha256(name.encode()).digest()
