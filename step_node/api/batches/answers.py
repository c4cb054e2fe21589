"""What `GET /batch/{height}` answers, kept as it goes over the wire: a finalised batch never changes.

To make an answer, each of up to a thousand proofs is decoded and hashed, some 20 ms of arithmetic. So it is made once,
by one thread that is set aside for this, and kept while there is room; who asks for the same meanwhile waits for it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import trio
from blake3 import blake3

from consensus.messages import Commit
from consensus.wire import decode
from step_node.api.models.ledger import (
    BatchAnswer,
    BatchEvidence,
    BatchHeaderAnswer,
    BatchOperation,
    CommitAnswer,
    CommitSignatureAnswer,
)
from step_node.api.models.schema import hex_text
from step_node.batch.batch import decode_batch
from step_node.chain.chain import COMMIT_BYTES_MAX
from step_node.ledger.offences import OffenceKind
from step_node.offload import run_blocking
from step_node.operations.operation import decode_operation, operation_id
from step_node.proofs.timestamps import format_timestamp
from step_node.storage.interface import StorageReads, StoredBatch

KEPT_BYTES_MAX: Final = 16 * 2**20
"""Answers that are kept, some 200 of full batches; beyond, the one that was asked for the longest ago is dropped."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The JSON of a batch, and the tag of just these bytes: which commit was kept differs from node to node."""

    body: bytes
    tag: str


class BatchAnswers:
    """The answers over one store. To be used from the event loop."""

    def __init__(self, storage: StorageReads) -> None:
        self._storage = storage
        self._kept: OrderedDict[int, KeptAnswer] = OrderedDict()
        self._kept_bytes = 0
        self._turn = trio.Lock()

    async def get(self, height: int) -> KeptAnswer | None:
        """The answer for the batch at `height`; None if this node has none. Raises `StorageUnavailable`."""
        if height not in self._kept:
            async with self._turn:
                if height not in self._kept:
                    return await self._make(height)
        self._kept.move_to_end(height)
        return self._kept[height]

    async def _make(self, height: int) -> KeptAnswer | None:
        stored = await self._storage.batches(height, 1)
        if not stored:
            return None
        answer = await run_blocking(_answer, stored[0])
        self._kept[height] = answer
        self._kept_bytes += len(answer.body)
        while self._kept_bytes > KEPT_BYTES_MAX:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped.body)
        return answer


def _answer(stored: StoredBatch) -> KeptAnswer:
    decoded = decode_batch(stored.batch)
    header = decoded.header
    commit = decode(Commit, stored.commit, bytes_max=COMMIT_BYTES_MAX)
    answer = BatchAnswer(
        height=stored.height,
        batch_hash=hex_text(stored.batch_hash),
        header=BatchHeaderAnswer(
            chain_id=header.chain_id,
            protocol_version=header.protocol_version,
            height=header.height,
            round=header.round,
            proposer=hex_text(header.proposer),
            timestamp=format_timestamp(header.timestamp_ms),
            previous_batch_hash=hex_text(header.previous_batch_hash),
            validator_set_hash=hex_text(header.validator_set_hash),
            state_root=hex_text(header.state_root),
            proof_ids_root=hex_text(header.proof_ids_root),
            proofs_root=hex_text(header.proofs_root),
            receipts_root=hex_text(header.receipts_root),
            receipts_size=header.receipts_size,
            body_hash=hex_text(header.body_hash),
        ),
        proof_ids=[hex_text(proof.proof_id) for proof in decoded.proofs],
        operations=[
            BatchOperation(
                operation_id=hex_text(operation_id(operation, header.chain_id)),
                type=operation.type,
                owner=hex_text(operation.owner),
            )
            for operation in map(decode_operation, decoded.operations)
        ],
        evidence=[
            BatchEvidence(
                kind=OffenceKind(piece.kind.value),
                accused=hex_text(piece.first.signer),
                offence_height=piece.first.height,
            )
            for piece in decoded.evidence
        ],
        commit=CommitAnswer(
            round=commit.round,
            signatures=[
                CommitSignatureAnswer(validator=hex_text(entry.validator), signature=hex_text(entry.signature))
                for entry in commit.signatures
            ],
        ),
    )
    body = answer.model_dump_json(by_alias=True).encode()
    return KeptAnswer(body, f'"{blake3(body).hexdigest(length=16)}"')
