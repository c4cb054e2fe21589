"""The line that a client signs, and the proof id made of it (protocol.md §2).

There is one line for a proof however its JSON was written: the account in lower case, numbers as ECMAScript writes
them, the timestamp in its one form. The id is the line's EIP-191 digest, so it is also what the signature is over.
"""

from __future__ import annotations

from step_node.crypto import eip191
from step_node.proofs.ecmascript_number import ecmascript_number

PROOF_VERSION = "STEP-PROOF-v1"


def canonical_line(
    account: bytes, triangle_text: str, lat: float, lon: float, accuracy_m: float, timestamp: str, nonce: str
) -> str:
    """The signed line. `account` is 20 bytes, `triangle_text` and `timestamp` are in their text forms."""
    return (
        f"{PROOF_VERSION}|account:0x{account.hex()}|triangle:{triangle_text}"
        f"|lat:{ecmascript_number(lat)}|lon:{ecmascript_number(lon)}|acc:{ecmascript_number(accuracy_m)}"
        f"|ts:{timestamp}|nonce:{nonce}"
    )


def proof_id(line: str) -> bytes:
    """The 32-byte proof id of a canonical line: its EIP-191 digest."""
    return eip191.digest(line)
