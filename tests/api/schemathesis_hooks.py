"""What Schemathesis cannot know of this API: how a triangle's checksum is made, how a proof is signed, what a line is.

`schemathesis.toml` names this module, so that `st run` from the root of the project uses it: what is well-formed by the
description is then also well-formed by arithmetic, and "is accepted" can be asked of every route.
"""

from __future__ import annotations

import secrets
import time
from typing import Any, Final

import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode

from mesh import FACE_COUNT, TriangleId, locate
from step_node.crypto.eip191 import public_key_of
from step_node.proofs.client_signing import sign_payload

SUBMIT: Final = "/proof/submit"
EVENTS: Final = "/events"
TRANSFER: Final = "/account/transfer"
SOMEBODY: Final = "0x" + "5e" * 20
STREAM_MS: Final = 50
SUBMIT_BATCH: Final = "/proof/submit-batch"
ACCURACY_M: Final = 5.0


def _triangles() -> st.SearchStrategy[TriangleId]:
    return st.integers(1, 21).flatmap(
        lambda level: st.builds(
            TriangleId, st.integers(0, FACE_COUNT - 1), st.just(level), st.integers(0, 4 ** (level - 1) - 1)
        )
    )


_TEXTS = _triangles().map(lambda triangle: triangle.text)
schemathesis.openapi.format("step-triangle-id", _TEXTS)
schemathesis.openapi.format("step-triangle-id-list", st.lists(_TEXTS, min_size=1, max_size=3).map(",".join))


schemathesis.openapi.format(
    "step-public-key", st.integers(1, 2**255).map(lambda key: f"0x{public_key_of(key.to_bytes(32)).hex()}")
)
schemathesis.openapi.format(
    "step-bbox",
    st.tuples(st.integers(-180, 180), st.integers(-90, 89), st.integers(-180, 180), st.integers(1, 90)).map(
        lambda sides: f"{sides[0]},{sides[1]},{sides[2]},{min(sides[1] + sides[3], 90)}"
    ),
)


@schemathesis.serializer("application/x-ndjson")
def lines(_context: Any, value: Any) -> bytes:
    """The text as it is."""
    return str(value).encode()


@schemathesis.hook
def filter_case(_context: Any, case: Any) -> bool:
    """Of many submissions, only JSON: OpenAPI 3.1 has no words for what stands on a line, or in MessagePack."""
    return bool(case.path != SUBMIT_BATCH or case.media_type == "application/json")


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Sign a well-formed submission: by a key, at a place and at a time of its own. Have no stream last for an hour."""
    if case.path == EVENTS:
        wanted = (case.query or {}).get("duration_ms", STREAM_MS)
        if str(wanted).isdigit() and int(wanted) > STREAM_MS:
            wanted = STREAM_MS
        case.query = {**(case.query or {}), "duration_ms": wanted}
    if case.path == TRANSFER and isinstance(case.body, dict) and case.body.get("to") == case.body.get("owner"):
        case.body = {**case.body, "to": SOMEBODY}
    is_well_formed = case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE
    if case.path == SUBMIT and is_well_formed and isinstance(case.body, dict):
        payload = case.body["payload"]
        lat, lon, level = float(payload["lat"]), float(payload["lon"]), 1 + secrets.randbelow(10)
        now_ms = time.time_ns() // 1_000_000
        nonce = secrets.token_hex(8)
        case.body = sign_payload(secrets.token_bytes(32), locate(lat, lon, level), lat, lon, ACCURACY_M, now_ms, nonce)
