"""A proof's timestamp: text of one exact form on the outside, milliseconds since the Unix epoch inside.

The form is JavaScript's `Date.prototype.toISOString`, `YYYY-MM-DDTHH:MM:SS.sssZ` (protocol.md §2). Text and number
are one to one, so that the signed line can be built again from the number.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

TIMESTAMP_RULE = "must be a real date and time of the form YYYY-MM-DDTHH:MM:SS.sssZ, in the years 0001 to 9999"

_EPOCH: Final = datetime(1970, 1, 1)
"""Without a time zone: all times here are UTC, and naive ones compute twice as fast."""
_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z")
_MILLISECOND = timedelta(milliseconds=1)

TIMESTAMP_MIN_MS: Final = int(datetime(1, 1, 1, tzinfo=UTC).timestamp()) * 1000
TIMESTAMP_MAX_MS: Final = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()) * 1000 + 999


def parse_timestamp(text: str) -> int:
    """Milliseconds since the Unix epoch. Raises ValueError, its message the rule, for anything but the exact form."""
    if _FORM.fullmatch(text) is None:
        raise ValueError(TIMESTAMP_RULE)
    try:
        moment = datetime.fromisoformat(text[:-1])
    except ValueError as error:
        raise ValueError(TIMESTAMP_RULE) from error
    return (moment - _EPOCH) // _MILLISECOND


def format_timestamp(timestamp_ms: int) -> str:
    """The inverse of `parse_timestamp`. Raises ValueError outside the years 0001 to 9999."""
    if not TIMESTAMP_MIN_MS <= timestamp_ms <= TIMESTAMP_MAX_MS:
        raise ValueError(f"timestamp_ms: must be from {TIMESTAMP_MIN_MS} to {TIMESTAMP_MAX_MS}")
    return (_EPOCH + timestamp_ms * _MILLISECOND).isoformat(timespec="milliseconds") + "Z"
