"""Requests' bodies: taken in whole and bounded before anything else happens, and then read strictly.

`BodyLimit` stands in front of every route. A body that says it is too long is refused before a byte of it is read,
one that turns out to be is refused at that byte, and one that trickles in is given up. The server closes the
connection after such an answer, and throws away what still follows on it.

`parse_json` accepts what RFC 8259 calls JSON and no more: Python's own parser lets NaN, the infinities and repeated
keys through, and each means different things to different readers.
"""

from __future__ import annotations

import json
import re
from typing import Final, Never

import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from step_node.api.errors import ApiError, RequestCode, error_response
from step_node.clock import Clock
from step_node.proofs.proof import RefusalCode

BODY_BYTES_MAX: Final = 16 * 1024
"""The longest body of any request; a submission has some 600 bytes."""

BODY_SECONDS_MAX: Final = 10
"""How long a client may take to send its body."""

NESTING_MAX: Final = 16
"""How deep arrays and objects may stand in one another; a submission is 2 deep. Python's own limit is the stack's."""

# A string without its end counts to the end of the text: looking for one again from each quote would be quadratic.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


class BodyLimit:
    """ASGI middleware: see the module's docstring. The application receives the whole body in one message."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await _read_body(scope, receive)
        except ApiError as error:
            await error_response(error, self._clock, {"Connection": "close"})(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, _replaying(body, receive), send)


def parse_json(body: bytes) -> object:
    """The value in `body`. Raises `ApiError` (INVALID_PAYLOAD) for anything but strict JSON in UTF-8."""
    try:
        text = body.decode("utf-8")
        if _nesting(text) > NESTING_MAX:
            raise _not_json(f"must not be nested more than {NESTING_MAX} deep")
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object_with_unique_keys)
    except UnicodeDecodeError as error:
        raise _not_json(f"must be UTF-8 (byte {error.start} is not)") from error
    except json.JSONDecodeError as error:
        raise _not_json(f"must be JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except ValueError as error:
        # What is left are numbers with more digits than Python converts.
        raise _not_json("must not hold a number of thousands of digits") from error


def _nesting(text: str) -> int:
    if text.count("[") + text.count("{") <= NESTING_MAX:
        return 0  # It cannot be too deep, and this is what bodies look like.
    deepest = depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


async def _read_body(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body, or None if the client went away. Raises `ApiError`."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if not declared.isdigit() or int(declared[:20]) > BODY_BYTES_MAX:
        raise _too_large()
    with trio.move_on_after(BODY_SECONDS_MAX):
        return await _collect(receive)
    raise ApiError(RequestCode.REQUEST_TIMEOUT, f"body: must arrive within {BODY_SECONDS_MAX} seconds")


async def _collect(receive: Receive) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


def _replaying(body: bytes, receive: Receive) -> Receive:
    held: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_held() -> Message:
        return held.pop() if held else await receive()

    return receive_held


def _too_large() -> ApiError:
    return ApiError(RequestCode.PAYLOAD_TOO_LARGE, f"body: must have at most {BODY_BYTES_MAX} bytes")


def _not_json(rule: str) -> ApiError:
    return ApiError(RefusalCode.INVALID_PAYLOAD, f"body: {rule}")


def _refuse_constant(constant: str) -> Never:
    raise _not_json(f"must be JSON, which has no {constant}")


def _object_with_unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _not_json("must not name a field twice in one object")
    return members
