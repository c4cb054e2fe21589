"""Signatures over the lines of text that validators sign (protocol.md §4)."""

from __future__ import annotations

from step_node.crypto.eip191 import digest, recover_address


def recover_signer(line: str, signature: bytes) -> bytes:
    """The 20-byte address that signed `line` by EIP-191. Raises `BadSignature`."""
    return recover_address(digest(line), signature)
