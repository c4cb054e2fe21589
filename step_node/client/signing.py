"""Who signs, and what is signed: the line of protocol.md §2, once, into bytes that are sent again as they are."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

from mesh import TriangleId, locate
from step_node.client.position import Position
from step_node.crypto import eip191
from step_node.proofs.client_signing import unsigned_payload

_ADDRESS_FORM = re.compile("0x[0-9a-fA-F]{40}")
_KEY_FORM = re.compile("(0x)?[0-9a-fA-F]{64}")


@runtime_checkable
class Signer(Protocol):
    """Signs lines of text by EIP-191 (`personal_sign`) for one account."""

    @property
    def address(self) -> str:
        """The account: 0x and 40 hex digits."""
        ...

    def sign(self, line: str) -> bytes:
        """The 65 bytes r, s, v over `line`."""
        ...


class KeySigner:
    """Signs with a private key, 32 bytes or 64 hex digits. The key is in no `repr`.

    Raises ValueError, not quoting it, if it is not a key.
    """

    def __init__(self, key: bytes | str) -> None:
        if isinstance(key, str):
            if _KEY_FORM.fullmatch(key) is None:
                raise ValueError("key: must be 32 bytes, or 64 hex digits")
            key = bytes.fromhex(key.removeprefix("0x"))
        self._key = key
        self.address = f"0x{eip191.address_of(eip191.public_key_of(key)).hex()}"

    def sign(self, line: str) -> bytes:
        """The 65 bytes r, s, v over `line`."""
        return eip191.sign(line, self._key)

    def __repr__(self) -> str:
        return f"KeySigner({self.address})"


class WalletSigner:
    """Signs by a function of yours (a hardware wallet, a remote signer) for `address`, 0x and 40 hex digits.

    `sign_line` takes the line and gives the 65 bytes r, s, v of `personal_sign`. It is called in the caller's thread.
    """

    def __init__(self, address: str, sign_line: Callable[[str], bytes]) -> None:
        if _ADDRESS_FORM.fullmatch(address) is None:
            raise ValueError("address: must be 0x and 40 hex digits")
        self.address = address
        self._sign_line = sign_line

    def sign(self, line: str) -> bytes:
        """What the function gives, of 65 bytes."""
        signature = bytes(self._sign_line(line))
        if len(signature) != eip191.SIGNATURE_BYTES:
            raise ValueError(f"the signing function: must give {eip191.SIGNATURE_BYTES} bytes, not {len(signature)}")
        return signature


class _EthAccountSigner(WalletSigner):
    """Signs with an account of eth-account (`LocalAccount`), which is imported only here."""

    def __init__(self, account: Any) -> None:
        from eth_account.messages import encode_defunct

        super().__init__(
            str(account.address), lambda line: bytes(account.sign_message(encode_defunct(text=line)).signature)
        )


Key: TypeAlias = "bytes | str | Signer | Any"
"""A private key (32 bytes or hex), a `Signer`, or an eth-account `LocalAccount`."""


def signer_of(key: Key) -> Signer:
    """Whatever signs. Raises ValueError or TypeError, not quoting a key."""
    if isinstance(key, bytes | str):
        return KeySigner(key)
    if hasattr(key, "sign_message") and hasattr(key, "address"):
        return _EthAccountSigner(key)
    if isinstance(key, Signer):
        return key
    raise TypeError("key: must be 32 bytes, 64 hex digits, a LocalAccount of eth-account, or a Signer")


@dataclass(frozen=True, slots=True)
class Submission:
    """One signed proof, ready to be sent, and sent again, as the very same bytes.

    `proof_id` is 0x and 64 hex digits, known before anything is sent; `body` is what `POST /proof/submit` takes.
    """

    proof_id: str
    account: str
    triangle_id: str
    timestamp_ms: int
    body: bytes = field(repr=False)

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON: `payload` and `signature`."""
        return cast(dict[str, Any], json.loads(self.body))


def sign_submission(
    signer: Signer,
    position: Position,
    *,
    timestamp_ms: int,
    triangle_id: str | None = None,
    level: int | None = None,
    nonce: str | None = None,
) -> Submission:
    """Sign `position` (rounded to 7 decimals) at `timestamp_ms`, by the node's clock, in a triangle.

    The triangle is `triangle_id`, or the one of `level` that holds the point. `nonce` None is a random UUID. Raises
    ProofRefused (a ValueError) naming the field that is not of the protocol's form; ValueError for an unknown triangle.
    """
    if (triangle_id is None) == (level is None):
        raise TypeError("give either triangle_id or level")
    at = position.rounded()
    triangle = locate(at.lat, at.lon, cast(int, level)) if triangle_id is None else TriangleId.parse(triangle_id)
    nonce = str(uuid.uuid4()) if nonce is None else nonce
    account = bytes.fromhex(signer.address[2:])
    unsigned = unsigned_payload(account, triangle, at.lat, at.lon, at.accuracy_m, timestamp_ms, nonce)
    body = {"payload": unsigned.payload, "signature": f"0x{signer.sign(unsigned.line).hex()}"}
    return Submission(
        proof_id=f"0x{unsigned.proof_id.hex()}",
        account=signer.address.lower(),
        triangle_id=triangle.text,
        timestamp_ms=timestamp_ms,
        body=json.dumps(body, allow_nan=False).encode(),
    )
