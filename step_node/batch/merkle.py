"""The Merkle tree hash of RFC 6962 §2.1, over SHA-256: leaves and nodes are hashed with different prefixes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

_LEAF = b"\x00"
_NODE = b"\x01"

LEFT = b"\x00"
RIGHT = b"\x01"


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


def merkle_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The steps from leaf `index` up to `merkle_root(leaves)`: one byte (0: the sibling is on the left, 1: on the
    right) and the sibling's 32 bytes.

    Raises IndexError if there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    path = []
    row = [hashlib.sha256(_LEAF + leaf).digest() for leaf in leaves]
    while len(row) > 1:
        sibling = index ^ 1
        if sibling < len(row):
            path.append((LEFT if sibling < index else RIGHT) + row[sibling])
        paired = [hashlib.sha256(_NODE + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)]
        if len(row) % 2:
            paired.append(row[-1])
        row, index = paired, index // 2
    return tuple(path)


def root_of_path(leaf: bytes, path: Sequence[bytes]) -> bytes | None:
    """The root that `path` leads to from `leaf`; None if a step is of no form.

    The place of the leaf is not needed: leaves and nodes are hashed with different prefixes, so whatever leads to a
    root is one of its leaves.
    """
    node = hashlib.sha256(_LEAF + leaf).digest()
    for step in path:
        side, sibling = step[:1], step[1:]
        if side not in (LEFT, RIGHT) or len(sibling) != len(node):
            return None
        node = hashlib.sha256(_NODE + (sibling + node if side == LEFT else node + sibling)).digest()
    return node


def inclusion_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The audit path of RFC 6962 §2.1.1: the siblings alone, 32 bytes each, from leaf `index` upwards.

    Raises IndexError if there is no such leaf.
    """
    return tuple(step[1:] for step in merkle_path(leaves, index))


def root_of_inclusion(leaf: bytes, *, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an audit path leads to from the leaf at `index` of `size`; None if it is not as long as it must be.

    RFC 9162 §2.1.3.2: the place decides on which side each sibling stands.
    """
    if index >= size:
        return None
    node, last = hashlib.sha256(_LEAF + leaf).digest(), size - 1
    steps = iter(path)
    while last > 0:
        if index % 2 or index < last:
            sibling = next(steps, None)
            if sibling is None:
                return None
            node = hashlib.sha256(_NODE + (sibling + node if index % 2 else node + sibling)).digest()
        index, last = index // 2, last // 2
    return node if next(steps, None) is None else None
