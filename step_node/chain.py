"""The chain as one node knows it: judging a batch against the head, building one, and finalising one.

This is where the pure parts meet the store. The head is kept in memory and moves only in `finalise`, after the store
has written the batch, in one step of the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from consensus.commit import InvalidCommit, verify_commit
from consensus.messages import Commit
from consensus.values import ValidatorSet
from consensus.wire import decode, encode
from step_node.batch.batch import Batch, BatchContent, BatchHeader, encode_batch
from step_node.clock import Clock
from step_node.crypto.lines import recover_signer
from step_node.genesis import Genesis, validator_set
from step_node.ledger.apply import (
    BatchRefused,
    LedgerInput,
    LedgerTransition,
    apply_batch,
    expire_before_ms,
    keys_of,
    open_session,
)
from step_node.ledger.commitment import state_root
from step_node.ledger.parameters import Parameters
from step_node.ledger.state import Receipt, StateHead
from step_node.proofs.gates import verify_on_threads
from step_node.proofs.proof import Refusal, SignedProof
from step_node.storage.interface import FinalisedBatch, Storage, StoredBatch

COMMIT_BYTES_MAX = 200_000
"""An encoded commit of the largest validator set is smaller."""


class InvalidBatch(ValueError):
    """The batch may not follow the head. The message names the field and the rule.

    `stateless` is True where anyone could see it from the batch's proofs alone: then proposing it is misbehaviour.
    """

    def __init__(self, message: str, *, stateless: bool = False) -> None:
        super().__init__(message)
        self.stateless = stateless


@dataclass(frozen=True, slots=True)
class JudgedBatch:
    """A batch found valid, with what it does to the state it extends."""

    batch: Batch
    transition: LedgerTransition


class Chain:
    """See the module's docstring. `known(proof_id)` gives a proof that this node has already verified, or None."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        storage: Storage,
        head: StateHead,
        last_commit: Commit | None,
        clock: Clock,
        known: Callable[[bytes], SignedProof | None],
    ) -> None:
        self.genesis = genesis
        self.storage = storage
        self._clock = clock
        self._known = known
        self._head = head
        self._last_commit = last_commit
        self._validators = validator_set(head.validators)

    @classmethod
    async def open(
        cls, *, genesis: Genesis, storage: Storage, clock: Clock, known: Callable[[bytes], SignedProof | None]
    ) -> Chain:
        """The chain in `storage`, which must have been initialised with `genesis`."""
        head = await storage.head()
        last_commit = None
        if head.chain.height > 0:
            (stored,) = await storage.batches(head.chain.height, 1)
            last_commit = decode(Commit, stored.commit, bytes_max=COMMIT_BYTES_MAX)
        return cls(genesis=genesis, storage=storage, head=head, last_commit=last_commit, clock=clock, known=known)

    @property
    def head(self) -> StateHead:
        """Where the chain stands."""
        return self._head

    @property
    def chain_id(self) -> str:
        """The chain's name, which every signature carries."""
        return self.genesis.chain_id

    @property
    def next_height(self) -> int:
        """The height that consensus is about."""
        return self._head.chain.height + 1

    @property
    def parameters(self) -> Parameters:
        """The chain's parameters."""
        return self._head.parameters

    @property
    def validators(self) -> ValidatorSet:
        """The validators of the next height."""
        return self._validators

    async def judge(self, batch: Batch, *, proposed_in_round: int | None, judge_clock: bool) -> JudgedBatch:
        """Judge `batch` as the head's successor. Raises `InvalidBatch`.

        `judge_clock` asks whether it is fresh: built for `proposed_in_round`, with a timestamp near this node's clock.
        It must be False for a batch that a quorum has vouched for already, or a locked one could never be finalised
        later (docs/adr/0007-freshness.md).
        """
        self._check_header(batch)
        if judge_clock:
            self._check_freshness(batch, proposed_in_round)
        self._check_content(batch)
        self._check_last_commit(batch)
        await self._check_proofs(batch.proofs)
        head = self._head.chain
        keys = keys_of(
            batch.proofs,
            validators=(*_signers(batch.last_commit), head.proposer),
            expire_before_ms=expire_before_ms(batch.header.timestamp_ms, self.parameters),
        )
        state = await self.storage.load(keys)
        if state.head.chain.height != batch.header.height - 1:
            raise InvalidBatch(f"height: {batch.header.height} has been finalised meanwhile")
        try:
            # A thousand proofs take some tens of milliseconds: too long for the event loop.
            transition = await trio.to_thread.run_sync(apply_batch, state, _ledger_input(batch))
        except BatchRefused as error:
            raise InvalidBatch(f"proofs: {error}") from error
        return JudgedBatch(batch, transition)

    async def build(
        self, candidates: Sequence[SignedProof], *, round_number: int, proposer: bytes
    ) -> JudgedBatch | None:
        """A batch of those candidates that can follow the head now, in their order; None if none can.

        It takes `batch_max_proofs` at most; later candidates are left for another.
        """
        head, last_commit = self._head.chain, self._last_commit
        timestamp_ms = max(self._clock.now_ms(), head.timestamp_ms + 1)
        signers = _signers(last_commit)
        keys = keys_of(
            candidates,
            validators=(*signers, head.proposer),
            expire_before_ms=expire_before_ms(timestamp_ms, self.parameters),
        )
        state = await self.storage.load(keys)
        session = open_session(state, timestamp_ms=timestamp_ms, signers=signers)
        proofs: list[SignedProof] = []
        receipts: list[Receipt] = []
        for proof in candidates:
            if len(proofs) == self.parameters.batch_max_proofs:
                break
            outcome = session.try_proof(proof, len(proofs))
            if not isinstance(outcome, Refusal):
                proofs.append(proof)
                receipts.append(outcome)
        if not proofs:
            return None
        content = BatchContent(tuple(proofs), last_commit)
        proof_ids_root, body_hash = content.roots()
        batch = content.with_header(
            BatchHeader(
                chain_id=self.chain_id,
                height=head.height + 1,
                round=round_number,
                proposer=proposer,
                timestamp_ms=timestamp_ms,
                previous_batch_hash=head.batch_hash,
                validator_set_hash=self._validators.hash,
                state_root=state_root(self._head.lanes),
                proof_ids_root=proof_ids_root,
                body_hash=body_hash,
            )
        )
        changes = session.close(batch_hash=batch.hash, proposer=proposer)
        return JudgedBatch(batch, LedgerTransition(changes, tuple(receipts)))

    async def finalise(self, judged: JudgedBatch, commit: Commit) -> None:
        """Write the batch and its commit to the store in one transaction, then move the head.

        Raises `StorageUnavailable`; then nothing has changed and the call may be repeated.
        """
        batch = judged.batch
        await self.storage.finalise(
            FinalisedBatch(
                stored=StoredBatch(
                    height=batch.header.height,
                    batch_hash=batch.hash,
                    timestamp_ms=batch.header.timestamp_ms,
                    batch=encode_batch(batch),
                    commit=encode(commit),
                ),
                changes=judged.transition.changes,
                proofs=batch.proofs,
                receipts=judged.transition.receipts,
            )
        )
        self._head = judged.transition.changes.head
        self._last_commit = commit
        self._validators = validator_set(self._head.validators)

    def check_commit(self, commit: Commit, *, height: int, batch_hash: bytes) -> None:
        """Raise `InvalidCommit` unless a quorum of the present validators has pre-committed `batch_hash`."""
        verify_commit(
            commit,
            chain_id=self.chain_id,
            height=height,
            batch_hash=batch_hash,
            validators=self._validators,
            recover=recover_signer,
        )

    def _check_header(self, batch: Batch) -> None:
        header, head = batch.header, self._head.chain
        expected: list[tuple[str, object, object]] = [
            ("chain_id", header.chain_id, self.chain_id),
            ("height", header.height, head.height + 1),
            ("proposer", header.proposer, self._validators.proposer(header.height, header.round).address),
            ("previous_batch_hash", header.previous_batch_hash, head.batch_hash),
            ("validator_set_hash", header.validator_set_hash, self._validators.hash),
            ("state_root", header.state_root, state_root(self._head.lanes)),
        ]
        for field, found, rule in expected:
            if found != rule:
                raise InvalidBatch(f"{field}: must be {_show(rule)}, not {_show(found)}")
        if header.timestamp_ms <= head.timestamp_ms:
            raise InvalidBatch(f"timestamp_ms: must be above the last batch's, {head.timestamp_ms}")

    def _check_freshness(self, batch: Batch, proposed_in_round: int | None) -> None:
        header = batch.header
        if header.round != proposed_in_round:
            raise InvalidBatch(f"round: a batch proposed for the first time must be of round {proposed_in_round}")
        drift_ms = abs(header.timestamp_ms - self._clock.now_ms())
        if drift_ms > self.parameters.clock_drift_ms:
            raise InvalidBatch(
                f"timestamp_ms: {drift_ms} ms from this node's clock; at most {self.parameters.clock_drift_ms} allowed"
            )

    def _check_content(self, batch: Batch) -> None:
        if not batch.proofs:
            raise InvalidBatch("proofs: a batch must hold at least one")
        if len(batch.proofs) > self.parameters.batch_max_proofs:
            raise InvalidBatch(f"proofs: {len(batch.proofs)}; at most {self.parameters.batch_max_proofs} are allowed")
        if batch.evidence:
            raise InvalidBatch("evidence: this version of the ledger takes none")
        if batch.operations:
            raise InvalidBatch("operations: this version of the ledger takes none")

    def _check_last_commit(self, batch: Batch) -> None:
        head = self._head.chain
        if head.height == 0:
            if batch.last_commit is not None:
                raise InvalidBatch("last_commit: must be nil at height 1")
            return
        if batch.last_commit is None:
            raise InvalidBatch("last_commit: is missing")
        try:
            self.check_commit(batch.last_commit, height=head.height, batch_hash=head.batch_hash)
        except InvalidCommit as error:
            raise InvalidBatch(f"last_commit: {error}") from error

    async def _check_proofs(self, proofs: Sequence[SignedProof]) -> None:
        unknown = [proof for proof in proofs if self._known(proof.proof_id) != proof]
        for proof, refusal in zip(unknown, await verify_on_threads(unknown, self.parameters), strict=True):
            if refusal is not None:
                raise InvalidBatch(
                    f"proofs: 0x{proof.proof_id.hex()}: {refusal.code}: {refusal.message}", stateless=True
                )


def _signers(commit: Commit | None) -> tuple[bytes, ...]:
    return () if commit is None else tuple(signature.validator for signature in commit.signatures)


def _ledger_input(batch: Batch) -> LedgerInput:
    return LedgerInput(
        timestamp_ms=batch.header.timestamp_ms,
        proposer=batch.header.proposer,
        signers=_signers(batch.last_commit),
        proofs=batch.proofs,
        batch_hash=batch.hash,
    )


def _show(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else repr(value)
