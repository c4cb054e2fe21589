"""How the OpenAPI description (at /docs) tells of errors: for each status its codes, each with an example."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from fastapi import FastAPI

from step_node.api.as_of import AS_OF_HEIGHT
from step_node.api.errors import HTTP_STATUS, PATIENCE_STATUSES, Code, ErrorAnswer, RequestCode
from step_node.api.schema import EXAMPLE_TIMESTAMP
from step_node.operations.operation import OperationCode
from step_node.proofs.proof import RefusalCode

_EXAMPLES: dict[Code, str] = {
    RefusalCode.INVALID_PAYLOAD: "lat: must be a finite number of degrees from -90 to 90",
    RefusalCode.LOW_GPS_ACCURACY: "accuracy: must be at most 50 metres",
    RefusalCode.BAD_SIGNATURE: "signature: must be by account; it is by another address or over another line",
    RefusalCode.OUT_OF_BOUNDS: "lat, lon: the point must be in the triangle triangleId",
    RefusalCode.CLOCK_DRIFT: "timestamp: 400000 ms old; at most 300000 ms are allowed",
    RefusalCode.NONCE_REPLAY: "nonce: this account has used 'walk-17' already",
    RefusalCode.TRIANGLE_NOT_FOUND: "triangleId: does not exist: its parent is not subdivided",
    RefusalCode.TRIANGLE_EXHAUSTED: "triangleId: is subdivided; choose an active triangle",
    RefusalCode.TOO_FAST: "lat, lon: too far from this account's last proof, 10000 ms before, for 15 m/s",
    RefusalCode.MORATORIUM: "timestamp: 4000 ms after this account's last proof; at least 10000 ms are required",
    RefusalCode.RATE_LIMITED: "address: asks for more than its share of this node's time",
    RefusalCode.MEMPOOL_FULL: "50000 proofs wait already; try again in a few seconds",
    RefusalCode.NOT_READY: "the node's store does not answer just now; try again in a second",
    RefusalCode.INTERNAL_ERROR: "the node failed to answer; its operator finds why in its log",
    RequestCode.NOT_FOUND: "path: there is nothing here; the API is described at /docs",
    RequestCode.METHOD_NOT_ALLOWED: "method: PUT is not allowed here; see the Allow header",
    RequestCode.PAYLOAD_TOO_LARGE: "body: must have at most 16384 bytes",
    RequestCode.HEADERS_TOO_LARGE: "request: its line and headers must have at most 16384 bytes",
    RequestCode.REQUEST_TIMEOUT: "body: must arrive within 10 seconds",
    RequestCode.PROOF_NOT_FOUND: "proofId: this node has neither accepted nor finalised such a proof",
    RequestCode.BATCH_NOT_FOUND: "height: 43 is not finalised yet; the last is 42",
    RequestCode.VALIDATOR_NOT_FOUND: "address: is not a validator's",
    OperationCode.INVALID_OPERATION: "stake: must be a decimal string of STEP",
    OperationCode.BAD_SIGNATURE: "possession: must be by the new hot key, over the same line",
    OperationCode.WRONG_SEQUENCE: "sequence: the owner's next is 3",
    OperationCode.UNKNOWN_VALIDATOR: "validator: there is none with this address",
    OperationCode.NOT_THE_OWNER: "owner: is not this validator's",
    OperationCode.KEY_IN_USE: "public_key: is another validator's, or was",
    OperationCode.STAKE_TOO_LOW: "stake_ustep: must be at least min_stake",
    OperationCode.INSUFFICIENT_BALANCE: "stake_ustep: is more than the owner's balance",
    OperationCode.NO_PLACE: "there are as many validators as there may be",
    OperationCode.WRONG_STATE: "validator: is not in the set",
    OperationCode.POOL_FULL: "too many operations wait; try again in a few seconds",
}

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
much (`step_node.api.limits`), the latter also when its store does not answer."""


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
    return {"ok": False, "code": code.value, "message": _EXAMPLES[code], "timestamp": EXAMPLE_TIMESTAMP}


class DocumentedApi(FastAPI):
    """FastAPI, less what it documents of itself: parameters that do not validate answer 400 here, never its 422."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI description, made once."""
        if self.openapi_schema is None:
            schema = super().openapi()
            for operations in schema["paths"].values():
                for method, operation in operations.items():
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
