"""The network between nodes that are far apart: links with a delay, lines with a speed, and what libp2p does on them.

Theory of operation. All validators are connected with one another, and a member's message goes from its publisher to
each of the others, one hop, as `p2p.libp2p_gossip` has it: whoever hears it from its publisher tells the others of its
id only, all of a second together, at the heartbeat. So a message costs its publisher as many sendings as there are
others, each of them one receiving, and everybody an id for each peer.

On its way it waits for the sender's processor, for its line, for the link, for the receiver's line, and for the
receiver's processor, in this order; then the node's own code is handed it. What that code does with it, it pays for
when it is known what it did: a signature that this node has recovered before costs it nothing again.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Final

import trio

from consensus.messages import Commit, Evidence
from p2p.base import Subscription
from p2p.framing import FramedStream
from p2p.libp2p_gossip import (
    DEGREE,
    GOSSIP_WINDOW_HEARTBEATS,
    HEARTBEAT_SECONDS,
    SEND_QUEUE_BULK_BYTES_MAX,
    SEND_QUEUE_BULK_MESSAGES_MAX,
    UNTOLD_MESSAGES_MAX,
)
from p2p.libp2p_publishing import PUBLISH_QUEUE_MESSAGES
from p2p.limits import OWN_MEMBER_BULK_RATE, Share
from p2p.loop_time import FRAME_MS, STREAM_MS
from p2p.network import PeerId
from step_node.crypto.lines import RECOVERED_MAX
from step_node.proofs.wire import check_bundle
from step_node.testing.simulator.network import Air, SimulatedNetwork, SimulatedPipeEnd, message_in
from step_node.testing.wan.costs import KIB, Costs
from step_node.testing.wan.machine import Machine, next_tick
from step_node.testing.wan.work import checked_in_place_us

ENVELOPE_BYTES: Final = 320
"""Around a gossiped message: publisher, number, topic, key, signature; the frames of Yamux, Noise, TCP and IP."""
CONTROL_BYTES: Final = 140
"""Around the ids that a heartbeat tells a peer of."""
TOLD_ID_BYTES: Final = 49
"""An id: its publisher, 39 bytes with secp256k1's key in it, a number of 8, and how long it is."""
FRAME_BYTES: Final = 110
"""Around what is written to a stream at once."""
US_A_MS: Final = 1_000


class WideArea(Air):
    """All links between `machines`: `delay_seconds` each way, and up to `jitter_seconds` more, as the seed says."""

    def __init__(self, rng: random.Random, *, delay_seconds: float, jitter_seconds: float) -> None:
        super().__init__(rng)
        self.quality.delay_least = delay_seconds
        self.quality.delay_spread = jitter_seconds
        self._due: dict[float, list[Callable[[], None]]] = {}
        """What happens at each tick, in the order in which it was asked for."""
        self._ticks: list[float] = []
        """A heap of those."""
        self._expected = 0
        self._last_arrivals: dict[tuple[str, str], float] = {}

    async def run(self) -> None:
        """Let happen what is due, until cancelled."""
        while True:
            now = trio.current_time()
            while self._ticks and self._ticks[0] <= now:
                for do in self._due.pop(heapq.heappop(self._ticks)):
                    do()
            with trio.CancelScope() as self._alarm:
                self._alarm.deadline = self._ticks[0] if self._ticks else math.inf
                await trio.sleep_forever()

    def at(self, when: float, do: Callable[[], None]) -> None:
        """Have something happen at a time, in trio's seconds, or rather at the tick after it."""
        tick = next_tick(when)
        due = self._due.get(tick)
        if due is not None:
            due.append(do)
            return
        self._due[tick] = [do]
        heapq.heappush(self._ticks, tick)
        if tick < self._alarm.deadline:
            self._alarm.deadline = tick

    def phase(self) -> float:
        """Where in its interval something begins that goes on by itself, 0 to 1."""
        return self._rng.random()

    def some_of(self, peers: Sequence[PeerId], count: int) -> frozenset[PeerId]:
        """So many of these, drawn anew."""
        return frozenset(self._rng.sample(peers, count))

    def expect(self, networks: int) -> None:
        """So many networks will start. They are connected when the last one has: one by one costs their square."""
        self._expected = networks

    def settle(self) -> None:
        """See `Air.settle`."""
        if len(self._networks) >= self._expected:
            super().settle()

    def machine_of(self, name: str) -> Machine | None:
        """That of a started network."""
        network = self.running(name)
        return network.machine if isinstance(network, WideNetwork) else None

    def carry(
        self, sender: Machine, receiver: str, size_bytes: int, arrived: Callable[[], None], *, urgent: bool
    ) -> None:
        """Bring so many bytes from one machine to another; `arrived` is called when the last one is there."""
        sender.uplink.send(
            receiver, size_bytes, partial(self._departed, sender.name, receiver, size_bytes, arrived), urgent=urgent
        )

    def _departed(self, sender: str, receiver: str, size_bytes: int, arrived: Callable[[], None]) -> None:
        # A connection delivers in order, whatever the jitter.
        at = max(trio.current_time() + self.delay(), self._last_arrivals.get((sender, receiver), 0.0))
        self._last_arrivals[sender, receiver] = at
        self.at(at, partial(self._arrives, receiver, size_bytes, arrived))

    def _arrives(self, receiver: str, size_bytes: int, arrived: Callable[[], None]) -> None:
        machine = self.machine_of(receiver)
        if machine is not None:
            self.at(machine.downlink.take(size_bytes), arrived)


class WideNetwork(SimulatedNetwork):
    """The network of one node; all members are validators, and `costs` are what libp2p and hearing cost it."""

    def __init__(self, air: WideArea, machine: Machine, members: frozenset[PeerId], costs: Costs) -> None:
        super().__init__(air, machine.name)
        self.machine = machine
        self._wide = air
        self._members = members
        self._costs = costs
        self._bulk_send, self._bulk = trio.open_memory_channel[tuple[str, bytes]](PUBLISH_QUEUE_MESSAGES)
        self._heard: dict[str, Counter[PeerId]] = {}
        """By topic: how many messages were heard from each publisher since the last heartbeat, own ones as well."""
        self._cached: dict[str, deque[int]] = {}
        """By topic: how many there were at each of the last heartbeats."""
        self._recovered: OrderedDict[bytes, None] = OrderedDict()
        """Signatures of consensus that this node has recovered the key of, as many as its own cache keeps."""
        self.not_sent = 0
        """Messages that were not sent to a peer for whom too much waits."""

    # --- saying ---------------------------------------------------------------------------------------------------

    async def publish(self, topic: str, data: bytes) -> None:
        """See `p2p.network.Network.publish`."""
        subscription = self._check_publication(topic, data)
        subscription.messages_out += 1
        subscription.bytes_out += len(data)
        if subscription.urgent:
            self._hand_over(subscription, topic, data)
            await trio.lowlevel.checkpoint()
        else:
            await self._bulk_send.send((topic, data))

    async def run(self) -> None:
        """Publish what is not urgent at its pace, and tell at heartbeats, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._publish_bulk)
            nursery.start_soon(self._tell)

    async def _publish_bulk(self) -> None:
        share = Share(OWN_MEMBER_BULK_RATE, trio.current_time)
        async for topic, data in self._bulk:
            await trio.sleep(share.wait_after(1, len(data)))
            self._hand_over(self._subscriptions[topic], topic, data)

    def _hand_over(self, subscription: Subscription, topic: str, data: bytes) -> None:
        """Have the processor send it to everybody; nobody waits for that."""
        gossip, peers = self._costs.gossip, self.peers()
        each_us = gossip.send_us + gossip.send_us_per_kib * len(data) / KIB
        done = self.machine.processor.charge(gossip.publish_us + each_us * len(peers))
        self._heard.setdefault(topic, Counter())[self._peer_id] += 1
        self._wide.at(done, partial(self._send_to_all, peers, topic, data, subscription.urgent))

    def _send_to_all(self, peers: tuple[PeerId, ...], topic: str, data: bytes, urgent: bool) -> None:
        size_bytes = len(data) + ENVELOPE_BYTES
        for peer_id in peers:
            if not urgent:
                parcels, waiting_bytes = self.machine.uplink.bulk_for(peer_id)
                if parcels >= SEND_QUEUE_BULK_MESSAGES_MAX or waiting_bytes + size_bytes > SEND_QUEUE_BULK_BYTES_MAX:
                    self.not_sent += 1
                    continue
            other = self._wide.running(peer_id)
            if isinstance(other, WideNetwork):
                arrived = partial(other.hear, topic, data, self._peer_id)
                self._wide.carry(self.machine, peer_id, size_bytes, arrived, urgent=urgent)

    async def _tell(self) -> None:
        """At each heartbeat, tell everybody the ids of what was not passed on.

        Where not all are in one mesh, some of the others are told of all that is in the cache, as GossipSub does.
        """
        await trio.sleep(self._wide.phase() * HEARTBEAT_SECONDS)
        while True:
            await trio.sleep(HEARTBEAT_SECONDS)
            heard, self._heard = self._heard, {}
            peers = self.peers()
            lazily = self._wide.some_of(peers, DEGREE) if len(peers) > DEGREE else frozenset()
            for topic, publishers in heard.items():
                self._cached.setdefault(topic, deque(maxlen=GOSSIP_WINDOW_HEARTBEATS)).append(publishers.total())
                untold = min(publishers.total() - publishers[self._peer_id], UNTOLD_MESSAGES_MAX)
                for peer_id in peers:
                    ids = max(0, untold - publishers[peer_id])
                    self._tell_peer(peer_id, sum(self._cached[topic]) if peer_id in lazily else ids)

    def _tell_peer(self, peer_id: PeerId, ids: int) -> None:
        other = self._wide.running(peer_id)
        if ids and isinstance(other, WideNetwork):
            size_bytes = CONTROL_BYTES + ids * TOLD_ID_BYTES
            self.machine.processor.charge(self._costs.gossip.send_us)
            self._wide.carry(self.machine, peer_id, size_bytes, partial(other.hear_ids, ids), urgent=True)

    # --- hearing --------------------------------------------------------------------------------------------------

    def hear(self, topic: str, data: bytes, publisher: PeerId) -> None:
        """A message has arrived. The processor takes it in when it is its turn."""
        costs = self._costs
        work_us = costs.gossip.receive_us + costs.gossip.receive_us_per_kib * len(data) / KIB
        work_us += self._form_us(topic, data)
        self._wide.at(self.machine.processor.charge(work_us), partial(self._take_in, topic, data, publisher))

    def hear_ids(self, ids: int) -> None:
        """A heartbeat's ids have arrived. This node knows them all: they are of messages that were sent to it too."""
        self.machine.processor.charge(self._costs.gossip.receive_us + ids * self._costs.gossip.told_id_us)

    def _take_in(self, topic: str, data: bytes, publisher: PeerId) -> None:
        if self._receive_gossip(topic, data, publisher, publisher):
            self._heard.setdefault(topic, Counter())[publisher] += 1
            if self._subscriptions[topic].urgent:
                signatures = _signatures_in(data)
                new = sum(map(self._note_recovered, signatures))
                self.machine.processor.charge(new * self._costs.recover_us)

    def _form_us(self, topic: str, data: bytes) -> float:
        """What it costs to see what a message is, whatever comes of it."""
        if not self._subscriptions[topic].urgent:
            proofs = _proofs_in(data)
            return self._costs.bundle_us * proofs + checked_in_place_us(self._costs, proofs)
        message = message_in(data)
        if isinstance(message, Commit):
            return self._costs.commit_us * len(message.signatures)
        return self._costs.message_us

    def _note_recovered(self, signature: bytes) -> bool:
        """Whether it is new to this node."""
        is_new = signature not in self._recovered
        self._recovered[signature] = None
        self._recovered.move_to_end(signature)
        while len(self._recovered) > RECOVERED_MAX:
            self._recovered.popitem(last=False)
        return is_new

    # --- streams --------------------------------------------------------------------------------------------------

    async def open_stream(
        self, peer_id: PeerId, protocol: str, *, message_bytes_max: int | None = None, instance: bytes | None = None
    ) -> FramedStream:
        """See `p2p.network.Network.open_stream`."""
        await self.machine.processor.work(STREAM_MS * US_A_MS)
        return await super().open_stream(peer_id, protocol, message_bytes_max=message_bytes_max, instance=instance)

    def accept_stream(self, peer_id: PeerId, protocol: str, pipe: SimulatedPipeEnd) -> None:
        """See `SimulatedNetwork.accept_stream`."""
        self.machine.processor.charge(STREAM_MS * US_A_MS)
        super().accept_stream(peer_id, protocol, pipe)

    def _new_pipe(self, name: str, other_name: str) -> SimulatedPipeEnd:
        return _WidePipeEnd(self._wide, name, other_name)


class _WidePipeEnd(SimulatedPipeEnd):
    """What is written waits for processor and line as all else does."""

    def __init__(self, air: WideArea, name: str, other_name: str) -> None:
        super().__init__(air, name, other_name)
        self._wide = air

    async def write(self, data: bytes) -> None:
        near, far = self._wide.machine_of(self._name), self._wide.machine_of(self.other_name)
        if near is not None and far is not None:
            departed = trio.Event()
            await near.processor.work(FRAME_MS * US_A_MS)
            near.uplink.send(self.other_name, len(data) + FRAME_BYTES, departed.set, urgent=False)
            await departed.wait()
            far.downlink.take(len(data) + FRAME_BYTES)
            far.processor.charge(FRAME_MS * US_A_MS)
        await super().write(data)


@lru_cache(maxsize=1_024)
def _proofs_in(data: bytes) -> int:
    return len(check_bundle(data))


def _signatures_in(data: bytes) -> tuple[bytes, ...]:
    message = message_in(data)
    if message is None or isinstance(message, Evidence):
        return ()
    if isinstance(message, Commit):
        return tuple(entry.signature for entry in message.signatures)
    return (message.signature,)
