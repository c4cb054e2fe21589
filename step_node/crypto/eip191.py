"""EIP-191 `personal_sign`: digests, signatures and the addresses they come from.

A text is signed as the Keccak-256 of `"\\x19Ethereum Signed Message:\\n" + length + text`. A signature is 65 bytes
r‖s‖v, big-endian, v of 27 or 28. Anyone can turn a signature (r, s, v) into a second one, (r, n - s, 55 - v), that
recovers to the same key; so only s in the lower half of the group's order is accepted (EIP-2), and each signer has one
form of each signature.

Recovery is the node's dominant cost, some 27 µs each in libsecp256k1 (recovery.py), which lets go of the interpreter's
lock meanwhile, so chunks are recovered on several threads at once.
"""

from __future__ import annotations

from typing import Final

from coincurve import PrivateKey, PublicKey

from step_node.crypto.keccak import keccak_256
from step_node.crypto.recovery import recover

ADDRESS_BYTES = 20
DIGEST_BYTES = 32
PRIVATE_KEY_BYTES = 32
SIGNATURE_BYTES = 65
RECOVERY_VALUES: Final = (27, 28)
"""v, as Ethereum writes the parity of the point that r came from."""

GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""n, the number of points on secp256k1 (SEC 2, section 2.4.1)."""

_POINT_FORMS: Final = {33: (b"\x02", b"\x03"), 65: (b"\x04",)}
"""By length, what a key begins with (SEC 1, section 2.3.3)."""

_PREFIX = b"\x19Ethereum Signed Message:\n"
_ZERO = bytes(32)
# Big-endian numbers of one length compare as their bytes do, without being turned into integers.
_ORDER = GROUP_ORDER.to_bytes(32, "big")
_HALF_ORDER = (GROUP_ORDER // 2).to_bytes(32, "big")


class BadSignature(ValueError):
    """A signature that no key can have made, or that is not in its one accepted form. The message says which."""


def digest(text: str) -> bytes:
    """The 32 bytes that `personal_sign` signs for `text`, encoded as UTF-8 (EIP-191, version 0x45)."""
    encoded = text.encode()
    # Not bytes' own formatting, which takes as long as the hash.
    return keccak_256(_PREFIX + str(len(encoded)).encode() + encoded)


def sign_digest(message_digest: bytes, private_key: bytes) -> bytes:
    """Sign 32 bytes: r‖s‖v, 65 bytes, v of 27 or 28, s in the lower half.

    Deterministic: the nonce comes from the key and the digest (RFC 6979), so signing again gives the same bytes.
    Raises ValueError if `private_key` is not 32 bytes between 1 and n - 1, or the digest is not 32 bytes.
    """
    if len(private_key) != PRIVATE_KEY_BYTES:
        raise ValueError(f"private key: must be {PRIVATE_KEY_BYTES} bytes, not {len(private_key)}")
    if len(message_digest) != DIGEST_BYTES:
        raise ValueError(f"digest: must be {DIGEST_BYTES} bytes, not {len(message_digest)}")
    signature = PrivateKey(private_key).sign_recoverable(message_digest, hasher=None)
    return signature[:64] + bytes((RECOVERY_VALUES[0] + signature[64],))


def sign(text: str, private_key: bytes) -> bytes:
    """`sign_digest` of the EIP-191 digest of `text`."""
    return sign_digest(digest(text), private_key)


def with_recovery_value(signature: bytes) -> bytes:
    """A signature as a client may write it, v of 0, 1, 27 or 28, with v of 27 or 28; any other is left as it is.

    The node itself has one form of each signature: this is for the JSON that clients send, and for nothing else.
    """
    if len(signature) == SIGNATURE_BYTES and signature[64] in (0, 1):
        return signature[:64] + bytes((RECOVERY_VALUES[signature[64]],))
    return signature


def recover_public_key(message_digest: bytes, signature: bytes) -> bytes:
    """The uncompressed public key (65 bytes, 0x04‖x‖y) that made `signature` over `message_digest`.

    Raises BadSignature if the lengths are wrong, v is not 27 or 28, r or s is not between 1 and n - 1, s is in the
    upper half (EIP-2), or r is not the abscissa of a point.
    """
    if len(message_digest) != DIGEST_BYTES:
        raise BadSignature(f"digest must be {DIGEST_BYTES} bytes, not {len(message_digest)}")
    if len(signature) != SIGNATURE_BYTES:
        raise BadSignature(f"must be {SIGNATURE_BYTES} bytes, not {len(signature)}")
    recovery_value = signature[64]
    if recovery_value not in RECOVERY_VALUES:
        raise BadSignature(f"v must be 27 or 28, not {recovery_value}")
    if not _ZERO < signature[:32] < _ORDER:
        raise BadSignature("r must be between 1 and n - 1")
    if not _ZERO < signature[32:64] <= _HALF_ORDER:
        raise BadSignature("s must be between 1 and n / 2, the lower half of the order (EIP-2)")
    public_key = recover(message_digest, signature, recovery_value - RECOVERY_VALUES[0])
    if public_key is None:
        raise BadSignature("no public key can be recovered from it")
    return public_key


def address_of(public_key: bytes) -> bytes:
    """The 20-byte address of a public key, given compressed (33 bytes) or uncompressed (65 bytes).

    Raises ValueError if it is not a point of the curve.
    """
    if public_key[:1] not in _POINT_FORMS.get(len(public_key), ()):
        raise ValueError("public key: must be 33 bytes that begin with 2 or 3, or 65 that begin with 4")
    return keccak_256(PublicKey(public_key).format(compressed=False)[1:])[12:]


def public_key_of(private_key: bytes) -> bytes:
    """The compressed public key (33 bytes). Raises ValueError if the key is not 32 bytes between 1 and n - 1."""
    if len(private_key) != PRIVATE_KEY_BYTES:
        raise ValueError(f"private key: must be {PRIVATE_KEY_BYTES} bytes, not {len(private_key)}")
    return PrivateKey(private_key).public_key.format(compressed=True)


def recover_address(message_digest: bytes, signature: bytes) -> bytes:
    """The 20-byte address that made `signature` over `message_digest`. Raises BadSignature: `recover_public_key`."""
    return keccak_256(recover_public_key(message_digest, signature)[1:])[12:]
