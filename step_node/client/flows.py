"""What a client does, step by step, without input or output: each a generator over `exchange`.

Submitting is idempotent (docs/clients.md): the same bytes sent again, to whichever node, give what became of the proof,
and are paid once. So a flow never signs anew while a node may have taken in what was signed before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final, TypeVar

from step_node.client import queries
from step_node.client.answers import (
    Finalised,
    Json,
    NodeRules,
    Pending,
    Refusal,
    SubmissionOutcome,
    details_of,
    read,
)
from step_node.client.errors import Dropped, NotFinalYet, Refused, Unavailable, UnreadableAnswer
from step_node.client.exchange import Answer, Flow, Nodes, Pause, Request, RetryPolicy, exchange
from step_node.client.position import Position
from step_node.client.queries import Query
from step_node.client.signing import Signer, Submission, sign_submission
from step_node.explanations.codes import BY_CODE

T = TypeVar("T")

SUBMIT_PATH: Final = "/proof/submit"
SUBMIT_MANY_PATH: Final = "/proof/submit-batch"

WAIT_MS: Final = 5_000
"""How long a node is asked to wait for finality in one request; it is asked again after that."""

POLL_SECONDS: Final = 1.0
"""Between two questions about proofs that wait, where a node has not waited by itself."""

CLOCK_TOLERANCE_MS: Final = 2_000
"""A difference from the node's clock below that may be the way of the answer; beyond, timestamps are corrected."""

OTHER_TRIANGLES_MAX: Final = 3
"""How often one visit is signed anew in the triangle that a refusal names: others subdivide it meanwhile."""

ELSEWHERE: Final = frozenset({"TRIANGLE_EXHAUSTED", "TRIANGLE_NOT_FOUND", "OUT_OF_BOUNDS"})
"""The codes after which another triangle at the same place may do."""


@dataclass(slots=True)
class Session:
    """What a client keeps between its requests. `now_ms` is the device's wall clock, Unix milliseconds."""

    nodes: Nodes
    policy: RetryPolicy
    now_ms: Callable[[], int]
    rules: NodeRules | None = None
    clock_offset_ms: int = field(default=0)
    """What to add to the device's clock to have the node's; 0 while they are within `CLOCK_TOLERANCE_MS`."""


def ask(session: Session, query: Query[T]) -> Flow[T]:
    """Ask any node."""
    answer = yield from exchange(query.request, session.nodes, session.policy)
    return read(query.of, answer.document, answer.url)


def rules(session: Session, *, anew: bool = False) -> Flow[NodeRules]:
    """The chain's rules, asked for once; and the difference of the clocks, by the middle of that request."""
    if session.rules is None or anew:
        sent_at_ms = session.now_ms()
        session.rules = yield from ask(session, Query(NodeRules.of, "/proof/config"))
        middle_ms = (sent_at_ms + session.now_ms()) // 2
        offset_ms = session.rules.node_time_ms - middle_ms
        session.clock_offset_ms = offset_ms if abs(offset_ms) > CLOCK_TOLERANCE_MS else 0
    return session.rules


def receipt(session: Session, proof_id: str, *, cbor: bool = False) -> Flow[bytes]:
    """The receipt of a final proof, as the node gives it, unchecked."""
    accept = "application/cbor" if cbor else "application/json"
    request = replace(queries.receipt(proof_id).request, accept=accept)
    return (yield from exchange(request, session.nodes, session.policy)).body


def sign(
    session: Session,
    signer: Signer,
    position: Position,
    *,
    triangle_id: str | None = None,
    level: int | None = None,
    nonce: str | None = None,
) -> Flow[Submission]:
    """Check a position, and sign it in the triangle named, or of that level, or else the active one."""
    chain = yield from rules(session)
    now_ms = session.now_ms()
    position.check(now_ms=now_ms, accuracy_max_m=chain.accuracy_max_m)
    if triangle_id is None and level is None:
        triangle_id = (yield from ask(session, queries.active_triangle(position.lat, position.lon))).triangle_id
    taken_at_ms = now_ms if position.taken_at_ms is None else position.taken_at_ms
    return sign_submission(
        signer,
        position,
        timestamp_ms=taken_at_ms + session.clock_offset_ms,
        triangle_id=triangle_id,
        level=level,
        nonce=nonce,
    )


def submit(session: Session, submission: Submission, *, wait_ms: int | None = None) -> Flow[Finalised | Pending]:
    """Submit one proof until a node has decided. Raises Refused, Dropped and Unavailable.

    If a node refuses what another may have taken in before (it broke off, say), the others are asked what became of it.
    """
    wait_ms = yield from _wait_ms(session, wait_ms)
    request = Request("POST", SUBMIT_PATH, {"wait_ms": str(wait_ms)}, submission.body, wait_ms)
    answer = yield from hand_in(session, request, _status_request(submission.proof_id, 0))
    return _outcome(answer, submission.proof_id)


def wait(session: Session, submission: Submission, *, url: str | None, seconds_max: float) -> Flow[Finalised]:
    """Wait until an accepted proof is final. `url` is the node that accepted it, if known; it is asked first.

    A node that does not know it (any more) is no reason to worry: the same bytes are handed in again. Raises
    NotFinalYet after `seconds_max`, Dropped, Refused, Unavailable.
    """
    clock = session.policy.clock
    until = clock() + seconds_max
    while True:
        begun_at = clock()
        wait_ms = min(WAIT_MS, int(max(0.0, until - begun_at) * 1000))
        state: Finalised | Pending | None = None
        if url is not None:
            with suppress(Unavailable):
                status = _status_request(submission.proof_id, (yield from _wait_ms(session, wait_ms)))
                answer = yield from known(session, status, at=url)
                state = None if answer is None else _outcome(answer, submission.proof_id)
        if state is None:
            state = yield from submit(session, submission, wait_ms=wait_ms)
        if isinstance(state, Finalised):
            return state
        url = state.url
        left = until - clock()
        if left <= 0:
            raise NotFinalYet(submission.proof_id, seconds_max)
        if clock() - begun_at < POLL_SECONDS:
            yield Pause(min(POLL_SECONDS, left))


def submit_and_wait(session: Session, submission: Submission, *, seconds_max: float) -> Flow[Finalised]:
    """Submit one proof, and wait until it is final."""
    wait_ms = min(WAIT_MS, int(seconds_max * 1000))
    begun_at = session.policy.clock()
    state = yield from submit(session, submission, wait_ms=wait_ms)
    if isinstance(state, Finalised):
        return state
    left = max(0.0, seconds_max - (session.policy.clock() - begun_at))
    return (yield from wait(session, submission, url=state.url, seconds_max=left))


def prove(
    session: Session, signer: Signer, position: Position, *, triangle_id: str | None = None, seconds_max: float
) -> Flow[Finalised]:
    """Sign a position in the active triangle, submit it, and wait until it is final.

    Where others have subdivided that triangle meanwhile, the same visit is signed again in the one that the refusal
    names: only if no node can have taken in the first.
    """
    # One moment for all: should two of them be accepted after all, the second is refused, as no later than the first.
    if position.taken_at_ms is None:
        position = Position(position.lat, position.lon, position.accuracy_m, session.now_ms())
    submission = yield from sign(session, signer, position, triangle_id=triangle_id)
    for others_left in reversed(range(OTHER_TRIANGLES_MAX + 1)):
        try:
            return (yield from submit_and_wait(session, submission, seconds_max=seconds_max))
        except (Refused, Dropped) as error:
            is_unsure = isinstance(error, Refused) and error.maybe_accepted_by
            if error.code not in ELSEWHERE or error.try_instead is None or is_unsure or not others_left:
                raise
            submission = sign_submission(
                signer, position, timestamp_ms=submission.timestamp_ms, triangle_id=error.try_instead
            )
    raise AssertionError("the last round returns or raises")


def submit_many(
    session: Session, submissions: Sequence[Submission], *, seconds_max: float
) -> Flow[list[SubmissionOutcome]]:
    """Submit many proofs, each judged by itself, and wait for their finality up to `seconds_max`.

    The outcomes are in the order of the submissions. A refusal that time heals is not an outcome: those are sent
    again, all in one body. Raises Unavailable where no node answers.
    """
    chain = yield from rules(session)
    outcomes: dict[int, SubmissionOutcome] = {}
    for share in _shares(submissions, chain):
        yield from _submit_share(session, submissions, share, outcomes, seconds_max, chain.wait_ms_max)
    return [outcomes[index] for index in range(len(submissions))]


def _submit_share(
    session: Session,
    submissions: Sequence[Submission],
    share: Sequence[int],
    outcomes: dict[int, SubmissionOutcome],
    seconds_max: float,
    wait_ms_max: int,
) -> Flow[None]:
    policy = session.policy
    until = policy.clock() + seconds_max
    open_ones, pauses = list(share), 0
    while open_ones:
        begun_at = policy.clock()
        wait_ms = min(WAIT_MS, wait_ms_max, int(max(0.0, until - begun_at) * 1000))
        body = b"[" + b",".join(submissions[index].body for index in open_ones) + b"]"
        request = Request("POST", SUBMIT_MANY_PATH, {"wait_ms": str(wait_ms)}, body, wait_ms)
        answer = yield from exchange(request, session.nodes, policy)
        told = answer.document.get("outcomes")
        if not isinstance(told, list) or len(told) != len(open_ones):
            raise UnreadableAnswer(answer.url, "the answer has not one outcome for each submission")
        again, is_refused = [], False
        for index, one in zip(open_ones, told, strict=True):
            outcome = read(_outcome_of_one(answer.url), one, answer.url)
            outcomes[index] = outcome
            if isinstance(outcome, Pending):
                again.append(index)
            elif isinstance(outcome, Refusal) and not outcome.is_dropped and _is_retryable(outcome):
                again.append(index)
                is_refused = True
        open_ones = again
        left = until - policy.clock()
        if left <= 0:
            return
        if open_ones and (is_refused or policy.clock() - begun_at < POLL_SECONDS):
            delay_seconds = policy.delay_seconds(pauses) if is_refused else POLL_SECONDS
            pauses += is_refused
            yield Pause(min(left, max(delay_seconds, _retry_after(answer))))


def hand_in(session: Session, request: Request, status: Request) -> Flow[Answer]:
    """Send what is signed until a node has decided. Raises Refused and Unavailable.

    If a node refuses what another may have taken in before (it broke off, say), the others are asked `status`: what
    became of it. Those that say that they do not have it are not named in the refusal.
    """
    unsure: set[str] = set()
    try:
        return (yield from exchange(request, session.nodes, session.policy, unsure=unsure))
    except Refused as refused:
        unsure.discard(refused.url)
        for url in sorted(unsure):
            try:
                answer = yield from known(session, status, at=url)
            except Unavailable:
                continue
            if answer is not None:
                return answer
            unsure.discard(url)
        refused.maybe_accepted_by = tuple(sorted(unsure))
        raise


def known(session: Session, status: Request, *, at: str | None = None) -> Flow[Answer | None]:
    """What a node knows of it, or the one at `at`, which is asked a single time; None if nothing.

    Raises Refused, for another reason than that it is not known, and Unavailable.
    """
    policy = session.policy if at is None else replace(session.policy, attempts_max=1)
    try:
        return (yield from exchange(status, session.nodes, policy, at=at))
    except Refused as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return None
        raise


def _status_request(proof_id: str, wait_ms: int) -> Request:
    return Request("GET", f"/proof/status/{proof_id}", {"wait_ms": str(wait_ms)}, wait_ms=wait_ms)


def _outcome(answer: Answer, proof_id: str) -> Finalised | Pending:
    document = answer.document
    match document.get("status"):
        case "pending":
            return Pending(proof_id, answer.url)
        case "dropped":
            raise Dropped(proof_id, str(document.get("code")), str(document.get("message")), details_of(document))
        case _:
            return read(Finalised.of, document, answer.url)


def _outcome_of_one(url: str) -> Callable[[Json], SubmissionOutcome]:
    def of(document: Json) -> SubmissionOutcome:
        match document["status"]:
            case "finalised":
                return Finalised.of(document)
            case "pending":
                return Pending(str(document["proofId"]), url)
            case _:
                return Refusal.of(document)

    return of


def _is_retryable(refusal: Refusal) -> bool:
    says = refusal.details.get("retryable")
    row = BY_CODE.get(refusal.code)
    return says if isinstance(says, bool) else row is not None and row.retryable


def _retry_after(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdecimal() else 0.0


def _shares(submissions: Sequence[Submission], chain: NodeRules) -> list[list[int]]:
    """The submissions' places, in as few bodies as the node's limits allow."""
    shares: list[list[int]] = []
    body_bytes = chain.batch_body_bytes_max
    for index, submission in enumerate(submissions):
        bytes_more = len(submission.body) + 1
        if body_bytes + bytes_more > chain.batch_body_bytes_max or len(shares[-1]) >= chain.batch_submissions_max:
            shares.append([])
            body_bytes = 2
        shares[-1].append(index)
        body_bytes += bytes_more
    return shares


def _wait_ms(session: Session, wait_ms: int | None) -> Flow[int]:
    chain = yield from rules(session)
    return min(WAIT_MS if wait_ms is None else wait_ms, chain.wait_ms_max)
