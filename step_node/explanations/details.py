"""The details of a refusal: a small, closed vocabulary of fields, the same for every code (docs/codes.md).

A gate says what it measured and what it allows, in numbers that it has at hand; what costs more (a distance, a triangle
to try instead) is added where the refusal is told, never where it is decided. A field that says nothing is None, and is
left out of answers. No field holds a secret, and texts that are a client's own are cut short by `shown`.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final, NamedTuple, TypeAlias

from pydantic import TypeAdapter, ValidationError

VALUE_CHARACTERS_SHOWN: Final = 100
"""A value is the client's own text: only its beginning is repeated to it, in ASCII."""

Value: TypeAlias = bool | int | float | str


class TryInstead(NamedTuple):
    """The active triangle that holds the point, to prove in instead: its text form, and its level."""

    triangle_id: str
    level: int


class Details(NamedTuple):
    """See the module's docstring. A tuple, as a frozen dataclass takes five times as long to make.

    Times (`…_ms` that name a moment) are milliseconds since the Unix epoch, and RFC 3339 in answers; the names there
    are these in camelCase, less `_ms` where it is a moment.
    """

    gate: str | None = None
    """Which gate or limit refused; the code's own (`codes.py`) where this is None."""
    field: str | None = None
    """What of the request; the beginning of the message where this is None and it has one."""
    rule: str | None = None
    """What is asked of it; likewise."""
    value: Value | None = None
    """What was measured there."""
    limit: Value | None = None
    """What is allowed."""
    unit: str | None = None
    """Of `value` and `limit`."""
    retryable: bool | None = None
    """Whether the same body may be accepted later; the code's own where this is None."""
    retry_at_ms: int | None = None
    """From when on: the same body if it is retryable, else a new one."""
    try_instead: TryInstead | None = None
    line: str | None = None
    """The canonical line that the node has built of the payload."""
    digest: str | None = None
    """Its EIP-191 digest: 0x and hex digits."""
    recovered: str | None = None
    """The address that the signature is by, over that line; None if it is no signature at all."""
    drift_ms: int | None = None
    """The timestamp less the time that it is judged by: above 0 it is ahead."""
    distance_m: float | None = None
    """From the account's last proof, on the great circle."""
    elapsed_ms: int | None = None
    """Since the account's last proof, by the timestamps of both."""
    last_proof_at_ms: int | None = None
    """The timestamp of that last proof."""
    state: str | None = None
    """Of the triangle, or of the validator."""
    clicks: int | None = None
    """Of the triangle."""
    waiting: int | None = None
    """How many wait already."""
    expected: int | None = None
    """The number that would be right."""
    have: str | None = None
    """STEP, six places."""
    need: str | None = None
    """STEP, six places."""
    allowed: tuple[str, ...] | None = None
    """What there is to choose from."""


_FIELD_AND_RULE: Final = re.compile(r"([^\s:,]{1,60}(?:, [^\s:,]{1,60}){0,3}): (.+)", re.DOTALL)
"""One name, or some with commas between: a sentence with a colon in it has no field."""

NO_DETAILS: Final = Details()

_DETAILS: Final = TypeAdapter(Details)


def details_json(details: Details) -> str:
    """What of `details` says something, as a JSON object: for keeping them."""
    return json.dumps({name: value for name, value in details._asdict().items() if value is not None})


def details_of_json(text: str) -> Details | None:
    """The inverse of `details_json`; None of a text that is not of its form."""
    try:
        return _DETAILS.validate_json(text)
    except ValidationError:
        return None


def shown(value: object) -> Value | None:
    """`value` as details may hold it: numbers and short text as they are, longer ones cut, anything else not at all."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str):
        text = ascii(value[: VALUE_CHARACTERS_SHOWN + 1])[1:-1]
        return text if len(text) <= VALUE_CHARACTERS_SHOWN else f"{text[:VALUE_CHARACTERS_SHOWN]}…"
    return None


def field_and_rule(message: str) -> tuple[str | None, str | None]:
    """The two parts of a message that is written `field: rule`, as all that name a field are; else None and None."""
    found = _FIELD_AND_RULE.fullmatch(message)
    return (None, None) if found is None else (found[1], found[2])
