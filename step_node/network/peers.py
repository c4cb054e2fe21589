"""Greeting peers, and remembering how far each has come and what it says of itself.

Whoever dials sends a hello first; both sides learn the other's height, and a stranger from another chain is sent away.
The same greeting is repeated now and then with a peer chosen by turns, so that a node that missed every announcement
still learns that the chain has moved on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import starmap

import structlog
import trio

from consensus.wire import WireError, decode, encode
from p2p.errors import NetworkError, PeerFault
from p2p.network import Connection, Fault, Network, PeerId, Stream
from step_node.api.status.node import PeerStatus
from step_node.build import release
from step_node.chain.chain import Chain
from step_node.ledger.rules import known_versions
from step_node.multiaddrs import named_peer
from step_node.network.identities import agreed_validator
from step_node.network.instances import SharedPeerIds
from step_node.network.protocols import HELLO_BYTES_MAX, HELLO_PROTOCOL, HELLO_STREAMS_MAX, Hello
from step_node.network.track_record import TrackRecords

GREETING_INTERVAL_MS = 2_000
"""How often peers, by turns, are asked how far they have come."""
GREETING_ROUND_INTERVALS = 10
"""In how many intervals all of them have had their turn, however many they are."""

log = structlog.get_logger("peers")


class Peers:
    """The peers that have greeted this node. Construct before `network.start`.

    How far others have come is known in two ways, which are never mixed:

    - *told*: a peer says so, in its hello or by what it passes on. Anybody can say anything. It is a reason to ask that
      peer for batches, unless it has been asked and has not delivered (`network.track_record`), and for nothing else.
    - *shown*: a quorum of the validators that this node knows has signed a commit. The chain has come so far.

    `validator` is the address (20 bytes) of the key that this node signs with.
    """

    def __init__(
        self,
        network: Network,
        chain: Chain,
        *,
        on_height: Callable[[PeerId, int], None],
        validator: bytes | None = None,
        on_shared: Callable[[], None] = lambda: None,
    ) -> None:
        self._network = network
        self.shared = SharedPeerIds(network, on_told=on_shared)
        """Which p2p keys are used by two processes; `on_shared` is called when a peer says it of this node's own."""
        self._chain = chain
        self._on_height = on_height
        self._validator = validator
        self._heights: dict[PeerId, int] = {}
        self._hellos: dict[PeerId, Hello] = {}
        self._shown = 0
        self._turn = 0
        self._greeting: set[PeerId] = set()
        self.records = TrackRecords()
        """Who delivers batches and proposals."""
        network.serve(
            HELLO_PROTOCOL, self._answer, message_bytes_max=HELLO_BYTES_MAX, streams_max_per_peer=HELLO_STREAMS_MAX
        )

    def use_key(self, address: bytes) -> None:
        """Say of this node from now on that it is this validator's (its address)."""
        self._validator = address
        self._say_if_unknown()

    def told(self, peer_id: PeerId) -> int | None:
        """The height that a connected peer last told; None before its hello."""
        return self._heights.get(peer_id)

    def statuses(self) -> tuple[PeerStatus, ...]:
        """Who is connected, in order of peer id: how, and what each has said of itself, if it has greeted yet."""
        return tuple(starmap(self._status, self._network.connections().items()))

    def _status(self, peer_id: PeerId, connection: Connection) -> PeerStatus:
        hello = self._hellos.get(peer_id)
        told = None if hello is None else hello.validator
        return PeerStatus(
            peer_id=peer_id,
            address=connection.address,
            outbound=connection.outbound,
            version=None if hello is None else hello.node_version,
            height=self.told(peer_id),
            validator=agreed_validator(self._chain.head.validators, peer_id, told),
            protocol_versions=() if hello is None else hello.protocol_versions,
        )

    @property
    def shown(self) -> int:
        """The greatest height that a verified commit has shown to be final; at least this node's own."""
        return max(self._shown, self._chain.head.chain.height)

    def note_told(self, peer_id: PeerId, height: int) -> None:
        """A peer that has greeted tells in another way that it has come this far."""
        if peer_id in self._heights and height > self._heights[peer_id]:
            self._heights[peer_id] = height
            self._on_height(peer_id, height)

    def note_shown(self, peer_id: PeerId, height: int) -> None:
        """A peer has passed on a commit of this height, which a quorum has signed."""
        self.note_told(peer_id, height)
        if height > self._shown:
            self._shown = height
            self._on_height(peer_id, height)

    def members(self) -> frozenset[PeerId]:
        """The peers that validators of the next height name in their `p2p_address`, connected or not."""
        return frozenset(
            PeerId(peer_id)
            for record in self._chain.head.validators
            if record.is_in_set and (peer_id := named_peer(record.p2p_address)) is not None
        )

    def in_order(self, peer_ids: Iterable[PeerId] | None = None) -> list[PeerId]:
        """Of these peers, or of all that are connected, those that may be asked, in the order in which to ask them."""
        self._turn += 1
        asked = self._network.peers() if peer_ids is None else peer_ids
        return self.records.in_order(asked, members=self.members(), turn=self._turn)

    def askable(self, height: int) -> list[PeerId]:
        """The connected peers that tell they have finalised `height` and are not in doubt, in the order to ask them."""
        return self.in_order(self._ahead(height))

    def somebody_better(self, height: int, than: Iterable[PeerId]) -> bool:
        """Whether a peer may be asked for `height` that is to be asked before any of these."""
        members = self.members()
        best = min((self.records.rank(peer_id, members) for peer_id in self.askable(height)), default=None)
        return best is not None and all(best < self.records.rank(peer_id, members) for peer_id in than)

    def askable_in_seconds(self, height: int) -> float:
        """When the first peer that tells so may be asked; infinite if none tells so."""
        return min((self.records.doubted_seconds(peer_id) for peer_id in self._ahead(height)), default=math.inf)

    def _ahead(self, height: int) -> list[PeerId]:
        return [peer_id for peer_id in self._network.peers() if self._heights.get(peer_id, -1) >= height]

    async def run(self) -> None:
        """Greet every peer that this node dials, and all by turns, until cancelled."""
        self._say_if_unknown()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._greet_by_turns, nursery)
            nursery.start_soon(self.shared.run, self._greet)
            async for event in self._network.peer_events():
                if not event.connected:
                    self._heights.pop(event.peer_id, None)
                    self._hellos.pop(event.peer_id, None)
                elif event.outbound:
                    nursery.start_soon(self._greet, event.peer_id)

    def _say_if_unknown(self) -> None:
        records, own = self._chain.head.validators, self._network.peer_id
        record = next((record for record in records if record.address == self._validator), None)
        if record is not None and named_peer(record.p2p_address) != own:
            log.warning(
                "on chain this validator's address names another node: others neither find nor know this one as it."
                " Its owner puts that right with `step-node validator set-address`",
                p2p_address=record.p2p_address,
                peer_id=own,
            )

    async def _greet_by_turns(self, nursery: trio.Nursery) -> None:
        turn = 0
        while True:
            await trio.sleep(GREETING_INTERVAL_MS / 1000)
            peers = self._network.peers()
            # A greeting may cross a disconnection; so that such ones do not add up, only the connected are kept.
            self._heights = {peer_id: self._heights[peer_id] for peer_id in peers if peer_id in self._heights}
            self._hellos = {peer_id: self._hellos[peer_id] for peer_id in peers if peer_id in self._hellos}
            # Side by side: who does not answer keeps nobody else from being greeted.
            for _ in range(-(-len(peers) // GREETING_ROUND_INTERVALS)):
                turn = (turn + 1) % len(peers)
                if peers[turn] not in self._greeting:
                    nursery.start_soon(self._greet, peers[turn])

    async def _greet(self, peer_id: PeerId, instance: bytes | None = None) -> bool:
        """Whether the peer, or that process under its id, has answered."""
        self._greeting.add(peer_id)
        try:
            async with await self._network.open_stream(peer_id, HELLO_PROTOCOL, instance=instance) as stream:
                await stream.send_message(self._hello(peer_id))
                await self._receive_hello(stream)
                return True
        except PeerFault as error:
            log.warning("a peer's greeting is refused", peer=peer_id, reason=error.detail)
            self._network.penalise(peer_id, error.fault)
        except NetworkError as error:
            log.debug("a peer could not be greeted", peer=peer_id, reason=str(error))
        finally:
            self._greeting.discard(peer_id)
        return False

    async def _answer(self, stream: Stream) -> None:
        # Ours first: one who dials the wrong chain shall see in its own log why it is sent away.
        await stream.send_message(self._hello(stream.peer_id))
        await self._receive_hello(stream)

    def _hello(self, receiver: PeerId) -> bytes:
        head = self._chain.head
        # Only what the chain tells everybody anyway: a validator whose record names another node keeps to itself.
        validator = agreed_validator(head.validators, self._network.peer_id, self._validator)
        hello = Hello(
            self._chain.chain_id,
            self._chain.genesis.hash,
            head.chain.height,
            release(),
            validator,
            other_instance=self.shared.is_shared(receiver),
            protocol_versions=known_versions(),
        )
        return encode(hello)

    async def _receive_hello(self, stream: Stream) -> None:
        data = await stream.receive_message()
        if data is None:
            raise PeerFault(stream.peer_id, Fault.MALFORMED, "hello: is missing")
        try:
            hello = decode(Hello, data, bytes_max=HELLO_BYTES_MAX)
        except WireError as error:
            raise PeerFault(stream.peer_id, Fault.MALFORMED, str(error)) from error
        genesis = self._chain.genesis
        if (hello.chain_id, hello.genesis_hash) != (genesis.chain_id, genesis.hash):
            raise PeerFault(
                stream.peer_id,
                Fault.WRONG_CHAIN,
                f"hello: chain {hello.chain_id!r} with genesis 0x{hello.genesis_hash.hex()}, not"
                f" {genesis.chain_id!r} with 0x{genesis.hash.hex()}",
            )
        if hello.other_instance:
            self.shared.hear(stream.peer_id)
        self._hellos[stream.peer_id] = hello
        self._heights[stream.peer_id] = hello.height
        self._on_height(stream.peer_id, hello.height)
