"""A network of real processes under load, the Prometheus that watches it, and how a test breaks and mends it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import trio

from step_node.clock import SystemClock
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.node_client import Unavailable
from step_node.testing.devnet.ports import LOOPBACK, free_ports
from step_node.testing.devnet.walkers import CITIES, PROOFS_PER_WALKER_MAX, Walker
from tests.monitoring.faulted_node import DONE, FAULTS
from tests.monitoring.prometheus_server import Watched, open_prometheus
from tests.monitoring.rules import ROOT

LONGEST_SECONDS = 300.0
"""For anything that is waited for; on a quiet machine it takes a tenth of that."""

CLEAR_SECONDS = 5.0
"""An alert that comes back sooner has not cleared."""

MEMPOOL_PROOFS_MAX = 40
PROOFS_PRESSED = 60
PRESSED_EVERY_SECONDS = 1.0


@dataclass
class Load:
    """Walkers that prove where they are, a proof every `pause_seconds`, to each node that runs in turn."""

    devnet: Devnet
    pause_seconds: float = 0.5
    is_on: bool = True
    walkers: list[tuple[Walker, int]] = field(default_factory=list)
    sent: int = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await trio.sleep(self.pause_seconds)
            if self.is_on:
                await self.send()

    async def press(self, index: int) -> None:
        """Bodies of many people's proofs to one node, until cancelled."""
        async with httpx.AsyncClient(trust_env=False, timeout=LONGEST_SECONDS) as http:
            while True:
                body = []
                for _ in range(PROOFS_PRESSED):
                    self.sent += 1
                    walker = self._new()
                    walker.walk_on()
                    body.append(walker.sign())
                with suppress(httpx.HTTPError):
                    await http.post(f"{self.devnet.node_url(index)}/proof/submit-batch", json=body)
                await trio.sleep(PRESSED_EVERY_SECONDS)

    async def ask(self, index: int, after_seconds: float) -> None:
        """A client that asks one node for a balance, again and again, until cancelled."""
        await trio.sleep(after_seconds)
        async with httpx.AsyncClient(trust_env=False, timeout=LONGEST_SECONDS) as http:
            while True:
                with suppress(httpx.HTTPError):
                    await http.get(f"{self.devnet.node_url(index)}/account/0x{'11' * 20}")
                await trio.sleep(0.5)

    async def send(self) -> None:
        """One proof, of one of thirty people; who has made as many as a walk has is followed by a new one."""
        nodes = [node for node in self.devnet.nodes if node.is_running]
        if not nodes:
            return
        turn = self.sent % 30
        while len(self.walkers) <= turn:
            self.walkers.append((self._new(), 0))
        walker, made = self.walkers[turn]
        if made >= PROOFS_PER_WALKER_MAX - 1:
            walker, made = self._new(), 0
        walker.walk_on()
        self.walkers[turn] = walker, made + 1
        self.sent += 1
        with suppress(Unavailable):
            await self.devnet.clients[nodes[self.sent % len(nodes)].index].submit(walker.sign(), wait_ms=0)

    def _new(self) -> Walker:
        number = self.sent
        return Walker(
            self.devnet.genesis.parameters,
            start=(CITIES[number % 20][0] + number / 1_000, CITIES[number % 20][1]),
            clock=SystemClock(),
            seed=number,
        )


@dataclass
class WatchedNetwork:
    """The network, its load and its Prometheus. `at_the_end` is unwound when its processes have stopped."""

    devnet: Devnet
    watched: Watched
    targets: list[str]
    load: Load
    folder: Path
    at_the_end: ExitStack

    async def firing_after(self, alerts: Mapping[str, int | None]) -> dict[str, float]:
        """Wait until each alert has fired, on its node if one is named, and Alertmanager was told of it.

        After how many seconds each did; one that did not within `LONGEST_SECONDS` is not there.
        """
        began, seen = trio.current_time(), dict[str, float]()
        with trio.move_on_after(LONGEST_SECONDS):
            while len(seen) < len(alerts):
                both = await self.watched.firing() & await self.watched.told()
                for alert in alerts.keys() - seen.keys():
                    if any(self._is_meant(one, alert, alerts[alert]) for one in both):
                        seen[alert] = trio.current_time() - began
                await trio.sleep(0.5)
        return seen

    async def clear_after(self, alerts: Mapping[str, int | None]) -> dict[str, float]:
        """Wait until none has fired for `CLEAR_SECONDS`, on its node if one is named.

        After how many seconds each stopped, as in `firing_after`.
        """
        began, since = trio.current_time(), dict[str, float]()
        with trio.move_on_after(LONGEST_SECONDS):
            while len(since) < len(alerts) or trio.current_time() - max(since.values(), default=began) < CLEAR_SECONDS:
                firing, now = await self.watched.firing(), trio.current_time()
                for alert in alerts:
                    if any(self._is_meant(one, alert, alerts[alert]) for one in firing):
                        since.pop(alert, None)
                    else:
                        since.setdefault(alert, now)
                await trio.sleep(0.5)
        return {alert: moment - began for alert, moment in since.items()}

    def _is_meant(self, fired: tuple[str, str], alert: str, index: int | None) -> bool:
        return fired[0] == alert and (index is None or fired[1] == self.targets[index])

    async def restart(self, index: int) -> None:
        """End the node's process, if there is one, start another, and wait until Prometheus has seen it."""
        node, now_seconds = self.devnet.nodes[index], SystemClock().now_ms() // 1000
        await node.kill(signal.SIGKILL)
        await node.spawn()
        # A second less, since the kernel's ticks and the clock do not agree on it.
        await self.holds(f'process_start_time_seconds{{instance="{self.targets[index]}"}} > {now_seconds - 1}')

    async def restart_what_ended(self) -> None:
        """Whatever a fault before has left: each node that does not run is started again."""
        for node in self.devnet.nodes:
            if not node.is_running:
                await self.restart(node.index)

    async def holds(self, expr: str) -> None:
        """Wait until a query has an answer. Raises TooSlowError."""
        with trio.fail_after(LONGEST_SECONDS):
            while not await self.watched.query(expr):
                await trio.sleep(0.3)

    async def height(self, index: int) -> int:
        """The last final height on a node that runs."""
        return (await self.devnet.clients[index].status()).height

    async def health_reasons(self, index: int) -> set[str]:
        """The codes of what `/health` of a node says is wrong."""
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = (await http.get(f"{self.devnet.node_url(index)}/health", timeout=30)).json()
        return {str(reason["code"]) for reason in answer["reasons"]}

    def fault(self, index: int, *words: str) -> None:
        """Node `index`, which is a `FaultedNode`, has these faults from now on."""
        (self.devnet.nodes[index].home.root / FAULTS).write_text("\n".join(words))

    async def fault_done(self, index: int, word: str) -> None:
        """The same, of a fault that is done once; wait until it is. Raises TooSlowError."""
        self.fault(index, word)
        done = self.devnet.nodes[index].home.root / DONE
        with trio.fail_after(LONGEST_SECONDS):
            while not done.exists() or word not in done.read_text().splitlines():
                await trio.sleep(0.1)


@asynccontextmanager
async def watched_network(
    folder: Path, settings: DevnetSettings, prepared: Callable[[Devnet], None] = lambda _devnet: None
) -> AsyncIterator[WatchedNetwork]:
    """A network whose metrics have listeners of their own, its load, and its Prometheus.

    `prepared` may change how nodes will be started.
    """
    devnet = Devnet(settings)
    with ExitStack() as at_the_end:
        try:
            await devnet.prepare()
            prepared(devnet)
            ports = [one.api for one in free_ports(settings.validators)]
            for node, port in zip(devnet.nodes, ports, strict=True):
                node.environment |= {
                    "STEP_METRICS__PORT": str(port),
                    "STEP_MEMPOOL__PROOFS_MAX": str(MEMPOOL_PROOFS_MAX),
                    "PYTHONPATH": str(ROOT),
                }
            targets = [f"{LOOPBACK}:{port}" for port in ports]
            for node in devnet.nodes:
                await node.spawn()
            await devnet.wait_until_connected(seconds_max=2 * LONGEST_SECONDS)
            async with open_prometheus(folder / "prometheus", targets) as watched, trio.open_nursery() as nursery:
                load = Load(devnet)
                nursery.start_soon(load.run)
                yield WatchedNetwork(devnet, watched, targets, load, folder, at_the_end)
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await devnet.stop()
