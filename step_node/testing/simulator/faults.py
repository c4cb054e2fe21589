"""What goes wrong in a history while faults happen: links, processes, clocks, disks, logs, and plots against one node.

Each kind of fault comes now and then, at its own rate, and draws from a generator of its own.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVarTuple

import trio

from step_node.ledger.validators import validator_set
from step_node.testing.simulator.decisions import Generator
from step_node.testing.simulator.host import Host
from step_node.testing.simulator.network import Air, LinkQuality
from step_node.testing.simulator.schedules import Plot, draw_plot
from step_node.testing.simulator.settings import SeedPlan

Arguments = TypeVarTuple("Arguments")

LOCK_WAIT_SECONDS = 3.0
"""How long those who are to lose their logs keep them until one of them is locked."""
CLOCK_ERROR_MS_MAX = 20_000
"""Beyond `clock_drift_ms`: such a validator refuses everybody's batches, and proposes none that others take."""
CLOCK_ERROR_AT_PEACE_MS_MAX = 500


class Faults:
    """The faults of one history, and the plot that is under way."""

    def __init__(
        self,
        *,
        plan: SeedPlan,
        hosts: Sequence[Host],
        honest: Callable[[], Sequence[Host]],
        air: Air,
        rng: Callable[[str], Generator],
        note: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._hosts = hosts
        self._honest = honest
        self._air = air
        self._rng = rng
        self._note = note
        self._history: trio.Nursery | None = None
        self.plot: Plot | None = None
        self.plots_sprung = 0
        self._logs_lost_at = -1
        """The height at which somebody has lost a log last, and at which somebody a proof of lock with it."""
        self._proof_of_lock_lost_at = -1

    def begin(self, faults: trio.Nursery, history: trio.Nursery) -> None:
        """Let them happen in `faults`. What they set off, such as a start after a crash, goes on in `history`."""
        plan, self._history = self._plan, history
        self._air.quality = LinkQuality(
            loss=plan.loss,
            duplication=plan.duplication,
            reordering=plan.reordering,
            delay_spread=plan.delay_spread,
        )
        self._air.relay_rate = plan.relay_rate
        for host in self._hosts:
            host.disk.crash_rate = plan.crash_at_write
        faults.start_soon(self._reconnect)
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
                faults.start_soon(self._now_and_then, rate, name, fault)

    def end(self) -> None:
        """Mend everything: links are whole, disks have room, everybody is up and knows the time."""
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
        self._note(f"partition for {seconds:.1f} s: {what}")
        self._air.cut |= links
        await trio.sleep(seconds)
        self._air.cut -= links
        self._note("partition heals")

    async def _crash_one(self, rng: random.Random) -> None:
        await self._crash(rng.choice(self._hosts), rng.uniform(0.05, 3), "killed")

    async def _crash(self, host: Host, seconds: float, why: str) -> None:
        host.crash(why)
        await trio.sleep(seconds)
        host.restart()

    async def _lose_logs(self, rng: random.Random) -> None:
        """Of few nodes the proof of lock as well: of so many that a batch, once locked on, is still somewhere.

        Half of the time at the worst moment: when somebody is locked, and a batch may be known from the logs alone.
        """
        losers = rng.sample(
            self._hosts, rng.choice((1, min(2, len(self._hosts)), rng.randint(1, len(self._hosts)), len(self._hosts)))
        )
        faults_max = (len(self._hosts) - 1) // 3
        if rng.random() < 0.5:
            with trio.move_on_after(LOCK_WAIT_SECONDS):
                while not any(host.is_locked for host in losers):
                    await trio.sleep(0.01)
        height = max(host.storage.height for host in self._hosts)
        with_proof_of_lock = len(losers) <= faults_max and height != self._logs_lost_at
        if height == self._proof_of_lock_lost_at:
            return  # Somebody needs what the others' logs hold.
        self._logs_lost_at = height
        if with_proof_of_lock:
            self._proof_of_lock_lost_at = height
        for host in losers:
            self._set_off(self._lose_log, host, rng.uniform(0.05, 1), with_proof_of_lock)

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
        host.changed_at = trio.current_time()

    async def _fill_a_disk(self, rng: random.Random) -> None:
        host = rng.choice(self._hosts)
        host.disk.fill(True)
        host.note("has a full disk")
        await trio.sleep(rng.uniform(0.2, 2))
        host.disk.fill(False)
        host.changed_at = trio.current_time()

    async def _reconnect(self) -> None:
        """Bans run out, and whoever hung up dials again."""
        while True:
            await trio.sleep(1)
            self._air.settle()

    async def _hatch_a_plot(self, rng: random.Random) -> None:
        if self.plot is not None and not self.plot.is_over:
            return
        best = max(self._honest(), key=lambda host: host.storage.height)
        validators = validator_set(best.storage.records().validators)
        names = {host.address: host.name for host in self._hosts if host.address in validators}
        if len(names) < len(validators):
            return  # Somebody's key has just changed.
        addresses = {name: address for address, name in names.items()}
        plot = draw_plot(
            rng,
            next_height=best.storage.height + 1,
            proposers=lambda height, number: names[validators.proposer(height, number).address],
            honest=[host.name for host in self._honest() if host.name in addresses],
            address_of=addresses.__getitem__,
            faults_max=validators.faults_max,
            on_sprung=self._sprung,
        )
        await trio.lowlevel.checkpoint()
        if plot is None:
            return
        self.plot = plot
        self._air.filters = [plot.lets_pass]
        self._note(f"plot against {plot}")

    def _sprung(self, plot: Plot) -> None:
        self.plots_sprung += 1
        self._note(f"plot is sprung at {plot.hermit}")
        if plot.crashes:
            rng = self._rng(f"plot {self.plots_sprung}")
            loses_logs = self._plan.lost_log_rate > 0 and rng.random() < 0.5
            for host in self._hosts:
                if host.name in plot.locked:
                    seconds = rng.uniform(0.05, 0.5)
                    if loses_logs:
                        self._set_off(self._lose_log, host, seconds, False)
                    else:
                        self._set_off(self._crash, host, seconds, "plot")

    def _set_off(self, task: Callable[[*Arguments], Awaitable[object]], *arguments: *Arguments) -> None:
        if self._history is None:
            raise RuntimeError("the faults have not begun")
        self._history.start_soon(task, *arguments)
