"""Signatures over the lines of text that validators sign (protocol.md §4)."""

from __future__ import annotations

from functools import lru_cache

from step_node.crypto.eip191 import digest, recover_address

RECOVERED_MAX = 1_024
"""Answers kept; the one used least lately goes first. Messages are repeated every second, pre-commits come again in
commits and in the next batch, and recovery costs more than all else that is done with them.

Of two heights that take two rounds each, the largest validator set signs some 800 lines. An answer takes 0.5 KB, and
four validators give some 340 a minute, so that all places are taken after a few minutes.
"""


@lru_cache(maxsize=RECOVERED_MAX)
def recover_signer(line: str, signature: bytes) -> bytes:
    """The 20-byte address that signed `line` by EIP-191. Raises `BadSignature`."""
    return recover_address(digest(line), signature)
