"""Proofs between nodes: gossiped in bundles when a client brings them, and asked for when gossip has lost them.

Every now and then a peer, by turns, is asked which proofs wait in its mempool; those that are missing here are fetched.
So a node that was cut off, or joined late, has what the others have a few seconds later, and nothing rests on one
delivery.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice

import structlog
import trio

from consensus.wire import WireError, decode, decode_union, encode
from p2p.errors import NetworkError, PeerFault
from p2p.network import Fault, Network, PeerId, Stream
from step_node.mempool.admission import Admission
from step_node.mempool.pool import Mempool
from step_node.metrics import NodeMetrics
from step_node.network.gossip import Topic
from step_node.network.protocols import (
    FETCH_BYTES_MAX,
    FETCH_IDS_MAX,
    FETCH_PROTOCOL,
    FETCH_REQUEST_BYTES_MAX,
    FETCH_STREAMS_MAX,
    INVENTORY_IDS_MAX,
    FetchRequest,
    Inventory,
    InventoryRequest,
    ProofsRequest,
    asked,
)
from step_node.network.track_record import TrackRecords
from step_node.proof_traces import ProofTraces
from step_node.proofs.proof import STATELESS_CODES, RefusalCode, SignedProof
from step_node.proofs.wire import BUNDLE_PROOFS_MAX, CheckedBundle, MalformedProof, decode_bundle, encode_bundle
from step_node.storage.interface import StorageUnavailable

INVENTORY_INTERVAL_MS = 1_000
"""How often one peer, by turns, is asked what it has."""

ASKED_AT_ONCE_MAX = 4
"""Peers whose inventories are waited for at once; while so many do not answer, nobody else is asked."""

BUNDLE_INTERVAL_MS = 400
"""The time between two bundles of a node, unless one is full. A message costs every node as much as fifty proofs; and a
height, in which those proofs can be that are known to its proposer, takes longer than this."""

SETTLED_IDS_MAX = 100_000
"""Ids remembered as refused or finalised, so that they are not fetched again; the oldest is forgotten first."""

SETTLED_SECONDS = 300.0
"""How long a settled id is remembered. Who lists it for longer is minutes behind the head; what is fetched from there
in vain is refused, like any proof whose nonce is used, and remembered as refused until the head moves."""

FRESH_SECONDS = 0.25
"""For so long after a bundle has left, peers may not have taken it in yet."""

FRESH_PROOFS_MAX = 2_000
"""Own clients' proofs that are remembered as fresh; of more, the oldest are taken for known to everybody."""

DECODED_AT_ONCE_PROOFS = 64
"""Proofs of a gossiped bundle that are decoded before other tasks have their turn: half a millisecond of work."""

PASSING_CODES = frozenset(
    {
        RefusalCode.BAD_SIGNATURE,
        RefusalCode.CLOCK_DRIFT,
        RefusalCode.TRIANGLE_NOT_FOUND,
        RefusalCode.MEMPOOL_FULL,
        RefusalCode.RATE_LIMITED,
    }
)
"""Refusals that may come right a moment later; a proof refused for another reason is not fetched again.

A bad signature is among them, since the proof id does not cover the signature: whoever sends a proof with another one
must not keep the real proof out.
"""

log = structlog.get_logger("proofs")


class ProofExchange:
    """Both sides of the proofs topic and of the fetch protocol. Construct before `network.start`."""

    def __init__(
        self,
        *,
        network: Network,
        topic: Topic[CheckedBundle],
        mempool: Mempool,
        admission: Admission,
        metrics: NodeMetrics,
        traces: ProofTraces | None = None,
    ) -> None:
        self._network = network
        self._topic = topic
        self._mempool = mempool
        self._admission = admission
        self._metrics = metrics
        self._traces = traces
        self._settled: OrderedDict[bytes, float] = OrderedDict()
        """Proof id -> when it was settled."""
        self._refused: OrderedDict[bytes, None] = OrderedDict()
        self._gossiped_at = -math.inf
        self._fresh: OrderedDict[bytes, float] = OrderedDict()
        """Own clients' proofs -> until when they are fresh, in the order in which that was noted."""
        self._turn = 0
        self._asked: set[PeerId] = set()
        self._records = TrackRecords()
        network.serve(
            FETCH_PROTOCOL, self._answer, message_bytes_max=FETCH_BYTES_MAX, streams_max_per_peer=FETCH_STREAMS_MAX
        )

    async def run(self) -> None:
        """Gossip what clients bring, take in what peers gossip, and fetch what is missing, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._gossip_accepted)
            nursery.start_soon(self._take_in_gossip)
            nursery.start_soon(self._fetch_by_turns)

    def is_fresh(self, proof_id: bytes) -> bool:
        """Whether a client has brought this proof here so lately that peers may not have it yet."""
        until = self._fresh.get(proof_id)
        return until is not None and trio.current_time() < until

    def _note_fresh(self, proofs: Sequence[SignedProof], until: float) -> None:
        for proof in proofs:
            self._fresh[proof.proof_id] = until
            self._fresh.move_to_end(proof.proof_id)
        while len(self._fresh) > FRESH_PROOFS_MAX:
            self._fresh.popitem(last=False)

    def note_settled(self, proof_ids: Sequence[bytes]) -> None:
        """The head has moved: these are finalised or dropped, and whoever still lists them is behind."""
        # What was refused because of the old head, or of a proof that waited then, may pass now.
        self._refused.clear()
        now = trio.current_time()
        for proof_id in proof_ids:
            self._settled[proof_id] = now
            self._settled.move_to_end(proof_id)
        while self._settled and (
            len(self._settled) > SETTLED_IDS_MAX or next(iter(self._settled.values())) < now - SETTLED_SECONDS
        ):
            self._settled.popitem(last=False)

    def _note_refused(self, proof_id: bytes) -> None:
        self._refused[proof_id] = None
        while len(self._refused) > SETTLED_IDS_MAX:
            self._refused.popitem(last=False)

    def _is_wanted(self, proof_id: bytes) -> bool:
        return not (proof_id in self._mempool or proof_id in self._settled or proof_id in self._refused)

    async def _gossip_accepted(self) -> None:
        gathered: list[SignedProof] = []

        def gather(proofs: Sequence[SignedProof]) -> None:
            gathered.extend(proofs)
            self._note_fresh(proofs, math.inf)

        async for proofs in self._admission.accepted:
            gather(proofs)
            # A lone proof leaves at once; of many, those that come while the last bundle is fresh leave together.
            with trio.move_on_at(self._gossiped_at + BUNDLE_INTERVAL_MS / 1000):
                while len(gathered) < BUNDLE_PROOFS_MAX:
                    gather(await self._admission.accepted.receive())
            while gathered:
                bundle = gathered[:BUNDLE_PROOFS_MAX]
                await self._topic.publish(encode_bundle(bundle))
                if self._traces is not None:
                    self._traces.sent(proof.proof_id for proof in bundle)
                self._note_fresh(bundle, trio.current_time() + FRESH_SECONDS)
                del gathered[:BUNDLE_PROOFS_MAX]
            self._gossiped_at = trio.current_time()

    async def _take_in_gossip(self) -> None:
        # Nobody is charged for a bad proof here: the bundle was well-formed, and neighbours pass it on before they look
        # closer. Otherwise a stranger could, with three such bundles, make honest nodes ban one another.
        async for sender, bundle in self._topic:
            try:
                await self._take_in(await _decode_in_slices(bundle), sender)
            except StorageUnavailable as error:
                log.info("gossiped proofs are let go", reason=str(error))

    async def _take_in(self, proofs: Sequence[SignedProof], peer_id: PeerId) -> bool:
        """Let proofs in that this peer has sent; False if there is one among them that anybody can see is bad."""
        # Each once: whoever repeats a proof in a bundle does not have it verified again.
        distinct = {(proof.proof_id, proof.signature): proof for proof in proofs}
        fresh = [proof for proof in distinct.values() if self._is_wanted(proof.proof_id)]
        if not fresh:
            return True
        honest = True
        admitted = await self._admission.admit_from_peer(fresh, peer_id)
        for proof, refusal in zip(fresh, admitted, strict=True):
            if refusal is not None:
                self._metrics.proof_refused(refusal.code, "peer")
                if refusal.code not in PASSING_CODES:
                    self._note_refused(proof.proof_id)
                honest = honest and refusal.code not in STATELESS_CODES
        return honest

    # --- fetching -----------------------------------------------------------------------------------------------

    async def _fetch_by_turns(self) -> None:
        """Ask the next peer at each interval, whether those asked before have answered or not."""
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(INVENTORY_INTERVAL_MS / 1000)
                turns = [one for one in self._network.peers() if one not in self._asked]
                turns = [one for one in turns if not self._records.doubted_seconds(one)]
                if turns and len(self._asked) < ASKED_AT_ONCE_MAX:
                    self._turn += 1
                    nursery.start_soon(self._fetch_from, turns[self._turn % len(turns)])

    async def _fetch_from(self, peer_id: PeerId) -> None:
        self._asked.add(peer_id)
        try:
            await self._fetch_missing(peer_id)
        except PeerFault as error:
            log.warning("a peer's proofs are refused", peer=peer_id, reason=error.detail)
            self._network.penalise(peer_id, error.fault)
            self._records.broke(peer_id)
        except NetworkError as error:
            log.debug("a peer's inventory could not be read", peer=peer_id, reason=str(error))
            self._records.broke(peer_id)
        except StorageUnavailable as error:
            log.info("fetched proofs are let go", reason=str(error))
        else:
            self._records.kept(peer_id)
        finally:
            self._asked.discard(peer_id)

    async def _fetch_missing(self, peer_id: PeerId) -> None:
        data = await self._ask(peer_id, encode(InventoryRequest()))
        if data is None:
            raise PeerFault(peer_id, Fault.MALFORMED, "Inventory: is missing")
        try:
            inventory = decode(Inventory, data, bytes_max=FETCH_BYTES_MAX, structure_bytes_max=FETCH_BYTES_MAX)
        except WireError as error:
            raise PeerFault(peer_id, Fault.MALFORMED, str(error)) from error
        missing = [proof_id for proof_id in inventory.proof_ids if self._is_wanted(proof_id)]
        for start in range(0, len(missing), FETCH_IDS_MAX):
            wanted = tuple(missing[start : start + FETCH_IDS_MAX])
            data = await self._ask(peer_id, encode(ProofsRequest(wanted)))
            if data is None:
                return  # All of them were finalised meanwhile.
            try:
                proofs = decode_bundle(data)
            except MalformedProof as error:
                raise PeerFault(peer_id, Fault.MALFORMED, str(error)) from error
            if not {proof.proof_id for proof in proofs} <= set(wanted):
                raise PeerFault(peer_id, Fault.UNREQUESTED, "proofs that were not asked for")
            if not await self._take_in(proofs, peer_id):
                # What waits in an honest node's mempool has been verified there.
                raise PeerFault(peer_id, Fault.INVALID_DATA, "proofs that fail a stateless gate")

    async def _ask(self, peer_id: PeerId, request: bytes) -> bytes | None:
        patience_seconds = self._records.patience_seconds(peer_id)
        async with asked(self._network, peer_id, FETCH_PROTOCOL, request, patience_seconds=patience_seconds) as (
            _,
            answer,
        ):
            return await answer.receive()

    async def _answer(self, stream: Stream) -> None:
        data = await stream.receive_message()
        if data is None:
            return
        try:
            request: InventoryRequest | ProofsRequest = decode_union(
                FetchRequest, data, bytes_max=FETCH_REQUEST_BYTES_MAX, structure_bytes_max=FETCH_REQUEST_BYTES_MAX
            )
        except WireError as error:
            raise PeerFault(stream.peer_id, Fault.MALFORMED, str(error)) from error
        if isinstance(request, InventoryRequest):
            # What is fresh is on its way to everybody.
            known_to_all = (proof_id for proof_id in self._mempool.ids() if not self.is_fresh(proof_id))
            await stream.send_message(encode(Inventory(tuple(islice(known_to_all, INVENTORY_IDS_MAX)))))
        else:
            found = [proof for proof_id in request.proof_ids if (proof := self._mempool.get(proof_id)) is not None]
            if found:
                await stream.send_message(encode_bundle(found))


async def _decode_in_slices(bundle: CheckedBundle) -> list[SignedProof]:
    """All proofs of a bundle, and in between whatever else is to be done.

    Not on a worker thread: this holds the interpreter's lock, and each time that the event loop lets go of the lock, as
    with every packet, it would wait for the thread.
    """
    proofs: list[SignedProof] = []
    for start in range(0, len(bundle), DECODED_AT_ONCE_PROOFS):
        proofs += bundle.decode(start, start + DECODED_AT_ONCE_PROOFS)
        await trio.lowlevel.checkpoint()
    return proofs
