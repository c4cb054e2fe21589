"""Errors told to a receiver elsewhere: which, what of them, and what never."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from step_node.errors import StepNodeError
from step_node.home.config import LogConfig
from step_node.home.secrets import HIDDEN
from step_node.node.error_reports import REPORTS_PER_MINUTE_MAX, ErrorReports, error_reports
from step_node.node.logging import Log, TellError
from tests.support.http_receiver import Receiver, http_receiver

SECRET = "5ec4e7" * 10


def dsn_of(receiver: Receiver) -> str:
    return f"http://0123456789abcdef@127.0.0.1:{receiver.port}/42"


def events(receiver: Receiver) -> list[dict[str, Any]]:
    """The events in the envelopes that have come (a header, then a header and a body for each item, on lines)."""
    found = []
    for path, body in receiver.received:
        assert path == "/api/42/envelope/"
        lines = body.splitlines()
        found += [
            json.loads(lines[at + 1]) for at in range(1, len(lines), 2) if json.loads(lines[at])["type"] == "event"
        ]
    return found


def fail_with(secret_local: str) -> None:
    raise ValueError(f"the key {secret_local} is of no use; mongodb://user:pass@host/")


def nowhere(_tell: TellError | None) -> None: ...


def test_a_bug_is_told_with_its_place_and_without_locals_or_secrets() -> None:
    with http_receiver() as receiver:
        with (
            pytest.raises(ValueError, match="of no use"),
            error_reports(dsn_of(receiver), secrets=[SECRET], follow=nowhere),
        ):
            fail_with(SECRET)
        (event,) = events(receiver)
        raw = b"".join(body for _, body in receiver.received)
    (error,) = event["exception"]["values"]
    assert error["type"] == "ValueError"
    assert error["value"] == f"the key {HIDDEN} is of no use; mongodb://{HIDDEN}@host/"
    assert error["stacktrace"]["frames"][-1]["function"] == "fail_with"
    assert SECRET.encode() not in raw
    assert b"secret_local" not in raw
    assert b"user:pass" not in raw
    for absent in (
        b'"vars"',
        b'"request"',
        b'"server_name"',
        b'"context_line"',
        b'"abs_path"',
        b'"modules"',
        b'"user"',
    ):
        assert absent not in raw
    assert set(event) <= {"event_id", "timestamp", "platform", "level", "message", "exception", "release", "sdk"}


def test_what_an_operator_is_told_in_a_sentence_is_no_bug() -> None:
    with http_receiver() as receiver:
        for error in (StepNodeError("a setting"), ExceptionGroup("", [StepNodeError("x"), OSError("y")])):
            with pytest.raises(type(error)), error_reports(dsn_of(receiver), secrets=[], follow=nowhere):
                raise error
        assert events(receiver) == []


def test_error_lines_of_the_log_are_told_by_their_constant_text() -> None:
    log = Log(LogConfig(), write=lambda _descriptor, data: len(data))

    def follow(tell: TellError | None) -> None:
        log.tell_error = tell

    def say(part: str, level: str, text: str, **values: object) -> None:
        log.take(part, "here", {"event": text, "level": level, **values})

    with http_receiver() as receiver:
        with error_reports(dsn_of(receiver), secrets=[], follow=follow):
            say("node", "error", "the store fails", peer="16Uiu2Secret")
            say("node", "warning", "the store is slow")
            say("somebody.elses", "error", "a text with values")
            say("urllib3", "error", "a report cannot be sent", exc_info=ValueError("again"))
            say("somebody.elses", "error", "a bug", exc_info=ValueError("of no use"))
        say("node", "error", "after the end")
        told = events(receiver)
    assert [(one["logger"], one["message"]) for one in told] == [
        ("node", "the store fails"),
        ("somebody.elses", "a bug"),
    ]
    assert told[1]["exception"]["values"][0]["value"] == "of no use"
    assert "16Uiu2Secret" not in str(told)


def test_a_flood_of_errors_is_bounded() -> None:
    now = [0.0]
    with http_receiver() as receiver:
        reports = ErrorReports(dsn_of(receiver), monotonic=lambda: now[0])
        for _ in range(REPORTS_PER_MINUTE_MAX + 30):
            reports.tell_line("node", "error", "again", None)
        now[0] = 61.0
        reports.tell_line("node", "critical", "another minute", None)
        reports.close()
        told = events(receiver)
    assert len(told) == REPORTS_PER_MINUTE_MAX + 1
    assert (told[-1]["message"], told[-1]["level"]) == ("another minute", "fatal")


def test_off_it_imports_nothing_and_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    followed: list[object] = []
    follow: Callable[[TellError | None], None] = followed.append
    with error_reports(None, secrets=[], follow=follow):
        assert followed == []
    with (
        pytest.raises(StepNodeError, match=r"pip install 'step-node\[errors\]'"),
        error_reports("http://a@b/1", secrets=[], follow=follow),
    ):
        pass


def test_what_is_no_dsn_is_refused_without_being_repeated() -> None:
    with pytest.raises(StepNodeError, match="must be a DSN") as caught:
        ErrorReports("hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_receiver_that_is_not_there_holds_nothing_up() -> None:
    with error_reports("http://0123456789abcdef@127.0.0.1:1/42", secrets=[], follow=nowhere):
        pass
