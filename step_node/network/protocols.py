"""The names, limits and messages of everything that crosses the network (protocol.md §5).

Topics carry `consensus.messages` and bundles of proofs; streams carry the requests and answers below, MessagePack with
a version, unknown fields being an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import field
from typing import Annotated, Literal, TypeAlias

import trio
from pydantic import Discriminator, Field

from consensus.messages import (
    BATCH_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    BatchHash,
    Commit,
    Evidence,
    FullSignature,
    Message,
    PreCommit,
    PreVote,
    ProofBatch,
    Round,
    TimeoutMessage,
    ValidRound,
    require_signatures,
)
from consensus.values import Address
from consensus.wire import UInt63, decode_union, wire_type
from p2p.errors import NetworkError, PeerFault
from p2p.network import Fault, Network, PeerId, Stream
from step_node.multiaddrs import MULTIADDR_CHARACTERS_MAX
from step_node.operations.operation import PROTOCOL_VERSION_MAX
from step_node.proofs.proof import PROOF_ID_BYTES
from step_node.receipts.links import LINKS_MAX, SetLink
from step_node.snapshot.manifest import CHUNK_BYTES_MAX, CHUNKS_MAX, MANIFEST_BYTES_MAX

HELLO_PROTOCOL = "/step/hello/1"
HELLO_BYTES_MAX = 1_024
HELLO_STREAMS_MAX = 4
NODE_VERSION_CHARACTERS_MAX = 32

SYNC_PROTOCOL = "/step/sync/1"
SYNC_BYTES_MAX = MESSAGE_BYTES_MAX + 300_000
"""A batch with its commit."""
SYNC_STREAMS_MAX = 4
SYNC_REQUEST_BYTES_MAX = 1_024
SYNC_BATCHES_MAX = 256
"""The most batches that one request gets."""

FETCH_PROTOCOL = "/step/fetch/1"
FETCH_BYTES_MAX = 300_000
FETCH_STREAMS_MAX = 4
FETCH_IDS_MAX = 500
"""The most proofs that one request asks for: one bundle."""
FETCH_REQUEST_BYTES_MAX = 20_000
INVENTORY_IDS_MAX = 8_000
"""The most ids that an inventory lists; a longer mempool lists those that wait longest."""

SNAPSHOT_PROTOCOL = "/step/snapshot/1"
SNAPSHOT_BYTES_MAX = MANIFEST_BYTES_MAX
"""A manifest; a chunk with its envelope is smaller."""
SNAPSHOT_REQUEST_BYTES_MAX = 1_024
SNAPSHOT_STREAMS_MAX = 2
LINKS_PER_MESSAGE = 8
LINKS_BYTES_MAX = 200_000
"""Above so many links of the largest sets, with all their signatures."""

PEERS_PROTOCOL = "/step/peers/1"
PEERS_STREAMS_MAX = 1
PEERS_OWN_ADDRESSES_MAX = 4
"""The most addresses of its own that a peer tells."""
PEERS_ADDRESSES_MAX = 32
"""The most addresses of others that one answer tells."""
PEERS_BYTES_MAX = (PEERS_ADDRESSES_MAX + 1) * (MULTIADDR_CHARACTERS_MAX + 3)

ANSWER_TIMEOUT_MS = 10_000
"""How long a peer has for each message of its answer: less than the network allows, since others may be quicker."""

ANSWER_MS_PER_MESSAGE = 250
ANSWER_BYTES_PER_SECOND_MIN = 50_000
"""The slowest that an answer of many messages may be: what each adds to the time that the peer has for all of them.
Four batches a second are more than a chain grows by; a line slower than that many bytes cannot follow consensus."""

PROTOCOL_VERSIONS_MAX = 64
"""The most versions of the rules that a hello names: those of a release that knows all that there have been."""
ProtocolVersion = Annotated[int, Field(ge=1, le=PROTOCOL_VERSION_MAX)]

NodeVersion = Annotated[str, Field(pattern=rf"^[A-Za-z0-9.+_-]{{1,{NODE_VERSION_CHARACTERS_MAX}}}$")]
"""Of a program, as PEP 440 writes it. Strangers choose it, so it has nothing that a log or a terminal could obey."""

AddressText = Annotated[str, Field(min_length=1, max_length=MULTIADDR_CHARACTERS_MAX)]
"""A multiaddr; what it says is looked at by whoever would dial it, since kinds may be added."""
ProofId = Annotated[bytes, Field(min_length=PROOF_ID_BYTES, max_length=PROOF_ID_BYTES)]


def proofs_topic(chain_id: str) -> str:
    """Where bundles of proofs are gossiped."""
    return f"/step/{chain_id}/proofs/1"


def consensus_topic(chain_id: str) -> str:
    """Where the messages of consensus are gossiped."""
    return f"/step/{chain_id}/consensus/1"


def operations_topic(chain_id: str) -> str:
    """Where validator operations are gossiped, one a message."""
    return f"/step/{chain_id}/operations/1"


@wire_type
class ProposalOutline:
    """On the consensus topic: a `ProofBatch` with its batch in outline (`step_node.batch.outline`).

    The signature is that of the `ProofBatch`, which covers the batch through its hash.
    """

    height: UInt63
    round: Round
    valid_round: ValidRound
    batch_hash: BatchHash
    outline: Annotated[bytes, Field(max_length=BATCH_BYTES_MAX)]
    proposer: Address
    signature: FullSignature
    type: Literal["PROPOSAL_OUTLINE"] = field(default="PROPOSAL_OUTLINE", kw_only=True, repr=False)

    @classmethod
    def of(cls, proposal: ProofBatch, outline: bytes) -> ProposalOutline:
        """The same proposal, with this outline in place of its batch."""
        return cls(
            proposal.height,
            proposal.round,
            proposal.valid_round,
            proposal.batch_hash,
            outline,
            proposal.proposer,
            proposal.signature,
        )

    def with_batch(self, batch: bytes) -> ProofBatch:
        """The proposal as it was signed, with its batch."""
        return ProofBatch(
            self.height, self.round, self.valid_round, self.batch_hash, batch, self.proposer, self.signature
        )


GossipedMessage: TypeAlias = Message | ProposalOutline
"""What the consensus topic carries: the six messages of consensus, and a shorter form of one of them."""
_GossipedUnion = Annotated[
    ProofBatch | PreVote | PreCommit | Commit | Evidence | TimeoutMessage | ProposalOutline, Discriminator("type")
]


def decode_gossiped(data: bytes) -> GossipedMessage:
    """The message in `data`. Raises `WireError`, which is the peer's fault."""
    message: GossipedMessage = decode_union(_GossipedUnion, data, bytes_max=MESSAGE_BYTES_MAX)
    if not isinstance(message, ProposalOutline):
        require_signatures(message)
    return message


@wire_type
class Hello:
    """Who is there: the chain, and the last finalised height. Each side sends one on a hello stream.

    All of it is the peer's own word. `validator` is the one whose key the node holds, if the chain names this peer for
    it: what a hello adds is only that this is so (`network.identities`).
    `other_instance` says of the receiver that another process is connected under its peer id too (`network.instances`).
    """

    chain_id: Annotated[str, Field(max_length=64)]
    genesis_hash: BatchHash
    height: UInt63
    node_version: NodeVersion | None = None
    validator: Address | None = None
    other_instance: bool = False
    protocol_versions: Annotated[tuple[ProtocolVersion, ...], Field(max_length=PROTOCOL_VERSIONS_MAX)] = ()
    """Of the rules that the program knows, in rising order: for whoever plans an upgrade. Nobody is turned away for
    them, since what counts is who knows the rules in force when they change."""


@wire_type
class BatchesRequest:
    """On a sync stream: the finalised batches from a height on. Each comes as one `FinalisedBatchMessage`."""

    from_height: Annotated[UInt63, Field(ge=1)]
    limit: Annotated[int, Field(ge=1, le=SYNC_BATCHES_MAX)]
    type: Literal["BATCHES"] = field(default="BATCHES", kw_only=True)


@wire_type
class ProposalRequest:
    """On a sync stream: a batch that consensus is about, as the signed `ProofBatch`; no answer if it is not known."""

    height: Annotated[UInt63, Field(ge=1)]
    batch_hash: BatchHash
    type: Literal["PROPOSAL"] = field(default="PROPOSAL", kw_only=True)


SyncRequest = Annotated[BatchesRequest | ProposalRequest, Discriminator("type")]


@wire_type
class FinalisedBatchMessage:
    """A finalised batch with the pre-commits that finalised it."""

    batch: Annotated[bytes, Field(max_length=MESSAGE_BYTES_MAX)]
    commit: Commit


@wire_type
class ManifestRequest:
    """On a snapshot stream: the latest snapshot's `SnapshotManifest`; no answer if there is none. The first request."""

    type: Literal["MANIFEST"] = field(default="MANIFEST", kw_only=True)


@wire_type
class ChunkRequest:
    """On the same stream: one chunk of that snapshot, by its place in the manifest, as a `SnapshotChunk`."""

    number: Annotated[int, Field(ge=0, lt=CHUNKS_MAX)]
    type: Literal["CHUNK"] = field(default="CHUNK", kw_only=True)


@wire_type
class LinksRequest:
    """On the same stream: the links from one on, as one `SetLinks`; the manifest says how many there are."""

    number: Annotated[int, Field(ge=0, lt=LINKS_MAX)]
    type: Literal["LINKS"] = field(default="LINKS", kw_only=True)


SnapshotRequest = Annotated[ManifestRequest | LinksRequest | ChunkRequest, Discriminator("type")]


@wire_type
class SetLinks:
    """Links from the validators of one height to those of a later one."""

    links: Annotated[tuple[SetLink, ...], Field(min_length=1, max_length=LINKS_PER_MESSAGE)]


@wire_type
class SnapshotChunk:
    """Records' canonical bytes, end to end."""

    data: Annotated[bytes, Field(max_length=CHUNK_BYTES_MAX)]


@wire_type
class InventoryRequest:
    """On a fetch stream: the ids of the proofs that wait in the mempool. Answered by one `Inventory`."""

    type: Literal["INVENTORY"] = field(default="INVENTORY", kw_only=True)


@wire_type
class ProofsRequest:
    """On a fetch stream: these proofs, answered by one bundle of those that are there."""

    proof_ids: Annotated[tuple[ProofId, ...], Field(min_length=1, max_length=FETCH_IDS_MAX)]
    type: Literal["PROOFS"] = field(default="PROOFS", kw_only=True)


FetchRequest = Annotated[InventoryRequest | ProofsRequest, Discriminator("type")]


@wire_type
class Inventory:
    """The ids of waiting proofs, longest-waiting first."""

    proof_ids: Annotated[tuple[ProofId, ...], Field(max_length=INVENTORY_IDS_MAX)]


@wire_type
class PeersRequest:
    """On a peers stream: where the asker says that it can be dialled. Answered by one `PeersAnswer`."""

    own_addresses: Annotated[tuple[AddressText, ...], Field(max_length=PEERS_OWN_ADDRESSES_MAX)]


@wire_type
class PeersAnswer:
    """Addresses at which the answerer has found peers, full multiaddrs, in no order."""

    addresses: Annotated[tuple[AddressText, ...], Field(max_length=PEERS_ADDRESSES_MAX)]


async def receive_answer(stream: Stream) -> bytes | None:
    """The next message of a peer's answer, None at its end.

    Raises `PeerFault` STALLED after `ANSWER_TIMEOUT_MS`, and what `Stream.receive_message` raises.
    """
    with trio.move_on_after(ANSWER_TIMEOUT_MS / 1000):
        return await stream.receive_message()
    raise PeerFault(stream.peer_id, Fault.STALLED, f"{stream.protocol}: no message within {ANSWER_TIMEOUT_MS} ms")


class PeerTooSlow(NetworkError):
    """The peer answers, and slower than somebody should wait for who can ask another. No fault of its own."""


@asynccontextmanager
async def asked(
    network: Network, peer_id: PeerId, protocol: str, request: bytes, *, patience_seconds: float
) -> AsyncIterator[tuple[Stream, PacedAnswer]]:
    """Ask a peer something: the stream, and the answer that is to come on it.

    Raises `PeerTooSlow` if the peer takes longer than so many seconds to take the request, and what opening a stream
    and sending on it raise.
    """
    with trio.move_on_after(patience_seconds) as opening:
        stream = await network.open_stream(peer_id, protocol)
    if opening.cancelled_caught:
        raise PeerTooSlow(f"{protocol}: peer {peer_id} opens no stream within {patience_seconds:g} s")
    async with stream:
        with trio.move_on_after(patience_seconds) as sending:
            await stream.send_message(request)
        if sending.cancelled_caught:
            raise PeerTooSlow(f"{protocol}: peer {peer_id} takes no request within {patience_seconds:g} s")
        yield stream, PacedAnswer(stream, patience_seconds)


class PacedAnswer:
    """An answer of many messages, which must keep up a pace as a whole.

    The peer has `patience_seconds` and one message's time to begin with, and each message adds to that. Only the time
    counts that is spent waiting for the peer, not what is done with its messages then.
    """

    def __init__(self, stream: Stream, patience_seconds: float = ANSWER_TIMEOUT_MS / 1000) -> None:
        self._stream = stream
        self._left_seconds = patience_seconds + ANSWER_MS_PER_MESSAGE / 1000

    async def receive(self) -> bytes | None:
        """The next message, None at the end. Raises `PeerTooSlow`, and what `receive_answer` raises."""
        began = trio.current_time()
        with trio.move_on_after(self._left_seconds) as waiting:
            data = await receive_answer(self._stream)
        if waiting.cancelled_caught:
            raise PeerTooSlow(f"{self._stream.protocol}: peer {self._stream.peer_id} answers too slowly")
        # A message may come with the end of its time, and be looked at later, where the event loop is held up.
        self._left_seconds = max(0.0, self._left_seconds - (trio.current_time() - began))
        self._left_seconds += ANSWER_MS_PER_MESSAGE / 1000 + len(data or b"") / ANSWER_BYTES_PER_SECOND_MIN
        return data
