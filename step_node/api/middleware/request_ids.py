"""The id of a request: the client's own, or one of ours; in its answer, and in every line that is logged meanwhile."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Final

REQUEST_ID: Final = "X-Request-Id"

REQUEST_ID_CHARACTERS_MAX: Final = 64
"""A client's id that is longer, or has other characters than these, is none: the node makes one."""

_OWN_BYTES: Final = 8

_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,%d}" % REQUEST_ID_CHARACTERS_MAX)


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The id in the fields of a request (their names in small letters), or a new one."""
    given = [value for name, value in headers if name == b"x-request-id"]
    if len(given) == 1 and _ID.fullmatch(given[0]):
        return given[0].decode("ascii")
    return secrets.token_hex(_OWN_BYTES)
