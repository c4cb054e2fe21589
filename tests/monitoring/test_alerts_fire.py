"""Each alert fires on a network of real processes that is broken, and clears when it is mended.

Debian's Prometheus scrapes the nodes and has the shipped rules, shrunk (`tests/monitoring/rules.py`); Alertmanager has
the shipped routes. The faults are what an operator may meet: processes killed, a disk filled, a database that stands
still, a clock that is off; what no network does by itself is done inside a real node
(`tests/monitoring/faulted_node.py`).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import trio

from consensus.messages import Commit, CommitSignature, PreCommit, encode_message
from step_node.clock import SystemClock
from step_node.crypto.eip191 import address_of, public_key_of, sign
from step_node.signing.keystore import load_keystore
from step_node.testing.chaos.hardware import FILLER_NAME, Impossible, SmallDisk, clock_environment
from step_node.testing.devnet.misbehaviour import Misbehaviour
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.node_client import Unavailable
from step_node.testing.devnet.node_process import SHIPPED_MODULE
from step_node.testing.devnet.ports import LOOPBACK, free_ports
from step_node.testing.devnet.walkers import CITIES, PROOFS_PER_WALKER_MAX, Walker
from tests.monitoring.faulted_node import DONE, FAULTS, MODULE
from tests.monitoring.prometheus_server import Watched, open_prometheus
from tests.monitoring.rules import ROOT, shipped_alerts

LONGEST_SECONDS = 600.0
"""For an alert to come or to go; on a quiet machine it takes a twentieth of that."""

MEMPOOL_PROOFS_MAX = 40
DISK_MIB = 32
CLOCK_OFFSET_SECONDS = 7.0
PROOFS_PRESSED = 60

OF_PROCESSES = frozenset(
    {
        "StepChainStalled",
        "StepDescriptorsGrowing",
        "StepEventLoopLagging",
        "StepFinalitySlow",
        "StepMemoryGrowing",
        "StepMempoolFull",
        "StepNoQuorum",
        "StepNodeDown",
        "StepOwnHeightsMissed",
        "StepPeersLost",
        "StepRestartLoop",
        "StepValidatorAbsent",
    }
)
OF_MACHINES_AND_KEYS = frozenset(
    {"StepClockOff", "StepDiskFull", "StepDiskSoonFull", "StepDoubleSignRefused", "StepForkSeen"}
)
OF_A_DATABASE_AND_CLIENTS = frozenset(
    {
        "StepApiErrors",
        "StepIntakePaused",
        "StepIntakeShed",
        "StepStoreDown",
        "StepStoreSlow",
        "StepValidatorOutOfSet",
        "StepValidatorSlashed",
    }
)


def test_each_alert_is_made_to_fire_on_one_of_the_networks() -> None:
    made = OF_PROCESSES | OF_MACHINES_AND_KEYS | OF_A_DATABASE_AND_CLIENTS
    assert {alert.name for alert in shipped_alerts()} == made


@dataclass
class Load:
    """Walkers that prove where they are, a proof every `pause_seconds`, to each node that answers in turn."""

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
        """Bodies of many people's proofs to one node, each when the last is answered, until cancelled."""
        async with httpx.AsyncClient(trust_env=False, timeout=LONGEST_SECONDS) as http:
            while True:
                body = []
                for _ in range(PROOFS_PRESSED):
                    self.sent += 1
                    walker = self._new()
                    walker.walk_on()
                    body.append(walker.sign())
                await http.post(f"{self.devnet.node_url(index)}/proof/submit-batch", json=body)
                await trio.sleep(1)

    async def send(self) -> None:
        """One proof, of one of thirty people; who has made as many as a walk has is followed by a new one."""
        turn = self.sent % 30
        while len(self.walkers) <= turn:
            self.walkers.append((self._new(), 0))
        walker, made = self.walkers[turn]
        if made >= PROOFS_PER_WALKER_MAX - 1:
            walker, made = self._new(), 0
        walker.walk_on()
        self.walkers[turn] = walker, made + 1
        nodes = [node for node in self.devnet.nodes if node.is_running]
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
class Broken:
    """A network under load, and the Prometheus that watches it."""

    devnet: Devnet
    watched: Watched
    targets: list[str]
    load: Load

    async def fires(self, *alerts: str, on: int | None = None) -> None:
        """Wait until these fire, on node `on` if it is given."""
        instance = None if on is None else self.targets[on]
        await self.watched.until_firing(alerts, instance=instance, seconds=LONGEST_SECONDS)

    async def clears(self, *alerts: str, on: int | None = None) -> None:
        """Wait until none of these fires, on node `on` if it is given."""
        instance = None if on is None else self.targets[on]
        await self.watched.until_clear(alerts, instance=instance, seconds=LONGEST_SECONDS)

    async def restart(self, index: int) -> None:
        """End the node's process, if there is one, start another, and wait until Prometheus has seen it."""
        node, now_seconds = self.devnet.nodes[index], SystemClock().now_ms() // 1000
        await node.kill(signal.SIGKILL)
        await node.spawn()
        # A second less, since the kernel's ticks and the clock do not agree on it.
        await self.holds(f'process_start_time_seconds{{instance="{self.targets[index]}"}} > {now_seconds - 1}')

    async def holds(self, expr: str) -> None:
        """Wait until a query has an answer."""
        with trio.fail_after(LONGEST_SECONDS):
            while not await self.watched.query(expr):
                await trio.sleep(0.3)

    async def height(self, index: int) -> int:
        """The last final height on a node that runs."""
        return (await self.devnet.clients[index].status()).height

    def fault(self, index: int, *words: str) -> None:
        """Node `index`, which is a `FaultedNode`, has these faults from now on."""
        (self.devnet.nodes[index].home.root / FAULTS).write_text("\n".join(words))

    async def fault_done(self, index: int, word: str) -> None:
        """The same, of a fault that is done once; wait until it is."""
        self.fault(index, word)
        done = self.devnet.nodes[index].home.root / DONE
        with trio.fail_after(LONGEST_SECONDS):
            while not done.exists() or word not in done.read_text().splitlines():
                await trio.sleep(0.1)


@asynccontextmanager
async def network(
    folder: Path, settings: DevnetSettings, prepared: Callable[[Devnet], None] = lambda _devnet: None
) -> AsyncIterator[Broken]:
    """A network whose metrics have listeners of their own, its load, and its Prometheus."""
    devnet = Devnet(settings)
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
        await devnet.wait_until_connected(seconds_max=LONGEST_SECONDS)
        async with open_prometheus(folder / "prometheus", targets) as watched, trio.open_nursery() as nursery:
            load = Load(devnet)
            nursery.start_soon(load.run)
            yield Broken(devnet, watched, targets, load)
            nursery.cancel_scope.cancel()
    finally:
        await devnet.stop()


def key_of(devnet: Devnet, index: int) -> bytes:
    """The private key of a validator of a devnet."""
    home = devnet.nodes[index].home
    return load_keystore(home.validator_keystore, home.password.read_text().strip())


def forged_commit(devnet: Devnet, height: int) -> Commit:
    """A commit of all validators to a batch that nobody has, in a round that was never reached."""
    signatures = []
    for index in range(len(devnet.nodes)):
        key = key_of(devnet, index)
        signer = address_of(public_key_of(key))
        vote = PreCommit(height, 9, b"\x07" * 32, signer)
        signatures.append(CommitSignature(signer, sign(vote.signing_line(devnet.genesis.chain_id), key)))
    return Commit(height, 9, b"\x07" * 32, tuple(sorted(signatures, key=lambda one: one.validator)))


def nearly_fill(disk: SmallDisk) -> None:
    """Leave a hundredth and a half of the disk: a node whose disk has no byte left may end."""
    disk.fill()
    filler = disk.folder / FILLER_NAME
    os.truncate(filler, filler.stat().st_size - DISK_MIB * 1024 * 1024 // 64)


@pytest.mark.long
async def test_alerts_of_processes_fire_and_clear(tmp_path: Path) -> None:
    def prepared(devnet: Devnet) -> None:
        devnet.nodes[0].module = MODULE

    async with network(tmp_path, DevnetSettings(base_port=0, home=tmp_path / "network"), prepared) as broken:
        devnet, load = broken.devnet, broken.load
        await broken.holds("count_over_time(up[70s]) > 65 and process_open_fds > 0")  # What growth is compared with.

        # A node that needs more and more, and does not get round to its work.
        broken.fault(0, "leak", "hold")
        await broken.fires("StepMemoryGrowing", "StepDescriptorsGrowing", on=0)
        broken.fault(0, "block")
        await broken.fires("StepEventLoopLagging", on=0)
        broken.fault(0)
        await broken.clears("StepEventLoopLagging", "StepMemoryGrowing", "StepDescriptorsGrowing")

        # A validator that says nothing, and then a process that ends again and again.
        devnet.nodes[3].misbehaviour = Misbehaviour.SILENT
        await broken.restart(3)
        await broken.fires("StepValidatorAbsent")
        await broken.fires("StepOwnHeightsMissed", on=3)
        devnet.nodes[3].misbehaviour = None
        await broken.restart(3)
        await broken.clears("StepValidatorAbsent", "StepOwnHeightsMissed")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broken.fires, "StepRestartLoop")
            while "StepRestartLoop" not in {name for name, _ in await broken.watched.firing()}:
                await broken.restart(3)
        await broken.clears("StepRestartLoop")

        # Half of the validators are gone.
        await devnet.kill(2)
        await devnet.kill(3)
        load.pause_seconds = 0.2
        await broken.fires("StepNodeDown", "StepNoQuorum", "StepPeersLost", "StepChainStalled", "StepMempoolFull")
        load.pause_seconds = 0.5
        for index in (2, 3):
            await broken.restart(index)
        await broken.fires("StepFinalitySlow")
        await broken.clears(
            *(
                "StepNodeDown",
                "StepNoQuorum",
                "StepPeersLost",
                "StepChainStalled",
                "StepMempoolFull",
                "StepFinalitySlow",
            )
        )
        assert broken.watched.fired >= OF_PROCESSES
        assert broken.watched.told & OF_PROCESSES


@pytest.mark.long
async def test_alerts_of_machines_and_keys_fire_and_clear(tmp_path: Path) -> None:
    disks: list[SmallDisk] = []

    def prepared(devnet: Devnet) -> None:
        devnet.nodes[0].module = MODULE
        disks.append(SmallDisk(devnet.nodes[1].home.data, DISK_MIB))

    try:
        clock_environment(CLOCK_OFFSET_SECONDS)
        async with network(tmp_path, DevnetSettings(base_port=0, home=tmp_path / "network"), prepared) as broken:
            await what_is_done_to_machines_and_keys(broken, disks[0], tmp_path)
            assert broken.watched.fired >= OF_MACHINES_AND_KEYS
            assert broken.watched.told & OF_MACHINES_AND_KEYS
    except Impossible as error:
        pytest.skip(str(error))
    finally:
        for disk in disks:
            disk.unmount()


async def what_is_done_to_machines_and_keys(broken: Broken, disk: SmallDisk, folder: Path) -> None:
    devnet, load = broken.devnet, broken.load

    # A disk that fills up, until somebody makes room.
    await trio.to_thread.run_sync(nearly_fill, disk)
    await broken.fires("StepDiskFull", "StepDiskSoonFull", on=1)
    await trio.to_thread.run_sync(disk.free)
    if not devnet.nodes[1].is_running:
        await broken.restart(1)
    await broken.clears("StepDiskFull", "StepDiskSoonFull", "StepStoreDown", "StepNodeDown", on=1)

    # A clock that is off.
    honest = dict(devnet.nodes[3].environment)
    await devnet.kill(3)
    devnet.nodes[3].environment = honest | clock_environment(CLOCK_OFFSET_SECONDS)
    await broken.restart(3)
    await broken.fires("StepClockOff", on=3)
    devnet.nodes[3].environment = honest
    await broken.restart(3)
    await broken.clears("StepClockOff")

    # A key that has signed something else at the height that comes.
    load.is_on = False
    await broken.holds("sum(step_mempool_proofs) == 0")
    await broken.fault_done(0, f"sign {await broken.height(0) + 1}")
    load.is_on = True
    await broken.fires("StepDoubleSignRefused", on=0)

    # A quorum that contradicts what is final.
    (folder / "commit").write_bytes(encode_message(forged_commit(devnet, 1)))
    await broken.fault_done(0, f"publish {folder / 'commit'}")
    await broken.fires("StepForkSeen", on=1)
    broken.fault(0)
    for index in (1, 2, 3):  # What a node is told to do by its operators, once they have agreed.
        await broken.restart(index)
    await broken.clears("StepForkSeen", "StepDoubleSignRefused")


@pytest.mark.long
async def test_alerts_of_a_database_and_of_a_culprit_fire_and_clear(tmp_path: Path) -> None:
    settings = DevnetSettings(
        base_port=0, home=tmp_path / "network", store="mongodb", byzantine=Misbehaviour.DOUBLE_SIGN
    )

    def prepared(devnet: Devnet) -> None:
        devnet.nodes[2].environment["STEP_INTAKE__SHED_FLOOR_PER_SECOND"] = "1"

    async with network(tmp_path, settings, prepared) as broken:
        devnet = broken.devnet
        mongod = devnet.mongod
        assert mongod is not None

        # Who votes twice is slashed and jailed; his operator goes on as an observer.
        await broken.fires("StepValidatorSlashed")
        await broken.fires("StepValidatorOutOfSet", on=3)
        assert devnet.nodes[3].module == SHIPPED_MODULE
        devnet.nodes[3].misbehaviour = None
        devnet.nodes[3].arguments = ("--observer",)
        await broken.restart(3)
        await broken.clears("StepValidatorOutOfSet", "StepValidatorSlashed")

        # Clients that come all at once, and an operator who takes nothing from them.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broken.load.press, 2)
            await broken.fires("StepIntakeShed", on=2)
            nursery.cancel_scope.cancel()
        await tell(devnet, 1, "pause-intake", "--why", "to see whether somebody notices")
        await broken.fires("StepIntakePaused", on=1)
        await tell(devnet, 1, "resume")
        await broken.clears("StepIntakePaused", "StepIntakeShed")

        # A database that stands still, then one that only seldom gets round to its work.
        mongod.pause()
        try:
            await broken.fires("StepStoreDown", "StepApiErrors")
        finally:
            mongod.resume()
        await broken.clears("StepStoreDown", "StepApiErrors")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(limp, mongod.pause, mongod.resume)
            await broken.fires("StepStoreSlow")
            nursery.cancel_scope.cancel()
        await broken.clears("StepStoreSlow", "StepStoreDown", "StepApiErrors")
        assert broken.watched.fired >= OF_A_DATABASE_AND_CLIENTS
        assert broken.watched.told & OF_A_DATABASE_AND_CLIENTS


async def tell(devnet: Devnet, index: int, *words: str) -> None:
    """A command of the operator to a node that runs."""
    home = str(devnet.nodes[index].home.root)
    await trio.run_process([sys.executable, "-m", "step_node.cli.main", "admin", *words, "--home", home], cwd=ROOT)


async def limp(pause: Callable[[], None], resume: Callable[[], None]) -> None:
    """Stand still for most of the time, until cancelled."""
    try:
        while True:
            pause()
            await trio.sleep(1.5)
            resume()
            await trio.sleep(0.5)
    finally:
        resume()
