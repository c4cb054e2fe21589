"""Every answer that is not a success: one table of codes and statuses, one envelope, one way to it.

A handler that cannot give what was asked for raises `ApiError`, and what else can go wrong underneath it (a parameter
that does not validate, a path that does not exist, a store that does not answer, a bug) is turned into one here. So
every client sees `{ok: false, code, message, timestamp}`, whatever went wrong and wherever (protocol.md §2).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Literal, TypeAlias

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field
from starlette.exceptions import HTTPException

from step_node.api.schema import Answer
from step_node.clock import Clock
from step_node.errors import rule_of
from step_node.mempool.journal import JournalError
from step_node.operations.operation import OperationCode
from step_node.proofs.proof import Refusal, RefusalCode
from step_node.proofs.timestamps import format_timestamp
from step_node.storage.interface import StorageUnavailable

PATIENCE_STATUSES: Final = (429, 503)
"""The statuses that mean: the same request may succeed a little later."""

RETRY_AFTER_SECONDS: Final = 1
"""How much later, as such an answer says in its `Retry-After` header, where nothing better is known."""


class RequestCode(StrEnum):
    """Codes for requests that never became a question about a proof, in addition to the protocol's."""

    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    HEADERS_TOO_LARGE = "HEADERS_TOO_LARGE"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    PROOF_NOT_FOUND = "PROOF_NOT_FOUND"
    BATCH_NOT_FOUND = "BATCH_NOT_FOUND"
    VALIDATOR_NOT_FOUND = "VALIDATOR_NOT_FOUND"


Code: TypeAlias = RefusalCode | RequestCode | OperationCode

HTTP_STATUS: Final[Mapping[Code, int]] = {
    RefusalCode.INVALID_PAYLOAD: 400,
    RefusalCode.LOW_GPS_ACCURACY: 422,
    RefusalCode.BAD_SIGNATURE: 401,
    RefusalCode.OUT_OF_BOUNDS: 422,
    RefusalCode.CLOCK_DRIFT: 422,
    RefusalCode.NONCE_REPLAY: 409,
    RefusalCode.TRIANGLE_NOT_FOUND: 404,
    RefusalCode.TRIANGLE_EXHAUSTED: 409,
    RefusalCode.TOO_FAST: 422,
    RefusalCode.MORATORIUM: 422,
    RefusalCode.RATE_LIMITED: 429,
    RefusalCode.MEMPOOL_FULL: 503,
    RefusalCode.NOT_READY: 503,
    RefusalCode.INTERNAL_ERROR: 500,
    RequestCode.NOT_FOUND: 404,
    RequestCode.METHOD_NOT_ALLOWED: 405,
    RequestCode.PAYLOAD_TOO_LARGE: 413,
    RequestCode.HEADERS_TOO_LARGE: 431,
    RequestCode.REQUEST_TIMEOUT: 408,
    RequestCode.PROOF_NOT_FOUND: 404,
    RequestCode.BATCH_NOT_FOUND: 404,
    RequestCode.VALIDATOR_NOT_FOUND: 404,
    OperationCode.INVALID_OPERATION: 400,
    OperationCode.BAD_SIGNATURE: 401,
    OperationCode.WRONG_SEQUENCE: 409,
    OperationCode.UNKNOWN_VALIDATOR: 404,
    OperationCode.NOT_THE_OWNER: 403,
    OperationCode.KEY_IN_USE: 409,
    OperationCode.STAKE_TOO_LOW: 422,
    OperationCode.INSUFFICIENT_BALANCE: 422,
    OperationCode.NO_PLACE: 409,
    OperationCode.WRONG_STATE: 409,
    OperationCode.POOL_FULL: 503,
}
"""The HTTP status of each code: the protocol's for proofs (§2), this API's own, and those of validator operations."""


class ErrorAnswer(Answer):
    """Anything but a success."""

    ok: Literal[False] = False
    code: Code = Field(description="What went wrong, for programs.", examples=["INVALID_PAYLOAD"])
    message: str = Field(
        description="What went wrong, for people: the field and its rule.",
        examples=["lat: must be a finite number of degrees from -90 to 90"],
    )
    timestamp: str = Field(description="The node's clock.", examples=["2026-01-31T12:00:00.000Z"])


class ApiError(Exception):
    """Raised where a request cannot be answered as asked; `message` names the field and the rule.

    `retry_after_seconds` is told where the status is one of `PATIENCE_STATUSES`.
    """

    def __init__(self, code: Code, message: str, *, retry_after_seconds: int = RETRY_AFTER_SECONDS) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    @classmethod
    def of(cls, refusal: Refusal, *, retry_after_seconds: int = RETRY_AFTER_SECONDS) -> ApiError:
        """The error that tells a client of a gate's refusal."""
        return cls(refusal.code, refusal.message, retry_after_seconds=retry_after_seconds)


def error_response(error: ApiError, clock: Clock, headers: Mapping[str, str] | None = None) -> Response:
    """The one form of an error: the envelope, with the status of its code."""
    timestamp = format_timestamp(clock.now_ms())
    envelope = ErrorAnswer(code=error.code, message=error.message, timestamp=timestamp)
    return envelope_response(envelope, headers, retry_after_seconds=error.retry_after_seconds)


def envelope_response(
    envelope: ErrorAnswer,
    headers: Mapping[str, str] | None = None,
    *,
    retry_after_seconds: int = RETRY_AFTER_SECONDS,
) -> Response:
    """The response that carries `envelope`."""
    status = HTTP_STATUS[envelope.code]
    all_headers = dict(headers or {})
    if status in PATIENCE_STATUSES:
        all_headers["Retry-After"] = str(retry_after_seconds)
    return Response(envelope.model_dump_json(by_alias=True), status, all_headers, "application/json")


def install_error_handlers(app: FastAPI, clock: Clock) -> None:
    """Make `error_response` the only way in which `app` answers anything but a success."""

    async def on_exception(request: Request, error: Exception) -> Response:
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        if headers.get("Allow") == "GET":
            headers["Allow"] = "GET, HEAD"  # The latter is answered in front of the routes, by `HeadAsGet`.
        api_error = _translate(request, error)
        if api_error.code is RefusalCode.INTERNAL_ERROR:
            # The framework raises it again after this answer, and the server logs it with its traceback and this note.
            error.add_note(f"while answering {request.method} {request.url.path}")
        return error_response(api_error, clock, headers)

    for kind in (
        ApiError,
        RequestValidationError,
        HTTPException,
        StorageUnavailable,
        JournalError,
        Exception,
    ):
        app.add_exception_handler(kind, on_exception)


def _translate(request: Request, error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            return ApiError(RefusalCode.INVALID_PAYLOAD, _describe(error))
        case HTTPException(status_code=HTTPStatus.METHOD_NOT_ALLOWED):
            return ApiError(
                RequestCode.METHOD_NOT_ALLOWED, f"method: {request.method} is not allowed here; see the Allow header"
            )
        case HTTPException(status_code=HTTPStatus.NOT_FOUND):
            return ApiError(RequestCode.NOT_FOUND, "path: there is nothing here; the API is described at /docs")
        case StorageUnavailable():
            return ApiError(RefusalCode.NOT_READY, "the node's store does not answer just now; try again in a second")
        case JournalError():
            return ApiError(RefusalCode.NOT_READY, "the node's journal does not answer just now; try again in a second")
        case _:
            return ApiError(RefusalCode.INTERNAL_ERROR, "the node failed to answer; its operator finds why in its log")


def _describe(error: RequestValidationError) -> str:
    """`parameter: rule; parameter: rule`, without the values, which are the client's own text."""
    return "; ".join(f"{item['loc'][-1]}: {rule_of(item)}" for item in error.errors())
