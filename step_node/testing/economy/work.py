"""What a ledger of the simulation is given for a day, what it tells of it, and how two of them are compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from step_node.chain.genesis import Genesis, GenesisValidator
from step_node.ledger.offences import Offence, Slashing
from step_node.ledger.records import ChainRecord, LastProof, TriangleState, ValidatorRecord
from step_node.ledger.state import StateHead
from step_node.operations.operation import Operation, Register, Transfer, Unbond, Withdraw
from step_node.parameters import USTEP_PER_STEP
from step_node.testing.economy.conduct import Conduct
from step_node.testing.economy.identities import account_address, hot_key, p2p_address, validator_address
from step_node.testing.economy.movement import Integers
from step_node.testing.economy.population import GENESIS_MS, Attempts
from step_node.testing.economy.scenario import Scenario

CHAIN_ID: Final = "step-simulated"
NOT_SIGNED: Final = bytes(65)
"""In place of signatures, which the ledger does not look at."""

REFUSED: Final = 0
"""In place of a level: a gate has refused the proof for its time or its movement."""
EXHAUSTED: Final = -1
"""In place of a level: nothing is left where it was made."""


@dataclass(frozen=True, slots=True)
class Payment:
    """From one account (by number) to another."""

    owner: int
    to: int
    amount_ustep: int


@dataclass(frozen=True, slots=True)
class Stake:
    """`owner` registers his validator, anew if it was jailed."""

    owner: int
    amount_ustep: int


@dataclass(frozen=True, slots=True)
class Leave:
    """`owner`'s validator asks to leave the set."""

    owner: int


@dataclass(frozen=True, slots=True)
class TakeBack:
    """`owner` withdraws his stake."""

    owner: int


Action: TypeAlias = Payment | Stake | Leave | TakeBack


@dataclass(frozen=True, slots=True)
class DayWork:
    """What happens on a day. Actions and what is proven against validators are in its first batch."""

    day: int
    attempts: Attempts
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class DayDone:
    """What became of it. `levels` has the level at which each attempt was paid, or REFUSED, or EXHAUSTED."""

    levels: npt.NDArray[np.int8]
    rewards_ustep: Integers
    applied: tuple[Action, ...]
    """The actions that the ledger took."""
    slashings: tuple[Slashing, ...]


@dataclass(frozen=True, slots=True)
class LedgerState:
    """All that a ledger holds, but for the commitment to it and the nonces: for comparing two."""

    chain: ChainRecord
    """Without its hash."""
    validators: tuple[ValidatorRecord, ...]
    accounts: dict[bytes, tuple[int, int, LastProof | None, int]]
    """Balance, proofs, last proof and operations, by address."""
    triangles: dict[int, tuple[int, TriangleState]]
    """Clicks and state, of those that have a record."""


class Start:
    """A chain before its first batch, with its accounts' addresses. Shared by all runs of a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.parameters = scenario.chain_parameters
        self.conduct = Conduct(scenario)
        stake_ustep = scenario.validators.stake_step * USTEP_PER_STEP
        genesis = Genesis(
            chain_id=CHAIN_ID,
            genesis_time_ms=GENESIS_MS,
            protocol_version=scenario.protocol_version,
            parameters=self.parameters,
            validators=tuple(
                GenesisValidator(
                    address="0x" + validator_address(number).hex(),
                    public_key="0x" + hot_key(number).hex(),
                    stake_ustep=stake_ustep,
                    p2p_address=p2p_address(number),
                    owner="0x" + account_address(number).hex(),
                )
                for number in range(scenario.validators.count)
            ),
        )
        self.head: StateHead = genesis.head()

    @cached_property
    def addresses(self) -> tuple[bytes, ...]:
        """Of all accounts, by number."""
        scenario = self.scenario
        count = scenario.validators.count + sum(group.accounts for group in scenario.groups)
        return tuple(map(account_address, range(count)))

    @cached_property
    def number_of(self) -> dict[bytes, int]:
        """The accounts' numbers by address."""
        return {address: number for number, address in enumerate(self.addresses)}

    def batch_time_ms(self, batch: int) -> int:
        """Of the `batch`th batch, from 0, if there is anything for it."""
        return GENESIS_MS + (batch + 1) * self.scenario.batch_ms

    def offences(self, day: int, head: StateHead) -> tuple[Offence, ...]:
        """What is proven on that day."""
        return self.conduct.offences(day, head.chain.height)

    def operation(self, action: Action, sequence: int) -> Operation:
        """`action` as an operation, which nobody has signed."""
        if isinstance(action, Payment):
            to = self.addresses[action.to]
            return Transfer(self.addresses[action.owner], sequence, to, action.amount_ustep, "", NOT_SIGNED)
        return self.validator_operation(action, sequence)

    def validator_operation(self, action: Stake | Leave | TakeBack, sequence: int) -> Register | Unbond | Withdraw:
        """The same of what is done about a validator."""
        owner = self.addresses[action.owner]
        match action:
            case Stake():
                key, place = hot_key(action.owner), p2p_address(action.owner)
                return Register(owner, sequence, key, action.amount_ustep, place, NOT_SIGNED, NOT_SIGNED)
            case Leave():
                return Unbond(owner, sequence, validator_address(action.owner), NOT_SIGNED)
            case TakeBack():
                return Withdraw(owner, sequence, validator_address(action.owner), NOT_SIGNED)


class SimulatedLedger(ABC):
    """A ledger that is given one day after another."""

    @abstractmethod
    def apply_day(self, work: DayWork) -> DayDone:
        """Make the day's batches; those for which there is nothing are not made."""

    @property
    @abstractmethod
    def head(self) -> StateHead:
        """Where the chain stands. Its commitment may be empty."""

    @abstractmethod
    def balances_ustep(self) -> Integers:
        """Of all accounts, by number."""

    @abstractmethod
    def state(self) -> LedgerState:
        """All of it."""
