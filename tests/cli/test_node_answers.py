"""A node that is asked for much is asked patiently, and no answer, nor the want of one, ends the command."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from step_node.api.middleware.as_of import AS_OF_HEIGHT
from step_node.cli import http_calls
from step_node.cli.economy import node_answers
from step_node.cli.economy.node_answers import NodeAnswers, NotTold
from step_node.cli.error_lines import CommandError
from step_node.cli.http_calls import HttpAnswer, NoAnswer

URL = "http://node.example"
OK = HttpAnswer(200, b'{"ok": true}', None, 12)


def refusal(status: int, code: str, *, retry_after_seconds: int | None = None, retryable: bool = False) -> HttpAnswer:
    body = {"ok": False, "code": code, "message": "field: rule", "details": {"retryable": retryable}}
    return HttpAnswer(status, json.dumps(body).encode(), retry_after_seconds, 12)


class Script:
    """What comes back, one after another; the last one for ever. Counts how often it was asked."""

    def __init__(self, *answers: HttpAnswer | Exception) -> None:
        self.answers: Sequence[HttpAnswer | Exception] = answers
        self.asked = 0

    def __call__(self, _url: str, _path: str) -> HttpAnswer:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


async def told_after(script: Script) -> tuple[str, float]:
    """Whether there was an answer, or why not; and how long was waited."""
    began = trio.current_time()
    try:
        told = await NodeAnswers(URL, ask=script).get("/status")
    except NotTold as error:
        return str(error), trio.current_time() - began
    assert (told.body, told.as_of_height) == ({"ok": True}, 12)
    return "told", trio.current_time() - began


async def test_a_busy_node_is_asked_again_when_it_says(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    script = Script(refusal(429, "RATE_LIMITED", retry_after_seconds=7), OK)
    assert (await told_after(script), script.asked) == (("told", 7.0), 2)
    script = Script(refusal(503, "NOT_READY", retry_after_seconds=3), refusal(503, "NOT_READY"), OK)
    assert (await told_after(script), script.asked) == (("told", 5.0), 3)


async def test_what_is_being_made_or_out_of_reach_for_a_moment_is_asked_for_again(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    script = Script(refusal(404, "REPORT_NOT_FOUND", retryable=True), NoAnswer(f"{URL}/status: no answer"), OK)
    assert (await told_after(script), script.asked) == (("told", 3.0), 3)


async def test_what_asking_again_does_not_change_is_told_at_once(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    for answer, reason in (
        (refusal(503, "SWITCHED_OFF", retry_after_seconds=60, retryable=True), "SWITCHED_OFF: field: rule"),
        (refusal(404, "REPORT_NOT_FOUND"), "REPORT_NOT_FOUND: field: rule"),
        (HttpAnswer(200, b"<html>", None, None), "/status: the answer is not JSON"),
        (HttpAnswer(404, b"<html>", None, None), "the answer has the status 404, and is none of a STEP node"),
        (CommandError(f"{URL}/status: the answer has more than 11 bytes"), "/status: the answer has more than"),
    ):
        script = Script(answer)
        told, seconds = await told_after(script)
        assert (reason in told, seconds, script.asked) == (True, 0.0, 1), told
        assert URL not in told


async def test_no_node_keeps_the_command_for_ever(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    script = Script(refusal(429, "RATE_LIMITED", retry_after_seconds=10**9))
    answers = NodeAnswers(URL, ask=script)
    for _ in range(20):
        with pytest.raises(NotTold, match="RATE_LIMITED"):
            await answers.get("/status")
    assert trio.current_time() <= node_answers.WAIT_SECONDS_MAX
    assert script.asked < 20 * node_answers.TRIES_MAX


async def test_a_node_that_is_gone_is_not_asked_for_everything_else(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    script = Script(OK, NoAnswer("cannot be reached"))
    answers = NodeAnswers(URL, ask=script)
    await answers.get("/status")
    for reason in ("cannot be reached", "cannot be reached", "does not answer any more", "does not answer any more"):
        with pytest.raises(NotTold, match=reason):
            await answers.get("/status")
    assert script.asked == 1 + node_answers.SILENCES_MAX * node_answers.TRIES_MAX


async def test_a_node_that_never_answered_is_not_waited_for(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    script = Script(NoAnswer("cannot be reached"))
    told, seconds = await told_after(script)
    assert (told, seconds, script.asked) == ("cannot be reached", 0.0, 1)


def test_the_height_of_an_answer_is_in_the_header_that_nodes_send() -> None:
    assert http_calls.AS_OF_HEIGHT == AS_OF_HEIGHT
