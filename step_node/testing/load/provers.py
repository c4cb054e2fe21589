"""Pretended people in great number: keys, places and turns that follow from a seed and a number. Pure.

A load needs many accounts: each may prove only once in a moratorium, and a triangle takes few clicks. So each prover
stands still, in a triangle of the lowest seeded level that no other prover of the same seed has, and proves
`PROOFS_PER_PROVER_MAX` times at most, so that a triangle is never used up by its own prover. The triangles are a
permutation of all there are: prover `number` has the one of index (a · number + b) mod their count, with a prime `a`
that does not divide it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from mesh import FACE_COUNT, TriangleId, centroid
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.ledger.state_gates import SUBDIVISION_CLICKS

PROOFS_PER_PROVER_MAX = SUBDIVISION_CLICKS - 1
"""Of one prover in its triangle; a further one would be the click that subdivides it."""

_STRIDE = 2_147_483_647
"""A prime above the count of any level's triangles up to 14, which is 2^k · 5: it divides none of them."""


@dataclass(frozen=True)
class Provers:
    """All provers of one `seed`, in triangles of `level`."""

    seed: bytes
    level: int

    @property
    def count_max(self) -> int:
        """How many there are: as many as triangles of the level."""
        return FACE_COUNT << 2 * (self.level - 1)

    def private_key(self, number: int) -> bytes:
        """The 32-byte key of prover `number`; worthless outside of tests."""
        return hashlib.sha256(b"step load prover|%b|%d" % (self.seed, number)).digest()

    def address(self, number: int) -> bytes:
        """The 20-byte account of prover `number`."""
        return address_of(public_key_of(self.private_key(number)))

    def triangle(self, number: int) -> TriangleId:
        """Where prover `number` stands. Raises ValueError for a number that there is no triangle for."""
        if not 0 <= number < self.count_max:
            raise ValueError(f"prover {number}: there are {self.count_max} triangles of level {self.level}")
        face, path = divmod((_STRIDE * number + self._first) % self.count_max, 4 ** (self.level - 1))
        return TriangleId(face, self.level, path)

    def place(self, number: int) -> tuple[float, float]:
        """Latitude and longitude of prover `number`, degrees, deep inside its triangle."""
        lon, lat = centroid(self.triangle(number))
        return lat, lon

    @cached_property
    def _first(self) -> int:
        return int.from_bytes(hashlib.sha256(b"step load places|" + self.seed).digest()) % self.count_max
