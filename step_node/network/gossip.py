"""The three topics: messages of consensus, bundles of proofs, validator operations.

A message is decoded, and what can be checked from it alone is checked, *before* it is passed on: so garbage goes no
further than the first honest node, and only its author pays for it. What was decoded there is kept for the reader.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

import trio

from consensus.commit import InvalidCommit
from consensus.evidence import InvalidEvidence
from consensus.messages import MESSAGE_BYTES_MAX, Commit, Evidence, Message, ProofBatch, decode_message, encode_message
from consensus.wire import WireError
from p2p.network import Fault, Network, PeerId
from step_node.batch.batch import Batch, MalformedBatch, decode_batch
from step_node.chain.chain import Chain
from step_node.crypto.eip191 import BadSignature
from step_node.crypto.lines import recover_signer
from step_node.network.protocols import consensus_topic, operations_topic, proofs_topic
from step_node.operations.operation import (
    OPERATION_BYTES_MAX,
    Operation,
    OperationCode,
    OperationRefused,
    decode_operation,
    verify_operation,
)
from step_node.proofs.wire import BUNDLE_BYTES_MAX, CheckedBundle, MalformedProof, check_bundle

CONSENSUS_BUFFER_MESSAGES = 2_048
PROOFS_BUFFER_BUNDLES = 128
"""Some 70 MB of the largest ones. What comes while they wait is dropped, and peers are asked for what is missing."""
OPERATIONS_BUFFER_MESSAGES = 512

T = TypeVar("T")


class Refused(ValueError):
    """A gossiped message that must go no further, and what its sender has done wrong."""

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.fault = fault


class Topic(Generic[T]):
    """One topic, decoded. Iterate over it for (sender, what it sent)."""

    def __init__(
        self,
        network: Network,
        name: str,
        decode: Callable[[bytes], T],
        *,
        message_bytes_max: int,
        buffer_messages: int,
        on_refused: Callable[[str, Refused], None],
        urgent: bool = False,
    ) -> None:
        self._name = name
        self._decode = decode
        self._on_refused = on_refused
        self._decoded_max = buffer_messages
        self._decoded: OrderedDict[bytes, T] = OrderedDict()
        self._network = network
        self._messages = network.subscribe(
            name,
            message_bytes_max=message_bytes_max,
            buffer_messages=buffer_messages,
            validate=self._validate,
            urgent=urgent,
        )

    async def publish(self, data: bytes) -> None:
        """Hand encoded bytes to the gossip."""
        await self._network.publish(self._name, data)

    def _validate(self, _sender: PeerId, data: bytes) -> Fault | None:
        try:
            self._decoded[data] = self._decode(data)
        except Refused as error:
            self._on_refused(self._name, error)
            return error.fault
        while len(self._decoded) > self._decoded_max:
            self._decoded.popitem(last=False)
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[PeerId, T]:
        while True:
            try:
                message = await self._messages.receive()
            except trio.EndOfChannel:
                raise StopAsyncIteration from None
            try:
                decoded = self._decoded.pop(message.data, None) or self._decode(message.data)
            except Refused as error:
                # It passed when it came, and waited so long that it has been forgotten; the state has moved on since.
                self._on_refused(self._name, error)
            else:
                return message.sender, decoded


@dataclass(frozen=True, slots=True)
class ConsensusGossipMessage:
    """A message of consensus; a proposal comes with its decoded batch.

    `proven` is False for a commit or evidence of another height than the next: it is for peers that are elsewhere.
    """

    message: Message
    batch: Batch | None
    proven: bool


def consensus_gossip(
    network: Network, chain: Chain, on_refused: Callable[[str, Refused], None]
) -> Topic[ConsensusGossipMessage]:
    """The consensus topic of `chain`."""
    return Topic(
        network,
        consensus_topic(chain.chain_id),
        lambda data: decode_consensus_message(data, chain),
        message_bytes_max=MESSAGE_BYTES_MAX,
        buffer_messages=CONSENSUS_BUFFER_MESSAGES,
        on_refused=on_refused,
        urgent=True,
    )


def proofs_gossip(network: Network, chain_id: str, on_refused: Callable[[str, Refused], None]) -> Topic[CheckedBundle]:
    """The proofs topic of a chain.

    Before a bundle is passed on it is checked, not decoded: strangers can send bundles of 500 proofs, and computing
    their ids at once would keep the event loop from everything else. The reader does that, a few proofs at a time.
    """
    return Topic(
        network,
        proofs_topic(chain_id),
        _check_bundle,
        message_bytes_max=BUNDLE_BYTES_MAX,
        buffer_messages=PROOFS_BUFFER_BUNDLES,
        on_refused=on_refused,
    )


def operations_gossip(network: Network, chain_id: str, on_refused: Callable[[str, Refused], None]) -> Topic[Operation]:
    """The operations topic of a chain."""
    return Topic(
        network,
        operations_topic(chain_id),
        lambda data: decode_operation_message(data, chain_id),
        message_bytes_max=OPERATION_BYTES_MAX,
        buffer_messages=OPERATIONS_BUFFER_MESSAGES,
        on_refused=on_refused,
    )


async def broadcast(topic: Topic[ConsensusGossipMessage], message: Message) -> None:
    """Send a message of consensus to everybody."""
    await topic.publish(encode_message(message))


def decode_consensus_message(data: bytes, chain: Chain) -> ConsensusGossipMessage:
    """The message in `data`, with its signatures checked.

    Raises `Refused`, which the neighbour that passed the message on has to answer for. So a fault that costs points
    must not depend on how far this node has come: a neighbour one height behind would be punished for what it could not
    know. Signatures are judged from the message alone. Who may sign is judged strictly for the next height; for others
    a validator is whoever has a record (a newcomer has one an epoch before it votes), and what this node cannot judge
    goes no further, at nobody's cost (`UNVERIFIABLE`).
    """
    try:
        message = decode_message(data)
    except WireError as error:
        raise Refused(Fault.MALFORMED, str(error)) from error
    batch = None
    proven = True
    try:
        match message:
            case Commit():
                proven = _check_commit(message, chain)
            case Evidence():
                _check_known(message.type, chain.offence_in(message).accused, message.first.height, chain)
                proven = message.first.height == chain.next_height
            case _:
                if recover_signer(message.signing_line(chain.chain_id), message.signature) != message.signer:
                    raise Refused(Fault.BAD_SIGNATURE, f"{message.type}: is not signed by 0x{message.signer.hex()}")
                _check_known(message.type, message.signer, message.height, chain)
                if isinstance(message, ProofBatch):
                    batch = _batch_of(message)
    except (BadSignature, InvalidCommit, InvalidEvidence) as error:
        raise Refused(Fault.BAD_SIGNATURE, f"{message.type}: {error}") from error
    return ConsensusGossipMessage(message, batch, proven)


def decode_operation_message(data: bytes, chain_id: str) -> Operation:
    """The operation in `data`, with its signatures checked. Raises `Refused`."""
    try:
        operation = decode_operation(data)
        verify_operation(operation, chain_id)
    except OperationRefused as error:
        bad_signature = error.code is OperationCode.BAD_SIGNATURE
        raise Refused(Fault.BAD_SIGNATURE if bad_signature else Fault.MALFORMED, str(error)) from error
    return operation


def _check_commit(commit: Commit, chain: Chain) -> bool:
    """Whether it is of the next height; then it is proven. Of another height, the set may have been another."""
    try:
        chain.check_commit(commit, height=commit.height, batch_hash=commit.batch_hash)
    except InvalidCommit as error:
        if commit.height == chain.next_height or not chain.is_signed(commit):
            raise
        raise Refused(Fault.UNVERIFIABLE, f"{commit.type}: {error}") from error
    return commit.height == chain.next_height


def _check_known(kind: str, signer: bytes, height: int, chain: Chain) -> None:
    if chain.knows_validator(signer):
        return
    fault = Fault.UNVERIFIABLE if height > chain.next_height else Fault.INVALID_DATA
    raise Refused(fault, f"{kind}: 0x{signer.hex()} is no validator")


def _batch_of(message: ProofBatch) -> Batch:
    try:
        batch = decode_batch(message.batch)
    except MalformedBatch as error:
        raise Refused(Fault.MALFORMED, f"PROOF_BATCH.batch: {error}") from error
    if batch.hash != message.batch_hash:
        raise Refused(Fault.INVALID_DATA, "PROOF_BATCH.batch_hash: is not the identity of the batch")
    return batch


def _check_bundle(data: bytes) -> CheckedBundle:
    try:
        return check_bundle(data)
    except MalformedProof as error:
        raise Refused(Fault.MALFORMED, str(error)) from error
