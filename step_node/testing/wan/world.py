"""One world of validators far apart, and what they reach at one rate of proofs: `simulate_wide_area`.

Theory of operation. The whole world is one deterministic trio run, as the simulator's is. When all validators take
part, clients hand in proofs in an open loop, spread over all nodes; when the last is handed in the world goes on for
as long as a proof may take, and ends. A proof is final when the node that it was handed in to has stored it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from consensus.messages import Commit
from consensus.wire import decode
from p2p.network import Drop, PeerId
from step_node.chain.chain import COMMIT_BYTES_MAX
from step_node.chain.genesis import Genesis, GenesisValidator
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.parameters import USTEP_PER_STEP, Parameters
from step_node.proofs.proof import SignedProof
from step_node.storage.interface import FinalisedBatch
from step_node.testing.load.report import percentiles_ms
from step_node.testing.load.schedule import Schedule
from step_node.testing.simulator.campaign import quiet
from step_node.testing.simulator.chain import p2p_address_of, validator_keys
from step_node.testing.simulator.clock import START_MS
from step_node.testing.simulator.deterministic import run_deterministically
from step_node.testing.waiting import until
from step_node.testing.wan.costs import Costs
from step_node.testing.wan.machine import Downlink, Machine, Processor, Uplink
from step_node.testing.wan.network import WideArea
from step_node.testing.wan.node import WideNode, refusals_in
from step_node.testing.wan.work import SharedAnswers

CHAIN_ID: Final = "step-wide-1"
MEGABIT: Final = 1e6
START_SECONDS_MAX: Final = 60.0
"""Within which all validators take part."""
KEPT_UP_SHARE: Final = 0.95
"""Of what was offered, that must become final, or the rate is too high."""
KEPT_UP_MS: Final = 3_000.0
"""By when 95 % of them must be final."""
SATURATED: Final = 0.8
"""So busy a processor or a line is the bottleneck."""
REQUESTS_A_SECOND: Final = 10
"""How often clients come to one node: what is due there meanwhile they hand in together."""


@dataclass(frozen=True, slots=True)
class WideSettings:
    """A world. `proofs_per_second` are offered for `seconds`; links take `delay_ms` each way, and a jitter."""

    validators: int
    proofs_per_second: float
    seconds: float = 10.0
    seed: int = 0
    delay_ms: float = 100.0
    jitter_ms: float = 10.0
    megabits_per_second: float = 100.0
    """Of each node's line, in either direction."""
    drain_seconds: float = 4.0


@dataclass(frozen=True, slots=True)
class WideReport:
    """What became of it. Shares of time are of the seconds in which proofs were offered."""

    offered: int
    final: int
    refused: Mapping[str, int]
    finality_ms: Mapping[str, float | None]
    final_per_second: float
    """By the batches that were stored while proofs were offered, without the wait for the first of them; by the proofs
    that were offered, where there were too few batches."""
    sent_bytes_per_second: float
    """By a node, on the average."""
    busy: Mapping[str, float]
    """Of the busiest node's `processor`, `uplink` and `downlink`, by name: the part of the time that it had work for;
    above 1 where the work piles up."""
    batches: int
    full_batches: int
    rounds_failed: int
    seconds_a_height: float
    gossip_dropped: int
    """Messages beyond a share, or for which a queue had no room."""

    @property
    def keeps_up(self) -> bool:
        """Whether the network stands this rate."""
        p95_ms = self.finality_ms["p95"]
        return self.final >= KEPT_UP_SHARE * self.offered and p95_ms is not None and p95_ms <= KEPT_UP_MS

    @property
    def bottleneck(self) -> str:
        """What there was too little of, by what was counted."""
        name = max(self.busy, key=lambda each: self.busy[each])
        if self.busy[name] >= SATURATED:
            return f"{name} ({self.busy[name]:.0%} busy)"
        if self.rounds_failed * 2 >= self.batches:
            return f"rounds ({self.rounds_failed} failed at {self.batches} heights)"
        if self.full_batches * 2 >= self.batches:
            return f"batches ({self.full_batches} of {self.batches} full, one after another)"
        if self.gossip_dropped:
            return f"shares of gossip ({self.gossip_dropped} messages dropped)"
        if self.refused:
            return f"room in the mempool ({sum(self.refused.values())} proofs refused)"
        return f"time of a height ({name} {self.busy[name]:.0%} busy)"


def simulate_wide_area(
    settings: WideSettings, costs: Costs, proofs: Sequence[SignedProof], shared: SharedAnswers | None = None
) -> WideReport:
    """Offer `proofs`, as many of them as there is time for, to a world. The same arguments give the same report.

    Raises ValueError where there are too few proofs, RuntimeError where the validators do not begin.
    """
    schedule = _schedule(settings)
    if len(proofs) < schedule.proofs:
        raise ValueError(f"proofs: {schedule.proofs} are offered, and there are {len(proofs)}")
    world = _World(settings, costs, proofs[: schedule.proofs], SharedAnswers() if shared is None else shared)
    with quiet():
        return run_deterministically(world.run, seed=settings.seed)


def genesis_of(validators: int) -> Genesis:
    """A chain of so many validators with the parameters that a chain has by default."""
    parameters = Parameters()
    return Genesis(
        chain_id=CHAIN_ID,
        genesis_time_ms=START_MS - 60_000,
        parameters=parameters,
        validators=tuple(
            # Not validated: peer ids are names here, which no multiaddr may have.
            GenesisValidator.model_construct(
                address="0x" + address_of(public_key_of(key)).hex(),
                public_key="0x" + public_key_of(key).hex(),
                stake_ustep=parameters.min_stake * USTEP_PER_STEP,
                p2p_address=p2p_address_of(f"v{index}"),
                owner=None,
            )
            for index, key in enumerate(validator_keys(validators))
        ),
    )


def _schedule(settings: WideSettings) -> Schedule:
    batch = max(1, int(settings.proofs_per_second / (REQUESTS_A_SECOND * settings.validators)))
    # Each prover proves once, so that no moratorium matters.
    return Schedule(settings.proofs_per_second, settings.seconds, settings.validators, moratorium_ms=0, batch=batch)


@dataclass(frozen=True, slots=True)
class _Counters:
    """What was counted on all machines, at one moment."""

    busy_seconds: Mapping[str, list[float]]
    sent_bytes: int
    dropped: int


class _World:
    def __init__(
        self, settings: WideSettings, costs: Costs, proofs: Sequence[SignedProof], shared: SharedAnswers
    ) -> None:
        self._settings = settings
        self._proofs = proofs
        self._shared, self._costs = shared, costs
        self._due: dict[bytes, float] = {}
        self._final: dict[bytes, float] = {}
        self._home: dict[bytes, str] = {}
        """By proof id: the node that it was handed in to."""
        self._refused: Counter[str] = Counter()
        self._batches: list[tuple[float, int, int]] = []
        """Of the first node: when each batch was stored, its proofs, and the round that was committed."""
        self._nodes: list[WideNode] = []
        self._parameters = Parameters()

    async def run(self) -> WideReport:
        settings = self._settings
        self._make()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._air.run)
            for node in self._nodes:
                nursery.start_soon(node.run)
            with trio.move_on_after(START_SECONDS_MAX) as patience:
                await until(lambda: all(node.takes_part for node in self._nodes))
            if patience.cancelled_caught:
                raise RuntimeError("the validators do not begin")
            began, before = trio.current_time(), self._count()
            await self._offer(began)
            await trio.sleep_until(began + settings.seconds)
            after = self._count()
            with trio.move_on_after(settings.drain_seconds):
                await until(lambda: len(self._final) >= len(self._proofs))
            nursery.cancel_scope.cancel()
        for node in self._nodes:
            node.close()
        return self._report(began, before, after)

    def _make(self) -> None:
        settings = self._settings
        genesis, keys = genesis_of(settings.validators), validator_keys(settings.validators)
        members = frozenset(PeerId(f"v{index}") for index in range(settings.validators))
        self._air = WideArea(
            random.Random(settings.seed),
            delay_seconds=settings.delay_ms / 1_000,
            jitter_seconds=settings.jitter_ms / 1_000,
        )
        self._air.expect(settings.validators)
        for index, key in enumerate(keys):
            speed = settings.megabits_per_second * MEGABIT
            machine = Machine(f"v{index}", Processor(), Uplink(self._air.at, speed), Downlink(speed))
            self._nodes.append(
                WideNode(
                    machine=machine,
                    private_key=key,
                    genesis=genesis,
                    air=self._air,
                    members=members,
                    costs=self._costs,
                    shared=self._shared,
                    rng=random.Random(f"{settings.seed} {index}"),
                    on_finalised=self._finalised,
                )
            )

    async def _offer(self, began: float) -> None:
        for request in _schedule(self._settings).requests():
            await trio.sleep_until(began + request.due_seconds)
            node, proofs = self._nodes[request.node], self._proofs[request.first : request.end]
            for proof in proofs:
                self._due[proof.proof_id] = began + request.due_seconds
                self._home[proof.proof_id] = node.machine.name
            node.hand_in(proofs, self._answered)

    def _answered(self, answers: Sequence[object]) -> None:
        self._refused.update(refusal.code.value for refusal in refusals_in(answers))

    def _finalised(self, name: str, finalised: FinalisedBatch) -> None:
        now = trio.current_time()
        for proof in finalised.proofs:
            if self._home.get(proof.proof_id) == name:
                self._final.setdefault(proof.proof_id, now)
        if name == self._nodes[0].machine.name:
            commit = decode(Commit, finalised.stored.commit, bytes_max=COMMIT_BYTES_MAX)
            self._batches.append((now, len(finalised.proofs), commit.round))

    def _count(self) -> _Counters:
        machines = [node.machine for node in self._nodes]
        return _Counters(
            busy_seconds={
                "processor": [machine.processor.busy_seconds for machine in machines],
                "uplink": [machine.uplink.busy_seconds for machine in machines],
                "downlink": [machine.downlink.busy_seconds for machine in machines],
            },
            sent_bytes=sum(machine.uplink.sent_bytes for machine in machines),
            dropped=sum(
                node.network.not_sent
                + sum(node.network.statistics().dropped.get(drop, 0) for drop in (Drop.FLOOD, Drop.SUBSCRIBER_FULL))
                for node in self._nodes
            ),
        )

    def _report(self, began: float, before: _Counters, after: _Counters) -> WideReport:
        settings = self._settings
        stored = [(at, proofs) for at, proofs, _ in self._batches if began <= at <= began + settings.seconds]
        batches = [(proofs, number) for at, proofs, number in self._batches if at >= began]
        return WideReport(
            offered=len(self._proofs),
            final=len(self._final),
            refused=dict(sorted(self._refused.items())),
            finality_ms=percentiles_ms(at - self._due[proof_id] for proof_id, at in self._final.items()),
            final_per_second=_pace(stored) or len(self._final) / settings.seconds,
            sent_bytes_per_second=(after.sent_bytes - before.sent_bytes) / settings.validators / settings.seconds,
            busy={
                name: max(
                    (end - begin) / settings.seconds
                    for begin, end in zip(before.busy_seconds[name], seconds, strict=True)
                )
                for name, seconds in after.busy_seconds.items()
            },
            batches=len(batches),
            full_batches=sum(proofs >= self._parameters.batch_max_proofs for proofs, _ in batches),
            rounds_failed=sum(number for _, number in batches),
            seconds_a_height=(self._batches[-1][0] - began) / len(batches) if batches else 0.0,
            gossip_dropped=after.dropped - before.dropped,
        )


def _pace(stored: Sequence[tuple[float, int]]) -> float:
    """Proofs a second in batches that were stored at these times; 0 of fewer than three."""
    if len(stored) < 3:
        return 0.0
    return sum(proofs for _, proofs in stored[1:]) / (stored[-1][0] - stored[0][0])
