"""Operations: the five about validators, the two about rules to come, and the transfer; the text that is signed for
each, and their one wire form (protocol.md §4, §6).

An operation is signed by its owner, the account that it spends from or that has staked (the cold key): EIP-191 over a
line that names the kind, version, chain, sequence number and every other field. The sequence number counts the owner's
operations from 0, so each is applied once. Where a hot key comes into use, that key signs the same line as well: nobody
can register a key that he does not have. What rules come next may be said with either key: an owner's may be out of
reach for longer than that can wait, and nothing is spent by it.
"""

from __future__ import annotations

import re
from dataclasses import field
from enum import StrEnum
from typing import Annotated, Final, Literal, TypeAlias, cast

from pydantic import AfterValidator, Discriminator, Field, ValidationInfo

from consensus.messages import FullSignature
from consensus.values import Address, PublicKey
from consensus.wire import UInt63, WireError, decode_union, encode, wire_type
from step_node.crypto.eip191 import BadSignature, address_of, digest
from step_node.crypto.lines import recover_signer
from step_node.explanations.details import NO_DETAILS, Details

OPERATION_BYTES_MAX = 1_024

P2P_ADDRESS_CHARACTERS_MAX = 256

P2P_ADDRESS_PATTERN = rf"^/[A-Za-z0-9/._:%-]{{1,{P2P_ADDRESS_CHARACTERS_MAX - 1}}}$"
P2pAddress = Annotated[str, Field(pattern=P2P_ADDRESS_PATTERN)]
"""A multiaddr. Its alphabet has no `|`, so it can be a field of a signed line."""


TRANSFER_USTEP_MAX = 2**53 - 1
"""What one transfer can carry, some nine thousand million STEP: a number that JSON keeps exact. More is refused, and
can be sent in two."""

ACTIVATION_HEIGHT_MAX = 2**53 - 1
"""No upgrade is asked for beyond it: a number that JSON keeps exact."""

FIRST_VERSION: Final = 1
"""Of the rules of the protocol (protocol.md §6)."""

PROTOCOL_VERSION_MAX = 65_535
"""No upgrade is asked for to a greater version, and no header has one."""

RELEASE_CHARACTERS_MAX = 32
"""Of the release that an upgrade names; a longer name is refused."""

RELEASE_PATTERN: Final = rf"^[A-Za-z0-9.+_-]{{0,{RELEASE_CHARACTERS_MAX}}}$"
"""As PEP 440 writes versions, or nothing."""

MEMO_BYTES_MAX = 64
"""Of a memo's UTF-8; a longer one is refused."""

_NOT_IN_MEMO: Final = re.compile("[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line breaks, and marks that turn the direction of text: with them a wallet could show another
line than the one that is signed. By number, and not by Unicode's categories: those change with its versions."""

NOBODY: Final = bytes(20)
"""The zero address. No key has it, so what is sent there is lost."""


def require_memo(memo: str) -> str:
    """`memo`, if it is one. Raises `ValueError`, its message the rule."""
    try:
        length = len(memo.encode())
    except UnicodeEncodeError as error:
        raise ValueError("must be text that UTF-8 can carry: no lone surrogates") from error
    if length > MEMO_BYTES_MAX:
        raise ValueError(f"must have at most {MEMO_BYTES_MAX} bytes of UTF-8; it has {length}")
    found = _NOT_IN_MEMO.search(memo)
    if found is not None:
        raise ValueError(
            f"must have no control characters, line breaks or marks of direction; it has U+{ord(found[0]):04X}"
        )
    return memo


def _require_recipient(to: bytes, info: ValidationInfo) -> bytes:
    if to == NOBODY:
        raise ValueError("must be somebody's: what is sent to the zero address is lost")
    if to == info.data.get("owner"):
        raise ValueError("must be another account than the owner's")
    return to


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
    WRONG_UPGRADE = "WRONG_UPGRADE"
    """These rules cannot be agreed on from that height on, or there is nothing to take back."""
    POOL_FULL = "POOL_FULL"
    """Too many operations wait, or one of this owner does, or one that waited had to give way."""


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


@wire_type
class Transfer:
    """Send µSTEP out of the owner's balance to another account, which need not have been there before."""

    owner: Address
    sequence: UInt63
    to: Annotated[Address, AfterValidator(_require_recipient)]
    amount_ustep: Annotated[int, Field(ge=1, le=TRANSFER_USTEP_MAX)]
    memo: Annotated[str, AfterValidator(require_memo)]
    """For the recipient and everybody else: it is public for ever. At most `MEMO_BYTES_MAX` bytes; may be empty."""
    signature: FullSignature
    type: Literal["TRANSFER"] = field(default="TRANSFER", kw_only=True, repr=False)


@wire_type
class ApproveUpgrade:
    """Have the rules of another version from a height on, as far as this validator is asked (protocol.md §6)."""

    owner: Address
    sequence: UInt63
    validator: Address
    protocol_version: Annotated[int, Field(ge=1, le=PROTOCOL_VERSION_MAX)]
    activation_height: Annotated[int, Field(ge=1, le=ACTIVATION_HEIGHT_MAX)]
    release: Annotated[str, Field(pattern=RELEASE_PATTERN)]
    """Of this program, for people: one that knows the version. May be empty. Its alphabet has no `|`."""
    signature: FullSignature
    """By the owner or by the validator's hot key."""
    type: Literal["APPROVE_UPGRADE"] = field(default="APPROVE_UPGRADE", kw_only=True, repr=False)


@wire_type
class CancelUpgrade:
    """Take back what this validator has approved."""

    owner: Address
    sequence: UInt63
    validator: Address
    signature: FullSignature
    """By the owner or by the validator's hot key."""
    type: Literal["CANCEL_UPGRADE"] = field(default="CANCEL_UPGRADE", kw_only=True, repr=False)


UpgradeOperation: TypeAlias = ApproveUpgrade | CancelUpgrade
ValidatorOperation: TypeAlias = Register | Unbond | Withdraw | RotateKey | SetAddress | UpgradeOperation
Operation: TypeAlias = ValidatorOperation | Transfer
OperationUnion = Annotated[Operation, Discriminator("type")]


def signing_line(operation: Operation, chain_id: str) -> str:
    """The text that is signed: by the owner, and by the hot key where one comes into use.

    A memo stands last: all that follows `|memo:` is memo, so no other field can be made up in it.
    """
    kind = "TRANSFER" if isinstance(operation, Transfer) else f"VALIDATOR-{operation.type.replace('_', '-')}"
    start = f"STEP-{kind}-v1|chain:{chain_id}|owner:0x{operation.owner.hex()}|sequence:{operation.sequence}"
    match operation:
        case Transfer():
            return f"{start}|to:0x{operation.to.hex()}|amount_ustep:{operation.amount_ustep}|memo:{operation.memo}"
        case Register():
            return (
                f"{start}|key:0x{operation.public_key.hex()}|stake_ustep:{operation.stake_ustep}"
                f"|p2p:{operation.p2p_address}"
            )
        case RotateKey():
            return f"{start}|validator:0x{operation.validator.hex()}|key:0x{operation.public_key.hex()}"
        case SetAddress():
            return f"{start}|validator:0x{operation.validator.hex()}|p2p:{operation.p2p_address}"
        case ApproveUpgrade():
            return (
                f"{start}|validator:0x{operation.validator.hex()}|protocol_version:{operation.protocol_version}"
                f"|activation_height:{operation.activation_height}|release:{operation.release}"
            )
        case _:
            return f"{start}|validator:0x{operation.validator.hex()}"


def operation_id(operation: Operation, chain_id: str) -> bytes:
    """The EIP-191 digest of the signed line, 32 bytes, as of a proof: its signature is not in it."""
    return digest(signing_line(operation, chain_id))


def recipient_of(operation: Operation) -> bytes | None:
    """Whose account it credits beside what it does to its owner's; None for all but transfers."""
    return operation.to if isinstance(operation, Transfer) else None


def hot_address(public_key: bytes) -> bytes:
    """The validator's address that belongs to a compressed key. Raises OperationRefused if it is no point."""
    try:
        return address_of(public_key)
    except ValueError as error:
        raise OperationRefused(
            OperationCode.INVALID_OPERATION,
            "public_key: is not a point of secp256k1",
            Details(value=f"0x{public_key.hex()}"),
        ) from error


def verify_operation(operation: Operation, chain_id: str) -> None:
    """Raise OperationRefused unless the owner has signed, and the hot key where one comes into use. Pure.

    What rules come next (`UpgradeOperation`) may be signed by the validator's hot key in the owner's place.
    """
    line = signing_line(operation, chain_id)
    signers: list[tuple[str, bytes, tuple[bytes, ...]]] = [("signature", operation.signature, (operation.owner,))]
    if isinstance(operation, UpgradeOperation):
        signers = [("signature", operation.signature, (operation.owner, operation.validator))]
    if isinstance(operation, Register | RotateKey):
        signers.append(("possession", operation.possession, (hot_address(operation.public_key),)))
    for name, signature, allowed in signers:
        try:
            recovered = recover_signer(line, signature)
        except BadSignature as error:
            raise OperationRefused(OperationCode.BAD_SIGNATURE, f"{name}: {error}", _signed_by(line, None)) from error
        if recovered not in allowed:
            wanted = " or ".join(f"0x{signer.hex()}" for signer in dict.fromkeys(allowed))
            raise OperationRefused(
                OperationCode.BAD_SIGNATURE,
                f"{name}: must be by {wanted}; it is by 0x{recovered.hex()} or over another line",
                _signed_by(line, recovered),
            )


def _signed_by(line: str, recovered: bytes | None) -> Details:
    return Details(
        line=line,
        digest=f"0x{digest(line).hex()}",
        recovered=None if recovered is None else f"0x{recovered.hex()}",
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
