"""Catching up: finalised batches with their commits, asked of a peer by height (protocol.md §5).

A batch is applied only when a quorum of the validators of its height has pre-committed it, whoever sent it. The same
protocol serves the proposals that consensus is missing. It runs beside consensus all the time: falling behind while
running is caught up without a restart. Only an empty node that is far behind may jump ahead, to a peer's snapshot of
the state (`network.snapshots`), and fetch what follows it.

A peer that answers slowly is left for another: it is asked again only where nobody else is ahead, or after a minute.

A node that joined so does not have the batches before its snapshot. It answers requests for them with nothing, like one
that is behind, and the asker turns to another peer.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
import trio

from consensus.commit import InvalidCommit
from consensus.messages import Commit, ProofBatch, encode_message
from consensus.wire import WireError, decode, decode_union, encode
from p2p.errors import NetworkError, PeerFault
from p2p.network import Fault, Network, PeerId, Stream
from step_node.batch.batch import Batch, MalformedBatch, decode_batch
from step_node.chain.chain import COMMIT_BYTES_MAX, Chain
from step_node.engine.driver import ConsensusDriver
from step_node.metrics import NodeMetrics
from step_node.network.gossip import Refused, decode_consensus_message
from step_node.network.peers import Peers
from step_node.network.protocols import (
    SYNC_BATCHES_MAX,
    SYNC_BYTES_MAX,
    SYNC_PROTOCOL,
    SYNC_REQUEST_BYTES_MAX,
    SYNC_STREAMS_MAX,
    BatchesRequest,
    FinalisedBatchMessage,
    PacedAnswer,
    PeerTooSlow,
    ProposalRequest,
    SyncRequest,
    receive_answer,
)
from step_node.network.snapshots import SnapshotJoiner
from step_node.offload import run_blocking
from step_node.storage.interface import StorageUnavailable

READ_BATCHES_MAX = 32
"""Batches read from the store at once while answering."""

WANTED_MAX = 16
"""Missing proposals remembered at once; consensus asks again for what is forgotten."""

GRACE_MS = 300
"""How long consensus has, after a peer says it is ahead, to finish the height by itself: usually it does."""

SLOW_PEER_AVOIDED_MS = 60_000
"""How long a peer that was too slow is asked only if nobody else is ahead."""

READ_AHEAD_MAX = 4
"""Batches that are received and decoded while an earlier one is applied; then the peer is left waiting."""

log = structlog.get_logger("sync")


@dataclass(frozen=True, slots=True)
class _Received:
    """A finalised batch of the height that was asked for; whether its commit is good is still to be seen."""

    batch: Batch
    commit: Commit


class Sync:
    """Both sides of the sync protocol. Construct before `network.start`; `run` catches up until cancelled."""

    def __init__(
        self,
        *,
        network: Network,
        chain: Chain,
        driver: ConsensusDriver,
        peers: Peers,
        metrics: NodeMetrics,
        joiner: SnapshotJoiner | None = None,
    ) -> None:
        self._network = network
        self._chain = chain
        self._driver = driver
        self._peers = peers
        self._metrics = metrics
        self._joiner = joiner
        self._hint = trio.Event()
        self._wanted: dict[bytes, int] = {}
        self._turn = 0
        self._slow_until: dict[PeerId, float] = {}
        self._active = False
        network.serve(
            SYNC_PROTOCOL, self._answer, message_bytes_max=SYNC_BYTES_MAX, streams_max_per_peer=SYNC_STREAMS_MAX
        )

    @property
    def active(self) -> bool:
        """Whether batches are being fetched just now."""
        return self._active

    def hint(self) -> None:
        """Somebody seems to be ahead, or a proposal is missing: look now."""
        self._hint.set()

    def want_proposal(self, height: int, batch_hash: bytes) -> None:
        """Ask peers for a proposal that consensus has not seen."""
        if len(self._wanted) < WANTED_MAX:
            self._wanted[batch_hash] = height
        self.hint()

    async def run(self) -> None:
        """Catch up whenever there is a reason to, until cancelled."""
        while True:
            await self._hint.wait()
            self._hint = trio.Event()
            await self._fetch_proposals()
            with trio.move_on_after(GRACE_MS / 1000):
                while self._peers.ahead(self._chain.next_height):
                    await self._driver.wait_for_height()
            while ahead := self._peers.ahead(self._chain.next_height):
                self._active = True
                if await self._joined_from_snapshot():
                    continue
                peer_id = self._choose(ahead)
                if not await self._catch_up(peer_id):
                    self._peers.distrust_height(peer_id)
            self._active = False

    async def _joined_from_snapshot(self) -> bool:
        """Whether an empty node far behind has jumped ahead; if not, it fetches batches, which always leads there."""
        if self._joiner is None or not self._joiner.applies():
            return False
        far_ahead = self._peers.ahead(self._chain.next_height + self._joiner.distance_batches)
        return bool(far_ahead) and await self._joiner.join(far_ahead)

    def _choose(self, ahead: list[PeerId]) -> PeerId:
        """One of these peers, by turns; one that was too slow only where there is no other."""
        connected, now = set(self._network.peers()), trio.current_time()
        self._slow_until = {one: end for one, end in self._slow_until.items() if end > now and one in connected}
        quick = [peer_id for peer_id in ahead if peer_id not in self._slow_until] or ahead
        self._turn += 1
        return quick[self._turn % len(quick)]

    # --- asking -------------------------------------------------------------------------------------------------

    async def _catch_up(self, peer_id: PeerId) -> bool:
        """Fetch and apply what `peer_id` has; whether that led anywhere."""
        height_before = self._chain.next_height
        request = BatchesRequest(self._chain.next_height, SYNC_BATCHES_MAX)
        try:
            async with await self._network.open_stream(peer_id, SYNC_PROTOCOL) as stream:
                await stream.send_message(encode(request))
                async with trio.open_nursery() as nursery:
                    send, receive = trio.open_memory_channel[_Received | NetworkError](READ_AHEAD_MAX)
                    nursery.start_soon(_read_ahead, stream, request, send)
                    failure = await self._apply_all(peer_id, receive)
                    nursery.cancel_scope.cancel()
                if failure is not None:
                    raise failure
        except PeerFault as error:
            log.warning("a peer's batches are refused", peer=peer_id, reason=error.detail)
            self._network.penalise(peer_id, error.fault)
        except NetworkError as error:
            log.info("a peer stopped answering", peer=peer_id, reason=str(error))
            if isinstance(error, PeerTooSlow):
                self._slow_until[peer_id] = trio.current_time() + SLOW_PEER_AVOIDED_MS / 1000
        return self._chain.next_height > height_before

    async def _apply_all(
        self, peer_id: PeerId, received: trio.MemoryReceiveChannel[_Received | NetworkError]
    ) -> NetworkError | None:
        """Apply what comes; why it ended before its end, if it did."""
        async for item in received:
            if isinstance(item, NetworkError):
                return item
            try:
                await self._apply(item)
            except InvalidCommit as error:
                return PeerFault(peer_id, Fault.INVALID_DATA, f"height {item.batch.header.height}: {error}")
        return None

    async def _apply(self, received: _Received) -> None:
        batch, height = received.batch, received.batch.header.height
        if height < self._chain.next_height:
            return  # Consensus was quicker.
        self._chain.check_commit(received.commit, height=height, batch_hash=batch.hash)
        await self._driver.apply_decided(batch, received.commit)
        self._metrics.sync_batch_applied()

    async def _fetch_proposals(self) -> None:
        wanted, self._wanted = self._wanted, {}
        peers = self._network.peers()
        for batch_hash, height in wanted.items():
            for peer_id in peers:
                if height != self._chain.next_height or await self._fetch_proposal(peer_id, height, batch_hash):
                    break

    async def _fetch_proposal(self, peer_id: PeerId, height: int, batch_hash: bytes) -> bool:
        try:
            async with await self._network.open_stream(peer_id, SYNC_PROTOCOL) as stream:
                await stream.send_message(encode(ProposalRequest(height, batch_hash)))
                data = await receive_answer(stream)
        except PeerFault as error:
            self._network.penalise(peer_id, error.fault)
            return False
        except NetworkError as error:
            log.debug("a peer did not give a proposal", peer=peer_id, reason=str(error))
            return False
        if data is None:
            return False
        try:
            received = decode_consensus_message(data, self._chain)
        except Refused as error:
            log.warning("a peer's proposal is refused", peer=peer_id, reason=str(error))
            self._network.penalise(peer_id, error.fault)
            return False
        if not isinstance(received.message, ProofBatch) or received.message.batch_hash != batch_hash:
            self._network.penalise(peer_id, Fault.UNREQUESTED)
            return False
        self._driver.deliver(received.message, received.batch)
        return True

    # --- answering ----------------------------------------------------------------------------------------------

    async def _answer(self, stream: Stream) -> None:
        data = await stream.receive_message()
        if data is None:
            return
        try:
            request: BatchesRequest | ProposalRequest = decode_union(
                SyncRequest, data, bytes_max=SYNC_REQUEST_BYTES_MAX
            )
        except WireError as error:
            raise PeerFault(stream.peer_id, Fault.MALFORMED, str(error)) from error
        if isinstance(request, ProposalRequest):
            proposal = self._driver.proposal(request.height, request.batch_hash)
            if proposal is not None:
                await stream.send_message(encode_message(proposal))
        else:
            await self._send_batches(stream, request)

    async def _send_batches(self, stream: Stream, request: BatchesRequest) -> None:
        height = request.from_height
        end = min(height + request.limit, self._chain.next_height)
        while height < end:
            try:
                batches = await self._chain.storage.batches(height, min(READ_BATCHES_MAX, end - height))
            except StorageUnavailable as error:
                log.info("a peer's request is cut short", peer=stream.peer_id, reason=str(error))
                return
            if not batches:
                return
            for stored in batches:
                commit = decode(Commit, stored.commit, bytes_max=COMMIT_BYTES_MAX)
                await stream.send_message(encode(FinalisedBatchMessage(stored.batch, commit)))
            height += len(batches)


async def _read_ahead(
    stream: Stream, request: BatchesRequest, received: trio.MemorySendChannel[_Received | NetworkError]
) -> None:
    """Receive and decode the answer; an error is handed on as its last item."""
    answer = PacedAnswer(stream)
    async with received:
        try:
            for height in range(request.from_height, request.from_height + request.limit):
                data = await answer.receive()
                if data is None:
                    return
                # Decoding hashes each of up to a thousand proofs: too long for the event loop.
                await received.send(await run_blocking(_decoded, stream.peer_id, height, data))
        except NetworkError as error:
            await received.send(error)


def _decoded(peer_id: PeerId, height: int, data: bytes) -> _Received:
    try:
        message = decode(FinalisedBatchMessage, data, bytes_max=SYNC_BYTES_MAX)
        batch = decode_batch(message.batch)
    except (WireError, MalformedBatch) as error:
        raise PeerFault(peer_id, Fault.MALFORMED, str(error)) from error
    if batch.header.height != height:
        raise PeerFault(peer_id, Fault.UNREQUESTED, f"batch {batch.header.height} in place of {height}")
    return _Received(batch, message.commit)
