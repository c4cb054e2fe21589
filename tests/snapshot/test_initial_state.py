"""The file of an initial state: it adds up to what genesis names, or it is refused before anything is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mesh import locate
from step_node.chain.genesis import Genesis
from step_node.ledger.records import Account, LastProof, NonceRecord, Triangle, TriangleState
from step_node.snapshot.initial_state import (
    MAGIC,
    InitialStateError,
    check_initial_state,
    initialise_store,
    read_initial_state,
    write_initial_state,
)
from step_node.storage.interface import NoChain, StoredRecord
from step_node.storage.memory import MemoryStorage
from tests.support.chains import make_genesis
from tests.support.proofs import START_MS, address

LAT, LON = 47.3769, 8.5417
SUBDIVIDED = locate(LAT, LON, 10)
ACCOUNT = Account(b"\1" * 20, 1_000_000, 3, LastProof(START_MS - 90_000, LAT, LON))
NONCE = NonceRecord(b"\1" * 20, "used", START_MS - 90_000)
RECORDS: Sequence[StoredRecord] = (
    ACCOUNT,
    Account(b"\2" * 20, 7),
    Triangle(SUBDIVIDED.integer, 11, TriangleState.SUBDIVIDED),
    *(Triangle(child.integer, 0) for child in sorted(SUBDIVIDED.children)),
    NONCE,
)


def with_state(path: Path, records: Sequence[StoredRecord] = RECORDS, genesis: Genesis | None = None) -> Genesis:
    """The genesis that names a state of these records, which is written to `path`, two a page."""
    with path.open("wb") as file:
        state = write_initial_state(file, [records[start : start + 2] for start in range(0, len(records), 2)])
    return (genesis or make_genesis()).model_copy(update={"initial_state": state})


async def test_the_state_of_height_0_follows_from_genesis_alone_and_is_what_the_store_then_holds(
    tmp_path: Path,
) -> None:
    genesis = with_state(tmp_path / "state", genesis=make_genesis(allocations={"alice": 5}))
    head = genesis.head()
    assert head.chain.balances_ustep == 1_000_012
    assert head.chain.minted_ustep == genesis.supply_ustep == 1_000_012 + head.chain.stakes_ustep
    store = MemoryStorage()
    await initialise_store(store, genesis, tmp_path / "state")
    assert await store.head() == head
    assert (await store.totals()).balances_ustep == head.chain.balances_ustep
    for account in (ACCOUNT, Account(address("alice"), 5)):
        assert await store.account(account.address) == account
    assert await store.triangle(SUBDIVIDED.integer) == RECORDS[2]
    assert (await store.level_counts())[10].subdivided == 1


async def test_the_file_is_needed_only_while_the_store_lacks_the_chain(tmp_path: Path) -> None:
    genesis, store = with_state(tmp_path / "state"), MemoryStorage()
    await initialise_store(store, genesis, tmp_path / "state")
    (tmp_path / "state").unlink()
    await initialise_store(store, genesis, tmp_path / "state")
    with pytest.raises(InitialStateError, match=r"cannot be read.*copy its file there from another node"):
        await initialise_store(MemoryStorage(), genesis, tmp_path / "state")


def test_a_genesis_without_one_has_the_hash_that_it_always_had() -> None:
    text = make_genesis().model_dump_json(exclude_none=True)
    assert "initial_state" not in text


def cut_short(data: bytes) -> bytes:
    return data[:-1]


def a_page_less(data: bytes) -> bytes:
    start = len(MAGIC)
    return MAGIC + data[start + 4 + int.from_bytes(data[start : start + 4], "big") :]


def another_balance(data: bytes) -> bytes:
    # Of the first account: 1,000,000 is 0x000f4240; the page keeps its length.
    assert data.count(bytes.fromhex("ce000f4240")) == 1
    return data.replace(bytes.fromhex("ce000f4240"), bytes.fromhex("ce000f4241"))


def another_nonce(data: bytes) -> bytes:
    return data.replace(b"used", b"free")


def page_twice(data: bytes) -> bytes:
    return data + data[len(MAGIC) :]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (cut_short, "ends within a page"),
        (a_page_less, "accounts: has 0, and genesis says 2"),
        (another_balance, "balances_ustep: has 1000008, and genesis says 1000007"),
        (another_nonce, "do not add up to initial_state.lanes"),
        (page_twice, "must be in order, each once"),
        (lambda data: data + b"\0\0\0\0", "a page must have 1 to"),
        (lambda _data: b"", "must begin with"),
    ],
)
async def test_a_file_that_is_not_the_one_that_genesis_names_is_refused_before_anything_is_stored(
    tmp_path: Path, change: Callable[[bytes], bytes], told: str
) -> None:
    path, store = tmp_path / "state", MemoryStorage()
    genesis = with_state(path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InitialStateError, match=told):
        await initialise_store(store, genesis, path)
    with pytest.raises(NoChain):
        await store.head()


CHILD = min(SUBDIVIDED.children)


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([Account(b"\1" * 19, 1)], "an address has 20 bytes"),
        ([Account(address("alice"), 1)], "has an allocation too"),
        ([replace(ACCOUNT, balance_ustep=-1)], "balance_ustep: must be 0 to"),
        ([replace(ACCOUNT, operations=1)], "operations: no chain has had any"),
        ([replace(ACCOUNT, last_proof=LastProof(START_MS, LAT, LON))], "must not be after the chain begins"),
        ([replace(ACCOUNT, last_proof=LastProof(0, 91.0, LON))], "lat and lon must be degrees"),
        ([replace(ACCOUNT, last_proof=LastProof(0, float("nan"), LON))], "lat and lon must be degrees"),
        ([Triangle(SUBDIVIDED.integer, 11)], "an active triangle of level 10 has 0 to 10"),
        ([Triangle(SUBDIVIDED.integer, 10, TriangleState.SUBDIVIDED)], "that is subdivided has had 11"),
        ([Triangle(CHILD.integer, 1)], "its parent is not subdivided"),
        ([Triangle(SUBDIVIDED.integer, 3), Triangle(CHILD.integer, 1)], "its parent is not subdivided"),
        ([Triangle(31, 1)], "triangle 31: level"),
        ([replace(NONCE, nonce="a b")], "no proof can have such a nonce"),
        ([replace(NONCE, timestamp_ms=START_MS)], "must not be after the chain begins"),
    ],
)
def test_what_no_ledger_could_have_come_to_is_refused_by_name(
    tmp_path: Path, records: list[StoredRecord], told: str
) -> None:
    genesis = make_genesis(allocations={"alice": 5})
    path = tmp_path / "state"
    with path.open("wb") as file:
        file.write(MAGIC)
    state = with_state(path, [replace(ACCOUNT, address=b"\xfe" * 20)]).initial_state
    assert state is not None
    with path.open("wb") as file:
        write_all(file.write, records)
    with pytest.raises(InitialStateError, match=told):
        list(read_initial_state(path, genesis, state))


def write_all(write: Callable[[bytes], int], records: Sequence[StoredRecord]) -> None:
    from step_node.ledger.records import records_bytes

    content = b"".join(records_bytes(records))
    write(MAGIC + len(content).to_bytes(4, "big") + content)


def test_a_state_that_genesis_does_not_name_is_not_taken(tmp_path: Path) -> None:
    with_state(tmp_path / "state")
    with pytest.raises(InitialStateError, match="names no initial state"):
        check_initial_state(tmp_path / "state", make_genesis())
