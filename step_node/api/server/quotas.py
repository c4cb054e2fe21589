"""How many submissions a minute each address may make, and each account: what a client can count by.

A quota refills evenly. What it holds of one key is a single instant, at which its quota is whole again: taking moves it
on, time lets it lie in the past, and then the key need not be remembered. The costs (`visitors`) are what protects the
node; this is what a fair share of submissions is, told in the `RateLimit` fields of
draft-ietf-httpapi-ratelimit-headers-11.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

import trio

WINDOW_SECONDS: Final = 60

KEYS_MAX: Final = 16_384
"""Keys whose use is remembered; beyond, the one that submitted the longest ago has a whole quota again."""

POLICY_NAME: Final = "submissions"
"""What the `RateLimit` fields call the quota of an address."""


class Quotas:
    """The quotas of all keys: `limit` in `WINDOW_SECONDS`, 0 for no bound. To be used from the event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._whole_at: OrderedDict[Hashable, float] = OrderedDict()
        """Who took last at the end."""

    def __len__(self) -> int:
        return len(self._whole_at)

    def take(self, key: Hashable, number: int) -> int:
        """So many, as far as there are: how many have been taken."""
        if not self.limit:
            return number
        granted = min(number, self.remaining(key))
        if granted:
            self._move(key, granted)
        return granted

    def give_back(self, key: Hashable, number: int) -> None:
        """Undo a part of what `take` gave."""
        if self.limit and number and key in self._whole_at:
            self._move(key, -number)

    def remaining(self, key: Hashable) -> int:
        """How many may be taken now."""
        return self.limit - math.ceil(round(self._whole_in_seconds(key) * self.limit / WINDOW_SECONDS, 6))

    def whole_in_seconds(self, key: Hashable) -> int:
        """When the quota is whole again, if nothing more is taken."""
        return math.ceil(self._whole_in_seconds(key))

    def retry_seconds(self, key: Hashable) -> int:
        """In how many seconds there is one; 0 if there is."""
        if not self.limit or self.remaining(key):
            return 0
        per_one = WINDOW_SECONDS / self.limit
        return max(1, math.ceil(self._whole_in_seconds(key) - (WINDOW_SECONDS - per_one)))

    def _whole_in_seconds(self, key: Hashable) -> float:
        return max(0.0, self._whole_at.get(key, -math.inf) - trio.current_time())

    def _move(self, key: Hashable, number: int) -> None:
        now = trio.current_time()
        self._whole_at[key] = max(now, self._whole_at.get(key, now)) + number * WINDOW_SECONDS / self.limit
        self._whole_at.move_to_end(key)
        if len(self._whole_at) > KEYS_MAX:
            self._whole_at.popitem(last=False)


class AddressQuota:
    """What one request may take of its address' quota; `fields` tell of it, once something has been asked for."""

    def __init__(self, quotas: Quotas, address: str | None) -> None:
        self._quotas = quotas
        self._address = address
        self._is_asked = False

    @property
    def limit(self) -> int:
        """In a minute."""
        return self._quotas.limit

    def take(self, number: int) -> int:
        """So many submissions, as far as the quota goes: how many."""
        self._is_asked = self._quotas.limit > 0
        return self._quotas.take(self._address, number)

    def give_back(self, number: int) -> None:
        """So many were repeated, and count once."""
        self._quotas.give_back(self._address, number)

    def retry_seconds(self) -> int:
        """In how many seconds there is one more; 0 if there is."""
        return self._quotas.retry_seconds(self._address)

    def fields(self) -> list[tuple[bytes, bytes]]:
        """`RateLimit-Policy` and `RateLimit`, as structured fields (RFC 9651)."""
        if not self._is_asked:
            return []
        remaining = self._quotas.remaining(self._address)
        whole_in = self._quotas.whole_in_seconds(self._address)
        return [
            (b"ratelimit-policy", f'"{POLICY_NAME}";q={self.limit};w={WINDOW_SECONDS}'.encode()),
            (b"ratelimit", f'"{POLICY_NAME}";r={remaining};t={whole_in}'.encode()),
        ]
