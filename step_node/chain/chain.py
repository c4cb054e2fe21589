"""The chain as one node knows it: judging a batch against the head, building one, and finalising one.

This is where the pure parts meet the store. The head is kept in memory and moves only in `finalise`, after the store
has written the batch, in one step of the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from consensus.commit import InvalidCommit, verify_commit, verify_commit_signatures
from consensus.evidence import InvalidEvidence, contradiction
from consensus.messages import Commit, CommitSignature, Evidence, PreCommit
from consensus.values import ValidatorSet
from consensus.wire import decode, encode
from step_node.batch.batch import EVIDENCE_MAX, OPERATIONS_MAX, Batch, BatchContent, BatchHeader, encode_batch
from step_node.chain.genesis import Genesis
from step_node.chain.verification import verify_on_threads
from step_node.clock import Clock
from step_node.crypto.lines import recover_signer
from step_node.ledger.apply import (
    BatchRefused,
    LedgerInput,
    LedgerTransition,
    apply_batch,
    begin_execution,
    expire_before_ms,
    keys_of,
    owners_rewarded,
)
from step_node.ledger.commitment import state_root
from step_node.ledger.evidence import offence_in
from step_node.ledger.execution import LedgerExecution
from step_node.ledger.offences import Offence, Slashing
from step_node.ledger.state import Receipt, StateHead
from step_node.ledger.validators import ValidatorSheet, validator_set
from step_node.offload import run_blocking
from step_node.operations.operation import (
    Operation,
    OperationRefused,
    decode_operation,
    encode_operation,
    hot_address,
    verify_operation,
)
from step_node.parameters import Parameters
from step_node.proofs.gates import check_stateless_many
from step_node.proofs.proof import Refusal, SignedProof
from step_node.storage.interface import FinalisedBatch, RestoredState, Storage, StoredBatch

COMMIT_BYTES_MAX = 200_000
"""An encoded commit of the largest validator set is smaller."""

SMALL_BATCH_PROOFS_MAX = 16
"""Proofs that are verified and applied on the event loop, which takes some 2 ms."""


class InvalidBatch(ValueError):
    """The batch may not follow the head. The message names the field and the rule.

    `bad_proof` is the index of the first proof from which alone anyone could see it: proposing such a batch is
    misbehaviour. None if there is no such proof.
    """

    def __init__(self, message: str, *, bad_proof: int | None = None) -> None:
        super().__init__(message)
        self.bad_proof = bad_proof


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
        offences: tuple[Offence, ...] = ()
        operations: tuple[Operation, ...] = ()
        if batch.evidence or batch.operations:
            offences, operations = await run_blocking(self._check_accusations_and_operations, batch)
        keys = keys_of(
            batch.proofs,
            validators=owners_rewarded(self._head, _signers(batch.last_commit)),
            operations=operations,
            expire_before_ms=expire_before_ms(batch.header.timestamp_ms, self.parameters),
        )
        state = await self.storage.load(keys)
        if state.head.chain.height != batch.header.height - 1:
            raise InvalidBatch(f"height: {batch.header.height} has been finalised meanwhile")
        try:
            # A thousand proofs take some tens of milliseconds: too long for the event loop. A few take less than the
            # way to a thread and back does on a busy machine, and whoever catches up goes that way for every batch.
            ledger_input = _ledger_input(batch, offences, operations)
            if len(batch.proofs) <= SMALL_BATCH_PROOFS_MAX:
                transition = apply_batch(state, ledger_input)
            else:
                transition = await run_blocking(apply_batch, state, ledger_input)
        except BatchRefused as error:
            raise InvalidBatch(f"{error.field}: {error}") from error
        return JudgedBatch(batch, transition)

    async def build(
        self,
        candidates: Sequence[SignedProof],
        *,
        round_number: int,
        proposer: bytes,
        evidence: Sequence[tuple[Evidence, Offence]] = (),
        operations: Sequence[Operation] = (),
    ) -> JudgedBatch | None:
        """A batch of those candidates that can follow the head now, in their order; None if none can.

        It takes `batch_max_proofs`, `EVIDENCE_MAX` and `OPERATIONS_MAX` at most; what comes later is left for another.
        The signatures of all of them must have been checked.
        """
        head, last_commit = self._head.chain, self._last_commit
        timestamp_ms = max(self._clock.now_ms(), head.timestamp_ms + 1)
        signers = _signers(last_commit)
        keys = keys_of(
            candidates,
            validators=owners_rewarded(self._head, signers),
            operations=operations,
            expire_before_ms=expire_before_ms(timestamp_ms, self.parameters),
        )
        state = await self.storage.load(keys)
        execution = begin_execution(state, timestamp_ms=timestamp_ms, signers=signers)
        accepted_evidence = [
            piece for piece, offence in evidence[:EVIDENCE_MAX] if isinstance(execution.try_offence(offence), Slashing)
        ]
        accepted_operations = [
            encode_operation(operation)
            for operation in operations[:OPERATIONS_MAX]
            if execution.try_operation(operation) is None
        ]
        proofs: list[SignedProof] = []
        receipts: list[Receipt] = []
        for proof in candidates:
            if len(proofs) == self.parameters.batch_max_proofs:
                break
            outcome = execution.try_proof(proof, len(proofs))
            if not isinstance(outcome, Refusal):
                proofs.append(proof)
                receipts.append(outcome)
        if not (proofs or accepted_evidence or accepted_operations):
            return None
        content = BatchContent(tuple(proofs), last_commit, tuple(accepted_evidence), tuple(accepted_operations))
        proof_ids_root, proofs_root, body_hash = content.roots()
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
                proofs_root=proofs_root,
                body_hash=body_hash,
            )
        )
        changes = execution.close(batch_hash=batch.hash, proposer=proposer)
        return JudgedBatch(batch, LedgerTransition(changes, tuple(receipts), execution.slashings))

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
                slashings=judged.transition.slashings,
            )
        )
        self._head = judged.transition.changes.head
        self._last_commit = commit
        self._set_validators()

    async def restore(self, restored: RestoredState) -> None:
        """Make a verified snapshot the contents of the store, which is at height 0, then move the head to it.

        Raises `StorageUnavailable`; then nothing has changed and the call may be repeated.
        """
        await self.storage.restore(restored)
        self._head = restored.head
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

    def knows_validator(self, address: bytes) -> bool:
        """Whether anything is known of a validator with this address: in the set now, before, or soon."""
        return any(
            record.address == address or (record.next_public_key and hot_address(record.next_public_key) == address)
            for record in self._head.validators
        )

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
        state = await self.storage.load(keys_of((), operations=operations))
        timestamp_ms = max(self._clock.now_ms(), state.head.chain.timestamp_ms + 1)
        return [LedgerExecution(state, timestamp_ms=timestamp_ms).try_operation(operation) for operation in operations]

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
        if not (batch.proofs or batch.evidence or batch.operations):
            raise InvalidBatch("proofs: a batch must hold at least one proof, piece of evidence or operation")
        if len(batch.proofs) > self.parameters.batch_max_proofs:
            raise InvalidBatch(f"proofs: {len(batch.proofs)}; at most {self.parameters.batch_max_proofs} are allowed")

    def _check_accusations_and_operations(self, batch: Batch) -> tuple[tuple[Offence, ...], tuple[Operation, ...]]:
        """What the batch's evidence proves, and its operations, all signatures checked; for a worker thread."""
        offences, operations = [], []
        for index, piece in enumerate(batch.evidence):
            try:
                offences.append(self.offence_in(piece))
            except InvalidEvidence as error:
                raise InvalidBatch(f"evidence: evidence {index}: {error}") from error
        for index, encoded in enumerate(batch.operations):
            try:
                operation = decode_operation(encoded)
                verify_operation(operation, self.chain_id)
            except OperationRefused as error:
                raise InvalidBatch(f"operations: operation {index}: {error}") from error
            operations.append(operation)
        return tuple(offences), tuple(operations)

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


def _signers(commit: Commit | None) -> tuple[bytes, ...]:
    return () if commit is None else tuple(signature.validator for signature in commit.signatures)


def _ledger_input(batch: Batch, offences: tuple[Offence, ...], operations: tuple[Operation, ...]) -> LedgerInput:
    return LedgerInput(
        timestamp_ms=batch.header.timestamp_ms,
        proposer=batch.header.proposer,
        signers=_signers(batch.last_commit),
        proofs=batch.proofs,
        batch_hash=batch.hash,
        offences=offences,
        operations=operations,
    )


def _show(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else repr(value)
