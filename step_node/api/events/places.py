"""The places of the live feed: a stream may stay for an hour, so there are only so many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from step_node.api.errors import ApiError
from step_node.api.server.limits import EventLimits
from step_node.explanations.details import Details
from step_node.proofs.proof import RefusalCode


class StreamPlaces:
    """How many streams there are, in all and by address. `limits` may change: streams that are open then stay, and one
    more is refused until there are fewer."""

    def __init__(self, limits: EventLimits) -> None:
        self.limits = limits
        self._by_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._by_address.total()

    def refuse_if_full(self, address: str) -> None:
        """Raise `ApiError` unless there is a place for one more."""
        if self._by_address[address] >= self.limits.streams_per_address_max:
            raise ApiError(
                RefusalCode.RATE_LIMITED,
                f"address: has {self.limits.streams_per_address_max} streams of events already; close one, or put"
                " what you want into one filter",
                details=Details(
                    gate="event_streams",
                    value=self._by_address[address],
                    limit=self.limits.streams_per_address_max,
                    unit="streams",
                ),
            )
        if len(self) >= self.limits.streams_max:
            raise ApiError(
                RefusalCode.NOT_READY,
                f"{self.limits.streams_max} streams of events are open, and there is no place for another; try again"
                " later, or another node",
                details=Details(gate="event_streams", value=len(self), limit=self.limits.streams_max, unit="streams"),
            )

    @contextmanager
    def taken(self, address: str) -> Iterator[None]:
        """Surrounds a stream."""
        self._by_address[address] += 1
        try:
            yield
        finally:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
