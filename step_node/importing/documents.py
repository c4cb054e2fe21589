"""Documents of the old database, read strictly: what a field holds, or which rule it breaks. Pure.

Whoever wrote the database is trusted with nothing: a document may have any field of any type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias, TypeGuard

import numpy as np

from mesh import TriangleId, TriangleIdError, contains_array
from step_node.chain.initial_state import AMOUNT_USTEP_MAX
from step_node.importing.report import Kind, Unusable, cut
from step_node.ledger.records import TriangleState
from step_node.proofs.timestamps import parse_timestamp
from step_node.proofs.wire import NONCE_FORM
from step_node.snapshot.initial_rules import impossible_clicks, is_place

Document: TypeAlias = Mapping[str, Any]

CHILDREN: Final = 4
_ADDRESS: Final = re.compile("0x[0-9a-fA-F]{40}")
_AMOUNT: Final = re.compile("0|[1-9][0-9]{0,15}", re.ASCII)
_AMOUNT_RULE: Final = f"must be whole micro-STEP in a string of digits, 0 to {AMOUNT_USTEP_MAX}"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STATES: Final = {state.name.lower(): state for state in TriangleState}


@dataclass(frozen=True, slots=True)
class OldAccount:
    """An account: 20 bytes, and what it holds."""

    address: bytes
    balance_ustep: int


@dataclass(frozen=True, slots=True)
class OldTriangle:
    """A triangle whose id names it, with clicks and a state that go together."""

    place: TriangleId
    clicks: int
    state: TriangleState


@dataclass(frozen=True, slots=True)
class OldEvent:
    """A click. `triangle` is what it names, if it does, and `made_up` why that is no triangle of the mesh;
    `reward_ustep` is None where that cannot be read."""

    account: bytes
    nonce: str
    timestamp_ms: int
    lat: float
    lon: float
    triangle: TriangleId | None
    made_up: str | None
    reward_ustep: int | None


def are_outside(events: Sequence[OldEvent]) -> list[bool]:
    """Of each event, whether it names a triangle that does not hold its position. At once: one by one takes longer than
    all the rest of an import."""
    placed = [one for one in events if one.triangle is not None]
    inside = contains_array(
        np.array([one.triangle.integer for one in placed if one.triangle is not None], dtype=np.int64),
        np.array([one.lat for one in placed], dtype=np.float64),
        np.array([one.lon for one in placed], dtype=np.float64),
    )
    answers = iter(inside.tolist())
    return [one.triangle is not None and not next(answers) for one in events]


def read_account(document: Document) -> OldAccount:
    """Raises `Unusable`."""
    kind = Kind.ACCOUNT_UNREADABLE
    return OldAccount(
        address=_address(document.get("_id"), kind, "_id"),
        balance_ustep=_amount(document.get("balance"), kind, "balance"),
    )


def read_triangle(document: Document) -> OldTriangle:
    """Raises `Unusable`: `TRIANGLE_MADE_UP` if the id does not name a triangle of the mesh, or another level's."""
    place = _triangle_id(document.get("_id"), Kind.TRIANGLE_MADE_UP, "_id")
    level, state = document.get("level"), document.get("state")
    if not _is_integer(level) or level != place.level:
        raise Unusable(Kind.TRIANGLE_MADE_UP, "level", f"must be {place.level}, that of the id, not {cut(level)!r}")
    clicks = document.get("clicks")
    if not _is_integer(clicks) or clicks not in range(AMOUNT_USTEP_MAX):
        raise Unusable(Kind.TRIANGLE_IMPOSSIBLE, "clicks", f"must be a whole number from 0 on, not {cut(clicks)!r}")
    if not isinstance(state, str) or state not in _STATES:
        raise Unusable(Kind.TRIANGLE_IMPOSSIBLE, "state", f"must be one of {', '.join(_STATES)}, not {cut(state)!r}")
    triangle = OldTriangle(place, int(clicks), _STATES[state])
    impossible = impossible_clicks(place.level, triangle.clicks, triangle.state)
    if impossible is not None:
        field, _, rule = impossible.partition(": ")
        raise Unusable(Kind.TRIANGLE_IMPOSSIBLE, field, f"{rule} (it has {triangle.clicks} clicks, and is {state})")
    return triangle


def remarks_about(document: Document, triangle: OldTriangle) -> Iterator[Unusable]:
    """What is wrong with fields of a triangle that the chain does not take over."""
    children = document.get("childrenIds") or []
    is_subdivided = triangle.state is TriangleState.SUBDIVIDED
    wanted = {child.text for child in triangle.place.children} if is_subdivided else set()
    if not isinstance(children, list) or len(children) > CHILDREN or not all(isinstance(one, str) for one in children):
        yield Unusable(Kind.CHILDREN_DIFFER, "childrenIds", f"must be a list of at most {CHILDREN} ids")
    elif set(children) != wanted or len(children) != len(wanted):
        made_up = sorted(set(children) - wanted)
        named = f"{cut(made_up[0])} is none of them" if made_up else f"has {len(children)} ids"
        rule = "must be the mesh's four children of this triangle" if wanted else "must be empty until it is subdivided"
        yield Unusable(Kind.CHILDREN_DIFFER, "childrenIds", f"{rule}: {named}")
    last_click = document.get("lastClickAt")
    if last_click is not None:
        try:
            _time(last_click, Kind.LAST_CLICK_UNREADABLE, "lastClickAt")
        except Unusable as unusable:
            yield unusable


def read_event(document: Document) -> OldEvent:
    """Raises `Unusable`."""
    kind = Kind.EVENT_UNREADABLE
    payload = document.get("payload")
    if not isinstance(payload, Mapping):
        raise Unusable(kind, "payload", "must be an object with lat and lon")
    nonce = document.get("nonce")
    if not isinstance(nonce, str) or NONCE_FORM.fullmatch(nonce) is None:
        raise Unusable(kind, "nonce", f"must be 1 to 64 of A-Z a-z 0-9 . _ -, not {cut(nonce)!r}")
    lat, lon = (_degrees(payload.get(name), f"payload.{name}") for name in ("lat", "lon"))
    if not is_place(lat, lon):
        raise Unusable(kind, "payload.lat, payload.lon", f"must be degrees of latitude and longitude, not {lat}, {lon}")
    triangle, made_up = _named_triangle(document.get("triangleId"))
    return OldEvent(
        account=_address(document.get("account"), kind, "account"),
        nonce=nonce,
        timestamp_ms=_time(document.get("timestamp"), kind, "timestamp"),
        lat=lat,
        lon=lon,
        triangle=triangle,
        made_up=made_up,
        reward_ustep=_reward(payload.get("reward")),
    )


def _named_triangle(value: object) -> tuple[TriangleId | None, str | None]:
    if value is None:
        return None, None
    try:
        return _triangle_id(value, Kind.TRIANGLE_MADE_UP, "triangleId"), None
    except Unusable as unusable:
        return None, unusable.rule


def _reward(value: object) -> int | None:
    if _is_integer(value) and 0 <= value <= AMOUNT_USTEP_MAX:
        return int(value)
    try:
        return _amount(value, Kind.REWARD_UNREADABLE, "payload.reward")
    except Unusable:
        return None


def _address(value: object, kind: Kind, field: str) -> bytes:
    if not isinstance(value, str) or _ADDRESS.fullmatch(value) is None:
        raise Unusable(kind, field, f"must be an address, 0x and 40 hex digits, not {cut(value)!r}")
    return bytes.fromhex(value[2:])


def _amount(value: object, kind: Kind, field: str) -> int:
    if not isinstance(value, str) or _AMOUNT.fullmatch(value) is None or int(value) > AMOUNT_USTEP_MAX:
        raise Unusable(kind, field, f"{_AMOUNT_RULE}, not {cut(value)!r}")
    return int(value)


def _triangle_id(value: object, kind: Kind, field: str) -> TriangleId:
    if not isinstance(value, str):
        raise Unusable(kind, field, f"must be a triangle's id, not {cut(value)!r}")
    try:
        return TriangleId.parse(value)
    except TriangleIdError as error:
        raise Unusable(kind, field, str(error)) from error


def _degrees(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unusable(Kind.EVENT_UNREADABLE, field, f"must be a number of degrees, not {cut(value)!r}")
    try:
        return float(value)
    except OverflowError as error:
        raise Unusable(Kind.EVENT_UNREADABLE, field, "must be a number of degrees") from error


def _time(value: object, kind: Kind, field: str) -> int:
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return (aware - _EPOCH) // timedelta(milliseconds=1)
    if isinstance(value, str):
        try:
            return parse_timestamp(value)
        except ValueError as error:
            raise Unusable(kind, field, f"{error}, not {cut(value)!r}") from error
    raise Unusable(kind, field, f"must be a date of MongoDB, or text like 2026-12-01T12:00:00.000Z, not {cut(value)!r}")


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
