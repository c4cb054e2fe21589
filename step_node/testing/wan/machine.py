"""One node's machine: a processor that does one thing after another, and a line that carries one byte after another.

Nothing here computes anything: it says when what was asked for is done, and counts for how long it was busy.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

TICK_SECONDS: Final = 0.001
"""Who waits for a processor or a line wakes at the next whole tick, and all who do so together: links are a hundred
times as long, and waking one by one is what a simulated second costs most."""
US_A_SECOND: Final = 1e6
BITS_A_BYTE: Final = 8

At = Callable[[float, Callable[[], None]], None]
"""(when, in trio's seconds; what is to be done then)."""


def next_tick(when: float) -> float:
    """The first whole tick at or after a time, both in trio's seconds."""
    return math.ceil(round(when / TICK_SECONDS, 6)) * TICK_SECONDS


class Processor:
    """One core. What it is given waits until all that it was given before is done."""

    def __init__(self) -> None:
        self._free_at = 0.0
        self.busy_seconds = 0.0
        """All work that it was ever given."""

    def charge(self, work_us: float) -> float:
        """Give it work; when that is done, in trio's seconds."""
        seconds = work_us / US_A_SECOND
        self._free_at = max(self._free_at, trio.current_time()) + seconds
        self.busy_seconds += seconds
        return self._free_at

    async def work(self, work_us: float) -> None:
        """Give it work, and wait until that is done."""
        await trio.sleep_until(next_tick(self.charge(work_us)))

    @property
    def behind_seconds(self) -> float:
        """How long what is given to it now has to wait."""
        return max(0.0, self._free_at - trio.current_time())


@dataclass(frozen=True, slots=True)
class _Parcel:
    receiver: str
    size_bytes: int
    departed: Callable[[], None]


class Uplink:
    """What leaves a machine: one parcel after another at the speed of the line, urgent ones first."""

    def __init__(self, at: At, bits_per_second: float) -> None:
        self._at = at
        self._bytes_per_second = bits_per_second / BITS_A_BYTE
        self._urgent: deque[_Parcel] = deque()
        self._bulk: deque[_Parcel] = deque()
        self._waiting_parcels: Counter[str] = Counter()
        self._waiting_bytes: Counter[str] = Counter()
        self._free_at = 0.0
        self._is_busy = False
        """Whether more waits than has begun to leave."""
        self.sent_bytes = 0

    @property
    def busy_seconds(self) -> float:
        """How long all that was ever sent took."""
        return self.sent_bytes / self._bytes_per_second

    def bulk_for(self, receiver: str) -> tuple[int, int]:
        """How many parcels, and bytes, wait for one receiver that are not urgent."""
        return self._waiting_parcels[receiver], self._waiting_bytes[receiver]

    def send(self, receiver: str, size_bytes: int, departed: Callable[[], None], *, urgent: bool) -> None:
        """Send a parcel; `departed` is called when its last byte has left."""
        parcel = _Parcel(receiver, size_bytes, departed)
        if urgent:
            self._urgent.append(parcel)
        else:
            self._waiting_parcels[receiver] += 1
            self._waiting_bytes[receiver] += size_bytes
            self._bulk.append(parcel)
        if not self._is_busy:
            self._send_on()

    def _send_on(self) -> None:
        """Begin all that can begin within this tick; come back when the line is free again, if more waits."""
        now = trio.current_time()
        self._free_at = max(self._free_at, now)
        while (self._urgent or self._bulk) and self._free_at < now + TICK_SECONDS:
            parcel = self._next()
            self.sent_bytes += parcel.size_bytes
            self._free_at += parcel.size_bytes / self._bytes_per_second
            self._at(self._free_at, parcel.departed)
        self._is_busy = bool(self._urgent or self._bulk)
        if self._is_busy:
            self._at(self._free_at, self._send_on)

    def _next(self) -> _Parcel:
        if self._urgent:
            return self._urgent.popleft()
        parcel = self._bulk.popleft()
        self._waiting_parcels[parcel.receiver] -= 1
        self._waiting_bytes[parcel.receiver] -= parcel.size_bytes
        return parcel


class Downlink:
    """What arrives at a machine, at the speed of the line, in the order in which it comes."""

    def __init__(self, bits_per_second: float) -> None:
        self._bytes_per_second = bits_per_second / BITS_A_BYTE
        self._free_at = 0.0
        self.received_bytes = 0

    @property
    def busy_seconds(self) -> float:
        """How long all that ever arrived took."""
        return self.received_bytes / self._bytes_per_second

    def take(self, size_bytes: int) -> float:
        """Its first byte is here; when its last one is, in trio's seconds."""
        self._free_at = max(self._free_at, trio.current_time()) + size_bytes / self._bytes_per_second
        self.received_bytes += size_bytes
        return self._free_at


@dataclass(frozen=True, slots=True)
class Machine:
    """One node's."""

    name: str
    processor: Processor
    uplink: Uplink
    downlink: Downlink
