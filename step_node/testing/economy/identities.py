"""Made-up addresses and keys, the same in every run: an account's follow from its number alone."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from step_node.crypto.eip191 import address_of, public_key_of


def account_address(number: int) -> bytes:
    """Of account `number`. Nobody has a key for it: nothing is signed here, and the ledger looks at no signature."""
    return hashlib.sha256(b"account %d" % number).digest()[:20]


@lru_cache(maxsize=10_000)
def hot_key(number: int) -> bytes:
    """The public key, 33 bytes, of the validator that account `number` has."""
    return public_key_of(hashlib.sha256(b"validator %d" % number).digest())


@lru_cache(maxsize=10_000)
def validator_address(number: int) -> bytes:
    """The address of that key."""
    return address_of(hot_key(number))


def p2p_address(number: int) -> str:
    """Where its node would be."""
    return f"/dns4/v{number}.example/tcp/26600"
