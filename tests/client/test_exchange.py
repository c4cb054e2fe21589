"""Which node is asked, when again, and what is decided: the rules for one request."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.client.errors import NO_ANSWER, Refused, Unavailable
from step_node.client.exchange import RETRY_AFTER_SECONDS_MAX, Nodes, NoReply, Reply, Request, RetryPolicy, exchange
from step_node.proofs.timestamps import format_timestamp
from tests.client.scripted import BROKEN, NOW_MS, A, B, C, World, always, one_after_another, refused, reply

ASK = Request("GET", "/status")
OK = reply(200, {"ok": True})


def run(world: World) -> str:
    return world.run(exchange(ASK, world.session.nodes, world.session.policy)).url


def test_the_first_node_is_asked_once_and_stays_the_one() -> None:
    world = World({A: always(OK), B: always(OK)})
    assert [run(world), run(world)] == [A, A]
    assert world.pauses == []


def test_a_node_that_does_not_answer_is_followed_by_the_next_at_once_and_rests() -> None:
    world = World({A: one_after_another(BROKEN), B: always(OK)})
    assert [run(world), run(world)] == [B, B]
    assert world.asked == [A, B, B]
    assert world.pauses == []


def test_once_all_have_failed_there_is_a_pause_that_doubles() -> None:
    world = World({A: one_after_another(BROKEN, BROKEN, OK), B: one_after_another(BROKEN, BROKEN)})
    assert run(world) == A
    assert world.asked == [A, B, A, B, A]
    assert world.pauses == [0.5, 1.0]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_status_that_means_not_now_goes_to_the_next_node(status: int) -> None:
    world = World({A: one_after_another(refused(status, "NOT_READY")), B: always(OK)})
    assert run(world) == B
    assert world.pauses == []


def test_who_asks_too_much_waits_as_long_as_the_node_says_and_does_not_burden_the_next() -> None:
    world = World({A: one_after_another(refused(429, "RATE_LIMITED", retry_after="7"), OK), B: always(BROKEN)})
    assert run(world) == A
    assert world.asked == [A, A]
    assert world.pauses == [7.0]


def test_the_moment_in_the_details_counts_by_the_nodes_own_clock() -> None:
    later = {"retryAt": format_timestamp(NOW_MS + 12_500)}
    world = World({A: one_after_another(refused(429, "RATE_LIMITED", later, retry_after="3"), OK)})
    assert run(world) == A
    assert world.pauses == [12.5]


def test_what_the_details_call_retryable_is_sent_again_whatever_its_status() -> None:
    later = {"retryable": True, "retryAt": format_timestamp(NOW_MS + 4_000)}
    world = World({A: one_after_another(refused(422, "CLOCK_DRIFT", later), OK)})
    assert run(world) == A
    assert world.pauses == [4.0]


@pytest.mark.parametrize(
    "answer",
    [refused(422, "TOO_FAST"), refused(404, "PROOF_NOT_FOUND"), refused(503, "POOL_FULL", {"retryable": False})],
)
def test_what_is_decided_is_not_sent_again(answer: Reply) -> None:
    world = World({A: one_after_another(answer), B: always(OK)})
    with pytest.raises(Refused) as error:
        run(world)
    assert (error.value.status, error.value.url) == (answer.status, A)
    assert error.value.message == f"{error.value.code} it is"
    assert world.asked == [A]


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, {}, b"<html>"),
        Reply(404, {}, b"<html>"),
        Reply(200, {}, b"[" * 100_000),
        Reply(200, {}, b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        Reply(302, {}, b""),
    ],
    ids=["page", "page-404", "arrays", "objects", "redirect"],
)
def test_what_is_no_answer_of_a_node_is_none_at_all(answer: Reply) -> None:
    world = World({A: one_after_another(answer), B: always(OK)})
    assert run(world) == B


def test_attempts_are_bounded_and_told() -> None:
    world = World({A: always(BROKEN), B: always(refused(503, "NOT_READY"))}, attempts_max=3)
    with pytest.raises(Unavailable) as error:
        run(world)
    assert world.asked == [A, B, A]
    assert error.value.code == NO_ANSWER
    assert [url for url, _ in error.value.attempts] == [A, B, A]
    assert error.value.attempts[1][1] == "NOT_READY: NOT_READY it is"


def test_time_is_bounded_and_no_pause_leads_beyond_it() -> None:
    world = World({A: always(refused(503, "MEMPOOL_FULL", retry_after="50"))}, seconds_max=120.0)
    with pytest.raises(Unavailable) as error:
        run(world)
    assert error.value.code == "MEMPOOL_FULL"
    assert world.seconds <= 120.0
    assert world.asked == [A, A, A]


def test_even_where_no_time_is_left_every_node_is_asked_once() -> None:
    full = refused(429, "RATE_LIMITED", retry_after="3600")
    world = World({A: always(full), B: always(full), C: one_after_another(OK)}, seconds_max=10.0)
    assert run(world) == C
    assert world.pauses == []


@given(chance=st.floats(0, 1), pauses=st.integers(0, 10_000))
def test_a_pause_is_at_least_half_of_the_full_one_and_never_beyond_the_longest(chance: float, pauses: int) -> None:
    policy = RetryPolicy(chance=lambda: chance)
    full = min(policy.delay_max_seconds, policy.delay_min_seconds * 2.0 ** min(pauses, 100))
    assert full / 2 <= policy.delay_seconds(pauses) <= full


@given(st.text(max_size=20), st.text(max_size=30) | st.none() | st.integers())
def test_no_words_of_a_node_make_a_client_fail_or_sleep_for_ever(header: str, moment: object) -> None:
    answer = refused(429, "RATE_LIMITED", {"retryAt": moment})
    world = World(
        {A: one_after_another(Reply(429, {"retry-after": header}, answer.body), OK)}, seconds_max=10 * 3_600.0
    )
    assert run(world) == A
    assert 0 < world.pauses[0] <= max(RETRY_AFTER_SECONDS_MAX, 30.0)


@given(
    st.lists(
        st.sampled_from(
            [BROKEN, NoReply("slow"), refused(503, "NOT_READY", retry_after="2"), refused(429, "RATE_LIMITED"), OK]
        ),
        max_size=40,
    )
)
def test_whatever_nodes_say_a_request_ends_within_its_bounds(replies: list[Reply | NoReply]) -> None:
    left = iter([*replies, *[OK] * 2])

    def answer(_request: Request) -> Reply | NoReply:
        return next(left, OK)

    world = World({A: answer, B: answer, C: answer}, attempts_max=6, seconds_max=60.0)
    with suppress(Unavailable):
        run(world)
    assert len(world.asked) <= 6
    assert world.seconds <= 60.0


@pytest.mark.parametrize("url", ["", "localhost:8600", "ftp://a", "http://", "http://a b", "http://a/?x=1"])
def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(ValueError, match="must be an address such as"):
        Nodes([A, url], lambda: 0.0)


def test_a_policy_out_of_bounds_is_refused() -> None:
    for wrong in ({"attempts_max": 0}, {"seconds_max": -1.0}, {"delay_max_seconds": float("inf")}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            RetryPolicy(**wrong)
    with pytest.raises(ValueError, match="at least one node"):
        Nodes([], lambda: 0.0)
