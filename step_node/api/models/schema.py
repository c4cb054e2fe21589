"""What all answers have in common: field names in camelCase outside, frozen models inside, documented formats."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

ADDRESS_PATTERN = "^0x[0-9a-fA-F]{40}$"
HASH_PATTERN = "^0x[0-9a-fA-F]{64}$"
SIGNATURE_PATTERN = "^0x[0-9a-fA-F]{130}$"
TRIANGLE_PATTERN = "^STEP-TRI-v1:[A-T](?:[1-9]|1[0-9]|2[01])-[0-3]{20}-[A-Z2-7]{3}$"
"""The looks of a triangle's text form; its checksum and padding are asked of `mesh.TriangleId`."""
TRIANGLE_FORMAT = "step-triangle-id"
"""What OpenAPI's `format` calls that: the checksum and the padding are what no pattern can say."""
_DEGREES = r"-?(?:0|[1-9][0-9]{0,2})(?:\.[0-9]{1,20})?"
BBOX_PATTERN = f"^{_DEGREES},{_DEGREES},{_DEGREES},{_DEGREES}$"
BBOX_FORMAT = "step-bbox"
"""West, south, east, north: that they are on the globe, and south is below north, is what no pattern can say."""

# One real proof, signed with the private key 1, runs through all examples.
EXAMPLE_ADDRESS = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
EXAMPLE_PROOF_ID = "0xe0b4810950c9e8813e4e08ddfa8941d22606747af26d99335594cd12ef055eac"
EXAMPLE_TIMESTAMP = "2026-01-31T12:00:00.000Z"
EXAMPLE_TRIANGLE = "STEP-TRI-v1:P10-13131312000000000000-VV7"
EXAMPLE_SUBMISSION = {
    "payload": {
        "version": "STEP-PROOF-v1",
        "account": EXAMPLE_ADDRESS,
        "triangleId": EXAMPLE_TRIANGLE,
        "lat": 47.3769,
        "lon": 8.5417,
        "accuracy": 5,
        "timestamp": EXAMPLE_TIMESTAMP,
        "nonce": "0b4ce9f6-1f2a-4d0e-9c55-8b6f1d1f8a11",
    },
    "signature": "0xc2f5f4636e55756c998e3ac84e466d85a3d1ea6ed3951db861d65cc942b7bba9"
    "1613b614c0a3095ed2cd737de3b37593e441949e8cd4d2ee847fdace84968b611b",
}


class Answer(BaseModel):
    """An answer's body. Attributes are named as Python names them; clients see camelCase."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


AddressText = Annotated[str, Field(pattern=ADDRESS_PATTERN, examples=[EXAMPLE_ADDRESS])]
HashText = Annotated[str, Field(pattern=HASH_PATTERN, examples=[EXAMPLE_PROOF_ID])]
SignatureText = Annotated[
    str, Field(pattern=SIGNATURE_PATTERN, description="r, s, v; v of 27 or 28.", examples=["0x" + "11" * 64 + "1b"])
]
StepText = Annotated[
    str, Field(pattern=r"^[0-9]+\.[0-9]{6}$", description="STEP, always six places.", examples=["0.001953"])
]
TimestampText = Annotated[str, Field(description="UTC, milliseconds.", examples=[EXAMPLE_TIMESTAMP])]
TriangleText = Annotated[
    str, Field(pattern=TRIANGLE_PATTERN, description="A triangle in its text form.", examples=[EXAMPLE_TRIANGLE])
]


def hex_text(data: bytes) -> str:
    """`0x` and lower-case hex digits."""
    return f"0x{data.hex()}"
