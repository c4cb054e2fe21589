"""A chain executed again: what is so is found so, and what a hand has changed is found and named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pymongo
import pytest

from step_node.economy.verifying.replay import PRUNED_EVERY_BATCHES, Replay
from step_node.economy.verifying.store import StoreWitness
from step_node.economy.verifying.verdict import Verdict, verify
from step_node.ledger import execution
from step_node.ledger.protocol_record import ProtocolRecord
from step_node.ledger.records import Account
from step_node.ledger.rules import Rules, rules_of
from step_node.storage.interface import Storage
from step_node.storage.memory import MemoryStorage
from step_node.storage.open import MongoSettings, open_storage
from tests.snapshot.snapshots import grow
from tests.support.chains import finalise, make_genesis, open_chain
from tests.support.clock import SetClock
from tests.support.mongod import mongodb_uri, new_database_name
from tests.support.proofs import START_MS, address, signed_proof

__all__ = ["mongodb_uri"]

GENESIS = make_genesis(4)
CLOCK = SetClock(START_MS)
HEIGHT = 7


async def verified(storage: Storage, folder: Path, *, last: int = HEIGHT) -> Verdict:
    """The verdict on a store of `GENESIS`."""
    witness, made = StoreWitness(storage), MemoryStorage()
    await made.initialise(GENESIS.hash, GENESIS.head(), GENESIS.accounts())
    claims = await witness.claims(folder)
    replay = await Replay.begin(GENESIS, made, CLOCK)
    return await verify(replay, witness.batches(1, last), claims, last=last, compare=witness.compare)


async def grown() -> MemoryStorage:
    """A store of `HEIGHT` batches."""
    storage = MemoryStorage()
    await grow_in(storage)
    return storage


async def grow_in(storage: Storage) -> None:
    """Finalise `HEIGHT` batches in an empty store, the last one with several clicks in one triangle."""
    chain = await open_chain(GENESIS, storage=storage)
    await grow(chain, HEIGHT - 1)
    await finalise(chain, [signed_proof("alice"), signed_proof("bob")])


def named(verdict: Verdict) -> list[str]:
    """What differs."""
    return [difference.what for difference in verdict.differences]


async def test_a_store_that_is_as_it_was_made_holds(tmp_path: Path) -> None:
    verdict = await verified(await grown(), tmp_path)
    assert verdict.holds
    assert (verdict.head.chain.height, verdict.proofs) == (HEIGHT, HEIGHT + 1)
    assert verdict.compared == {"counts by level": 1, "head records": 1, "records": 1}


async def test_a_changed_balance_is_named_with_what_it_should_be(tmp_path: Path) -> None:
    storage = await grown()
    account = await storage.account(address("alice"))
    assert account is not None
    storage._accounts[address("alice")] = replace(account, balance_ustep=account.balance_ustep + 1)
    storage._accounts[address("mallory")] = Account(address("mallory"), 5)
    verdict = await verified(storage, tmp_path)
    assert not verdict.holds
    assert sorted(named(verdict)) == sorted(
        [f"balance of account 0x{address('alice').hex()}", f"account 0x{address('mallory').hex()}"]
    )
    alice = next(one for one in verdict.differences if one.what.startswith("balance"))
    assert (alice.said, alice.recomputed) == ("0.001954 STEP", "0.001953 STEP")
    assert "said is 0.001954 STEP, and the batches make 0.001953 STEP" in str(alice)


async def test_a_changed_receipt_head_count_or_triangle_is_named(tmp_path: Path) -> None:
    storage = await grown()
    proof_id, entry = next(iter(storage._proofs.items()))
    storage._proofs[proof_id] = replace(entry, receipt=entry.receipt._replace(reward_ustep=7))
    triangle = next(iter(storage._triangles.values()))
    storage._triangles[triangle.id] = replace(triangle, clicks=triangle.clicks + 1)
    storage._level_counts[10].clicks += 1
    head = storage._head
    assert head is not None
    validators = (replace(head.validators[0], stake_ustep=1), *head.validators[1:])
    storage._head = replace(
        head, chain=replace(head.chain, minted_ustep=head.chain.minted_ustep + 1), validators=validators
    )
    verdict = await verified(storage, tmp_path)
    whats = named(verdict)
    assert f"reward in the receipt of proof 0x{proof_id.hex()}" in whats
    assert any(what.startswith("clicks of triangle STEP-TRI") for what in whats), whats
    assert "the head's minted" in whats
    assert f"validator 0x{head.validators[0].address.hex()}'s stake" in whats
    assert [one.height for one in verdict.differences if one.what == "clicks at level 10"] == [HEIGHT]


async def test_a_changed_or_missing_batch_ends_the_replay_there(tmp_path: Path) -> None:
    storage = await grown()
    stored = storage._batches[4]
    whole = stored.batch
    storage._batches[4] = replace(stored, batch=whole[:-1] + bytes([whole[-1] ^ 1]))
    verdict = await verified(storage, tmp_path)
    assert not verdict.holds
    assert verdict.rejected is not None
    assert (verdict.rejected.height, verdict.head.chain.height) == (4, 3)
    other = (await grown_otherwise())._batches[4]
    storage._batches[4] = other  # A batch that is whole, and signed by nobody for this chain's third.
    verdict = await verified(storage, tmp_path)
    assert verdict.rejected is not None
    assert str(verdict.rejected).startswith("batch 4: previous_batch_hash")
    del storage._batches[4]
    verdict = await verified(storage, tmp_path)
    assert str(verdict.rejected) == "batch 4: is missing in the store"


async def grown_otherwise() -> MemoryStorage:
    """Another chain of the same genesis."""
    storage = MemoryStorage()
    chain = await open_chain(GENESIS, storage=storage)
    for height in range(HEIGHT):
        await finalise(chain, [signed_proof(f"carol-{height}")])
    return storage


def generous(protocol: ProtocolRecord) -> Rules:
    """Rules that pay one micro-STEP too much."""
    rules = rules_of(protocol)
    return replace(rules, proof_reward_ustep=lambda level, click: rules.proof_reward_ustep(level, click) + 1)


async def test_a_wrong_reward_that_all_have_signed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "rules_of", generous)
    storage = await grown()
    monkeypatch.undo()
    verdict = await verified(storage, tmp_path)
    assert verdict.rejected is not None
    assert str(verdict.rejected).startswith("batch 1: receipts_root")


async def test_a_fault_of_the_ledger_that_the_replay_shares_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the second writing of the rules, batch by batch, and by the formulas at the end."""
    monkeypatch.setattr(execution, "rules_of", generous)
    verdict = await verified(await grown(), tmp_path)
    assert verdict.rejected is None
    assert (verdict.differences[0].height, verdict.differences[0].what.partition(":")[0]) == (1, "rewards")
    formulas = verdict.differences[-1]
    assert formulas.what == "what proofs were paid, by the formulas"
    assert (formulas.said, formulas.recomputed) == ("0.015632 STEP", "0.015624 STEP")


async def test_the_past_is_let_go_of_while_a_long_chain_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("step_node.economy.verifying.replay.PRUNED_EVERY_BATCHES", 2)
    storage, made = await grown(), MemoryStorage()
    await made.initialise(GENESIS.hash, GENESIS.head(), GENESIS.accounts())
    replay = await Replay.begin(GENESIS, made, CLOCK)
    for stored in await storage.batches(1, HEIGHT):
        await replay.take(stored.batch, stored.commit)
    assert await made.first_height() == 5
    assert len(made._proofs) == len(storage._proofs) - 4
    assert (await made.level_counts()) == (await storage.level_counts())
    assert PRUNED_EVERY_BATCHES > 2


async def test_a_store_in_mongodb_is_verified_too(mongodb_uri: str, tmp_path: Path) -> None:
    settings = MongoSettings(mongodb_uri, new_database_name())
    async with open_storage(settings) as storage:
        await grow_in(storage)
        assert (await verified(storage, tmp_path)).holds
    client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(mongodb_uri)
    with client:
        changed = client[settings.database]["accounts"].update_one(
            {"_id": address("alice")}, {"$inc": {"balance_ustep": 1}}
        )
        assert changed.modified_count == 1
    async with open_storage(settings, only_reads=True) as storage:
        assert named(await verified(storage, tmp_path)) == [f"balance of account 0x{address('alice').hex()}"]
