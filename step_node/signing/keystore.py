"""Signing keys at rest: encrypted keystores, version 3 of the Web3 Secret Storage Definition, as geth writes them.

Read are those of other wallets too: ethers writes `Crypto`, pyethereum adds a version to it, and early geth left the
zeros out that a key begins with.

The password is stretched by scrypt. For a real validator that takes some half a second and 256 MiB, which is what
stands between a stolen file and the stake; a devnet's keys are worth nothing, and 7 ms let it start at once.
A file is created once and never overwritten, and may be read by its owner alone.
"""

from __future__ import annotations

import json
import os
import secrets
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from step_node.crypto.eip191 import GROUP_ORDER, PRIVATE_KEY_BYTES, address_of, public_key_of
from step_node.signing.keyfile_format import create_keyfile_json, decode_keyfile_json
from step_node.signing.private_file import (
    KEYSTORE_BYTES_MAX,
    KeystoreError,
    create_private_file,
    read_private_file,
)

PASSWORD_BYTES_MAX = 1_024
PASSWORD_ENVIRONMENT_VARIABLE = "STEP_NODE_KEYSTORE_PASSWORD"

_SCRYPT_MEMORY_BYTES_MAX = 1024 * 1024 * 1024
"""scrypt takes 128·n·r bytes: a keystore that asks for more is refused, not obeyed."""

_HexBytes16 = Annotated[str, Field(pattern="^(0x)?[0-9a-fA-F]{32}$")]
_HexBytes32 = Annotated[str, Field(pattern="^(0x)?[0-9a-fA-F]{64}$")]


class KdfStrength(IntEnum):
    """scrypt's work factor n, with r = 8 and p = 1."""

    STANDARD = 2**18
    """For keys with a stake: 0.5 s to decrypt, as geth's default."""
    DEVNET = 2**12
    """For keys that anyone may have: 7 ms."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class _ScryptParameters(_Part):
    n: Annotated[int, Field(ge=2, le=2**22)]
    r: Annotated[int, Field(ge=1, le=64)]
    p: Annotated[int, Field(ge=1, le=64)]
    dklen: Literal[32]
    salt: Annotated[str, Field(pattern="^(0x)?([0-9a-fA-F]{2}){1,64}$")]


class _Pbkdf2Parameters(_Part):
    c: Annotated[int, Field(ge=1, le=100_000_000)]
    dklen: Literal[32]
    prf: Literal["hmac-sha256"]
    salt: Annotated[str, Field(pattern="^(0x)?([0-9a-fA-F]{2}){1,64}$")]


class _CipherParameters(_Part):
    iv: _HexBytes16


class _Crypto(_Part):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    cipher: Literal["aes-128-ctr"]
    cipherparams: _CipherParameters
    ciphertext: Annotated[str, Field(pattern="^(0x)?([0-9a-fA-F]{2}){1,32}$")]
    kdf: Literal["scrypt", "pbkdf2"]
    kdfparams: _ScryptParameters | _Pbkdf2Parameters
    mac: _HexBytes32


class _Keystore(BaseModel):
    # Wallets add keys of their own (a name, a client; a version of the part), so here and in _Crypto others are passed
    # over. What decides how a key is decrypted is in neither.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    version: Literal[3]
    crypto: _Crypto = Field(validation_alias=AliasChoices("crypto", "Crypto"))
    address: Annotated[str, Field(pattern="^(0x)?[0-9a-fA-F]{40}$")] | None = None


def new_private_key() -> bytes:
    """32 random bytes from the operating system, between 1 and n - 1."""
    return (1 + secrets.randbelow(GROUP_ORDER - 1)).to_bytes(PRIVATE_KEY_BYTES, "big")


def create_keystore(
    path: Path, private_key: bytes, password: str, strength: KdfStrength = KdfStrength.STANDARD
) -> bytes:
    """Encrypt `private_key` (32 bytes) into a new file of mode 0600; the 20-byte address.

    Raises KeystoreError if the file exists, or the password is empty or too long; ValueError for a key out of range.
    """
    address = address_of(public_key_of(private_key))
    content = create_keyfile_json(
        private_key, _encoded(path, password), version=3, kdf="scrypt", iterations=int(strength)
    )
    create_private_file(path, json.dumps(content, indent=2).encode() + b"\n")
    return address


def load_keystore(path: Path, password: str) -> bytes:
    """Decrypt the keystore at `path`: the 32-byte private key.

    Raises KeystoreError, naming the file and the rule, if it cannot be read, others than its owner may read it, it is
    no version-3 keystore, the password is wrong, or the key is not that of its address.
    """
    encoded = _encoded(path, password)
    keystore = _parse(path, read_private_file(path, KEYSTORE_BYTES_MAX))
    try:
        decrypted = bytes(decode_keyfile_json(keystore.model_dump(mode="json"), encoded))
    except ValueError as error:
        raise KeystoreError(path, "the password is wrong (or the file was altered)") from error
    private_key = decrypted.rjust(PRIVATE_KEY_BYTES, b"\0")
    try:
        address = address_of(public_key_of(private_key))
    except ValueError as error:
        raise KeystoreError(path, "must hold a secp256k1 private key") from error
    if keystore.address is not None and bytes.fromhex(keystore.address.removeprefix("0x")) != address:
        raise KeystoreError(path, f"address: must be that of the key, 0x{address.hex()}")
    return private_key


def keystore_address(path: Path) -> bytes:
    """The 20-byte address that the keystore states, without a password. Raises KeystoreError."""
    keystore = _parse(path, read_private_file(path, KEYSTORE_BYTES_MAX))
    if keystore.address is None:
        raise KeystoreError(path, "address: is missing; give the password to find it out")
    return bytes.fromhex(keystore.address.removeprefix("0x"))


def read_password(password_file: Path | None = None) -> str:
    """The password in `password_file` (without the newline at its end), or, with None, in the environment variable
    `STEP_NODE_KEYSTORE_PASSWORD`.

    Raises KeystoreError if the file cannot be read or may be read by others, the variable is not set, or the password
    is one that no keystore can have: a command that makes things must learn that before it makes any.
    """
    if password_file is None:
        password = os.environ.get(PASSWORD_ENVIRONMENT_VARIABLE)
        if password is None:
            raise KeystoreError(
                None, f"password: give a password file, or set the variable {PASSWORD_ENVIRONMENT_VARIABLE}"
            )
        _encoded(None, password, name=PASSWORD_ENVIRONMENT_VARIABLE)
        return password
    content = read_private_file(password_file, PASSWORD_BYTES_MAX + 2)
    try:
        password = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise KeystoreError(password_file, "must be UTF-8 text") from error
    _encoded(password_file, password)
    return password


def _parse(path: Path, content: bytes) -> _Keystore:
    try:
        keystore = _Keystore.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "content"
        # Not "from error", which quotes the file's content: that may be a key in the clear.
        raise KeystoreError(path, f"must be a version-3 keystore: {field}: {first['msg']}") from None
    parameters = keystore.crypto.kdfparams
    if (keystore.crypto.kdf == "scrypt") != isinstance(parameters, _ScryptParameters):
        raise KeystoreError(path, f"crypto.kdfparams: must be those of {keystore.crypto.kdf}")
    if isinstance(parameters, _ScryptParameters):
        if parameters.n & (parameters.n - 1):
            raise KeystoreError(path, "crypto.kdfparams.n: must be a power of 2")
        if 128 * parameters.n * parameters.r > _SCRYPT_MEMORY_BYTES_MAX:
            raise KeystoreError(path, f"crypto.kdfparams: must need at most {_SCRYPT_MEMORY_BYTES_MAX} bytes of memory")
    return keystore


def _encoded(path: Path | None, password: str, *, name: str = "password") -> bytes:
    encoded = password.encode()
    if not 1 <= len(encoded) <= PASSWORD_BYTES_MAX:
        raise KeystoreError(path, f"{name}: must be 1 to {PASSWORD_BYTES_MAX} bytes of UTF-8")
    return encoded
