"""The batches from before a node's first one, for what is computed from the window of proofs (ADR 68).

A node that has joined from a snapshot has the batches from its base on. Those before it are asked of peers by the sync
protocol, some at a time, from the base downwards. Nobody is believed: the base was committed by a quorum, it names the
hash of the batch before it, and so on down. What does not end in the hash that is wanted is thrown away, and its sender
is not asked again for as long as this node runs. It is not charged, whatever it has sent: what is only shown must never
part the validators. Were there a batch that no node of this release can read, each would ban all others over it, and
the chain would stand still. Nothing of it is executed, and no batch is kept, only its rows.

It goes on beside everything else, for a small part of the time, and only while the node is not behind. A peer may lack
what is asked for too, without any fault of its own: then others are asked, for fewer batches, and later again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog
import trio

from consensus.wire import WireError, decode, encode
from p2p.errors import NetworkError, PeerFault
from p2p.network import Fault, Network, PeerId
from step_node.batch.batch import MalformedBatch, decode_batch
from step_node.economy.columns import FoldedBatch
from step_node.network.peers import Peers
from step_node.network.protocols import (
    SYNC_BYTES_MAX,
    SYNC_PROTOCOL,
    BatchesRequest,
    FinalisedBatchMessage,
    PacedAnswer,
    asked,
)
from step_node.network.track_record import TrackRecords
from step_node.offload import run_blocking

ASKED_BATCHES_MAX: Final = 64
"""Batches that are asked for at once. Their rows are held until the last has come: 5 MB, if all are full."""
REST_FACTOR: Final = 3
"""After each answer nobody is asked for so many times as long as it took: a quarter of the time at most is spent."""
REST_MS_MAX: Final = 10_000
"""But no longer than this."""
AGAIN_MS: Final = 5_000
"""How long until peers are asked again where none could give anything; each time twice as long."""
AGAIN_MS_MAX: Final = 600_000
BUSY_MS: Final = 1_000
"""How often a node that is behind looks whether it has caught up."""

DISTRUSTED_MAX: Final = 1_024
"""Peers that are not asked again; beyond it the one that was refused first may be."""

log = structlog.get_logger("backfill")


class EarlierBatches(Protocol):
    """Who wants batches from before the first that it has."""

    def wanted(self) -> tuple[int, bytes] | None:
        """The height and the hash of the batch that it wants next; None if it wants none (any more, or yet)."""
        ...

    async def take_earlier(self, batches: Sequence[FoldedBatch]) -> None:
        """Take these, the last of which is the wanted one, each the one before the next."""
        ...


class Backfill:
    """See the module's docstring. `run` goes on until cancelled; `hint` says that something may be wanted now."""

    def __init__(
        self,
        *,
        network: Network,
        peers: Peers,
        earlier: EarlierBatches,
        is_behind: Callable[[], bool],
    ) -> None:
        self._network = network
        self._peers = peers
        self._earlier = earlier
        self._is_behind = is_behind
        self._hint = trio.Event()
        self._records = TrackRecords()
        """Not those of `peers`: who lacks the distant past may be the quickest to give the present."""
        self._distrusted: OrderedDict[PeerId, None] = OrderedDict()
        self._batches = ASKED_BATCHES_MAX
        self._turn = 0

    def hint(self) -> None:
        """Something may be wanted: look now."""
        self._hint.set()

    async def run(self) -> None:
        """Fetch what is wanted, whenever something is, until cancelled."""
        again_ms = AGAIN_MS
        while True:
            wanted = self._earlier.wanted()
            if wanted is None:
                await self._hint.wait()
                self._hint = trio.Event()
            elif self._is_behind():
                await trio.sleep(BUSY_MS / 1000)
            else:
                began = trio.current_time()
                if await self._fetch(*wanted):
                    again_ms = AGAIN_MS
                    self._batches = min(2 * self._batches, ASKED_BATCHES_MAX)
                    await trio.sleep(min(REST_FACTOR * (trio.current_time() - began), REST_MS_MAX / 1000))
                elif self._batches > 1:
                    # A peer that begins within what was asked for has the later part of it.
                    self._batches //= 4
                    self._batches = max(self._batches, 1)
                else:
                    log.info("no peer has given the batches before this node's first", height=wanted[0])
                    await trio.sleep(again_ms / 1000)
                    again_ms = min(2 * again_ms, AGAIN_MS_MAX)

    async def _fetch(self, height: int, batch_hash: bytes) -> bool:
        """Have the batches up to `height` of whichever peer gives them; whether one did."""
        self._turn += 1
        trusted = [peer_id for peer_id in self._network.peers() if peer_id not in self._distrusted]
        peer_ids = self._records.in_order(trusted, members=self._peers.members(), turn=self._turn)
        for peer_id in peer_ids:
            batches = await self._ask(peer_id, height, batch_hash)
            if batches and self._earlier.wanted() == (height, batch_hash):
                await self._earlier.take_earlier(batches)
                if self._earlier.wanted() is None:
                    log.info("all batches of the window are here", from_height=batches[0].height)
                return True
        return False

    async def _ask(self, peer_id: PeerId, height: int, batch_hash: bytes) -> list[FoldedBatch]:
        """The batches up to the wanted one, as the peer has given them, and as they must be; none if it gave none."""
        first = max(1, height - self._batches + 1)
        request = encode(BatchesRequest(first, height - first + 1))
        patience_seconds = self._records.patience_seconds(peer_id)
        try:
            async with asked(self._network, peer_id, SYNC_PROTOCOL, request, patience_seconds=patience_seconds) as (
                _,
                answer,
            ):
                batches = await _received(peer_id, answer, range(first, height + 1), batch_hash)
        except PeerFault as error:
            log.warning(
                "a peer's earlier batches are refused, and it is asked no more", peer=peer_id, reason=error.detail
            )
            self._distrust(peer_id)
            return []
        except NetworkError as error:
            log.debug("a peer gave no earlier batches", peer=peer_id, reason=str(error))
            self._records.broke(peer_id)
            return []
        if batches:
            self._records.kept(peer_id)
        return batches

    def _distrust(self, peer_id: PeerId) -> None:
        self._distrusted[peer_id] = None
        while len(self._distrusted) > DISTRUSTED_MAX:
            self._distrusted.popitem(last=False)


async def _received(peer_id: PeerId, answer: PacedAnswer, heights: range, wanted_hash: bytes) -> list[FoldedBatch]:
    """The batches of these heights, once they have been found to lead up to the wanted one; none of a part of them."""
    batches: list[FoldedBatch] = []
    last_hash = b""
    for height in heights:
        data = await answer.receive()
        if data is None:
            return []
        batch = await run_blocking(_read, peer_id, height, data)
        if batches and batch.previous_batch_hash != last_hash:
            raise PeerFault(peer_id, Fault.INVALID_DATA, f"batch {height} does not follow the one before it")
        batches.append(batch)
        last_hash = batch.batch_hash
    if last_hash != wanted_hash:
        detail = f"batch {heights[-1]} is not the one that batch {heights[-1] + 1} follows"
        raise PeerFault(peer_id, Fault.INVALID_DATA, detail)
    return batches


def _read(peer_id: PeerId, height: int, data: bytes) -> FoldedBatch:
    """What is taken of a batch; that its proofs are those of its header is checked by decoding it."""
    try:
        batch = decode_batch(decode(FinalisedBatchMessage, data, bytes_max=SYNC_BYTES_MAX).batch)
    except (WireError, MalformedBatch) as error:
        raise PeerFault(peer_id, Fault.MALFORMED, str(error)) from error
    if batch.header.height != height:
        raise PeerFault(peer_id, Fault.UNREQUESTED, f"batch {batch.header.height} in place of {height}")
    return FoldedBatch.of(batch)
