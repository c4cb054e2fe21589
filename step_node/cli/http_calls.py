"""Calls to a node's API from the command line, with errors that say what to do."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping

import httpx

from step_node.cli.error_lines import CommandError

TIMEOUT_SECONDS = 10.0
ANSWER_BYTES_MAX = 10_000_000
"""What is longer is read no further: whatever listens at `--url` is believed nothing."""


def get_json(url: str, path: str) -> dict[str, object]:
    """The JSON object at `path` of the API at `url`. Raises CommandError naming the address and the reason."""
    return _call("GET", url, path, None, {}, TIMEOUT_SECONDS)


def post_json(
    url: str, path: str, body: object, *, parameters: Mapping[str, int], wait_ms: int = 0
) -> dict[str, object]:
    """Post `body` as JSON; a refusal is an answer like any other. `wait_ms` is how long the node itself may wait."""
    return _call("POST", url, path, body, parameters, TIMEOUT_SECONDS + wait_ms / 1000)


def _call(
    method: str, url: str, path: str, body: object, parameters: Mapping[str, int], timeout_seconds: float
) -> dict[str, object]:
    address = url.rstrip("/") + path
    try:
        with httpx.stream(
            method,
            address,
            json=body,
            params=dict(parameters) or None,
            headers={"accept-encoding": "identity"},
            timeout=timeout_seconds,
            trust_env=False,
            verify=_trusted(address),
        ) as response:
            answer = json.loads(_body_of(response, address))
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise CommandError(f"--url: {url}: must be an address such as http://127.0.0.1:8600 ({error})") from error
    except httpx.TimeoutException as error:
        raise CommandError(f"{address}: no answer within {timeout_seconds:g} s") from error
    except httpx.HTTPError as error:
        raise CommandError(f"{address}: cannot be reached ({error}); is the node running, and --url right?") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{address}: the answer is not JSON; is this a STEP node?") from error
    if not isinstance(answer, dict):
        raise CommandError(f"{address}: the answer is not a JSON object; is this a STEP node?")
    return answer


def _trusted(address: str) -> ssl.SSLContext | bool:
    """The authorities of this machine, or those in the file that SSL_CERT_FILE names, as of a devnet."""
    return ssl.create_default_context() if address.startswith("https:") else True


def _body_of(response: httpx.Response, address: str) -> bytes:
    """What was sent, as it was sent: a few bytes that unpack to many stay a few bytes, and are not JSON."""
    body = bytearray()
    for part in response.iter_raw():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise CommandError(f"{address}: the answer has more than {ANSWER_BYTES_MAX} bytes; is this a STEP node?")
    return bytes(body)
