"""What goes wrong for a client, one class for each thing that a program does differently."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

NO_ANSWER = "NO_ANSWER"
"""The code of `Unavailable` where no node has answered at all; all others are the nodes' own (docs/clients.md)."""


class StepClientError(Exception):
    """Anything that this package raises: `code` for programs, `message` for people, `details` as the node gave them."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details: Mapping[str, Any] = {} if details is None else details

    @property
    def try_instead(self) -> str | None:
        """The id of the active triangle that holds the point, where the node names one."""
        instead = self.details.get("tryInstead")
        return str(instead["triangleId"]) if isinstance(instead, dict) and "triangleId" in instead else None

    @property
    def retry_at(self) -> datetime | None:
        """From when on, by the node's clock, the cause is over; None where time does not heal it."""
        moment = self.details.get("retryAt")
        try:
            return datetime.fromisoformat(moment) if isinstance(moment, str) else None
        except ValueError:
            return None


class Refused(StepClientError):
    """A node has decided: the same request will not do. `status` is that of HTTP, `url` the node's.

    `maybe_accepted_by` are nodes that were sent the same proof or transfer before, and of which nobody knows what they
    made of it (the connection broke, say). While there are any, sign no other proof of the same visit, and no other
    transfer.
    """

    def __init__(
        self,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        *,
        status: int,
        url: str,
        maybe_accepted_by: tuple[str, ...] = (),
    ) -> None:
        super().__init__(code, message, details)
        self.status = status
        self.url = url
        self.maybe_accepted_by = maybe_accepted_by


class Dropped(StepClientError):
    """What was accepted, and the chain then moved past: it never will be in the ledger.

    `identity` is the id of the proof, or of the operation.
    """

    def __init__(self, identity: str, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(code, message, details)
        self.identity = identity


class NotFinalYet(StepClientError):
    """What is accepted and not decided within the time given: ask again with the same bytes.

    `identity` is the id of the proof, or of the operation.
    """

    def __init__(self, identity: str, seconds_max: float) -> None:
        super().__init__("PENDING", f"{identity} is accepted, but not final within {seconds_max:g} s; wait again")
        self.identity = identity


class Unavailable(StepClientError):
    """No node has decided within the attempts and the time of the `RetryPolicy`. What was sent may be sent again.

    `attempts` are the nodes asked, with what each said, in order. `code` is that of the last answer, or `NO_ANSWER`.
    """

    def __init__(
        self, code: str, message: str, details: Mapping[str, Any] | None, attempts: tuple[tuple[str, str], ...]
    ) -> None:
        super().__init__(code, message, details)
        self.attempts = attempts


class UnreadableAnswer(StepClientError):
    """A node's answer is not what this package knows: another program listens there, or the node is far newer."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__("UNREADABLE_ANSWER", f"{url}: {problem}; is this a STEP node?")
        self.url = url


class BadPosition(StepClientError, ValueError):
    """A position that must not be signed: `field` and the rule that it breaks."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__("BAD_POSITION", f"{field}: {rule}")
        self.field = field
        self.rule = rule
