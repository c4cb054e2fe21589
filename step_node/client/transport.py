"""What both clients know of HTTP: how a request is sent, how long an answer may be, and what counts as none."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncGenerator
from typing import Any, Final, cast

import httpx

from step_node.client.events import SILENCE_SECONDS_MAX
from step_node.client.exchange import NoReply, Reply, RetryPolicy, Send

ANSWER_BYTES_MAX: Final = 10_000_000
"""What is longer is read no further: whatever listens at an address is believed nothing."""

CONNECTIONS_MAX: Final = 16
"""To all nodes together; a request above it waits for a place."""

HEADERS: Final = {"accept-encoding": "identity", "user-agent": "step-client-python"}
"""Answers as they are: a few bytes that unpack to many would be no bound at all."""


class TooLong(Exception):
    """The answer has more than `ANSWER_BYTES_MAX` bytes."""


class TooSlow(Exception):
    """The answer comes, but in so small parts that it takes too long."""


class Body:
    """A body that is being read: no further than it may be long, nor for longer than an answer may take."""

    def __init__(self, seconds_max: float) -> None:
        self._bytes = bytearray()
        self._until = time.monotonic() + seconds_max

    def add(self, part: bytes) -> None:
        """One more part. Raises TooLong and TooSlow."""
        self._bytes += part
        if len(self._bytes) > ANSWER_BYTES_MAX:
            raise TooLong
        if time.monotonic() > self._until:
            raise TooSlow

    def reply(self, response: httpx.Response) -> Reply:
        """The whole answer."""
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status_code, headers, bytes(self._bytes))


def options(tls: ssl.SSLContext | None) -> dict[str, Any]:
    """How both clients of httpx are made: no proxy of the environment, certificates by `tls`, no redirects."""
    limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
    return {"limits": limits, "trust_env": False, "verify": True if tls is None else tls, "headers": HEADERS}


def arguments(send: Send) -> dict[str, Any]:
    """What httpx's `stream` takes for this request."""
    request = send.request
    headers = {"accept": request.accept}
    if request.body is not None:
        headers["content-type"] = "application/json"
    return {
        "method": request.method,
        "url": send.url + request.path,
        "params": dict(request.query) or None,
        "content": request.body,
        "headers": headers,
        "timeout": send.seconds_max,
    }


FAILURES: Final = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, TooLong, TooSlow)
"""What keeps a request from its answer."""


def no_reply(error: Exception, seconds_max: float) -> NoReply:
    """Why there is none, by one of `FAILURES`."""
    if isinstance(error, TooLong):
        return NoReply(f"the answer has more than {ANSWER_BYTES_MAX} bytes")
    if isinstance(error, httpx.TimeoutException | TooSlow):
        return NoReply(f"no answer within {seconds_max:g} s")
    return NoReply(f"cannot be reached ({type(error).__name__}: {error})")


def parts_of(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The answer's bytes as they come; a generator, which whoever stops early has to close."""
    return cast("AsyncGenerator[bytes, None]", response.aiter_raw())


def stream_timeout(policy: RetryPolicy) -> httpx.Timeout:
    """Of a stream of events: a long silence is heartbeats that did not come."""
    return httpx.Timeout(policy.answer_seconds_max, read=SILENCE_SECONDS_MAX)
