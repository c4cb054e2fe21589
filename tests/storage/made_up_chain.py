"""Plausible genesis states and batches, made up from a seed: what storage tests write without needing the ledger."""

from __future__ import annotations

import random
from dataclasses import replace

from mesh import TriangleId
from step_node.ledger.offences import OffenceKind, Slashing
from step_node.ledger.protocol_record import ProtocolRecord, Upgrade, UpgradeVote
from step_node.ledger.records import (
    Account,
    ChainRecord,
    LastProof,
    NonceRecord,
    Triangle,
    TriangleState,
    ValidatorRecord,
    ValidatorState,
    nonce_age,
)
from step_node.ledger.state import Changes, NonceExpiry, Receipt, StateHead, StateKeys
from step_node.ledger.validator_changes import ValidatorChange, ValidatorChangeKind
from step_node.operations.operation import SetAddress, Transfer
from step_node.parameters import Parameters
from step_node.proofs.proof import SignedProof
from step_node.storage.interface import FinalisedBatch, FinalisedOperation, LedgerTotals, Storage, StoredBatch

START_MS = 1_700_000_000_000
WINDOW_MS = 3_000
"""Short, so that nonces leave it within a few batches."""


class MadeUpChain:
    """A chain that grows by made-up batches, and remembers what it has made."""

    def __init__(self, seed: int, *, accounts: int = 12, upgrades: bool = True) -> None:
        self._upgrades = upgrades
        self._random = random.Random(seed)
        self._operations_random = random.Random(seed + 1)
        self.genesis_hash = self._random.randbytes(32)
        self.addresses = [self._random.randbytes(20) for _ in range(accounts)]
        # Equal balances on purpose: the rank of equals is by address.
        self.genesis_accounts = tuple(
            Account(address, balance_ustep=5_000 * (index % 3)) for index, address in enumerate(self.addresses[:6])
        )
        self.genesis_head = StateHead(
            chain=ChainRecord(0, self.genesis_hash, START_MS, b"", 0, 30_000, 20_000, 10_000, 0),
            parameters=Parameters(proof_max_age_ms=WINDOW_MS),
            validators=self._validators(4),
            protocol=ProtocolRecord(),
            lanes=self._random.randbytes(2_048),
        )
        self.head = self.genesis_head
        self.accounts = {account.address: account for account in self.genesis_accounts}
        self.triangles: dict[int, Triangle] = {}
        self.nonces: dict[tuple[bytes, str], NonceRecord] = {}
        self.batches: list[FinalisedBatch] = []

    def grow(self, proofs: int = 5) -> FinalisedBatch:
        """The next batch, which the caller finalises."""
        height = self.head.chain.height + 1
        now_ms = self.head.chain.timestamp_ms + 1_000
        expired = [one for one in self.nonces.values() if one.timestamp_ms < now_ms - WINDOW_MS]
        signed = [self._proof(now_ms - self._random.randrange(1_000)) for _ in range(proofs)]
        added = [NonceRecord(proof.account, proof.nonce, proof.timestamp_ms) for proof in signed]
        receipts = [self._credit(proof, height, index, now_ms) for index, proof in enumerate(signed)]
        for nonce in expired:
            del self.nonces[nonce.account, nonce.nonce]
        self.nonces.update({(nonce.account, nonce.nonce): nonce for nonce in added})
        batch_hash = self._random.randbytes(32)
        chain = replace(
            self.head.chain,
            height=height,
            batch_hash=batch_hash,
            timestamp_ms=now_ms,
            proposer=self._random.choice(self.head.validators).address,
            paid_ustep=sum(receipt.reward_ustep for receipt in receipts),
        )
        validators = self._validators(self._random.randint(1, 5)) if height % 3 == 0 else self.head.validators
        protocol = self.head.protocol
        if self._upgrades:
            protocol = ProtocolRecord(
                Upgrade(1, 1),
                Upgrade(2, height + 9, "0.2.0"),
                (UpgradeVote(validators[0].address, Upgrade(3, height)),),
            )
        self.head = StateHead(chain, self.head.parameters, validators, protocol, self._random.randbytes(2_048))
        finalised = FinalisedBatch(
            stored=StoredBatch(height, batch_hash, now_ms, self._random.randbytes(300), self._random.randbytes(400)),
            changes=Changes(
                head=self.head,
                accounts=tuple({proof.account: self.accounts[proof.account] for proof in signed}.values()),
                triangles=tuple({int(one.triangle): self.triangles[int(one.triangle)] for one in signed}.values()),
                nonces_added=tuple(added),
                nonces_removed=tuple(expired),
            ),
            proofs=tuple(signed),
            receipts=tuple(receipts),
            slashings=tuple(self._slashing(height, index, now_ms) for index in range(self._random.choice((0, 0, 2)))),
            operations=tuple(
                self._operation(height, index, now_ms) for index in range(self._operations_random.choice((0, 1, 4)))
            ),
            validator_changes=tuple(self._life(height, index) for index in range(self._random.choice((0, 1, 3)))),
        )
        self.batches.append(finalised)
        return finalised

    def all_keys(self) -> StateKeys:
        """Every key this chain has ever used, and one of each kind that it has not."""
        used = [(proof.account, proof.nonce) for batch in self.batches for proof in batch.proofs]
        return StateKeys(
            accounts=frozenset([*self.addresses, bytes(20)]),
            triangles=frozenset([*self.triangles, (7 << 45) | 1]),
            nonces=frozenset([*used, (self.addresses[0], "never-used")]),
            expiry=NonceExpiry(self.head.chain.timestamp_ms + 1, 1_000_000),
        )

    def _proof(self, timestamp_ms: int) -> SignedProof:
        pick = self._random
        level = pick.randint(1, 21)
        path = 0
        for digit in range(level - 1):
            # Few distinct triangles, so that some are clicked again.
            path |= pick.choice((0, 3)) << (38 - 2 * digit)
        return SignedProof(
            account=pick.choice(self.addresses),
            triangle=TriangleId.from_int(pick.randrange(20) << 45 | path << 5 | level),
            lat=pick.choice((pick.uniform(-90, 90), 47.0, 0.0, -90.0, 5e-324)),
            lon=pick.choice((pick.uniform(-180, 180), 180.0, -1e-7)),
            accuracy_m=pick.choice((5.0, 0.1 + 0.2, 49.99999999999999)),
            timestamp_ms=timestamp_ms,
            nonce=f"nonce-{pick.getrandbits(64):x}",
            signature=pick.randbytes(65),
            proof_id=pick.randbytes(32),
        )

    def _credit(self, proof: SignedProof, height: int, index: int, now_ms: int) -> Receipt:
        reward = self._random.choice((1, 1_953, 1_000_000, 2**40))
        before = self.accounts.get(proof.account, Account(proof.account))
        account = Account(
            proof.account,
            before.balance_ustep + reward,
            before.proofs + 1,
            LastProof(proof.timestamp_ms, proof.lat, proof.lon),
            self._random.randrange(3),
        )
        key = int(proof.triangle)
        clicks = self.triangles.get(key, Triangle(key)).clicks + 1
        triangle = Triangle(key, clicks, TriangleState.SUBDIVIDED if clicks > 10 else TriangleState.ACTIVE)
        self.accounts[proof.account], self.triangles[key] = account, triangle
        return Receipt(
            proof_id=proof.proof_id,
            height=height,
            index=index,
            account=proof.account,
            triangle=key,
            reward_ustep=reward,
            clicks=clicks,
            triangle_state=triangle.state,
            balance_ustep=account.balance_ustep,
            processed_at_ms=now_ms,
        )

    def _operation(self, height: int, index: int, now_ms: int) -> FinalisedOperation:
        pick = self._operations_random
        owner, to = pick.sample(self.addresses, 2)
        signature = pick.randbytes(65)
        memo = pick.choice(("", "rent | Zürich", "猫" * 21))
        operation = pick.choice(
            (
                Transfer(owner, height, to, pick.randint(1, 2**53 - 1), memo, signature),
                SetAddress(owner, height, to, "/memory/moved", signature),
            )
        )
        return FinalisedOperation(operation, pick.randbytes(32), height, index, now_ms)

    def _slashing(self, height: int, index: int, now_ms: int) -> Slashing:
        pick = self._random
        return Slashing(
            height=height,
            index=index,
            kind=pick.choice(list(OffenceKind)),
            accused=pick.randbytes(20),
            validator=pick.randbytes(20),
            offence_height=pick.randint(1, height),
            amount_ustep=pick.randrange(2**62),
            timestamp_ms=now_ms,
            evidence=pick.randbytes(pick.choice((0, 300))),
        )

    def _life(self, height: int, index: int) -> ValidatorChange:
        pick = self._random
        return ValidatorChange(
            height=height,
            index=index,
            kind=pick.choice(list(ValidatorChangeKind)),
            validator=pick.randbytes(20),
            owner=pick.randbytes(20),
            stake_ustep=pick.randrange(2**62),
            successor=pick.randbytes(pick.choice((0, 20))),
        )

    def _validators(self, count: int) -> tuple[ValidatorRecord, ...]:
        pick = self._random
        made = [
            ValidatorRecord(
                pick.randbytes(20),
                b"\x02" + pick.randbytes(32),
                pick.randrange(2**62),
                f"/ip4/127.0.0.1/tcp/{n}",
                pick.randbytes(20),
                pick.choice(list(ValidatorState)),
                active_from_height=pick.randrange(2**62),
                active_until_height=pick.randrange(2**62),
                slashed_at_height=pick.randrange(2**62),
                slashed_ustep=pick.randrange(2**62),
                locked_until_ms=pick.randrange(2**62),
                absent_since_ms=pick.randrange(2**62),
                absent_batches=pick.randrange(2**62),
                next_public_key=pick.choice((b"", b"\x03" + pick.randbytes(32))),
            )
            for n in range(count)
        ]
        return tuple(sorted(made, key=lambda validator: validator.address))


async def begin(store: Storage, chain: MadeUpChain) -> None:
    """Put the chain's genesis state into the store."""
    await store.initialise(chain.genesis_hash, chain.genesis_head, chain.genesis_accounts)


async def assert_holds(store: Storage, chain: MadeUpChain) -> None:
    """The store holds exactly what the chain has made: no record more or less, each proof once."""
    loaded = await store.load(chain.all_keys())
    assert loaded.head == chain.head
    assert {key: one for key, one in loaded.accounts.items() if one is not None} == chain.accounts
    assert {key: one for key, one in loaded.triangles.items() if one is not None} == chain.triangles
    assert {key: one for key, one in loaded.nonces.items() if one is not None} == chain.nonces
    assert loaded.expired_nonces == tuple(sorted(chain.nonces.values(), key=nonce_age))
    assert list(await store.batches(1, 500)) == [batch.stored for batch in chain.batches]
    slashings = [slashing for batch in chain.batches for slashing in batch.slashings]
    assert list(await store.slashings(limit=500)) == slashings[::-1]
    lives = [change for batch in chain.batches for change in batch.validator_changes]
    assert list(await store.validator_changes(limit=500)) == lives[::-1]
    if slashings:
        newest = slashings[-1]
        assert list(await store.slashings(limit=1, before=(newest.height, newest.index))) == slashings[-2:-1]
    assert await store.totals() == LedgerTotals(
        balances_ustep=sum(account.balance_ustep for account in chain.accounts.values()),
        accounts=len(chain.accounts),
        triangles=len(chain.triangles),
        proofs=sum(len(batch.proofs) for batch in chain.batches),
    )
