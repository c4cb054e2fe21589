"""Commands that differ in what they begin with, and share how they end, with the options of that.

Typer reads a command's options from its signature, which is put together here: first the command's own, then those of
the ending.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any


def ending_in(ending: Callable[..., None]) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Makes of a function a command that hands what the function returns to `ending`, which has further options."""

    def command_of(begin: Callable[..., Any]) -> Callable[..., None]:
        own = inspect.signature(begin, eval_str=True).parameters
        _, *shared = inspect.signature(ending, eval_str=True).parameters.values()

        @wraps(begin)
        def command(**options: Any) -> None:
            begun = begin(**{name: options.pop(name) for name in own})
            ending(begun, **options)

        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what `inspect.signature` looks for
            [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own.values(), *shared)]
        )
        return command

    return command_of
