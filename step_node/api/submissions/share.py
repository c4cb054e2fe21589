"""From which accounts the intake takes something, while it takes from a share of them.

An account has a place from 0 to 99, by a hash of its address. So it is the same on every node and after every restart:
who is taken in at 10 % is so at 50 %, and nobody gets in by asking another node that has been told the same. Whoever
makes up accounts can make up such as have a place among the first: a share is against load and against what honest
clients would mint while something is looked into, and 0 against everybody.
"""

from __future__ import annotations

import hashlib
from typing import Final

_LABEL: Final = b"STEP-INTAKE-SHARE-v1|"
"""So that the place has nothing to do with what else is made of an address' hash."""


def place_of(account: bytes) -> int:
    """0 to 99, of an account's address."""
    return int.from_bytes(hashlib.sha256(_LABEL + account).digest()[:8], "big") % 100


def is_admitted(account: bytes, percent: int) -> bool:
    """Whether something is taken from it while so many of a hundred accounts are admitted."""
    return place_of(account) < percent
