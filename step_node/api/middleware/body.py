"""Requests' bodies: taken in whole and bounded before anything else happens, and then read strictly.

`BodyLimit` stands in front of every route. A body that says it is too long is refused before a byte of it is read,
one that turns out to be is refused at that byte, and one that trickles in is given up. What all of them hold at once is
bounded, too, in all and by address. The server closes the connection after such an answer, and throws away what still
follows on it.

`parse_json` accepts what RFC 8259 calls JSON and no more: Python's own parser lets NaN, the infinities and repeated
keys through, and each means different things to different readers.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Final, Never

import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from step_node.api.errors import ApiError, RequestCode, error_response
from step_node.clock import Clock
from step_node.explanations.details import Details
from step_node.proofs.proof import RefusalCode
from step_node.strict_json import is_nested_deeper

BODY_BYTES_MAX: Final = 16 * 1024
"""The longest body of nearly any request; a submission has some 600 bytes."""

BATCH_BODY_BYTES_MAX: Final = 1024 * 1024
"""The longest body of many submissions: a thousand of the longest."""

BATCH_PATH: Final = "/proof/submit-batch"

HELD_BYTES_MAX: Final = 64 * BATCH_BODY_BYTES_MAX
"""What all bodies together may hold while their requests are under way."""

HELD_BYTES_PER_ADDRESS_MAX: Final = 16 * BATCH_BODY_BYTES_MAX
"""What those of one address may hold."""

BODY_SECONDS_MAX: Final = 10
"""How long a client may take to send its body."""

NESTING_MAX: Final = 16
"""How deep arrays and objects may stand in one another; a submission is 2 deep. Python's own limit is the stack's."""


class BodyLimit:
    """ASGI middleware: see the module's docstring. The application receives the whole body in one message."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._held_bytes = 0
        self._held_by: Counter[object] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        asker = (scope.get("client") or (None,))[0]
        try:
            is_whole = await self._read(body, asker, scope, receive)
        except ApiError as error:
            await error_response(error, self._clock, {"Connection": "close"}, path=scope["path"])(scope, receive, send)
        else:
            if is_whole:
                await self._app(scope, _replaying(bytes(body), receive), send)
        finally:
            self._held_bytes -= len(body)
            self._held_by[asker] -= len(body)
            if not self._held_by[asker]:
                del self._held_by[asker]

    async def _read(self, body: bytearray, asker: object, scope: Scope, receive: Receive) -> bool:
        """Read the whole body; False if the client went away. Raises `ApiError`."""
        bytes_max = BATCH_BODY_BYTES_MAX if scope["path"] == BATCH_PATH else BODY_BYTES_MAX
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared[:20]) > bytes_max:
            raise _too_large(bytes_max)
        with trio.move_on_after(BODY_SECONDS_MAX):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return False
                self._hold(body, message.get("body", b""), asker, bytes_max)
                if not message.get("more_body", False):
                    return True
        raise ApiError(
            RequestCode.REQUEST_TIMEOUT,
            f"body: must arrive within {BODY_SECONDS_MAX} seconds",
            details=Details(limit=BODY_SECONDS_MAX, unit="s"),
        )

    def _hold(self, body: bytearray, part: bytes, asker: object, bytes_max: int) -> None:
        if len(body) + len(part) > bytes_max:
            raise _too_large(bytes_max)
        if self._held_by[asker] + len(part) > HELD_BYTES_PER_ADDRESS_MAX:
            raise ApiError(
                RefusalCode.RATE_LIMITED,
                "address: too many bodies of it are under way; wait for answers",
                details=Details(gate="address_bodies", limit=HELD_BYTES_PER_ADDRESS_MAX, unit="bytes"),
            )
        if self._held_bytes + len(part) > HELD_BYTES_MAX:
            raise ApiError(
                RefusalCode.NOT_READY,
                "too many bodies are under way; try again later",
                details=Details(gate="bodies", limit=HELD_BYTES_MAX, unit="bytes"),
            )
        body += part
        self._held_bytes += len(part)
        self._held_by[asker] += len(part)


def parse_json(body: bytes) -> object:
    """The value in `body`. Raises `ApiError` (INVALID_PAYLOAD) for anything but strict JSON in UTF-8."""
    try:
        text = body.decode("utf-8")
        if is_nested_deeper(text, NESTING_MAX):
            raise _not_json(f"must not be nested more than {NESTING_MAX} deep")
        if text.startswith("\ufeff"):
            raise _not_json("must be JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) at line 1, column 1")
        return _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise _not_json(f"must be UTF-8 (byte {error.start} is not)") from error
    except json.JSONDecodeError as error:
        raise _not_json(f"must be JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except ValueError as error:
        # What is left are numbers with more digits than Python converts.
        raise _not_json("must not hold a number of thousands of digits") from error


def _replaying(body: bytes, receive: Receive) -> Receive:
    held: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_held() -> Message:
        return held.pop() if held else await receive()

    return receive_held


def _too_large(bytes_max: int) -> ApiError:
    return ApiError(
        RequestCode.PAYLOAD_TOO_LARGE,
        f"body: must have at most {bytes_max} bytes",
        details=Details(limit=bytes_max, unit="bytes"),
    )


def _not_json(rule: str) -> ApiError:
    return ApiError(RefusalCode.INVALID_PAYLOAD, f"body: {rule}")


def _refuse_constant(constant: str) -> Never:
    raise _not_json(f"must be JSON, which has no {constant}")


def _object_with_unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _not_json("must not name a field twice in one object")
    return members


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_object_with_unique_keys)
"""Made once: `json.loads` makes one for each body, which takes as long as to read a submission."""
