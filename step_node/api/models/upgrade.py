"""The body of the answer about the rules in force, and about those that come next."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from step_node.api.models.schema import AddressText, Answer, TimestampText, hex_text
from step_node.ledger.protocol_record import Upgrade, UpgradeVote
from step_node.ledger.rules import RULES


class UpgradeEntry(Answer):
    """Rules of a version, and from which height on."""

    protocol_version: int = Field(examples=[2])
    activation_height: int = Field(description="The first height that they hold for.", examples=[3001])
    release: str = Field(
        description="A release of the program that knows them, as whoever proposed it has named it; may be empty.",
        examples=["0.2.0"],
    )
    is_known: bool = Field(description="Whether this node's program knows them: if not, it stops before that height.")

    @classmethod
    def of(cls, upgrade: Upgrade) -> UpgradeEntry:
        """The answer about `upgrade`."""
        return cls(
            protocol_version=upgrade.protocol_version,
            activation_height=upgrade.activation_height,
            release=upgrade.release,
            is_known=upgrade.protocol_version in RULES,
        )


class ApprovalEntry(Answer):
    """What a validator has approved, and not taken back."""

    validator: AddressText
    upgrade: UpgradeEntry

    @classmethod
    def of(cls, vote: UpgradeVote) -> ApprovalEntry:
        """The answer about `vote`."""
        return cls(validator=hex_text(vote.validator), upgrade=UpgradeEntry.of(vote.upgrade))


class KnownRules(Answer):
    """A version that this node's program knows."""

    protocol_version: int = Field(examples=[2])
    summary: str = Field(description="What is otherwise than in the version before.")


class UpgradeAnswer(Answer):
    """The rules in force after the batch of `height`, and what the validators agree on."""

    ok: Literal[True] = True
    height: int = Field(description="The last finalised.", examples=[42])
    in_force: UpgradeEntry
    agreed: UpgradeEntry | None = Field(description="What comes next, once it is agreed on; null before.")
    approvals: list[ApprovalEntry] = Field(description="One at most of each validator, sorted by its address.")
    first_possible_height: int = Field(
        description="The first height from which on other rules could hold, were they agreed on now.", examples=[3001]
    )
    epoch_batches: int = Field(description="Rules change at the first height of an epoch.", examples=[1000])
    known: list[KnownRules]
    timestamp: TimestampText
