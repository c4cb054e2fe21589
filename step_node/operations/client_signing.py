"""What an owner does: build an operation and sign it with the account's key, and the hot key where one comes in.

For the command line and tests. Keys are 32 bytes; nothing here keeps them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from step_node.crypto.eip191 import SIGNATURE_BYTES, address_of, public_key_of, sign
from step_node.operations.operation import (
    ApproveUpgrade,
    CancelUpgrade,
    Register,
    RotateKey,
    SetAddress,
    Transfer,
    Unbond,
    Withdraw,
    signing_line,
)

SignedByOne = TypeVar("SignedByOne", Unbond, Withdraw, SetAddress, Transfer, ApproveUpgrade, CancelUpgrade)

_UNSIGNED = bytes(SIGNATURE_BYTES)


def address_of_key(private_key: bytes) -> bytes:
    """The 20-byte address of a private key."""
    return address_of(public_key_of(private_key))


def register(
    *, owner_key: bytes, hot_key: bytes, chain_id: str, sequence: int, stake_ustep: int, p2p_address: str
) -> Register:
    """Put up `stake_ustep` for a validator that signs with `hot_key`."""
    unsigned = Register(
        owner=address_of_key(owner_key),
        sequence=sequence,
        public_key=public_key_of(hot_key),
        stake_ustep=stake_ustep,
        p2p_address=p2p_address,
        possession=_UNSIGNED,
        signature=_UNSIGNED,
    )
    line = signing_line(unsigned, chain_id)
    return replace(unsigned, possession=sign(line, hot_key), signature=sign(line, owner_key))


def rotate_key(*, owner_key: bytes, new_hot_key: bytes, chain_id: str, sequence: int, validator: bytes) -> RotateKey:
    """Have `validator` (20 bytes) sign with `new_hot_key` from the epoch's end on."""
    unsigned = RotateKey(
        owner=address_of_key(owner_key),
        sequence=sequence,
        validator=validator,
        public_key=public_key_of(new_hot_key),
        possession=_UNSIGNED,
        signature=_UNSIGNED,
    )
    line = signing_line(unsigned, chain_id)
    return replace(unsigned, possession=sign(line, new_hot_key), signature=sign(line, owner_key))


def unbond(*, owner_key: bytes, chain_id: str, sequence: int, validator: bytes) -> Unbond:
    """Have `validator` leave the set at the epoch's end."""
    return _signed(Unbond(address_of_key(owner_key), sequence, validator, _UNSIGNED), owner_key, chain_id)


def withdraw(*, owner_key: bytes, chain_id: str, sequence: int, validator: bytes) -> Withdraw:
    """Take back the stake of `validator`, once it is free."""
    return _signed(Withdraw(address_of_key(owner_key), sequence, validator, _UNSIGNED), owner_key, chain_id)


def set_address(*, owner_key: bytes, chain_id: str, sequence: int, validator: bytes, p2p_address: str) -> SetAddress:
    """Have `validator` found at `p2p_address`, a multiaddr, from the next batch on."""
    unsigned = SetAddress(address_of_key(owner_key), sequence, validator, p2p_address, _UNSIGNED)
    return _signed(unsigned, owner_key, chain_id)


def transfer(
    *, owner_key: bytes, chain_id: str, sequence: int, to: bytes, amount_ustep: int, memo: str = ""
) -> Transfer:
    """Send `amount_ustep` (micro-STEP) to the account `to` (20 bytes).

    Raises `ValueError` for an amount, a recipient or a memo that no transfer can have.
    """
    unsigned = Transfer(address_of_key(owner_key), sequence, to, amount_ustep, memo, _UNSIGNED)
    return _signed(unsigned, owner_key, chain_id)


def approve_upgrade(
    *,
    key: bytes,
    owner: bytes,
    chain_id: str,
    sequence: int,
    validator: bytes,
    protocol_version: int,
    activation_height: int,
    release: str = "",
) -> ApproveUpgrade:
    """Have `validator` approve other rules from a height on; `key` is its owner's or its own hot key.

    Raises `ValueError` for a version, a height or a release that no upgrade can have.
    """
    unsigned = ApproveUpgrade(
        owner=owner,
        sequence=sequence,
        validator=validator,
        protocol_version=protocol_version,
        activation_height=activation_height,
        release=release,
        signature=_UNSIGNED,
    )
    return _signed(unsigned, key, chain_id)


def cancel_upgrade(*, key: bytes, owner: bytes, chain_id: str, sequence: int, validator: bytes) -> CancelUpgrade:
    """Have `validator` take back what it has approved; `key` is its owner's or its own hot key."""
    return _signed(CancelUpgrade(owner, sequence, validator, _UNSIGNED), key, chain_id)


def _signed(operation: SignedByOne, key: bytes, chain_id: str) -> SignedByOne:
    return replace(operation, signature=sign(signing_line(operation, chain_id), key))
