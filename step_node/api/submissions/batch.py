"""The body of `POST /proof/submit-batch`: up to `BATCH_SUBMISSIONS_MAX` submissions in one of three forms.

Each submission is read as strictly as the body of `POST /proof/submit`, and one that is not of its form costs only
itself: it is refused in its place. What makes the whole unreadable (no JSON, no array, too many) refuses the request.

Reading a thousand takes some 30 ms, so it belongs on a worker thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final, TypeAlias

import msgpack

from step_node.api.errors import ApiError
from step_node.api.middleware.body import BODY_BYTES_MAX, parse_json
from step_node.api.models.schema import EXAMPLE_SUBMISSION
from step_node.api.submissions.single import SUBMISSION_SCHEMA, refused, submission_in
from step_node.proofs.proof import ProofRefused, Refusal, RefusalCode, SignedProof
from step_node.proofs.wire import MalformedProof, from_wire_fields

BATCH_SUBMISSIONS_MAX: Final = 1_000
"""Submissions in one body."""

PACKED_BYTES_MAX: Final = 2_048
"""The longest submission in MessagePack. The longest true one, as an object, has some 600 bytes."""

JSON: Final = "application/json"
LINES: Final = "application/x-ndjson"
MESSAGEPACK: Final = ("application/msgpack", "application/vnd.msgpack", "application/x-msgpack")
"""Media types of the forms. Any other is read as JSON, as the single form is; MessagePack has had three names."""

SUBMISSIONS_RULE: Final = f"must hold 1 to {BATCH_SUBMISSIONS_MAX} submissions"

Read: TypeAlias = SignedProof | Refusal
"""What one submission is read as."""


def parse_submissions(body: bytes, media_type: str) -> list[Read]:
    """The proofs in a request's body, in order, with a refusal in the place of each that is not of its form.

    Raises `ApiError` (INVALID_PAYLOAD) if the body as a whole is not of the form that `media_type` names, nothing else.
    """
    if media_type == LINES:
        return _lines(body)
    if media_type in MESSAGEPACK:
        return _packed(body)
    return _array(body)


def _array(body: bytes) -> list[Read]:
    # A submission has two objects and no array. More would only be taken apart to be refused.
    if body.count(b"{") > 2 * BATCH_SUBMISSIONS_MAX or body.count(b"[") > BATCH_SUBMISSIONS_MAX:
        raise refused(f"body: {SUBMISSIONS_RULE}, each of two objects and no array")
    documents = parse_json(body)
    if not isinstance(documents, list):
        raise refused("body: must be a JSON array of submissions")
    _check_number(len(documents))
    return [_read(document) for document in documents]


def _lines(body: bytes) -> list[Read]:
    lines = body.split(b"\n", BATCH_SUBMISSIONS_MAX + 1)
    if not lines[-1].strip():
        lines.pop()  # The last line may end like the others.
    _check_number(len(lines))
    return [_read_line(line) for line in lines]


def _packed(body: bytes) -> list[Read]:
    try:
        return [_read_packed(item) for item in _items(body)]
    except (ValueError, msgpack.UnpackException) as error:
        raise refused("body: must be one MessagePack array of submissions") from error


def _items(body: bytes) -> list[bytes]:
    """The packed items of an array. Each is taken apart by itself, so that what it makes of its bytes is soon gone."""
    unpacker = msgpack.Unpacker(None, max_buffer_size=len(body) or 1)
    unpacker.feed(body)
    number = unpacker.read_array_header()
    _check_number(number)
    ends = [unpacker.tell()]
    for _ in range(number):
        unpacker.skip()
        ends.append(unpacker.tell())
    if ends[-1] != len(body):
        raise ValueError("more than one value")
    return [body[start:end] for start, end in pairwise(ends)]


def _read_line(line: bytes) -> Read:
    if len(line) > BODY_BYTES_MAX:
        return _not_of_its_form(f"submission: must have at most {BODY_BYTES_MAX} bytes")
    try:
        return _read(parse_json(line))
    except ApiError as error:
        return Refusal(RefusalCode.INVALID_PAYLOAD, error.message, error.details)


def _read_packed(item: bytes) -> Read:
    if len(item) > PACKED_BYTES_MAX:
        return _not_of_its_form(f"submission: must have at most {PACKED_BYTES_MAX} bytes")
    try:
        document = msgpack.unpackb(item, object_pairs_hook=_unique_keys, strict_map_key=True, max_ext_len=0)
    except (ValueError, msgpack.UnpackException):
        return _not_of_its_form("submission: must be MessagePack without extensions, and no field may stand twice")
    if not isinstance(document, list):
        return _read(document)
    try:
        return from_wire_fields(document)
    except MalformedProof as error:
        return _not_of_its_form(str(error))


def _read(document: object) -> Read:
    try:
        return submission_in(document)
    except ProofRefused as error:
        return error.refusal


def _unique_keys(pairs: Iterator[tuple[Any, Any]]) -> dict[Any, Any]:
    items = list(pairs)
    members = dict(items)
    if len(members) != len(items):
        raise ValueError("a field stands twice")
    return members


def _not_of_its_form(message: str) -> Refusal:
    return Refusal(RefusalCode.INVALID_PAYLOAD, message)


def _check_number(number: int) -> None:
    if not 1 <= number <= BATCH_SUBMISSIONS_MAX:
        raise refused(f"body: {SUBMISSIONS_RULE}")


_ARRAY_SCHEMA: Final[dict[str, Any]] = {
    "type": "array",
    "title": "Submissions",
    "minItems": 1,
    "maxItems": BATCH_SUBMISSIONS_MAX,
    # Whatever stands there is judged by itself, and refused in its place.
    "items": {"anyOf": [SUBMISSION_SCHEMA, {"description": "Anything else is refused in its place."}]},
}

SUBMISSIONS_CONTENT: Final[dict[str, Any]] = {
    JSON: {"schema": _ARRAY_SCHEMA},
    LINES: {
        "schema": {"type": "string", "description": "One submission, in JSON, on each line."},
        "example": json.dumps(EXAMPLE_SUBMISSION) + "\n",
    },
    MESSAGEPACK[0]: {
        "schema": {
            "type": "string",
            "format": "binary",
            "description": "An array of submissions: the objects of the JSON form, or the arrays of protocol.md §2.",
        }
    },
}
"""The body as OpenAPI describes it."""
