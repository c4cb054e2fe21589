"""A proof's timestamp: text of one exact form on the outside, milliseconds since the Unix epoch inside.

The form is JavaScript's `Date.prototype.toISOString`, `YYYY-MM-DDTHH:MM:SS.sssZ` (protocol.md §2). Text and number
are one to one, so that the signed line can be built again from the number.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

TIMESTAMP_RULE = "must be a real date and time of the form YYYY-MM-DDTHH:MM:SS.sssZ, in the years 0001 to 9999"

_EPOCH: Final = datetime(1970, 1, 1)
"""Without a time zone: all times here are UTC, and naive ones compute twice as fast."""
_SECOND_FORM: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]")
_SECOND_CHARACTERS: Final = len("YYYY-MM-DDTHH:MM:SS")
_REST_FORM: Final = re.compile(r"\.[0-9]{3}Z")
_SECOND: Final = timedelta(seconds=1)

SECONDS_KEPT_MAX: Final = 256
"""Seconds whose text or number is kept, the one used least lately going first: as many as clients' clocks may be off to
either side. Proofs of one moment share them, and the calendar costs more than all else about a timestamp."""

TIMESTAMP_MIN_MS: Final = int(datetime(1, 1, 1, tzinfo=UTC).timestamp()) * 1000
TIMESTAMP_MAX_MS: Final = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()) * 1000 + 999


def parse_timestamp(text: str) -> int:
    """Milliseconds since the Unix epoch. Raises ValueError, its message the rule, for anything but the exact form."""
    rest = text[_SECOND_CHARACTERS:]
    if _REST_FORM.fullmatch(rest) is None:
        raise ValueError(TIMESTAMP_RULE)
    return _parse_second(text[:_SECOND_CHARACTERS]) * 1000 + int(rest[1:4])


@lru_cache(maxsize=SECONDS_KEPT_MAX)
def _parse_second(text: str) -> int:
    if _SECOND_FORM.fullmatch(text) is None:
        raise ValueError(TIMESTAMP_RULE)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(TIMESTAMP_RULE) from error
    return (moment - _EPOCH) // _SECOND


def format_timestamp(timestamp_ms: int) -> str:
    """The inverse of `parse_timestamp`. Raises ValueError outside the years 0001 to 9999."""
    if not TIMESTAMP_MIN_MS <= timestamp_ms <= TIMESTAMP_MAX_MS:
        raise ValueError(f"timestamp_ms: must be from {TIMESTAMP_MIN_MS} to {TIMESTAMP_MAX_MS}")
    seconds, milliseconds = divmod(timestamp_ms, 1000)
    return f"{_format_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=SECONDS_KEPT_MAX)
def _format_second(seconds: int) -> str:
    return (_EPOCH + seconds * _SECOND).isoformat(timespec="seconds")
