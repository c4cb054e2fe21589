"""What comes next for a validator, in a sentence, and waiting until it has come: for its owner, at the command line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from step_node.cli.error_lines import CommandError
from step_node.cli.output import plain
from step_node.cli.owner_calls import end_refused
from step_node.cli.waiting import Lacking, wait_until

TELL_SECONDS: Final = 10.0
"""How often a change of the sentence is told at most, while the state is the same."""

TRANSIENT: Final = frozenset({"VALIDATOR_NOT_FOUND", "RATE_LIMITED", "NOT_READY"})
"""Refusals that pass: the node asked may not have the batch of the registration yet."""


class StateChoice(StrEnum):
    """A validator's state, as the API calls it."""

    WAITING = "waiting"
    ACTIVE = "active"
    LEAVING = "leaving"
    UNBONDING = "unbonding"
    JAILED = "jailed"
    ROTATED = "rotated"


def what_next(entry: Mapping[str, object], status: Mapping[str, object]) -> str:
    """What the validator waits for and what its owner can do, by a node's answers about it and about itself."""
    match entry.get("state"):
        case StateChoice.WAITING:
            joins, height = entry.get("activeFromHeight"), status.get("height")
            if not isinstance(joins, int) or not isinstance(height, int):
                return "it waits for its epoch"
            batches = max(joins - 1 - height, 0)
            return (
                f"it joins the set with batch {joins}, after {batches} more; an idle chain makes none. Let its node"
                " run: it signs by itself from then on"
            )
        case StateChoice.ACTIVE:
            return f"nothing, while its node runs; what it earns is in its owner's account, {plain(entry.get('owner'))}"
        case StateChoice.LEAVING:
            return "it leaves the set when the epoch ends; its node must run until then"
        case StateChoice.UNBONDING:
            return _locked(entry, "`step-node validator withdraw` takes the stake back")
        case StateChoice.JAILED:
            return _locked(
                entry,
                "`step-node validator register` with the same key brings it back, or `step-node validator withdraw`"
                " takes what is left of the stake; `GET /evidence` says what it did",
            )
        case StateChoice.ROTATED:
            return "nothing: another key has taken its place, and has the stake"
        case other:
            return f"this program does not know the state {plain(other)}"


def _locked(entry: Mapping[str, object], then: str) -> str:
    until = entry.get("lockedUntil")
    if isinstance(until, str) and _is_to_come(until):
        return f"its stake is locked until {plain(until)}; from then on {then}"
    return f"its stake is free: {then}"


def _is_to_come(timestamp: str) -> bool:
    try:
        return datetime.fromisoformat(timestamp) > datetime.now(UTC)
    except (ValueError, TypeError):
        return True


def watch_until(url: str, validator: bytes, state: StateChoice, wait_seconds: float) -> None:
    """Return once the validator is in `state`, telling on standard error what it waits for. A node that has answered is
    asked again when it does not: it may be starting anew.

    Raises CommandError after `wait_seconds`.
    """
    from step_node.cli.http_calls import get_json

    has_answered = False

    def look() -> Lacking | None:
        nonlocal has_answered
        try:
            answer = get_json(url, f"/validators/0x{validator.hex()}")
            has_answered = True
            if not answer.get("ok") and answer.get("code") not in TRANSIENT:
                end_refused(answer)
            entry = answer.get("validator")
            if not isinstance(entry, dict):
                return Lacking(f"{plain(answer.get('code'))}: {plain(answer.get('message'))}")
            if entry.get("state") == state:
                return None
            now_in = plain(entry.get("state"))
            return Lacking(f"{now_in}: {what_next(entry, get_json(url, '/status'))}", now_in)
        except CommandError as error:
            if not has_answered:
                raise
            return Lacking(str(error))

    wait_until(look, unmet=f"not {state}", wait_seconds=wait_seconds, tell_seconds=TELL_SECONDS)
