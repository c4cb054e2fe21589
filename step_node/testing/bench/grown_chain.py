"""A chain that looks as if it had run for long: many accounts and touched triangles, and a window full of nonces.

To finalise 100,000 proofs takes minutes, and gives nothing that cannot be put together: one real batch on top of
genesis, and beside what it wrote, records that a hundred more batches would have left. The commitment covers all of
them, and the supply adds up, so a store takes the state as it takes any snapshot, and a node starts on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from consensus.messages import Commit, CommitSignature, PreCommit
from step_node.batch.batch import Batch
from step_node.chain.chain import Chain
from step_node.chain.genesis import Genesis
from step_node.crypto.eip191 import sign
from step_node.home.making import new_genesis
from step_node.ledger.commitment import commit_changes, commit_encoded
from step_node.ledger.records import Account, LastProof, NonceRecord, Record, Triangle, record_bytes
from step_node.ledger.rewards import BASIS_POINTS, rounded_reward_ustep
from step_node.mempool.pool import Mempool
from step_node.parameters import Parameters
from step_node.proofs.proof import SIGNATURE_BYTES, SignedProof
from step_node.storage.interface import RestoredState, Storage, StoredRecord
from step_node.storage.memory import MemoryStorage
from step_node.testing.load.provers import Provers

CHAIN_ID: Final = "step-bench"
PLACED: Final = 200_000
"""Accounts whose last proof was where they stand; of those beyond, which never prove again, it was at 0, 0."""
PAGE_RECORDS: Final = 5_000
SEED: Final = bytes(16)
"""Of the provers whose accounts are there."""

HISTORY_PROOFS: Final = 10
"""Of each batch that `lengthen` adds."""
HISTORY_MS: Final = 100
"""Between two of them, by chain time."""
HISTORY_ACCOUNTS: Final = 4_000
"""Who prove in them, in turn: by far more than the moratorium asks for, and few proofs in each triangle."""

AddressOf = Callable[[int], bytes]


class ManualClock:
    """A clock that stands until it is set."""

    def __init__(self, time_ms: int) -> None:
        self.time_ms = time_ms

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return self.time_ms


@dataclass(frozen=True, slots=True)
class GrowthPlan:
    """What state to make: so many accounts, each with a triangle clicked once and a nonce of its own.

    The nonce and the last proof of account `number` are of `first_ms + number * nonce_spacing_ms`. `address_of` says
    whose the accounts are.
    """

    accounts: int
    first_ms: int
    nonce_spacing_ms: float
    address_of: AddressOf
    provers: Provers

    def records(self, number: int) -> tuple[Account, Triangle, NonceRecord]:
        """The three records of account `number`."""
        timestamp_ms = self.first_ms + int(number * self.nonce_spacing_ms)
        address, triangle = self.address_of(number), self.provers.triangle(number)
        lat, lon = self.provers.place(number) if number < PLACED else (0.0, 0.0)
        account = Account(address, rounded_reward_ustep(triangle.level, 1), 1, LastProof(timestamp_ms, lat, lon))
        return account, Triangle(int(triangle), 1), NonceRecord(address, f"grown-{number}", timestamp_ms)

    def pages(self) -> Iterator[Sequence[StoredRecord]]:
        """All records, some thousands at a time."""
        page: list[StoredRecord] = []
        for number in range(self.accounts):
            page.extend(self.records(number))
            if len(page) >= PAGE_RECORDS:
                yield page
                page = []
        if page:
            yield page


def made_up_address(number: int) -> bytes:
    """An account that nobody has the key of: cheap, where nothing is signed."""
    return hashlib.sha256(b"step bench account %d" % number).digest()[:20]


def unsigned_proof(provers: Provers, number: int, timestamp_ms: int, nonce: str) -> SignedProof:
    """A proof of `made_up_address(number)` for what never looks at signatures: ledger, store, mempool."""
    address = made_up_address(number)
    lat, lon = provers.place(number)
    proof_id = hashlib.sha256(address + nonce.encode()).digest()
    signature = bytes(SIGNATURE_BYTES - 1) + b"\x1b"
    return SignedProof(address, provers.triangle(number), lat, lon, 5.0, timestamp_ms, nonce, signature, proof_id)


def bench_genesis(
    keys: Sequence[bytes], time_ms: int, addresses: Sequence[str] = (), parameters: Parameters | None = None
) -> Genesis:
    """A genesis whose validators have these keys, and listen at `addresses`, which do not matter offline."""
    places = addresses or [f"/ip4/127.0.0.1/tcp/{26_600 + index}" for index in range(len(keys))]
    validators = list(zip(keys, places, strict=True))
    return new_genesis(chain_id=CHAIN_ID, genesis_time_ms=time_ms, validators=validators, parameters=parameters)


async def grown_state(genesis: Genesis, keys: dict[bytes, bytes], plan: GrowthPlan) -> RestoredState:
    """The state of height 1 with all of the plan's records. `keys` are the validators', by address, for its commit."""
    storage, clock = MemoryStorage(), ManualClock(plan.first_ms)
    await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
    chain = await Chain.open(genesis=genesis, storage=storage, clock=clock, known=Mempool().get)
    first = unsigned_proof(plan.provers, plan.accounts, plan.first_ms, "the-first")
    judged = await chain.build([first], round_number=0, proposer=chain.validators.proposer(1, 0).address)
    if judged is None:
        raise RuntimeError("the first batch cannot be built")
    await chain.finalise(judged, committed_by(judged.batch, keys))
    (base,) = await storage.batches(1, 1)
    head, grown_ustep = chain.head, plan.accounts * rounded_reward_ustep(plan.provers.level, 1)
    # What the validators would have had of it is burnt, or there would be less than so many clicks bring about.
    shared_ustep = grown_ustep * genesis.parameters.validator_reward_bps // BASIS_POINTS
    supply = replace(
        head.chain,
        minted_ustep=head.chain.minted_ustep + grown_ustep + shared_ustep,
        balances_ustep=head.chain.balances_ustep + grown_ustep,
        burnt_ustep=shared_ustep,
    )
    lanes = commit_changes(head.lanes, removed=[head.chain], added=[supply])
    lanes = commit_encoded(lanes, (record_bytes(record) for page in plan.pages() for record in page))
    changes = judged.transition.changes
    written: list[Record] = [*changes.accounts, *changes.triangles, *changes.nonces_added]
    return RestoredState(replace(head, chain=supply, lanes=lanes), base, lambda: _with(written, plan.pages()))


async def restore_into(storage: Storage, genesis: Genesis, state: RestoredState) -> None:
    """Make `state` the contents of an empty store."""
    await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
    await storage.restore(state)


async def lengthen(
    storage: Storage, genesis: Genesis, keys: dict[bytes, bytes], plan: GrowthPlan, *, batches: int, end_ms: int
) -> None:
    """Finalise `batches` more on the grown chain in `storage`, the last one at `end_ms`; really, one after another.

    Those who prove in them are accounts beyond the plan's, which nobody has the keys of.
    """
    clock = ManualClock(end_ms - batches * HISTORY_MS)
    chain = await Chain.open(genesis=genesis, storage=storage, clock=clock, known=Mempool().get)
    for batch in range(batches):
        clock.time_ms += HISTORY_MS
        turns = range(batch * HISTORY_PROOFS, (batch + 1) * HISTORY_PROOFS)
        numbers = [plan.accounts + 1 + turn % HISTORY_ACCOUNTS for turn in turns]
        proofs = [unsigned_proof(plan.provers, number, clock.time_ms, f"before-{batch}") for number in numbers]
        proposer = chain.validators.proposer(chain.next_height, 0).address
        judged = await chain.build(proofs, round_number=0, proposer=proposer)
        if judged is None or len(judged.batch.proofs) != HISTORY_PROOFS:
            raise RuntimeError(f"height {chain.next_height}: not every proof could be put into a batch")
        await chain.finalise(judged, committed_by(judged.batch, keys))


def committed_by(batch: Batch, keys: dict[bytes, bytes]) -> Commit:
    """The commit of `batch`, signed by each of `keys`: private ones by validators' addresses."""
    header = batch.header
    signatures = []
    for address in sorted(keys):
        vote = PreCommit(header.height, header.round, batch.hash, address)
        signatures.append(CommitSignature(address, sign(vote.signing_line(header.chain_id), keys[address])))
    return Commit(header.height, header.round, batch.hash, tuple(signatures))


def _with(written: Sequence[Record], pages: Iterator[Sequence[StoredRecord]]) -> Iterator[Sequence[StoredRecord]]:
    yield [record for record in written if isinstance(record, StoredRecord)]
    yield from pages
