"""What all answers have in common: field names in camelCase outside, frozen models inside, documented formats."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

ADDRESS_PATTERN = "^0x[0-9a-fA-F]{40}$"
HASH_PATTERN = "^0x[0-9a-fA-F]{64}$"

EXAMPLE_ADDRESS = "0x2e988a386a799f506693793c6a5af6b54dfaabfb"
EXAMPLE_PROOF_ID = "0x8e4d5a4cbb1ee8a43ad4e9b1e0d9e0f6f0f6d1b5c2a3948576a1b2c3d4e5f607"
EXAMPLE_TIMESTAMP = "2026-01-31T12:00:00.000Z"
EXAMPLE_TRIANGLE = "STEP-TRI-v1:F1-00000000000000000000-5W6"


class Answer(BaseModel):
    """An answer's body. Attributes are named as Python names them; clients see camelCase."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


AddressText = Annotated[str, Field(pattern=ADDRESS_PATTERN, examples=[EXAMPLE_ADDRESS])]
HashText = Annotated[str, Field(pattern=HASH_PATTERN, examples=[EXAMPLE_PROOF_ID])]
StepText = Annotated[
    str, Field(pattern=r"^[0-9]+\.[0-9]{6}$", description="STEP, always six places.", examples=["0.001953"])
]
TimestampText = Annotated[str, Field(description="UTC, milliseconds.", examples=[EXAMPLE_TIMESTAMP])]
TriangleText = Annotated[str, Field(description="A triangle in its text form.", examples=[EXAMPLE_TRIANGLE])]


def hex_text(data: bytes) -> str:
    """`0x` and lower-case hex digits."""
    return f"0x{data.hex()}"
