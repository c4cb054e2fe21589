"""Numbers on the command line, as strictly as in a request: Python would take `4_7` for 47."""

from __future__ import annotations

import typer


def plain_float(text: str | float) -> float:
    """A number in plain digits (or `nan`, `inf`: whoever asks for one says what it may be). A default is let be."""
    try:
        return text if isinstance(text, float) else float(_plain(text))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number in plain digits") from None


def plain_int(text: str) -> int:
    """An integer in plain digits."""
    try:
        return int(_plain(text))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an integer in plain digits") from None


def _plain(text: str) -> str:
    if "_" in text or not text.isascii() or text.strip() != text:
        raise ValueError(text)
    return text
