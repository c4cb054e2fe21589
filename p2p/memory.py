"""An in-memory network, for tests and simulations: a `MemoryHub`, and the networks that join it.

Theory of operation. All networks of a hub that have started are connected to each other, unless a link is cut or one
bans the other. Gossip spreads along the links that are up, breadth first, in the same step in which it is published,
so that delivery is in order and a test needs no waiting; each hop validates before it passes on, as libp2p's do. An
injected `drop` decides which hops lose a message. Streams are bounded pipes under the same framing as over TCP. Two
networks may share a name, as two processes with one key do: both are connected to the others, and not to one another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeAlias
from weakref import WeakSet

import trio

from p2p.base import BaseNetwork, open_plain_nursery
from p2p.errors import PeerUnreachable, ProtocolUnsupported
from p2p.framing import FramedStream
from p2p.network import PeerId, Scope
from p2p.pipe import PipeEnd

DropFunction: TypeAlias = Callable[[PeerId, PeerId, str, bytes], bool]
"""(sender, receiver, topic, data) -> whether this hop loses the message."""

_Link: TypeAlias = frozenset[PeerId]


class MemoryHub:
    """The air between in-memory networks. `clock` (seconds) is for bans; by default it is trio's."""

    def __init__(self, *, drop: DropFunction | None = None, clock: Callable[[], float] | None = None) -> None:
        self.drop = drop
        self._clock = clock if clock is not None else trio.current_time
        self._networks: list[MemoryNetwork] = []
        self._joined = 0
        self._severed: set[_Link] = set()

    @asynccontextmanager
    async def join(self, name: str, *, twin: bool = False) -> AsyncIterator[MemoryNetwork]:
        """A network whose peer id is `name`; leaving the context closes it.

        Raises ValueError if the name is taken, unless a `twin` is asked for.
        """
        peer_id = PeerId(name)
        if not twin and any(network.peer_id == peer_id for network in self._networks):
            raise ValueError(f"a network named {name!r} has joined already")
        async with open_plain_nursery() as nursery:
            self._joined += 1
            network = MemoryNetwork(self, peer_id, f"{name} {self._joined}".encode(), nursery, self._clock)
            self._networks.append(network)
            try:
                yield network
            finally:
                self._networks.remove(network)
                network.shut()
                self.settle()
                nursery.cancel_scope.cancel()

    def cut(self, first: str, second: str) -> None:
        """Break the link between two networks, until `heal`; their streams break at once."""
        self._severed.add(frozenset((PeerId(first), PeerId(second))))
        self.settle()

    def partition(self, *groups: set[str]) -> None:
        """Break every link between networks of different groups, until `heal`."""
        for index, group in enumerate(groups):
            for other in groups[index + 1 :]:
                self._severed.update(frozenset((PeerId(a), PeerId(b))) for a in group for b in other)
        self.settle()

    def heal(self) -> None:
        """Restore every link, except those of peers that are still banned."""
        self._severed.clear()
        self.settle()

    def settle(self) -> None:
        """Bring who is connected to whom up to date; needed by a test only when a ban has run out."""
        running = [network for network in self._networks if network.is_running()]
        for network in running:
            for other in running:
                network.set_link(other.peer_id, up=self._is_up(network, other))
            for peer_id in set(network.peers()) - {other.peer_id for other in running}:
                network.set_link(peer_id, up=False)

    def running(self, peer_id: PeerId) -> list[MemoryNetwork]:
        """The started networks of that name, which are more than one only if there are twins."""
        return [network for network in self._networks if network.peer_id == peer_id and network.is_running()]

    def _is_up(self, first: MemoryNetwork, second: MemoryNetwork) -> bool:
        return (
            first.peer_id != second.peer_id
            and frozenset((first.peer_id, second.peer_id)) not in self._severed
            and not first.is_banned(second.peer_id)
            and not second.is_banned(first.peer_id)
        )

    def spread(self, origin: MemoryNetwork, topic: str, data: bytes) -> None:
        """Carry one message from its publisher to all whom the links reach."""
        reached = {origin.instance}
        frontier = deque([origin])
        while frontier:
            sender = frontier.popleft()
            for receiver in [network for peer_id in sender.peers() for network in self.running(peer_id)]:
                if receiver.instance in reached:
                    continue
                if self.drop is not None and self.drop(sender.peer_id, receiver.peer_id, topic, data):
                    continue
                reached.add(receiver.instance)
                if receiver.accept_gossip(topic, data, sender.peer_id, origin.peer_id):
                    frontier.append(receiver)


class MemoryNetwork(BaseNetwork):
    """A `Network` of a `MemoryHub`."""

    def __init__(
        self, hub: MemoryHub, peer_id: PeerId, instance: bytes, nursery: trio.Nursery, clock: Callable[[], float]
    ) -> None:
        super().__init__(peer_id, clock)
        self.instance = instance
        self._hub = hub
        self._nursery = nursery
        self._pipes: dict[PeerId, WeakSet[PipeEnd]] = {}
        """Weak, so that conversations that are over do not add up."""

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        """A name in place of an address."""
        return (f"/memory/{self._peer_id}/p2p/{self._peer_id}",) if self._started else ()

    async def start(self) -> None:
        """See `p2p.network.Network.start`."""
        self._mark_started()
        self._hub.settle()
        await trio.lowlevel.checkpoint()

    async def publish(self, topic: str, data: bytes) -> None:
        """See `p2p.network.Network.publish`."""
        subscription = self._check_publication(topic, data)
        subscription.messages_out += 1
        subscription.bytes_out += len(data)
        self._hub.spread(self, topic, data)
        await trio.lowlevel.checkpoint()

    def instances(self, peer_id: PeerId) -> tuple[bytes, ...]:
        """See `p2p.network.Network.instances`."""
        return tuple(network.instance for network in self._hub.running(peer_id)) if peer_id in self._peers else ()

    async def open_stream(
        self, peer_id: PeerId, protocol: str, *, message_bytes_max: int | None = None, instance: bytes | None = None
    ) -> FramedStream:
        """See `p2p.network.Network.open_stream`."""
        self._require_running("open_stream()")
        limit = self._stream_message_bytes_max(protocol, message_bytes_max)
        await trio.lowlevel.checkpoint()
        others = [one for one in self._hub.running(peer_id) if instance in (None, one.instance)]
        if not others or peer_id not in self._peers:
            raise PeerUnreachable(peer_id, "it is not connected")
        other = others[0]
        near, far = PipeEnd.connect(PipeEnd(), PipeEnd())
        other.accept_stream(self._peer_id, protocol, far)
        self._streams_opened += 1
        self._pipes.setdefault(peer_id, WeakSet()).add(near)
        return FramedStream(peer_id, protocol, near, message_bytes_max=limit)

    def keep_connected(self, addresses: Iterable[str], *, narrowest: Scope = Scope.LOOPBACK) -> None:
        """Note who they are: everybody is connected to everybody whom a link leads to."""
        del narrowest
        self._members = frozenset(PeerId(address.rpartition("/p2p/")[2]) for address in addresses)

    def choose(self, addresses: Iterable[str]) -> None:
        """Nothing: everybody is connected to everybody whom a link leads to."""

    async def connect(self, address: str, *, narrowest: Scope = Scope.LOOPBACK) -> None:
        """Raise `PeerUnreachable` unless the peer is connected: nobody else can be dialled."""
        del narrowest
        await trio.lowlevel.checkpoint()
        peer_id = PeerId(address.rpartition("/p2p/")[2])
        if peer_id not in self._peers:
            raise PeerUnreachable(peer_id, "no link leads there")

    async def verify(self, address: str, *, narrowest: Scope = Scope.LOOPBACK) -> None:
        """As `connect`."""
        await self.connect(address, narrowest=narrowest)

    async def disconnect(self, peer_id: PeerId) -> None:
        """See `p2p.network.Network.disconnect`; the hub's `heal` brings the peer back."""
        if peer_id in self._peers:
            self._hub.cut(self._peer_id, peer_id)
        await trio.lowlevel.checkpoint()

    def _expel(self, peer_id: PeerId) -> None:  # noqa: ARG002 - the hub looks at all bans
        self._hub.settle()

    # What the hub and the other networks call.

    def is_running(self) -> bool:
        """Started and not closed."""
        return self._started and not self._closed

    def set_link(self, peer_id: PeerId, *, up: bool) -> None:
        """Learn whether a peer is connected. Of two networks, the one with the lesser name counts as the dialler."""
        if up:
            self._connected(peer_id, address=f"/memory/{peer_id}", outbound=self._peer_id < peer_id)
            return
        for pipe in self._pipes.pop(peer_id, ()):
            pipe.break_now()
        self._disconnected(peer_id)

    def accept_gossip(self, topic: str, data: bytes, sender: PeerId, publisher: PeerId) -> bool:
        """Take one message from a neighbour; return whether it goes further."""
        return self._receive_gossip(topic, data, sender, publisher)

    def accept_stream(self, peer_id: PeerId, protocol: str, pipe: PipeEnd) -> None:
        """Serve a stream that a neighbour opened. Raises `ProtocolUnsupported`."""
        served = self._protocols.get(protocol)
        if served is None:
            raise ProtocolUnsupported(self._peer_id, protocol)
        self._pipes.setdefault(peer_id, WeakSet()).add(pipe)
        stream = FramedStream(peer_id, protocol, pipe, message_bytes_max=served.message_bytes_max)
        self._nursery.start_soon(self._run_handler, served, stream)

    def shut(self) -> None:
        """Break what is open, and end what readers wait on."""
        for pipes in self._pipes.values():
            for pipe in pipes:
                pipe.break_now()
        self._pipes.clear()
        self._mark_closed()
