"""From a client's JSON to a `SignedProof`: the first gate, INVALID_PAYLOAD (protocol.md §2).

The payload has exactly the fields of the table, each of exactly its type: a number is never a string or a boolean,
and an unknown field is refused, because it would be shown to the client as accepted although nobody signed it.
The signature is `0x` and 130 hex digits. Whether such 65 bytes are a signature at all (v, the ranges of r and s) is
asked by the BAD_SIGNATURE gate, which comes after LOW_GPS_ACCURACY; so here v is only brought from 0 and 1 to 27 and
28, and any other v is left for that gate to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mesh import TriangleId
from step_node.crypto.eip191 import with_recovery_value
from step_node.explanations.details import Details, shown
from step_node.proofs.canonical_line import PROOF_VERSION, canonical_line, proof_id
from step_node.proofs.proof import ProofRefused, Refusal, RefusalCode, SignedProof
from step_node.proofs.timestamps import TIMESTAMP_RULE, parse_timestamp

TRIANGLE_TEXT_CHARACTERS_MAX = 64
NONCE_CHARACTERS_MAX = 64
UNKNOWN_FIELD_CHARACTERS_SHOWN = 40

SIGNATURE_RULE = "must be a string of 0x and 130 hex digits (65 bytes r, s, v)"

_SIGNATURE_FORM = re.compile("0x[0-9a-fA-F]{130}")

_RULES = {
    "version": f'must be the string "{PROOF_VERSION}"',
    "account": "must be a string of 0x and 40 hex digits",
    "triangleId": "must be a triangle in its text form, a string",
    "lat": "must be a finite number of degrees from -90 to 90",
    "lon": "must be a finite number of degrees from -180 to 180",
    "accuracy": "must be a finite number of metres above 0",
    "timestamp": TIMESTAMP_RULE,
    "nonce": f"must be a string of 1 to {NONCE_CHARACTERS_MAX} characters out of A-Z a-z 0-9 . _ -",
}


WITHOUT_A_POSITION: Final = "STEP-PROOF-v2"
"""A version that a public app signs. Its line leaves out latitude and longitude: its signature vouches for no place."""

_NO_POSITION_RULE: Final = (
    f'must be the string "{PROOF_VERSION}": the text that {WITHOUT_A_POSITION} signs leaves out the position, so'
    f" anybody could put another place under its signature; build the payload and sign the line of {PROOF_VERSION}"
)


class ProofPayload(BaseModel):
    """The JSON object of protocol.md §2, with its own field names. Patterns are Rust's: `$` is the very end."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal["STEP-PROOF-v1"]
    account: Annotated[str, Field(pattern="^0x[0-9a-fA-F]{40}$")]
    triangleId: Annotated[str, Field(max_length=TRIANGLE_TEXT_CHARACTERS_MAX)]  # noqa: N815 - the protocol's name
    lat: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
    lon: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
    accuracy: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    timestamp: Annotated[str, Field(max_length=24)]
    nonce: Annotated[str, Field(pattern=f"^[A-Za-z0-9._-]{{1,{NONCE_CHARACTERS_MAX}}}$")]


def parse_payload(payload: object, signature: object) -> SignedProof:
    """Decode a client's payload (parsed JSON) and signature (hex) into a `SignedProof`, its proof id computed.

    The proof is of the right form and nothing more: the gates of `step_node.proofs.gates` come next.
    Raises ProofRefused with INVALID_PAYLOAD, and a message "field: rule", never quoting the value (the details do, cut
    short); nothing else, whatever JSON value either argument is.
    """
    fields = _parse_fields(payload)
    try:
        triangle = TriangleId.parse(fields.triangleId)
    except ValueError as error:
        raise _refused("triangleId", str(error), fields.triangleId) from error
    try:
        timestamp_ms = parse_timestamp(fields.timestamp)
    except ValueError as error:
        raise _refused("timestamp", str(error), fields.timestamp) from error
    account = bytes.fromhex(fields.account[2:])
    # Adding 0.0 turns -0.0 into 0.0, the one zero of the canonical form, and changes nothing else.
    lat, lon, accuracy_m = fields.lat + 0.0, fields.lon + 0.0, fields.accuracy
    line = canonical_line(account, fields.triangleId, lat, lon, accuracy_m, fields.timestamp, fields.nonce)
    return SignedProof(
        account, triangle, lat, lon, accuracy_m, timestamp_ms, fields.nonce, _parse_signature(signature), proof_id(line)
    )


def _parse_fields(payload: object) -> ProofPayload:
    if not isinstance(payload, dict):
        if not isinstance(payload, Mapping):
            raise _refused("payload", "must be a JSON object")
        payload = dict(payload)
    try:
        return ProofPayload.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    raise _refusal_of(first["loc"], payload, is_missing=first["type"] == "missing")


def _refusal_of(location: tuple[int | str, ...], payload: Mapping[str, object], *, is_missing: bool) -> ProofRefused:
    if not location:
        return _refused("payload", "must have field names that are Unicode text")
    field = str(location[0])
    if is_missing:
        return _refused(field, "is missing")
    if field not in _RULES:
        # The field's name is the client's own text: shown in ASCII, and only its beginning.
        shown_name = ascii(field[:UNKNOWN_FIELD_CHARACTERS_SHOWN])
        return _refused(shown_name, f"is not a field of {PROOF_VERSION}", allowed=tuple(_RULES))
    if field == "version" and payload[field] == WITHOUT_A_POSITION:
        return _refused(field, _NO_POSITION_RULE, payload[field])
    return _refused(field, _RULES[field], payload[field])


def _parse_signature(signature: object) -> bytes:
    if not isinstance(signature, str) or _SIGNATURE_FORM.fullmatch(signature) is None:
        raise _refused("signature", SIGNATURE_RULE, signature)
    return with_recovery_value(bytes.fromhex(signature[2:]))


def _refused(field: str, rule: str, value: object = None, *, allowed: tuple[str, ...] | None = None) -> ProofRefused:
    details = Details(field=field, rule=rule, value=shown(value), allowed=allowed)
    return ProofRefused(Refusal(RefusalCode.INVALID_PAYLOAD, f"{field}: {rule}", details))
