"""GossipSub, with the losses of py-libp2p 0.8.1 taken out (docs/adr/0003-gossip-settings.md).

Theory of operation. A publication goes to every connected subscriber at once (flood publishing), and each of them
passes it on to its mesh; messages are signed by their publisher and known by (publisher, sequence number). The hook
that libp2p calls a validator runs once for each new message, before it is passed on, and knows who handed it over:
here that is where a message is delivered, so that py-libp2p's own subscription buffer (32 messages) has no part.
What waits for a slow peer is bounded in messages and bytes, and counted when dropped. Urgent topics overtake the others
there: in one line, votes wait behind megabytes of proofs that somebody floods the network with, and the chain stops.

py-libp2p starts a task for each message that it reads, and so reads as fast as a peer sends. Here a message is dealt
with before the next is read, and a peer beyond its share (`p2p.limits`) is read more slowly: its flood waits at its own
end. Whoever passes on what its publisher has not signed is charged, since no honest peer passes that on.

What a member has published, and has handed over itself, it has handed to every other member as well: each of them would
be sent it again by all others, and what a message costs depends little on its size. So its id alone is told, at the
next heartbeat and together with those of the second, and whoever lacks it asks. Who has asked for a member's messages
has no connection to it, and is sent them at once from then on.

A peer whose key is used in two places is two processes, and each has a connection (`p2p.libp2p_instances`). py-libp2p
has one gossip stream for each peer id, so that whoever connected first would be told everything and the other nothing.
Here each instance has a stream, and what goes to the peer goes to all of them; what one of them has published goes to
the others too, which is how they can hear one another.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio
from libp2p.abc import IMuxedConn, INetConn, INetStream
from libp2p.host.basic_host import BasicHost
from libp2p.io.exceptions import MessageTooLarge
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.mcache import default_msg_id_fn
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import PriorityQueue, RpcQueue
from libp2p.pubsub.utils import maybe_consume_signed_record, safe_bytes_from_hex
from libp2p.pubsub.validators import signature_validator
from libp2p.utils.varint import encode_varint_prefixed, read_varint_prefixed_bytes_limited

from p2p.libp2p_faults import LIBP2P_ERRORS, STREAM_ENDS
from p2p.libp2p_instances import instance_of, open_connections, open_stream_on
from p2p.libp2p_yamux import BoundedYamux
from p2p.limits import ANSWERED_RATE, READ_RATE, Shares
from p2p.loop_time import Account
from p2p.network import GOSSIP_BYTES_MAX, Fault
from p2p.read_ahead import ReadAhead

DEGREE: Final = 8
DEGREE_LOW: Final = 6
DEGREE_HIGH: Final = 12
"""Up to nine nodes are one full mesh; more are a mesh, with flood publishing and IHAVE for the rest."""
HEARTBEAT_SECONDS: Final = 1
GOSSIP_WINDOW_HEARTBEATS: Final = 3
GOSSIP_HISTORY_HEARTBEATS: Final = 5
PRUNE_BACK_OFF_SECONDS: Final = 10
SEEN_SECONDS: Final = 120
RPC_BYTES_MAX: Final = 1024 * 1024
SEND_QUEUE_MESSAGES_MAX: Final = 1_024
SEND_QUEUE_BYTES_MAX: Final = 32 * 1024 * 1024
"""What may wait for one peer; beyond either, a message is not sent to it, and counted."""
SEND_QUEUE_BULK_MESSAGES_MAX: Final = SEND_QUEUE_MESSAGES_MAX // 2
SEND_QUEUE_BULK_BYTES_MAX: Final = 4 * 1024 * 1024
"""How much of it may be of topics that are not urgent."""
SUBSCRIPTIONS_PER_RPC_MAX: Final = 64
MESSAGES_PER_RPC_MAX: Final = 1_000
"""Nodes here send one; more than this is somebody who wants a few bytes to cost much."""
CONTROL_IDS_PER_RPC_MAX: Final = 5_000
"""Ids in the IHAVE and IWANT of one RPC, as the specification's MaxIHaveLength."""
UNTOLD_MESSAGES_MAX: Final = 1_000
"""Messages of a topic that wait to be told of; members' shares allow fewer, and of more nobody is told."""
LACKING_SECONDS: Final = 600
"""For so long a peer that has asked for what somebody has published is sent it at once."""
LACKING_MAX: Final = 4_096
"""Pairs of a peer and a publisher that are remembered for that; a further one has to ask each time."""
VALIDATION_CACHE_MESSAGES: Final = 64
STREAM_RETRY_SECONDS: Final = 0.5
"""How long after a gossip stream could not be opened it is tried again."""

assert GOSSIP_BYTES_MAX < RPC_BYTES_MAX

ReceiveFunction = Callable[[ID, rpc_pb2.Message], bool]
"""(the neighbour, the message) -> whether it may be passed on."""
FaultFunction = Callable[[ID, Fault], None]
"""(the neighbour, what it did wrong)."""


class GossipRouter(GossipSub):
    """GossipSub that publishes to every subscriber and has none of the rate limits that lose messages.

    `reaches_all(publisher)` says of whom every other member may be taken to hear itself.
    """

    def __init__(self, reaches_all: Callable[[ID], bool] = lambda _publisher: False) -> None:
        super().__init__(
            # 1.1 and not later: 1.2 sends an IDONTWANT for every message, however small, to every mesh peer.
            protocols=[PROTOCOL_ID_V11],
            degree=DEGREE,
            degree_low=DEGREE_LOW,
            degree_high=DEGREE_HIGH,
            gossip_window=GOSSIP_WINDOW_HEARTBEATS,
            gossip_history=GOSSIP_HISTORY_HEARTBEATS,
            heartbeat_initial_delay=0.1,
            heartbeat_interval=HEARTBEAT_SECONDS,
            do_px=False,
            prune_back_off=PRUNE_BACK_OFF_SECONDS,
            unsubscribe_back_off=PRUNE_BACK_OFF_SECONDS,
            adaptive_gossip_enabled=False,
            spam_protection_enabled=False,
            eclipse_protection_enabled=False,
        )
        # Penalties are this package's own (p2p.penalties); two judges would disagree.
        self.scorer = None
        self._answered = Shares(ANSWERED_RATE, trio.current_time)
        self._reaches_all = reaches_all
        self._untold: dict[str, list[rpc_pb2.Message]] = {}
        """By topic, what was not passed on and has yet to be told of."""
        self._lacking: dict[tuple[ID, bytes], float] = {}
        """(a peer, a publisher that it has asked for the messages of) -> until when it is sent them at once."""

    async def publish(self, msg_forwarder: ID, pubsub_msg: rpc_pb2.Message) -> None:
        """Send one message on: our own to every subscriber, another's to the mesh, or only tell of it."""
        pubsub = self._attached()
        self.mcache.put(pubsub_msg)
        topic = pubsub_msg.topicIDs[0]
        publisher = ID(pubsub_msg.from_id)
        targets: set[ID] = set()
        if msg_forwarder == pubsub.my_id:
            targets |= pubsub.peer_topics.get(topic, set())
        elif msg_forwarder == publisher and self._reaches_all(publisher):
            untold = self._untold.setdefault(topic, [])
            if len(untold) < UNTOLD_MESSAGES_MAX:
                untold.append(pubsub_msg)
            targets |= {peer for peer in pubsub.peer_topics.get(topic, ()) if self._lacks(peer, pubsub_msg.from_id)}
        else:
            targets |= self.mesh.get(topic, set())
        targets -= {msg_forwarder, publisher}
        if pubsub.has_twins(publisher):
            targets.add(publisher)
        rpc = rpc_pb2.RPC(publish=[pubsub_msg])
        for peer_id in targets:
            self.send_rpc(peer_id, rpc)

    def gossip_heartbeat(self) -> defaultdict[ID, dict[str, list[bytes]]]:
        """The ids to tell each peer of, by topic: GossipSub's, and of what was not passed on."""
        told = super().gossip_heartbeat()
        pubsub = self._attached()
        for topic, messages in self._untold.items():
            ids = [(default_msg_id_fn(message), ID(message.from_id)) for message in messages]
            for peer_id in pubsub.peer_topics.get(topic, ()):
                known = set(told[peer_id].get(topic, ()))
                lacking = [each for each, publisher in ids if publisher != peer_id and each not in known]
                if lacking:
                    told[peer_id].setdefault(topic, []).extend(lacking)
        self._untold.clear()
        return told

    def send_rpc(self, peer_id: ID, rpc: rpc_pb2.RPC, priority: bool = False) -> None:
        """Queue an RPC for a peer, for each of its instances."""
        super().send_rpc(peer_id, rpc, priority)
        self._attached().send_to_twins(peer_id, rpc)

    async def send_recent_messages(self, peer_id: ID, topic: str) -> None:
        """Bring a new subscriber up to date, through its queue.

        py-libp2p's own writes to the stream beside the sending task, and two writers mix up their frames.
        """
        for message_id in self.mcache.window(topic):
            message = self.mcache.get(message_id)
            if message is not None:
                self.send_rpc(peer_id, rpc_pb2.RPC(publish=[message]))

    async def handle_iwant(self, iwant_msg: rpc_pb2.ControlIWant, sender_peer_id: ID) -> None:
        """Send what a neighbour has missed, each message in an RPC of its own, within the neighbour's share.

        py-libp2p's own puts all of it into one RPC, as often as an id is repeated: that is over the limit for an RPC
        with two large messages, and over any memory with a few thousand repetitions.
        """
        answered = self._answered.of(sender_peer_id)
        for message_id in dict.fromkeys(iwant_msg.messageIDs):
            wanted = safe_bytes_from_hex(message_id)
            message = None if wanted is None else self.mcache.get(wanted)
            if message is not None and answered.take(message.ByteSize()):
                self._note_lacking(sender_peer_id, message.from_id)
                self.send_rpc(sender_peer_id, rpc_pb2.RPC(publish=[message]))

    def _lacks(self, peer_id: ID, publisher: bytes) -> bool:
        return self._lacking.get((peer_id, publisher), -math.inf) > trio.current_time()

    def _note_lacking(self, peer_id: ID, publisher: bytes) -> None:
        now = trio.current_time()
        if len(self._lacking) >= LACKING_MAX:
            self._lacking = {pair: until for pair, until in self._lacking.items() if until > now}
        if len(self._lacking) < LACKING_MAX:
            self._lacking[peer_id, publisher] = now + LACKING_SECONDS

    async def handle_prune(self, prune_msg: rpc_pb2.ControlPrune, sender_peer_id: ID) -> None:
        """Heed a PRUNE of our own topics only: back-offs of others would be remembered for ever."""
        if prune_msg.topicID in self.mesh:
            await super().handle_prune(prune_msg, sender_peer_id)

    async def handle_graft(self, graft_msg: rpc_pb2.ControlGraft, sender_peer_id: ID) -> None:
        """Heed a GRAFT of our own topics only."""
        if graft_msg.topicID in self.mesh:
            await super().handle_graft(graft_msg, sender_peer_id)

    def _attached(self) -> Gossip:
        if not isinstance(self.pubsub, Gossip):
            raise TypeError("the router is not attached to a Gossip")
        return self.pubsub


class Gossip(Pubsub):
    """Pubsub that delivers through `receive`, never through its own subscription channels."""

    def __init__(
        self,
        host: BasicHost,
        router: GossipRouter,
        topics: frozenset[str],
        *,
        receive: ReceiveFunction,
        on_fault: FaultFunction,
        on_drop: Callable[[int], None],
        urgent: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(
            host,
            router,
            seen_ttl=SEEN_SECONDS,
            strict_signing=True,
            validation_cache_size=VALIDATION_CACHE_MESSAGES,
            validation_cache_ttl=SEEN_SECONDS,
            max_subscriptions_per_rpc=SUBSCRIPTIONS_PER_RPC_MAX,
            max_subscriptions_per_peer=SUBSCRIPTIONS_PER_RPC_MAX,
            max_inbound_rpc_size=RPC_BYTES_MAX,
            allowed_topics=topics,
        )
        self._receive = receive
        self._on_fault = on_fault
        self._read_shares = Shares(READ_RATE, trio.current_time)
        self._own_host = host
        self.peer_queues = self._queues = _PeerQueues(urgent, on_drop)
        self._twins: dict[ID, dict[bytes, _Twin]] = {}
        """By instance, those that the stream in `peers` does not lead to; no more than a peer may have connections."""
        # Sequence numbers start at the time in seconds by default, so that a node which published faster than one a
        # second and restarts repeats its numbers, and its new messages are taken for old ones.
        self.counter = self._counter_began = time.time_ns()

    def notify_subscriptions(self, publish_message: rpc_pb2.Message) -> None:
        """Do nothing: `push_msg` has delivered the message."""

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        """Take in one message: our own to publish, or a neighbour's to check, to deliver and to pass on.

        A message counts as seen only once it has been found good: one that claims another's number and is bad must not
        keep the good one out. What bears our own peer id and was not published by this process goes to `receive` as
        well, which knows what that means.
        """
        if msg_forwarder == self.my_id:
            # py-libp2p's own would verify the signature that this process has just made.
            self._mark_msg_seen(msg)
            await self.router.publish(msg_forwarder, msg)
        elif len(msg.topicIDs) != 1:
            self._on_fault(msg_forwarder, Fault.MALFORMED)
        elif not self._is_msg_seen(msg) and not self._has_published(msg):
            if not _is_signed(msg):
                self._on_fault(msg_forwarder, Fault.BAD_SIGNATURE)
            elif self._receive(msg_forwarder, msg):
                self._mark_msg_seen(msg)
                await self.router.publish(msg_forwarder, msg)

    def _has_published(self, message: rpc_pb2.Message) -> bool:
        """Whether it is this process that has: its numbers are a range that no other process has (nanoseconds)."""
        number = int.from_bytes(message.seqno, "big")
        return ID(message.from_id) == self.my_id and self._counter_began < number <= self.counter

    def entries_by_peer(self) -> int:
        """What is kept by peer id."""
        return len(self._read_shares) + len(self.peers) + len(self._queues) + len(self._twins)

    def has_twins(self, peer_id: ID) -> bool:
        """Whether more than one instance of a peer is sent gossip."""
        return peer_id in self._twins

    def send_to_twins(self, peer_id: ID, rpc: rpc_pb2.RPC) -> None:
        """Queue an RPC for the instances of a peer beyond the first."""
        for twin in self._twins.get(peer_id, {}).values():
            twin.queue.push(rpc)

    def _reach_twins(self, peer_id: ID) -> None:
        """Have each instance of a connected peer sent its gossip once, over a connection that is open."""
        main = self.peers.get(peer_id)
        reached = b"" if main is None else instance_of(main.muxed_conn)
        connections = open_connections(self._own_host, peer_id)
        connections.pop(reached, None)
        twins = self._twins.pop(peer_id, {})
        for instance, twin in list(twins.items()):
            if instance not in connections or twin.connection.is_closed:
                twins.pop(instance).queue.close()
        if main is not None:
            for instance, connection in connections.items():
                if instance not in twins:
                    twins[instance] = _Twin(connection, self._queues.bounded(RpcQueue()))
                    self.manager.run_task(self._send_to_twin, twins[instance])
        if twins:
            self._twins[peer_id] = twins

    async def _send_to_twin(self, twin: _Twin) -> None:
        """Send what waits for one instance, over its own connection, for as long as that is open."""
        while not (twin.connection.is_closed or twin.queue.closed):
            try:
                stream = await open_stream_on(self._own_host, twin.connection, self.protocols)
                rpc: rpc_pb2.RPC | None = self.get_hello_packet()
                while rpc is not None:
                    await stream.write(encode_varint_prefixed(rpc.SerializeToString()))
                    rpc = await twin.queue.pop()
            except LIBP2P_ERRORS:
                await trio.sleep(STREAM_RETRY_SECONDS)
        self._reach_twins(twin.connection.muxed_conn.peer_id)

    async def _handle_new_peer_with_retry(self, peer_id: ID, timeout: float | None = None) -> None:
        """Open the stream on which a peer is sent gossip, trying again for as long as it is connected.

        py-libp2p tries again after some errors only. That a peer did not answer in time, as on a busy machine or right
        after a pause, is none of them: a peer whose stream could not be opened once was never sent anything again. And
        its pauses grow to ten seconds, which a network that has just healed would wait for in vain.
        """
        with trio.move_on_after(math.inf if timeout is None else timeout):
            while True:
                try:
                    await self._handle_new_peer(peer_id)
                    self._reach_twins(peer_id)
                    return
                except LIBP2P_ERRORS as error:
                    # py-libp2p tells this case apart in the text of its error only.
                    if "not supported" in str(error.__cause__) or not self._peer_is_connected(peer_id):
                        return
                await trio.sleep(STREAM_RETRY_SECONDS)

    def _handle_dead_peer(self, peer_id: ID) -> None:
        """Let go of a broken stream to a peer, but not of what the peer subscribes to while it is still connected.

        A stream breaks when the peer takes nothing for some seconds, as a paused process does. py-libp2p then opens
        another, but forgets the peer's subscriptions, which the peer has no reason to announce again: nothing would
        ever be sent to it until it is disconnected.
        """
        subscribed = [topic for topic, peers in self.peer_topics.items() if peer_id in peers]
        super()._handle_dead_peer(peer_id)
        if self._peer_is_connected(peer_id):
            for topic in subscribed:
                self.peer_topics.setdefault(topic, set()).add(peer_id)
            self._peer_subscription_count[peer_id] = len(subscribed)

    async def stream_handler(self, stream: INetStream) -> None:
        """Read a peer's RPCs until its stream ends; a malformed one ends it, and is charged."""
        peer_id = stream.muxed_conn.peer_id
        try:
            await self.continuously_read_stream(stream)
        except STREAM_ENDS:
            pass  # It hung up, or was cut off.
        except MessageTooLarge:
            self._on_fault(peer_id, Fault.OVERSIZED)
        except LIBP2P_ERRORS:
            self._on_fault(peer_id, Fault.MALFORMED)
        else:
            return
        await stream.reset()
        sending = self.peers.get(peer_id)
        if sending is None or sending.muxed_conn is stream.muxed_conn:
            self._handle_dead_peer(peer_id)

    def begin_again(self, connection: IMuxedConn) -> None:
        """A peer has this connection in place of another: let go of the stream on that one, and open one here."""
        sending = self.peers.get(connection.peer_id)
        if sending is not None and sending.muxed_conn is not connection:
            self._handle_dead_peer(connection.peer_id)

    async def continuously_read_stream(self, stream: INetStream) -> None:
        """Read RPCs one by one, no faster than the peer's share allows. Raises what the stream and a bad RPC raise."""
        peer_id = stream.muxed_conn.peer_id
        share = self._read_shares.of(peer_id)
        connection = stream.muxed_conn
        if not isinstance(connection, BoundedYamux):
            raise TypeError(f"a stream of gossip on a {type(connection).__name__}")
        ahead = ReadAhead(stream.read)
        while self.manager.is_running:
            data = await read_varint_prefixed_bytes_limited(ahead, RPC_BYTES_MAX)
            # Whether the peer has a reserved place may change while it is connected.
            account = connection.account()
            messages = await self._take_in(peer_id, data, account)
            pause_seconds = share.wait_after(max(1, messages), len(data))
            await trio.sleep(max(pause_seconds, account.debt_seconds()))

    async def _take_in(self, peer_id: ID, data: bytes, account: Account) -> int:
        """Take in one RPC; how many messages are in it."""
        with account.measured():
            rpc = rpc_pb2.RPC.FromString(data)
            sound = self._is_within_limits(peer_id, rpc)
            for subscription in rpc.subscriptions if sound else ():
                self.handle_subscription(peer_id, subscription)
        if not sound:
            self._on_fault(peer_id, Fault.MALFORMED)
            return len(rpc.publish)
        for message in rpc.publish:
            if self._is_subscribed_to_msg(message):
                with account.measured():
                    await self.push_msg(peer_id, message)
            if len(rpc.publish) > 1:
                # A message costs more than this address may take at once: the others must not come at once either.
                await trio.sleep(account.debt_seconds())
        if rpc.HasField("control"):
            with account.measured():
                await self.router.handle_rpc(rpc, peer_id)
        return len(rpc.publish)

    def _is_within_limits(self, peer_id: ID, rpc: rpc_pb2.RPC) -> bool:
        control = rpc.control
        control_ids = sum(len(part.messageIDs) for part in control.ihave)
        control_ids += sum(len(part.messageIDs) for part in control.iwant)
        return (
            len(rpc.publish) <= MESSAGES_PER_RPC_MAX
            and len(rpc.subscriptions) <= SUBSCRIPTIONS_PER_RPC_MAX
            and control_ids <= CONTROL_IDS_PER_RPC_MAX
            and maybe_consume_signed_record(rpc, self.host, peer_id)
        )


def _is_signed(message: rpc_pb2.Message) -> bool:
    try:
        return signature_validator(message)
    except LIBP2P_ERRORS:
        return False  # A key or a peer id that is none.


@dataclass(frozen=True, slots=True)
class _Twin:
    """An instance of a peer beyond the one that py-libp2p knows of, and what waits for it."""

    connection: INetConn
    queue: RpcQueue


class _PeerQueues(dict[ID, RpcQueue]):
    """The queues to each peer, made bounded in bytes as they are added (py-libp2p builds them itself, with 32)."""

    def __init__(self, urgent: frozenset[str], on_drop: Callable[[int], None]) -> None:
        super().__init__()
        self._urgent = urgent
        self._on_drop = on_drop

    def __setitem__(self, peer_id: ID, queue: RpcQueue) -> None:
        super().__setitem__(peer_id, self.bounded(queue))

    def bounded(self, queue: RpcQueue) -> RpcQueue:
        """The same queue, with the bounds that each has."""
        queue._queue = _SendQueue(self._urgent, self._on_drop)
        return queue


class _SendQueue(PriorityQueue):
    """What waits for one peer: control messages and urgent topics first, each in their order, then the rest."""

    def __init__(self, urgent: frozenset[str], on_drop: Callable[[int], None]) -> None:
        super().__init__(SEND_QUEUE_MESSAGES_MAX)
        self._urgent = urgent
        self._on_drop = on_drop
        self._bytes = 0
        self._bulk_bytes = 0

    def push(self, rpc: rpc_pb2.RPC, priority: bool = False) -> bool:
        """Add an RPC; False if it was dropped. What it holds decides its place in line, not `priority`."""
        del priority
        size_bytes = rpc.ByteSize()
        bulk = self._is_bulk(rpc)
        full = self._bytes + size_bytes > SEND_QUEUE_BYTES_MAX or (
            bulk
            and (
                self._bulk_bytes + size_bytes > SEND_QUEUE_BULK_BYTES_MAX
                or len(self._non_priority) >= SEND_QUEUE_BULK_MESSAGES_MAX
            )
        )
        if full or not super().push(rpc, priority=not bulk):
            self._on_drop(len(rpc.publish))
            return False
        self._count(size_bytes, bulk)
        return True

    def pop(self) -> rpc_pb2.RPC | None:
        """Take the next RPC."""
        rpc = super().pop()
        if rpc is not None:
            self._count(-rpc.ByteSize(), self._is_bulk(rpc))
        return rpc

    def _is_bulk(self, rpc: rpc_pb2.RPC) -> bool:
        return any(message.topicIDs[0] not in self._urgent for message in rpc.publish)

    def _count(self, size_bytes: int, bulk: bool) -> None:
        self._bytes += size_bytes
        if bulk:
            self._bulk_bytes += size_bytes
