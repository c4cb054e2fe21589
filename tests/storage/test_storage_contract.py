"""What every storage engine promises: the same suite, run against each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import trio

from step_node.ledger.records import Account, NonceRecord, nonce_age
from step_node.ledger.state import NonceExpiry, StateKeys
from step_node.operations.operation import SetAddress, Transfer
from step_node.storage.interface import (
    PAGE_MAX,
    FinalisedBatch,
    FinalisedOperation,
    FinalisedProof,
    Place,
    Storage,
    StorageMismatch,
    Transaction,
)
from step_node.storage.transactions import place_of
from tests.storage.made_up_chain import START_MS, MadeUpChain, assert_holds


async def grow(store: Storage, chain: MadeUpChain, batches: int, proofs: int = 5) -> None:
    for _ in range(batches):
        await store.finalise(chain.grow(proofs))


async def test_an_empty_store_says_that_it_holds_no_chain(store: Storage) -> None:
    for call in (
        store.head,
        store.totals,
        lambda: store.load(StateKeys()),
        lambda: store.leaderboard(limit=1),
        lambda: store.account(bytes(20)),
        lambda: store.finalise(MadeUpChain(seed=3).grow()),
    ):
        with pytest.raises(StorageMismatch, match="holds no chain yet"):
            await call()


async def test_the_genesis_state_is_read_back_as_it_was_written(started: Storage, chain: MadeUpChain) -> None:
    assert await started.head() == chain.genesis_head
    await assert_holds(started, chain)


async def test_initialising_again_with_the_same_genesis_changes_nothing(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=2)
    await started.initialise(chain.genesis_hash, chain.genesis_head, chain.genesis_accounts)
    await assert_holds(started, chain)


async def test_another_genesis_is_refused_naming_both_hashes(started: Storage, chain: MadeUpChain) -> None:
    stranger = MadeUpChain(seed=2)
    with pytest.raises(StorageMismatch) as refusal:
        await started.initialise(stranger.genesis_hash, stranger.genesis_head, stranger.genesis_accounts)
    assert chain.genesis_hash.hex() in str(refusal.value)
    assert stranger.genesis_hash.hex() in str(refusal.value)
    await assert_holds(started, chain)


async def test_finalised_batches_are_read_back_as_they_were_written(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=8)
    await assert_holds(started, chain)
    assert list(await started.batches(1, 500)) == [batch.stored for batch in chain.batches]
    receipts = [receipt for batch in chain.batches for receipt in batch.receipts]
    found = await started.receipts([bytes(32), *(receipt.proof_id for receipt in receipts)])
    assert sorted(found, key=lambda one: (one.height, one.index)) == receipts
    for triangle in chain.triangles.values():
        assert await started.triangle(triangle.id) == triangle


async def test_a_batch_without_proofs_moves_the_head_alone(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=2, proofs=0)
    await assert_holds(started, chain)


async def test_what_is_not_there_is_none(started: Storage) -> None:
    assert await started.account(bytes(20)) is None
    assert await started.account_rank(bytes(20)) is None
    assert await started.triangle(1) is None
    assert list(await started.receipts([])) == []
    assert list(await started.account_proofs(bytes(20), before=None, limit=5)) == []
    assert list(await started.batches(1, 5)) == []


async def test_batches_are_consecutive_from_the_height_asked_for(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=5)
    assert [batch.height for batch in await started.batches(2, 2)] == [2, 3]
    assert [batch.height for batch in await started.batches(4, 10)] == [4, 5]
    assert list(await started.batches(6, 10)) == []
    assert list(await started.batches(0, 10)) == []


async def test_only_nonces_older_than_asked_for_are_loaded_as_expired(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=3)
    ages = sorted(nonce.timestamp_ms for nonce in chain.nonces.values())
    loaded = await started.load(StateKeys(expiry=NonceExpiry(ages[4], 1_000)))
    assert [nonce.timestamp_ms for nonce in loaded.expired_nonces] == [age for age in ages if age < ages[4]]
    assert (await started.load(StateKeys())).expired_nonces == ()


async def test_no_more_nonces_are_loaded_as_expired_than_asked_for_and_the_oldest_first(
    started: Storage, chain: MadeUpChain
) -> None:
    await grow(started, chain, batches=2, proofs=3)
    batch = chain.grow(1)
    like_aged = [
        NonceRecord(address, name, START_MS) for address in chain.addresses[:3] for name in ("b", "B", "b.", "1")
    ]
    changes = replace(batch.changes, nonces_added=(*batch.changes.nonces_added, *like_aged))
    await started.finalise(replace(batch, changes=changes))
    by_age = sorted([*chain.nonces.values(), *like_aged], key=nonce_age)
    for nonces_max in (1, 2, 7, len(by_age) - 1, len(by_age) + 1):
        loaded = await started.load(StateKeys(expiry=NonceExpiry(chain.head.chain.timestamp_ms + 1, nonces_max)))
        assert loaded.expired_nonces == tuple(by_age[:nonces_max])


async def test_finalising_a_height_again_does_nothing(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=3)
    for batch in chain.batches:
        await started.finalise(batch)
    await assert_holds(started, chain)


async def test_the_same_batch_finalised_twice_at_once_is_applied_once(started: Storage, chain: MadeUpChain) -> None:
    batch = chain.grow()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(started.finalise, batch)
        nursery.start_soon(started.finalise, batch)
    await assert_holds(started, chain)


def with_hash(batch: FinalisedBatch, batch_hash: bytes) -> FinalisedBatch:
    head = batch.changes.head
    changed = replace(head, chain=replace(head.chain, batch_hash=batch_hash))
    return replace(
        batch, stored=replace(batch.stored, batch_hash=batch_hash), changes=replace(batch.changes, head=changed)
    )


async def test_another_batch_at_a_stored_height_is_refused(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=2)
    with pytest.raises(ValueError, match="height 1 holds batch"):
        await started.finalise(with_hash(chain.batches[0], bytes(32)))
    await assert_holds(started, chain)


async def test_a_height_that_does_not_follow_the_head_is_refused(started: Storage, chain: MadeUpChain) -> None:
    ahead = MadeUpChain(seed=1)
    ahead.grow()
    with pytest.raises(ValueError, match="not the successor of the head's height 0"):
        await started.finalise(ahead.grow())
    await assert_holds(started, chain)


def with_conflict(kind: str, batch: FinalisedBatch, earlier: FinalisedBatch) -> FinalisedBatch:
    changes = batch.changes
    match kind:
        case "a proof that is already finalised":
            proof_id = earlier.proofs[0].proof_id
            return replace(
                batch,
                proofs=(batch.proofs[0]._replace(proof_id=proof_id), *batch.proofs[1:]),
                receipts=(batch.receipts[0]._replace(proof_id=proof_id), *batch.receipts[1:]),
            )
        case "a nonce that is already there":
            return replace(batch, changes=replace(changes, nonces_added=earlier.changes.nonces_added[:1]))
        case "the removal of a nonce that is not there":
            absent = NonceRecord(bytes(20), "absent", 1)
            return replace(batch, changes=replace(changes, nonces_removed=(*changes.nonces_removed, absent)))
        case "a balance beyond 64 bits":
            return replace(batch, changes=replace(changes, accounts=(Account(bytes(20), 2**63),)))
        case "a receipt of another proof":
            return replace(batch, receipts=tuple(reversed(batch.receipts)))
        case "a proof without a receipt":
            return replace(batch, receipts=batch.receipts[1:])
        case _:
            return replace(batch, stored=replace(batch.stored, timestamp_ms=batch.stored.timestamp_ms + 1))


@pytest.mark.parametrize(
    "kind",
    [
        "a proof that is already finalised",
        "a nonce that is already there",
        "the removal of a nonce that is not there",
        "a balance beyond 64 bits",
        "a receipt of another proof",
        "a proof without a receipt",
        "a time that is not the head's",
    ],
)
async def test_a_batch_in_conflict_changes_nothing(started: Storage, chain: MadeUpChain, kind: str) -> None:
    await grow(started, chain, batches=1)
    ahead = MadeUpChain(seed=1)
    ahead.grow()
    with pytest.raises(ValueError, match=r"."):
        await started.finalise(with_conflict(kind, ahead.grow(), chain.batches[0]))
    await assert_holds(started, chain)
    await started.finalise(chain.grow())
    await assert_holds(started, chain)


async def test_a_nonce_may_leave_and_return_in_one_batch(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=1)
    nonce = chain.batches[0].changes.nonces_added[0]
    again = replace(nonce, timestamp_ms=nonce.timestamp_ms + 5_000)
    batch = chain.grow()
    await started.finalise(
        replace(batch, changes=replace(batch.changes, nonces_added=(again,), nonces_removed=(nonce,)))
    )
    key = (nonce.account, nonce.nonce)
    assert (await started.load(StateKeys(nonces=frozenset({key})))).nonces[key] == again


async def test_a_history_is_paged_newest_first_without_gap_or_repeat(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=6, proofs=20)
    for address in chain.addresses:
        expected = [
            FinalisedProof(proof, receipt)
            for batch in reversed(chain.batches)
            for proof, receipt in reversed(list(zip(batch.proofs, batch.receipts, strict=True)))
            if proof.account == address
        ]
        found: list[FinalisedProof] = []
        before = None
        while page := await started.account_proofs(address, before=before, limit=3):
            found.extend(page)
            before = (page[-1].receipt.height, page[-1].receipt.index)
        assert found == expected


def transactions_of(chain: MadeUpChain, address: bytes) -> list[Transaction]:
    """Newest first; within a height proofs are after operations."""
    oldest_first: list[Transaction] = []
    for batch in chain.batches:
        oldest_first += [one for one in batch.operations if address in one.accounts]
        pairs = zip(batch.proofs, batch.receipts, strict=True)
        oldest_first += [FinalisedProof(proof, receipt) for proof, receipt in pairs if proof.account == address]
    return oldest_first[::-1]


@pytest.mark.parametrize("limit", [1, 3, 500])
async def test_an_account_s_transactions_are_paged_either_way_without_gap_or_repeat(
    started: Storage, chain: MadeUpChain, limit: int
) -> None:
    await grow(started, chain, batches=6, proofs=12)
    kinds = {type(one.operation) for batch in chain.batches for one in batch.operations}
    assert kinds == {Transfer, SetAddress}
    for address in chain.addresses[:6]:
        expected = transactions_of(chain, address)
        found: list[Transaction] = []
        before = None
        while page := await started.transactions(address, before=before, limit=limit):
            found.extend(page)
            before = place_of(page[-1])
        assert found == expected
        upward: list[Transaction] = []
        after = (0, 0)
        while page := await started.transactions(address, after=after, limit=limit):
            upward.extend(page)
            after = place_of(page[-1])
        assert upward == expected[::-1]
        if len(expected) > 2:  # Between two places, neither of which is in it: newest first again.
            edges = {"before": place_of(expected[0]), "after": place_of(expected[-1])}
            assert list(await started.transactions(address, **edges, limit=limit)) == expected[1:-1][:limit]


async def test_a_page_about_an_account_has_its_record_its_rank_and_what_it_did_last(
    started: Storage, chain: MadeUpChain
) -> None:
    await grow(started, chain, batches=6)
    for address in [*chain.addresses, bytes(20)]:
        page = await started.account_page(address, limit=4)
        assert page.account == await started.account(address)
        assert page.rank == await started.account_rank(address)
        assert list(page.transactions) == transactions_of(chain, address)[:4]


async def test_an_operation_is_found_by_its_id_and_applied_once(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=6)
    applied = [one for batch in chain.batches for one in batch.operations]
    assert applied
    found = await started.operations([bytes(32), *(one.operation_id for one in applied), applied[0].operation_id])
    assert sorted(found, key=place_of) == applied
    assert list(await started.operations([])) == []
    batch = chain.grow()
    repeated = FinalisedOperation(
        applied[0].operation, applied[0].operation_id, batch.stored.height, 0, batch.stored.timestamp_ms
    )
    with pytest.raises(ValueError, match=r"operation|UNIQUE|duplicate"):
        await started.finalise(replace(batch, operations=(repeated,)))
    await started.finalise(batch)


@pytest.mark.parametrize("wrong", [{"height": 9}, {"index": 1}, {"timestamp_ms": 5}])
async def test_an_operation_that_is_not_its_batch_s_is_refused(
    started: Storage, chain: MadeUpChain, wrong: dict[str, int]
) -> None:
    batch = chain.grow()
    operation = Transfer(chain.addresses[0], 0, chain.addresses[1], 1, "", bytes(65))
    stored = batch.stored
    right = FinalisedOperation(operation, b"\x07" * 32, stored.height, 0, stored.timestamp_ms)
    with pytest.raises(ValueError, match=r"operations\[0\] is of height"):
        await started.finalise(replace(batch, operations=(replace(right, **wrong),)))  # type: ignore[arg-type]
    await started.finalise(replace(batch, operations=(right,)))


async def test_every_history_is_paged_both_ways_without_gap_or_repeat(started: Storage, chain: MadeUpChain) -> None:
    await grow(started, chain, batches=6, proofs=20)
    proofs = [
        FinalisedProof(proof, receipt)
        for batch in chain.batches
        for proof, receipt in zip(batch.proofs, batch.receipts, strict=True)
    ]
    histories: list[tuple[Callable[..., Awaitable[Sequence[Any]]], list[Any]]] = [
        (started.slashings, [one for batch in chain.batches for one in batch.slashings]),
        (started.validator_changes, [one for batch in chain.batches for one in batch.validator_changes]),
    ]
    for address in chain.addresses[:4]:
        of_account = [one for one in proofs if one.proof.account == address]
        histories.append((partial(started.account_proofs, address), of_account))
    for triangle_id in sorted(chain.triangles)[:8]:
        in_triangle = [one for one in proofs if one.receipt.triangle == triangle_id]
        histories.append((partial(started.triangle_proofs, triangle_id), in_triangle))
    for read, expected in histories:
        assert expected
        newest_first: list[Any] = []
        before: Place | None = None
        while page := await read(before=before, limit=3):
            newest_first.extend(page)
            before = place_in_history(page[-1])
        assert newest_first == expected[::-1]
        oldest_first: list[Any] = []
        after: Place = (0, 0)
        while page := await read(after=after, limit=3):
            oldest_first.extend(page)
            after = place_in_history(page[-1])
        assert oldest_first == expected
        between = [one for one in reversed(expected) if (2, 0) < place_in_history(one) < (5, 1)]
        assert list(await read(before=(5, 1), after=(2, 0), limit=500)) == between
        assert list(await read(before=(5, 1), after=(2, 0), limit=1)) == between[:1]
        assert list(await read(before=(2, 0), after=(5, 1), limit=3)) == []


def place_in_history(entry: Any) -> Place:
    of = entry.receipt if isinstance(entry, FinalisedProof) else entry
    return of.height, of.index


async def test_ranks_follow_the_leaderboard_and_equal_balances_the_address(
    started: Storage, chain: MadeUpChain
) -> None:
    for batches in (0, 2):
        await grow(started, chain, batches)
        expected = sorted(chain.accounts.values(), key=lambda one: (-one.balance_ustep, one.address))
        assert list(await started.leaderboard(limit=500)) == expected
        assert list(await started.leaderboard(limit=3)) == expected[:3]
        for rank, account in enumerate(expected, start=1):
            assert await started.account(account.address) == account
            assert await started.account_rank(account.address) == rank


@pytest.mark.parametrize("limit", [0, -1, PAGE_MAX + 1])
async def test_a_page_outside_its_bounds_is_refused(started: Storage, limit: int) -> None:
    for call in (
        lambda: started.leaderboard(limit=limit),
        lambda: started.batches(1, limit),
        lambda: started.account_proofs(bytes(20), before=None, limit=limit),
        lambda: started.transactions(bytes(20), limit=limit),
        lambda: started.account_page(bytes(20), limit=limit),
        lambda: started.account_proofs(bytes(20), limit=limit),
        lambda: started.triangle_proofs(1, limit=limit),
        lambda: started.validator_changes(limit=limit),
    ):
        with pytest.raises(ValueError, match=f"limit is {limit}: it must be from 1 to {PAGE_MAX}"):
            await call()


async def test_reads_during_writes_see_one_height_whole(started: Storage, chain: MadeUpChain) -> None:
    """Every snapshot is that of some height: its head and its records belong together."""
    batches = [chain.grow() for _ in range(10)]
    keys = chain.all_keys()
    balances = {0: chain.genesis_accounts}
    replay = {account.address: account for account in chain.genesis_accounts}
    for batch in batches:
        replay.update((account.address, account) for account in batch.changes.accounts)
        balances[batch.stored.height] = tuple(replay.values())
    done = trio.Event()

    async def read() -> None:
        while not done.is_set():
            loaded = await started.load(keys)
            found = {account for account in loaded.accounts.values() if account is not None}
            assert found == set(balances[loaded.head.chain.height])
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(read)
        for batch in batches:
            await started.finalise(batch)
        done.set()
    await assert_holds(started, chain)


async def test_a_cancelled_finalise_is_applied_once_when_tried_again(started: Storage, chain: MadeUpChain) -> None:
    for _ in range(3):
        batch = chain.grow()
        with trio.CancelScope() as scope:
            scope.cancel()
            await started.finalise(batch)
        await started.finalise(batch)
    await assert_holds(started, chain)


async def test_a_full_sized_batch_is_stored(started: Storage) -> None:
    big = MadeUpChain(seed=1, accounts=700)
    await grow(started, big, batches=1, proofs=1_000)
    await assert_holds(started, big)
