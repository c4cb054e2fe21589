"""A health overview over parts that a test moves; time is the mock clock's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import trio
from prometheus_client import CollectorRegistry

from consensus.state import ConsensusState
from p2p.network import PeerId
from step_node.api.status.health import HealthCode
from step_node.api.status.node import PeerStatus
from step_node.api.submissions.breaker import BreakerSettings
from step_node.api.submissions.intake import Intake
from step_node.economy.guardrails.guardrails import Broken
from step_node.engine.machine_runner import timeouts_of
from step_node.home.switches import IntakePercent, ShareSet, Switch, Switches, Thrown
from step_node.ledger.protocol_record import ProtocolRecord, Upgrade
from step_node.ledger.records import ValidatorRecord
from step_node.ledger.state import StateHead
from step_node.ledger.validators import validator_set
from step_node.metrics import NodeMetrics
from step_node.node.health.overview import HealthOverview
from step_node.node.roles import RoleWatch
from step_node.storage.interface import StorageUnavailable
from step_node.storage.memory import MemoryStorage
from step_node.storage.retry import StorageWatch
from tests.support.chains import make_genesis, validator_names
from tests.support.clock import SetClock
from tests.support.proofs import START_MS, address

NAMES = validator_names(4)
OWN = address(NAMES[0])


def peer_of(name: str, *, validator: bool = True) -> PeerStatus:
    """The connected node of this name, which has greeted."""
    return PeerStatus(f"peer-{name}", "/ip4/192.0.2.1/tcp/1", True, "0.1.0", 0, address(name) if validator else None)


class SilentStorage(MemoryStorage):
    """A store that answers nothing of use, and hangs, or fails, while a test says so."""

    hangs = False
    failure: str | None = None

    async def head(self) -> StateHead:
        while self.hangs:
            await trio.sleep(0.1)
        if self.failure is not None:
            raise StorageUnavailable(self.failure)
        return None  # type: ignore[return-value]  # Nobody looks at the answer.


class MadeUpJournal:
    """As `mempool.journal.Journal`."""

    trouble: str | None = None

    def fail(self, trouble: str | None) -> None:
        self.trouble = trouble


class _Peers:
    """As `network.peers.Peers`, and as its `shared`."""

    def __init__(self, watch: MadeUpWatch) -> None:
        self._watch = watch
        self.shared = self

    @property
    def shown(self) -> int:
        return self._watch.shown

    def statuses(self) -> tuple[PeerStatus, ...]:
        return tuple(self._watch.peers)

    def told_by(self) -> int:
        return self._watch.shared_by


@dataclass
class MadeUpWatch:
    """Four validators, all connected; nothing is wrong until a test says so. `own` is the key's address."""

    own: bytes | None = OWN
    discovers: bool = True
    validators: int = 4
    peers: list[PeerStatus] = field(default_factory=lambda: [peer_of(name) for name in NAMES[1:]])
    syncing: bool = False
    shown: int = 0
    fork: Any = None
    shared_by: int = 0
    broken: tuple[Broken, ...] = ()
    has_work: bool = False
    absence: str | None = None
    signer_absence: str | None = None
    refusal: str | None = None
    journal: MadeUpJournal = field(default_factory=MadeUpJournal)
    clock: SetClock = field(default_factory=lambda: SetClock(START_MS))
    storage: SilentStorage = field(default_factory=SilentStorage)

    def __post_init__(self) -> None:
        genesis = self.genesis = make_genesis(self.validators)
        named = tuple(
            replace(record, p2p_address=f"{record.p2p_address}/p2p/16Uiu2HAm{index}")
            for index, record in enumerate(genesis.head().validators)
        )
        head = replace(genesis.head(), validators=named)
        members = validator_set(named)
        self.chain: Any = SimpleNamespace(
            head=head,
            genesis=genesis,
            validators=members,
            parameters=genesis.parameters,
            storage=self.storage,
            begins_in_ms=0,
            next_height=1,
        )
        self.state = ConsensusState.begin(genesis.chain_id, 1, members, self.own, timeouts_of(genesis.parameters))
        self.registry = CollectorRegistry()
        self.roles = RoleWatch(own=self.own, peer_id=PeerId("peer-self"))
        self.storage_watch = StorageWatch(lambda: None)
        self.switches = Switches()
        self.intake = Intake(self.switches, BreakerSettings(), now=lambda: self.seconds)
        self.seconds = 0.0
        self.overview = HealthOverview(
            own=self.own,
            chain=cast(Any, self.chain),
            clock=self.clock,
            driver=cast(Any, self),
            peers=cast(Any, _Peers(self)),
            roles=self.roles,
            journal=cast(Any, self.journal),
            storage_watch=self.storage_watch,
            metrics=NodeMetrics(self.registry),
            fork=lambda: self.fork,
            is_syncing=lambda: self.syncing,
            waiting=lambda: (3, 1, 0),
            discovers=self.discovers,
            intake=self.intake.state,
            guardrails=lambda: self.broken,
        )

    def throw_intake(self, is_on: bool) -> None:
        """The operator turns the intake off, or on."""
        self.switches.throw(Switch.INTAKE, Thrown(is_on=is_on, who="root", when_ms=0, why="a drill"))

    def limit_intake(self, percent: IntakePercent) -> None:
        """The operator has something taken from so many accounts alone."""
        self.switches.set_share(ShareSet(percent=percent, who="root", when_ms=0, why="a drill"))

    def surge(self) -> None:
        """For two minutes nothing is submitted, then far too much, for as long as it takes to be shed."""
        self.intake.state()
        self.seconds += 120
        self.intake.state()
        self.intake.count(10_000)
        self.seconds += 1

    def calm(self) -> None:
        """Nobody has submitted anything for half a minute."""
        self.seconds += 30

    def codes(self) -> set[HealthCode]:
        """What is wrong."""
        return {reason.code for reason in self.overview.health().reasons}

    def message(self, code: HealthCode) -> str:
        """What is said of it."""
        (message,) = [one.message for one in self.overview.health().reasons if one.code is code]
        return message

    def figures(self, code: HealthCode) -> dict[str, int]:
        """What is counted of it."""
        (figures,) = [one.figures for one in self.overview.health().reasons if one.code is code]
        return dict(figures)

    def agree_on(self, upgrade: Upgrade | None) -> None:
        """What comes after the rules in force, or nothing."""
        self.chain.head = replace(self.chain.head, protocol=ProtocolRecord(agreed=upgrade))

    def set_own(self, **changes: Any) -> None:
        """Change the own validator's record."""
        records: tuple[ValidatorRecord, ...] = self.chain.head.validators
        changed = tuple(replace(one, **changes) if one.address == self.own else one for one in records)
        self.chain.head = replace(self.chain.head, validators=changed)
        self.chain.validators = validator_set(changed)
        self.roles.look(changed)

    def change(self, **changes: Any) -> None:
        """Change what the overview rests on."""
        for name, value in changes.items():
            setattr(self, name, value)

    def counted(self, name: str, **labels: str) -> float | None:
        """A counter's value."""
        return self.registry.get_sample_value(f"step_{name}_total", labels)
