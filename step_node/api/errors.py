"""Every answer that is not a success: one envelope, and one way to it. What the codes mean is in `explanations.codes`.

A handler that cannot give what was asked for raises `ApiError`, and what else can go wrong underneath it (a parameter
that does not validate, a path that does not exist, a store that does not answer, a bug) is turned into one here. So
every client sees `{ok: false, code, message, details, timestamp}`, whatever went wrong and wherever (protocol.md §2).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, TypeAlias

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field
from starlette.exceptions import HTTPException

from step_node.api.details import DetailsAnswer
from step_node.api.middleware.methods import allowed_methods
from step_node.api.models.schema import Answer
from step_node.clock import Clock
from step_node.economy.side_file import EconomyFileError
from step_node.errors import rule_of
from step_node.explanations.codes import BY_CODE, PATIENCE_STATUSES
from step_node.explanations.details import NO_DETAILS, Details, shown
from step_node.mempool.journal import JournalError
from step_node.operations.operation import OperationCode, OperationRefused
from step_node.proofs.proof import Refusal, RefusalCode
from step_node.proofs.timestamps import format_timestamp
from step_node.storage.interface import StorageUnavailable

RETRY_AFTER_SECONDS: Final = 1
"""How much later, as such an answer says in its `Retry-After` header, where nothing better is known."""


class RequestCode(StrEnum):
    """Codes for requests that never became a question about a proof, in addition to the protocol's."""

    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    FORBIDDEN = "FORBIDDEN"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    HEADERS_TOO_LARGE = "HEADERS_TOO_LARGE"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    INTAKE_SHED = "INTAKE_SHED"
    SWITCHED_OFF = "SWITCHED_OFF"
    PROOF_NOT_FOUND = "PROOF_NOT_FOUND"
    OPERATION_NOT_FOUND = "OPERATION_NOT_FOUND"
    RECEIPT_NOT_FOUND = "RECEIPT_NOT_FOUND"
    BATCH_NOT_FOUND = "BATCH_NOT_FOUND"
    REPORT_NOT_FOUND = "REPORT_NOT_FOUND"
    VALIDATOR_NOT_FOUND = "VALIDATOR_NOT_FOUND"


Code: TypeAlias = RefusalCode | RequestCode | OperationCode

HTTP_STATUS: Final[Mapping[Code, int]] = {
    code: BY_CODE[code.value].status for codes in (RefusalCode, RequestCode, OperationCode) for code in codes
}
"""The HTTP status of each code."""

MESH_PREFIX: Final = "/mesh"
"""Below it errors are told in a second form too, `error: {code, message}`: STEP clients that there are read that."""


class MeshError(Answer):
    """The code and the message again, as STEP clients that were there before this API read them."""

    code: Code
    message: str


class ErrorAnswer(Answer):
    """Anything but a success."""

    ok: Literal[False] = False
    code: Code = Field(description="What went wrong, for programs.", examples=["INVALID_PAYLOAD"])
    message: str = Field(
        description="What went wrong, for people: the field and its rule.",
        examples=["lat: must be a finite number of degrees from -90 to 90"],
    )
    details: DetailsAnswer = Field(description="What exactly went wrong, for programs.")
    timestamp: str = Field(description="The node's clock.", examples=["2026-01-31T12:00:00.000Z"])
    error: Annotated[MeshError | None, Field(description="Below `/mesh` only: code and message again.")] = Field(
        default=None, exclude_if=lambda error: error is None
    )


class ApiError(Exception):
    """Raised where a request cannot be answered as asked; `message` names the field and the rule, as `field: rule`.

    `details` has the figures behind it; gate, field, rule and whether it is retryable are filled in by the code and the
    message where it leaves them open. `retry_after_seconds` is told where the status is one of `PATIENCE_STATUSES`, as
    the header `Retry-After` and as the details' `retryAt`.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        details: Details = NO_DETAILS,
        retry_after_seconds: int = RETRY_AFTER_SECONDS,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = details
        self.retry_after_seconds = retry_after_seconds

    @classmethod
    def of(cls, refusal: Refusal | OperationRefused, *, retry_after_seconds: int = RETRY_AFTER_SECONDS) -> ApiError:
        """The error that tells a client of a gate's refusal."""
        return cls(refusal.code, refusal.message, details=refusal.details, retry_after_seconds=retry_after_seconds)


def error_response(
    error: ApiError, clock: Clock, headers: Mapping[str, str] | None = None, *, path: str = ""
) -> Response:
    """The one form of an error: the envelope, with the status of its code. `path`: the request's, where it has one."""
    now_ms = clock.now_ms()
    envelope = ErrorAnswer(
        code=error.code,
        message=error.message,
        details=DetailsAnswer.of(
            error.code.value,
            error.message,
            error.details,
            now_ms=now_ms,
            retry_after_seconds=error.retry_after_seconds,
        ),
        timestamp=format_timestamp(now_ms),
        error=MeshError(code=error.code, message=error.message) if path.startswith(MESH_PREFIX) else None,
    )
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
        if "Allow" in headers:
            headers["Allow"] = ", ".join(allowed_methods(request.scope))  # The framework names those of one route.
        api_error = _translate(request, error)
        if api_error.code is RefusalCode.INTERNAL_ERROR:
            # The framework raises it again after this answer, and the server logs it with its traceback and this note.
            request_id = structlog.contextvars.get_contextvars().get("request_id", "-")
            error.add_note(f"while answering {request.method} {request.url.path}, request {request_id}")
        return error_response(api_error, clock, headers, path=request.url.path)

    for kind in (
        ApiError,
        RequestValidationError,
        HTTPException,
        StorageUnavailable,
        JournalError,
        EconomyFileError,
        Exception,
    ):
        app.add_exception_handler(kind, on_exception)


def _translate(request: Request, error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            return _malformed(error)
        case HTTPException(status_code=HTTPStatus.METHOD_NOT_ALLOWED):
            return ApiError(
                RequestCode.METHOD_NOT_ALLOWED,
                f"method: {request.method} is not allowed here; see the Allow header",
                details=Details(
                    value=shown(request.method),
                    allowed=allowed_methods(request.scope),
                ),
            )
        case HTTPException(status_code=HTTPStatus.NOT_FOUND):
            return ApiError(
                RequestCode.NOT_FOUND,
                "path: there is nothing here; the API is described at /docs",
                details=Details(value=shown(request.url.path)),
            )
        case StorageUnavailable():
            return ApiError(
                RefusalCode.NOT_READY,
                "the node's store does not answer just now; try again in a second",
                details=Details(gate="store"),
            )
        case EconomyFileError():
            return ApiError(
                RefusalCode.NOT_READY,
                "the node's side file of the economy does not answer just now; try again in a second",
                details=Details(gate="store"),
            )
        case JournalError():
            return ApiError(
                RefusalCode.NOT_READY,
                "the node's journal does not answer just now; try again in a second",
                details=Details(gate="journal"),
            )
        case _:
            return ApiError(RefusalCode.INTERNAL_ERROR, "the node failed to answer; its operator finds why in its log")


def _malformed(error: RequestValidationError) -> ApiError:
    """`parameter: rule; parameter: rule`; the values are the client's own text, and in the details alone."""
    items: list[dict[str, Any]] = list(error.errors())
    first = items[0]
    return ApiError(
        RefusalCode.INVALID_PAYLOAD,
        "; ".join(f"{item['loc'][-1]}: {rule_of(item)}" for item in items),
        details=Details(
            field=str(first["loc"][-1]),
            rule=rule_of(first),
            value=None if first["type"] == "missing" else shown(first["input"]),
        ),
    )
