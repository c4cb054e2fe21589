"""What every implementation of `Network` has in common: registrations, delivery, penalties, events and counts.

Theory of operation. An implementation brings bytes and connections, and tells this class of them; here they are
checked against the limits, handed to subscribers and handlers, and counted. Nothing here blocks, except a handler.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import trio

from p2p.containment import Containment
from p2p.errors import MessageTooLarge, NetworkClosed, NetworkError, PeerFault
from p2p.framing import FramedStream
from p2p.limits import GossipShares
from p2p.network import (
    GOSSIP_BYTES_MAX,
    PEER_EVENTS_BUFFER,
    STREAM_MESSAGE_BYTES_MAX,
    Ban,
    Connection,
    Drop,
    Fault,
    GossipMessage,
    GossipValidator,
    NetworkStatistics,
    OwnGossipHandler,
    PeerEvent,
    PeerId,
    Scope,
    StreamHandler,
    TopicStatistics,
)
from p2p.penalties import NO_BANS, Bans, PenaltyBook

logger: Final = logging.getLogger("p2p")

REFUSED_SECONDS: Final = 0.5
"""For so long a message that was refused is refused unseen if the same neighbour sends it again. Honest nodes say again
what was lost after a second, and this one may have moved on by then, as it may have when another neighbour sends it."""
REFUSED_MAX: Final = 1_024
"""Refused messages remembered for that; beyond it the oldest is looked at again when it comes again."""
STREAMS_SERVED_MAX: Final = 256
"""Streams answered at once, all peers and protocols together; one more is reset, and its opener may try again."""


@asynccontextmanager
async def open_plain_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery that lets a single error through as itself, so that a caller can catch `AddressInUse` by its name."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        raise group.exceptions[0] from group.exceptions[0].__cause__


@dataclass(slots=True)
class Subscription:
    """One topic that this node has joined."""

    message_bytes_max: int
    channel: trio.MemorySendChannel[GossipMessage]
    validate: GossipValidator | None
    on_own: OwnGossipHandler | None
    urgent: bool
    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0


@dataclass(slots=True)
class ServedProtocol:
    """One protocol that this node answers."""

    handler: StreamHandler
    message_bytes_max: int
    streams_max_per_peer: int
    open_streams: Counter[PeerId] = field(default_factory=Counter)


class BaseNetwork:
    """The shared half of a `Network`; an implementation adds start, publish, open_stream and disconnect."""

    def __init__(self, peer_id: PeerId, clock: Callable[[], float], bans: Bans = NO_BANS) -> None:
        self._peer_id = peer_id
        self._penalties = PenaltyBook(clock, bans)
        self._clock = clock
        self._refused: OrderedDict[bytes, tuple[float, Fault]] = OrderedDict()
        """Hash of sender, topic and message -> when it was refused, and for what."""
        self._shares = {urgent: GossipShares(clock, urgent=urgent) for urgent in (True, False)}
        self._members: frozenset[PeerId] = frozenset()
        """Who has a reserved place by `keep_connected`, this node among them if it is one of those."""
        self._subscriptions: dict[str, Subscription] = {}
        self._protocols: dict[str, ServedProtocol] = {}
        self._peers: dict[PeerId, Connection] = {}
        self._event_readers: list[trio.MemorySendChannel[PeerEvent]] = []
        self._dropped: Counter[Drop] = Counter()
        self._streams_opened = 0
        self._streams_served = 0
        self._streams_open = 0
        self._containment = Containment()
        self._started = False
        self._closed = False

    @property
    def peer_id(self) -> PeerId:
        """This node."""
        return self._peer_id

    def subscribe(
        self,
        topic: str,
        *,
        message_bytes_max: int,
        buffer_messages: int,
        validate: GossipValidator | None = None,
        on_own: OwnGossipHandler | None = None,
        urgent: bool = False,
    ) -> trio.MemoryReceiveChannel[GossipMessage]:
        """See `p2p.network.Network.subscribe`."""
        self._refuse_after_start(f"subscribe({topic!r})")
        if topic in self._subscriptions:
            raise ValueError(f"topic {topic!r} has a subscription already")
        _require_in_range("message_bytes_max", message_bytes_max, GOSSIP_BYTES_MAX)
        _require_in_range("buffer_messages", buffer_messages, None)
        sender, receiver = trio.open_memory_channel[GossipMessage](buffer_messages)
        self._subscriptions[topic] = Subscription(message_bytes_max, sender, validate, on_own, urgent)
        return receiver

    def serve(
        self, protocol: str, handler: StreamHandler, *, message_bytes_max: int, streams_max_per_peer: int
    ) -> None:
        """See `p2p.network.Network.serve`."""
        self._refuse_after_start(f"serve({protocol!r})")
        if protocol in self._protocols:
            raise ValueError(f"protocol {protocol!r} has a handler already")
        _require_in_range("message_bytes_max", message_bytes_max, STREAM_MESSAGE_BYTES_MAX)
        _require_in_range("streams_max_per_peer", streams_max_per_peer, None)
        self._protocols[protocol] = ServedProtocol(handler, message_bytes_max, streams_max_per_peer)

    def peers(self) -> tuple[PeerId, ...]:
        """See `p2p.network.Network.peers`."""
        return tuple(sorted(self._peers))

    def instances(self, peer_id: PeerId) -> tuple[bytes, ...]:
        """See `p2p.network.Network.instances`: one, where no peer id can be used twice."""
        return (peer_id.encode(),) if peer_id in self._peers else ()

    def connections(self) -> Mapping[PeerId, Connection]:
        """See `p2p.network.Network.connections`."""
        return MappingProxyType({peer_id: self._peers[peer_id] for peer_id in self.peers()})

    def peer_events(self) -> trio.MemoryReceiveChannel[PeerEvent]:
        """See `p2p.network.Network.peer_events`."""
        sender, receiver = trio.open_memory_channel[PeerEvent](PEER_EVENTS_BUFFER)
        for peer_id, connection in self.connections().items():
            self._send_event(sender, PeerEvent(peer_id, connected=True, outbound=connection.outbound))
        if self._closed:
            sender.close()
        else:
            self._event_readers.append(sender)
        return receiver

    def penalise(self, peer_id: PeerId, fault: Fault) -> None:
        """See `p2p.network.Network.penalise`."""
        if self._penalties.charge(peer_id, fault):
            logger.warning("peer %s is banned: its last fault was %s", peer_id, fault)
            self._expel(peer_id)

    def is_banned(self, peer_id: PeerId) -> bool:
        """See `p2p.network.Network.is_banned`."""
        return self._penalties.is_banned(peer_id)

    def ban(self, peer_id: PeerId, seconds: float) -> None:
        """See `p2p.network.Network.ban`."""
        self._penalties.ban_for(peer_id, seconds)
        self._expel(peer_id)

    def unban(self, peer_id: PeerId) -> bool:
        """See `p2p.network.Network.unban`."""
        return self._penalties.unban(peer_id)

    def bans(self) -> tuple[Ban, ...]:
        """See `p2p.network.Network.bans`."""
        by_operator = self._penalties.operator_bans()
        lasting = self._penalties.bans() | by_operator
        return tuple(Ban(peer_id, lasting[peer_id], peer_id in by_operator) for peer_id in sorted(lasting))

    def points(self, peer_id: PeerId) -> float:
        """See `p2p.network.Network.points`."""
        return self._penalties.points(peer_id)

    def is_kept(self, peer_id: PeerId) -> bool:
        """See `p2p.network.Network.is_kept`: nobody, where nobody is dialled."""
        del peer_id
        return False

    async def add_peer(self, address: str) -> None:
        """See `p2p.network.Network.add_peer`: a connection, where nobody is dialled."""
        await self.connect(address)

    async def drop_peer(self, peer_id: PeerId) -> None:
        """See `p2p.network.Network.drop_peer`."""
        await self.disconnect(peer_id)

    async def connect(self, address: str, *, narrowest: Scope = Scope.LOOPBACK) -> None:
        """See `p2p.network.Network.connect`."""
        raise NotImplementedError

    async def disconnect(self, peer_id: PeerId) -> None:
        """See `p2p.network.Network.disconnect`."""
        raise NotImplementedError

    def statistics(self) -> NetworkStatistics:
        """See `p2p.network.Network.statistics`."""
        return NetworkStatistics(
            peers=len(self._peers),
            banned=self._penalties.banned_count(),
            streams_kept=self._streams_kept(),
            entries_by_peer=self._entries_by_peer(),
            topics=MappingProxyType(
                {
                    topic: TopicStatistics(one.messages_in, one.bytes_in, one.messages_out, one.bytes_out)
                    for topic, one in self._subscriptions.items()
                }
            ),
            dropped=MappingProxyType(dict(self._dropped)),
            penalties=MappingProxyType(self._penalties.charged()),
            streams_opened=self._streams_opened,
            streams_served=self._streams_served,
            streams_open=self._streams_open,
            handler_failures=self._containment.failures,
        )

    def _expel(self, peer_id: PeerId) -> None:
        """Disconnect a peer that was just banned; must not block."""
        raise NotImplementedError

    def _streams_kept(self) -> int:
        """See `NetworkStatistics.streams_kept`; where there is no connection to ask, those that are served."""
        return self._streams_open

    def _entries_by_peer(self) -> int:
        """See `NetworkStatistics.entries_by_peer`."""
        return (
            len(self._peers)
            + len(self._penalties)
            + sum(map(len, self._shares.values()))
            + sum(len(served.open_streams) for served in self._protocols.values())
        )

    # What an implementation tells of.

    def _mark_started(self) -> None:
        if self._closed:
            raise NetworkClosed("the network has been closed")
        self._refuse_after_start("start()")
        self._started = True

    def _mark_closed(self) -> None:
        """End every channel that readers wait on."""
        self._closed = True
        self._peers.clear()
        for subscription in self._subscriptions.values():
            subscription.channel.close()
        for reader in self._event_readers:
            reader.close()
        self._event_readers.clear()

    def _require_running(self, call: str) -> None:
        if self._closed:
            raise NetworkClosed("the network has been closed")
        if not self._started:
            raise RuntimeError(f"{call} must come after start()")

    def _connected(self, peer_id: PeerId, *, address: str, outbound: bool) -> None:
        if peer_id not in self._peers and not self._closed:
            self._peers[peer_id] = Connection(address, outbound, trio.current_time())
            self._announce(PeerEvent(peer_id, connected=True, outbound=outbound))

    def _disconnected(self, peer_id: PeerId) -> None:
        connection = self._peers.pop(peer_id, None)
        if connection is not None:
            self._announce(PeerEvent(peer_id, connected=False, outbound=connection.outbound))

    def _check_publication(self, topic: str, data: bytes) -> Subscription:
        self._require_running("publish()")
        subscription = self._subscriptions.get(topic)
        if subscription is None:
            raise ValueError(f"publish() to {topic!r}, which this node does not subscribe to")
        if len(data) > subscription.message_bytes_max:
            raise MessageTooLarge(topic, len(data), subscription.message_bytes_max)
        return subscription

    def _receive_gossip(self, topic: str, data: bytes, sender: PeerId, publisher: PeerId | None = None) -> bool:
        """Check and deliver one message; return whether it may be passed on to other peers.

        `publisher` is who has signed it, where that is known; `sender` the neighbour that handed it over. What this
        process has published itself must not come here.
        """
        subscription = self._subscriptions.get(topic)
        if subscription is None or self._closed:
            return False
        if self._penalties.is_banned(sender):
            self._dropped[Drop.BANNED] += 1
            return False
        if len(data) > subscription.message_bytes_max:
            self._dropped[Drop.OVERSIZED] += 1
            self.penalise(sender, Fault.OVERSIZED)
            return False
        shares = self._shares[subscription.urgent]
        verdict = shares.judge(sender, publisher, len(data), by_member=publisher in self._members)
        if not verdict.accepted:
            self._dropped[Drop.FLOOD] += 1
            if verdict.charge:
                self.penalise(sender, Fault.FLOOD)
            return False
        if publisher == self._peer_id:
            if subscription.on_own is not None:
                subscription.on_own(data)
            return False
        fault = self._fault_of(topic, subscription, sender, data)
        if fault is not None:
            self._dropped[Drop.INVALID] += 1
            self.penalise(sender, fault)
            return False
        try:
            subscription.channel.send_nowait(GossipMessage(topic, data, sender))
        except trio.WouldBlock:
            # Other peers may have room, so it is passed on all the same.
            self._dropped[Drop.SUBSCRIBER_FULL] += 1
        except trio.BrokenResourceError:
            pass  # The reader has left; the node still relays.
        else:
            subscription.messages_in += 1
            subscription.bytes_in += len(data)
        return True

    def _fault_of(self, topic: str, subscription: Subscription, sender: PeerId, data: bytes) -> Fault | None:
        """What the topic's validator says of a message. To send again what was refused just now costs a hash."""
        if subscription.validate is None:
            return None
        key, now = hashlib.sha256(f"{sender}\0{topic}\0".encode() + data).digest(), self._clock()
        refused_at, fault = self._refused.get(key, (-REFUSED_SECONDS, None))
        if fault is not None and now < refused_at + REFUSED_SECONDS:
            return fault
        fault = subscription.validate(sender, data)
        if fault is not None:
            self._refused[key] = (now, fault)
            self._refused.move_to_end(key)
            while len(self._refused) > REFUSED_MAX:
                self._refused.popitem(last=False)
        return fault

    def _stream_message_bytes_max(self, protocol: str, message_bytes_max: int | None) -> int:
        """The limit for a stream that this node opens."""
        if message_bytes_max is not None:
            _require_in_range("message_bytes_max", message_bytes_max, STREAM_MESSAGE_BYTES_MAX)
            return message_bytes_max
        served = self._protocols.get(protocol)
        if served is None:
            raise ValueError(f"open_stream({protocol!r}) needs message_bytes_max: this node does not serve it")
        return served.message_bytes_max

    async def _run_handler(self, served: ServedProtocol, stream: FramedStream) -> None:
        """Serve one stream to its end. Whatever happens in it, only this stream suffers."""
        peer_id = stream.peer_id
        banned = self._penalties.is_banned(peer_id)
        if (
            banned
            or served.open_streams[peer_id] >= served.streams_max_per_peer
            or self._streams_open >= STREAMS_SERVED_MAX
        ):
            self._dropped[Drop.BANNED if banned else Drop.STREAM_LIMIT] += 1
            await stream.reset()
            return
        served.open_streams[peer_id] += 1
        self._streams_open += 1
        self._streams_served += 1
        try:
            with self._containment.of(f"the handler of {stream.protocol}, talking to {peer_id},"):
                async with stream:
                    await served.handler(stream)
        except PeerFault as fault:
            logger.warning("peer %s is at fault: %s", fault.peer_id, fault.detail)
            self.penalise(fault.peer_id, fault.fault)
        except NetworkError as error:
            logger.debug("%s with %s ended early: %s", stream.protocol, peer_id, error)
        finally:
            self._streams_open -= 1
            served.open_streams[peer_id] -= 1
            if not served.open_streams[peer_id]:
                del served.open_streams[peer_id]

    def _announce(self, event: PeerEvent) -> None:
        for reader in tuple(self._event_readers):
            self._send_event(reader, event)

    def _send_event(self, reader: trio.MemorySendChannel[PeerEvent], event: PeerEvent) -> None:
        try:
            reader.send_nowait(event)
        except trio.WouldBlock:
            self._dropped[Drop.PEER_EVENT] += 1
        except trio.BrokenResourceError:
            self._event_readers.remove(reader)

    def _refuse_after_start(self, call: str) -> None:
        if self._started:
            raise RuntimeError(f"{call} must come before start(), and start() only once")


def _require_in_range(name: str, value: int, maximum: int | None) -> None:
    if value < 1 or (maximum is not None and value > maximum):
        raise ValueError(f"{name} must be at least 1{f' and at most {maximum}' if maximum else ''}, not {value}")
