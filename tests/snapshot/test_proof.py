"""A snapshot is taken for what the chain has committed to, or refused: whatever byte of it is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from consensus.wire import WireError, decode, encode
from step_node.ledger.records import Account, record_bytes
from step_node.snapshot.chunks import ChunkWriter
from step_node.snapshot.manifest import (
    MANIFEST_BYTES_MAX,
    SnapshotManifest,
    UnprovenSnapshot,
    chunk_hash,
)
from step_node.snapshot.records import InvalidSnapshot, read_records
from tests.snapshot.snapshots import Snapshot, small_snapshot, snapshot_at, verified
from tests.support.chains import finalise, make_genesis, open_chain
from tests.support.proofs import signed_proof

GENESIS = make_genesis(4, allocations={"alice": 5})
HEIGHT = 4


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return trio.run(lambda: small_snapshot(GENESIS, HEIGHT, chunk_bytes=600))[1]


def with_chunks(snapshot: Snapshot, *chunks: bytes, records: int | None = None) -> Snapshot:
    """A liar's: other chunks, and a list of hashes that fits them."""
    index = snapshot.manifest.snapshot
    count = sum(len(read_records(chunk, None)[0]) for chunk in chunks) if records is None else records
    changed = replace(index, chunks=tuple(map(chunk_hash, chunks)), records=count)
    return Snapshot(replace(snapshot.manifest, snapshot=changed), chunks)


async def test_the_state_of_a_snapshot_is_that_of_the_chain() -> None:
    chain = await open_chain(GENESIS)
    for index in range(3):
        await finalise(chain, [signed_proof(f"walker-{index}", lat=float(index))])
    head = chain.head
    taken = await snapshot_at(chain, chunk_bytes=600)
    assert verified(GENESIS, taken.manifest, taken.chunks) == head


async def test_all_nodes_take_the_same_snapshot(snapshot: Snapshot) -> None:
    again = (await small_snapshot(GENESIS, HEIGHT, chunk_bytes=600))[1]
    assert again.chunks == snapshot.chunks
    assert len(snapshot.chunks) > 2
    assert all(len(chunk) <= 600 for chunk in snapshot.chunks[1:])


@given(st.data())
def test_a_wrong_byte_in_the_manifest_is_found(snapshot: Snapshot, data: st.DataObject) -> None:
    encoded = bytearray(encode(snapshot.manifest))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises((WireError, InvalidSnapshot, UnprovenSnapshot)):
        verified(GENESIS, decode(SnapshotManifest, bytes(encoded), bytes_max=MANIFEST_BYTES_MAX), snapshot.chunks)


@given(st.data())
def test_a_wrong_byte_in_a_chunk_is_found(snapshot: Snapshot, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(snapshot.chunks) - 1))
    changed = bytearray(snapshot.chunks[number])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    chunks = list(snapshot.chunks)
    chunks[number] = bytes(changed)
    with pytest.raises(InvalidSnapshot, match=f"chunk {number}: is not the one"):
        verified(GENESIS, snapshot.manifest, chunks)
    # A liar lists its hash.
    liars = with_chunks(snapshot, *chunks, records=snapshot.manifest.snapshot.records)
    with pytest.raises(InvalidSnapshot):
        verified(GENESIS, liars.manifest, liars.chunks)


def test_a_record_more_or_less_is_found(snapshot: Snapshot) -> None:
    whole = b"".join(snapshot.chunks)
    last = whole.rindex(record_bytes(read_records(whole, None)[0][-1]))
    forged = record_bytes(Account(b"\x00" * 20, balance_ustep=10**12))
    first_account = next(i for i, one in enumerate(read_records(whole, None)[0]) if isinstance(one, Account))
    before = sum(map(len, read_records(whole, None)[1][:first_account]))
    for chunks in ([whole[:last]], [whole[:before] + forged + whole[before:]], [whole[:before], whole[before:last]]):
        liars = with_chunks(snapshot, *chunks)
        with pytest.raises(InvalidSnapshot, match="do not add up"):
            verified(GENESIS, liars.manifest, liars.chunks)


def test_a_forged_record_cannot_hide_by_standing_there_65536_times(snapshot: Snapshot) -> None:
    """The sum of its lanes is nothing modulo 2^16."""
    whole = b"".join(snapshot.chunks)
    place = read_records(whole, None)[2]
    assert place is not None
    forged = record_bytes(Account(b"\x00" * 20, balance_ustep=10**12))
    records, encoded, _ = read_records(whole, None)
    first_account = next(i for i, one in enumerate(records) if isinstance(one, Account))
    head, rest = b"".join(encoded[:first_account]), b"".join(encoded[first_account:])
    liars = with_chunks(snapshot, head, forged * 65_536 + rest, records=len(records) + 65_536)
    with pytest.raises(InvalidSnapshot, match="in order, each once"):
        verified(GENESIS, liars.manifest, liars.chunks)


def test_chunks_that_are_missing_or_in_another_order_are_found(snapshot: Snapshot) -> None:
    with pytest.raises(InvalidSnapshot, match="not as many"):
        verified(GENESIS, snapshot.manifest, snapshot.chunks[:-1])
    liars = with_chunks(snapshot, *reversed(snapshot.chunks))
    with pytest.raises(InvalidSnapshot, match="in order"):
        verified(GENESIS, liars.manifest, liars.chunks)
    liars = with_chunks(snapshot, *snapshot.chunks[1:])
    with pytest.raises(InvalidSnapshot, match="do not add up"):
        verified(GENESIS, liars.manifest, liars.chunks)


async def test_a_proof_of_another_batch_proves_nothing(snapshot: Snapshot) -> None:
    other = (await small_snapshot(GENESIS, HEIGHT + 1, chunk_bytes=600))[1].manifest
    good = snapshot.manifest
    three = tuple(good.next_commit.signatures[:3])
    bad: dict[str, SnapshotManifest] = {
        "next_header.height": replace(good, next_header=other.next_header, next_commit=other.next_commit),
        "height": replace(good, snapshot=replace(good.snapshot, height=HEIGHT + 1)),
        "quorum": replace(good, next_commit=replace(good.next_commit, signatures=three[:2])),
        f"commit of height {HEIGHT + 1}": replace(good, next_commit=good.snapshot.base_commit),
        f"commit of height {HEIGHT}": replace(good, snapshot=replace(good.snapshot, base_commit=good.next_commit)),
        "next_header.previous_batch_hash": (
            replace(good, snapshot=replace(other.snapshot, height=HEIGHT), next_header=good.next_header)
            and replace(good, next_header=replace(good.next_header, previous_batch_hash=bytes(32)))
        ),
        "batch_hash": replace(good, next_header=replace(good.next_header, state_root=bytes(32))),
    }
    for message, manifest in bad.items():
        with pytest.raises(InvalidSnapshot, match=message):
            verified(GENESIS, manifest, snapshot.chunks)
    # A quorum is enough.
    verified(GENESIS, replace(good, next_commit=replace(good.next_commit, signatures=three)), snapshot.chunks)


async def test_the_validators_of_another_chain_prove_nothing() -> None:
    """A liar's whole chain, good in itself, under the same name."""
    foreign = make_genesis(7)
    theirs = (await small_snapshot(foreign, HEIGHT, chunk_bytes=600))[1]
    assert verified(foreign, theirs.manifest, theirs.chunks)
    with pytest.raises(UnprovenSnapshot, match="nothing leads from genesis"):
        verified(GENESIS, theirs.manifest, theirs.chunks)
    claimed = replace(theirs.manifest.next_header, validator_set_hash=GENESIS_SET_HASH)
    with pytest.raises((InvalidSnapshot, UnprovenSnapshot)):
        verified(GENESIS, replace(theirs.manifest, next_header=claimed), theirs.chunks)


GENESIS_SET_HASH = trio.run(lambda: open_chain(GENESIS)).validators.hash


async def test_a_store_whose_records_have_been_changed_gives_no_snapshot() -> None:
    chain = await open_chain(GENESIS)
    await finalise(chain, [signed_proof("alice")])
    chain.storage._accounts[bytes(20)] = Account(bytes(20), 1)  # type: ignore[attr-defined]  # from outside
    writer = ChunkWriter(lambda _number, _chunk: None)
    await chain.storage.export(writer)
    with pytest.raises(InvalidSnapshot, match="store's records do not add up"):
        writer.finish()
