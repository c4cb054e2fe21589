"""Submitting one proof: what is done, and a short way to it.

FastAPI takes three times as long for a submission as all that a node does with it on the event loop: it matches routes,
solves dependencies and opens scopes that this request has no use for. So the request that clients send all the time, a
POST with no query or a plain `wait_ms`, is answered in front of it. Whatever else is asked takes FastAPI's way, which
leads to the same function, and says what is wrong with it.
"""

from __future__ import annotations

import re
from typing import Final

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from step_node.api.errors import RETRY_AFTER_SECONDS, ApiError, error_response
from step_node.api.models.proofs import PendingAnswer, RewardedAnswer
from step_node.api.models.schema import hex_text
from step_node.api.server.bill import bill_of
from step_node.api.server.quotas import WINDOW_SECONDS, AddressQuota
from step_node.api.services import ApiServices
from step_node.api.submissions import intake
from step_node.api.submissions.single import parse_submission
from step_node.explanations.details import Details
from step_node.mempool.admission import Answer, TakenIn
from step_node.mempool.backlog import BACKLOG_SECONDS
from step_node.mempool.outcomes import Dropped, Finalised, Outcome, Pending
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof

WAIT_MS_DEFAULT: Final = 5_000
"""How long a submission waits for finality when the client does not say (protocol.md §2)."""

UNKNOWN_SOURCE: Final = "unknown"
"""The source of what comes from no address, as from a test's client."""

SUBMIT_PATH: Final = "/proof/submit"

_JSON: Final = "application/json"
_PLAIN_QUERY: Final = re.compile(rb"(?:wait_ms=(0|[1-9][0-9]{0,8}))?")


class Submitting:
    """What the node does with submissions, whichever way they come."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services
        self._accounts = services.account_quotas
        self.wait_ms_default = min(WAIT_MS_DEFAULT, services.wait_ms_max)

    def plain_wait_ms(self, query: bytes) -> int | None:
        """How long to wait by this query, where it is one that needs no explanation; else None."""
        found = _PLAIN_QUERY.fullmatch(query)
        if found is None:
            return None
        wait_ms = self.wait_ms_default if found[1] is None else int(found[1])
        return wait_ms if wait_ms <= self._services.wait_ms_max else None

    def refuse_if_busy(self) -> None:
        """Raise `ApiError` before a request is looked at, if nothing is taken in now, or more proofs wait than the
        chain keeps up with."""
        self._services.intake.refuse_if_closed()
        seconds = self._services.admission.busy_seconds()
        if seconds:
            raise ApiError(
                RefusalCode.MEMPOOL_FULL,
                f"more proofs wait than the chain finalises in {BACKLOG_SECONDS} seconds; try again in {seconds} s",
                details=Details(gate="backlog", value=self._services.admission.waiting, unit="proofs"),
                retry_after_seconds=seconds,
            )

    async def admit(self, proofs: list[SignedProof], submissions: int, wait_ms: int, scope: Scope) -> list[Answer]:
        """What admission says to these of so many submissions. The cost of what is taken in is given back.

        Raises `ApiError` where the intake sheds them. What is over the quota of the address, or of its account, is
        refused in its place; so is what the intake's share leaves out, unless it is known from before: submitting again
        is answered as ever.
        """
        traces = self._services.traces
        began_ns = 0 if traces is None else traces.now_ns()
        new: list[SignedProof] = []
        left_out = [self._services.intake.account_left_out(proof.account) for proof in proofs]
        # Those are looked up at most: however many, they are no surge that others should suffer from.
        self._services.intake.count(submissions - sum(refusal is not None for refusal in left_out))
        bill = bill_of(scope)
        quota = bill["quota"]
        room = max(0, quota.take(submissions) - (submissions - len(proofs)))
        known = await self._known(proofs[:room], left_out)
        beforehand = [
            _over_quota(quota) if place >= room else self._beforehand(proof, left_out[place], known)
            for place, proof in enumerate(proofs)
        ]
        quota.give_back(sum(isinstance(answer, Outcome) for answer in beforehand))

        def count(taken: TakenIn) -> None:
            bill["give_back"](len(taken.new) / submissions)
            quota.give_back(taken.known)
            new.extend(taken.new)
            for proof in taken.new:
                self._accounts.take(proof.account, 1)

        answers = iter(
            await self._services.admission.submit_many(
                [proof for proof, answer in zip(proofs, beforehand, strict=True) if answer is None],
                wait_ms=wait_ms,
                source=(scope.get("client") or (UNKNOWN_SOURCE,))[0],
                taken_in=count,
            )
        )
        if traces is not None:
            traces.submitted([proof.proof_id for proof in new], began_ns)
        return [next(answers) if answer is None else answer for answer in beforehand]

    async def _known(self, proofs: list[SignedProof], left_out: list[Refusal | None]) -> dict[bytes, Answer]:
        """What is known of those that are left out, by proof id."""
        looked_up = [proof.proof_id for proof, refusal in zip(proofs, left_out, strict=False) if refusal is not None]
        return await self._services.admission.known(looked_up) if looked_up else {}

    def _beforehand(self, proof: SignedProof, left_out: Refusal | None, known: dict[bytes, Answer]) -> Answer | None:
        """The answer that needs no admission; None if it does, as what waits already: it may still be to be promised,
        and waited for."""
        answer = None if left_out is None else known.get(proof.proof_id, left_out)
        return self._over_account_quota(proof) if answer is None or isinstance(answer, Pending) else answer

    def _over_account_quota(self, proof: SignedProof) -> Refusal | None:
        """Nobody but the account's key can use its quota up: only what is taken in counts."""
        seconds = self._accounts.retry_seconds(proof.account)
        if not seconds:
            return None
        return Refusal(
            RefusalCode.RATE_LIMITED,
            f"account: has had {self._accounts.limit} proofs taken in within a minute; try again in {seconds} s",
            Details(gate="account_submissions", limit=self._accounts.limit, unit="submissions/min"),
        )

    def retry_seconds(self, refusal: Refusal, scope: Scope) -> int:
        """When to try again after this refusal, where it is one of those that time heals."""
        match refusal.details.gate:
            case "address_submissions":
                return bill_of(scope)["quota"].retry_seconds()
            case "account_submissions":
                return WINDOW_SECONDS // self._accounts.limit + 1
            case intake.SHARE_GATE:
                return intake.PAUSED_RETRY_SECONDS
        return RETRY_AFTER_SECONDS

    async def one(self, body: bytes, wait_ms: int, scope: Scope) -> Response:
        """Answer the submission in `body`. Raises `ApiError`, which is counted."""
        arrived_at, counters = trio.current_time(), self._services.counters
        try:
            self.refuse_if_busy()
            proof = parse_submission(body)
            (answer,) = await self.admit([proof], 1, wait_ms, scope)
            if isinstance(answer, Dropped):
                raise ApiError.of(answer.refusal)
            if isinstance(answer, Refusal):
                raise ApiError.of(answer, retry_after_seconds=self.retry_seconds(answer, scope))
        except ApiError as error:
            counters.proof_refused(error.code, "api")
            counters.submission_answered("refused", trio.current_time() - arrived_at)
            raise
        match answer:
            case Finalised(receipt):
                counters.submission_answered("finalised", trio.current_time() - arrived_at)
                return Response(RewardedAnswer.of(receipt).model_dump_json(by_alias=True), media_type=_JSON)
            case Pending():
                counters.submission_answered("pending", trio.current_time() - arrived_at)
                pending = PendingAnswer(proof_id=hex_text(proof.proof_id))
                return Response(pending.model_dump_json(by_alias=True), 202, media_type=_JSON)


def _over_quota(quota: AddressQuota) -> Refusal:
    return Refusal(
        RefusalCode.RATE_LIMITED,
        f"address: may submit {quota.limit} in a minute; try again in {quota.retry_seconds()} s",
        Details(gate="address_submissions", limit=quota.limit, unit="submissions/min"),
    )


async def count_submission(request: Request) -> None:
    """A dependency of routes that take in one thing that is no proof. Raises `ApiError` over the address' quota."""
    quota = bill_of(request.scope)["quota"]
    if not quota.take(1):
        raise ApiError.of(_over_quota(quota), retry_after_seconds=quota.retry_seconds())


class ShortWay:
    """ASGI middleware: see the module's docstring. It stands behind `BodyLimit`, which hands over a whole body."""

    def __init__(self, app: ASGIApp, services: ApiServices, submitting: Submitting) -> None:
        self._app = app
        self._services = services
        self._submitting = submitting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == SUBMIT_PATH:
            wait_ms = self._submitting.plain_wait_ms(scope["query_string"])
            if wait_ms is not None:
                body = (await receive())["body"]
                try:
                    response = await self._submitting.one(body, wait_ms, scope)
                except ApiError as error:
                    response = error_response(error, self._services.clock, path=SUBMIT_PATH)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)
