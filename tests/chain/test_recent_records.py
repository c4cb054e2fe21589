"""What the chain keeps of the state in memory is what the store holds, at each head and whatever is asked between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from step_node.chain import recent_records
from step_node.chain.chain import Chain
from step_node.ledger.apply import keys_of, nonce_expiry
from step_node.ledger.state import StateKeys, StateSlice
from step_node.proofs.proof import SignedProof
from tests.mempool.parts import GatedStorage
from tests.support.chains import commit_for, open_chain, validator_names
from tests.support.clock import SetClock
from tests.support.proofs import START_MS, signed_proof

POOL = [
    signed_proof(name, lat=lat, level=level, timestamp_ms=START_MS + second * 1_000)
    for name in ("alice", "bob", "carol")
    for lat in (47.3769, 47.3790)
    for level in (4, 5)
    for second in (-100, 0, 11, 40)
]
"""Few accounts and triangles, so that most of what is asked for is known, absent, or has just been written."""

Step: TypeAlias = tuple[bool, list[SignedProof]]
"""(whether these proofs are finalised, or only loaded; they)"""


def keys_for(chain: Chain, proofs: Sequence[SignedProof]) -> StateKeys:
    return keys_of(proofs, expiry=nonce_expiry(chain.next_batch_time_ms, chain.parameters))


async def require_the_same(chain: Chain, keys: StateKeys) -> None:
    assert await chain.load(keys) == await chain.storage.load(keys)


async def finalise_those_that_can_be(chain: Chain, proofs: Sequence[SignedProof]) -> None:
    proposer = chain.validators.proposer(chain.next_height, 0).address
    judged = await chain.build(proofs, round_number=0, proposer=proposer)
    if judged is not None:
        await chain.finalise(judged, commit_for(judged.batch, validator_names(len(chain.validators))))


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.booleans(), st.lists(st.sampled_from(POOL), max_size=6, unique=True)), min_size=1, max_size=12
    ),
    records_max=st.sampled_from((1, 3, 1_000)),
)
def test_what_is_loaded_is_what_the_store_holds(steps: list[Step], records_max: int) -> None:
    async def scenario() -> None:
        chain = await open_chain(storage=GatedStorage(), clock=SetClock(START_MS))
        for finalised, proofs in steps:
            if finalised:
                await finalise_those_that_can_be(chain, proofs)
            else:
                await require_the_same(chain, keys_for(chain, proofs))
            await require_the_same(chain, keys_for(chain, POOL))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent_records, "RECORDS_MAX", records_max)
        patch.setattr(recent_records, "HEIGHTS_MAX", 2)
        trio.run(scenario)


async def load_while_the_head_moves(chain: Chain, storage: GatedStorage) -> StateSlice:
    """What `chain` loads of `POOL`, some of it known, while a batch of it is finalised."""
    states: list[StateSlice] = []

    async def read() -> None:
        states.append(await chain.load(keys_of(POOL)))

    await chain.load(keys_of(POOL[:2]))
    async with trio.open_nursery() as nursery:
        storage.hold_loads = held = trio.Event()
        nursery.start_soon(read)
        await storage.load_is_held.wait()
        storage.hold_loads = None
        await finalise_those_that_can_be(chain, POOL[:6])
        held.set()
    assert chain.head.chain.height == 1
    return states[0]


async def test_what_was_read_before_the_head_moved_is_not_kept() -> None:
    chain = await open_chain(storage=(storage := GatedStorage()), clock=SetClock(START_MS))
    assert (await load_while_the_head_moves(chain, storage)).head.chain.height == 0
    await require_the_same(chain, keys_of(POOL))


class LateStorage(GatedStorage):
    """A store that is held up before it reads."""

    async def load(self, keys: StateKeys) -> StateSlice:
        if self.hold_loads is not None:
            self.load_is_held.set()
            await self.hold_loads.wait()
        return await super().load(keys)


async def test_what_was_read_after_the_head_moved_is_not_mixed_with_what_was_known_before() -> None:
    chain = await open_chain(storage=(storage := LateStorage()), clock=SetClock(START_MS))
    assert await load_while_the_head_moves(chain, storage) == await storage.load(keys_of(POOL))


async def test_a_nonce_that_has_left_the_state_is_not_kept() -> None:
    clock = SetClock(START_MS)
    chain = await open_chain(storage=GatedStorage(), clock=clock)
    old = signed_proof(timestamp_ms=START_MS)
    await finalise_those_that_can_be(chain, [old])
    clock.advance(3 * (chain.parameters.proof_max_age_ms + chain.parameters.clock_drift_ms))
    await finalise_those_that_can_be(chain, [signed_proof("bob", timestamp_ms=clock.now_ms())])
    keys = keys_of([old])
    assert (await chain.storage.load(keys)).nonces[old.account, old.nonce] is None
    await require_the_same(chain, keys)


async def test_what_is_known_is_not_read_again() -> None:
    storage = GatedStorage()
    chain = await open_chain(storage=storage, clock=SetClock(START_MS))
    await finalise_those_that_can_be(chain, POOL[:6])
    keys = keys_of(POOL)
    expected = await chain.load(keys)
    storage.is_available = False
    assert await chain.load(keys) == expected


async def test_what_nobody_asks_for_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_records, "RECORDS_MAX", 4)
    kept = recent_records.RecentRecords()
    chain = await open_chain(storage=GatedStorage(), clock=SetClock(START_MS))
    for proof in POOL:
        keys = keys_of([proof])
        known, lacking = kept.split(keys, chain.head)
        kept.keep(recent_records.merged(known, await chain.storage.load(lacking)))
        assert len(kept) <= 3 * 2 * 4
