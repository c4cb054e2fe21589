"""Receipts made from what a node has of one batch (`verification` reads them)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consensus.messages import Commit
from step_node.amounts import step_text
from step_node.batch.batch import Batch, BatchHeader
from step_node.batch.merkle import inclusion_path, merkle_root
from step_node.ledger.state import OperationReceipt as OperationResult
from step_node.ledger.state import Receipt
from step_node.operations.operation import Operation, decode_operation, signing_line
from step_node.proofs.canonical_line import canonical_line
from step_node.proofs.proof import SignedProof
from step_node.proofs.timestamps import format_timestamp
from step_node.receipts.balances import unpack_balances
from step_node.receipts.document import (
    STATE_NAMES,
    CommitPart,
    HeaderPart,
    LinkPart,
    OperationOutcome,
    OperationReceipt,
    PathPart,
    ProofOutcome,
    ProofReceipt,
    SignedLine,
    ValidatorPart,
)
from step_node.receipts.leaves import operation_receipt_leaves, receipt_leaves
from step_node.receipts.links import SetLink


@dataclass(frozen=True, slots=True)
class BatchReceipts:
    """What the receipts of one batch are made from; see `of`."""

    genesis_hash: bytes
    header: BatchHeader
    commit: Commit
    links: Sequence[SetLink]
    operations: Sequence[tuple[Operation, OperationResult]]
    proofs: Mapping[bytes, tuple[SignedProof, Receipt]]
    leaves: Sequence[bytes]

    @classmethod
    def of(
        cls,
        *,
        genesis_hash: bytes,
        batch: Batch,
        commit: Commit,
        links: Sequence[SetLink],
        receipts: Iterable[Receipt],
        operation_balances: bytes,
    ) -> BatchReceipts | None:
        """Those of `batch`; None if what is given is not all that its header commits to.

        `receipts` are those of its proofs, in any order, `operation_balances` what a store keeps beside the batch,
        `links` those that lead from genesis to its validators.
        """
        operations = [decode_operation(encoded) for encoded in batch.operations]
        results = unpack_balances(operation_balances, operations)
        in_order = sorted(receipts, key=lambda receipt: receipt.index)
        if results is None or len(in_order) != len(batch.proofs):
            return None
        leaves = (*operation_receipt_leaves(batch.header.chain_id, operations, results), *receipt_leaves(in_order))
        if (merkle_root(leaves), len(leaves)) != (batch.header.receipts_root, batch.header.receipts_size):
            return None
        return cls(
            genesis_hash,
            batch.header,
            commit,
            tuple(links),
            tuple(zip(operations, results, strict=True)),
            {proof.proof_id: (proof, receipt) for proof, receipt in zip(batch.proofs, in_order, strict=True)},
            leaves,
        )

    def of_proof(self, proof_id: bytes) -> ProofReceipt:
        """The receipt of a proof of this batch. Raises KeyError."""
        proof, receipt = self.proofs[proof_id]
        line = canonical_line(
            proof.account,
            proof.triangle.text,
            proof.lat,
            proof.lon,
            proof.accuracy_m,
            format_timestamp(proof.timestamp_ms),
            proof.nonce,
        )
        return ProofReceipt(
            genesis_hash=self.genesis_hash,
            proof=SignedLine(line=line, signature=proof.signature),
            outcome=ProofOutcome(
                reward=step_text(receipt.reward_ustep),
                clicks=receipt.clicks,
                state=STATE_NAMES[receipt.triangle_state],
                balance=step_text(receipt.balance_ustep),
            ),
            path=self._path(len(self.operations) + receipt.index),
            header=header_part(self.header),
            commit=_commit_part(self.commit),
            links=self._links(),
        )

    def of_operation(self, index: int) -> OperationReceipt:
        """The receipt of the operation at `index` of this batch. Raises IndexError."""
        operation, result = self.operations[index]
        return OperationReceipt(
            genesis_hash=self.genesis_hash,
            operation=SignedLine(line=signing_line(operation, self.header.chain_id), signature=operation.signature),
            outcome=OperationOutcome(balance=step_text(result.balance_ustep)),
            path=self._path(index),
            header=header_part(self.header),
            commit=_commit_part(self.commit),
            links=self._links(),
        )

    def _path(self, index: int) -> PathPart:
        return PathPart(index=index, hashes=inclusion_path(self.leaves, index))

    def _links(self) -> tuple[LinkPart, ...]:
        return tuple(
            LinkPart(
                header=header_part(link.header),
                commit=_commit_part(link.commit),
                validators=tuple(
                    ValidatorPart(address=one.address, public_key=one.public_key, stake=step_text(one.stake_ustep))
                    for one in link.validators
                ),
            )
            for link in self.links
        )


def header_part(header: BatchHeader) -> HeaderPart:
    """`header` as it stands in a receipt."""
    return HeaderPart(
        chain_id=header.chain_id,
        protocol_version=header.protocol_version,
        height=header.height,
        round=header.round,
        proposer=header.proposer,
        timestamp=format_timestamp(header.timestamp_ms),
        previous_batch_hash=header.previous_batch_hash,
        validator_set_hash=header.validator_set_hash,
        state_root=header.state_root,
        proof_ids_root=header.proof_ids_root,
        proofs_root=header.proofs_root,
        receipts_root=header.receipts_root,
        receipts_size=header.receipts_size,
        body_hash=header.body_hash,
    )


def _commit_part(commit: Commit) -> CommitPart:
    # A commit has them in the order of who has signed (`consensus.commit`).
    return CommitPart(round=commit.round, signatures=tuple(entry.signature for entry in commit.signatures))
