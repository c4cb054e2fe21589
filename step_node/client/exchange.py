"""One request until some node has decided it: which node to ask, what its answer means, when to ask again.

Generators, without input or output: they yield `Send` and `Pause`, and are sent a `Reply` or `NoReply` for the first.
So the rules stand once for the blocking and the asynchronous client, and are tested without a clock or a network.

The rules (docs/clients.md, "Submitting again, and when"):

- No answer (refused, broken, too slow, not JSON): the next node at once; once all were asked, after a pause.
- A refusal that says `retryable`, or of a status that means "not now": a 429 is about who asks, so the same node is
  asked again when it says (`Retry-After`, or `retryAt`); any other goes to the next node, and rests this one that long.
- Anything else is decided. The same request is not sent again.
- Pauses double from `delay_min_seconds`, less up to a half by chance, so that many clients do not come back together,
  and are at least what the node asked for. Attempts and time are bounded by the `RetryPolicy`.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeAlias, TypeVar

from step_node.client.answers import Json, details_of, json_object
from step_node.client.errors import NO_ANSWER, Refused, Unavailable
from step_node.proofs.timestamps import parse_timestamp

T = TypeVar("T")

NOT_NOW = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""After these the same request may be sent again, where the answer itself does not say (a proxy's, say)."""

REASON_CHARACTERS_SHOWN = 200
"""Of what went wrong with an attempt: a node's or a proxy's own words may be long."""

RETRY_AFTER_SECONDS_MAX = 3_600.0
"""What a node asks for beyond that is taken as that: no number from outside makes a client sleep for ever."""

_ADDRESS_FORM = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to try. `chance` gives numbers from 0 to 1, `clock` seconds that never go back; tests give their own."""

    attempts_max: int = 10
    seconds_max: float = 120.0
    delay_min_seconds: float = 0.5
    delay_max_seconds: float = 30.0
    answer_seconds_max: float = 10.0
    """How long one answer may take, beyond what the node was told to wait for finality."""
    chance: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        if self.attempts_max < 1:
            raise ValueError("attempts_max: must be at least 1")
        for name in ("seconds_max", "delay_min_seconds", "delay_max_seconds", "answer_seconds_max"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: must be a number of seconds, 0 or more")

    def delay_seconds(self, pauses_before: int) -> float:
        """How long the next pause is, after so many others."""
        full: float = min(self.delay_max_seconds, self.delay_min_seconds * 2.0 ** min(pauses_before, 32))
        return full * (1 - self.chance() / 2)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a node, whichever. `wait_ms` is how long it may wait by itself before it answers."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    wait_ms: int = 0
    accept: str = "application/json"


@dataclass(frozen=True, slots=True)
class Send:
    """An effect: send `request` to the node at `url`, and give back its reply, or why there is none."""

    url: str
    request: Request
    seconds_max: float


@dataclass(frozen=True, slots=True)
class Pause:
    """An effect: let so many seconds pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """A node's answer; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NoReply:
    """There is no answer, or none that can be read to its end."""

    reason: str


Effect: TypeAlias = Send | Pause
Flow: TypeAlias = Generator[Effect, "Reply | NoReply | None", T]


class Nodes:
    """The nodes to choose from, the preferred one first, and how long each rests. All requests of a client share it."""

    def __init__(self, urls: Sequence[str], clock: Callable[[], float]) -> None:
        self.urls = [url.rstrip("/") for url in urls]
        if not self.urls:
            raise ValueError("urls: must name at least one node, such as http://127.0.0.1:8600")
        for url in self.urls:
            if _ADDRESS_FORM.fullmatch(url) is None:
                raise ValueError(f"{url}: must be an address such as http://127.0.0.1:8600")
        self._clock = clock
        self._preferred = 0
        self._rests_until = dict.fromkeys(self.urls, -math.inf)

    def choose(self) -> tuple[str, float]:
        """The node to ask, the preferred one if it does not rest, and how many seconds it still rests."""
        now = self._clock()
        start = self._preferred
        order = [self.urls[(start + offset) % len(self.urls)] for offset in range(len(self.urls))]
        url = min(order, key=lambda one: max(0.0, self._rests_until[one] - now))
        return url, max(0.0, self._rests_until[url] - now)

    def rest(self, url: str, seconds: float) -> None:
        """Ask others for so long."""
        self._rests_until[url] = self._clock() + seconds

    def answered(self, url: str) -> None:
        """Stay with this one."""
        self._preferred = self.urls.index(url)
        self._rests_until[url] = -math.inf


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: the parsed object, or the bytes where the request asked for another form."""

    url: str
    status: int
    document: Json
    headers: Mapping[str, str]
    body: bytes = field(repr=False, default=b"")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that was in vain: `code` and the rest of a refusal, or NO_ANSWER; how long the node asks to wait."""

    url: str
    code: str
    message: str
    details: Json
    status: int | None
    after_seconds: float | None


def exchange(
    request: Request, nodes: Nodes, policy: RetryPolicy, *, at: str | None = None, unsure: set[str] | None = None
) -> Flow[Answer]:
    """Send `request` until a node has decided. `at` names the one node to ask; None is whichever is best.

    Nodes that may have taken the request in without our knowing are added to `unsure`. Raises Refused and Unavailable.
    """
    started_at = policy.clock()
    attempts: list[Attempt] = []
    pauses = 0
    while True:
        url, rest_seconds = nodes.choose() if at is None else (at, 0.0)
        if rest_seconds > 0:
            if policy.clock() + rest_seconds - started_at > policy.seconds_max:
                raise _unavailable(request, attempts, f"all nodes rest for {rest_seconds:.1f} s more")
            yield Pause(rest_seconds)
        reply = yield Send(url, request, policy.answer_seconds_max + request.wait_ms / 1000)
        outcome = judge(request, url, reply)
        if isinstance(outcome, Answer):
            if at is None:
                nodes.answered(url)
            return outcome
        attempts.append(outcome)
        if unsure is not None and outcome.status not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            unsure.add(url)  # Those two say that nothing was taken in.
        if len(attempts) >= policy.attempts_max:
            raise _unavailable(request, attempts, f"{len(attempts)} attempts")
        delay_seconds = policy.delay_seconds(pauses)
        if outcome.after_seconds is not None:
            delay_seconds = max(delay_seconds, outcome.after_seconds)
        is_late = policy.clock() + delay_seconds - started_at > policy.seconds_max
        asked = {attempt.url for attempt in attempts}
        if is_late and (at is not None or asked.issuperset(nodes.urls)):
            raise _unavailable(request, attempts, f"no time is left of {policy.seconds_max:g} s")
        if at is not None or (outcome.status == HTTPStatus.TOO_MANY_REQUESTS and not is_late):
            pauses += 1
            yield Pause(delay_seconds)
            continue
        nodes.rest(url, delay_seconds)
        if len(attempts) % len(nodes.urls) == 0:
            pauses += 1


def judge(request: Request, url: str, reply: Reply | NoReply | None) -> Answer | Attempt:
    """The answer of a success, or what kept the node from one. Raises Refused where the node has decided."""
    if not isinstance(reply, Reply):
        return Attempt(url, NO_ANSWER, "no answer" if reply is None else reply.reason, {}, None, None)
    document = json_object(reply.body)
    is_success = HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES
    if is_success and (document is not None or request.accept != "application/json"):
        return Answer(url, reply.status, document or {}, reply.headers, reply.body)
    if document is None or not isinstance(document.get("code"), str):
        if reply.status not in NOT_NOW:
            return Attempt(url, NO_ANSWER, f"status {reply.status}, and no answer of a STEP node", {}, None, None)
        document = {"code": NO_ANSWER, "message": f"status {reply.status}"}
    code, message, details = str(document["code"]), str(document.get("message", "")), details_of(document)
    says = details.get("retryable")
    if not (says if isinstance(says, bool) else reply.status in NOT_NOW):
        raise Refused(code, message, details, status=reply.status, url=url)
    return Attempt(url, code, message, details, reply.status, _after_seconds(reply, document, details))


def _after_seconds(reply: Reply, document: Json, details: Json) -> float | None:
    """How long the node asks to wait: the later of `Retry-After` and `retryAt`, which is by its own clock."""
    waits = []
    header = reply.headers.get("retry-after", "")
    if header.isascii() and header.isdecimal():
        waits.append(float(header))
    with suppress(KeyError, ValueError):
        waits.append((parse_timestamp(str(details["retryAt"])) - parse_timestamp(str(document["timestamp"]))) / 1000)
    return min(max(0.0, *waits), RETRY_AFTER_SECONDS_MAX) if waits else None


def _unavailable(request: Request, attempts: list[Attempt], why: str) -> Unavailable:
    told = tuple((one.url, f"{one.code}: {one.message}"[:REASON_CHARACTERS_SHOWN]) for one in attempts)
    if not attempts:
        return Unavailable(NO_ANSWER, f"{request.method} {request.path}: {why}", None, told)
    last = attempts[-1]
    message = f"{request.method} {request.path}: no node has decided ({why}); the last, {last.url}: {last.message}"
    return Unavailable(last.code, message, last.details, told)
