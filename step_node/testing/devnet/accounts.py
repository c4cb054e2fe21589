"""Test accounts of every devnet: everyone knows their keys, so they must never hold anything of value."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from mesh import locate
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.proofs.client_signing import sign_payload

DEV_ACCOUNTS = 5

_EXAMPLE_PLACE = (47.4979, 19.0402)
_EXAMPLE_LEVEL = 10


@dataclass(frozen=True, slots=True)
class DevAccount:
    """An account whose key is public: the SHA-256 of "STEP devnet account N"."""

    address: str
    private_key: bytes = field(repr=False)


def dev_accounts() -> list[DevAccount]:
    """The same ones for every devnet."""
    accounts = []
    for index in range(DEV_ACCOUNTS):
        private_key = hashlib.sha256(f"STEP devnet account {index}".encode()).digest()
        accounts.append(DevAccount(f"0x{address_of(public_key_of(private_key)).hex()}", private_key))
    return accounts


def example_request(url: str, *, now_ms: int, level: int = _EXAMPLE_LEVEL, certificate: Path | None = None) -> str:
    """A curl command that submits a valid proof of the first test account; it is good for five minutes.

    `certificate` is what curl is told to trust.
    """
    lat, lon = _EXAMPLE_PLACE
    signed = sign_payload(
        dev_accounts()[0].private_key, locate(lat, lon, level), lat, lon, 5.0, now_ms, str(uuid.uuid4())
    )
    trusting = "" if certificate is None else f" --cacert {certificate}"
    return f"curl -s{trusting} {url}/proof/submit -H 'Content-Type: application/json' -d '{json.dumps(signed)}'"
