"""What records a chain can begin with: those that its ledger could have come to.

An operator trusts whoever made an initial state with its amounts. A triangle with more clicks than there can be, or one
whose parent was never subdivided, is another matter: no ledger could go on from it.
"""

from __future__ import annotations

import math
from typing import Final

from mesh import LEVEL_MAX, TriangleId, TriangleIdError
from step_node.chain.genesis import GenesisPlan
from step_node.chain.initial_state import AMOUNT_USTEP_MAX
from step_node.ledger.records import Account, LastProof, NonceRecord, Record, Triangle, TriangleState
from step_node.ledger.state_gates import clicks_max
from step_node.proofs.timestamps import TIMESTAMP_MIN_MS
from step_node.proofs.wire import NONCE_FORM
from step_node.snapshot.records import InvalidSnapshot
from step_node.storage.interface import StoredRecord

ADDRESS_BYTES: Final = 20
COUNT_MAX: Final = 2**53 - 1
"""An account cannot have had more proofs or operations."""

LATITUDE_MAX: Final = 90.0
LONGITUDE_MAX: Final = 180.0


def impossible_clicks(level: int, clicks: int, state: TriangleState) -> str | None:
    """Why no triangle of `level` can be in `state` after so many clicks, as a rule for people; None if one can."""
    end = clicks_max(level)
    if state is TriangleState.ACTIVE:
        return None if 0 <= clicks < end else f"clicks: an active triangle of level {level} has 0 to {end - 1}"
    if state is TriangleState.SUBDIVIDED and level == LEVEL_MAX:
        return f"state: a triangle of level {LEVEL_MAX} is never subdivided"
    if state is TriangleState.EXHAUSTED and level < LEVEL_MAX:
        return f"state: only a triangle of level {LEVEL_MAX} can be exhausted"
    return None if clicks == end else f"clicks: a triangle that is {state.name.lower()} has had {end}"


def is_place(lat: float, lon: float) -> bool:
    """Whether these are degrees of latitude and longitude."""
    return math.isfinite(lat) and math.isfinite(lon) and abs(lat) <= LATITUDE_MAX and abs(lon) <= LONGITUDE_MAX


class InitialRules:
    """Judges the records of an initial state, in a snapshot's order."""

    def __init__(self, plan: GenesisPlan) -> None:
        self._allocated = {bytes.fromhex(address[2:]) for address in plan.allocations}
        self._seeded_level = plan.parameters.seeded_level
        self._begins_ms = plan.genesis_time_ms
        self._above: list[tuple[TriangleId, TriangleState]] = []
        """Those before a triangle that it may lie in, outermost first: by their order, a parent comes before."""

    def checked(self, record: Record) -> StoredRecord:
        """The record. Raises `InvalidSnapshot`, naming it and the rule, if no chain can begin with it."""
        match record:
            case Account():
                self._check_account(record)
            case Triangle():
                self._check_triangle(record)
            case NonceRecord():
                self._check_nonce(record)
            case _:
                raise InvalidSnapshot("records: an initial state has accounts, triangles and nonces alone")
        return record

    def _check_account(self, account: Account) -> None:
        name = f"account 0x{account.address.hex()}"
        _require(len(account.address) == ADDRESS_BYTES, f"{name}: an address has {ADDRESS_BYTES} bytes")
        _require(
            account.address not in self._allocated,
            f"{name}: has an allocation too; take it out of the plan's allocations",
        )
        _require(
            0 <= account.balance_ustep <= AMOUNT_USTEP_MAX,
            f"{name}: balance_ustep: must be 0 to {AMOUNT_USTEP_MAX}",
        )
        _require(0 <= account.proofs <= COUNT_MAX, f"{name}: proofs: must be 0 to {COUNT_MAX}")
        _require(account.operations == 0, f"{name}: operations: no chain has had any before it begins")
        if account.last_proof is not None:
            self._check_last_proof(name, account.last_proof)

    def _check_last_proof(self, name: str, last: LastProof) -> None:
        _require(is_place(last.lat, last.lon), f"{name}: last_proof: lat and lon must be degrees")
        self._check_time(f"{name}: last_proof", last.timestamp_ms)

    def _check_triangle(self, triangle: Triangle) -> None:
        try:
            place = TriangleId.from_int(triangle.id)
        except TriangleIdError as error:
            raise InvalidSnapshot(f"triangle {triangle.id}: {error}") from error
        impossible = impossible_clicks(place.level, triangle.clicks, triangle.state)
        _require(impossible is None, f"triangle {place.text}: {impossible}")
        while self._above and not self._above[-1][0].is_ancestor_of(place):
            self._above.pop()
        if place.level > self._seeded_level:
            parent = (place.parent, TriangleState.SUBDIVIDED)
            _require(
                bool(self._above) and self._above[-1] == parent,
                f"triangle {place.text}: its parent is not subdivided, so it cannot exist above level"
                f" {self._seeded_level}",
            )
        self._above.append((place, triangle.state))

    def _check_nonce(self, nonce: NonceRecord) -> None:
        name = f"nonce {nonce.nonce[:64]!r} of 0x{nonce.account.hex()}"
        _require(len(nonce.account) == ADDRESS_BYTES, f"{name}: an address has {ADDRESS_BYTES} bytes")
        _require(NONCE_FORM.fullmatch(nonce.nonce) is not None, f"{name}: no proof can have such a nonce")
        self._check_time(name, nonce.timestamp_ms)

    def _check_time(self, name: str, timestamp_ms: int) -> None:
        _require(
            TIMESTAMP_MIN_MS <= timestamp_ms <= self._begins_ms,
            f"{name}: timestamp_ms: must not be after the chain begins, at {self._begins_ms}",
        )


def _require(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise InvalidSnapshot(f"records: {otherwise}")
