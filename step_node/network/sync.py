"""Catching up: finalised batches with their commits, asked of a peer by height (protocol.md §5).

A batch is applied only when a quorum of the validators of its height has pre-committed it, whoever sent it. The same
protocol serves the proposals that consensus is missing. It runs beside consensus all the time: falling behind while
running is caught up without a restart. Only an empty node that is far behind may jump ahead, to a peer's snapshot of
the state (`network.snapshots`), and fetch what follows it.

Nobody is believed. What peers tell of their height says only whom to ask: first who has delivered, then members of the
validator set, two at once. Who does not deliver is not asked for a while (`network.track_record`).

A node that joined so does not have the batches before its snapshot. It answers requests for them with nothing, like one
that is behind, and the asker turns to another peer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial

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
from step_node.network.consensus_judge import ConsensusJudge, Refused
from step_node.network.peers import Peers
from step_node.network.proposals import Proposals
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
    asked,
)
from step_node.network.snapshots import SnapshotJoiner
from step_node.network.track_record import ask_until_delivered
from step_node.offload import run_blocking
from step_node.storage.interface import StorageUnavailable

READ_BATCHES_MAX = 32
"""Batches read from the store at once while answering."""

WANTED_MAX = 16
"""Missing proposals remembered at once; consensus asks again for what is forgotten."""

GRACE_MS = 300
"""How long consensus has, after a peer says it is ahead, to finish the height by itself: usually it does."""

ROUND_PEERS_MAX = 8
"""Peers asked before it is seen again who is to be asked: somebody better may have connected meanwhile."""

PACE_SECONDS_MIN = 0.001
"""An answer that came sooner counts as having taken so long."""

READ_AHEAD_MAX = 4
"""Batches that are received and decoded while an earlier one is applied; then the peer is left waiting."""

log = structlog.get_logger("sync")


@dataclass(frozen=True, slots=True)
class _Received:
    """A finalised batch of the height that was asked for; whether its commit is good is still to be seen."""

    batch: Batch
    commit: Commit


@dataclass(slots=True)
class _Race:
    """Peers that are asked for the same batches at once: the first whose batch is applied goes on alone."""

    asked: dict[PeerId, trio.CancelScope] = field(default_factory=dict)
    winner: PeerId | None = None

    def won_by(self, winner: PeerId) -> None:
        """Let go of the others, who have done nothing wrong."""
        self.winner = winner
        for peer_id, scope in self.asked.items():
            if peer_id != winner:
                scope.cancel()


class Sync:
    """Both sides of the sync protocol. Construct before `network.start`; `run` catches up until cancelled."""

    def __init__(
        self,
        *,
        network: Network,
        chain: Chain,
        driver: ConsensusDriver,
        peers: Peers,
        proposals: Proposals,
        metrics: NodeMetrics,
        joiner: SnapshotJoiner | None = None,
    ) -> None:
        self._network = network
        self._chain = chain
        self._driver = driver
        self._peers = peers
        self._proposals = proposals
        self._metrics = metrics
        self._joiner = joiner
        self._judge = ConsensusJudge(chain)
        self._hint = trio.Event()
        self._wanted: dict[bytes, tuple[int, PeerId | None]] = {}
        """By batch hash: its height, and who should have it."""
        self._wanted_hint = trio.Event()
        self._arriving = False
        self._overdue_height = 0
        """A height that a commit had shown, and that consensus did not reach within its grace."""
        network.serve(
            SYNC_PROTOCOL, self._answer, message_bytes_max=SYNC_BYTES_MAX, streams_max_per_peer=SYNC_STREAMS_MAX
        )

    @property
    def active(self) -> bool:
        """Whether this node is behind, as far as anything verified says: batches arrive that a quorum has signed, or a
        signed commit shows a height that consensus is not about to reach by itself. What peers only tell has no part.
        """
        shown, next_height = self._peers.shown, self._chain.next_height
        overdue = shown == next_height == self._overdue_height
        return self._arriving or shown > next_height or overdue or (self._joiner is not None and self._joiner.receiving)

    def hint(self) -> None:
        """Somebody seems to be ahead: look now."""
        self._hint.set()

    def want_proposal(self, height: int, batch_hash: bytes, first: PeerId | None = None) -> None:
        """Ask peers for a proposal that consensus has not seen, first of all the one that should have it."""
        if len(self._wanted) < WANTED_MAX:
            self._wanted[batch_hash] = height, first
        self._wanted_hint.set()

    async def run(self) -> None:
        """Catch up, and fetch proposals, whenever there is a reason to, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._catch_up_when_hinted)
            nursery.start_soon(self._fetch_wanted_proposals)

    async def _catch_up_when_hinted(self) -> None:
        while True:
            # Who was in doubt is asked again when that is over, whether it greets again or not.
            with trio.move_on_after(self._peers.askable_in_seconds(self._chain.next_height)):
                await self._hint.wait()
            self._hint = trio.Event()
            shown_before = self._peers.shown
            # Who only follows does not get there by itself.
            with trio.move_on_after(GRACE_MS / 1000 if self._driver.takes_part else 0):
                while self._peers.askable(self._chain.next_height):
                    await self._driver.wait_for_height()
            if shown_before >= self._chain.next_height:
                self._overdue_height = self._chain.next_height
            while ahead := self._peers.askable(self._chain.next_height):
                if not await self._joined_from_snapshot():
                    await self._catch_up(ahead[:ROUND_PEERS_MAX])
            self._arriving = False

    async def _joined_from_snapshot(self) -> bool:
        """Whether an empty node far behind has jumped ahead; if not, it fetches batches, which always leads there."""
        if self._joiner is None or not self._joiner.applies():
            return False
        far_ahead = self._peers.askable(self._chain.next_height + self._joiner.distance_batches)
        return bool(far_ahead) and await self._joiner.join(far_ahead)

    # --- asking -------------------------------------------------------------------------------------------------

    def _asked(self, peer_id: PeerId, request: bytes) -> AbstractAsyncContextManager[tuple[Stream, PacedAnswer]]:
        patience_seconds = self._peers.records.patience_seconds(peer_id)
        return asked(self._network, peer_id, SYNC_PROTOCOL, request, patience_seconds=patience_seconds)

    async def _catch_up(self, peer_ids: Sequence[PeerId]) -> None:
        """Fetch and apply what the first of these peers has that delivers."""
        race = _Race()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._stop_for_somebody_better, race, nursery.cancel_scope)
            if not await ask_until_delivered(peer_ids, partial(self._ask_in_race, race)):
                self._arriving = False
            nursery.cancel_scope.cancel()

    async def _stop_for_somebody_better(self, race: _Race, asking: trio.CancelScope) -> None:
        """Who has not delivered yet keeps nobody waiting who is to be asked before, and has just said it is ahead."""
        while True:
            await self._hint.wait()
            self._hint = trio.Event()
            if race.winner is None and self._peers.somebody_better(self._chain.next_height, race.asked):
                asking.cancel()

    async def _ask_in_race(self, race: _Race, peer_id: PeerId) -> bool:
        if race.winner is not None:
            return False
        with trio.CancelScope() as race.asked[peer_id]:
            return await self._ask_for_batches(race, peer_id)
        return False

    async def _ask_for_batches(self, race: _Race, peer_id: PeerId) -> bool:
        """Fetch and apply what `peer_id` has; whether that led anywhere."""
        records, began = self._peers.records, trio.current_time()
        height_before = self._chain.next_height
        request = BatchesRequest(height_before, SYNC_BATCHES_MAX)
        try:
            async with self._asked(peer_id, encode(request)) as (_, answer):
                async with trio.open_nursery() as nursery:
                    send, receive = trio.open_memory_channel[_Received | NetworkError](READ_AHEAD_MAX)
                    nursery.start_soon(_read_ahead, peer_id, answer, request, send)
                    applied, failure = await self._apply_all(race, peer_id, receive)
                    nursery.cancel_scope.cancel()
                if failure is not None:
                    raise failure
        except PeerFault as error:
            log.warning("a peer's batches are refused", peer=peer_id, reason=error.detail)
            self._network.penalise(peer_id, error.fault)
            records.broke(peer_id)
        except NetworkError as error:
            log.info("a peer stopped answering", peer=peer_id, reason=str(error))
            records.broke(peer_id)
        else:
            if applied:
                records.kept(peer_id, pace=applied / max(trio.current_time() - began, PACE_SECONDS_MIN))
            elif self._chain.next_height == height_before:
                records.broke(peer_id)
        return self._chain.next_height > height_before

    async def _apply_all(
        self, race: _Race, peer_id: PeerId, received: trio.MemoryReceiveChannel[_Received | NetworkError]
    ) -> tuple[int, NetworkError | None]:
        """Apply what comes: how many batches that were, and why it ended before its end, if it did."""
        applied = 0
        async for item in received:
            if isinstance(item, NetworkError):
                return applied, item
            height_before = self._chain.next_height
            try:
                await self._apply(item)
            except InvalidCommit as error:
                # Judged by the set of its own height, which follows from the batches before: the same for everybody.
                detail = f"height {item.batch.header.height}: {error}"
                return applied, PeerFault(peer_id, Fault.INVALID_DATA, detail)
            if self._chain.next_height > height_before:
                applied += 1
                race.won_by(peer_id)
        return applied, None

    async def _apply(self, received: _Received) -> None:
        batch, height = received.batch, received.batch.header.height
        if height < self._chain.next_height:
            return  # Consensus was quicker.
        self._chain.check_commit(received.commit, height=height, batch_hash=batch.hash)
        self._arriving = True
        await self._driver.apply_decided(batch, received.commit)
        self._metrics.sync_batch_applied()

    async def _fetch_wanted_proposals(self) -> None:
        while True:
            await self._wanted_hint.wait()
            self._wanted_hint = trio.Event()
            wanted, self._wanted = self._wanted, {}
            for batch_hash, (height, first) in wanted.items():
                # The sort is stable: after the first the order is as it was.
                peer_ids = sorted(self._peers.in_order(), key=lambda peer_id: peer_id != first)
                await ask_until_delivered(peer_ids, partial(self._fetch_proposal, height=height, batch_hash=batch_hash))

    async def _fetch_proposal(self, peer_id: PeerId, *, height: int, batch_hash: bytes) -> bool:
        """Whether the peer has given it, or nobody needs it any more."""
        if height != self._chain.next_height:
            return True
        try:
            async with self._asked(peer_id, encode(ProposalRequest(height, batch_hash))) as (_, answer):
                data = await answer.receive()
        except PeerFault as error:
            self._network.penalise(peer_id, error.fault)
            self._peers.records.broke(peer_id)
            return False
        except NetworkError as error:
            log.debug("a peer did not give a proposal", peer=peer_id, reason=str(error))
            if isinstance(error, PeerTooSlow):
                self._peers.records.broke(peer_id)
            return False
        if data is None:
            return False
        try:
            received = self._judge.judge(data)
        except Refused as error:
            log.warning("a peer's proposal is refused", peer=peer_id, reason=str(error))
            self._network.penalise(peer_id, error.fault)
            return False
        if not isinstance(received.message, ProofBatch) or received.message.batch_hash != batch_hash:
            self._network.penalise(peer_id, Fault.UNREQUESTED)
            return False
        try:
            batch = await self._proposals.decoded(received.message)
        except MalformedBatch as error:
            log.warning("a peer's proposal cannot be read", peer=peer_id, reason=str(error))
            return False
        self._driver.deliver(received.message, batch)
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
    peer_id: PeerId,
    answer: PacedAnswer,
    request: BatchesRequest,
    received: trio.MemorySendChannel[_Received | NetworkError],
) -> None:
    """Receive and decode the answer; an error is handed on as its last item."""
    async with received:
        try:
            for height in range(request.from_height, request.from_height + request.limit):
                data = await answer.receive()
                if data is None:
                    return
                # Decoding hashes each of up to a thousand proofs: too long for the event loop.
                await received.send(await run_blocking(_decoded, peer_id, height, data))
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
