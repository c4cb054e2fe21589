"""The cursor of a paged history: where the next page begins, opaque to the client.

It is the (height, index) of the last entry of a page, so a page stays the same however many entries are added above
it. Only the node reads it; clients are told to hand it back as it is (docs/clients.md).
"""

from __future__ import annotations

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode

_FORM = struct.Struct(">QI")
_TEXT_CHARACTERS = 16
_HEIGHT_MAX = 2**63 - 1

CURSOR_PATTERN = "^[A-Za-f][A-Za-z0-9_-]{15}$"
"""Every cursor, and nothing else: the first character's highest bit is the height's, which is 0."""

CURSOR_RULE = "must be a cursor that an earlier answer gave"


def encode_cursor(height: int, index: int) -> str:
    """The cursor that stands for the entry at `height` and `index`: 16 characters of URL-safe Base64."""
    return urlsafe_b64encode(_FORM.pack(height, index)).decode()


def decode_cursor(text: str) -> tuple[int, int]:
    """The (height, index) in a cursor. Raises ValueError, its message the rule, for any other text."""
    if len(text) != _TEXT_CHARACTERS or not text.isascii():
        raise ValueError(CURSOR_RULE)
    try:
        packed = urlsafe_b64decode(text)
    except binascii.Error as error:
        raise ValueError(CURSOR_RULE) from error
    # Base64 decoding skips characters that are not of its alphabet.
    if len(packed) != _FORM.size or urlsafe_b64encode(packed).decode() != text:
        raise ValueError(CURSOR_RULE)
    height, index = _FORM.unpack(packed)
    if height > _HEIGHT_MAX:
        raise ValueError(CURSOR_RULE)
    return height, index
