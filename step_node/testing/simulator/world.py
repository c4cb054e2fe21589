"""One seed, one history: the validators, the clients, and everything that goes wrong.

Theory of operation. `simulate_seed` runs the whole world in one deterministic trio run. Every decision comes from
random generators that are seeded with the seed and a purpose, so that what one part draws does not change what another
draws. In the first part of a history faults happen and clients submit proofs. A safety run ends there. In a liveness
run the faults stop: links are whole, disks have room, everybody is up and knows the time; then every honest validator
must finalise every proof that an honest one has accepted, within a bound.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

import trio

from p2p.network import PeerId
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.economy.guardrails.guardrail import OF_THE_LEDGER
from step_node.home.config import SyncConfig
from step_node.mempool.outcomes import Dropped, Outcome
from step_node.offload import offload_of_task
from step_node.proofs.proof import Refusal, SignedProof
from step_node.testing.simulator.chain import genesis_of, made_proof, quick_absence, validator_keys
from step_node.testing.simulator.clock import true_time_ms
from step_node.testing.simulator.coverage import Coverage
from step_node.testing.simulator.decisions import Generator, Schedule
from step_node.testing.simulator.deterministic import run_deterministically
from step_node.testing.simulator.faults import Faults
from step_node.testing.simulator.host import Host
from step_node.testing.simulator.invariants import Invariants, Violation
from step_node.testing.simulator.network import Air
from step_node.testing.simulator.operators import Operators
from step_node.testing.simulator.releases import rules_by_release
from step_node.testing.simulator.settings import FaultKind, RunKind, SeedPlan, SimulationSettings, Tactic, plan_of
from step_node.testing.simulator.trace import Trace

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

TASKS = "tasks"
"""The purpose of which the order of ready tasks is drawn: by trio, from one seed for all of it."""
LIVELY_SYNC = SyncConfig(snapshot_distance_batches=3, snapshot_every_batches=2)
LIVELY_FACTOR = 1.3
"""How much longer faults go on where operators are at work, since their procedures take epochs."""
LIVELY_PROOFS_FACTOR = 2
PEACE_PROOFS_MAX = 100
"""Proofs submitted while procedures end in peace, one for each batch."""
IDLE_SECONDS_MAX = 1.2
"""How long a node may sit idle beside a proof that could be proposed: the batch interval, and a second."""
IDLE_CHECK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class History:
    """What became of one seed."""

    seed: int
    schedule: Schedule
    plan: SeedPlan
    digest: str
    """Of everything that happened: equal for equal histories."""
    lines: tuple[str, ...]
    """The history, if it was asked for."""
    batches_finalised: int
    violations: tuple[Violation, ...]
    stuck: str | None
    """What a liveness run was still waiting for at its end; None if for nothing."""
    double_signs_by_honest: int
    equivocations_seen: int
    slashed: int
    virtual_seconds: float
    plots_sprung: int
    procedures: int
    """How many times an operator has done something, to the end."""
    draws: dict[str, int]
    """How many decisions were drawn for each purpose."""


def simulate_seed(
    seed: int | Schedule, settings: SimulationSettings, *, keep_lines: bool = False, coverage: Coverage | None = None
) -> History:
    """Run the history of `seed`. The same seed and settings give the same history, whatever ran before.

    `coverage` is shown what the nodes' consensus goes through.
    """
    schedule = Schedule(seed) if isinstance(seed, int) else seed
    turned = any(turn.purpose == TASKS for turn in schedule.turns)
    tasks = schedule.rng(TASKS).getrandbits(64) if turned else schedule.seed

    async def run() -> History:
        world = _World(schedule, settings, keep_lines=keep_lines, coverage=coverage)
        with quick_absence(FaultKind.ABSENCE in world.plan.operators), rules_by_release():
            return await world.run()

    return run_deterministically(run, seed=tasks)


class _World:
    def __init__(
        self, schedule: Schedule, settings: SimulationSettings, *, keep_lines: bool, coverage: Coverage | None
    ) -> None:
        self._schedule = schedule
        self._seed = schedule.seed
        self._settings = settings
        self._coverage = coverage
        self._rngs: dict[str, Generator] = {}
        # In half of the worlds: what has to be asked for whole comes too late for some plots.
        self._outlines = self._rng("outlines").random() < 0.5
        self.plan = plan_of(schedule.seed, settings, self._rng("plan"), self._rng("acts"))
        self._trace = Trace(keep_lines=keep_lines)
        self._end = trio.CancelScope()
        self._genesis = genesis_of(settings.validators, is_lively=bool(self.plan.operators))
        self._air = Air(self._rng("air"))
        self._stuck: str | None = None
        self._contested: set[bytes] = set()
        """Proofs with a twin of the same nonce: at most one of the two can be finalised, and the other is dropped."""
        keys = validator_keys(settings.validators)
        liars = set(self._rng("liars").sample(range(settings.validators), self.plan.byzantine))
        honest = {address_of(public_key_of(key)) for index, key in enumerate(keys) if index not in liars}
        self._invariants = Invariants(self._genesis, honest, self._trace, self._broken)
        self._hosts: list[Host] = []
        self._nursery: trio.Nursery | None = None
        self._faults = Faults(
            plan=self.plan,
            hosts=self._hosts,
            honest=lambda: self._honest,
            air=self._air,
            rng=self._rng,
            note=lambda what: self._trace.note("", what),
        )
        for index, key in enumerate(keys):
            self._new_host(f"v{index}", key, tactics=self.plan.tactics if index in liars else None)
        self._operators = Operators(
            acts=self.plan.operators,
            genesis=self._genesis,
            hosts=self._hosts,
            new_host=self._new_host,
            rng=self._rng("operators"),
            note=lambda what: self._trace.note("", what),
        )

    @property
    def _honest(self) -> list[Host]:
        """Those that are held to every promise, and still here."""
        return [host for host in self._hosts if host.is_held_to_promises and not host.is_retired]

    def _new_host(
        self,
        name: str,
        private_key: bytes | None,
        *,
        tactics: frozenset[Tactic] | None = None,
        starts: bool = True,
    ) -> Host:
        host = Host(
            name=name,
            private_key=private_key,
            genesis=self._genesis,
            air=self._air,
            trace=self._trace,
            invariants=self._invariants,
            tactics=tactics,
            rng=self._rng(f"host {name.removeprefix('v')}"),
            on_finalised=self._finalised,
            is_honest_peer=lambda name: any(one.name == name and one.is_honest for one in self._hosts),
            plot=lambda: self._faults.plot,
            others=frozenset(PeerId(f"v{index}") for index in range(self._settings.validators)) - {PeerId(name)},
            coverage=self._coverage,
            starts=starts,
            log_compacted_at_bytes=self._settings.log_compacted_at_bytes,
            outlines=self._outlines,
            sync=LIVELY_SYNC if FaultKind.JOIN in self.plan.operators else None,
        )
        if host.is_honest and host.address:
            self._invariants.honest.add(host.address)
        self._hosts.append(host)
        if self._nursery is not None:
            self._nursery.start_soon(host.run)
        return host

    def _rng(self, purpose: str) -> Generator:
        """The one generator of a purpose."""
        if purpose not in self._rngs:
            self._rngs[purpose] = self._schedule.rng(purpose)
        return self._rngs[purpose]

    async def run(self) -> History:
        # What clients call runs in their tasks; no thread may be used there either.
        offload_of_task.set(_at_once)
        self._trace.note("", f"seed {self._seed}: {self.plan.describe()}")
        with self._end:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._air.run)
                for host in self._hosts:
                    nursery.start_soon(host.run)
                if self.plan.operators:
                    nursery.start_soon(self._watch_the_idle)
                await self._first_part()
                if self.plan.kind is RunKind.LIVENESS:
                    await self._second_part()
                await self._check_promises()
                nursery.cancel_scope.cancel()
        for host in self._honest:
            self._invariants.check_store(host.name, host.storage)
        for host in self._hosts:
            host.disk.close()
        return History(
            seed=self._seed,
            schedule=self._schedule,
            plan=self.plan,
            digest=self._trace.digest,
            lines=tuple(self._trace.lines),
            batches_finalised=self._invariants.height,
            violations=tuple(self._invariants.violations),
            stuck=self._stuck,
            double_signs_by_honest=self._invariants.double_signs,
            equivocations_seen=len(self._invariants.equivocations),
            slashed=self._invariants.slashed([host.storage for host in self._honest]),
            virtual_seconds=trio.current_time(),
            plots_sprung=self._faults.plots_sprung,
            procedures=self._operators.done,
            draws={TASKS: 1} | {purpose: rng.draws for purpose, rng in self._rngs.items()},
        )

    def _broken(self, violation: Violation) -> None:
        del violation
        self._end.cancel()

    # --- the two parts ------------------------------------------------------------------------------------------

    async def _first_part(self) -> None:
        plan = self.plan
        lively = LIVELY_FACTOR if plan.operators else 1
        proofs = self._settings.proofs * (LIVELY_PROOFS_FACTOR if plan.operators else 1)
        with trio.move_on_after(self._settings.fault_seconds * lively):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._submit, proofs)
                if self._nursery is not None:
                    if plan.operators:
                        self._operators.begin(self._nursery, self._settings.fault_seconds * lively)
                    self._faults.begin(nursery, self._nursery)
                await trio.sleep_forever()

    async def _second_part(self) -> None:
        self._trace.note("", "the faults stop")
        self._operators.end_faults()
        self._faults.end()
        with trio.move_on_after(self._settings.liveness_seconds) as patience:
            while any(host.node is None for host in self._honest):
                await trio.sleep(0.2)
            await self._submit(3, pause=0.2)
            number, height = 0, -1
            while self._waited_for():
                await trio.sleep(0.3)
                # Epochs end, and jails open, only as batches are made. A chain that stands still, because a clock that
                # was ahead has dated a batch, needs no more proofs now, and some when it goes on.
                best = max(host.storage.height for host in self._honest)
                if self._operators.unfinished() and number < PEACE_PROOFS_MAX and best > height:
                    number, height = number + 1, best
                    self._submit_one(f"peace {number}")
        if patience.cancelled_caught:
            self._stuck = self._waited_for() or "a node that does not start"
            self._trace.note("", f"VIOLATION liveness: {self._stuck}")

    def _waited_for(self) -> str:
        """What is not finalised everywhere yet, or ''."""
        promised = {proof_id for host in self._honest for proof_id in host.promised} - self._contested
        heights = {host.name: host.storage.height for host in self._honest}
        if len(set(heights.values())) > 1:
            return f"the same height everywhere: {heights}"
        missing = promised - self._invariants.agreed_proofs()
        if missing:
            return f"{len(missing)} accepted proofs are not finalised at {heights}"
        unfinished = self._operators.unfinished()
        if unfinished:
            return f"an operator's procedure ends: {unfinished[0]}"
        unpunished = self._invariants.slashing_checker.unpunished()
        return (
            f"every equivocation that reached two honest nodes ends in a slash: {unpunished[0]}" if unpunished else ""
        )

    async def _check_promises(self) -> None:
        """A proof that a client was told is accepted is waiting, finalised, or dropped for a reason that holds; and no
        guardrail is broken by what the ledger did."""
        for host in self._honest:
            node = host.node
            if node is None:
                continue
            for proof_id in tuple(host.promised):
                outcome = await node.admission.outcome(proof_id)
                self._judge_outcome(host, proof_id, outcome)
            for one in node.economy.guardrails.broken:
                if one.breach.guardrail in OF_THE_LEDGER:
                    self._invariants.broken(
                        "what the ledger does breaks no guardrail",
                        host.name,
                        f"{one.breach.guardrail}, height {one.breach.height}: {one.breach.message}",
                    )

    def _judge_outcome(self, host: Host, proof_id: bytes, outcome: Outcome | None) -> None:
        if outcome is None and host.has_lost_store and proof_id in self._invariants.agreed_proofs():
            pass  # It was final here, and is elsewhere: the new store comes to that batch again.
        elif outcome is None:
            self._invariants.broken("accepted proofs are never forgotten", host.name, proof_id.hex()[:8])
        elif isinstance(outcome, Dropped) and proof_id not in self._contested:
            self._invariants.broken(
                "accepted proofs are never forgotten",
                host.name,
                f"{proof_id.hex()[:8]} dropped: {outcome.refusal.code}",
            )

    async def _watch_the_idle(self) -> None:
        """No proof that a node could propose waits beside an idle node: setting a clock must not make it wait."""
        since: dict[tuple[str, int, int, bytes], float] = {}
        while True:
            await trio.sleep(IDLE_CHECK_SECONDS)
            now = trio.current_time()
            idle = {
                (host.name, host.lives, host.storage.height, proof_id)
                for host in self._honest
                for proof_id in self._neglected_by(host)
            }
            since = {key: since.get(key, now) for key in sorted(idle)}
            for (name, _, height, proof_id), begun in since.items():
                if now - begun > IDLE_SECONDS_MAX:
                    what = f"{proof_id.hex()[:8]} waits at height {height} since {begun:.1f}"
                    self._invariants.broken("a proof waits no longer than the batch interval", name, what)
                    return

    def _neglected_by(self, host: Host) -> list[bytes]:
        node, quiet_since = host.node, trio.current_time() - IDLE_SECONDS_MAX
        if (
            node is None
            or host.disk.is_full
            or host.disk.slowness_ms
            or host.changed_at > quiet_since
            or not node.driver.is_idle
            or not node.driver.takes_part
            or not host.is_member
            or node._sync.active
        ):
            return []
        now_ms, parameters = host.clock.now_ms(), self._genesis.parameters
        return [
            proof.proof_id
            for proof_id, promised_at in host.promised.items()
            if promised_at < quiet_since
            and proof_id not in self._contested
            and (proof := node._mempool.get(proof_id)) is not None
            and -parameters.proof_max_age_ms <= proof.timestamp_ms - now_ms <= parameters.clock_drift_ms
        ]

    def _finalised(self, name: str, height: int) -> None:
        if self._faults.plot is not None:
            self._faults.plot.finalised(name, height)

    # --- clients ------------------------------------------------------------------------------------------------

    async def _submit(self, count: int, *, pause: float | None = None) -> None:
        rng = self._rng(f"clients {pause}")
        lively = LIVELY_FACTOR if self.plan.operators else 1
        mean = self._settings.fault_seconds * lively / count * 0.9 if pause is None else pause
        for number in range(count):
            await trio.sleep(rng.random() * 2 * mean)
            host = rng.choice(self._honest)
            proof = made_proof(self._seed, f"{pause}-{number}", rng, true_time_ms())
            self._in_background(self._client, host, proof)
            if rng.random() < 0.25:
                self._contested.add(proof.proof_id)
                delay = rng.uniform(0, 5)
                self._in_background(self._submit_twin, rng.choice(self._honest), f"{pause}-{number}", delay)

    def _submit_one(self, who: str) -> None:
        rng = self._rng("clients in peace")
        up = [host for host in self._honest if host.node is not None]
        if up:
            self._in_background(self._client, rng.choice(up), made_proof(self._seed, who, rng, true_time_ms()))

    async def _submit_twin(self, host: Host, who: str, delay: float) -> None:
        """The same nonce, a little later, perhaps elsewhere: at most one of the two can ever be finalised."""
        await trio.sleep(delay)
        twin = made_proof(self._seed, who, self._rng(f"twin {who}"), true_time_ms())
        self._contested.add(twin.proof_id)
        await self._client(host, twin)

    def _in_background(self, task: Callable[[*Arguments], Awaitable[object]], *arguments: *Arguments) -> None:
        if self._nursery is None:
            raise RuntimeError("the world has not begun")
        self._nursery.start_soon(task, *arguments)

    async def _client(self, host: Host, proof: SignedProof) -> None:
        while host.node is None:
            if host.is_retired:
                return
            await trio.sleep(0.2)
        answer: Outcome | Refusal | None = None
        with trio.move_on_after(5):
            answer = await host.node.admission.submit(proof, wait_ms=0, source="client")
        if answer is None or isinstance(answer, Refusal) or host.mount.is_dead:
            return
        host.note(f"accepts {proof.proof_id.hex()[:8]}")
        host.promised[proof.proof_id] = trio.current_time()
        row = host.disk.journal.execute("SELECT 1 FROM waiting WHERE proof_id = ?", (proof.proof_id,)).fetchone()
        dropped = host.disk.journal.execute("SELECT 1 FROM dropped WHERE proof_id = ?", (proof.proof_id,)).fetchone()
        if row is None and dropped is None and proof.proof_id not in host.storage.proof_ids:
            self._invariants.broken("an accepted proof is on disk", host.name, proof.proof_id.hex()[:8])


async def _at_once(work: Callable[[], T], /) -> T:
    await trio.lowlevel.checkpoint()
    return work()
