"""The bodies of answers about validators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field

from step_node.amounts import step_text
from step_node.api.histories.pages import LatestCursor, NextCursor
from step_node.api.models.schema import AddressText, Answer, HashText, StepText, TimestampText, hex_text
from step_node.ledger.offences import OffenceKind, Slashing, slash_bps
from step_node.ledger.records import ValidatorRecord, ValidatorState
from step_node.parameters import Parameters
from step_node.proofs.timestamps import format_timestamp

_SHOWN: Final[Mapping[OffenceKind, str]] = {
    OffenceKind.DOUBLE_SIGN: "two different votes of one kind, height and round, both signed with its key",
    OffenceKind.CONFLICTING_PROPOSAL: "two different proposals of one height and round, both signed with its key",
    OffenceKind.INVALID_PROPOSAL: "a proposal, signed with its key, of a batch with a proof that no node may let pass",
    OffenceKind.INVALID_VOTE: "a vote, signed with its key, for a batch with a proof that no node may let pass",
    OffenceKind.OFFLINE: "nothing: its votes were missing from the commits of a hundred batches in a row, and for"
    " longer than the chain's offline_ms",
}
"""What the evidence of each kind is (protocol.md §4)."""

_WAY_OUT_OF_JAIL: Final = (
    "from lockedUntil on, the owner withdraws what is left of the stake (POST /validator/withdraw), or registers the"
    " same key again with what is lacking to min_stake (POST /validator/register)"
)
_NOT_IN_JAIL: Final = "nothing is to be done: it is not in jail"

StateName = Literal["waiting", "active", "leaving", "unbonding", "jailed", "rotated"]


class ValidatorEntry(Answer):
    """A validator, from its registration until its stake is withdrawn."""

    address: AddressText = Field(description="Of its hot key.")
    owner: AddressText = Field(description="Of the cold key: it pays the stake and earns the rewards.")
    public_key: str = Field(description="The hot key, compressed.")
    state: StateName
    in_set: bool = Field(description="Whether it votes on the next batch.")
    stake: StepText
    p2p_address: str = Field(alias="p2pAddress")
    active_from_height: int
    active_until_height: int | None = Field(
        description="The first height after its latest term in the set; null while that lasts.", examples=[3001]
    )
    absent_batches: int = Field(description="How many commits in a row have not had its vote.", examples=[0])
    absent_since: TimestampText | None = Field(description="Since which batch; null if the last commit had it.")
    locked_until: TimestampText | None = Field(description="Unbonding or jailed: until when the stake is locked.")

    @classmethod
    def of(cls, record: ValidatorRecord) -> ValidatorEntry:
        """The answer about `record`."""
        return cls(
            address=hex_text(record.address),
            owner=hex_text(record.owner),
            public_key=hex_text(record.public_key),
            state=record.state.name.lower(),
            in_set=record.is_in_set,
            stake=step_text(record.stake_ustep),
            p2p_address=record.p2p_address,
            active_from_height=record.active_from_height,
            active_until_height=record.active_until_height or None,
            absent_batches=record.absent_batches,
            absent_since=format_timestamp(record.absent_since_ms) if record.absent_since_ms else None,
            locked_until=format_timestamp(record.locked_until_ms) if record.locked_until_ms else None,
        )


class ValidatorsAnswer(Answer):
    """All validators, in the order of their addresses."""

    ok: Literal[True] = True
    height: int = Field(description="The batch after which this is so.")
    quorum: int = Field(description="How many votes decide.")
    validators: list[ValidatorEntry]


class SlashingEntry(Answer):
    """What an offence has cost."""

    height: int = Field(description="Of the batch that applied it.")
    kind: OffenceKind
    accused: AddressText = Field(description="Whose key did it.")
    validator: AddressText = Field(description="Who bore it: another after a rotation of keys.")
    offence_height: int
    shown: str = Field(description="What was shown, for people.", examples=[_SHOWN[OffenceKind.DOUBLE_SIGN]])
    share_bps: int = Field(
        description="The share of the stake that the offence costs, in hundredths of a per cent.", examples=[5_000]
    )
    amount: StepText = Field(description="Burnt. Less than the share where an earlier slash has taken a part of it.")
    timestamp: TimestampText
    state: StateName | None = Field(description="Of that validator now; null if its stake has been withdrawn.")
    locked_until: TimestampText | None = Field(
        description="Jailed: from when on the owner may withdraw what is left of the stake, or register it again."
    )
    way_out: str = Field(description="What the owner can do, for people.", examples=[_WAY_OUT_OF_JAIL])

    @classmethod
    def of(cls, slashing: Slashing, parameters: Parameters, record: ValidatorRecord | None) -> SlashingEntry:
        """The answer about `slashing`; `record` is that of its validator now, if there is one."""
        is_jailed = record is not None and record.state is ValidatorState.JAILED
        return cls(
            shown=_SHOWN[slashing.kind],
            share_bps=slash_bps(slashing.kind, parameters),
            state=None if record is None else record.state.name.lower(),
            locked_until=format_timestamp(record.locked_until_ms) if record is not None and is_jailed else None,
            way_out=_WAY_OUT_OF_JAIL if is_jailed else _NOT_IN_JAIL,
            height=slashing.height,
            kind=slashing.kind,
            accused=hex_text(slashing.accused),
            validator=hex_text(slashing.validator),
            offence_height=slashing.offence_height,
            amount=step_text(slashing.amount_ustep),
            timestamp=format_timestamp(slashing.timestamp_ms),
        )


class ValidatorAnswer(Answer):
    """One validator, and what it has been slashed for, newest first."""

    ok: Literal[True] = True
    validator: ValidatorEntry
    next_sequence: int = Field(description="The sequence number of the owner's next operation.")


class EvidenceAnswer(Answer):
    """What validators have been slashed for, newest first."""

    ok: Literal[True] = True
    slashings: list[SlashingEntry]
    next_cursor: NextCursor
    latest_cursor: LatestCursor


class OperationAnswer(Answer):
    """The operation waits to be put into a batch; its effect shows at `/validators/{address}`."""

    ok: Literal[True] = True
    status: Literal["pending"] = "pending"
    operation_id: HashText = Field(description="`GET /operation/{operationId}` tells what becomes of it.")
    validator: AddressText
    sequence: int
