"""The receipt as a file, `STEP-RECEIPT-v1`: its fields, and its two forms, JSON and CBOR (docs/receipts.md).

Both say the same: CBOR has the JSON's map with its 0x texts as byte strings. Each form has one text for one receipt.
JSON is compact, with the fields in the order of the classes here, as `JSON.stringify` writes it; CBOR is deterministic
(RFC 8949 §4.2.1). What is read is written again and compared, so a field that stands twice, another number form or
another order is refused, however it was parsed, and no bit can be changed without a word.

What follows from other fields is not in it: the id of the proof (from its line), the batch's identity (from its
header), who signed (from the signatures), how many leaves a path is read by (from the header).
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

import cbor2
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from consensus.messages import SIGNATURE_BYTES, Round
from consensus.values import VALIDATORS_MAX
from step_node.batch.batch import RECEIPTS_MAX
from step_node.errors import describe_validation_error
from step_node.ledger.records import TriangleState
from step_node.operations.operation import PROTOCOL_VERSION_MAX
from step_node.parameters import ChainId
from step_node.proofs.timestamps import parse_timestamp

RECEIPT_VERSION: Final = "STEP-RECEIPT-v1"

RECEIPT_BYTES_MAX = 1_000_000
"""A longer one is refused unread. One of four validators whose set has never changed has some 2,700 as JSON; each
change of the set adds a link, of 3 KB with four validators and some 30 KB with a hundred."""

StateName: TypeAlias = Literal["active", "subdivided", "exhausted"]

STATE_NAMES: Final[dict[TriangleState, StateName]] = {
    TriangleState.ACTIVE: "active",
    TriangleState.SUBDIVIDED: "subdivided",
    TriangleState.EXHAUSTED: "exhausted",
}

INTEGER_MAX = 2**53 - 1
"""Integers are exact up to here in every JSON parser."""

HASHES_MAX = 16
"""Hashes of a path: enough for a tree of 65,536 leaves; a batch has at most `RECEIPTS_MAX`."""

LINE_BYTES_MAX = 1_024
"""Of the signed line, in UTF-8; the longest has some 500."""

_CBOR_DEPTH_MAX = 8
_HEX: Final = re.compile("0x(?:[0-9a-f]{2})*")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
"""JSON has several ways to write these."""


class MalformedReceipt(ValueError):
    """The bytes are no receipt, or not in its one form; the message names the field and the rule."""


def _bytes_in(value: object) -> object:
    if isinstance(value, str):
        if _HEX.fullmatch(value) is None:
            raise ValueError("must be 0x and two lower-case hex digits for each byte")
        return bytes.fromhex(value[2:])
    return value


def _since_1970(text: str) -> str:
    if parse_timestamp(text) < 0:
        raise ValueError("must not be before 1970")
    return text


def _without_controls(line: str) -> str:
    if len(line.encode()) > LINE_BYTES_MAX:
        raise ValueError(f"must have at most {LINE_BYTES_MAX} bytes of UTF-8")
    if _CONTROL.search(line) is not None:
        raise ValueError("must have no control characters")
    return line


def _shown_as(length_bytes: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^0x[0-9a-f]{{{2 * length_bytes}}}$"})


_Hex: TypeAlias = Annotated[
    bytes, BeforeValidator(_bytes_in), PlainSerializer(lambda data: f"0x{data.hex()}", when_used="json")
]
_Address: TypeAlias = Annotated[_Hex, Field(min_length=20, max_length=20), _shown_as(20)]
_Hash: TypeAlias = Annotated[_Hex, Field(min_length=32, max_length=32), _shown_as(32)]
_PublicKey: TypeAlias = Annotated[_Hex, Field(min_length=33, max_length=33), _shown_as(33)]
_Signature: TypeAlias = Annotated[
    _Hex, Field(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES), _shown_as(SIGNATURE_BYTES)
]
_Integer: TypeAlias = Annotated[int, Field(ge=0, le=INTEGER_MAX)]
_Amount: TypeAlias = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,11})\.[0-9]{6}$")]
_Timestamp: TypeAlias = Annotated[str, AfterValidator(_since_1970)]
_Line: TypeAlias = Annotated[str, AfterValidator(_without_controls)]
_Item = TypeVar("_Item")
_List: TypeAlias = Annotated[tuple[_Item, ...], Field(strict=False)]
"""JSON and CBOR give lists, which strict reading would not take for tuples."""


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        # A field of another type is shown by its rule, not by its value.
        hide_input_in_errors=True,
    )


class SignedLine(_Part):
    """What was signed, and by whom: `signature` is r, s, v, 65 bytes, v of 27 or 28."""

    line: _Line
    signature: _Signature


class ProofOutcome(_Part):
    """What the ledger made of a proof: the reward, and right after it the triangle's clicks and state, and the
    account's balance. Amounts in STEP."""

    reward: _Amount
    clicks: _Integer
    state: StateName
    balance: _Amount


class OperationOutcome(_Part):
    """The owner's balance right after an operation, in STEP."""

    balance: _Amount


class PathPart(_Part):
    """The Merkle path to `receiptsRoot`: of the `receiptsSize` leaves that with `index`, and its siblings from the leaf
    upwards."""

    index: _Integer
    hashes: Annotated[_List[_Hash], Field(max_length=HASHES_MAX)]


class HeaderPart(_Part):
    """A batch's header; its fields are those of `BatchHeader`."""

    chain_id: ChainId
    protocol_version: Annotated[_Integer, Field(ge=1, le=PROTOCOL_VERSION_MAX)]
    height: Annotated[_Integer, Field(ge=1)]
    round: Round
    proposer: _Address
    timestamp: _Timestamp
    previous_batch_hash: _Hash
    validator_set_hash: _Hash
    state_root: _Hash
    proof_ids_root: _Hash
    proofs_root: _Hash
    receipts_root: _Hash
    receipts_size: Annotated[_Integer, Field(le=RECEIPTS_MAX)]
    body_hash: _Hash


class CommitPart(_Part):
    """The pre-commits of `round` for the batch whose header stands beside it, in the order of who signed them."""

    round: Round
    signatures: Annotated[_List[_Signature], Field(min_length=1, max_length=VALIDATORS_MAX)]


class ValidatorPart(_Part):
    """A member of a set; `stake` in STEP."""

    address: _Address
    public_key: _PublicKey
    stake: _Amount


class LinkPart(_Part):
    """A header under a set that is not the one before, its commit, and the set's members (`receipts.links`)."""

    header: HeaderPart
    commit: CommitPart
    validators: Annotated[_List[ValidatorPart], Field(min_length=1, max_length=VALIDATORS_MAX)]


class ProofReceipt(_Part):
    """What became of a finalised proof, with all that shows it to whoever has the genesis file."""

    version: Literal["STEP-RECEIPT-v1"] = RECEIPT_VERSION
    genesis_hash: _Hash
    proof: SignedLine
    outcome: ProofOutcome
    path: PathPart
    header: HeaderPart
    commit: CommitPart
    links: _List[LinkPart]


class OperationReceipt(_Part):
    """What became of a finalised operation, with all that shows it to whoever has the genesis file."""

    version: Literal["STEP-RECEIPT-v1"] = RECEIPT_VERSION
    genesis_hash: _Hash
    operation: SignedLine
    outcome: OperationOutcome
    path: PathPart
    header: HeaderPart
    commit: CommitPart
    links: _List[LinkPart]


ReceiptDocument: TypeAlias = ProofReceipt | OperationReceipt


def receipt_json(receipt: ReceiptDocument) -> bytes:
    """The JSON form: no white space, no line end, only quotes and backslashes escaped."""
    return receipt.model_dump_json(by_alias=True).encode()


def receipt_cbor(receipt: ReceiptDocument) -> bytes:
    """The CBOR form, deterministic (RFC 8949 §4.2.1): definite lengths, shortest heads, sorted keys."""
    return cbor2.dumps(receipt.model_dump(by_alias=True), canonical=True)


def read_receipt(data: bytes) -> ReceiptDocument:
    """The receipt in `data`, JSON if it begins with `{`, else CBOR. Raises `MalformedReceipt`.

    Only the form is checked here: `step_node.receipts.verification` says whether it is true.
    """
    if len(data) > RECEIPT_BYTES_MAX:
        raise MalformedReceipt(f"receipt: {len(data)} bytes; at most {RECEIPT_BYTES_MAX} are allowed")
    is_json = data.startswith(b"{")
    fields = _json_fields(data) if is_json else _cbor_fields(data)
    if not isinstance(fields, dict):
        raise MalformedReceipt("receipt: must be a map of fields")
    kind = OperationReceipt if "operation" in fields else ProofReceipt
    try:
        receipt = kind.model_validate(fields)
    except ValidationError as error:
        raise MalformedReceipt(describe_validation_error(error)) from error
    if (receipt_json if is_json else receipt_cbor)(receipt) != data:
        form = "compact JSON with its fields in order" if is_json else "deterministic CBOR (RFC 8949 section 4.2.1)"
        raise MalformedReceipt(f"receipt: must be in its one form, {form}, with nothing before or after it")
    return receipt


def _json_fields(data: bytes) -> object:
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedReceipt(f"receipt: is not JSON: {error}") from error


def _cbor_fields(data: bytes) -> object:
    try:
        return cbor2.loads(
            data,
            max_depth=_CBOR_DEPTH_MAX,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except cbor2.CBORDecodeError as error:
        raise MalformedReceipt(f"receipt: is neither JSON nor CBOR: {error}") from error
