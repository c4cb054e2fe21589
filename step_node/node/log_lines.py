"""What a line of the log may hold, and how it is written: values cut and on one line, tracebacks plain and short.

Tracebacks name places in the code, and never what variables held: secrets live there. They are taken down where the
error is (cheaply: no file is read, and no frame is kept alive) and made text on the writer's thread.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import islice
from traceback import TracebackException
from typing import Final, Literal, TypeAlias, cast

import structlog
from structlog.typing import EventDict, Processor

VALUE_CHARACTERS_MAX: Final = 1_024
"""Of one value, or of the event; the rest is left out."""
VALUES_MAX: Final = 32
"""Entries of a value that holds others; the rest is left out."""
INTEGER_BITS_MAX: Final = 256
"""A larger number is written in hexadecimal, and cut: Python refuses to write one of thousands of digits otherwise."""
TRACEBACK_CHARACTERS_MAX: Final = 4_000
"""Of a traceback; what is beyond is left out of its middle, since its end says most."""
FRAMES_MAX: Final = 8
"""Of each error in a traceback, the innermost."""
GROUP_WIDTH_MAX: Final = 4
GROUP_DEPTH_MAX: Final = 3
"""Errors of a group, and groups in groups, that a traceback shows."""

_HEAD_CHARACTERS: Final = 1_000

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"


def plain(value: object) -> Value:
    """A copy of `value` that another thread can write at any later time: bounded, and without control characters."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= INTEGER_BITS_MAX else plain_text(hex(value))
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, Mapping):
        return {plain_text(str(key)): plain(one) for key, one in islice(value.items(), VALUES_MAX)}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in islice(value, VALUES_MAX)]
    return plain_text(repr(value))


def plain_text(text: str) -> str:
    """`text` on one line: what a terminal might obey is written as an escape."""
    shown = _escaped(text[:VALUE_CHARACTERS_MAX])
    if max(len(shown), len(text)) <= VALUE_CHARACTERS_MAX:
        return shown
    return f"{shown[:VALUE_CHARACTERS_MAX]}…"


def error_of(exc_info: object) -> BaseException | None:
    """The error that a line is about, in any of the ways of saying so: itself, a tuple with it, or the one at hand."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return error_of(exc_info[1])
    return sys.exc_info()[1] if exc_info else None


def traceback_of(error: BaseException) -> TracebackException:
    """Where it came from, for `traceback_text`."""
    return TracebackException(
        type(error),
        error,
        error.__traceback__,
        limit=-FRAMES_MAX,
        lookup_lines=False,
        capture_locals=False,
        compact=True,
        max_group_width=GROUP_WIDTH_MAX,
        max_group_depth=GROUP_DEPTH_MAX,
    )


def traceback_text(taken: TracebackException) -> str:
    """As Python prints it, at most `TRACEBACK_CHARACTERS_MAX` of it."""
    lines = "".join(taken.format()).rstrip("\n").split("\n")
    text = "\n".join(map(_escaped, lines))
    if len(text) <= TRACEBACK_CHARACTERS_MAX:
        return text
    tail_at = len(text) - (TRACEBACK_CHARACTERS_MAX - _HEAD_CHARACTERS)
    left_out = tail_at - _HEAD_CHARACTERS
    return f"{text[:_HEAD_CHARACTERS]}\n… {left_out:,} characters are left out …\n{text[tail_at:]}"


def renderer(form: Literal["console", "json"], *, is_terminal: bool) -> Processor:
    """Writes an event, whose traceback is text already, as a line."""
    if form == "json":
        return structlog.processors.JSONRenderer()
    # Its own way with tracebacks would show each frame's variables.
    return structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=structlog.dev.plain_traceback)


def rendered(render: Processor, event: EventDict, taken: TracebackException | None) -> bytes:
    """The line of this event, with its end."""
    shown = dict(event)  # A renderer takes out of it what it has written.
    if taken is not None:
        shown["exception"] = traceback_text(taken)
    text = cast(str, render(None, "", shown))
    return f"{text}\n".encode(errors="backslashreplace")


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
