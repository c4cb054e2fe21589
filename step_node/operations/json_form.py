"""Operations as JSON: what the API takes and the command line sends.

Addresses, keys and signatures are 0x and hex digits, stakes and amounts decimal strings of STEP. A form is the fields
of the operation but its type, which the path of the request names.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from step_node.crypto.eip191 import with_recovery_value
from step_node.errors import describe_validation_error, rule_of
from step_node.explanations.details import Details, shown
from step_node.operations.operation import (
    ACTIVATION_HEIGHT_MAX,
    MEMO_BYTES_MAX,
    P2P_ADDRESS_PATTERN,
    PROTOCOL_VERSION_MAX,
    RELEASE_PATTERN,
    TRANSFER_USTEP_MAX,
    ApproveUpgrade,
    CancelUpgrade,
    Operation,
    OperationCode,
    OperationRefused,
    Register,
    RotateKey,
    SetAddress,
    Transfer,
    Unbond,
    Withdraw,
)
from step_node.parameters import USTEP_PER_STEP

UNKNOWN_FIELD_CHARACTERS_SHOWN: Final = 40
STEP_PATTERN: Final = r"^(0|[1-9][0-9]{0,12})(\.[0-9]{1,6})?$"
_BELOW_ONE: Final = "|".join(f"0{{{zeros}}}[1-9][0-9]{{0,{5 - zeros}}}" for zeros in range(6))
_AMOUNT_PATTERN: Final = rf"^(0[.]({_BELOW_ONE})|([1-9][0-9]{{0,8}}|[1-8][0-9]{{9}})([.][0-9]{{1,6}})?)$"
"""What a transfer may carry, but for the last millions of STEP up to its maximum."""
EXAMPLE_ADDRESS: Final = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"

AddressText = Annotated[str, Field(pattern="^0x[0-9a-fA-F]{40}$", examples=[EXAMPLE_ADDRESS])]
PublicKeyText = Annotated[
    str,
    Field(
        pattern="^0x0[23][0-9a-fA-F]{64}$",
        # That it is a point of the curve is what no pattern can say.
        json_schema_extra={"format": "step-public-key"},
        description="Compressed secp256k1.",
        examples=["0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"],
    ),
]
SignatureText = Annotated[
    str,
    Field(
        pattern="^0x[0-9a-fA-F]{130}$", description="r, s, v; v of 0, 1, 27 or 28.", examples=["0x" + "11" * 64 + "1b"]
    ),
]
StepAmountText = Annotated[
    str,
    Field(pattern=STEP_PATTERN, description="STEP.", examples=["100000.000000"]),
]
TransferAmountText = Annotated[
    str,
    Field(
        description="STEP, from 0.000001 to 9007199254.740991.",
        # Only described so: `parse_amount` says what is wrong.
        json_schema_extra={"pattern": _AMOUNT_PATTERN},
        examples=["1.500000"],
    ),
]
P2pAddressText = Annotated[
    str,
    Field(
        alias="p2pAddress",
        # Only described so: the operation says what is wrong.
        json_schema_extra={"pattern": P2P_ADDRESS_PATTERN},
        examples=["/dns4/node.example/tcp/26600/p2p/16Uiu2HAm2k8h1fV7nJ1c"],
    ),
]


def _whole(value: object) -> object:
    """446.0 is 446, in JSON as in JavaScript; a fraction stays what it is, and is refused."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Sequence = Annotated[
    int,
    # What every JSON reader takes for the same number (RFC 8259 §6).
    Field(ge=0, le=2**53 - 1, description="How many operations the owner has had before."),
    BeforeValidator(_whole),
]


class _Form(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, validate_by_name=False
    )

    owner: AddressText
    sequence: Sequence
    signature: SignatureText


class RegisterForm(_Form):
    """Put up a stake, out of the owner's balance, for a validator."""

    public_key: PublicKeyText
    stake: StepAmountText
    p2p_address: P2pAddressText
    possession: SignatureText


class LeaveForm(_Form):
    """Unbond a validator, or withdraw its stake."""

    validator: AddressText


class RotateKeyForm(_Form):
    """Replace a validator's hot key."""

    validator: AddressText
    public_key: PublicKeyText
    possession: SignatureText


class SetAddressForm(_Form):
    """Say where a validator's node is found from now on."""

    validator: AddressText
    p2p_address: P2pAddressText


class ApproveUpgradeForm(_Form):
    """Approve other rules from a height on. The owner's signature or the hot key's will do."""

    validator: AddressText
    protocol_version: Annotated[
        int, Field(ge=1, le=PROTOCOL_VERSION_MAX, description="Of the rules.", examples=[2]), BeforeValidator(_whole)
    ]
    activation_height: Annotated[
        int,
        Field(ge=1, le=ACTIVATION_HEIGHT_MAX, description="The first height of an epoch.", examples=[3001]),
        BeforeValidator(_whole),
    ]
    release: str = Field(
        default="",
        pattern=RELEASE_PATTERN,
        description="A release of the program that knows them, for people. May be empty.",
        examples=["0.2.0"],
    )


class CancelUpgradeForm(_Form):
    """Take back what a validator has approved. The owner's signature or the hot key's will do."""

    validator: AddressText


class TransferForm(_Form):
    """Send STEP to another account."""

    to: AddressText
    amount: TransferAmountText
    memo: str = Field(
        default="",
        max_length=MEMO_BYTES_MAX,
        description=f"At most {MEMO_BYTES_MAX} bytes of UTF-8, without control characters. Public for ever.",
        examples=["rent, November"],
    )


Form: TypeAlias = (
    RegisterForm | LeaveForm | RotateKeyForm | SetAddressForm | ApproveUpgradeForm | CancelUpgradeForm | TransferForm
)

OPERATIONS: Final[dict[str, tuple[type[Operation], type[Form]]]] = {
    "register": (Register, RegisterForm),
    "unbond": (Unbond, LeaveForm),
    "withdraw": (Withdraw, LeaveForm),
    "rotate-key": (RotateKey, RotateKeyForm),
    "set-address": (SetAddress, SetAddressForm),
    "approve-upgrade": (ApproveUpgrade, ApproveUpgradeForm),
    "cancel-upgrade": (CancelUpgrade, CancelUpgradeForm),
    "transfer": (Transfer, TransferForm),
}
"""By the name that paths and commands use."""

_STEP_FIELDS: Final = {"stake_ustep": "stake", "amount_ustep": "amount"}
"""What is µSTEP in the operation, and STEP in the form."""

_PLAIN_FIELDS: Final = ("sequence", "p2p_address", "memo", "protocol_version", "activation_height", "release")
"""What is the same in both."""


def parse_operation(name: str, document: object) -> Operation:
    """The operation `name` with the fields of `document`; its signatures are not checked here.

    Raises `OperationRefused` INVALID_OPERATION naming the field and the rule.
    """
    operation_type, form_type = OPERATIONS[name]
    try:
        form = form_type.model_validate(document)
    except ValidationError as error:
        raise _not_of_its_form(error) from error
    fields: dict[str, Any] = {}
    for field, value in form:
        if field == "stake":
            fields["stake_ustep"] = parse_ustep(value, field)
        elif field == "amount":
            fields["amount_ustep"] = parse_amount(value)
        elif field in _PLAIN_FIELDS:
            fields[field] = value
        elif field in ("signature", "possession"):
            fields[field] = with_recovery_value(bytes.fromhex(value[2:]))
        else:
            fields[field] = bytes.fromhex(value[2:])
    try:
        return operation_type(**fields)
    except ValidationError as error:
        raise _not_of_its_form(error) from error


def _not_of_its_form(error: ValidationError) -> OperationRefused:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "body"
    return OperationRefused(
        OperationCode.INVALID_OPERATION,
        describe_validation_error(error),
        Details(
            field=ascii(field[:UNKNOWN_FIELD_CHARACTERS_SHOWN])[1:-1],
            rule="is not a field of it" if first["type"] == "extra_forbidden" else rule_of(first),
            value=None if first["type"] == "missing" else shown(first["input"]),
        ),
    )


def operation_json(operation: Operation) -> dict[str, object]:
    """The form of `operation`, as `parse_operation` takes it."""
    fields: dict[str, object] = {}
    for field in operation.__dataclass_fields__:
        value = getattr(operation, field)
        if field in _STEP_FIELDS:
            fields[_STEP_FIELDS[field]] = f"{value // USTEP_PER_STEP}.{value % USTEP_PER_STEP:06d}"
        elif field == "p2p_address":
            fields["p2pAddress"] = value
        elif field != "type":
            fields[to_camel(field)] = f"0x{value.hex()}" if isinstance(value, bytes) else value
    return fields


def name_of(operation: Operation) -> str:
    """The operation's name in paths and commands."""
    return next(name for name, (kind, _) in OPERATIONS.items() if isinstance(operation, kind))


def parse_ustep(text: str, field: str) -> int:
    """Micro-STEP in a decimal string of STEP. Raises `OperationRefused` INVALID_OPERATION naming `field`."""
    if re.fullmatch(STEP_PATTERN, text, re.ASCII) is None:
        raise OperationRefused(
            OperationCode.INVALID_OPERATION,
            f"{field}: must be a decimal number of STEP with at most six places",
            Details(value=shown(text)),
        )
    whole, _, fraction = text.partition(".")
    return int(whole) * USTEP_PER_STEP + int(fraction.ljust(6, "0"))


def parse_amount(text: str) -> int:
    """Micro-STEP of a transfer, in a decimal string of STEP. Raises `OperationRefused` INVALID_OPERATION."""
    amount_ustep = parse_ustep(text, "amount")
    if not 1 <= amount_ustep <= TRANSFER_USTEP_MAX:
        most = f"{TRANSFER_USTEP_MAX // USTEP_PER_STEP}.{TRANSFER_USTEP_MAX % USTEP_PER_STEP:06d}"
        raise OperationRefused(
            OperationCode.INVALID_OPERATION,
            f"amount: must be from 0.000001 to {most} STEP, not {text}",
            Details(value=shown(text), limit=most, unit="STEP"),
        )
    return amount_ustep
