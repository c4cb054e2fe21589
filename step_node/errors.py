"""The three kinds of error (docs/architecture: rule 5), and how a validation error is told to a person."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ValidationError

_SHOWN_MAX = 5
_VALUE_SHOWN_CHARACTERS = 60


class StepNodeError(Exception):
    """An error the operator can act on: the message names the thing and the rule, and says what to do."""

    exit_status: ClassVar[int] = 1
    """With which a command ends that fails so. Those with a status of their own are in docs/operators.md."""


class InvariantBroken(AssertionError):
    """A promise of the program itself does not hold: the node stops at once, loudly, before it does harm."""


def describe_validation_error(error: ValidationError) -> str:
    """`field: rule; field: rule`, naming at most five fields, with the offending value cut short."""
    found = error.errors(include_url=False, include_context=False)
    # A list that only lacks the items refused by themselves is not too short: that would hide the one real error.
    refused_in = {item["loc"][:depth] for item in found for depth in range(len(item["loc"]))}
    items = [item for item in found if item["type"] != "too_short" or item["loc"] not in refused_in]
    lines = []
    for item in items[:_SHOWN_MAX]:
        field = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown key"
        elif item["type"] not in ("missing", "value_error"):
            message += f" (not {_shorten(repr(item['input']))})"
        lines.append(f"{field}: {message}" if field else message)
    hidden = len(items) - len(lines)
    return "; ".join(lines) + (f"; and {hidden} more" if hidden > 0 else "")


def _shorten(text: str) -> str:
    if len(text) <= _VALUE_SHOWN_CHARACTERS:
        return text
    return text[:_VALUE_SHOWN_CHARACTERS] + "…"
