"""The bodies of answers about validators."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from step_node.amounts import step_text
from step_node.api.schema import AddressText, Answer, HashText, StepText, TimestampText, hex_text
from step_node.ledger.offences import OffenceKind, Slashing
from step_node.ledger.records import ValidatorRecord
from step_node.proofs.timestamps import format_timestamp

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
    amount: StepText = Field(description="Burnt.")
    timestamp: TimestampText

    @classmethod
    def of(cls, slashing: Slashing) -> SlashingEntry:
        """The answer about `slashing`."""
        return cls(
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
    next_cursor: str | None


class OperationAnswer(Answer):
    """The operation waits to be put into a batch; its effect shows at `/validators/{address}`."""

    ok: Literal[True] = True
    status: Literal["pending"] = "pending"
    operation_id: HashText = Field(description="`GET /operation/{operationId}` tells what becomes of it.")
    validator: AddressText
    sequence: int
