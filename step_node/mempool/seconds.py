"""Waiting proofs by their own timestamps, in a bucket for each second.

A sorted list would be the same in fewer lines, but letting a proof in moves half of it. What comes in is of the last
minutes, so there are some hundreds of seconds, however many proofs wait; and a range of timestamps is whole buckets but
for those at its two ends, where each timestamp is looked at.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator


class BySecond:
    """See the module's docstring. Ids of proofs, each with its timestamp in milliseconds."""

    def __init__(self) -> None:
        self._buckets: dict[int, dict[bytes, int]] = {}
        """Timestamps by proof id, by second; none is empty."""
        self._seconds: list[int] = []
        """Sorted."""

    def add(self, proof_id: bytes, timestamp_ms: int) -> None:
        """Remember it. It must not be there yet."""
        second = timestamp_ms // 1000
        bucket = self._buckets.get(second)
        if bucket is None:
            bucket = self._buckets[second] = {}
            insort(self._seconds, second)
        bucket[proof_id] = timestamp_ms

    def remove(self, proof_id: bytes, timestamp_ms: int) -> None:
        """Forget it. It must be there, with this timestamp."""
        second = timestamp_ms // 1000
        bucket = self._buckets[second]
        del bucket[proof_id]
        if not bucket:
            del self._buckets[second]
            del self._seconds[bisect_left(self._seconds, second)]

    def between(self, first_ms: int, end_ms: int) -> Iterator[bytes]:
        """The ids with timestamps from `first_ms` to before `end_ms`, by second, and in a second as they came.

        Lazily: no more is looked at than is taken, but for what lies beside the range in its first and last second.
        """
        for second in self._seconds[bisect_left(self._seconds, first_ms // 1000) :]:
            if second * 1000 >= end_ms:
                return
            bucket = self._buckets[second]
            if first_ms <= second * 1000 and second * 1000 + 1000 <= end_ms:
                yield from bucket
            else:
                yield from (proof_id for proof_id, at_ms in bucket.items() if first_ms <= at_ms < end_ms)
