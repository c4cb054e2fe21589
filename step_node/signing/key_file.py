"""A private key in the clear: 64 hex digits and a newline, mode 0600.

For the libp2p identity, which a node needs before anyone types a password and which holds no stake, and for the test
accounts of a devnet.
"""

from __future__ import annotations

import re
from pathlib import Path

from step_node.crypto.eip191 import public_key_of
from step_node.signing.private_file import (
    KEYSTORE_BYTES_MAX,
    KeystoreError,
    create_private_file,
    read_private_file,
)

KEY_FILE_BYTES_MAX = 128

_FORM = re.compile(rb"(?:0x)?([0-9a-fA-F]{64})\n?")


def create_key_file(path: Path, private_key: bytes) -> None:
    """Write `private_key` (32 bytes, secp256k1) to a new file. Raises KeystoreError if it exists, ValueError for a
    key out of range."""
    public_key_of(private_key)
    create_private_file(path, private_key.hex().encode() + b"\n")


def load_key_file(path: Path) -> bytes:
    """The 32-byte private key. Raises KeystoreError: the file cannot be read, is open to others, or is no key."""
    # A keystore is longer: it is read so far as to say that it is one.
    content = read_private_file(path, KEYSTORE_BYTES_MAX)
    match = _FORM.fullmatch(content) if len(content) <= KEY_FILE_BYTES_MAX else None
    if match is None:
        raise KeystoreError(path, f"must hold 64 hex digits, and nothing else{_keystore_hint(content)}")
    private_key = bytes.fromhex(match[1].decode())
    try:
        public_key_of(private_key)
    except ValueError as error:
        raise KeystoreError(path, "must hold a secp256k1 private key, between 1 and n - 1") from error
    return private_key


def _keystore_hint(content: bytes) -> str:
    return "; this looks like an encrypted keystore, which --keystore takes" if content.lstrip()[:1] == b"{" else ""
