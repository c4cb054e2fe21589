"""The five validator operations, the text that is signed for each, and their one wire form (protocol.md §4).

An operation is signed by the stake's owner (the cold key): EIP-191 over a line that names the kind, version, chain,
sequence number and every other field. The sequence number counts the owner's operations from 0, so each is applied
once. Where a hot key comes into use, that key signs the same line as well: nobody can register a key that he does not
have.
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import Annotated, Literal, TypeAlias, cast

from pydantic import Discriminator, Field

from consensus.messages import FullSignature
from consensus.values import Address, PublicKey
from consensus.wire import UInt63, WireError, decode_union, encode, wire_type
from step_node.crypto.eip191 import BadSignature, address_of
from step_node.crypto.lines import recover_signer
from step_node.explanations.details import NO_DETAILS, Details

OPERATION_BYTES_MAX = 1_024

P2P_ADDRESS_CHARACTERS_MAX = 256

P2P_ADDRESS_PATTERN = rf"^/[A-Za-z0-9/._:%-]{{1,{P2P_ADDRESS_CHARACTERS_MAX - 1}}}$"
P2pAddress = Annotated[str, Field(pattern=P2P_ADDRESS_PATTERN)]
"""A multiaddr. Its alphabet has no `|`, so it can be a field of a signed line."""


class OperationCode(StrEnum):
    """Why an operation is refused."""

    INVALID_OPERATION = "INVALID_OPERATION"
    """It is not of the form."""
    BAD_SIGNATURE = "BAD_SIGNATURE"
    """The owner has not signed it, or the new hot key has not."""
    WRONG_SEQUENCE = "WRONG_SEQUENCE"
    UNKNOWN_VALIDATOR = "UNKNOWN_VALIDATOR"
    NOT_THE_OWNER = "NOT_THE_OWNER"
    KEY_IN_USE = "KEY_IN_USE"
    STAKE_TOO_LOW = "STAKE_TOO_LOW"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    NO_PLACE = "NO_PLACE"
    """There are as many validators as there may be."""
    WRONG_STATE = "WRONG_STATE"
    """The validator is not in a state in which this can be done, or not yet."""
    POOL_FULL = "POOL_FULL"
    """Too many operations wait, or one of this owner does."""


class OperationRefused(ValueError):
    """An operation that cannot be applied; `message` names the field and the rule, `details` the figures behind it."""

    def __init__(self, code: OperationCode, message: str, details: Details = NO_DETAILS) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = details


@wire_type
class Register:
    """Put up a stake (µSTEP, out of the owner's balance) for a new validator, or for one whose jail is over."""

    owner: Address
    sequence: UInt63
    public_key: PublicKey
    stake_ustep: UInt63
    p2p_address: P2pAddress
    possession: FullSignature
    """By the hot key, over the same line."""
    signature: FullSignature
    type: Literal["REGISTER"] = field(default="REGISTER", kw_only=True, repr=False)


@wire_type
class Unbond:
    """Leave the set at the epoch's end; the stake stays locked for `unbonding_ms`."""

    owner: Address
    sequence: UInt63
    validator: Address
    signature: FullSignature
    type: Literal["UNBOND"] = field(default="UNBOND", kw_only=True, repr=False)


@wire_type
class Withdraw:
    """Take the stake back once it is free; the validator is then forgotten."""

    owner: Address
    sequence: UInt63
    validator: Address
    signature: FullSignature
    type: Literal["WITHDRAW"] = field(default="WITHDRAW", kw_only=True, repr=False)


@wire_type
class RotateKey:
    """Replace the hot key at the epoch's end. The stake stays answerable for what the old one has signed."""

    owner: Address
    sequence: UInt63
    validator: Address
    public_key: PublicKey
    possession: FullSignature
    """By the new hot key, over the same line."""
    signature: FullSignature
    type: Literal["ROTATE_KEY"] = field(default="ROTATE_KEY", kw_only=True, repr=False)


@wire_type
class SetAddress:
    """Move to another p2p address, at once: the record of a validator says where its node is found, and as whom."""

    owner: Address
    sequence: UInt63
    validator: Address
    p2p_address: P2pAddress
    signature: FullSignature
    type: Literal["SET_ADDRESS"] = field(default="SET_ADDRESS", kw_only=True, repr=False)


Operation: TypeAlias = Register | Unbond | Withdraw | RotateKey | SetAddress
OperationUnion = Annotated[Operation, Discriminator("type")]


def signing_line(operation: Operation, chain_id: str) -> str:
    """The text that the owner signs, and the hot key where one comes into use."""
    kind = operation.type.replace("_", "-")
    start = f"STEP-VALIDATOR-{kind}-v1|chain:{chain_id}|owner:0x{operation.owner.hex()}|sequence:{operation.sequence}"
    match operation:
        case Register():
            return (
                f"{start}|key:0x{operation.public_key.hex()}|stake_ustep:{operation.stake_ustep}"
                f"|p2p:{operation.p2p_address}"
            )
        case RotateKey():
            return f"{start}|validator:0x{operation.validator.hex()}|key:0x{operation.public_key.hex()}"
        case SetAddress():
            return f"{start}|validator:0x{operation.validator.hex()}|p2p:{operation.p2p_address}"
        case _:
            return f"{start}|validator:0x{operation.validator.hex()}"


def hot_address(public_key: bytes) -> bytes:
    """The validator's address that belongs to a compressed key. Raises OperationRefused if it is no point."""
    try:
        return address_of(public_key)
    except ValueError as error:
        raise OperationRefused(OperationCode.INVALID_OPERATION, "public_key: is not a point of secp256k1") from error


def verify_operation(operation: Operation, chain_id: str) -> None:
    """Raise OperationRefused unless the owner has signed, and the hot key where one comes into use. Pure."""
    line = signing_line(operation, chain_id)
    signers = [("signature", operation.signature, operation.owner)]
    if isinstance(operation, Register | RotateKey):
        signers.append(("possession", operation.possession, hot_address(operation.public_key)))
    for name, signature, signer in signers:
        try:
            recovered = recover_signer(line, signature)
        except BadSignature as error:
            raise OperationRefused(OperationCode.BAD_SIGNATURE, f"{name}: {error}") from error
        if recovered != signer:
            raise OperationRefused(
                OperationCode.BAD_SIGNATURE,
                f"{name}: must be by 0x{signer.hex()}; it is by 0x{recovered.hex()} or over another line",
            )


def encode_operation(operation: Operation) -> bytes:
    """The operation's one wire form, as it stands in batches."""
    return encode(operation)


def decode_operation(data: bytes) -> Operation:
    """The operation in `data`; its signatures are not checked here. Raises OperationRefused INVALID_OPERATION."""
    try:
        operation = cast(Operation, decode_union(OperationUnion, data, bytes_max=OPERATION_BYTES_MAX))
    except WireError as error:
        raise OperationRefused(OperationCode.INVALID_OPERATION, str(error)) from error
    if encode_operation(operation) != data:
        raise OperationRefused(
            OperationCode.INVALID_OPERATION, "must be in MessagePack's shortest form, with its fields in order"
        )
    return operation
