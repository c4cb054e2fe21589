"""The whole state in dictionaries: what storage does for the ledger, in the plainest way."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from step_node.ledger.apply import (
    LedgerInput,
    LedgerTransition,
    apply_batch,
    keys_of,
    nonce_expiry,
    owners_rewarded,
)
from step_node.ledger.commitment import EMPTY_LANES, commit_changes, state_root
from step_node.ledger.offences import Offence
from step_node.ledger.records import Account, NonceRecord, Record, Triangle, ValidatorRecord
from step_node.ledger.state import StateHead, StateSlice
from step_node.operations.operation import Operation
from step_node.proofs.proof import SignedProof
from tests.support.chains import make_genesis
from tests.support.proofs import START_MS, address


class World:
    """A chain of four validators, of which three sign each commit unless the test says otherwise."""

    def __init__(self, validators: int = 4, *, allocations: dict[str, int] | None = None, **parameters: int) -> None:
        genesis = make_genesis(validators, allocations=allocations or {"alice": 5_000_000}, **parameters)
        self.head: StateHead = genesis.head()
        self.accounts = {account.address: account for account in genesis.accounts()}
        self.triangles: dict[int, Triangle] = {}
        self.nonces: dict[tuple[bytes, str], NonceRecord] = {}
        self.time_ms = START_MS

    @property
    def height(self) -> int:
        return self.head.chain.height

    def validator(self, name: str) -> ValidatorRecord:
        return next(record for record in self.head.validators if record.address == address(name))

    def members(self, height: int | None = None) -> set[bytes]:
        """The set of the next height, or of the head's."""
        records = self.head.validators
        return {one.address for one in records if (one.is_in_set if height is None else one.was_in_set(height))}

    def balance(self, name: str) -> int:
        return self.accounts.get(address(name), Account(address(name))).balance_ustep

    def slice(
        self, proofs: Sequence[SignedProof], operations: Sequence[Operation], signers: tuple[bytes, ...]
    ) -> StateSlice:
        keys = keys_of(
            proofs,
            validators=owners_rewarded(self.head, signers),
            operations=operations,
            expiry=nonce_expiry(self.time_ms, self.head.parameters),
        )
        expiry = keys.expiry
        assert expiry is not None
        return StateSlice(
            self.head,
            {key: self.accounts.get(key) for key in keys.accounts},
            {key: self.triangles.get(key) for key in keys.triangles},
            {key: self.nonces.get(key) for key in keys.nonces},
            tuple(
                sorted(
                    (nonce for nonce in self.nonces.values() if nonce.timestamp_ms < expiry.before_ms),
                    key=lambda nonce: (nonce.timestamp_ms, nonce.account, nonce.nonce),
                )[: expiry.nonces_max]
            ),
        )

    def apply(
        self,
        *proofs: SignedProof,
        at_ms: int | None = None,
        offences: Sequence[Offence] = (),
        operations: Sequence[Operation] = (),
        signers: Collection[bytes] | None = None,
    ) -> LedgerTransition:
        time_before_ms = self.time_ms
        self.time_ms = at_ms or self.time_ms + 1_000
        if signers is None:
            signers = sorted(self.members(self.height))[:3] if self.height else ()
        signed_by = tuple(sorted(signers))
        proposer = min(self.members())
        batch = LedgerInput(
            self.time_ms,
            proposer,
            signed_by,
            proofs,
            (self.height + 1).to_bytes(32, "big"),
            tuple(offences),
            tuple(operations),
        )
        try:
            transition = apply_batch(self.slice(proofs, operations, signed_by), batch)
        except ValueError:
            self.time_ms = time_before_ms
            raise
        changes = transition.changes
        self.head = changes.head
        self.accounts.update((account.address, account) for account in changes.accounts)
        self.triangles.update((triangle.id, triangle) for triangle in changes.triangles)
        for nonce in changes.nonces_removed:
            del self.nonces[nonce.account, nonce.nonce]
        self.nonces.update(((nonce.account, nonce.nonce), nonce) for nonce in changes.nonces_added)
        return transition

    def root_from_scratch(self) -> bytes:
        records: list[Record] = [
            *self.accounts.values(),
            *self.triangles.values(),
            *self.nonces.values(),
            *self.head.records,
        ]
        return state_root(commit_changes(EMPTY_LANES, removed=(), added=records))

    def check(self) -> None:
        """Conservation over every record, the root from scratch, and a set that is not empty."""
        chain = self.head.chain
        balances_ustep = sum(account.balance_ustep for account in self.accounts.values())
        stakes_ustep = sum(record.stake_ustep for record in self.head.validators)
        assert (chain.balances_ustep, chain.stakes_ustep) == (balances_ustep, stakes_ustep)
        assert chain.minted_ustep == balances_ustep + stakes_ustep + chain.burnt_ustep
        assert self.root_from_scratch() == state_root(self.head.lanes)
        assert self.members()
        assert self.members() == self.members(self.height + 1)
