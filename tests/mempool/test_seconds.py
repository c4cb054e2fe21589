"""The index of waiting proofs by second answers as a sorted list would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from step_node.mempool.seconds import BySecond

timestamps = st.integers(0, 5_000)


@given(st.lists(timestamps, max_size=30), st.data())
def test_what_lies_between_two_times_is_found_at_any_millisecond(at_ms: list[int], data: st.DataObject) -> None:
    index = BySecond()
    there = {number.to_bytes(2, "big"): timestamp_ms for number, timestamp_ms in enumerate(at_ms)}
    for proof_id, timestamp_ms in there.items():
        index.add(proof_id, timestamp_ms)
    for proof_id in data.draw(st.lists(st.sampled_from(sorted(there)), unique=True)) if there else []:
        index.remove(proof_id, there.pop(proof_id))
    first_ms, end_ms = data.draw(timestamps), data.draw(timestamps)
    found = list(index.between(first_ms, end_ms))
    assert sorted(found) == sorted(one for one, timestamp_ms in there.items() if first_ms <= timestamp_ms < end_ms)
    assert [there[one] // 1_000 for one in found] == sorted(there[one] // 1_000 for one in found)
