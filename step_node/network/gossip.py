"""The three topics: messages of consensus, bundles of proofs, validator operations.

A message is decoded, and what can be checked from it alone is checked, *before* it is passed on: so garbage goes no
further than the first honest node, and only its author pays for it. What was decoded there is kept for the reader.
What a message of consensus is worth is decided in `network.consensus_judge`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Self, TypeAlias, TypeVar

import trio

from consensus.messages import MESSAGE_BYTES_MAX
from p2p.network import Fault, Network, PeerId
from step_node.network.consensus_judge import ConsensusGossipMessage, ConsensusJudge, Refused
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

RefusedFunction: TypeAlias = Callable[[str, PeerId, Refused], None]
"""(topic, the neighbour that handed it over, why it goes no further)."""


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
        on_refused: RefusedFunction,
        hears_own: bool = False,
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
            on_own=self._hear_own if hears_own else None,
            urgent=urgent,
        )

    async def publish(self, data: bytes) -> None:
        """Hand encoded bytes to the gossip."""
        await self._network.publish(self._name, data)

    def _validate(self, sender: PeerId, data: bytes) -> Fault | None:
        try:
            self._decoded[data] = self._decode(data)
        except Refused as error:
            self._on_refused(self._name, sender, error)
            return error.fault
        while len(self._decoded) > self._decoded_max:
            self._decoded.popitem(last=False)
        return None

    def _hear_own(self, data: bytes) -> None:
        """Decode what another process has published under this node's peer id; decoding it is all that is done."""
        try:
            self._decode(data)
        except Refused as error:
            self._on_refused(self._name, self._network.peer_id, error)

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
                self._on_refused(self._name, message.sender, error)
            else:
                return message.sender, decoded


def consensus_gossip(
    network: Network,
    judge: ConsensusJudge,
    chain_id: str,
    on_refused: RefusedFunction,
) -> Topic[ConsensusGossipMessage]:
    """The consensus topic of a chain, its messages judged by `judge`."""
    return Topic(
        network,
        consensus_topic(chain_id),
        judge.judge,
        message_bytes_max=MESSAGE_BYTES_MAX,
        buffer_messages=CONSENSUS_BUFFER_MESSAGES,
        on_refused=on_refused,
        hears_own=True,
        urgent=True,
    )


def proofs_gossip(network: Network, chain_id: str, on_refused: RefusedFunction) -> Topic[CheckedBundle]:
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


def operations_gossip(network: Network, chain_id: str, on_refused: RefusedFunction) -> Topic[Operation]:
    """The operations topic of a chain."""
    return Topic(
        network,
        operations_topic(chain_id),
        lambda data: decode_operation_message(data, chain_id),
        message_bytes_max=OPERATION_BYTES_MAX,
        buffer_messages=OPERATIONS_BUFFER_MESSAGES,
        on_refused=on_refused,
    )


def decode_operation_message(data: bytes, chain_id: str) -> Operation:
    """The operation in `data`, with its signatures checked. Raises `Refused`, for what its bytes show alone.

    Whether it can be applied (its sequence number, the owner's balance) depends on the head, and is no fault.
    """
    try:
        operation = decode_operation(data)
        verify_operation(operation, chain_id)
    except OperationRefused as error:
        bad_signature = error.code is OperationCode.BAD_SIGNATURE
        raise Refused(Fault.BAD_SIGNATURE if bad_signature else Fault.MALFORMED, str(error)) from error
    return operation


def _check_bundle(data: bytes) -> CheckedBundle:
    try:
        return check_bundle(data)
    except MalformedProof as error:
        raise Refused(Fault.MALFORMED, str(error)) from error
