"""What a node and its signer say to one another: one request, one answer, in the form of `consensus.wire`.

A frame is its length in 4 bytes, big-endian, and one encoded message. The node speaks first: `Open` names the chain and
the key; from `Opened` on the key is leased to this connection, and each further request has the next number, which its
answer repeats. A request never holds text to be signed: the signer makes the line of kind, height, round and value
(`signing.signed_value`), so that its key signs messages of consensus, of its own chain, and nothing else.

Whatever is not of this form ends the connection.
"""

from __future__ import annotations

import struct
from dataclasses import field
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Discriminator, Field

from consensus.messages import FullSignature, Round
from consensus.values import Address
from consensus.wire import UInt63, decode_union, encode, wire_type
from step_node.signing.guard import ENTRIES_MAX
from step_node.signing.history import DOUBT_CHARACTERS_MAX, Entry, decode_entry, encode_entry
from step_node.signing.signed_value import HASH_BYTES, VALID_ROUND_BYTES

REQUEST_BYTES_MAX: Final = 4_096
"""A longer frame ends the connection; the longest request, a doubt, has some 2,100 bytes."""
ANSWER_BYTES_MAX: Final = 524_288
"""Of a frame from the signer: a history has at most a thousand entries of up to 330 bytes."""
HISTORY_ENTRIES_MAX: Final = 2 * ENTRIES_MAX
"""Entries of a history in an `Opened`; a guard never has as many."""
MESSAGE_CHARACTERS_MAX: Final = 1_000
"""Of a refusal's sentence, which goes to the node's log."""
LENGTH: Final = struct.Struct(">I")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable")
    return text


Number = Annotated[int, Field(ge=1, le=2**63 - 1)]
Height = Annotated[int, Field(ge=1, le=2**63 - 1)]
Value = Annotated[bytes, Field(max_length=HASH_BYTES + VALID_ROUND_BYTES)]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]
Reason = Annotated[str, Field(min_length=1, max_length=DOUBT_CHARACTERS_MAX), AfterValidator(_printable)]
Sentence = Annotated[str, Field(max_length=MESSAGE_CHARACTERS_MAX)]
Kind = Literal["PROPOSAL", "PRE_VOTE", "PRE_COMMIT", "TIMEOUT_PROPOSER", "TIMEOUT_PRE_VOTE", "TIMEOUT_PRE_COMMIT"]

RefusalCode = Literal[
    "LEASED", "NO_KEY", "OTHER_CHAIN", "MALFORMED", "BEYOND", "DOUBT", "FLOOR", "HEIGHT_BELOW", "ROUND_BELOW",
    "ANOTHER_VALUE",
]  # fmt: skip
"""Why not: another node has the key; it is not here; it is of another chain; no message has this value; the chain
cannot have come to this height by now; or one of the guard's rules (`SigningRule`)."""


@wire_type
class Open:
    """Lease the key of address `validator` to this connection. `node` is a name for the signer's log."""

    chain_id: Annotated[str, Field(min_length=1, max_length=64)]
    validator: Address
    node: Name
    type: Literal["OPEN"] = field(default="OPEN", kw_only=True, repr=False)


@wire_type
class Sign:
    """Sign this message of consensus (`signed_value`)."""

    number: Number
    kind: Kind
    height: Height
    round: Round
    value: Value
    type: Literal["SIGN"] = field(default="SIGN", kw_only=True, repr=False)


@wire_type
class RaiseFloor:
    """Sign nothing at this height or below any more."""

    number: Number
    height: UInt63
    type: Literal["RAISE_FLOOR"] = field(default="RAISE_FLOOR", kw_only=True, repr=False)


@wire_type
class Doubt:
    """The chain shows that the key has signed what is not in its history: sign nothing until `Settle`."""

    number: Number
    reason: Reason
    type: Literal["DOUBT"] = field(default="DOUBT", kw_only=True, repr=False)


@wire_type
class Settle:
    """The doubt is over: whatever the key has signed is at this height or below."""

    number: Number
    floor: UInt63
    type: Literal["SETTLE"] = field(default="SETTLE", kw_only=True, repr=False)


@wire_type
class Ping:
    """The node is there: a lease of which nothing is heard ends."""

    number: Number
    type: Literal["PING"] = field(default="PING", kw_only=True, repr=False)


RequestUnion = Annotated[Open | Sign | RaiseFloor | Doubt | Settle | Ping, Discriminator("type")]
Request = Open | Sign | RaiseFloor | Doubt | Settle | Ping


@wire_type
class Opened:
    """The key is leased to this connection; `entries` are all that its history says (`encode_entry`)."""

    entries: Annotated[tuple[bytes, ...], Field(max_length=HISTORY_ENTRIES_MAX)]
    type: Literal["OPENED"] = field(default="OPENED", kw_only=True, repr=False)


@wire_type
class Signed:
    """The signature, r‖s‖v."""

    number: Number
    signature: FullSignature
    type: Literal["SIGNED"] = field(default="SIGNED", kw_only=True, repr=False)


@wire_type
class Done:
    """It is done, and on disk."""

    number: Number
    type: Literal["DONE"] = field(default="DONE", kw_only=True, repr=False)


@wire_type
class Refused:
    """It is not done. `number` is 0 where `Open` is refused."""

    number: UInt63
    code: RefusalCode
    message: Sentence
    type: Literal["REFUSED"] = field(default="REFUSED", kw_only=True, repr=False)


AnswerUnion = Annotated[Opened | Signed | Done | Refused, Discriminator("type")]
Answer = Opened | Signed | Done | Refused


def encode_frame(message: Request | Answer) -> bytes:
    """The message with its length before it."""
    body = encode(message)
    return LENGTH.pack(len(body)) + body


def decode_request(body: bytes) -> Request:
    """What a node has sent, without its length. Raises WireError."""
    request: Any = decode_union(RequestUnion, body, bytes_max=REQUEST_BYTES_MAX)
    return request  # type: ignore[no-any-return]  # a member of the union


def decode_answer(body: bytes) -> Answer:
    """What a signer has sent, without its length. Raises WireError."""
    answer: Any = decode_union(AnswerUnion, body, bytes_max=ANSWER_BYTES_MAX, structure_bytes_max=ANSWER_BYTES_MAX)
    return answer  # type: ignore[no-any-return]  # a member of the union


def opened(entries: list[Entry]) -> Opened:
    """The answer that says all this of the history."""
    return Opened(tuple(encode_entry(entry) for entry in entries))


def entries_of(answer: Opened) -> list[Entry]:
    """What the history says. Raises ValueError."""
    return [decode_entry(entry) for entry in answer.entries]
