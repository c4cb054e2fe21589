"""The body of `POST /proof/submit`: an object of exactly a payload and its signature (protocol.md §2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from step_node.api.errors import ApiError
from step_node.api.middleware.body import parse_json
from step_node.api.models.schema import ADDRESS_PATTERN, EXAMPLE_SUBMISSION, TRIANGLE_FORMAT, TRIANGLE_PATTERN
from step_node.explanations.details import NO_DETAILS, Details
from step_node.proofs.payload import NONCE_CHARACTERS_MAX, UNKNOWN_FIELD_CHARACTERS_SHOWN, parse_payload
from step_node.proofs.proof import ProofRefused, Refusal, RefusalCode, SignedProof

_FIELDS: Final = ("payload", "signature")


def parse_submission(body: bytes) -> SignedProof:
    """The proof in a request's body. Raises `ApiError` (INVALID_PAYLOAD) naming the field and its rule."""
    document = parse_json(body)
    if not isinstance(document, dict):
        raise refused("body: must be a JSON object of payload and signature")
    try:
        return submission_in(document)
    except ProofRefused as error:
        raise ApiError.of(error.refusal) from error


def submission_in(document: object) -> SignedProof:
    """The proof in one submission's object. Raises ProofRefused (INVALID_PAYLOAD) naming the field and its rule."""
    if not isinstance(document, dict):
        raise _malformed("submission: must be an object of payload and signature")
    for field in _FIELDS:
        if field not in document:
            raise _malformed(f"{field}: is missing")
    for field in document:
        if field not in _FIELDS:
            # MessagePack has keys that are not text.
            shown = ascii(str(field)[:UNKNOWN_FIELD_CHARACTERS_SHOWN])
            rule = "is not a field of a submission; it has payload and signature"
            raise _malformed(f"{shown}: {rule}", Details(field=shown, rule=rule, allowed=_FIELDS))
    # parse_payload asks both for their types.
    return parse_payload(cast(Mapping[str, object], document["payload"]), cast(str, document["signature"]))


def refused(message: str) -> ApiError:
    """The refusal of a body as a whole."""
    return ApiError(RefusalCode.INVALID_PAYLOAD, message)


def _malformed(message: str, details: Details = NO_DETAILS) -> ProofRefused:
    return ProofRefused(Refusal(RefusalCode.INVALID_PAYLOAD, message, details))


def _field(kind: str, description: str, **rules: object) -> dict[str, object]:
    return {"type": kind, "description": description, **rules}


_PAYLOAD_FIELDS: Final[dict[str, object]] = {
    "version": _field("string", "The form of the signed line.", const="STEP-PROOF-v1"),
    "account": _field("string", "Who is there, and is paid.", pattern=ADDRESS_PATTERN),
    "triangleId": _field(
        "string",
        "The triangle that the point is in, in its text form.",
        pattern=TRIANGLE_PATTERN,
        format=TRIANGLE_FORMAT,
    ),
    "lat": _field("number", "Degrees.", minimum=-90, maximum=90),
    "lon": _field("number", "Degrees.", minimum=-180, maximum=180),
    "accuracy": _field("number", "Metres; at most GPS_MAX_ACCURACY_M.", exclusiveMinimum=0),
    "timestamp": _field(
        "string", "When, by the client's clock.", pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"
    ),
    "nonce": _field(
        "string", "Never used before by this account.", pattern=f"^[A-Za-z0-9._-]{{1,{NONCE_CHARACTERS_MAX}}}$"
    ),
}

SUBMISSION_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Submission",
    "additionalProperties": False,
    "required": list(_FIELDS),
    "properties": {
        "payload": {
            "type": "object",
            "title": "ProofPayload",
            "additionalProperties": False,
            "required": list(_PAYLOAD_FIELDS),
            "properties": _PAYLOAD_FIELDS,
        },
        "signature": _field(
            "string",
            "EIP-191 personal_sign of the canonical line by `account`: r, s, v.",
            pattern="^0x[0-9a-fA-F]{130}$",
        ),
    },
    "example": EXAMPLE_SUBMISSION,
}
"""The body as OpenAPI describes it. It is not parsed with this: `parse_submission` names the field and its rule."""
