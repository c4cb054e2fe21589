"""The three kinds of error (ARCHITECTURE.md, rule 4), and how a validation error is told to a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from pydantic import ValidationError

_SHOWN_MAX = 5
_VALUE_SHOWN_CHARACTERS = 60

PATTERN_RULES: Final = {
    "^0x[0-9a-fA-F]{40}$": "must be 0x and 40 hex digits",
    "^0x[0-9a-f]{40}$": "must be 0x and 40 lower-case hex digits",
    "^(0x)?[0-9a-fA-F]{40}$": "must be 40 hex digits",
    "^0x[0-9a-fA-F]{64}$": "must be 0x and 64 hex digits",
    "^(0x)?[0-9a-fA-F]{64}$": "must be 64 hex digits",
    "^(0x)?[0-9a-fA-F]{32}$": "must be 32 hex digits",
    "^(0x)?([0-9a-fA-F]{2}){1,64}$": "must be 1 to 64 bytes as hex digits",
    "^0x[0-9a-f]{4096}$": "must be 0x and 4096 lower-case hex digits",
    "^0x[0-9a-f]{64}$": "must be 0x and 64 lower-case hex digits",
    "^(0|[1-9][0-9]{0,18})$": "must be a whole number as text, of at most 19 digits",
    "^0x([0-9a-f]{2})*$": "must be 0x and two lower-case hex digits for each byte",
    "^0x0[23][0-9a-f]{64}$": "must be a compressed public key: 0x02 or 0x03 and 64 lower-case hex digits",
    "^[a-z0-9][a-z0-9-]{0,62}$": "must be 1 to 63 of a-z 0-9 -, and not begin with -",
    r"^(\*|https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?)$": (
        'must be an origin as browsers write it, as "https://app.example" or "http://192.0.2.1:8080", or "*" for all'
    ),
    "^https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?$": (
        'must be where a node is asked, without a path, as "https://node.example", and by no address of IPv6'
    ),
    "^(https|wss)://[a-z0-9.-]{1,253}(:[0-9]{1,5})?$": (
        'must be an origin over TLS, without a path, as "wss://relay.example" or "https://relay.example"'
    ),
    "^0x0[23][0-9a-fA-F]{64}$": "must be a compressed public key: 0x02 or 0x03 and 64 hex digits",
    "^0x[0-9a-fA-F]{130}$": "must be a signature: 0x and 130 hex digits",
    "^(0x)?([0-9a-fA-F]{2}){1,32}$": "must be 1 to 32 bytes as hex digits",
    "^(0|[1-9][0-9]{0,12})(\\.[0-9]{1,6})?$": "must be an amount of STEP with at most 6 decimals, such as 100000.5",
    "^(0|[1-9][0-9]{0,11})\\.[0-9]{6}$": "must be an amount of STEP with exactly 6 decimals, no needless zero in front",
    "^[0-9]+\\.[0-9]{6}$": "must be an amount of STEP with 6 decimals",
    "^https?://[^@ ]+$": "must be http:// or https:// and an address, with no user in it",
    "^/[A-Za-z0-9/._:%-]{1,255}$": "must be a multiaddr: / and 1 to 255 of A-Z a-z 0-9 / . _ : % -",
    "^[A-Za-z0-9]{1,128}$": "must be a peer id: 1 to 128 of A-Z a-z 0-9",
    "^[A-Za-z0-9_-]{1,63}$": "must be 1 to 63 of A-Z a-z 0-9 _ -",
    "^[A-Za-z0-9._-]{1,64}$": "must be 1 to 64 of A-Z a-z 0-9 . _ -",
    "^[A-Za-z0-9.+_-]{1,32}$": "must be 1 to 32 of A-Z a-z 0-9 . + _ -",
    "^[a-z0-9_]+(/[A-Za-z0-9_.-]+){0,3}$": "must be the path of a file of a backup, as batches/000000000001.gz",
    "^[A-Za-z0-9.+_-]{0,32}$": "must be at most 32 of A-Z a-z 0-9 . + _ -",
    "^[a-z0-9-]{1,40}$": "must be 1 to 40 of a-z 0-9 -",
    "^STEP-TRI-v1:[A-T](?:[1-9]|1[0-9]|2[01])-[0-3]{20}-[A-Z2-7]{3}$": "must be a triangle's text form,"
    " STEP-TRI-v1:{face A to T}{level}-{20 digits 0 to 3}-{checksum}",
    r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$": "must be a time such as 2026-01-31T12:00:00.000Z",
}
"""What the patterns of validated text mean, for people. Each pattern has a line here."""


class StepNodeError(Exception):
    """An error the operator can act on: the message names the thing and the rule, and says what to do."""

    exit_status: ClassVar[int] = 1
    """With which a command ends that fails so. Those with a status of their own are in docs/operators.md."""


class InvariantBroken(AssertionError):
    """A promise of the program itself does not hold: the node stops at once, loudly, before it does harm."""


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The errors that a nursery's group holds, however deep."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


def foreseen(error: StepNodeError | BaseExceptionGroup) -> list[StepNodeError]:
    """The errors of a run that people are told of, each by itself. Raises `error` if there is another one in it."""
    if isinstance(error, StepNodeError):
        return [error]
    known, others = error.split(StepNodeError)
    if known is None or others is not None:
        raise error
    return [leaf for leaf in leaves(known) if isinstance(leaf, StepNodeError)]


def describe_validation_error(error: ValidationError) -> str:
    """`field: rule; field: rule`, naming at most five fields, with the offending value cut short."""
    rules = broken_rules(error)
    lines = [f"{field}: {rule}" if field else rule for field, rule in rules[:_SHOWN_MAX]]
    hidden = len(rules) - len(lines)
    return "; ".join(lines) + (f"; and {hidden} more" if hidden > 0 else "")


def broken_rules(
    error: ValidationError, *, path: tuple[str, ...] = (), hides_values: bool = False
) -> list[tuple[str, str]]:
    """Each field's name, below `path`, and its rule with the offending value cut short, unless `hides_values`."""
    found = error.errors(include_url=False)
    # A list that only lacks the items refused by themselves is not too short: that would hide the one real error.
    refused_in = {item["loc"][:depth] for item in found for depth in range(len(item["loc"]))}
    rules = []
    for item in found:
        if item["type"] == "too_short" and item["loc"] in refused_in:
            continue
        rule = rule_of(item)
        if item["type"] == "extra_forbidden":
            rule = "unknown key"
        elif item["type"] not in ("missing", "value_error") and not hides_values:
            shown = repr(item["input"])
            if not _may_hold_password(shown):
                rule += f" (not {_shorten(shown)})"
        rules.append((".".join(map(str, (*path, *item["loc"]))), rule))
    return rules


def rule_of(item: Mapping[str, Any]) -> str:
    """The rule that one of pydantic's `errors()` tells of: "must be …" or "is …"."""
    message: str = item["msg"].removeprefix("Value error, ")
    if item["type"] == "missing":
        return "is missing"
    if item["type"] == "string_pattern_mismatch":
        return PATTERN_RULES.get(item["ctx"]["pattern"], message)
    _, found, rule = message.partition(" should ")
    return f"must {rule}" if found else message


def _may_hold_password(text: str) -> bool:
    """Whether this may be a URI with a user in it, wherever it has been written by mistake."""
    return ":" in text and "@" in text


def _shorten(text: str) -> str:
    if len(text) <= _VALUE_SHOWN_CHARACTERS:
        return text
    return text[:_VALUE_SHOWN_CHARACTERS] + "…"
