"""What a client does for a proof: sign once, send the same bytes wherever they have to go, and wait."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from mesh import locate
from step_node.client import flows
from step_node.client.answers import Finalised, Pending, Refusal, SubmissionOutcome
from step_node.client.errors import BadPosition, Dropped, NotFinalYet, Refused, Unavailable, UnreadableAnswer
from step_node.client.exchange import NoReply, Reply, Request
from step_node.client.position import FIX_AGE_MS_MAX, Position
from step_node.client.signing import KeySigner, Submission, sign_submission
from step_node.parameters import Parameters
from step_node.proofs.gates import check_stateless
from step_node.proofs.payload import parse_payload
from step_node.proofs.timestamps import format_timestamp
from tests.client.scripted import (
    BROKEN,
    CHILD,
    CONFIG,
    KEY,
    NOW_MS,
    TRIANGLE,
    ZURICH,
    A,
    B,
    Handler,
    World,
    finalised,
    one_after_another,
    refused,
    reply,
)

SIGNER = KeySigner(KEY)
HERE = Position(*ZURICH, accuracy_m=5)
ACTIVE = {"ok": True, "result": {"triangleId": TRIANGLE, "level": 10, "clicks": 3, "reward": "0.001953"}}


def submission(nonce: str = "n-1") -> Submission:
    return sign_submission(SIGNER, HERE, timestamp_ms=NOW_MS, level=10, nonce=nonce)


def pending(proof_id: str) -> Reply:
    return reply(202, {"ok": True, "proofId": proof_id, "status": "pending"})


def bodies(world: World) -> list[bytes | None]:
    return [request.body for _, request in world.sent if request.method == "POST"]


def by_path(answers: dict[str, Callable[[Request], Reply | NoReply]]) -> Handler:
    """Gives what the first prefix that fits says; the rules are told whenever asked for."""

    def answer(request: Request) -> Reply | NoReply:
        if request.path == "/proof/config":
            return reply(200, CONFIG)
        return next(one for prefix, one in answers.items() if request.path.startswith(prefix))(request)

    return answer


def test_the_same_bytes_go_to_the_next_node_when_one_breaks_off() -> None:
    one = submission()
    world = World({A: one_after_another(BROKEN), B: one_after_another(reply(200, finalised(one.proof_id)))})
    final = world.run(flows.submit(world.session, one))
    assert isinstance(final, Finalised)
    assert (final.reward, final.balance, final.height) == (Decimal("0.001953"), Decimal("0.003906"), 7)
    assert bodies(world) == [one.body, one.body]


def test_a_refusal_is_certain_only_if_no_other_node_may_have_taken_the_proof() -> None:
    one = submission()
    world = World({A: one_after_another(BROKEN, BROKEN), B: one_after_another(refused(422, "MORATORIUM"))})
    with pytest.raises(Refused) as error:
        world.run(flows.submit(world.session, one))
    assert error.value.maybe_accepted_by == (A,)
    assert [request.path for _, request in world.sent][-1] == f"/proof/status/{one.proof_id}"


def test_after_a_refusal_the_node_that_broke_off_is_asked_what_became_of_it() -> None:
    one = submission()
    status = reply(200, finalised(one.proof_id, status="finalised", index=0))
    world = World({A: one_after_another(BROKEN, status), B: one_after_another(refused(409, "TRIANGLE_EXHAUSTED"))})
    assert isinstance(world.run(flows.submit(world.session, one)), Finalised)
    # If it does not know it either, the refusal stands, and is certain.
    unknown = refused(404, "PROOF_NOT_FOUND")
    world = World({A: one_after_another(BROKEN, unknown), B: one_after_another(refused(409, "TRIANGLE_EXHAUSTED"))})
    with pytest.raises(Refused) as error:
        world.run(flows.submit(world.session, one))
    assert error.value.maybe_accepted_by == ()


def test_waiting_asks_the_node_that_accepted_and_hands_in_again_where_it_is_gone() -> None:
    one = submission()
    world = World(
        {
            A: one_after_another(pending(one.proof_id), pending(one.proof_id), BROKEN, BROKEN),
            B: one_after_another(reply(200, finalised(one.proof_id))),
        }
    )
    final = world.run(flows.submit_and_wait(world.session, one, seconds_max=30))
    assert final.height == 7
    assert bodies(world) == [one.body] * 3
    assert world.asked == [A, A, A, A, B]


def test_a_node_that_has_lost_the_proof_is_given_it_again() -> None:
    one = submission()
    world = World(
        {A: one_after_another(refused(404, "PROOF_NOT_FOUND"), reply(200, finalised(one.proof_id)))},
    )
    assert world.run(flows.wait(world.session, one, url=A, seconds_max=30)).proof_id == one.proof_id


def test_waiting_ends_when_its_time_is_over_and_says_that_the_proof_still_waits() -> None:
    one = submission()

    def wait(request: Request) -> Reply:
        world.seconds += request.wait_ms / 1000
        return pending(one.proof_id)

    world = World({A: by_path({"/proof": wait})})
    with pytest.raises(NotFinalYet) as error:
        world.run(flows.submit_and_wait(world.session, one, seconds_max=20))
    assert error.value.identity == one.proof_id
    assert world.seconds == pytest.approx(20, abs=flows.POLL_SECONDS)


def test_a_dropped_proof_is_told_with_its_code_and_details() -> None:
    one = submission()
    dropped = {"ok": True, "status": "dropped", "code": "TRIANGLE_EXHAUSTED", "message": "m", "details": {"clicks": 11}}
    world = World({A: one_after_another(pending(one.proof_id), reply(200, dropped))})
    with pytest.raises(Dropped) as error:
        world.run(flows.submit_and_wait(world.session, one, seconds_max=20))
    assert (error.value.code, error.value.details, error.value.identity) == (
        "TRIANGLE_EXHAUSTED",
        {"clicks": 11},
        one.proof_id,
    )


def test_proving_asks_for_the_active_triangle_and_signs_what_passes_the_gates() -> None:
    seen: list[dict[str, Any]] = []

    def submit(request: Request) -> Reply:
        assert request.body is not None
        seen.append(json.loads(request.body))
        return reply(200, finalised("0x1"))

    world = World({A: by_path({"/mesh/triangleAt": lambda _: reply(200, ACTIVE), "/proof/submit": submit})})
    world.run(flows.prove(world.session, SIGNER, HERE, seconds_max=10))
    ask = next(request for _, request in world.sent if request.path == "/mesh/triangleAt")
    assert ask.query == {"lat": "47.3769", "lon": "8.5417", "level": "active"}
    (body,) = seen
    assert check_stateless(parse_payload(body["payload"], body["signature"]), Parameters()) is None
    assert body["payload"]["timestamp"] == format_timestamp(NOW_MS)


def test_where_the_triangle_is_used_up_the_visit_is_signed_in_the_one_that_the_refusal_names() -> None:
    seen: list[dict[str, Any]] = []
    child = locate(*ZURICH, 11).text

    def submit(request: Request) -> Reply:
        assert request.body is not None
        seen.append(json.loads(request.body)["payload"])
        instead = {"tryInstead": {"triangleId": child, "level": 11}}
        return refused(409, "TRIANGLE_EXHAUSTED", instead) if len(seen) == 1 else reply(200, finalised("0x1"))

    world = World({A: by_path({"/mesh/triangleAt": lambda _: reply(200, ACTIVE), "/proof/submit": submit})})
    world.run(flows.prove(world.session, SIGNER, HERE, seconds_max=10))
    assert [payload["triangleId"] for payload in seen] == [TRIANGLE, child]
    assert seen[0]["timestamp"] == seen[1]["timestamp"]
    assert seen[0]["nonce"] != seen[1]["nonce"]


def test_no_second_proof_of_a_visit_is_signed_while_the_first_may_have_been_accepted() -> None:
    child = {"tryInstead": {"triangleId": CHILD, "level": 11}}
    world = World(
        {
            A: by_path({"/mesh": lambda _: reply(200, ACTIVE), "/proof": lambda _: BROKEN}),
            B: by_path({"/proof": lambda _: refused(409, "TRIANGLE_EXHAUSTED", child)}),
        }
    )
    with pytest.raises(Refused) as error:
        world.run(flows.prove(world.session, SIGNER, HERE, seconds_max=10))
    assert error.value.maybe_accepted_by == (A,)
    assert len(set(bodies(world))) == 1


def test_triangles_are_tried_a_few_times_and_no_more() -> None:
    child = {"tryInstead": {"triangleId": locate(*ZURICH, 11).text, "level": 11}}
    world = World(
        {
            A: by_path(
                {
                    "/mesh": lambda _: reply(200, ACTIVE),
                    "/proof": lambda _: refused(409, "TRIANGLE_EXHAUSTED", child),
                }
            )
        }
    )
    with pytest.raises(Refused, match="TRIANGLE_EXHAUSTED"):
        world.run(flows.prove(world.session, SIGNER, HERE, seconds_max=10))
    assert len(bodies(world)) == flows.OTHER_TRIANGLES_MAX + 1


@pytest.mark.parametrize(("ahead_ms", "signed_ms"), [(0, 0), (1_500, 0), (-90_000, -90_000), (240_000, 240_000)])
def test_a_clock_that_is_off_is_corrected_by_the_nodes(ahead_ms: int, signed_ms: int) -> None:
    config = {**CONFIG, "timestamp": format_timestamp(NOW_MS + ahead_ms)}
    world = World({A: lambda _: reply(200, config)})
    signed = world.run(flows.sign(world.session, SIGNER, HERE, level=10))
    assert signed.timestamp_ms == NOW_MS + signed_ms


def test_a_stale_fix_is_not_signed_and_one_of_now_is_signed_as_of_then() -> None:
    world = World({A: by_path({})})
    taken = Position(*ZURICH, 5, taken_at_ms=NOW_MS - FIX_AGE_MS_MAX)
    assert world.run(flows.sign(world.session, SIGNER, taken, level=10)).timestamp_ms == NOW_MS - FIX_AGE_MS_MAX
    for field, wrong in (
        ("taken_at_ms", Position(*ZURICH, 5, taken_at_ms=NOW_MS - FIX_AGE_MS_MAX - 1)),
        ("taken_at_ms", Position(*ZURICH, 5, taken_at_ms=NOW_MS + 60_000)),
        ("accuracy_m", Position(*ZURICH, 50.5)),
    ):
        with pytest.raises(BadPosition) as error:
            world.run(flows.sign(world.session, SIGNER, wrong, level=10))
        assert error.value.field == field


def outcome(proof_id: str, status: str, code: str = "", **details: object) -> dict[str, Any]:
    if status == "finalised":
        return finalised(proof_id, status="finalised", index=0)
    return {"ok": status == "pending", "proofId": proof_id, "status": status} | (
        {"code": code, "message": "m", "details": details} if code else {}
    )


def test_many_go_in_shares_and_each_is_told_in_its_place() -> None:
    many = [submission(f"n-{index}") for index in range(7)]
    shares: list[int] = []

    def submit(request: Request) -> Reply:
        assert request.body is not None
        share = json.loads(request.body)
        shares.append(len(share))
        ids = {one.document["payload"]["nonce"]: one.proof_id for one in many}
        told = []
        for one in share:
            nonce = one["payload"]["nonce"]
            code = "TOO_FAST" if nonce == "n-4" else ""
            told.append(outcome(ids[nonce], "refused" if code else "finalised", code, retryable=False))
        return reply(200, {"ok": True, "outcomes": told})

    world = World({A: by_path({"/proof/submit-batch": submit})})
    outcomes = world.run(flows.submit_many(world.session, many, seconds_max=30))
    assert shares == [3, 3, 1]
    assert [one.proof_id for one in outcomes] == [one.proof_id for one in many]
    assert [index for index, one in enumerate(outcomes) if isinstance(one, Refusal)] == [4]


def test_of_many_only_those_that_wait_or_may_come_again_are_sent_again() -> None:
    many = [submission(f"n-{index}") for index in range(3)]
    first = [
        outcome(many[0].proof_id, "finalised"),
        outcome(many[1].proof_id, "refused", "RATE_LIMITED", retryable=True),
        outcome(many[2].proof_id, "pending"),
    ]
    second = [
        outcome(many[1].proof_id, "finalised"),
        outcome(many[2].proof_id, "dropped", "TRIANGLE_EXHAUSTED"),
    ]
    world = World(
        {
            A: one_after_another(
                reply(200, {"ok": True, "outcomes": first}, retry_after="4"), reply(200, {"outcomes": second})
            )
        }
    )
    outcomes: list[SubmissionOutcome] = world.run(flows.submit_many(world.session, many, seconds_max=30))
    assert [type(one) for one in outcomes] == [Finalised, Finalised, Refusal]
    assert isinstance(outcomes[2], Refusal)
    assert outcomes[2].is_dropped
    assert world.pauses == [4.0]
    assert bodies(world)[1] == b"[" + many[1].body + b"," + many[2].body + b"]"


def test_many_that_stay_open_are_told_as_they_are_when_time_is_over() -> None:
    one = submission()

    def wait(request: Request) -> Reply:
        world.seconds += request.wait_ms / 1000
        return reply(200, {"outcomes": [outcome(one.proof_id, "pending")]})

    world = World({A: by_path({"/proof/submit-batch": wait})})
    assert world.run(flows.submit_many(world.session, [one], seconds_max=12)) == [Pending(one.proof_id, A)]
    assert world.seconds == pytest.approx(12, abs=flows.POLL_SECONDS)
    assert world.run(flows.submit_many(world.session, [], seconds_max=12)) == []


@pytest.mark.parametrize("told", [None, [], [{}], [{"status": "finalised"}], ["x"], [{"status": "refused"}]])
def test_outcomes_that_are_not_those_asked_for_are_unreadable(told: object) -> None:
    world = World({A: one_after_another(reply(200, {"outcomes": told}))})
    with pytest.raises(UnreadableAnswer, match=A):
        world.run(flows.submit_many(world.session, [submission()], seconds_max=12))


def test_an_answer_that_lacks_a_field_names_it() -> None:
    world = World({A: lambda _: reply(200, {name: value for name, value in CONFIG.items() if name != "SEEDED_LEVEL"})})
    with pytest.raises(UnreadableAnswer, match="lacks SEEDED_LEVEL"):
        world.run(flows.rules(world.session))
    world = World({A: lambda _: reply(200, {**CONFIG, "SEEDED_LEVEL": "ten"})})
    with pytest.raises(UnreadableAnswer, match="not of its kind"):
        world.run(flows.rules(world.session))


def test_where_no_node_answers_nothing_is_signed() -> None:
    world = World({A: lambda _: BROKEN}, attempts_max=2)
    with pytest.raises(Unavailable):
        world.run(flows.prove(world.session, SIGNER, HERE, seconds_max=10))
    assert bodies(world) == []
