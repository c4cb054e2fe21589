"""How the OpenAPI description (at /docs) tells of errors: for each status its codes, each with an example."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from fastapi import FastAPI

from step_node.api.errors import HTTP_STATUS, Code, ErrorAnswer, RequestCode
from step_node.api.middleware.as_of import AS_OF_HEIGHT
from step_node.api.models.schema import EXAMPLE_TIMESTAMP
from step_node.explanations.codes import BY_CODE, PATIENCE_STATUSES
from step_node.proofs.proof import RefusalCode

EVERYWHERE = (
    RefusalCode.INVALID_PAYLOAD,
    RequestCode.PAYLOAD_TOO_LARGE,
    RequestCode.HEADERS_TOO_LARGE,
    RequestCode.REQUEST_TIMEOUT,
    RefusalCode.RATE_LIMITED,
    RefusalCode.NOT_READY,
    RefusalCode.INTERNAL_ERROR,
)
"""What any route can answer: the first to query parameters that it does not have, 429 and 503 when it is asked for too
much (`step_node.api.server.limits`), the latter also when its store does not answer."""


_RETRY_AFTER = {"headers": {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}}


_AS_OF = {"description": "All that is final up to this height is in the answer.", "schema": {"type": "integer"}}
_AS_OF_STATUSES = ("200", "304", "404")


def refusals(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can answer with these codes."""
    by_status: defaultdict[int, list[Code]] = defaultdict(list)
    for code in codes:
        by_status[HTTP_STATUS[code]].append(code)
    return {
        status: {
            "model": ErrorAnswer,
            **(_RETRY_AFTER if status in PATIENCE_STATUSES else {}),
            "description": " or ".join(f"`{code}`" for code in of_status),
            "content": {"application/json": {"examples": {str(code): {"value": _example(code)} for code in of_status}}},
        }
        for status, of_status in sorted(by_status.items())
    }


def _example(code: Code) -> dict[str, object]:
    row = BY_CODE[code.value]
    return {
        "ok": False,
        "code": row.code,
        "message": row.message,
        "details": {"gate": row.gate, "retryable": row.retryable} | row.example,
        "timestamp": EXAMPLE_TIMESTAMP,
    }


class DocumentedApi(FastAPI):
    """FastAPI, less what it documents of itself: parameters that do not validate answer 400 here, never its 422."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI description, made once."""
        if self.openapi_schema is None:
            schema = super().openapi()
            for operations in schema["paths"].values():
                for method, operation in operations.items():
                    for parameter in operation.get("parameters", ()):
                        parameter["schema"] = _without_null(parameter["schema"])
                    if method == "get":
                        for status in operation["responses"].keys() & set(_AS_OF_STATUSES):
                            operation["responses"][status].setdefault("headers", {})[AS_OF_HEIGHT] = _AS_OF
                    answer = operation["responses"].get("422", {})
                    if "HTTPValidationError" in str(answer.get("content")):
                        del operation["responses"]["422"]
            for name in ("HTTPValidationError", "ValidationError"):
                schema["components"]["schemas"].pop(name, None)
            self.openapi_schema = schema
        return self.openapi_schema


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema without the alternative of null: text has no null, and to leave it out is another thing."""
    alternatives = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(alternatives) != 1:
        return schema
    return {**alternatives[0], **{name: value for name, value in schema.items() if name != "anyOf"}}
