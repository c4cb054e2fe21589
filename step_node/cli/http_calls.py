"""Calls to a node's API from the command line, with errors that say what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

import httpx

from step_node.cli.certificates import distrust, trust_of_this_machine
from step_node.cli.error_lines import CommandError
from step_node.cli.output import plain

TIMEOUT_SECONDS = 10.0
ANSWER_BYTES_MAX = 10_000_000
"""What is longer is read no further: whatever listens at `--url` is believed nothing."""


AS_OF_HEIGHT: Final = "Step-As-Of-Height"
_NUMBER_CHARACTERS_MAX: Final = 18
"""Digits of a header that are read as a number: it is below 2**63."""


class HttpAnswer(NamedTuple):
    """What came back, whatever it says. The last two are headers; None: not told, or no plain number."""

    status: int
    body: bytes
    retry_after_seconds: int | None
    as_of_height: int | None


class NoAnswer(CommandError):
    """Nothing came back: out of reach, or no answer in time."""


def get_json(url: str, path: str) -> dict[str, object]:
    """The JSON object at `path` of the API at `url`. Raises CommandError naming the address and the reason."""
    return _call("GET", url, path, None, {}, TIMEOUT_SECONDS)


def get_bytes(url: str, path: str, *, accept: str) -> bytes:
    """The body of what is at `path`, as it is. Raises CommandError; in the API's own words where it refuses."""
    found = get_answer(url, path, accept=accept)
    if found.status == httpx.codes.OK:
        return found.body
    answer = object_in(found.body, url, path)
    raise CommandError(f"{url.rstrip('/')}{path}: {plain(answer.get('code'))}: {plain(answer.get('message'))}")


def get_answer(url: str, path: str, *, accept: str = "application/json") -> HttpAnswer:
    """What the API at `url` answers, be it a refusal. Raises `NoAnswer`, and CommandError where asking again is of no
    use: the address is none, its certificate is not trusted, the answer is too long."""
    return _fetch("GET", url, path, timeout_seconds=TIMEOUT_SECONDS, accept=accept)


def post_json(
    url: str, path: str, body: object, *, parameters: Mapping[str, int], wait_ms: int = 0
) -> dict[str, object]:
    """Post `body` as JSON; a refusal is an answer like any other. `wait_ms` is how long the node itself may wait."""
    return _call("POST", url, path, body, parameters, TIMEOUT_SECONDS + wait_ms / 1000)


def _call(
    method: str, url: str, path: str, body: object, parameters: Mapping[str, int], timeout_seconds: float
) -> dict[str, object]:
    answer = _fetch(method, url, path, body=body, parameters=parameters, timeout_seconds=timeout_seconds)
    return object_in(answer.body, url, path)


def _fetch(
    method: str,
    url: str,
    path: str,
    *,
    timeout_seconds: float,
    body: object = None,
    parameters: Mapping[str, int] | None = None,
    accept: str = "application/json",
) -> HttpAnswer:
    address = url.rstrip("/") + path
    try:
        with httpx.stream(
            method,
            address,
            json=body,
            params=dict(parameters or {}) or None,
            headers={"accept": accept, "accept-encoding": "identity"},
            timeout=timeout_seconds,
            trust_env=False,
            verify=trust_of_this_machine() if address.startswith("https:") else True,
        ) as response:
            headers = response.headers
            body_sent = _body_of(response, address)
            return HttpAnswer(
                response.status_code, body_sent, _number(headers.get("Retry-After")), _number(headers.get(AS_OF_HEIGHT))
            )
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise CommandError(f"--url: {url}: must be an address such as http://127.0.0.1:8600 ({error})") from error
    except httpx.TimeoutException as error:
        raise NoAnswer(f"{address}: no answer within {timeout_seconds:g} s") from error
    except httpx.HTTPError as error:
        if (reason := distrust(error)) is not None:
            raise CommandError(f"{address}: {reason}") from error
        raise NoAnswer(f"{address}: cannot be reached ({error}); is the node running, and --url right?") from error


def object_in(body: bytes, url: str, path: str) -> dict[str, object]:
    """The JSON object in an answer. Raises CommandError."""
    address = url.rstrip("/") + path
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{address}: the answer is not JSON; is this a STEP node?") from error
    if not isinstance(answer, dict):
        raise CommandError(f"{address}: the answer is not a JSON object; is this a STEP node?")
    return answer


def _number(header: str | None) -> int | None:
    is_plain = header is not None and header.isascii() and header.isdigit() and len(header) <= _NUMBER_CHARACTERS_MAX
    return int(header) if header is not None and is_plain else None


def _body_of(response: httpx.Response, address: str) -> bytes:
    """What was sent, as it was sent: a few bytes that unpack to many stay a few bytes, and are not JSON."""
    body = bytearray()
    for part in response.iter_raw():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise CommandError(f"{address}: the answer has more than {ANSWER_BYTES_MAX} bytes; is this a STEP node?")
    return bytes(body)
