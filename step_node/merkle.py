"""The Merkle tree hash of RFC 6962 §2.1, over SHA-256: leaves and nodes are hashed with different prefixes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

_LEAF = b"\x00"
_NODE = b"\x01"


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The 32-byte root over `leaves` in order; of no leaves, the hash of the empty string.

    RFC 6962 splits n leaves at the largest power of two below n. Pairing neighbours level by level, with an odd last
    node moving up as it is, builds the same tree without recursion.
    """
    if not leaves:
        return hashlib.sha256().digest()
    row = [hashlib.sha256(_LEAF + leaf).digest() for leaf in leaves]
    while len(row) > 1:
        paired = [hashlib.sha256(_NODE + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)]
        if len(row) % 2:
            paired.append(row[-1])
        row = paired
    return row[0]
