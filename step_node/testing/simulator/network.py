"""The network between simulated nodes: every link loses, repeats, delays and reorders as the seed says.

Theory of operation. Everybody is connected to everybody who runs. Gossip goes over one hop, from its publisher to each
peer, so what one link loses comes by another only where nodes relay, which they do in some seeds, and then now and
then; libp2p's mesh is kinder. Each delivery is an event in a heap, in
order of time; one task, the air, wakes for the next of them. Streams are the in-memory network's, framed alike, over
pipes with the same delays; a chunk that meets a cut link breaks its stream, as TCP does in the end.

A link is one direction between two nodes. It can be cut; that is how partitions are made, one-way ones too. A `Filter`
(the directed schedules of `step_node.testing.simulator.schedules`) may decide on each message by what it says.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

import trio

from consensus.messages import Message
from consensus.wire import WireError
from p2p.base import BaseNetwork
from p2p.errors import PeerUnreachable, ProtocolUnsupported
from p2p.framing import FramedStream
from p2p.network import PeerId, Scope
from p2p.pipe import PipeEnd
from step_node.network.protocols import ProposalOutline, decode_gossiped

STREAMS_WAITING_MAX = 64
"""Streams that a node has not begun to serve; one more is refused."""
RELAYED_MAX = 1_000
"""Messages remembered as relayed; each is passed on once."""
CONNECT_TIMEOUT_SECONDS = 0.5
"""After so long an opener learns that a link is cut."""

Filter: TypeAlias = Callable[[str, str, "Message | None"], bool]
"""(sender, receiver, consensus message or None for all else) -> whether it gets through."""


@dataclass(slots=True)
class LinkQuality:
    """What every link does to gossip: rates from 0 to 1, times in seconds."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    delay_least: float = 0.002
    delay_spread: float = 0.02
    delay_when_reordered: float = 0.5


@dataclass(order=True, slots=True)
class _Delivery:
    at: float
    number: int
    receiver: str = field(compare=False)
    sender: str = field(compare=False)
    topic: str = field(compare=False)
    data: bytes = field(compare=False)


class Air:
    """All links, and what is on its way."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._networks: dict[str, SimulatedNetwork] = {}
        self._heap: list[_Delivery] = []
        self._number = 0
        self._alarm = trio.CancelScope()
        self.quality = LinkQuality()
        self.relay_rate = 0.0
        """How likely a node is to pass on to one other what it has taken in for the first time."""
        self.cut: set[tuple[str, str]] = set()
        """Directions, (sender, receiver), in which nothing passes."""
        self.filters: list[Filter] = []

    async def run(self) -> None:
        """Deliver, until cancelled."""
        while True:
            now = trio.current_time()
            while self._heap and self._heap[0].at <= now:
                self._deliver(heapq.heappop(self._heap))
            with trio.CancelScope() as self._alarm:
                self._alarm.deadline = self._heap[0].at if self._heap else math.inf
                await trio.sleep_forever()

    def passes(self, sender: str, receiver: str, message: Message | None) -> bool:
        """Whether the link is up for this, now."""
        return (sender, receiver) not in self.cut and all(one(sender, receiver, message) for one in self.filters)

    def send(self, sender: str, receiver: str, topic: str, data: bytes) -> None:
        """Put one message on one link."""
        rng, quality = self._rng, self.quality
        if quality.loss and rng.random() < quality.loss:
            return
        if not self.passes(sender, receiver, message_in(data) if self.filters else None):
            return
        self._put(sender, receiver, topic, data)
        if quality.duplication and rng.random() < quality.duplication:
            self._put(sender, receiver, topic, data)

    def relayed_to(self, peers: Sequence[PeerId]) -> PeerId | None:
        """Which of these peers a message is passed on to, if any."""
        if not self.relay_rate or not peers or self._rng.random() >= self.relay_rate:
            return None
        return self._rng.choice(peers)

    def delay(self) -> float:
        """How long one thing takes over one link, seconds."""
        rng, quality = self._rng, self.quality
        delay = quality.delay_least + rng.random() * quality.delay_spread
        if quality.reordering and rng.random() < quality.reordering:
            delay += rng.random() * quality.delay_when_reordered
        return delay

    def join(self, network: SimulatedNetwork) -> None:
        """A network has started."""
        self._networks[network.peer_id] = network
        self.settle()

    def leave(self, network: SimulatedNetwork) -> None:
        """A network has ended."""
        if self._networks.get(network.peer_id) is network:
            del self._networks[network.peer_id]
        self.settle()

    def settle(self) -> None:
        """Bring who is connected to whom up to date."""
        for name in sorted(self._networks):
            network = self._networks[name]
            for other in sorted(set(self._networks) | set(network.peers())):
                if other != name:
                    peer = self._networks.get(other)
                    up = (
                        peer is not None and not network.is_banned(name_of(other)) and not peer.is_banned(name_of(name))
                    )
                    network.set_link(name_of(other), up=up)

    def running(self, name: str) -> SimulatedNetwork | None:
        """The started network of that name."""
        return self._networks.get(name)

    def _put(self, sender: str, receiver: str, topic: str, data: bytes) -> None:
        at = trio.current_time() + self.delay()
        self._number += 1
        heapq.heappush(self._heap, _Delivery(at, self._number, receiver, sender, topic, data))
        if at < self._alarm.deadline:
            self._alarm.deadline = at

    def _deliver(self, item: _Delivery) -> None:
        network = self._networks.get(item.receiver)
        if network is None or (item.sender, item.receiver) in self.cut or name_of(item.sender) not in network.peers():
            return
        network.accept_gossip(item.topic, item.data, name_of(item.sender))


class SimulatedNetwork(BaseNetwork):
    """A `p2p.network.Network` of one life of a node."""

    def __init__(self, air: Air, name: str) -> None:
        super().__init__(PeerId(name), trio.current_time)
        self._air = air
        self._pipes: dict[int, SimulatedPipeEnd] = {}
        self._relayed: dict[bytes, None] = {}
        self._pipe_number = 0
        self._accepting, self._accepted = trio.open_memory_channel[tuple[PeerId, str, SimulatedPipeEnd]](
            STREAMS_WAITING_MAX
        )
        self.tamper: Callable[[str, bytes], list[tuple[str, bytes]] | None] | None = None
        """A liar's: (topic, data) -> (receiver, data) of what is sent in its place, or None for the truth."""
        self.overhear: Callable[[str, str, bytes], None] | None = None
        """Told of (sender, topic, data) that arrives."""
        self.sent: Callable[[str, bytes], None] | None = None
        """Told of (topic, data) before it leaves."""
        self.banned: Callable[[PeerId], None] = lambda _peer_id: None
        """Told of every peer that this network bans."""

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        """A name in place of an address."""
        return (f"/memory/{self._peer_id}",) if self._started else ()

    async def start(self) -> None:
        """See `p2p.network.Network.start`."""
        self._mark_started()
        self._air.join(self)
        await trio.lowlevel.checkpoint()

    async def serve_streams(self) -> None:
        """Run handlers in the node's own tasks, until cancelled."""
        async with trio.open_nursery() as nursery:
            async for peer_id, protocol, pipe in self._accepted:
                served = self._protocols[protocol]
                stream = FramedStream(peer_id, protocol, pipe, message_bytes_max=served.message_bytes_max)
                nursery.start_soon(self._run_handler, served, stream)

    async def publish(self, topic: str, data: bytes) -> None:
        """See `p2p.network.Network.publish`."""
        subscription = self._check_publication(topic, data)
        subscription.messages_out += 1
        subscription.bytes_out += len(data)
        if self.sent is not None:
            self.sent(topic, data)
        tampered = None if self.tamper is None else self.tamper(topic, data)
        for receiver, content in tampered if tampered is not None else [(peer, data) for peer in self.peers()]:
            self.send_to(receiver, topic, content)
        await trio.lowlevel.checkpoint()

    def send_to(self, receiver: str, topic: str, data: bytes) -> None:
        """Put gossip on one link."""
        if not self._closed:
            self._air.send(self._peer_id, receiver, topic, data)

    async def open_stream(
        self, peer_id: PeerId, protocol: str, *, message_bytes_max: int | None = None, instance: bytes | None = None
    ) -> FramedStream:
        """See `p2p.network.Network.open_stream`. A simulated node is alone under its name."""
        del instance
        self._require_running("open_stream()")
        limit = self._stream_message_bytes_max(protocol, message_bytes_max)
        await trio.sleep(self._air.delay())
        other = self._air.running(peer_id)
        if other is None or peer_id not in self._peers:
            raise PeerUnreachable(peer_id, "it is not connected")
        if not (self._air.passes(self._peer_id, peer_id, None) and self._air.passes(peer_id, self._peer_id, None)):
            await trio.sleep(CONNECT_TIMEOUT_SECONDS)
            raise PeerUnreachable(peer_id, "it does not answer")
        near = self._new_pipe(self._peer_id, peer_id)
        far = self._new_pipe(peer_id, self._peer_id)
        PipeEnd.connect(near, far)
        other.accept_stream(self._peer_id, protocol, far)
        self._streams_opened += 1
        self._remember(near)
        return FramedStream(peer_id, protocol, near, message_bytes_max=limit)

    def keep_connected(self, addresses: Iterable[str], *, narrowest: Scope = Scope.LOOPBACK) -> None:
        """Do nothing: everybody is connected to everybody whom a link leads to."""

    def choose(self, addresses: Iterable[str]) -> None:
        """Do nothing, for the same reason."""

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
        """See `p2p.network.Network.disconnect`; the peer comes back when anything else changes."""
        self.set_link(peer_id, up=False)
        await trio.lowlevel.checkpoint()

    def _expel(self, peer_id: PeerId) -> None:
        self.banned(peer_id)
        self._air.settle()

    def shut(self) -> None:
        """End at once: nothing more goes out or comes in."""
        self._mark_closed()
        self._air.leave(self)
        for pipe in self._pipes.values():
            pipe.break_now()
        self._pipes.clear()
        self._accepting.close()

    def set_link(self, peer_id: PeerId, *, up: bool) -> None:
        """Learn whether a peer is connected. Of two networks, the one with the lesser name counts as the dialler."""
        if up:
            self._connected(peer_id, address=f"/memory/{peer_id}", outbound=self._peer_id < peer_id)
            return
        for number, pipe in list(self._pipes.items()):
            if pipe.other_name == peer_id:
                pipe.break_now()
                del self._pipes[number]
        self._disconnected(peer_id)

    def accept_gossip(self, topic: str, data: bytes, sender: PeerId) -> None:
        """Take one message from a neighbour."""
        if self.overhear is not None:
            self.overhear(sender, topic, data)
        if self._receive_gossip(topic, data, sender) and self._air.relay_rate:
            self._relay(topic, data, sender)

    def _relay(self, topic: str, data: bytes, sender: PeerId) -> None:
        key = hashlib.blake2b(data, digest_size=16).digest()
        if key in self._relayed:
            return
        self._relayed[key] = None
        if len(self._relayed) > RELAYED_MAX:
            del self._relayed[next(iter(self._relayed))]
        receiver = self._air.relayed_to([peer for peer in self.peers() if peer != sender])
        if receiver is not None:
            self.send_to(receiver, topic, data)

    def accept_stream(self, peer_id: PeerId, protocol: str, pipe: SimulatedPipeEnd) -> None:
        """Serve a stream that a neighbour opened. Raises `ProtocolUnsupported`, `PeerUnreachable`."""
        if protocol not in self._protocols:
            raise ProtocolUnsupported(self._peer_id, protocol)
        try:
            self._accepting.send_nowait((peer_id, protocol, pipe))
        except (trio.WouldBlock, trio.BrokenResourceError) as error:
            raise PeerUnreachable(self._peer_id, "it takes no more streams") from error
        self._remember(pipe)

    def _new_pipe(self, name: str, other_name: str) -> SimulatedPipeEnd:
        return SimulatedPipeEnd(self._air, name, other_name)

    def _remember(self, pipe: SimulatedPipeEnd) -> None:
        self._pipes = {number: kept for number, kept in self._pipes.items() if not kept.is_over}
        self._pipe_number += 1
        self._pipes[self._pipe_number] = pipe


class SimulatedPipeEnd(PipeEnd):
    """One end of a pair of pipes with the delays of a link, which may be cut."""

    def __init__(self, air: Air, name: str, other_name: str) -> None:
        super().__init__()
        self._air = air
        self._name, self.other_name = name, other_name
        self._last_arrival = 0.0

    def _arrival(self) -> float:
        if not self._air.passes(self._name, self.other_name, None):
            self.break_now()
            raise trio.BrokenResourceError
        self._last_arrival = max(self._last_arrival, trio.current_time() + self._air.delay())
        return self._last_arrival


def name_of(text: str) -> PeerId:
    """A simulated node's name is its peer id."""
    return PeerId(text)


@lru_cache(maxsize=4_096)
def message_in(data: bytes) -> Message | None:
    """The consensus message in gossiped bytes, or None; of a proposal in outline, the proposal without its batch."""
    try:
        message = decode_gossiped(data)
    except WireError:
        return None
    return message.with_batch(b"") if isinstance(message, ProposalOutline) else message
