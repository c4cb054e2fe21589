"""The chain as one node knows it: its head, against which a batch is judged and built, and which finalising one moves.

This is where the pure parts (`judging`, `building`) meet the store. The head is kept in memory and moves only in
`finalise`, after the store has written the batch, in one step of the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar, TypeVarTuple

from consensus.commit import InvalidCommit, verify_commit, verify_commit_signatures
from consensus.evidence import contradiction
from consensus.messages import Commit, CommitSignature, Evidence, PreCommit
from consensus.values import ValidatorSet
from consensus.wire import decode, encode
from step_node.batch.batch import Batch, encode_batch
from step_node.chain.building import BatchPlan, build_batch
from step_node.chain.genesis import Genesis
from step_node.chain.judging import (
    InvalidBatch,
    JudgedBatch,
    accusations_and_operations,
    apply_judged,
    check_content,
    check_freshness,
    check_header,
    signers_of,
)
from step_node.chain.recent_records import RecentRecords, merged
from step_node.chain.verification import verify_on_threads
from step_node.clock import Clock
from step_node.crypto.lines import recover_signer
from step_node.ledger.apply import (
    keys_of,
    nonce_expiry,
    owners_rewarded,
)
from step_node.ledger.evidence import offence_in
from step_node.ledger.execution import LedgerExecution
from step_node.ledger.offences import Offence
from step_node.ledger.state import StateHead, StateKeys, StateSlice
from step_node.ledger.validators import ValidatorSheet, validator_set
from step_node.offload import run_blocking
from step_node.operations.operation import (
    Operation,
    OperationRefused,
    decode_operation,
    hot_address,
    operation_id,
)
from step_node.parameters import Parameters
from step_node.proofs.gates import check_stateless_many
from step_node.proofs.proof import SignedProof
from step_node.receipts.balances import pack_balances
from step_node.storage.interface import FinalisedBatch, FinalisedOperation, RestoredState, Storage, StoredBatch

COMMIT_BYTES_MAX = 200_000
"""An encoded commit of the largest validator set is smaller."""

SMALL_BATCH_PROOFS_MAX = 16
"""Proofs that are verified and applied on the event loop, which takes some 2 ms."""

RECENT_HASHES_MAX = 256
"""Batches that were finalised last, whose hashes are at hand without a look into the store."""

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


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
        self._recent = RecentRecords()
        self._recent_hashes = {head.chain.height: head.chain.batch_hash}
        self._set_validators()

    def _set_validators(self) -> None:
        records, height = self._head.validators, self._head.chain.height
        self._validators = validator_set(records)
        # Of the head's own height, for the commit that the next batch carries.
        self._last_validators = validator_set(records, height=height) if height > 0 else self._validators

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
    def next_batch_time_ms(self) -> int:
        """The time of a batch that is built now: this node's clock, or just after the head where that is ahead."""
        return max(self._clock.now_ms(), self._head.chain.timestamp_ms + 1)

    @property
    def begins_in_ms(self) -> int:
        """How long it takes, by this node's clock, until the chain begins; 0 once it has."""
        if self._head.chain.height > 0:
            return 0
        return max(0, self.genesis.genesis_time_ms - self._clock.now_ms())

    @property
    def parameters(self) -> Parameters:
        """The chain's parameters."""
        return self._head.parameters

    @property
    def validators(self) -> ValidatorSet:
        """The validators of the next height."""
        return self._validators

    @property
    def last_commit(self) -> Commit | None:
        """The commit of the head's batch, with the pre-commits that came late; None at height 0."""
        return self._last_commit

    async def load(self, keys: StateKeys) -> StateSlice:
        """The records asked for, as one consistent slice of the state: at the head, or at a later height where the
        store is ahead of it. Raises `StorageUnavailable`."""
        known, lacking = self._recent.split(keys, self._head)
        if lacking == StateKeys():
            return known
        loaded = await self.storage.load(lacking)
        if loaded.head.chain.height != known.head.chain.height:
            return await self.storage.load(keys)  # The head has moved meanwhile, or is about to.
        if self._head is known.head:
            self._recent.keep(loaded)
        return merged(known, loaded)

    async def judge(self, batch: Batch, *, proposed_in_round: int | None, judge_clock: bool) -> JudgedBatch:
        """Judge `batch` as the head's successor. Raises `InvalidBatch`.

        `judge_clock` asks whether it is fresh: built for `proposed_in_round`, with a timestamp near this node's clock.
        It must be False for a batch that a quorum has vouched for already, or a locked one could never be finalised
        later (docs/adr/0007-freshness.md).
        """
        check_header(batch.header, chain_id=self.chain_id, head=self._head, validators=self._validators)
        if judge_clock:
            check_freshness(
                batch.header,
                proposed_in_round=proposed_in_round,
                now_ms=self._clock.now_ms(),
                parameters=self.parameters,
            )
        check_content(batch, self.parameters)
        self._check_last_commit(batch)
        await self._check_proofs(batch.proofs)
        offences: tuple[Offence, ...] = ()
        operations: tuple[Operation, ...] = ()
        if batch.evidence or batch.operations:
            offences, operations = await run_blocking(
                partial(accusations_and_operations, batch, chain_id=self.chain_id, parameters=self.parameters)
            )
        keys = keys_of(
            batch.proofs,
            validators=owners_rewarded(self._head, signers_of(batch.last_commit)),
            operations=operations,
            expiry=nonce_expiry(batch.header.timestamp_ms, self.parameters),
        )
        state = await self.load(keys)
        return await _unless_small(len(batch.proofs), apply_judged, state, batch, offences, operations)

    async def build(
        self,
        candidates: Sequence[SignedProof],
        *,
        round_number: int,
        proposer: bytes,
        evidence: Sequence[tuple[Evidence, Offence]] = (),
        operations: Sequence[Operation] = (),
    ) -> JudgedBatch | None:
        """A batch of those candidates that can follow the head now, in their order; None if none can: `build_batch`."""
        plan = BatchPlan(
            chain_id=self.chain_id,
            round=round_number,
            proposer=proposer,
            timestamp_ms=self.next_batch_time_ms,
            validators=self._validators,
            last_commit=self._last_commit,
            candidates=candidates,
            evidence=evidence,
            operations=operations,
        )
        keys = keys_of(
            candidates,
            validators=owners_rewarded(self._head, signers_of(plan.last_commit)),
            operations=operations,
            expiry=nonce_expiry(plan.timestamp_ms, self.parameters),
        )
        return await _unless_small(len(candidates), build_batch, await self.load(keys), plan)

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
                    operation_balances=pack_balances(judged.transition.operation_receipts),
                ),
                changes=judged.transition.changes,
                proofs=batch.proofs,
                receipts=judged.transition.receipts,
                slashings=judged.transition.slashings,
                operations=finalised_operations(batch),
                validator_changes=judged.transition.validator_changes,
            )
        )
        self._head = judged.transition.changes.head
        self._recent.move(judged.transition.changes)
        self._last_commit = commit
        self._recent_hashes[batch.header.height] = batch.hash
        self._recent_hashes.pop(batch.header.height - RECENT_HASHES_MAX, None)
        self._set_validators()

    async def restore(self, restored: RestoredState) -> None:
        """Make a verified snapshot the contents of the store, which is at height 0, then move the head to it.

        Raises `StorageUnavailable`; then nothing has changed and the call may be repeated.
        """
        await self.storage.restore(restored)
        self._head = restored.head
        self._recent = RecentRecords()
        self._recent_hashes = {restored.head.chain.height: restored.head.chain.batch_hash}
        self._last_commit = decode(Commit, restored.base.commit, bytes_max=COMMIT_BYTES_MAX)
        self._set_validators()

    async def commit_of(self, height: int) -> Commit | None:
        """The commit of a finalised batch; None where the store does not have it. Raises `StorageUnavailable`."""
        if height == self._head.chain.height:
            return self._last_commit
        found = await self.storage.batches(height, 1)
        return decode(Commit, found[0].commit, bytes_max=COMMIT_BYTES_MAX) if found else None

    def check_commit(self, commit: Commit, *, height: int, batch_hash: bytes) -> None:
        """Raise `InvalidCommit` unless a quorum has pre-committed `batch_hash`.

        The validators are those of the next height, and of the head's height for that; others are not known here.
        """
        validators = self._last_validators if height == self._head.chain.height else self._validators
        verify_commit(
            commit,
            chain_id=self.chain_id,
            height=height,
            batch_hash=batch_hash,
            validators=validators,
            recover=recover_signer,
        )

    def note_late_pre_commit(self, vote: PreCommit) -> None:
        """Add a pre-commit for the head's batch, whose signature has been checked, to the commit that the next batch
        carries.

        A commit is made when a quorum is there. Who is a little slower than the others would be in none, would earn
        nothing and pass for offline.
        """
        commit = self._last_commit
        if commit is None or (vote.height, vote.round, vote.batch_hash) != (
            commit.height,
            commit.round,
            commit.batch_hash,
        ):
            return
        known = {entry.validator for entry in commit.signatures}
        if vote.validator in self._last_validators and vote.validator not in known:
            late = CommitSignature(vote.validator, vote.signature)
            signatures = sorted((*commit.signatures, late), key=lambda entry: entry.validator)
            self._last_commit = replace(commit, signatures=tuple(signatures))

    def late_contradiction(self, vote: PreCommit) -> Evidence | None:
        """The evidence that a late pre-commit, whose signature has been checked, and the head's commit make, if any.

        The machine of that height is done, and does not see who has signed otherwise for somebody else.
        """
        commit = self._last_commit
        if commit is None or (vote.height, vote.round) != (commit.height, commit.round):
            return None
        for entry in commit.signatures:
            if entry.validator == vote.validator and vote.batch_hash != commit.batch_hash:
                counted = PreCommit(commit.height, commit.round, commit.batch_hash, entry.validator, entry.signature)
                return contradiction(counted, vote)
        return None

    def is_signed(self, commit: Commit) -> bool:
        """Whether each signature in it is of whom it names; nothing is said of who they are."""
        try:
            verify_commit_signatures(commit, chain_id=self.chain_id, recover=recover_signer)
        except InvalidCommit:
            return False
        return True

    def validators_of(self, height: int) -> ValidatorSet | None:
        """The set of a height, where this node can tell it for certain: of the head's height, and of the next one."""
        if height == self.next_height:
            return self._validators
        return self._last_validators if 0 < height == self._head.chain.height else None

    def may_sign(self, address: bytes, height: int) -> bool:
        """Whether the validator `address` may be in the set of `height`, as far as this node can tell.

        That is certain for the two heights of which it knows the set. For others it is whoever has a record, or is the
        next key of one: a newcomer has one an epoch before it votes.
        """
        validators = self.validators_of(height)
        if validators is not None:
            return address in validators
        return any(
            record.address == address or (record.next_public_key and hot_address(record.next_public_key) == address)
            for record in self._head.validators
        )

    def recent_hash(self, height: int) -> bytes | None:
        """The hash of one of the last `RECENT_HASHES_MAX` batches that this process has finalised; else None."""
        return self._recent_hashes.get(height)

    def offence_in(self, evidence: Evidence) -> Offence:
        """What `evidence` proves, whether it can be punished or not. Raises `InvalidEvidence` if that is nothing."""
        return offence_in(evidence, chain_id=self.chain_id, parameters=self.parameters)

    def offence_refusal(self, offence: Offence) -> str | None:
        """Why the next batch cannot punish this, or None if it can."""
        slashed = ValidatorSheet(self._head, timestamp_ms=self._head.chain.timestamp_ms + 1).try_offence(offence)
        return slashed if isinstance(slashed, str) else None

    async def operation_refusals(self, operations: Sequence[Operation]) -> list[OperationRefused | None]:
        """Why the next batch could not hold each of these operations alone, or None. Signatures are not checked.

        Raises `StorageUnavailable`.
        """
        state = await self.load(keys_of((), operations=operations))
        timestamp_ms = max(self._clock.now_ms(), state.head.chain.timestamp_ms + 1)
        return [LedgerExecution(state, timestamp_ms=timestamp_ms).try_operation(operation) for operation in operations]

    def _check_last_commit(self, batch: Batch) -> None:
        head = self._head.chain
        if head.height == 0:
            if batch.last_commit is not None:
                raise InvalidBatch("last_commit: must be nil at height 1")
            return
        if batch.last_commit is None:
            raise InvalidBatch("last_commit: is missing")
        if batch.last_commit == self._last_commit:
            return  # By which this node finalised that batch itself.
        try:
            self.check_commit(batch.last_commit, height=head.height, batch_hash=head.batch_hash)
        except InvalidCommit as error:
            raise InvalidBatch(f"last_commit: {error}") from error

    async def _check_proofs(self, proofs: Sequence[SignedProof]) -> None:
        unknown = [(index, proof) for index, proof in enumerate(proofs) if self._known(proof.proof_id) != proof]
        to_verify = [proof for _, proof in unknown]
        if len(to_verify) <= SMALL_BATCH_PROOFS_MAX:
            refusals = check_stateless_many(to_verify, self.parameters)
        else:
            refusals = await verify_on_threads(to_verify, self.parameters)
        for (index, proof), refusal in zip(unknown, refusals, strict=True):
            if refusal is not None:
                raise InvalidBatch(
                    f"proofs: 0x{proof.proof_id.hex()}: {refusal.code}: {refusal.message}", bad_proof=index
                )


def finalised_operations(batch: Batch) -> tuple[FinalisedOperation, ...]:
    """The operations of a batch that is final, as the store keeps them. They have been decoded before, so they can."""
    header = batch.header
    operations = map(decode_operation, batch.operations)
    return tuple(
        FinalisedOperation(
            operation, operation_id(operation, header.chain_id), header.height, index, header.timestamp_ms
        )
        for index, operation in enumerate(operations)
    )


async def _unless_small(proofs: int, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """`work(*arguments)`, which is about so many proofs, on a worker thread if they are many.

    A thousand proofs take some 100 ms: too long for the event loop. A few take less than the way to a thread and back
    does on a busy machine, and whoever catches up goes that way for every batch.
    """
    return work(*arguments) if proofs <= SMALL_BATCH_PROOFS_MAX else await run_blocking(work, *arguments)
