"""Every decoder that bytes from outside reach: what it may raise, and true examples to begin from.

One table, for the Hypothesis tests of this folder and for the coverage-guided fuzzer (`make fuzz`). A decoder that is
not here is not fuzzed: whoever adds a message, a stream or a file adds a line.
"""

from __future__ import annotations

import io
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import bson
import msgpack
import trio
from bson.errors import InvalidBSON
from libp2p.io.abc import Reader
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils.varint import encode_varint_prefixed

from consensus.checkpoint import checkpoint_entries, decode_entry
from consensus.inputs import BatchBuilt, MessageReceived, TimerFired, WorkAvailable, encode_input
from consensus.lock import PROOF_OF_LOCK_BYTES_MAX, ProofOfLock, decode_proof_of_lock, encode_proof_of_lock
from consensus.machine import apply
from consensus.messages import (
    EXHIBIT_HEADER_BYTES_MAX,
    Commit,
    CommitSignature,
    Evidence,
    EvidenceKind,
    PreCommit,
    PreVote,
    ProofBatch,
    SignedMessage,
    TimeoutMessage,
    decode_message,
    encode_message,
)
from consensus.state import ConsensusState
from consensus.values import TimeoutKind, Timeouts, Validator, ValidatorSet
from consensus.wire import WireError, decode, decode_union, encode
from mesh import locate
from p2p.addresses import parse_peer_address
from p2p.libp2p_faults import LIBP2P_ERRORS
from p2p.libp2p_negotiation import read_line
from step_node.api.errors import ApiError
from step_node.api.histories.cursor import decode_cursor, encode_cursor
from step_node.api.middleware.body import BATCH_BODY_BYTES_MAX, parse_json
from step_node.api.submissions.batch import JSON, LINES, MESSAGEPACK, parse_submissions
from step_node.batch.batch import BatchHeader, MalformedBatch, decode_batch, encode_batch, identity_in
from step_node.batch.outline import decode_outline, outline_of
from step_node.batch.summary import stored_summary
from step_node.chain.ceremony.declaration import Declaration, declare
from step_node.chain.ceremony.inputs import load_allocations, load_parameters
from step_node.chain.chain import COMMIT_BYTES_MAX, Chain
from step_node.chain.genesis import Genesis, GenesisPlan, load_document, load_genesis
from step_node.cli.error_lines import CommandError
from step_node.cli.points_csv import locate_points
from step_node.cli.track_files import TrackError, parse_track
from step_node.client.errors import UnreadableAnswer
from step_node.client.events import EVENT_BYTES_MAX, EventParser
from step_node.crypto.eip191 import sign
from step_node.durable.record_log import RecordLog
from step_node.durable.side_file import FILE_BYTES_MAX
from step_node.economy.columns import ProofColumns
from step_node.economy.fairness.kept import KEPT_BYTES_MAX, InvalidKeptEpoch, KeptEpoch, Lacking
from step_node.economy.fairness.point import POINT_BYTES_MAX, ChainPoint, InvalidPoint
from step_node.economy.rows import DamagedRows, decode_rows, encode_rows
from step_node.engine.evidence_pool import EvidencePool
from step_node.engine.wal import WriteAheadLog
from step_node.errors import StepNodeError
from step_node.feed.position import POSITION_CHARACTERS_MAX, LocalPosition, Position, parse_position
from step_node.home.config import NodeConfig, load_config
from step_node.home.config_file import render_config
from step_node.home.config_sources import CONFIG_BYTES_MAX
from step_node.home.secrets import SecretCommand, SecretError, SecretFile
from step_node.importing.documents import read_account, read_event, read_triangle, remarks_about
from step_node.importing.mongo_source import DOCUMENT_OPTIONS
from step_node.importing.report import Unusable
from step_node.ledger.protocol_record import (
    MalformedProtocolRecord,
    ProtocolRecord,
    Upgrade,
    UpgradeVote,
    protocol_record_from,
)
from step_node.ledger.records import Account, LastProof, NonceRecord, Triangle, TriangleState, record_bytes
from step_node.network.address_book import keep_address_book
from step_node.network.bans import keep_bans
from step_node.network.consensus_judge import ConsensusJudge, Refused
from step_node.network.gossip import decode_operation_message
from step_node.network.protocols import (
    FETCH_BYTES_MAX,
    FETCH_REQUEST_BYTES_MAX,
    HELLO_BYTES_MAX,
    LINKS_BYTES_MAX,
    PEERS_BYTES_MAX,
    SNAPSHOT_BYTES_MAX,
    SNAPSHOT_REQUEST_BYTES_MAX,
    SYNC_BYTES_MAX,
    SYNC_REQUEST_BYTES_MAX,
    BatchesRequest,
    ChunkRequest,
    FetchRequest,
    FinalisedBatchMessage,
    Hello,
    Inventory,
    InventoryRequest,
    LinksRequest,
    ManifestRequest,
    PeersAnswer,
    PeersRequest,
    ProofsRequest,
    ProposalOutline,
    ProposalRequest,
    SetLinks,
    SnapshotChunk,
    SnapshotRequest,
    SyncRequest,
    decode_gossiped,
)
from step_node.operations.operation import OPERATION_BYTES_MAX, encode_operation
from step_node.proofs.client_signing import sign_payload
from step_node.proofs.payload import parse_payload
from step_node.proofs.proof import ProofRefused
from step_node.proofs.wire import BUNDLE_BYTES_MAX, MalformedProof, decode_bundle, encode_bundle, to_wire_fields
from step_node.receipts.document import (
    RECEIPT_BYTES_MAX,
    MalformedReceipt,
    read_receipt,
    receipt_cbor,
    receipt_json,
)
from step_node.receipts.links import SetLink, TrustedSets
from step_node.signing.guard import SigningGuard
from step_node.signing.history import FloorRaised, HistoryContent, SignedRecord, SigningKind
from step_node.signing.interchange import (
    INTERCHANGE_BYTES_MAX,
    InterchangeError,
    export_interchange,
    read_interchange,
)
from step_node.signing.keystore import KdfStrength, create_keystore, keystore_address
from step_node.signing.remote import wire as signer_wire
from step_node.signing.remote.wire import LENGTH, decode_request
from step_node.snapshot.initial_state import read_initial_state, write_initial_state
from step_node.snapshot.manifest import (
    CHUNK_BYTES_MAX,
    SnapshotIndex,
    SnapshotManifest,
    UnprovenSnapshot,
    check_manifest,
)
from step_node.snapshot.records import InvalidSnapshot, read_records
from tests.receipts.samples import changed, small
from tests.snapshot.snapshots import small_snapshot
from tests.support.chains import CHAIN_ID, build, commit_for, make_genesis, open_chain, validator_names
from tests.support.clock import SetClock
from tests.support.operations import register, rotate, set_address, transfer, unbond, withdraw
from tests.support.proofs import START_MS, address, private_key, signed_proof

FUZZED_AS = {
    "AnswerUnion": "signer-answer",
    "BatchHeader": "batch-header",
    "Commit": "commit",
    "FetchRequest": "fetch-request",
    "FinalisedBatchMessage": "sync-answer",
    "Hello": "hello",
    "LogEntryUnion": "consensus-log-entry",
    "Outline": "outline",
    "Inventory": "inventory",
    "MessageUnion": "consensus-message",
    "OperationUnion": "operation",
    "PeersAnswer": "peers-answer",
    "ProofOfLock": "proof-of-lock",
    "PeersRequest": "peers-request",
    "RequestUnion": "signer-request",
    "SetLinks": "snapshot-links",
    "SnapshotChunk": "snapshot-chunk",
    "SnapshotIndex": "snapshot-index",
    "SnapshotManifest": "snapshot-manifest",
    "SnapshotRequest": "snapshot-request",
    "SyncRequest": "sync-request",
    "_Envelope": "batch",
    "_GossipedUnion": "gossiped-message",
    "_Kept": "snapshot-links",
    "_PoolFile": "evidence",
    "rpc_pb2.RPC.FromString": "gossip-rpc",
    "step_node/api/submissions/batch.py msgpack": "submissions-packed",
    "step_node/batch/batch.py msgpack": "batch-identity",
    "step_node/batch/summary.py msgpack": "batch-summary",
    "step_node/economy/fairness/kept.py msgpack": "fairness-epoch",
    "step_node/economy/fairness/point.py msgpack": "fairness-point",
    "step_node/economy/verifying/spooled.py msgpack": "snapshot-records",
    "step_node/engine/wal.py msgpack": "consensus-log",
    "step_node/ledger/evidence.py msgpack": "consensus-gossip",
    "step_node/ledger/protocol_record.py msgpack": "protocol-record",
    "step_node/proofs/wire.py msgpack": "proof-bundle",
    "step_node/signing/history.py msgpack": "signing-history",
    "step_node/snapshot/records.py msgpack": "snapshot-records",
}
"""Every place in the code that decodes (as `test_every_decoder_in_the_code_is_fuzzed` finds them), and its decoder."""

GOSSIP_MESSAGE_BYTES_MAX = 1_000_000

_NEXT = Upgrade(3, 27, "0.3.0")
PROTOCOL_RECORD = ProtocolRecord(Upgrade(2, 9), _NEXT, (UpgradeVote(b"v" * 20, _NEXT),))

_CHAIN_POINT = ChainPoint.of(make_genesis(2).head())


@dataclass(frozen=True)
class Decoder:
    """One way in. `decode` takes any bytes and returns, or raises one of `refusals`; anything else is a bug.

    `encode`, where there is one, is its inverse: what decodes must encode to the very bytes, or one value would have
    two forms.
    `bytes_max` is the longest input that whoever calls the decoder lets through to it.
    """

    decode: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    samples: tuple[bytes, ...]
    bytes_max: int
    encode: Callable[[Any], bytes] | None = None

    def try_out(self, data: bytes) -> bool:
        """Decode; True if it was accepted. Raises what must not happen."""
        try:
            value = self.decode(data)
        except self.refusals:
            return False
        if self.encode is not None:
            again = self.encode(value)
            assert again == data, f"{value!r} has another form, {again.hex()}"
        return True


NAMES = validator_names(4)
PEER_ADDRESS = "/ip4/192.0.2.1/tcp/26600/p2p/16Uiu2HAkwYpZ6kGHVRQLqBjGekwV82sSzaGKv3YwuDi9FkXLPMBK"
HASH, OTHER_HASH = b"\x01" * 32, b"\x02" * 32


def _signed(message: SignedMessage, name: str) -> Any:
    return replace(message, signature=sign(message.signing_line(CHAIN_ID), private_key(name)))


async def _chain_and_batch() -> tuple[Chain, ProofBatch, Commit]:
    chain = await open_chain(make_genesis(4))
    judged = await build(chain, [signed_proof(name, nonce=f"fuzz-{name}") for name in ("alice", "bob")])
    proposer = next(name for name in NAMES if address(name) == judged.batch.header.proposer)
    proposal = ProofBatch(1, 0, -1, judged.batch.hash, encode_batch(judged.batch), address(proposer))
    return chain, _signed(proposal, proposer), commit_for(judged.batch, NAMES)


def _files() -> Path:
    """In memory where the system has such a place: what is fuzzed fsyncs, and a disk would take all the time."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="step-fuzz-", dir=memory if memory.is_dir() else None))


def _no_secret(place: SecretFile | SecretCommand, _home: Path) -> str:
    """What is fuzzed may name any command."""
    raise SecretError(f"{place}: is not read here")


class _AsFile:
    """Decodes bytes as the content of a file."""

    def __init__(self, directory: Path, name: str, read: Callable[[Path], Any]) -> None:
        self._path = directory / name
        self._read = read

    def __call__(self, data: bytes) -> Any:
        self._path.unlink(missing_ok=True)
        self._path.touch(mode=0o600)
        self._path.write_bytes(data)
        return self._read(self._path)


INITIAL_RECORDS = (
    Account(b"\1" * 20, 1_000_000, 3, LastProof(START_MS - 90_000, 47.0, 8.0)),
    Triangle(locate(47.0, 8.0, 10).integer, 11, TriangleState.SUBDIVIDED),
    Triangle(min(locate(47.0, 8.0, 10).children).integer, 2),
    NonceRecord(b"\1" * 20, "used", START_MS - 90_000),
)
OLD_ACCOUNT = {"_id": "0x" + "ab" * 20, "balance": "1953"}
OLD_TRIANGLE = {
    "_id": locate(47.0, 8.0, 10).text,
    "level": 10,
    "state": "subdivided",
    "clicks": 11,
    "childrenIds": [child.text for child in locate(47.0, 8.0, 10).children],
    "lastClickAt": "2025-10-09T08:53:20.000Z",
}
OLD_EVENT = {
    "account": "0x" + "ab" * 20,
    "nonce": "n-1",
    "timestamp": datetime(2025, 10, 9, tzinfo=UTC),
    "eventType": "click",
    "triangleId": locate(47.0, 8.0, 10).text,
    "payload": {"lat": 47.0, "lon": 8, "reward": "1953"},
}


def _old_document(read: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], Any]:
    """Reads a document of the old database from MongoDB's form of it."""
    return lambda data: read(bson.decode(data, DOCUMENT_OPTIONS))


def _old_triangle(document: dict[str, Any]) -> Any:
    triangle = read_triangle(document)
    return triangle, list(remarks_about(document, triangle))


def _planned(genesis: GenesisPlan) -> GenesisPlan:
    return GenesisPlan(chain_id=genesis.chain_id, genesis_time_ms=genesis.genesis_time_ms)


def _declaration(genesis: Genesis) -> Declaration:
    name = NAMES[0]
    validator = next(one for one in genesis.validators if one.address == f"0x{address(name).hex()}")
    dialled = validator.model_copy(update={"p2p_address": PEER_ADDRESS})
    return declare(_planned(genesis), dialled, hot_key=private_key(name))


def _checked(declaration: Declaration, genesis: Genesis) -> Declaration:
    declaration.check(_planned(genesis))
    return declaration


def _open_and_close(log: Any) -> None:
    log.close()


def _payload(data: bytes) -> Any:
    body = parse_json(data)
    fields = body if isinstance(body, dict) else {}
    return parse_payload(fields.get("payload", body), fields.get("signature"))


def _points(data: bytes) -> str:
    target = io.StringIO()
    locate_points(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline=""), target, name="points.csv")
    return target.getvalue()


class _Bytes(Reader):
    """A reader of bytes that are all there."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    async def read(self, n: int | None = None) -> bytes:
        return self._file.read(-1 if n is None else n)

    async def close(self) -> None:
        self._file.close()


async def _pool_file(path: Path, chain: Chain, evidence: Evidence) -> bytes:
    pool = EvidencePool(path=path)
    await pool.add(evidence, chain.offence_in(evidence), chain.parameters)
    return path.read_bytes()


def _address_book(path: Path) -> int:
    async def read() -> int:
        async with keep_address_book(path, SetClock(START_MS)) as book:
            return len(book.known())

    return trio.run(read)


def _bans(path: Path) -> int:
    async def read() -> int:
        async with keep_bans(path, SetClock(START_MS)) as bans:
            return len(bans.known)

    return trio.run(read)


def _bytes_of(directory: Path, name: str, write: Callable[[Path], Any]) -> bytes:
    path = directory / name
    write(path)
    return path.read_bytes()


def _checkpoint() -> list[bytes]:
    members = ValidatorSet(tuple(Validator(bytes([number]) * 20, bytes(33), 1) for number in range(1, 5)))
    state = ConsensusState.begin("c", 7, members, members.validators[0].address, Timeouts())
    items = (
        WorkAvailable(),
        BatchBuilt(0, bytes(32), b"batch"),
        MessageReceived(PreVote(7, 0, None, members.validators[1].address, bytes(65))),
        MessageReceived(PreVote(7, 0, bytes(32), members.validators[2].address, bytes(65))),
        TimerFired(TimeoutKind.PROPOSER, 0),
    )
    for item in items:
        state = apply(state, item).state
    return checkpoint_entries(state)


def _signer_answer(data: bytes) -> signer_wire.Answer:
    answer = signer_wire.decode_answer(data)
    if isinstance(answer, signer_wire.Opened):
        signer_wire.entries_of(answer)
    return answer


def _write_record_log(path: Path) -> None:
    log, _ = RecordLog.open(path, b"header")
    log.append(b"first")
    log.append(b"")
    log.sync()
    log.append(b"third" * 10)
    log.sync()
    log.close()


def _write_history(path: Path) -> None:
    guard = SigningGuard.open(path, chain_id=CHAIN_ID, validator=address("alice"))
    guard.authorise(1, 0, SigningKind.PRE_VOTE, HASH)
    guard.authorise(1, 1, SigningKind.PRE_COMMIT, b"")
    guard.raise_floor(1)
    guard.doubt("a copy was put back")
    guard.settle(2)
    guard.authorise(3, 0, SigningKind.PRE_VOTE, HASH)
    guard.doubt("a copy was put back again")
    guard.close()


def decoders() -> dict[str, Decoder]:
    """All of them, by name. Some keep files in a temporary directory of this process."""
    chain, proposal, commit = trio.run(_chain_and_batch)
    name = NAMES[0]
    pre_vote = _signed(PreVote(1, 0, HASH, address(name)), name)
    other_vote = _signed(PreVote(1, 0, OTHER_HASH, address(name)), name)
    nil = _signed(PreCommit(1, 2, None, address(name)), name)
    timeout = _signed(TimeoutMessage(1, 0, TimeoutKind.PRE_COMMIT, address(name)), name)
    evidence = Evidence(EvidenceKind.DOUBLE_SIGN, pre_vote, other_vote)
    accused = replace(proposal, batch=b"")
    conflict = Evidence(EvidenceKind.CONFLICTING_PROPOSAL, accused, replace(accused, valid_round=0))
    foreign = Commit(7, 3, HASH, (CommitSignature(address(name), b"\x1b" * 65),))
    messages = [proposal, pre_vote, nil, timeout, commit, foreign, evidence, conflict]
    message_samples = tuple(encode_message(message) for message in messages)
    proofs = [signed_proof("alice", nonce="a"), signed_proof("bob", nonce="b" * 64, lat=-12.5, level=21)]
    signed = sign_payload(private_key("alice"), proofs[0].triangle, proofs[0].lat, proofs[0].lon, 5.0, START_MS, "n-1")
    genesis = make_genesis(4, allocations={"alice": 5})
    config = NodeConfig()
    here = _files()
    initial_path = here / "initial-state-sample"
    with initial_path.open("wb") as file:
        named = write_initial_state(file, [INITIAL_RECORDS])
    initial = make_genesis(1)
    with_state = initial.model_copy(update={"initial_state": named})
    operations = (
        register("carol", "carol-hot", 0),
        unbond("alice", "alice", 1),
        withdraw("alice", "alice", 2),
        rotate("alice", "alice", "alice-new", 3),
        set_address("alice", "alice", 4),
        transfer("alice", "bob", 5, amount_ustep=1_500_000, memo="rent | Zürich"),
    )
    timer = TimerFired(TimeoutKind.PROPOSER, 0)
    batch = decode_batch(proposal.batch)
    outline = outline_of(batch, encloses=lambda proof_id: proof_id == batch.proofs[0].proof_id)

    def message_of(wire: Any, bytes_max: int) -> Callable[[bytes], Any]:
        return lambda data: decode(wire, data, bytes_max=bytes_max, structure_bytes_max=bytes_max)

    def union_of(union: Any, bytes_max: int) -> Callable[[bytes], Any]:
        return lambda data: decode_union(union, data, bytes_max=bytes_max, structure_bytes_max=bytes_max)

    def stream_message(decode_it: Callable[[bytes], Any], bytes_max: int, *samples: object) -> Decoder:
        return Decoder(decode_it, (WireError,), tuple(encode(sample) for sample in samples), bytes_max, encode)

    snapshot_chain, snapshot = trio.run(lambda: small_snapshot(genesis, 2, chunk_bytes=2_000))
    trusted = TrustedSets(CHAIN_ID, snapshot_chain.validators)
    link = SetLink(snapshot.manifest.next_header, commit, trusted.latest.validators)

    def manifest_of(data: bytes) -> SnapshotManifest:
        manifest = decode(SnapshotManifest, data, bytes_max=SNAPSHOT_BYTES_MAX, structure_bytes_max=SNAPSHOT_BYTES_MAX)
        check_manifest(manifest, chain_id=CHAIN_ID, trusted=trusted)
        return manifest

    gossip = rpc_pb2.Message(data=b"x", topicIDs=["/t"], from_id=b"\x00\x01", seqno=b"1", key=b"k", signature=b"s")
    control = rpc_pb2.ControlMessage(iwant=[rpc_pb2.ControlIWant(messageIDs=[b"00ff"])])

    def old(read: Callable[[dict[str, Any]], Any], sample: dict[str, Any]) -> Decoder:
        return Decoder(_old_document(read), (Unusable, InvalidBSON), (bson.encode(sample),), 10_000)

    return {
        # What peers send.
        "consensus-message": Decoder(
            decode_message, (WireError,), message_samples, GOSSIP_MESSAGE_BYTES_MAX, encode_message
        ),
        "consensus-gossip": Decoder(
            lambda data: ConsensusJudge(chain, clock=time.monotonic).judge(data),
            (Refused,),
            (
                *(encode_message(message) for message in (proposal, pre_vote, nil, timeout, commit, evidence)),
                encode(ProposalOutline.of(proposal, encode(outline))),
            ),
            GOSSIP_MESSAGE_BYTES_MAX,
        ),
        "gossiped-message": Decoder(
            decode_gossiped,
            (WireError,),
            (encode(ProposalOutline.of(proposal, encode(outline))),),
            GOSSIP_MESSAGE_BYTES_MAX,
            encode,
        ),
        "outline": Decoder(
            decode_outline,
            (MalformedBatch,),
            (encode(outline), encode(outline_of(batch, encloses=lambda _: False))),
            GOSSIP_MESSAGE_BYTES_MAX,
            encode,
        ),
        "outline-filled": Decoder(
            lambda data: decode_outline(data).filled({proof.proof_id: proof for proof in batch.proofs}.get),
            (MalformedBatch,),
            (encode(outline), encode(outline_of(batch, encloses=lambda _: True))),
            GOSSIP_MESSAGE_BYTES_MAX,
        ),
        "proof-of-lock": Decoder(
            decode_proof_of_lock,
            (WireError,),
            (encode_proof_of_lock(ProofOfLock(1, 0, proposal.batch_hash, proposal.batch, commit.signatures)),),
            PROOF_OF_LOCK_BYTES_MAX,
            encode_proof_of_lock,
        ),
        "batch-identity": Decoder(identity_in, (MalformedBatch,), (proposal.batch,), GOSSIP_MESSAGE_BYTES_MAX),
        "batch-summary": Decoder(stored_summary, (MalformedBatch,), (proposal.batch,), GOSSIP_MESSAGE_BYTES_MAX),
        "batch": Decoder(decode_batch, (MalformedBatch,), (proposal.batch,), GOSSIP_MESSAGE_BYTES_MAX, encode_batch),
        "proof-bundle": Decoder(
            decode_bundle,
            (MalformedProof,),
            (encode_bundle(proofs), encode_bundle(proofs[:1])),
            BUNDLE_BYTES_MAX,
            encode_bundle,
        ),
        "hello": stream_message(
            message_of(Hello, HELLO_BYTES_MAX),
            HELLO_BYTES_MAX,
            Hello(CHAIN_ID, genesis.hash, 12),
            Hello(CHAIN_ID, genesis.hash, 12, "0.1.0", address(name)),
        ),
        "peers-request": stream_message(
            message_of(PeersRequest, PEERS_BYTES_MAX), PEERS_BYTES_MAX, PeersRequest((PEER_ADDRESS,)), PeersRequest(())
        ),
        "peers-answer": stream_message(
            message_of(PeersAnswer, PEERS_BYTES_MAX), PEERS_BYTES_MAX, PeersAnswer((PEER_ADDRESS, "/dns4/node1/tcp/1"))
        ),
        "peer-address": Decoder(
            lambda data: parse_peer_address(data.decode()), (ValueError,), (PEER_ADDRESS.encode(),), 256
        ),
        "sync-request": stream_message(
            union_of(SyncRequest, SYNC_REQUEST_BYTES_MAX),
            SYNC_REQUEST_BYTES_MAX,
            BatchesRequest(3, 256),
            ProposalRequest(4, HASH),
        ),
        "sync-answer": stream_message(
            lambda data: decode(FinalisedBatchMessage, data, bytes_max=SYNC_BYTES_MAX),
            SYNC_BYTES_MAX,
            FinalisedBatchMessage(proposal.batch, commit),
        ),
        "fetch-request": stream_message(
            union_of(FetchRequest, FETCH_REQUEST_BYTES_MAX),
            FETCH_REQUEST_BYTES_MAX,
            InventoryRequest(),
            ProofsRequest((HASH,)),
        ),
        "inventory": stream_message(
            message_of(Inventory, FETCH_BYTES_MAX), FETCH_BYTES_MAX, Inventory((HASH, OTHER_HASH))
        ),
        "gossip-rpc": Decoder(
            rpc_pb2.RPC.FromString,
            LIBP2P_ERRORS,
            (
                rpc_pb2.RPC(publish=[gossip]).SerializeToString(),
                rpc_pb2.RPC(control=control, senderRecord=b"r").SerializeToString(),
            ),
            1024 * 1024,
        ),
        "operation": Decoder(
            lambda data: decode_operation_message(data, CHAIN_ID),
            (Refused,),
            tuple(encode_operation(one) for one in operations),
            OPERATION_BYTES_MAX,
            encode_operation,
        ),
        "snapshot-request": stream_message(
            union_of(SnapshotRequest, SNAPSHOT_REQUEST_BYTES_MAX),
            SNAPSHOT_REQUEST_BYTES_MAX,
            ManifestRequest(),
            LinksRequest(0),
            ChunkRequest(1),
        ),
        "snapshot-manifest": Decoder(
            manifest_of,
            (WireError, InvalidSnapshot, UnprovenSnapshot),
            (encode(snapshot.manifest),),
            SNAPSHOT_BYTES_MAX,
            encode,
        ),
        "snapshot-links": stream_message(
            message_of(SetLinks, LINKS_BYTES_MAX), LINKS_BYTES_MAX, SetLinks((link,)), SetLinks((link, link))
        ),
        "snapshot-index": stream_message(
            message_of(SnapshotIndex, SNAPSHOT_BYTES_MAX), SNAPSHOT_BYTES_MAX, snapshot.manifest.snapshot
        ),
        "snapshot-chunk": stream_message(
            lambda data: decode(SnapshotChunk, data, bytes_max=SNAPSHOT_BYTES_MAX),
            SNAPSHOT_BYTES_MAX,
            SnapshotChunk(snapshot.chunks[0]),
        ),
        "protocol-record": Decoder(
            protocol_record_from,
            (MalformedProtocolRecord,),
            (record_bytes(PROTOCOL_RECORD), record_bytes(replace(PROTOCOL_RECORD, agreed=None, votes=()))),
            10_000,
        ),
        "fairness-point": Decoder(
            ChainPoint.decoded, (InvalidPoint,), (_CHAIN_POINT.encoded(),), POINT_BYTES_MAX, ChainPoint.encoded
        ),
        "fairness-epoch": Decoder(
            KeptEpoch.decoded,
            (InvalidKeptEpoch,),
            (KeptEpoch(_CHAIN_POINT, b"{}").encoded(), KeptEpoch(_CHAIN_POINT, lacking=Lacking.BEGUN_WITHIN).encoded()),
            KEPT_BYTES_MAX,
        ),
        "snapshot-records": Decoder(
            lambda data: read_records(data, None), (InvalidSnapshot,), snapshot.chunks[:1], CHUNK_BYTES_MAX
        ),
        "commit": stream_message(message_of(Commit, COMMIT_BYTES_MAX), COMMIT_BYTES_MAX, commit, foreign),
        "batch-header": stream_message(
            message_of(BatchHeader, EXHIBIT_HEADER_BYTES_MAX), EXHIBIT_HEADER_BYTES_MAX, snapshot.manifest.next_header
        ),
        "negotiation-line": Decoder(
            lambda data: trio.run(read_line, _Bytes(data)),
            LIBP2P_ERRORS,
            (encode_varint_prefixed(b"/multistream/1.0.0\n"), encode_varint_prefixed(b"ls\n")),
            65_536,
        ),
        # What clients send.
        "payload": Decoder(
            _payload,
            (ApiError, ProofRefused),
            (json.dumps(signed).encode(),),
            16_384,
        ),
        "submissions-json": Decoder(
            partial(parse_submissions, media_type=JSON),
            (ApiError,),
            (json.dumps([signed]).encode(),),
            BATCH_BODY_BYTES_MAX,
        ),
        "submissions-lines": Decoder(
            partial(parse_submissions, media_type=LINES),
            (ApiError,),
            (json.dumps(signed).encode() + b"\n" + json.dumps(signed).encode(),),
            BATCH_BODY_BYTES_MAX,
        ),
        "submissions-packed": Decoder(
            partial(parse_submissions, media_type=MESSAGEPACK[0]),
            (ApiError,),
            (msgpack.packb([signed, to_wire_fields(proofs[0])]),),
            BATCH_BODY_BYTES_MAX,
        ),
        "event-position": Decoder(
            lambda data: parse_position(data.decode("latin-1")),
            (ValueError,),
            (str(Position(42, 7, LocalPosition("5f3a21bc", 118))).encode(),),
            POSITION_CHARACTERS_MAX,
        ),
        "cursor": Decoder(
            lambda data: decode_cursor(data.decode("latin-1")), (ValueError,), (encode_cursor(7, 3).encode(),), 200
        ),
        "points-csv": Decoder(
            _points, (CommandError,), (b"lat,lon,level\n47.1,8.5,10\n-1e1,0,21\n", b"lat,lon,level\r\n"), 65_536
        ),
        "track": Decoder(
            parse_track,
            (TrackError,),
            (
                b'<gpx><trkpt lat="1" lon="2"><time>2026-01-31T12:00:00Z</time></trkpt></gpx>',
                b'{"geometry":{"type":"LineString","coordinates":[[8,47]]},"properties":{"coordTimes":[0]}}',
                b"$GPGGA,235959,4722.6140,N,00832.5020,E,1,08,0.9,408,M,,M,,*40\r\n",
            ),
            65_536,
        ),
        # What a client reads of a node.
        "events": Decoder(
            lambda data: EventParser("http://node", "").feed(data),
            (UnreadableAnswer,),
            (b'id: 7.0\nevent: batch\ndata: {"height": 7}\n\n: beat\n\n', b"retry: 1000\n\ndata: {}\n\n"),
            EVENT_BYTES_MAX,
        ),
        # What stands in a node's home.
        "consensus-log-entry": Decoder(
            decode_entry,
            (WireError,),
            (
                encode_input(MessageReceived(pre_vote)),
                encode_input(WorkAvailable()),
                encode_input(timer),
                *_checkpoint(),
            ),
            GOSSIP_MESSAGE_BYTES_MAX,
            encode_input,
        ),
        "record-log": Decoder(
            _AsFile(here, "records", lambda path: _open_and_close(RecordLog.open(path, b"header")[0])),
            (StepNodeError,),
            (_bytes_of(here, "record-sample", _write_record_log),),
            65_536,
        ),
        "consensus-log": Decoder(
            _AsFile(
                here, "input", lambda path: _open_and_close(WriteAheadLog.open(path, chain_id=CHAIN_ID, height=1)[0])
            ),
            (StepNodeError,),
            (_bytes_of(here, "input-sample", _write_wal),),
            65_536,
        ),
        "signer-request": Decoder(
            decode_request,
            (WireError,),
            tuple(
                signer_wire.encode_frame(request)[LENGTH.size :]
                for request in (
                    signer_wire.Open(CHAIN_ID, address("alice"), "node"),
                    signer_wire.Sign(1, "PRE_VOTE", 7, 0, HASH),
                    signer_wire.RaiseFloor(2, 7),
                    signer_wire.Doubt(3, "the chain shows more"),
                    signer_wire.Settle(4, 9),
                    signer_wire.Ping(5),
                )
            ),
            signer_wire.REQUEST_BYTES_MAX,
            encode=lambda request: signer_wire.encode_frame(request)[LENGTH.size :],
        ),
        "signer-answer": Decoder(
            _signer_answer,
            (WireError, ValueError),
            tuple(
                signer_wire.encode_frame(answer)[LENGTH.size :]
                for answer in (
                    signer_wire.opened([FloorRaised(7), SignedRecord(8, 0, SigningKind.PRE_VOTE, HASH)]),
                    signer_wire.Signed(1, bytes(65)),
                    signer_wire.Done(2),
                    signer_wire.Refused(3, "LEASED", "another node has the key"),
                )
            ),
            signer_wire.ANSWER_BYTES_MAX,
            encode=lambda answer: signer_wire.encode_frame(answer)[LENGTH.size :],
        ),
        "interchange": Decoder(
            _AsFile(here, "interchange", read_interchange),
            (InterchangeError,),
            (
                export_interchange(
                    {
                        address("alice"): HistoryContent(
                            (SignedRecord(8, 0, SigningKind.PRE_VOTE, HASH * 2),), 7, "lost"
                        )
                    },
                    chain_id=CHAIN_ID,
                    genesis_hash=HASH,
                ).encode(),
            ),
            INTERCHANGE_BYTES_MAX,
        ),
        "signing-history": Decoder(
            _AsFile(
                here,
                "history",
                lambda path: _open_and_close(SigningGuard.open(path, chain_id=CHAIN_ID, validator=address("alice"))),
            ),
            (StepNodeError,),
            (_bytes_of(here, "history-sample", _write_history),),
            65_536,
        ),
        "keystore": Decoder(
            _AsFile(here, "keystore", keystore_address),
            (StepNodeError,),
            (
                _bytes_of(
                    here,
                    "keystore-sample",
                    lambda path: create_keystore(path, private_key("alice"), "password", KdfStrength.DEVNET),
                ),
            ),
            16_384,
        ),
        "receipt": Decoder(
            lambda data: (data[:1] == b"{", read_receipt(data)),
            (MalformedReceipt,),
            (receipt_json(small().proof(0)), receipt_cbor(small().proof(0)), receipt_cbor(changed().operation(1))),
            RECEIPT_BYTES_MAX,
            lambda read: (receipt_json if read[0] else receipt_cbor)(read[1]),
        ),
        "genesis": Decoder(
            _AsFile(here, "genesis.json", load_genesis),
            (StepNodeError,),
            (
                genesis.model_dump_json(exclude={"initial_state"}).encode(),
                genesis.model_dump_json(indent=2, exclude={"initial_state"}).encode(),
                with_state.model_dump_json(exclude_none=True).encode(),
            ),
            1_000_000,
        ),
        "genesis-plan": Decoder(
            _AsFile(here, "plan.json", lambda path: load_document(path, GenesisPlan)),
            (StepNodeError,),
            (genesis.model_dump_json(exclude={"validators", "initial_state"}).encode(),),
            100_000,
        ),
        "initial-state": Decoder(
            _AsFile(here, "initial_state.bin", lambda path: list(read_initial_state(path, initial, named))),
            (StepNodeError,),
            (initial_path.read_bytes(),),
            100_000,
        ),
        "old-account": old(read_account, OLD_ACCOUNT),
        "old-triangle": old(_old_triangle, OLD_TRIANGLE),
        "old-event": old(read_event, OLD_EVENT),
        "genesis-declaration": Decoder(
            _AsFile(here, "declaration.json", lambda path: _checked(load_document(path, Declaration), genesis)),
            (StepNodeError,),
            (_declaration(genesis).model_dump_json(exclude_none=True).encode(),),
            100_000,
        ),
        "genesis-parameters": Decoder(
            _AsFile(here, "parameters.toml", load_parameters), (StepNodeError,), (b"speed_limit_mps = 20\n",), 100_000
        ),
        "genesis-allocations": Decoder(
            _AsFile(here, "allocations.csv", load_allocations),
            (StepNodeError,),
            (b"address,amount\n0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed,1.5\n",),
            100_000,
        ),
        "config": Decoder(
            _AsFile(here, "config.toml", lambda path: load_config(path, read=_no_secret)),
            (StepNodeError,),
            (render_config(config).encode(),),
            CONFIG_BYTES_MAX,
        ),
        "evidence": Decoder(
            _AsFile(
                here,
                "evidence",
                lambda path: EvidencePool.open(path, chain_id=CHAIN_ID, parameters=genesis.parameters),
            ),
            (StepNodeError,),
            (trio.run(_pool_file, here / "evidence-sample", chain, evidence),),
            1_000_000,
        ),
        "address-book": Decoder(
            _AsFile(here, "address_book.json", _address_book),
            (),
            (
                b'{"known": [{"address": "' + PEER_ADDRESS.encode() + b'", "answered_at_ms": 1760000009000, '
                b'"silences": 1}]}',
            ),
            FILE_BYTES_MAX,
        ),
        "economy-rows": Decoder(
            decode_rows,
            (DamagedRows,),
            (
                encode_rows(ProofColumns.empty()),
                encode_rows(ProofColumns.of_proofs((signed_proof(),), height=1, batch_time_ms=1_760_000_009_000)),
            ),
            100_000,
        ),
        "bans": Decoder(
            _AsFile(here, "bans.json", _bans),
            (),
            (b'{"banned_until_ms": {"16Uiu2HAm": 1760000009000}}',),
            FILE_BYTES_MAX,
        ),
    }


def _write_wal(path: Path) -> None:
    log, _ = WriteAheadLog.open(path, chain_id=CHAIN_ID, height=1)
    log.append(WorkAvailable())
    log.sync()
    log.append(TimerFired(TimeoutKind.PROPOSER, 0))
    log.sync()
    log.close()
