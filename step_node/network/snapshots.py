"""Snapshots over the network: giving them to peers, and joining the chain from a peer's (docs/adr/0012-snapshots.md).

On one stream of `/step/snapshot/1` a newcomer asks for the manifest, follows the links from the validators of genesis
to its own, checks its proof, and then asks for one chunk after the other, checking each. Only when all of them add up
to the root that a quorum has committed is anything written to the store, and that in one go. Everything comes from one
peer, so it is clear whose fault it is when something does not fit; nothing of what a bad one sent is kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
import trio

from consensus.messages import Commit
from consensus.wire import WireError, decode, decode_union, encode
from p2p.errors import NetworkError, PeerFault
from p2p.network import Fault, Network, PeerId, Stream
from step_node.batch.batch import decode_batch
from step_node.chain.chain import COMMIT_BYTES_MAX, Chain
from step_node.engine.driver import ConsensusDriver
from step_node.ledger.validators import validator_set
from step_node.network.protocols import (
    LINKS_BYTES_MAX,
    LINKS_PER_MESSAGE,
    SNAPSHOT_BYTES_MAX,
    SNAPSHOT_PROTOCOL,
    SNAPSHOT_REQUEST_BYTES_MAX,
    SNAPSHOT_STREAMS_MAX,
    ChunkRequest,
    LinksRequest,
    ManifestRequest,
    PacedAnswer,
    SetLinks,
    SnapshotChunk,
    SnapshotRequest,
    asked,
)
from step_node.network.track_record import TrackRecords
from step_node.offload import run_blocking
from step_node.receipts.links import InvalidLink, SetLink, TrustedSets
from step_node.snapshot.chunks import ChunkReader, stored_records
from step_node.snapshot.manifest import SnapshotIndex, SnapshotManifest, UnprovenSnapshot, check_manifest
from step_node.snapshot.records import InvalidSnapshot
from step_node.snapshot.store import FetchedChunks, SnapshotStore
from step_node.snapshot.validator_sets import ValidatorSetLinks
from step_node.storage.interface import RestoredState, StorageUnavailable, StoredBatch

SERVED_MAX = 4
"""Peers that are given a snapshot at once; a further one is answered with nothing, and asks another node."""

SERVED_BYTES_PER_SECOND = 20_000_000
"""How fast each of them is given chunks, so that joining nodes do not take the line from consensus."""

log = structlog.get_logger("snapshot")


class SnapshotServer:
    """Takes snapshots and gives them to peers. Construct before `network.start`; `run` takes until cancelled."""

    def __init__(
        self,
        *,
        network: Network,
        chain: Chain,
        snapshot_store: SnapshotStore,
        set_links: ValidatorSetLinks,
        every_batches: int,
        is_served: Callable[[], bool] = lambda: True,
    ) -> None:
        """While `is_served` says no, peers that ask are answered with nothing, and ask another node."""
        self._chain = chain
        self._snapshot_store = snapshot_store
        self._set_links = set_links
        self._every_batches = every_batches
        self._is_served = is_served
        self._taking = trio.Lock()
        self._slots = trio.CapacityLimiter(SERVED_MAX)
        network.serve(
            SNAPSHOT_PROTOCOL,
            self._answer,
            message_bytes_max=SNAPSHOT_BYTES_MAX,
            streams_max_per_peer=SNAPSHOT_STREAMS_MAX,
        )

    async def run(self, wait_for_height: Callable[[], Awaitable[None]], is_syncing: Callable[[], bool]) -> None:
        """Take a snapshot whenever the last one is `every_batches` old, but not while catching up (0: never)."""
        last = max((one.height for one in self._snapshot_store.snapshots()), default=0)
        while self._every_batches:
            await wait_for_height()
            if self._chain.head.chain.height - last >= self._every_batches and not is_syncing():
                last = await self._take()

    async def take(self) -> SnapshotIndex:
        """Take one of the head, now; one at a time. Raises as `SnapshotStore.take` does."""
        async with self._taking:
            return await self._snapshot_store.take(self._chain.storage)

    async def _take(self) -> int:
        try:
            index = await self.take()
        except (StorageUnavailable, OSError, InvalidSnapshot) as error:
            log.error("no snapshot could be taken", reason=str(error))
            # Not again before the next one is due.
            return self._chain.head.chain.height
        log.info("took a snapshot", height=index.height, records=index.records, chunks=len(index.chunks))
        return index.height

    async def _manifest(self) -> tuple[SnapshotManifest, tuple[SetLink, ...]] | None:
        """That of the latest snapshot whose next batch is final and to whose validators links lead; and those links."""
        for index in self._snapshot_store.snapshots():
            try:
                following = await self._chain.storage.batches(index.height + 1, 1)
            except StorageUnavailable:
                return None
            for stored in following:
                header = (await run_blocking(decode_batch, stored.batch)).header
                links = self._set_links.links_to(header.validator_set_hash)
                if links is not None:
                    commit = decode(Commit, stored.commit, bytes_max=COMMIT_BYTES_MAX)
                    return SnapshotManifest(index, header, commit, len(links)), links
        return None

    async def _answer(self, stream: Stream) -> None:
        if not isinstance(await _next_request(stream), ManifestRequest):
            raise PeerFault(stream.peer_id, Fault.UNREQUESTED, "a chunk was asked for before the manifest")
        if self._slots.available_tokens == 0 or not self._is_served():
            return
        async with self._slots:
            found = await self._manifest()
            if found is None:
                return
            manifest, links = found
            await stream.send_message(encode(manifest))
            while (request := await _next_request(stream)) is not None:
                if isinstance(request, LinksRequest) and request.number < len(links):
                    some = links[request.number : request.number + LINKS_PER_MESSAGE]
                    await stream.send_message(encode(SetLinks(some)))
                    continue
                if not isinstance(request, ChunkRequest) or request.number >= len(manifest.snapshot.chunks):
                    raise PeerFault(
                        stream.peer_id, Fault.UNREQUESTED, "a chunk or link was asked for that is not listed"
                    )
                chunk = await self._snapshot_store.chunk(manifest.snapshot, request.number)
                if chunk is None:
                    return
                await stream.send_message(encode(SnapshotChunk(chunk)))
                await trio.sleep(len(chunk) / SERVED_BYTES_PER_SECOND)


class SnapshotJoiner:
    """Brings a node at height 0 to a snapshot's height.

    `owes_answers()`: whether proofs wait that clients were promised an answer to. Such a node must see every batch to
    know what became of them, so it does not jump.
    """

    def __init__(
        self,
        *,
        network: Network,
        chain: Chain,
        driver: ConsensusDriver,
        snapshot_store: SnapshotStore,
        set_links: ValidatorSetLinks,
        distance_batches: int,
        owes_answers: Callable[[], bool],
        records: TrackRecords,
    ) -> None:
        self._network = network
        self._chain = chain
        self._driver = driver
        self._records = records
        self._receiving = False
        self._snapshot_store = snapshot_store
        self._set_links = set_links
        self.distance_batches = distance_batches
        """A peer must have this many batches more; what is nearer is fetched batch by batch."""
        self._owes_answers = owes_answers
        self._genesis_set = validator_set(chain.genesis.head().validators)

    @property
    def receiving(self) -> bool:
        """Whether a snapshot is coming that a quorum has signed."""
        return self._receiving

    def applies(self) -> bool:
        """Whether this node is one that joins from a snapshot: it stands at height 0."""
        return self._chain.head.chain.height == 0

    async def join(self, peer_ids: Sequence[PeerId]) -> bool:
        """Join from the first of these peers, in this order, that has a good snapshot; whether one had."""
        if not self.applies() or self._owes_answers():
            return False
        fetched = self._snapshot_store.fetching()
        for peer_id in peer_ids:
            try:
                found = await self._fetch(peer_id, fetched)
                if found is not None:
                    restored, links = found
                    # Before the jump: links that lead further than the chain do no harm, and later they are nowhere.
                    await self._set_links.take_over(links)
                    await self._driver.apply_snapshot(restored)
            except PeerFault as error:
                log.warning("a peer's snapshot is refused", peer=peer_id, reason=error.detail)
                self._network.penalise(peer_id, error.fault)
                self._records.broke(peer_id)
            except NetworkError as error:
                log.info("a peer gave no snapshot", peer=peer_id, reason=str(error))
                self._records.broke(peer_id)
            except UnprovenSnapshot as error:
                log.info("a peer's snapshot cannot be judged", peer=peer_id, reason=str(error))
            except OSError as error:
                log.error("a snapshot could not be kept", reason=str(error))
                return False
            else:
                if found is not None:
                    log.info("joined from a snapshot", peer=peer_id, height=restored.base.height)
                    return True
            finally:
                self._receiving = False
                with trio.CancelScope(shield=True):
                    await run_blocking(fetched.remove)
        return False

    async def _fetch(self, peer_id: PeerId, fetched: FetchedChunks) -> tuple[RestoredState, tuple[SetLink, ...]] | None:
        """A peer's snapshot, checked as a whole, and the links that lead to its validators; None if it has none."""
        request, patience_seconds = encode(ManifestRequest()), self._records.patience_seconds(peer_id)
        async with asked(self._network, peer_id, SNAPSHOT_PROTOCOL, request, patience_seconds=patience_seconds) as (
            stream,
            answer,
        ):
            data = await answer.receive()
            if data is None:
                return None
            try:
                manifest = decode(
                    SnapshotManifest, data, bytes_max=SNAPSHOT_BYTES_MAX, structure_bytes_max=SNAPSHOT_BYTES_MAX
                )
                trusted = TrustedSets(self._chain.chain_id, self._genesis_set)
                links = await self._fetch_links(stream, answer, manifest.links, trusted)
                if links is None:
                    return None
                restored = await self._fetch_chunks(stream, answer, manifest, trusted, fetched)
            except WireError as error:
                raise PeerFault(peer_id, Fault.MALFORMED, str(error)) from error
            except (InvalidSnapshot, InvalidLink) as error:
                raise PeerFault(peer_id, Fault.INVALID_DATA, str(error)) from error
            return None if restored is None else (restored, links)

    async def _fetch_links(
        self, stream: Stream, answer: PacedAnswer, count: int, trusted: TrustedSets
    ) -> tuple[SetLink, ...] | None:
        """Ask for all links, and have `trusted` follow each as it comes; None if the peer stops before the last."""
        links: list[SetLink] = []
        while len(links) < count:
            await stream.send_message(encode(LinksRequest(len(links))))
            data = await answer.receive()
            if data is None:
                return None
            some = decode(SetLinks, data, bytes_max=LINKS_BYTES_MAX, structure_bytes_max=LINKS_BYTES_MAX).links
            if len(links) + len(some) > count:
                raise InvalidSnapshot(f"links: there are more than {count}, as the manifest says")
            for link in some:
                await run_blocking(trusted.follow, link)
            links += some
        return tuple(links)

    async def _fetch_chunks(
        self,
        stream: Stream,
        answer: PacedAnswer,
        manifest: SnapshotManifest,
        trusted: TrustedSets,
        fetched: FetchedChunks,
    ) -> RestoredState | None:
        snapshot = manifest.snapshot
        check = partial(check_manifest, chain_id=self._chain.chain_id, trusted=trusted)
        base = await run_blocking(check, manifest)
        self._receiving = True
        reader = ChunkReader(snapshot, base)

        def keep(number: int, data: bytes) -> None:
            chunk = decode(SnapshotChunk, data, bytes_max=SNAPSHOT_BYTES_MAX).data
            reader.read(chunk)
            fetched.write(number, chunk)

        await run_blocking(fetched.clear)
        await stream.send_message(encode(ChunkRequest(0)))
        for number in range(len(snapshot.chunks)):
            data = await answer.receive()
            if data is None:
                return None
            if number + 1 < len(snapshot.chunks):
                # The peer reads the next one while this one is checked.
                await stream.send_message(encode(ChunkRequest(number + 1)))
            await run_blocking(keep, number, data)
        head = reader.finish(manifest.next_header)
        return RestoredState(
            head=head,
            base=StoredBatch(
                height=snapshot.height,
                batch_hash=head.chain.batch_hash,
                timestamp_ms=base.timestamp_ms,
                batch=snapshot.base_batch,
                commit=encode(snapshot.base_commit),
            ),
            pages=lambda: stored_records(fetched.read_all(snapshot)),
        )


async def _next_request(stream: Stream) -> ManifestRequest | LinksRequest | ChunkRequest | None:
    data = await stream.receive_message()
    if data is None:
        return None
    try:
        request: ManifestRequest | LinksRequest | ChunkRequest = decode_union(
            SnapshotRequest, data, bytes_max=SNAPSHOT_REQUEST_BYTES_MAX
        )
    except WireError as error:
        raise PeerFault(stream.peer_id, Fault.MALFORMED, str(error)) from error
    return request
