"""Whatever a client sends, it reads an answer that the OpenAPI description announces, and never a 500.

The API runs under its real server in a thread; Schemathesis makes requests out of the API's own description, and
Hypothesis makes bodies for `POST /proof/submit` that are almost right, which is where parsers err.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from step_node.api.errors import HTTP_STATUS
from step_node.api.server.limits import EventLimits
from tests.api.made_up_node import START_MS, Walker, open_node
from tests.api.serving import serve

pytestmark = pytest.mark.long

CODES = {code.value: status for code, status in HTTP_STATUS.items()}

steady = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="module")
def api_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a node that runs in a thread of its own for as long as this module's tests."""
    journal: Path = tmp_path_factory.mktemp("fuzz") / "journal.sqlite"
    ports: queue.Queue[tuple[int, trio.lowlevel.TrioToken, trio.CancelScope]] = queue.Queue()

    async def run() -> None:
        async with open_node(journal) as node, trio.open_nursery() as nursery:
            port = await nursery.start(partial(serve, node, wait_ms_max=20, event_limits=EventLimits(stream_ms_max=20)))
            ports.put((port, trio.lowlevel.current_trio_token(), nursery.cancel_scope))

    thread = Thread(target=trio.run, args=(run,))
    thread.start()
    port, token, scope = ports.get(timeout=30)
    yield f"http://127.0.0.1:{port}"
    token.run_sync_soon(scope.cancel)
    thread.join()


@pytest.fixture(scope="module")
def http(api_url: str) -> Iterator[httpx.Client]:
    """A client of that node."""
    with httpx.Client(base_url=api_url, timeout=20) as http:
        yield http


@pytest.fixture(scope="module")
def api_schema(api_url: str) -> Any:
    """The API's own description of itself."""
    return schemathesis.openapi.from_url(f"{api_url}/openapi.json")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_as_described(api_schema: Any, mode: GenerationMode) -> None:
    # What cannot be asked of an API for proofs: that well-formed ones of random places and signatures are accepted.
    excluded: Any = schemathesis.checks.CHECKS.get_by_names(["positive_data_acceptance"])
    by_itself: Any = schemathesis.checks.CHECKS.get_by_names(["negative_data_rejection"])
    described = [operation.ok() for operation in api_schema.get_all_operations()]
    assert len(described) >= 25
    for operation in described:
        if mode is GenerationMode.NEGATIVE and not operation.definition.raw.keys() & {"parameters", "requestBody"}:
            continue  # There is nothing to get wrong.

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(steady, max_examples=20)
        def answers(case: Any) -> None:
            # Of many submissions each has its own refusal, and the request is a success.
            unasked = [*excluded, *(by_itself if case.path == "/proof/submit-batch" else [])]
            case.call_and_validate(excluded_checks=unasked)

        answers()


def require_an_answer(answer: httpx.Response) -> None:
    """Check the envelope, and that the status is that of the code."""
    document = answer.json()
    if answer.status_code in (200, 202):
        assert document["ok"] is True
        return
    assert document["ok"] is False
    assert answer.status_code == CODES[document["code"]] != 500
    assert document["message"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(body=st.binary(max_size=200))
@settings(steady, max_examples=100)
def test_any_bytes_get_an_answer(http: httpx.Client, body: bytes) -> None:
    require_an_answer(http.post("/proof/submit", content=body))


@given(
    changes=st.dictionaries(
        st.sampled_from(
            ["version", "account", "triangleId", "lat", "lon", "accuracy", "timestamp", "nonce", "signature", "more"]
        ),
        json_values,
        min_size=1,
        max_size=3,
    ),
    number=st.integers(1, 5),
)
@settings(steady, max_examples=150)
def test_almost_right_submissions_get_an_answer(http: httpx.Client, changes: dict[str, Any], number: int) -> None:
    proof: dict[str, Any] = dict(Walker(number).proof(START_MS))
    proof["payload"] = {**proof["payload"], **{name: value for name, value in changes.items() if name != "signature"}}
    if "signature" in changes:
        proof["signature"] = changes["signature"]
    # json writes NaN, Infinity and lone surrogates, which is what is wanted here.
    require_an_answer(http.post("/proof/submit?wait_ms=0", content=json.dumps(proof)))


@given(cut=st.integers(0, 700), changed=st.integers(0, 700), byte=st.integers(0, 255))
@settings(steady, max_examples=100)
def test_a_damaged_submission_gets_an_answer(http: httpx.Client, cut: int, changed: int, byte: int) -> None:
    body = bytearray(json.dumps(Walker(6).proof(START_MS)).encode())
    body[changed % len(body)] = byte
    require_an_answer(http.post("/proof/submit?wait_ms=0", content=bytes(body[cut % len(body) :])))
    require_an_answer(http.post("/proof/submit?wait_ms=0", content=bytes(body)))


@given(path=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(steady, max_examples=100)
def test_any_path_gets_an_answer(http: httpx.Client, path: str) -> None:
    for prefix in ("/", "/mesh/info/", "/mesh/polygon/", "/triangle/", "/account/", "/batch/", "/proof/status/"):
        answer = http.get(prefix + quote(path))
        if "application/json" in answer.headers["content-type"] and "openapi" not in answer.json():
            require_an_answer(answer)
