"""TOML that somebody else has written, read at a cost that its size bounds.

Python's parser takes gigabytes for a key of some ten thousand parts, and Python's stack for arrays in arrays.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

LINE_DOTS_MAX: Final = 32
"""Dots of one line outside of quotes."""
_STRING: Final = re.compile(r"\"[^\"]*\"|'[^']*'")


class TomlError(ValueError):
    """The text is not TOML, or not such as is read here; the message names the line and the rule."""


def parse_toml(text: str) -> dict[str, Any]:
    """The document. Raises `TomlError`. How long the text may be is the caller's to say."""
    for number, line in enumerate(text.splitlines(), start=1):
        if _STRING.sub("", line).partition("#")[0].count(".") > LINE_DOTS_MAX:
            raise TomlError(f"line {number}: at most {LINE_DOTS_MAX} dots may stand outside of quotes")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(f"is not TOML: {error}") from error
    except RecursionError as error:
        raise TomlError("is nested too deeply") from error
