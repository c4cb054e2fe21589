"""The guardrails: a closed list, and what it means that one is broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Guardrail(StrEnum):
    """What is watched; the label of `step_guardrail_broken`, too."""

    REWARDS = "rewards"
    CLICKS = "clicks"
    VALIDATORS_SHARE = "validators_share"
    SUPPLY = "supply"
    BALANCES = "balances"
    CONSERVATION = "conservation"
    MINTING_RATE = "minting_rate"
    CONCENTRATION = "concentration"
    ORPHANED_STAKE = "orphaned_stake"


OF_THE_LEDGER: Final = frozenset(
    {
        Guardrail.REWARDS,
        Guardrail.CLICKS,
        Guardrail.VALIDATORS_SHARE,
        Guardrail.SUPPLY,
        Guardrail.BALANCES,
        Guardrail.CONSERVATION,
    }
)
"""A breach is a fault in the rules that all nodes run: it stays broken until an operator has seen it. The others are
drifts: they come and go with their figures."""

SENTENCES: Final[Mapping[Guardrail, str]] = MappingProxyType(
    {
        Guardrail.REWARDS: "each proof is paid what its level and click earn",
        Guardrail.CLICKS: "each click is one, and a triangle's state is that of its clicks",
        Guardrail.VALIDATORS_SHARE: "validators get their share of the batch before",
        Guardrail.SUPPLY: "the supply moves by what is paid, and is within what all clicks can have paid",
        Guardrail.BALANCES: "each account has what it had, and what it got, less what it gave",
        Guardrail.CONSERVATION: "all that was minted is in balances and stakes, or burnt",
        Guardrail.MINTING_RATE: "in an hour no more is minted than some times the usual",
        Guardrail.CONCENTRATION: "the ten largest holders do not have most of it",
        Guardrail.ORPHANED_STAKE: "stakes belong to validators that answer for them",
    }
)


@dataclass(frozen=True, slots=True)
class Breach:
    """A guardrail was broken by the batch of `height`: `figure` is what was found, `bound` what it must be, or may be
    at most, both of whatever size, in the guardrail's unit; None where the fault is in no amount, but in clicks or
    receipts. `message` is for people."""

    guardrail: Guardrail
    height: int
    message: str
    figure: int | None = None
    bound: int | None = None
