"""The one interface between a node and its peers.

Theory of operation. A network moves bytes, in two ways. *Gossip*: what is published on a topic reaches, sooner or
later and most of the time, every node that subscribes to it; it can be lost, delivered twice or out of order, and
whoever needs more says it again. *Streams*: a two-way conversation with one peer, made of whole messages, complete and
in order or ended by an error. What the bytes mean is not known here.

A network is used in this order: construct it (an asynchronous context manager), `subscribe` to topics and `serve`
protocols, then `start`, which begins to listen, to dial and to deliver. Leaving the context closes everything.

Whose fault an error is, is in its type (`p2p.errors`): `PeerFault` is the peer's and has a penalty, the others are
the environment's. A peer whose penalties add up (`p2p.penalties`) is disconnected and refused for a while.

There are two implementations, and one suite of contract tests for both: `p2p.libp2p_network` and `p2p.memory`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import TracebackType
from typing import Final, NewType, Protocol, Self, TypeAlias

import trio

PeerId = NewType("PeerId", str)
"""The text form of a libp2p peer identity (base58)."""

GOSSIP_BYTES_MAX: Final = 1_000_000
"""The longest message any topic can carry: one GossipSub RPC holds 1 MiB, and the envelope needs some of it."""

STREAM_MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
"""The longest message that any stream protocol may allow itself."""

ADDED_PEERS_MAX: Final = 64
"""Peers that an operator may add at run time; for more there is the configuration."""

PEER_EVENTS_BUFFER: Final = 1_024
"""Events kept for a reader of `peer_events` that is behind; beyond it the newest is dropped and counted."""


class Scope(IntEnum):
    """How far an IP address reaches; a greater one reaches further."""

    NOWHERE = 0
    """No host: unspecified, multicast, reserved."""
    LOOPBACK = 1
    LINK = 2
    PRIVATE = 3
    """Private, unique local, or a carrier's."""
    PUBLIC = 4


class Fault(StrEnum):
    """What a peer did wrong. The points are in `p2p.penalties.PENALTY_POINTS`."""

    MALFORMED = "malformed"
    """Bytes that do not decode."""
    OVERSIZED = "oversized"
    """A message over the limit of its topic or protocol."""
    WRONG_CHAIN = "wrong_chain"
    """It belongs to another chain (protocol.md §5)."""
    BAD_SIGNATURE = "bad_signature"
    """A signature that does not verify."""
    INVALID_DATA = "invalid_data"
    """Well-formed, but breaks a rule that the peer could check itself."""
    UNREQUESTED = "unrequested"
    """An answer to a question nobody asked, or to another one."""
    UNVERIFIABLE = "unverifiable"
    """What only a node that has come less or more far can judge: it goes no further, and costs nothing."""
    STALE = "stale"
    """What is over, or was said a moment ago: it goes no further, and costs nothing."""
    FLOOD = "flood"
    """More than its share."""
    STALLED = "stalled"
    """It stopped in the middle of a conversation."""


class Drop(StrEnum):
    """Why something was thrown away; `NetworkStatistics.dropped` counts each."""

    SUBSCRIBER_FULL = "subscriber_full"
    """Gossip arrived faster than its reader took it."""
    OVERSIZED = "oversized"
    """Gossip over the limit of its topic."""
    INVALID = "invalid"
    """Gossip that the topic's validator refused."""
    BANNED = "banned"
    """Gossip, a stream or a connection from a peer that is banned."""
    FLOOD = "flood"
    """Gossip beyond its sender's share (`p2p.limits`)."""
    STREAM_LIMIT = "stream_limit"
    """A peer opened more streams of a protocol than it may, or all peers together more than can be served."""
    CONNECTION_LIMIT = "connection_limit"
    """A connection over `connections_max`, or beyond the share of its IP address (`p2p.limits`)."""
    PEER_EVENT = "peer_event"
    """A reader of `peer_events` was too far behind."""
    SEND_QUEUE_FULL = "send_queue_full"
    """A peer took gossip more slowly than it was forwarded."""


@dataclass(frozen=True, slots=True)
class GossipMessage:
    """One message of a topic, as it arrived."""

    topic: str
    data: bytes
    sender: PeerId
    """The neighbour that handed it over, who is not always the one that published it."""


@dataclass(frozen=True, slots=True)
class PeerEvent:
    """A peer's connection came to be, or ended. Where another one takes its place, both are told."""

    peer_id: PeerId
    connected: bool
    outbound: bool
    """True if this node dialled."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How a connected peer is connected."""

    address: str
    """The other end as a multiaddr, without its peer id. Of a peer that dialled, the port is no listening one."""
    outbound: bool
    """True if this node dialled."""
    began_at: float
    """By trio's clock, seconds."""


@dataclass(frozen=True, slots=True)
class Ban:
    """A peer that is refused for so many seconds more, for its faults or on the operator's word."""

    peer_id: PeerId
    seconds: float
    by_operator: bool


@dataclass(frozen=True, slots=True)
class TopicStatistics:
    """Gossip of one topic since the start. `in` is what was delivered to the subscriber, `out` what was published."""

    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, slots=True)
class NetworkStatistics:
    """Counters since the start, except for the first four and `streams_open`, which are of now."""

    peers: int
    banned: int
    streams_kept: int
    """Streams with connected peers that are not let go of yet, whoever has opened them."""
    entries_by_peer: int
    """What is kept by peer id, in all lists together: of who is connected, and for a while of who is gone."""
    topics: Mapping[str, TopicStatistics]
    dropped: Mapping[Drop, int]
    penalties: Mapping[Fault, int]
    streams_opened: int
    streams_served: int
    streams_open: int
    """Of those that peers have opened."""
    handler_failures: int
    """Handlers that ended with an error which was not the peer's: each is a bug, and is in the log."""


class Stream(Protocol):
    """A conversation with one peer, in whole messages. Not to be read from (or written to) by two tasks at once.

    Used as an asynchronous context manager, it closes on a normal exit and resets on an error.
    """

    @property
    def peer_id(self) -> PeerId:
        """The other end, authenticated."""
        ...

    @property
    def protocol(self) -> str:
        """The protocol that this stream speaks."""
        ...

    async def send_message(self, data: bytes) -> None:
        """Send one message.

        Raises `MessageTooLarge` (nothing is sent), `PeerFault` STALLED if the peer does not take it within
        `SEND_TIMEOUT_SECONDS`, `PeerUnreachable` if the stream is gone.
        """
        ...

    async def receive_message(self) -> bytes | None:
        """Return the next message, or None where the peer ended the conversation between two messages.

        Raises `PeerFault` OVERSIZED (before reading the message) or STALLED (nothing for `RECEIVE_TIMEOUT_SECONDS`),
        `PeerUnreachable` if the stream is gone or ends inside a message.
        """
        ...

    async def close(self) -> None:
        """End this side of the conversation; the peer receives what was sent, then None. Never raises."""
        ...

    async def reset(self) -> None:
        """Abandon the conversation: both sides' pending calls fail. Never raises."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


StreamHandler: TypeAlias = Callable[[Stream], Awaitable[None]]
GossipValidator: TypeAlias = Callable[[PeerId, bytes], Fault | None]
OwnGossipHandler: TypeAlias = Callable[[bytes], None]


class Network(Protocol):
    """See the module's docstring. Every method must be called from the trio thread."""

    @property
    def peer_id(self) -> PeerId:
        """This node."""
        ...

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        """Full multiaddrs, with real ports and `/p2p/<peer id>`; empty before `start`."""
        ...

    async def start(self) -> None:
        """Begin to listen, to dial and to deliver. Raises `AddressInUse`; RuntimeError on a second call."""
        ...

    async def publish(self, topic: str, data: bytes) -> None:
        """Hand a message to the gossip; it is not delivered back to this node.

        Returns once it is queued, and waits while the queue is full. Publishing the same bytes again is a new message,
        which reaches everybody again. Raises `MessageTooLarge` over the topic's limit, ValueError if this node does
        not subscribe to the topic, RuntimeError before `start`, `NetworkClosed` after the end.
        """
        ...

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
        """Join a topic; call before `start`, once for each topic.

        What is `urgent` overtakes what is not wherever it waits to be sent, and has shares of its own (`p2p.limits`).

        When `buffer_messages` wait unread, the newest is dropped and counted (SUBSCRIBER_FULL). `validate(sender,
        data)` is called for every message *before* it is passed on to other peers; it must be quick and must not
        block. If it returns a fault, the message goes no further, and the sender is penalised. Only such a fault can
        fairly be held against the sender: whatever is found later, it may have passed on in good faith.

        A message that bears this node's own peer id, and that this process has not published, comes from another
        process with its key (or from this node's life before its restart). It is neither delivered nor passed on;
        `on_own(data)` is called with it instead, within the sender's share, and must be as quick.
        Raises ValueError for a second subscription or a limit out of range, RuntimeError after `start`.
        """
        ...

    def serve(
        self, protocol: str, handler: StreamHandler, *, message_bytes_max: int, streams_max_per_peer: int
    ) -> None:
        """Answer a protocol: `handler` runs once for each stream that a peer opens; call before `start`.

        The stream is closed when the handler returns. A handler that raises resets its stream and nothing else: if it
        raised `PeerFault`, the peer is penalised; if it raised what is not a `NetworkError`, that is logged and counted
        (`handler_failures`). Streams over `streams_max_per_peer` are reset and counted (STREAM_LIMIT).
        Raises ValueError for a second handler or a limit out of range, RuntimeError after `start`.
        """
        ...

    async def open_stream(
        self, peer_id: PeerId, protocol: str, *, message_bytes_max: int | None = None, instance: bytes | None = None
    ) -> Stream:
        """Open a stream to a connected peer; with `instance`, to that one of `instances`.

        The limit is that of `serve` for the same protocol, unless `message_bytes_max` (bytes) is given.
        Raises `PeerUnreachable` if the peer is not connected, is banned or does not answer in time,
        `ProtocolUnsupported` if it does not serve the protocol.
        """
        ...

    def peers(self) -> tuple[PeerId, ...]:
        """The peers connected now, in order of peer id."""
        ...

    def instances(self, peer_id: PeerId) -> tuple[bytes, ...]:
        """The processes that are connected under this peer id now: one, unless its key is used in two places.

        An instance is named by what only its process can prove, and is another one after a restart. One whose machine
        has vanished stays until its connection is given up.
        """
        ...

    def connections(self) -> Mapping[PeerId, Connection]:
        """How each of `peers` is connected, in the same order."""
        ...

    def peer_events(self) -> trio.MemoryReceiveChannel[PeerEvent]:
        """A new channel of events. It starts with one event for each peer that is connected already."""
        ...

    def penalise(self, peer_id: PeerId, fault: Fault) -> None:
        """Charge a peer for a fault. At `BAN_THRESHOLD_POINTS` it is disconnected and refused for `BAN_SECONDS`."""
        ...

    def keep_connected(self, addresses: Iterable[str], *, narrowest: Scope = Scope.LOOPBACK) -> None:
        """Stay connected to the peers at these full multiaddrs, beside those of the operator's own choice.

        They are dialled until they are connected and whenever they are lost, and have reserved places: no stranger
        keeps one of them out (`p2p.places`). A second call replaces the first; whoever is not kept any more stays
        connected. This node's own address is skipped. `narrowest` is as for `connect`. Raises ValueError for an address
        that nobody could dial.
        """
        ...

    def choose(self, addresses: Iterable[str]) -> None:
        """Take these full multiaddrs for those of the operator's own choice, in place of those before.

        Whoever is not chosen any more stays connected. Raises ValueError for an address that nobody could dial.
        """
        ...

    async def connect(self, address: str, *, narrowest: Scope = Scope.LOOPBACK) -> None:
        """Connect to the peer at a full multiaddr, once, unless it is connected.

        An address that does not reach as far as `narrowest` is not dialled, nor a name that comes to such addresses.
        Raises `PeerUnreachable`, saying why it is not connected then; ValueError as above.
        """
        ...

    async def verify(self, address: str, *, narrowest: Scope = Scope.LOOPBACK) -> None:
        """See whether the peer can be dialled at a full multiaddr, and hang up; connected or not makes no difference.

        Raises as `connect` does.
        """
        ...

    def is_banned(self, peer_id: PeerId) -> bool:
        """Whether a peer is refused now; it is not dialled either."""
        ...

    async def disconnect(self, peer_id: PeerId) -> None:
        """Close all connections to a peer, if there are any; it may come back. Never raises."""
        ...

    # What an operator does at run time.

    def ban(self, peer_id: PeerId, seconds: float) -> None:
        """Disconnect a peer and refuse it for so long, whatever its faults. Raises ValueError as
        `p2p.penalties.PenaltyBook.ban_for` does."""
        ...

    def unban(self, peer_id: PeerId) -> bool:
        """Lift what bans there are of a peer, and forgive its faults; whether there was a ban."""
        ...

    def bans(self) -> tuple[Ban, ...]:
        """Who is refused now, in order of peer id."""
        ...

    def points(self, peer_id: PeerId) -> float:
        """What a peer's faults add up to now."""
        ...

    async def add_peer(self, address: str) -> None:
        """Stay connected to the peer at this full multiaddr until it is dropped, or the network ends.

        Raises `PeerUnreachable` if it cannot be connected now, in which case it is tried again; ValueError for an
        address that nobody could dial, or beyond `ADDED_PEERS_MAX`.
        """
        ...

    async def drop_peer(self, peer_id: PeerId) -> None:
        """Forget that it was added, and disconnect it; it may come back."""
        ...

    def is_kept(self, peer_id: PeerId) -> bool:
        """Whether this node dials the peer whenever it is lost."""
        ...

    def statistics(self) -> NetworkStatistics:
        """A snapshot."""
        ...
