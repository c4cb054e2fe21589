"""Proofs of batches as columns."""

from __future__ import annotations

import numpy as np

from step_node.economy.columns import COLUMNS, ProofColumns
from tests.support.chains import finalise, open_chain
from tests.support.proofs import START_MS, address, signed_proof


async def test_a_batch_is_one_row_a_proof_in_its_order_with_what_was_signed_and_the_batchs_height_and_time() -> None:
    proofs = [
        signed_proof("alice", lat=47.3769, lon=8.5417, accuracy_m=5.5, timestamp_ms=START_MS - 7),
        signed_proof("bob", lat=-33.86, lon=151.21, accuracy_m=12.0, timestamp_ms=START_MS - 3),
    ]
    batch = (await finalise(await open_chain(), proofs)).batch
    columns = ProofColumns.of_batch(batch)
    assert len(columns) == 2
    for row, proof in enumerate(batch.proofs):
        assert columns.height[row] == 1
        assert columns.batch_time_ms[row] == batch.header.timestamp_ms
        assert columns.timestamp_ms[row] == proof.timestamp_ms
        assert columns.triangle[row] == proof.triangle.integer
        assert (columns.lat[row], columns.lon[row], columns.accuracy_m[row]) == (proof.lat, proof.lon, proof.accuracy_m)
        assert columns.account[row].tobytes() == proof.account


async def test_accounts_are_told_apart_by_their_first_eight_bytes_as_a_big_endian_number() -> None:
    batch = (await finalise(await open_chain(), [signed_proof("alice")])).batch
    key = ProofColumns.of_batch(batch).account_key
    assert key.dtype == np.uint64
    assert key.tolist() == [int.from_bytes(address("alice")[:8], "big")]
    assert len(ProofColumns.empty().account_key) == 0


async def test_parts_joined_are_all_their_rows_and_a_selection_keeps_its_rows_whole() -> None:
    chain = await open_chain()
    parts = [
        ProofColumns.of_batch((await finalise(chain, [signed_proof(name) for name in names])).batch)
        for names in (("alice", "bob"), ("carol",))
    ]
    joined = ProofColumns.joined([ProofColumns.empty(), *parts])
    assert joined.height.tolist() == [1, 1, 2]
    assert len(ProofColumns.joined([])) == 0
    for selected in (joined.rows(joined.height == 2), joined.rows(slice(2, None))):
        for column in COLUMNS:
            assert np.array_equal(getattr(selected, column), getattr(parts[1], column))
            assert getattr(joined, column).dtype == getattr(ProofColumns.empty(), column).dtype
