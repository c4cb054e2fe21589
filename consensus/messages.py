"""The six messages of PoLC-BFT, the text that is signed for each, and their form on the wire (protocol.md §4).

`ProofBatch`, `PreVote`, `PreCommit` and `TimeoutMessage` are signed by one validator: EIP-191 over `signing_line`,
which names kind, version, chain, height, round and value, so that no signature means anything elsewhere. `Commit` and
`Evidence` are made of signed messages and prove themselves; whoever sends them is of no importance.

A message with an empty signature is one that its validator intends to sign. It appears in the log and in the effects
`WriteAhead` and `Sign`, and is refused from the wire. In these two, and in evidence, a `ProofBatch` has an empty
`batch`: the signature covers the hash alone.
"""

from dataclasses import field
from enum import StrEnum
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, Discriminator, Field

from consensus.values import VALIDATORS_MAX, Address, TimeoutKind
from consensus.wire import UInt63, WireError, decode_union, encode, wire_type

MESSAGE_BYTES_MAX = 1_000_000
"""The largest encoded message; a larger one is refused, sent or received (one GossipSub RPC holds at most 1 MiB)."""
BATCH_BYTES_MAX = MESSAGE_BYTES_MAX - 1_000
"""The largest batch; the rest is room for the fields of the proposal around it."""
ROUND_MAX = 2**31 - 1
"""The largest round number. Rounds get longer by timeout_delta_ms each, so no height lives to see it."""
SIGNATURE_BYTES = 65

EXHIBIT_HEADER_BYTES_MAX = 1_024
EXHIBIT_PROOF_BYTES_MAX = 1_024
EXHIBIT_PATH_STEPS_MAX = 16
"""Evidence stays small: a header has some 500 bytes, a proof at most 200, a batch at most 2^10 proofs."""


def _signed_or_empty(signature: bytes) -> bytes:
    if len(signature) not in (0, SIGNATURE_BYTES):
        raise ValueError(f"must have {SIGNATURE_BYTES} bytes, or none while it is not signed")
    return signature


Round = Annotated[int, Field(ge=0, le=ROUND_MAX)]
ValidRound = Annotated[int, Field(ge=-1, le=ROUND_MAX)]
"""The round in which a batch that is proposed again had its quorum of pre-votes; -1 for a fresh batch."""
BatchHash = Annotated[bytes, Field(min_length=32, max_length=32)]
"""The identity of a batch: SHA-256 of its canonical header, 32 bytes."""
Batch = Annotated[bytes, Field(max_length=BATCH_BYTES_MAX)]
"""An encoded batch. Consensus never looks inside."""
Signature = Annotated[bytes, AfterValidator(_signed_or_empty)]
"""r, s, v: 65 bytes; or empty, as long as the message is not signed."""
FullSignature = Annotated[bytes, Field(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


@wire_type
class ProofBatch:
    """The proposal of a batch, signed by the proposer of (height, round)."""

    height: UInt63
    round: Round
    valid_round: ValidRound
    batch_hash: BatchHash
    batch: Batch
    proposer: Address
    signature: Signature = b""
    type: Literal["PROOF_BATCH"] = field(default="PROOF_BATCH", kw_only=True, repr=False)

    @property
    def signer(self) -> bytes:
        """The address that must have signed."""
        return self.proposer

    def signing_line(self, chain_id: str) -> str:
        """The text that EIP-191 signs. It covers the batch through its hash."""
        return (
            f"STEP-PROOF-BATCH-v1|chain:{chain_id}|height:{self.height}|round:{self.round}"
            f"|valid_round:{self.valid_round}|batch:0x{self.batch_hash.hex()}"
        )


@wire_type
class PreVote:
    """ACCEPT a batch hash, or, with None (nil), REJECT whatever this round proposes."""

    height: UInt63
    round: Round
    batch_hash: BatchHash | None
    validator: Address
    signature: Signature = b""
    type: Literal["PRE_VOTE"] = field(default="PRE_VOTE", kw_only=True, repr=False)

    @property
    def signer(self) -> bytes:
        """The address that must have signed."""
        return self.validator

    def signing_line(self, chain_id: str) -> str:
        """The text that EIP-191 signs."""
        return _vote_line("PRE-VOTE", chain_id, self.height, self.round, self.batch_hash)


@wire_type
class PreCommit:
    """Commit a batch hash, or nothing (None, nil) in this round."""

    height: UInt63
    round: Round
    batch_hash: BatchHash | None
    validator: Address
    signature: Signature = b""
    type: Literal["PRE_COMMIT"] = field(default="PRE_COMMIT", kw_only=True, repr=False)

    @property
    def signer(self) -> bytes:
        """The address that must have signed."""
        return self.validator

    def signing_line(self, chain_id: str) -> str:
        """The text that EIP-191 signs."""
        return _vote_line("PRE-COMMIT", chain_id, self.height, self.round, self.batch_hash)


@wire_type
class CommitSignature:
    """One validator's pre-commit inside a `Commit`, which gives the height, round and hash."""

    validator: Address
    signature: FullSignature


@wire_type
class Commit:
    """The pre-commits, sorted by validator, that finalise a batch. Not signed as a whole: see `verify_commit`."""

    height: UInt63
    round: Round
    batch_hash: BatchHash
    signatures: Annotated[tuple[CommitSignature, ...], Field(max_length=VALIDATORS_MAX)]
    type: Literal["COMMIT"] = field(default="COMMIT", kw_only=True, repr=False)


@wire_type
class TimeoutMessage:
    """ "My wait of this kind in this round is over." A quorum of kind PRE_COMMIT moves a node to the next round."""

    height: UInt63
    round: Round
    kind: Annotated[TimeoutKind, Field(strict=False)]
    validator: Address
    signature: Signature = b""
    type: Literal["TIMEOUT"] = field(default="TIMEOUT", kw_only=True, repr=False)

    @property
    def signer(self) -> bytes:
        """The address that must have signed."""
        return self.validator

    def signing_line(self, chain_id: str) -> str:
        """The text that EIP-191 signs."""
        return f"STEP-TIMEOUT-v1|chain:{chain_id}|height:{self.height}|round:{self.round}|kind:{self.kind}"


class EvidenceKind(StrEnum):
    """What a piece of evidence proves. (Absence needs none: every batch shows who has signed the one before.)"""

    DOUBLE_SIGN = "DOUBLE_SIGN"
    """Two different votes of one kind for a height and round."""
    CONFLICTING_PROPOSAL = "CONFLICTING_PROPOSAL"
    """Two different proposals for a height and round."""
    INVALID_PROPOSAL = "INVALID_PROPOSAL"
    """A proposal of a batch in which anybody can see a bad proof."""
    INVALID_VOTE = "INVALID_VOTE"
    """A vote for such a batch."""


Accusation = Annotated[ProofBatch | PreVote | PreCommit, Discriminator("type")]
"""A signed message that can be one half of a contradiction."""


@wire_type
class Exhibit:
    """One proof of a batch, shown to be in it: what makes a batch invalid for everybody (ADR 6).

    `header` is the batch's canonical header, whose SHA-256 is the batch hash; `proof` the wire bytes of one proof;
    `path` the Merkle path from it to the header's `proofs_root`, from the leaf upwards, each step one byte (0: the
    sibling is on the left, 1: on the right) and the sibling's 32 bytes. Consensus never looks inside.
    """

    header: Annotated[bytes, Field(max_length=EXHIBIT_HEADER_BYTES_MAX)]
    proof: Annotated[bytes, Field(max_length=EXHIBIT_PROOF_BYTES_MAX)]
    path: Annotated[
        tuple[Annotated[bytes, Field(min_length=33, max_length=33)], ...], Field(max_length=EXHIBIT_PATH_STEPS_MAX)
    ]


@wire_type
class Evidence:
    """Two signed messages of one validator that contradict each other, in the order nil, hash, valid round; or one
    message that speaks for a batch, and the exhibit that shows the batch to be invalid.

    Whether it proves anything is decided by `consensus.evidence` (and, for an exhibit, by `step_node.ledger.evidence`).
    """

    kind: Annotated[EvidenceKind, Field(strict=False)]
    first: Accusation
    second: Accusation | None = None
    exhibit: Exhibit | None = None
    type: Literal["EVIDENCE"] = field(default="EVIDENCE", kw_only=True, repr=False)


SignedMessage = ProofBatch | PreVote | PreCommit | TimeoutMessage
"""What one validator signs, and so what the write-ahead path carries."""
Message = ProofBatch | PreVote | PreCommit | Commit | Evidence | TimeoutMessage
"""The six messages of the protocol."""
SignedMessageUnion = Annotated[SignedMessage, Discriminator("type")]
MessageUnion = Annotated[Message, Discriminator("type")]


def _vote_line(kind: str, chain_id: str, height: int, round_number: int, batch_hash: bytes | None) -> str:
    value = "nil" if batch_hash is None else f"0x{batch_hash.hex()}"
    return f"STEP-{kind}-v1|chain:{chain_id}|height:{height}|round:{round_number}|batch:{value}"


def encode_message(message: Message) -> bytes:
    """`message` for the wire. Raises: WireError if it is unsigned or longer than MESSAGE_BYTES_MAX."""
    require_signatures(message)
    data = encode(message)
    if len(data) > MESSAGE_BYTES_MAX:
        raise WireError(f"{type(message).__name__}: {len(data)} bytes, but at most {MESSAGE_BYTES_MAX} are allowed")
    return data


def decode_message(data: bytes) -> Message:
    """The message that a peer sent. Its form is checked, its signature is only known to be there.

    Raises: WireError, which is the peer's fault.
    """
    message = cast(Message, decode_union(MessageUnion, data, bytes_max=MESSAGE_BYTES_MAX))
    require_signatures(message)
    return message


def require_signatures(message: Message) -> None:
    """Raise `WireError` if a signature of it is empty."""
    if isinstance(message, Evidence):
        require_signatures(message.first)
        if message.second is not None:
            require_signatures(message.second)
    elif not isinstance(message, Commit) and not message.signature:
        raise WireError(f"{type(message).__name__}.signature: must have {SIGNATURE_BYTES} bytes, not none")
