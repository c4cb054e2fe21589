"""The values that consensus is about: validators, their set with its quorum, and how long each wait lasts.

The quorum. Of N validators f = floor((N-1)/3) may lie, and q = ceil(2N/3) make a quorum. Two things are needed.

- Safety: two quorums share an honest validator, 2q - N > f. Since q >= 2N/3, 2q - N >= N/3 > (N-1)/3 >= f.
- Liveness: the honest alone make a quorum, q <= N - f. Since f <= (N-1)/3, N - f >= (2N+1)/3 > 2N/3, and N - f is an
  integer, so it is at least ceil(2N/3) = q.

Both hold for every N >= 1, not only for N = 3f + 1 (protocol.md §4).
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from consensus.wire import UInt63, wire_type

VALIDATORS_MAX = 100
"""The largest validator set; a larger one is refused. A commit of that many signatures is 11 KB, which
`STRUCTURE_BYTES_MAX` has room for."""

Address = Annotated[bytes, Field(min_length=20, max_length=20)]
"""An Ethereum address: 20 bytes."""
PublicKey = Annotated[bytes, Field(min_length=33, max_length=33)]
"""A compressed secp256k1 key: 33 bytes."""


class TimeoutKind(StrEnum):
    """Which of the three waits of a round: for a proposal, for the pre-votes to settle, for the pre-commits to
    settle."""

    PROPOSER = "PROPOSER"
    PRE_VOTE = "PRE_VOTE"
    PRE_COMMIT = "PRE_COMMIT"


def quorum_of(count: int) -> int:
    """ceil(2N/3): how many of `count` validators decide."""
    return -(-2 * count // 3)


@wire_type
class Validator:
    """One member of the set: its address (20 bytes), compressed key (33 bytes) and stake in µSTEP."""

    address: Address
    public_key: PublicKey
    stake_ustep: UInt63


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """The validators of one height, sorted by address, one vote each. `ValidatorSet.of` sorts.

    Raises: ValueError if the tuple is empty, longer than VALIDATORS_MAX, not sorted, or has an address twice.
    """

    validators: tuple[Validator, ...]
    _addresses: frozenset[bytes] = field(init=False, repr=False, compare=False, hash=False)
    quorum: int = field(init=False, repr=False, compare=False)
    """ceil(2N/3): so many validators decide."""
    faults_max: int = field(init=False, repr=False, compare=False)
    """f = floor((N-1)/3): so many may be faulty."""

    def __post_init__(self) -> None:
        count = len(self.validators)
        if not 1 <= count <= VALIDATORS_MAX:
            raise ValueError(f"validators: there must be 1 to {VALIDATORS_MAX}, not {count}")
        addresses = [validator.address for validator in self.validators]
        for one, following in pairwise(addresses):
            if one == following:
                raise ValueError(f"validators: 0x{one.hex()} is there twice")
            if one > following:
                raise ValueError(f"validators: must be sorted by address, but 0x{following.hex()} comes too late")
        object.__setattr__(self, "_addresses", frozenset(addresses))
        object.__setattr__(self, "quorum", quorum_of(count))
        object.__setattr__(self, "faults_max", (count - 1) // 3)

    @classmethod
    def of(cls, validators: Iterable[Validator]) -> "ValidatorSet":
        """The set of `validators`, given in any order. Raises: ValueError, see the class."""
        return cls(tuple(sorted(validators, key=lambda validator: validator.address)))

    def __len__(self) -> int:
        return len(self.validators)

    def __iter__(self) -> Iterator[Validator]:
        return iter(self.validators)

    def __contains__(self, address: object) -> bool:
        return address in self._addresses

    def proposer(self, height: int, round: int) -> Validator:  # noqa: A002  (the paper's and the protocol's word)
        """The one that proposes at (height, round): index (height + round) mod N (protocol.md §4)."""
        return self.validators[(height + round) % len(self.validators)]

    @property
    def hash(self) -> bytes:
        """SHA-256 over address (20 bytes), key (33), stake (8, big-endian) of each, sorted by address (§4)."""
        digest = hashlib.sha256()
        for validator in self.validators:
            digest.update(validator.address + validator.public_key + validator.stake_ustep.to_bytes(8, "big"))
        return digest.digest()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each wait lasts in round 0, and how much longer in each later round, in milliseconds (protocol.md §4).

    They grow so that, however slow the network turns out to be, some round is long enough (paper, section II).
    Raises: ValueError if one is not a positive integer.
    """

    propose_ms: int = 5_000
    pre_vote_ms: int = 3_000
    pre_commit_ms: int = 2_000
    delta_ms: int = 500

    def __post_init__(self) -> None:
        for name in ("propose_ms", "pre_vote_ms", "pre_commit_ms", "delta_ms"):
            value = getattr(self, name)
            if type(value) is not int or value <= 0:
                raise ValueError(f"{name}: must be a positive whole number of milliseconds, not {value!r}")

    def duration_ms(self, kind: TimeoutKind, round: int) -> int:  # noqa: A002  (the paper's and the protocol's word)
        """How long the wait `kind` lasts in `round`, in milliseconds."""
        first_ms = {
            TimeoutKind.PROPOSER: self.propose_ms,
            TimeoutKind.PRE_VOTE: self.pre_vote_ms,
            TimeoutKind.PRE_COMMIT: self.pre_commit_ms,
        }[kind]
        return first_ms + round * self.delta_ms
