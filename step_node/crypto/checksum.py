"""EIP-55: the capital letters of an address' hex digits are a checksum of it."""

from __future__ import annotations

from typing import Final

from step_node.crypto.keccak import keccak_256

_CAPITAL_FROM: Final = "8"


def checksummed(address: bytes) -> str:
    """0x and 40 hex digits of the 20 bytes, each letter a capital where the hash of the small ones has 8 to f."""
    digits = address.hex()
    marks = keccak_256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if mark >= _CAPITAL_FROM else digit for digit, mark in zip(digits, marks, strict=False)
    )


def has_wrong_checksum(address: str) -> bool:
    """Whether 0x and 40 hex digits have letters of both sizes, and these are no checksum."""
    digits = address[2:]
    if digits in (digits.lower(), digits.upper()):
        return False
    return checksummed(bytes.fromhex(digits)) != "0x" + digits
