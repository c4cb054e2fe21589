"""How high a signing history can reach, seen from a chain that may lag behind.

A history says by its height that everything below is decided: one with a height of 2^62 would silence its key for good.
So heights from outside are compared with the chain that is here, which may be far behind, or empty: the others may have
gone on since its head was made, but not faster than a chain can.
"""

from __future__ import annotations

HEIGHTS_PER_SECOND_MAX = 100
"""No chain makes so many: each batch needs several messages from everybody to everybody."""
HEIGHTS_AHEAD_MAX = 1_000
"""What is believed beyond that: clocks differ."""


def believable_height_max(*, head_height: int, head_timestamp_ms: int, now_ms: int) -> int:
    """The highest height that a history of this chain can have reached by `now_ms`.

    The head's timestamp is that of the genesis while the chain is empty. A clock that is behind the head counts as
    being at it.
    """
    elapsed_ms = max(0, now_ms - head_timestamp_ms)
    return head_height + HEIGHTS_AHEAD_MAX + elapsed_ms * HEIGHTS_PER_SECOND_MAX // 1_000
