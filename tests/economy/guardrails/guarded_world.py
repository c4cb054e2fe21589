"""A world of the ledger's tests whose guardrails are told of each batch, as a node's are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from consensus.messages import Commit, CommitSignature
from step_node.batch.batch import BatchContent, BatchHeader
from step_node.chain.judging import JudgedBatch
from step_node.economy.guardrails.band import Origin
from step_node.economy.guardrails.guardrail import Breach
from step_node.economy.guardrails.guardrails import Guardrails, Limits
from step_node.ledger.apply import LedgerTransition
from step_node.ledger.offences import Offence
from step_node.ledger.state import StateHead
from step_node.operations.operation import Operation, encode_operation
from step_node.proofs.proof import SignedProof
from tests.ledger.world import World
from tests.support.chains import CHAIN_ID

NOTHING = bytes(32)
SIGNATURE = bytes(64) + b"\x1b"


class GuardedWorld(World):
    """`breaches` are all that were found, each when it came."""

    def __init__(self, *arguments: Any, limits: Limits | None = None, **parameters: Any) -> None:
        super().__init__(*arguments, **parameters)
        self.breaches: list[Breach] = []
        self._told_by = id(self)
        """Not that of a copy in which a test tries something."""
        self.guardrails = Guardrails(
            Origin(self.head.chain.minted_ustep, self.head.protocol.version, counts_all=True),
            self.head,
            {},
            limits=limits,
        )

    def apply(
        self,
        *proofs: SignedProof,
        at_ms: int | None = None,
        offences: Sequence[Offence] = (),
        operations: Sequence[Operation] = (),
        signers: Collection[bytes] | None = None,
    ) -> LedgerTransition:
        before = self.head
        if signers is None:
            signers = sorted(self.members(self.height))[:3] if self.height else ()
        transition = super().apply(*proofs, at_ms=at_ms, offences=offences, operations=operations, signers=signers)
        if self._told_by == id(self):
            self.breaches += self.guardrails.after_batch(judged(before, transition, proofs, operations, signers))
        return transition

    def check(self) -> None:
        super().check()
        assert self.breaches == []
        assert self.guardrails.checked_height == self.height


def judged(
    before: StateHead,
    transition: LedgerTransition,
    proofs: Sequence[SignedProof],
    operations: Sequence[Operation],
    signers: Collection[bytes],
) -> JudgedBatch:
    """The batch that these would have stood in; hashes and signatures, which nobody looks at, are zeros."""
    chain = transition.changes.head.chain
    signatures = tuple(CommitSignature(signer, SIGNATURE) for signer in sorted(signers))
    content = BatchContent(
        tuple(proofs),
        Commit(before.chain.height, 0, NOTHING, signatures) if before.chain.height else None,
        operations=tuple(map(encode_operation, operations)),
    )
    header = BatchHeader(
        chain_id=CHAIN_ID,
        height=chain.height,
        round=0,
        proposer=chain.proposer,
        timestamp_ms=chain.timestamp_ms,
        previous_batch_hash=NOTHING,
        validator_set_hash=NOTHING,
        state_root=NOTHING,
        proof_ids_root=NOTHING,
        proofs_root=NOTHING,
        receipts_root=NOTHING,
        receipts_size=len(proofs) + len(operations),
        body_hash=NOTHING,
        protocol_version=before.protocol.version,
    )
    return JudgedBatch(content.with_header(header), transition)
