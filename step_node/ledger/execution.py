"""Evidence, operations and proofs applied one after the other to a slice of the state: the working sheet of one batch.

Both sides of a batch use it. The proposer tries waiting proofs and keeps those that pass; a validator applies a
proposed batch and refuses it at the first proof that does not. Nothing outside the sheet changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mesh import TriangleId
from step_node.amounts import step_text
from step_node.explanations.details import Details
from step_node.ledger.commitment import commit_changes
from step_node.ledger.offences import Offence, Slashing
from step_node.ledger.records import (
    Account,
    ChainRecord,
    LastProof,
    NonceRecord,
    Record,
    Triangle,
    TriangleState,
)
from step_node.ledger.rules import rules_of
from step_node.ledger.state import Changes, OperationReceipt, Receipt, StateHead, StateSlice
from step_node.ledger.state_gates import LEVEL_MAX, check_state_gates, clicks_max
from step_node.ledger.upgrades import UpgradeSheet
from step_node.ledger.validators import ValidatorSheet
from step_node.operations.operation import Operation, OperationCode, OperationRefused, Transfer, UpgradeOperation
from step_node.proofs.proof import Refusal, SignedProof


class LedgerExecution:
    """One batch in the making, at `timestamp_ms`, on top of `state`, by the rules that are in force there.

    Raises `UnknownRules`, when it is made, if this release does not know them.
    """

    def __init__(self, state: StateSlice, *, timestamp_ms: int) -> None:
        self._before = state
        self._head = state.head
        self._height = state.head.chain.height + 1
        self._parameters = state.head.parameters
        self._timestamp_ms = timestamp_ms
        self._accounts: dict[bytes, Account] = {}
        self._triangles: dict[int, Triangle] = {}
        self._children_created: set[int] = set()
        self._nonces: dict[tuple[bytes, str], NonceRecord] = {}
        self._expired = {(nonce.account, nonce.nonce) for nonce in state.expired_nonces}
        self._minted_ustep = 0
        self._paid_ustep = 0
        self._operation_receipts: list[OperationReceipt] = []
        self._validator_rewards_ustep: Mapping[bytes, int] = {}
        self._validators = ValidatorSheet(state.head, timestamp_ms=timestamp_ms)
        self._upgrades = UpgradeSheet(state.head, self._validators)
        self._rules = rules_of(state.head.protocol)

    @property
    def paid_ustep(self) -> int:
        """What the proofs applied so far have paid to their accounts."""
        return self._paid_ustep

    @property
    def slashings(self) -> tuple[Slashing, ...]:
        """Who has been slashed in this batch so far."""
        return tuple(self._validators.slashings)

    @property
    def operation_receipts(self) -> tuple[OperationReceipt, ...]:
        """What the operations applied so far have left their owners, in order."""
        return tuple(self._operation_receipts)

    @property
    def validator_rewards_ustep(self) -> Mapping[bytes, int]:
        """What was minted to the owners for the batch before, by validator."""
        return self._validator_rewards_ustep

    @property
    def balances_before_ustep(self) -> Mapping[bytes, int]:
        """What the accounts that have changed so far had in the state; 0 of those that are new."""
        before = self._before.accounts
        return {address: 0 if (old := before[address]) is None else old.balance_ustep for address in self._accounts}

    @property
    def clicks_before(self) -> Mapping[int, int]:
        """How often the triangles that have changed so far had been clicked in the state; those made since are left
        out."""
        before, made = self._before.triangles, self._children_created
        return {
            triangle: 0 if (old := before[triangle]) is None else old.clicks
            for triangle in self._triangles
            if triangle not in made
        }

    def begin(self, signers: Sequence[bytes], rewards: Mapping[bytes, int]) -> None:
        """What the last commit means: `rewards` (by validator) are minted to the owners, absences are counted."""
        self._validator_rewards_ustep = rewards
        for address in sorted(rewards):
            self.mint(self._validators.owner_of(address), rewards[address])
        self._validators.note_signers(signers)

    def try_offence(self, offence: Offence) -> Slashing | str:
        """Slash for it; or say why it cannot be, and then nothing has changed."""
        return self._validators.try_offence(offence)

    def try_operation(self, operation: Operation) -> OperationRefused | None:
        """Apply it, its signatures being checked; or say why it cannot be, and then nothing has changed."""
        account = self._account(operation.owner) or Account(operation.owner)
        if operation.sequence != account.operations:
            return OperationRefused(
                OperationCode.WRONG_SEQUENCE,
                f"sequence: the owner's next is {account.operations}",
                Details(value=operation.sequence, expected=account.operations),
            )
        try:
            if isinstance(operation, Transfer):
                balance_ustep = self._send(operation, account.balance_ustep)
            elif isinstance(operation, UpgradeOperation):
                balance_ustep = account.balance_ustep
                self._upgrades.apply_operation(operation)
            else:
                balance_ustep = self._validators.apply_operation(operation, account.balance_ustep)
        except OperationRefused as refused:
            return refused
        self._accounts[operation.owner] = replace(
            account, balance_ustep=balance_ustep, operations=account.operations + 1
        )
        self._operation_receipts.append(OperationReceipt(operation.owner, balance_ustep))
        return None

    def _send(self, transfer: Transfer, balance_ustep: int) -> int:
        """Credit the recipient, whose account comes into being if it is new; the owner's balance after it.

        The recipient is another than the owner: a transfer to oneself is of no form that could come here.
        """
        if balance_ustep < transfer.amount_ustep:
            raise OperationRefused(
                OperationCode.INSUFFICIENT_BALANCE,
                f"amount: the owner's balance is {step_text(balance_ustep)} STEP",
                Details(have=step_text(balance_ustep), need=step_text(transfer.amount_ustep), unit="STEP"),
            )
        recipient = self._account(transfer.to) or Account(transfer.to)
        self._accounts[transfer.to] = replace(recipient, balance_ustep=recipient.balance_ustep + transfer.amount_ustep)
        return balance_ustep - transfer.amount_ustep

    def try_proof(self, proof: SignedProof, index: int) -> Receipt | Refusal:
        """Apply `proof` if every state gate lets it pass; a refused proof changes nothing."""
        triangle_key, nonce_key = proof.triangle.integer, (proof.account, proof.nonce)
        account = self._account(proof.account)
        triangle = self._triangle(triangle_key)
        refusal = check_state_gates(
            proof,
            reference_time_ms=self._timestamp_ms,
            nonce_used=self._nonce_used(nonce_key),
            account=account,
            triangle=triangle,
            parent=self._parent(proof.triangle),
            parameters=self._parameters,
        )
        if refusal is not None:
            return refusal
        clicked = self._click(proof, triangle or Triangle(triangle_key))
        reward_ustep = self._rules.proof_reward_ustep(proof.triangle.level, clicked.clicks)
        account = account or Account(proof.account)
        # Not by `replace`, which takes twice as long: this is done for each proof.
        credited = Account(
            account.address,
            account.balance_ustep + reward_ustep,
            account.proofs + 1,
            LastProof(proof.timestamp_ms, proof.lat, proof.lon),
            account.operations,
        )
        self._accounts[proof.account] = credited
        self._nonces[nonce_key] = NonceRecord(proof.account, proof.nonce, proof.timestamp_ms)
        self._minted_ustep += reward_ustep
        self._paid_ustep += reward_ustep
        return Receipt(
            proof.proof_id,
            self._height,
            index,
            proof.account,
            triangle_key,
            reward_ustep,
            clicked.clicks,
            clicked.state,
            credited.balance_ustep,
            self._timestamp_ms,
        )

    def mint(self, address: bytes, amount_ustep: int) -> None:
        """Credit newly minted value to an account, which comes into being if it is new."""
        account = self._account(address) or Account(address)
        self._accounts[address] = replace(account, balance_ustep=account.balance_ustep + amount_ustep)
        self._minted_ustep += amount_ustep

    def close(self, *, batch_hash: bytes, proposer: bytes) -> Changes:
        """The changes that the batch makes, with the new head and its commitment."""
        self._validators.end_batch()
        self._upgrades.end_batch()
        before = self._head.chain
        balances_delta_ustep = sum(
            account.balance_ustep - (old.balance_ustep if (old := self._before.accounts[address]) else 0)
            for address, account in self._accounts.items()
        )
        removed, added = self._validators.changes()
        stakes_delta_ustep = sum(one.stake_ustep for one in added) - sum(one.stake_ustep for one in removed)
        chain = ChainRecord(
            height=self._height,
            batch_hash=batch_hash,
            timestamp_ms=self._timestamp_ms,
            proposer=proposer,
            paid_ustep=self._paid_ustep,
            minted_ustep=before.minted_ustep + self._minted_ustep,
            balances_ustep=before.balances_ustep + balances_delta_ustep,
            stakes_ustep=before.stakes_ustep + stakes_delta_ustep,
            burnt_ustep=before.burnt_ustep + self._validators.burnt_ustep,
            evidence_floor_height=before.evidence_floor_height,
            evidence_mark_height=before.evidence_mark_height,
            evidence_mark_ms=before.evidence_mark_ms,
        )
        if self._timestamp_ms - before.evidence_mark_ms >= self._parameters.unbonding_ms:
            chain = replace(
                chain,
                evidence_floor_height=before.evidence_mark_height,
                evidence_mark_height=self._height,
                evidence_mark_ms=self._timestamp_ms,
            )
        check_conservation(chain)
        protocol = self._upgrades.record
        changed = protocol != self._head.protocol
        lanes = self._commit(
            removed=[before, *removed, *(self._head.protocol.kept() if changed else ())],
            added=[chain, *added, *(protocol.kept() if changed else ())],
        )
        return Changes(
            head=replace(
                self._head, chain=chain, validators=self._validators.records(), protocol=protocol, lanes=lanes
            ),
            accounts=tuple(self._accounts[address] for address in sorted(self._accounts)),
            triangles=tuple(self._triangles[triangle] for triangle in sorted(self._triangles)),
            nonces_added=tuple(self._nonces[key] for key in sorted(self._nonces)),
            nonces_removed=self._before.expired_nonces,
        )

    def _commit(self, *, removed: list[Record], added: list[Record]) -> bytes:
        removed = [*removed, *self._before.expired_nonces]
        removed.extend(account for key in self._accounts if (account := self._before.accounts[key]) is not None)
        removed.extend(triangle for key in self._triangles if (triangle := self._triangle_before(key)) is not None)
        added = [*added, *self._accounts.values(), *self._triangles.values(), *self._nonces.values()]
        return commit_changes(self._head.lanes, removed=removed, added=added)

    def _account(self, address: bytes) -> Account | None:
        return self._accounts.get(address) or self._before.accounts[address]

    def _triangle(self, key: int) -> Triangle | None:
        return self._triangles.get(key) or self._before.triangles[key]

    def _parent(self, triangle: TriangleId) -> Triangle | None:
        """The parent, where a gate asks for it: up to the seeded level all triangles are there without one."""
        parent = triangle.parent_integer
        if triangle.level <= self._parameters.seeded_level or parent is None:
            return None
        return self._triangle(parent)

    def _triangle_before(self, key: int) -> Triangle | None:
        # A child above the seeded levels cannot have a record before its parent is subdivided, so it is not loaded.
        return None if key in self._children_created else self._before.triangles[key]

    def _nonce_used(self, key: tuple[bytes, str]) -> bool:
        if key in self._nonces:
            return True
        return self._before.nonces[key] is not None and key not in self._expired

    def _click(self, proof: SignedProof, triangle: Triangle) -> Triangle:
        clicks = triangle.clicks + 1
        state = TriangleState.ACTIVE
        if clicks >= clicks_max(proof.triangle.level):
            if proof.triangle.level < LEVEL_MAX:
                state = TriangleState.SUBDIVIDED
                self._create_children(proof)
            else:
                state = TriangleState.EXHAUSTED
        clicked = Triangle(triangle.id, clicks, state)
        self._triangles[triangle.id] = clicked
        return clicked

    def _create_children(self, proof: SignedProof) -> None:
        """The four children come into being, unless genesis seeded their level: those exist without a record."""
        if proof.triangle.level >= self._parameters.seeded_level:
            for child in map(int, proof.triangle.children):
                self._triangles[child] = Triangle(child)
                self._children_created.add(child)


class ConservationBroken(AssertionError):
    """Value has appeared from nowhere or vanished: a bug that must stop the node before it is stored."""


def check_conservation(chain: ChainRecord) -> None:
    """Raise unless minted = balances + stakes + burnt, and nothing is negative (protocol.md §3)."""
    accounted_ustep = chain.balances_ustep + chain.stakes_ustep + chain.burnt_ustep
    if chain.minted_ustep != accounted_ustep:
        raise ConservationBroken(
            f"height {chain.height}: minted {chain.minted_ustep} µSTEP, but balances {chain.balances_ustep}"
            f" + stakes {chain.stakes_ustep} + burnt {chain.burnt_ustep} = {accounted_ustep}"
        )
    if min(chain.balances_ustep, chain.stakes_ustep, chain.burnt_ustep) < 0:
        raise ConservationBroken(f"height {chain.height}: a negative sum in {chain}")


def head_with_commitment(head: StateHead, records: list[Record]) -> StateHead:
    """`head` with the commitment to `records` and to its own chain record (for genesis and for checks)."""
    return replace(head, lanes=commit_changes(head.lanes, removed=(), added=[*records, head.chain]))
