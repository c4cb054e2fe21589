"""A devnet whose every connection goes through a proxy, with small disks and clocks that are off where asked for.

Each node is told, by its environment, to dial every other one at the proxy of that ordered pair; so its home is the
same as any devnet's, and restarts go through the same proxies. The store is not behind proxies.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import trio
from pymongo import MongoClient
from pymongo.errors import AutoReconnect

import step_node
from step_node.testing.chaos.hardware import SmallDisk, clock_environment
from step_node.testing.chaos.proxy import LOOPBACK, Cut, Link, Weather
from step_node.testing.chaos.scenario import VALIDATORS_MAX, Release, Scenario
from step_node.testing.chaos.upgrading import agree_on
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.node_client import Unavailable
from step_node.testing.devnet.node_process import OLDER_MODULE, SHIPPED_MODULE
from step_node.testing.devnet.ports import PortsInUse, block_of_ports
from step_node.testing.mongod import ThrowawayMongod

PEERS_SECONDS_MAX = 30.0
"""How long nodes may take to notice that their connections are gone."""
POLL_SECONDS = 0.1
MODULES: Final[dict[Release, str]] = {"present": SHIPPED_MODULE, "older": OLDER_MODULE}
STORE_CALL_MS_MAX = 5_000
BASE_PORTS = range(10_000, 30_000, 2 * VALIDATORS_MAX)
"""Below those that Linux gives out (32768 and up)."""
BASE_PORT_TRIES_MAX = 20


class World:
    """What actions act on; made by `open_world`."""

    def __init__(self, devnet: Devnet, links: Sequence[Link], disks: dict[int, SmallDisk]) -> None:
        self.devnet = devnet
        self.links = links
        self._disks = disks

    async def kill(self, nodes: Collection[int]) -> None:
        """SIGKILL to all of them at once."""
        async with trio.open_nursery() as nursery:
            for index in nodes:
                nursery.start_soon(self.devnet.kill, index)

    async def restart(self, nodes: Collection[int]) -> None:
        """Start them all again at once, and wait until they serve. Raises NodeDied."""
        async with trio.open_nursery() as nursery:
            for index in nodes:
                nursery.start_soon(self.devnet.restart, index)

    async def replace(self, nodes: Collection[int], release: Release) -> None:
        """Stop each by SIGTERM, and start it by this release; one after another. Raises NodeDied."""
        for index in nodes:
            await self.devnet.replace(index, MODULES[release])

    async def await_end(self, nodes: Collection[int], status: int) -> None:
        """Wait until each has ended by itself with this exit status. Raises NodeDied for another one."""
        for index in nodes:
            node = self.devnet.nodes[index]
            while node.is_running:
                await trio.sleep(POLL_SECONDS)
            if node.exit_status != status:
                raise node.death()

    async def agree_on_upgrade(self, version: int) -> int:
        """Have a quorum approve these rules; the height that they are agreed on for. Raises TooSlowError."""
        return await agree_on(self.devnet, version, release=step_node.__version__)

    async def pause(self, nodes: Collection[int], seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long, whatever happens meanwhile."""
        try:
            for index in nodes:
                self.devnet.nodes[index].pause()
            await trio.sleep(seconds)
        finally:
            for index in nodes:
                self.devnet.nodes[index].go_on()

    async def cut(self, groups: Sequence[Collection[int]], how: Cut) -> None:
        """Cut the links between groups. With RESET, wait until every node that runs has lost those peers, so that a
        way around the proxies would be noticed. Raises TooSlowError if there is one."""
        group_of = {index: number for number, group in enumerate(groups) for index in group}
        apart = [
            link
            for link in self.links
            if link.source in group_of and link.target in group_of and group_of[link.source] != group_of[link.target]
        ]
        for link in apart:
            link.cut(how)
        if how is Cut.RESET:
            lost = {index: sum(link.source == index for link in apart) for index in group_of}
            with trio.fail_after(PEERS_SECONDS_MAX):
                for index, count in lost.items():
                    await self._until_at_most(index, len(self.devnet.nodes) - 1 - count)

    def heal(self) -> None:
        """Mend every link."""
        for link in self.links:
            link.heal()

    def disconnect(self, nodes: Collection[int]) -> None:
        """End every connection of these nodes."""
        for link in self.links:
            if link.source in nodes or link.target in nodes:
                link.drop_connections()

    def set_weather(self, weather: Weather) -> None:
        """For every link."""
        for link in self.links:
            link.weather = weather

    async def kill_store(self, seconds: float) -> None:
        """SIGKILL to mongod; it starts again after so long."""
        mongod = self._mongod()
        await trio.to_thread.run_sync(mongod.kill)
        await trio.sleep(seconds)
        await mongod.restart()

    async def step_down_store(self, seconds: int) -> None:
        """The primary steps down; with no other member, the set has none until it may be elected again."""
        await trio.to_thread.run_sync(_step_down, self._mongod().uri, seconds)
        await trio.sleep(seconds)

    async def fill_disk(self, nodes: Collection[int]) -> None:
        """Leave no byte free."""
        for index in nodes:
            await trio.to_thread.run_sync(self._disks[index].fill)

    async def free_disk(self, nodes: Collection[int]) -> None:
        """Give the space back."""
        for index in nodes:
            await trio.to_thread.run_sync(self._disks[index].free)

    def _mongod(self) -> ThrowawayMongod:
        if self.devnet.mongod is None:
            raise RuntimeError("the network has no MongoDB of its own")
        return self.devnet.mongod

    async def _until_at_most(self, index: int, peers: int) -> None:
        while self.devnet.nodes[index].is_running:
            try:
                if (await self.devnet.clients[index].status()).peers <= peers:
                    return
            except Unavailable:
                pass
            await trio.sleep(POLL_SECONDS)


@asynccontextmanager
async def open_world(scenario: Scenario, home: Path) -> AsyncIterator[World]:
    """The scenario's network, running and connected; its homes and logs stay in `home`.

    Raises Impossible for what this machine lacks, and StepNodeError as `Devnet.start` does.
    """
    settings = DevnetSettings(
        validators=scenario.network.validators,
        store=scenario.network.store,
        base_port=_free_base_port(scenario.network.validators),
        home=home,
        parameters=scenario.network.chain_parameters(),
    )
    clocks = {
        node.index: clock_environment(node.clock_offset_seconds) for node in scenario.nodes if node.clock_offset_seconds
    }
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        devnet = Devnet(settings)
        disks: dict[int, SmallDisk] = {}
        # Called in reverse: the processes end before their disks go.
        stack.callback(_unmount, disks)
        stack.push_async_callback(devnet.stop)
        await devnet.prepare()
        for node in scenario.nodes:
            devnet.nodes[node.index].misbehaviour = node.byzantine
            devnet.nodes[node.index].module = MODULES[node.release]
            if node.disk_mib is not None:
                folder = devnet.nodes[node.index].home.data
                disks[node.index] = await trio.to_thread.run_sync(SmallDisk, folder, node.disk_mib)
        links = await _lay_links(devnet)
        for link in links:
            nursery.start_soon(link.run)
        for index, environment in clocks.items():
            devnet.nodes[index].environment.update(environment)
        await devnet.start()
        yield World(devnet, links, disks)
        await devnet.stop()
        nursery.cancel_scope.cancel()


async def _lay_links(devnet: Devnet) -> list[Link]:
    """One for each ordered pair, and each node told to dial through its own."""
    peer_ids = [validator.p2p_address.rpartition("/")[2] for validator in devnet.genesis.validators]
    links: list[Link] = []
    for source in range(len(devnet.nodes)):
        addresses = []
        for target in range(len(devnet.nodes)):
            if target != source:
                link = Link(source, target, devnet.p2p_port(target))
                addresses.append(f"/ip4/{LOOPBACK}/tcp/{await link.bind()}/p2p/{peer_ids[target]}")
                links.append(link)
        # Without discovery: the addresses on the chain, and those that peers tell, lead around the proxies.
        devnet.nodes[source].environment |= {
            "STEP_P2P__BOOTSTRAP": json.dumps(addresses),
            "STEP_P2P__DISCOVERY": "false",
        }
    return links


def _free_base_port(validators: int) -> int:
    """Ports that nobody has, and that the system does not give out for the asking: a node that is down for a while, or
    has not been started yet, must find its own still free, with proxies and clients opening sockets all the time."""
    for _ in range(BASE_PORT_TRIES_MAX):
        base_port = secrets.choice(BASE_PORTS)
        try:
            block_of_ports(validators, base_port)
        except PortsInUse:
            continue
        return base_port
    raise PortsInUse(f"no {2 * validators} free ports in a row were found from {BASE_PORTS[0]} to {BASE_PORTS[-1]}")


def _unmount(disks: dict[int, SmallDisk]) -> None:
    for disk in disks.values():
        disk.unmount()


def _step_down(uri: str, seconds: int) -> None:
    with MongoClient[dict[str, object]](uri, serverSelectionTimeoutMS=STORE_CALL_MS_MAX) as client:
        try:
            # `force`, because there is no other member that could take over.
            client.admin.command("replSetStepDown", seconds, force=True)
        except AutoReconnect:
            return  # Some versions close every connection on stepping down, this one too.
