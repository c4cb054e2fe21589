"""One seed, one history: the validators, the clients, and everything that goes wrong.

Theory of operation. `simulate_seed` runs the whole world in one deterministic trio run. Every decision comes from
random generators that are seeded with the seed and a purpose, so that what one part draws does not change what another
draws. In the first part of a history faults happen and clients submit proofs. A safety run ends there. In a liveness
run the faults stop: links are whole, disks have room, everybody is up and knows the time; then every honest validator
must finalise every proof that an honest one has accepted, within a bound.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar, TypeVarTuple

import trio

from mesh import locate
from p2p.network import PeerId
from step_node.chain.genesis import Genesis, GenesisValidator
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.mempool.outcomes import Dropped, Outcome
from step_node.offload import offload_of_task
from step_node.parameters import USTEP_PER_STEP, Parameters
from step_node.proofs.client_signing import sign_payload
from step_node.proofs.payload import parse_payload
from step_node.proofs.proof import Refusal, SignedProof
from step_node.testing.simulator.clock import START_MS, true_time_ms
from step_node.testing.simulator.deterministic import run_deterministically
from step_node.testing.simulator.host import Host
from step_node.testing.simulator.invariants import Invariants, Violation
from step_node.testing.simulator.network import Air, LinkQuality
from step_node.testing.simulator.schedules import Plot, draw_plot
from step_node.testing.simulator.settings import RunKind, SeedPlan, SimulationSettings, plan_of
from step_node.testing.simulator.trace import Trace

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

CHAIN_ID = "step-simulated-1"
PARAMETERS = Parameters(
    batch_interval_ms=200,
    timeout_propose_ms=1_000,
    timeout_pre_vote_ms=500,
    timeout_pre_commit_ms=500,
    timeout_delta_ms=250,
    clock_drift_ms=5_000,
    moratorium_ms=1_000,
)
CLOCK_ERROR_MS_MAX = 20_000
"""Beyond `clock_drift_ms`: such a validator refuses everybody's batches, and proposes none that others take."""
CLOCK_ERROR_AT_PEACE_MS_MAX = 500


@dataclass(frozen=True, slots=True)
class History:
    """What became of one seed."""

    seed: int
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


def simulate_seed(seed: int, settings: SimulationSettings, *, keep_lines: bool = False) -> History:
    """Run the history of `seed`. The same seed and settings give the same history, whatever ran before."""
    return run_deterministically(lambda: _World(seed, settings, keep_lines=keep_lines).run(), seed=seed)


class _World:
    def __init__(self, seed: int, settings: SimulationSettings, *, keep_lines: bool) -> None:
        self._seed = seed
        self._settings = settings
        self.plan = plan_of(seed, settings, self._rng("plan"))
        self._trace = Trace(keep_lines=keep_lines)
        self._end = trio.CancelScope()
        self._genesis = genesis_of(settings.validators)
        self._air = Air(self._rng("air"))
        self._plot: Plot | None = None
        self._plots_sprung = 0
        self._stuck: str | None = None
        self._contested: set[bytes] = set()
        """Proofs with a twin of the same nonce: at most one of the two can be finalised, and the other is dropped."""
        keys = validator_keys(settings.validators)
        liars = set(self._rng("liars").sample(range(settings.validators), self.plan.byzantine))
        honest = frozenset(address_of(public_key_of(key)) for index, key in enumerate(keys) if index not in liars)
        self._invariants = Invariants(self._genesis, honest, self._trace, self._broken)
        self._hosts = [
            Host(
                name=f"v{index}",
                private_key=key,
                genesis=self._genesis,
                air=self._air,
                trace=self._trace,
                invariants=self._invariants,
                tactics=self.plan.tactics if index in liars else None,
                rng=self._rng(f"host {index}"),
                on_finalised=self._finalised,
                plot=lambda: self._plot,
                others=frozenset(PeerId(f"v{other}") for other in range(len(keys)) if other != index),
            )
            for index, key in enumerate(keys)
        ]
        self._honest = [host for host in self._hosts if host.is_honest]
        self._nursery: trio.Nursery | None = None

    def _rng(self, purpose: str) -> random.Random:
        return random.Random(hashlib.sha256(f"{self._seed} {purpose}".encode()).digest())

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
            plots_sprung=self._plots_sprung,
        )

    def _broken(self, violation: Violation) -> None:
        del violation
        self._end.cancel()

    # --- the two parts ------------------------------------------------------------------------------------------

    async def _first_part(self) -> None:
        plan = self.plan
        self._air.quality = LinkQuality(
            loss=plan.loss,
            duplication=plan.duplication,
            reordering=plan.reordering,
            delay_spread=plan.delay_spread,
        )
        for host in self._hosts:
            host.disk.crash_rate = plan.crash_at_write
        with trio.move_on_after(self._settings.fault_seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._submit, self._settings.proofs)
                nursery.start_soon(self._reconnect)
                for rate, name, fault in (
                    (plan.partition_rate, "partition", self._partition),
                    (plan.one_way_rate, "cut one way", self._cut_one_way),
                    (plan.crash_rate, "crash one", self._crash_one),
                    (plan.clock_rate, "change a clock", self._change_a_clock),
                    (plan.slow_disk_rate, "slow a disk", self._slow_a_disk),
                    (plan.full_disk_rate, "fill a disk", self._fill_a_disk),
                    (plan.plot_rate, "hatch a plot", self._hatch_a_plot),
                    (plan.lost_log_rate, "lose logs", self._lose_logs),
                ):
                    if rate:
                        nursery.start_soon(self._now_and_then, rate, name, fault)
                await trio.sleep_forever()

    async def _second_part(self) -> None:
        self._trace.note("", "the faults stop")
        self._air.quality = LinkQuality()
        self._air.cut.clear()
        self._air.filters.clear()
        rng = self._rng("peace")
        for host in self._hosts:
            host.disk.crash_rate = 0.0
            host.disk.slowness_ms = 0
            host.disk.fill(False)
            host.clock.error_ms = rng.randint(-CLOCK_ERROR_AT_PEACE_MS_MAX, CLOCK_ERROR_AT_PEACE_MS_MAX)
            host.restart()
        with trio.move_on_after(self._settings.liveness_seconds) as patience:
            while any(host.node is None for host in self._honest):
                await trio.sleep(0.2)
            await self._submit(3, pause=0.2)
            while self._waited_for():
                await trio.sleep(0.2)
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
        unpunished = self._invariants.slashing_checker.unpunished()
        return (
            f"every equivocation that reached two honest nodes ends in a slash: {unpunished[0]}" if unpunished else ""
        )

    async def _check_promises(self) -> None:
        """A proof that a client was told is accepted is waiting, finalised, or dropped for a reason that holds."""
        for host in self._honest:
            node = host.node
            if node is None:
                continue
            for proof_id in tuple(host.promised):
                outcome = await node.admission.outcome(proof_id)
                self._judge_outcome(host, proof_id, outcome)

    def _judge_outcome(self, host: Host, proof_id: bytes, outcome: Outcome | None) -> None:
        if outcome is None:
            self._invariants.broken("accepted proofs are never forgotten", host.name, proof_id.hex()[:8])
        elif isinstance(outcome, Dropped) and proof_id not in self._contested:
            self._invariants.broken(
                "accepted proofs are never forgotten",
                host.name,
                f"{proof_id.hex()[:8]} dropped: {outcome.refusal.code}",
            )

    def _finalised(self, name: str, height: int) -> None:
        if self._plot is not None:
            self._plot.finalised(name, height)

    # --- clients ------------------------------------------------------------------------------------------------

    async def _submit(self, count: int, *, pause: float | None = None) -> None:
        rng = self._rng(f"clients {pause}")
        mean = self._settings.fault_seconds / count * 0.9 if pause is None else pause
        for number in range(count):
            await trio.sleep(rng.random() * 2 * mean)
            host = rng.choice(self._honest)
            proof = made_proof(self._seed, f"{pause}-{number}", rng, true_time_ms())
            self._in_background(self._client, host, proof)
            if rng.random() < 0.25:
                self._contested.add(proof.proof_id)
                delay = rng.uniform(0, 5)
                self._in_background(self._submit_twin, rng.choice(self._honest), f"{pause}-{number}", delay)

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
            await trio.sleep(0.2)
        answer: Outcome | Refusal | None = None
        with trio.move_on_after(5):
            answer = await host.node.admission.submit(proof, wait_ms=0)
        if answer is None or isinstance(answer, Refusal) or host.mount.is_dead:
            return
        host.note(f"accepts {proof.proof_id.hex()[:8]}")
        host.promised[proof.proof_id] = None
        row = host.disk.journal.execute("SELECT 1 FROM waiting WHERE proof_id = ?", (proof.proof_id,)).fetchone()
        dropped = host.disk.journal.execute("SELECT 1 FROM dropped WHERE proof_id = ?", (proof.proof_id,)).fetchone()
        if row is None and dropped is None and proof.proof_id not in host.storage.proof_ids:
            self._invariants.broken("an accepted proof is on disk", host.name, proof.proof_id.hex()[:8])

    # --- faults -------------------------------------------------------------------------------------------------

    async def _now_and_then(self, rate: float, name: str, fault: Callable[[random.Random], Awaitable[None]]) -> None:
        rng = self._rng(name)
        while True:
            await trio.sleep(rng.expovariate(rate))
            await fault(rng)

    async def _partition(self, rng: random.Random) -> None:
        names = [host.name for host in self._hosts]
        rng.shuffle(names)
        size = rng.randint(1, max(1, len(names) // 2))
        few, many = names[:size], names[size:]
        links = {(a, b) for a in few for b in many} | {(b, a) for a in few for b in many}
        await self._cut(links, rng.uniform(0.5, 6), f"{' '.join(sorted(few))} | {' '.join(sorted(many))}")

    async def _cut_one_way(self, rng: random.Random) -> None:
        names = [host.name for host in self._hosts]
        links = {(a, b) for a in names for b in names if a != b and rng.random() < 0.25}
        await self._cut(links, rng.uniform(0.5, 6), "one way: " + " ".join(f"{a}>{b}" for a, b in sorted(links)))

    async def _cut(self, links: set[tuple[str, str]], seconds: float, what: str) -> None:
        self._trace.note("", f"partition for {seconds:.1f} s: {what}")
        self._air.cut |= links
        await trio.sleep(seconds)
        self._air.cut -= links
        self._trace.note("", "partition heals")

    async def _crash_one(self, rng: random.Random) -> None:
        await self._crash(rng.choice(self._hosts), rng.uniform(0.05, 3), "killed")

    async def _crash(self, host: Host, seconds: float, why: str) -> None:
        host.crash(why)
        await trio.sleep(seconds)
        host.restart()

    async def _lose_logs(self, rng: random.Random) -> None:
        """Of few nodes the proof of lock as well: of so many that a batch, once locked on, is still somewhere."""
        losers = rng.sample(
            self._hosts, rng.choice((1, min(2, len(self._hosts)), rng.randint(1, len(self._hosts)), len(self._hosts)))
        )
        faults_max = (len(self._hosts) - 1) // 3
        for host in losers:
            self._in_background(self._lose_log, host, rng.uniform(0.05, 1), len(losers) <= faults_max)
        await trio.lowlevel.checkpoint()

    async def _lose_log(self, host: Host, seconds: float, with_proof_of_lock: bool) -> None:
        host.crash("its consensus log is lost")
        await host.ended.wait()
        host.lose_consensus_log(with_proof_of_lock=with_proof_of_lock)
        await trio.sleep(seconds)
        host.restart()

    async def _change_a_clock(self, rng: random.Random) -> None:
        host = rng.choice(self._hosts)
        host.clock.error_ms = rng.choice((0, rng.randint(-3_000, 3_000), rng.randint(-1, 1) * CLOCK_ERROR_MS_MAX))
        host.note(f"has a clock that is {host.clock.error_ms} ms off")
        await trio.lowlevel.checkpoint()

    async def _slow_a_disk(self, rng: random.Random) -> None:
        host = rng.choice(self._hosts)
        host.disk.slowness_ms = rng.choice((20, 200, 1_000))
        host.note(f"has a disk that takes up to {host.disk.slowness_ms} ms")
        await trio.sleep(rng.uniform(0.5, 4))
        host.disk.slowness_ms = 0

    async def _fill_a_disk(self, rng: random.Random) -> None:
        host = rng.choice(self._hosts)
        host.disk.fill(True)
        host.note("has a full disk")
        await trio.sleep(rng.uniform(0.2, 2))
        host.disk.fill(False)

    async def _reconnect(self) -> None:
        """Bans run out, and whoever hung up dials again."""
        while True:
            await trio.sleep(1)
            self._air.settle()

    async def _hatch_a_plot(self, rng: random.Random) -> None:
        if self._plot is not None and not self._plot.is_over:
            return
        validators = self._genesis.head().validators
        names = {validator.address: host.name for validator, host in zip(validators, self._hosts, strict=True)}
        addresses = {name: address for address, name in names.items()}
        plot = draw_plot(
            rng,
            next_height=max(host.storage.height for host in self._honest) + 1,
            proposers=lambda height, number: names[validators[(height + number) % len(validators)].address],
            honest=[host.name for host in self._honest],
            address_of=addresses.__getitem__,
            faults_max=(len(validators) - 1) // 3,
            on_sprung=self._sprung,
        )
        await trio.lowlevel.checkpoint()
        if plot is None:
            return
        self._plot = plot
        self._air.filters = [plot.lets_pass]
        self._trace.note("", f"plot against {plot}")

    def _sprung(self, plot: Plot) -> None:
        self._plots_sprung += 1
        self._trace.note("", f"plot is sprung at {plot.hermit}")
        if plot.crashes:
            rng = self._rng(f"plot {self._plots_sprung}")
            for host in self._hosts:
                if host.name in plot.locked:
                    self._in_background(self._crash, host, rng.uniform(0.05, 0.5), "plot")


async def _at_once(work: Callable[[], T], /) -> T:
    await trio.lowlevel.checkpoint()
    return work()


@cache
def validator_keys(count: int) -> tuple[bytes, ...]:
    """The private keys of `count` validators, in the order of their addresses."""
    keys = [hashlib.sha256(f"simulated validator {index}".encode()).digest() for index in range(count)]
    return tuple(sorted(keys, key=lambda key: address_of(public_key_of(key))))


@cache
def genesis_of(validators: int) -> Genesis:
    """The chain that simulated validators run."""
    public_keys = [public_key_of(key) for key in validator_keys(validators)]
    return Genesis(
        chain_id=CHAIN_ID,
        genesis_time_ms=START_MS - 60_000,
        parameters=PARAMETERS,
        validators=tuple(
            GenesisValidator(
                address="0x" + address_of(key).hex(),
                public_key="0x" + key.hex(),
                stake_ustep=PARAMETERS.min_stake * USTEP_PER_STEP,
                p2p_address=f"/ip4/127.0.0.1/tcp/{26_600 + index}",
            )
            for index, key in enumerate(public_keys)
        ),
    )


def made_proof(seed: int, who: str, rng: random.Random, timestamp_ms: int) -> SignedProof:
    """A really signed proof of `who`'s, who stands at one place for ever and uses one nonce."""
    place = int.from_bytes(hashlib.sha256(f"{seed} {who}".encode()).digest()[:8], "big")
    lat, lon = -60.0 + place % 1_200 / 10, -170.0 + place // 1_200 % 3_400 / 10
    key = hashlib.sha256(f"simulated client {seed} {who}".encode()).digest()
    level = 10 if place % 3 else 8
    timestamp_ms += rng.randrange(5)
    signed = sign_payload(key, locate(lat, lon, level), lat, lon, 5.0, timestamp_ms, "nonce")
    return parse_payload(signed["payload"], signed["signature"])
