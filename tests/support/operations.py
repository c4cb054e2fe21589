"""Really signed operations: `cold` owns the account or the stake, `hot` signs votes; both are names of test keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from step_node.crypto.eip191 import public_key_of, sign
from step_node.operations.operation import (
    ApproveUpgrade,
    CancelUpgrade,
    Operation,
    Register,
    RotateKey,
    SetAddress,
    Transfer,
    Unbond,
    Withdraw,
    signing_line,
)
from step_node.parameters import USTEP_PER_STEP
from tests.support.chains import CHAIN_ID
from tests.support.proofs import address, private_key

UNSIGNED = bytes(65)
STAKE_USTEP = 100_000 * USTEP_PER_STEP

OperationT = TypeVar("OperationT", bound=Operation)


def signed(operation: OperationT, *, cold: str, hot: str | None = None, chain_id: str = CHAIN_ID) -> OperationT:
    """The operation with the signatures of these keys."""
    line = signing_line(operation, chain_id)
    if hot is not None:
        assert isinstance(operation, Register | RotateKey)
        operation = replace(operation, possession=sign(line, private_key(hot)))
    return replace(operation, signature=sign(line, private_key(cold)))


def register(cold: str, hot: str, sequence: int, *, stake_ustep: int = STAKE_USTEP) -> Register:
    key = public_key_of(private_key(hot))
    operation = Register(address(cold), sequence, key, stake_ustep, f"/memory/{hot}", UNSIGNED, UNSIGNED)
    return signed(operation, cold=cold, hot=hot)


def unbond(cold: str, hot: str, sequence: int) -> Operation:
    return signed(Unbond(address(cold), sequence, address(hot), UNSIGNED), cold=cold)


def withdraw(cold: str, hot: str, sequence: int) -> Operation:
    return signed(Withdraw(address(cold), sequence, address(hot), UNSIGNED), cold=cold)


def rotate(cold: str, hot: str, new_hot: str, sequence: int) -> Operation:
    key = public_key_of(private_key(new_hot))
    operation = RotateKey(address(cold), sequence, address(hot), key, UNSIGNED, UNSIGNED)
    return signed(operation, cold=cold, hot=new_hot)


def set_address(cold: str, hot: str, sequence: int, p2p_address: str = "/memory/moved") -> Operation:
    return signed(SetAddress(address(cold), sequence, address(hot), p2p_address, UNSIGNED), cold=cold)


def transfer(owner: str, to: str, sequence: int, *, amount_ustep: int = 1, memo: str = "") -> Transfer:
    return signed(Transfer(address(owner), sequence, address(to), amount_ustep, memo, UNSIGNED), cold=owner)


def approve_upgrade(
    signer: str, hot: str, sequence: int, *, version: int = 2, height: int, release: str = "0.2.0", owner: str = ""
) -> ApproveUpgrade:
    """By `signer`, who is the owner unless another one is named: then the hot key of the validator."""
    unsigned = ApproveUpgrade(
        owner=address(owner or signer),
        sequence=sequence,
        validator=address(hot),
        protocol_version=version,
        activation_height=height,
        release=release,
        signature=UNSIGNED,
    )
    return signed(unsigned, cold=signer)


def cancel_upgrade(signer: str, hot: str, sequence: int, *, owner: str = "") -> CancelUpgrade:
    return signed(CancelUpgrade(address(owner or signer), sequence, address(hot), UNSIGNED), cold=signer)
