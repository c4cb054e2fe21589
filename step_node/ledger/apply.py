"""Applying a batch: a pure function (state, batch) → (changes, receipts), the same on every node (protocol.md §3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from step_node.ledger.execution import LedgerExecution
from step_node.ledger.offences import Offence, Slashing
from step_node.ledger.rewards import validator_rewards_ustep
from step_node.ledger.state import Changes, NonceExpiry, OperationReceipt, Receipt, StateHead, StateKeys, StateSlice
from step_node.ledger.validator_changes import ValidatorChange, validator_changes
from step_node.operations.operation import Operation, recipient_of
from step_node.parameters import Parameters
from step_node.proofs.proof import Refusal, SignedProof

EXPIRED_NONCES_PER_PROOF = 2
"""How many expired nonces a batch may remove for each proof that it has place for.

More than one, so that they get fewer while batches are full; and few, so that the first batch after a pause is quick
(docs/adr/0024-nonces-leave-in-turn.md).
"""


@dataclass(frozen=True, slots=True)
class LedgerInput:
    """What of a batch the ledger needs. `signers`: whose pre-commits are in its `last_commit`, sorted.

    `offences` are what its evidence proves, `operations` those whose signatures hold; both in the batch's order.
    """

    timestamp_ms: int
    proposer: bytes
    signers: tuple[bytes, ...]
    proofs: tuple[SignedProof, ...]
    batch_hash: bytes
    offences: tuple[Offence, ...] = ()
    operations: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True)
class LedgerTransition:
    """What a batch does to the state, and to each of its proofs and operations."""

    changes: Changes
    receipts: tuple[Receipt, ...]
    slashings: tuple[Slashing, ...] = ()
    operation_receipts: tuple[OperationReceipt, ...] = ()
    validator_changes: tuple[ValidatorChange, ...] = ()
    validator_rewards_ustep: Mapping[bytes, int] = field(default_factory=dict)
    """What the validators have earned from the batch before, by address, paid to their owners."""
    balances_before_ustep: Mapping[bytes, int] = field(default_factory=dict)
    """What the accounts that the batch changes had before it; 0 of those that are new. For whoever checks the batch."""
    clicks_before: Mapping[int, int] = field(default_factory=dict)
    """How often the triangles that it changes had been clicked before it, by id; those that it made are not there."""

    @classmethod
    def of(
        cls, before: StateHead, changes: Changes, receipts: Sequence[Receipt], execution: LedgerExecution
    ) -> LedgerTransition:
        """What `execution` of a batch on top of `before` has come to; `changes` closed it."""
        lives = validator_changes(before.validators, changes.head.validators, height=changes.head.chain.height)
        return cls(
            changes,
            tuple(receipts),
            execution.slashings,
            execution.operation_receipts,
            lives,
            execution.validator_rewards_ustep,
            execution.balances_before_ustep,
            execution.clicks_before,
        )


class BatchRefused(ValueError):
    """A proof, a piece of evidence or an operation cannot be applied, so the batch as a whole is invalid.

    `field` is the batch's field that it stands in, `index` its place there.
    """

    def __init__(self, field: str, index: int, reason: str) -> None:
        super().__init__(f"{field.removesuffix('s')} {index}: {reason}")
        self.field = field
        self.index = index


def keys_of(
    proofs: Iterable[SignedProof],
    *,
    validators: Iterable[bytes] = (),
    operations: Iterable[Operation] = (),
    expiry: NonceExpiry | None = None,
) -> StateKeys:
    """The records that these proofs and operations, and rewards to these `validators`' owners, can read or write."""
    accounts: set[bytes] = {*validators, *(operation.owner for operation in operations)}
    accounts.update(to for to in map(recipient_of, operations) if to is not None)
    triangles: set[int] = set()
    nonces: set[tuple[bytes, str]] = set()
    for proof in proofs:
        accounts.add(proof.account)
        nonces.add((proof.account, proof.nonce))
        triangle = proof.triangle
        triangles.add(triangle.integer)
        parent = triangle.parent_integer
        if parent is not None:
            triangles.add(parent)
    return StateKeys(frozenset(accounts), frozenset(triangles), frozenset(nonces), expiry)


def nonce_expiry(timestamp_ms: int, parameters: Parameters) -> NonceExpiry:
    """Which nonces leave the state in a batch at `timestamp_ms` (docs/adr/0008-nonces.md, ADR 24).

    Only of proofs that are too old: they cannot come back; and neither can any proof that was waiting, or could have
    been, while they were in the ledger: a waiting proof that is told that its nonce is used must not find it free again
    later.
    """
    return NonceExpiry(
        before_ms=timestamp_ms - 2 * (parameters.proof_max_age_ms + parameters.clock_drift_ms),
        nonces_max=EXPIRED_NONCES_PER_PROOF * parameters.batch_max_proofs,
    )


def owners_rewarded(head: StateHead, signers: Iterable[bytes]) -> frozenset[bytes]:
    """Whose accounts the batch before may pay rewards to: the owners of those who signed, and of its proposer."""
    owners = {record.address: record.owner for record in head.validators}
    return frozenset(owners.get(address, address) for address in (*signers, head.chain.proposer))


def begin_execution(state: StateSlice, *, timestamp_ms: int, signers: Sequence[bytes]) -> LedgerExecution:
    """A execution in which the validators of the batch before have been rewarded, and the absent ones counted."""
    execution = LedgerExecution(state, timestamp_ms=timestamp_ms)
    chain = state.head.chain
    rewards = validator_rewards_ustep(
        chain.paid_ustep, state.head.parameters.validator_reward_bps, signers, chain.proposer
    )
    execution.begin(signers, rewards)
    return execution


def apply_batch(state: StateSlice, batch: LedgerInput) -> LedgerTransition:
    """Apply `batch` to `state`, which holds all of `keys_of` its proofs, operations and `owners_rewarded`.

    In this order: rewards and absences, evidence, operations, proofs, the end of an epoch. Evidence comes before
    operations, so that a culprit cannot withdraw its stake in the batch that convicts it.
    Raises `BatchRefused` at the first part that cannot be applied.
    """
    execution = begin_execution(state, timestamp_ms=batch.timestamp_ms, signers=batch.signers)
    for index, offence in enumerate(batch.offences):
        slashed = execution.try_offence(offence)
        if isinstance(slashed, str):
            raise BatchRefused("evidence", index, slashed)
    for index, operation in enumerate(batch.operations):
        refused = execution.try_operation(operation)
        if refused is not None:
            raise BatchRefused("operations", index, str(refused))
    receipts: list[Receipt] = []
    for index, proof in enumerate(batch.proofs):
        outcome = execution.try_proof(proof, index)
        if isinstance(outcome, Refusal):
            raise BatchRefused("proofs", index, f"{outcome.code}: {outcome.message}")
        receipts.append(outcome)
    changes = execution.close(batch_hash=batch.batch_hash, proposer=batch.proposer)
    return LedgerTransition.of(state.head, changes, receipts, execution)
