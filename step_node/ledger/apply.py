"""Applying a batch: a pure function (state, batch) → (changes, receipts), the same on every node (protocol.md §3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from step_node.ledger.parameters import Parameters
from step_node.ledger.rewards import validator_rewards_ustep
from step_node.ledger.session import LedgerSession
from step_node.ledger.state import Changes, Receipt, StateKeys, StateSlice
from step_node.proofs.proof import Refusal, SignedProof


@dataclass(frozen=True, slots=True)
class LedgerInput:
    """What of a batch the ledger needs. `signers`: whose pre-commits are in its `last_commit`, sorted."""

    timestamp_ms: int
    proposer: bytes
    signers: tuple[bytes, ...]
    proofs: tuple[SignedProof, ...]
    batch_hash: bytes


@dataclass(frozen=True, slots=True)
class LedgerTransition:
    """What a batch does to the state, and to each of its proofs."""

    changes: Changes
    receipts: tuple[Receipt, ...]


class BatchRefused(ValueError):
    """A proof in the batch does not pass a state gate, so the batch as a whole is invalid."""

    def __init__(self, index: int, refusal: Refusal) -> None:
        super().__init__(f"proof {index}: {refusal.code}: {refusal.message}")
        self.index = index
        self.refusal = refusal


def keys_of(
    proofs: Iterable[SignedProof], *, validators: Iterable[bytes] = (), expire_before_ms: int | None = None
) -> StateKeys:
    """The records that these proofs, and rewards to these validators, can read or write."""
    accounts: set[bytes] = set(validators)
    triangles: set[int] = set()
    nonces: set[tuple[bytes, str]] = set()
    for proof in proofs:
        accounts.add(proof.account)
        nonces.add((proof.account, proof.nonce))
        triangles.add(int(proof.triangle))
        parent = proof.triangle.parent
        if parent is not None:
            triangles.add(int(parent))
    return StateKeys(frozenset(accounts), frozenset(triangles), frozenset(nonces), expire_before_ms)


def expire_before_ms(timestamp_ms: int, parameters: Parameters) -> int:
    """Nonces of proofs older than this leave the window in a batch at `timestamp_ms` (docs/adr/0008-nonces.md).

    Such proofs cannot come back; and neither can any proof that was waiting, or could have been, while they were in the
    ledger: a waiting proof that is told that its nonce is used must not find it free again later.
    """
    return timestamp_ms - 2 * (parameters.proof_max_age_ms + parameters.clock_drift_ms)


def open_session(state: StateSlice, *, timestamp_ms: int, signers: Sequence[bytes]) -> LedgerSession:
    """A session in which the validators of the batch before have been rewarded, ready for proofs."""
    session = LedgerSession(state, timestamp_ms=timestamp_ms)
    chain = state.head.chain
    rewards = validator_rewards_ustep(
        chain.paid_ustep, state.head.parameters.validator_reward_bps, signers, chain.proposer
    )
    for address in sorted(rewards):
        session.mint(address, rewards[address])
    return session


def apply_batch(state: StateSlice, batch: LedgerInput) -> LedgerTransition:
    """Apply `batch` to `state`, which holds all of `keys_of` its proofs, signers and the last proposer.

    Raises `BatchRefused` at the first proof that a state gate refuses.
    """
    session = open_session(state, timestamp_ms=batch.timestamp_ms, signers=batch.signers)
    receipts: list[Receipt] = []
    for index, proof in enumerate(batch.proofs):
        outcome = session.try_proof(proof, index)
        if isinstance(outcome, Refusal):
            raise BatchRefused(index, outcome)
        receipts.append(outcome)
    return LedgerTransition(session.close(batch_hash=batch.batch_hash, proposer=batch.proposer), tuple(receipts))
