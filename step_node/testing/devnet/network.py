"""`Devnet`: N validators as real processes on loopback, started, watched, killed, restarted and stopped together."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import httpx
import trio

from step_node.chain.genesis import Genesis, load_genesis
from step_node.clock import SystemClock
from step_node.errors import StepNodeError
from step_node.home.config import (
    NODE_ORIGIN_PATTERN,
    WEB_APP_NODES_MAX,
    LogConfig,
    NodeConfig,
    RetentionConfig,
    StorageConfig,
    load_config,
)
from step_node.home.keys import NodeKeys
from step_node.home.making import (
    HomeError,
    NetworkNode,
    network_homes,
    new_genesis,
    write_network_homes,
)
from step_node.parameters import Parameters
from step_node.testing.devnet.certificate import Certificate, certificate_for, machine_addresses
from step_node.testing.devnet.misbehaviour import Misbehaviour
from step_node.testing.devnet.node_client import NodeClient, Unavailable
from step_node.testing.devnet.node_process import NodeDied, NodeProcess
from step_node.testing.devnet.ports import LOOPBACK, NodePorts, PortsInUse, block_of_ports, free_ports
from step_node.testing.mongod import ThrowawayMongod

CHAIN_ID = "step-devnet"
BASE_PORT_DEFAULT = 8_600
READY_SECONDS_MAX = 120.0
"""Four processes that start at once on a busy machine take some ten seconds."""

POLL_SECONDS = 0.1
ALL_INTERFACES = ("0.0.0.0", "::")
CONNECTIONS_MAX = 64
"""HTTP connections to one node; a request above it waits. The pool looks at every connection for every request, so one
pool for each node, and not a large one, is much cheaper for the client."""


@dataclass(frozen=True, slots=True)
class DevnetSettings:
    """What network to run.

    `home` keeps the data; None is a temporary directory that is removed. `base_port` None takes the usual ports where
    they are free, others where they are not; 0 takes any free ones. `mongodb_uri` None, with the engine mongodb, is a
    throw-away replica set. `parameters` and `protocol_version` are those of a new chain; None: the protocol's defaults.
    `retention` is how much its nodes keep (None: all); `byzantine` is how the last validator misbehaves.
    `host` is where the APIs listen (libp2p stays on loopback); `tls` has them speak TLS, by a certificate made for it.
    `bootstrap_at_first_only` has all others know node 0 alone. `owner` is the address to which the validators of a new
    chain belong, None for each to itself; `allocations` are its balances at genesis, micro-STEP by address.
    `password` is that of new keystores, None a random one.
    """

    validators: int = 4
    store: Literal["sqlite", "mongodb"] = "sqlite"
    mongodb_uri: str | None = field(default=None, repr=False)
    base_port: int | None = None
    home: Path | None = None
    parameters: Parameters | None = None
    protocol_version: int | None = None
    log: LogConfig | None = None
    retention: RetentionConfig | None = None
    byzantine: Misbehaviour | None = None
    bootstrap_at_first_only: bool = False
    host: str = LOOPBACK
    tls: bool = False
    owner: str | None = None
    allocations: Mapping[str, int] = field(default_factory=dict)
    password: str | None = field(default=None, repr=False)


class Devnet:
    """See the module's docstring. Use it as an asynchronous context manager, or call `stop` on every way out."""

    def __init__(self, settings: DevnetSettings, *, report: Callable[[str], None] = lambda _line: None) -> None:
        self.settings = settings
        self._report = report
        self._temporary: Path | None = None
        self.root = settings.home or Path()
        self.nodes: list[NodeProcess] = []
        self._ports: list[NodePorts] = []
        self._genesis: Genesis | None = None
        self._machine: list[str] = []
        self.certificate: Certificate | None = None
        """What the APIs show and clients have to trust; None without TLS."""
        self.mongod: ThrowawayMongod | None = None
        self._connections: list[httpx.AsyncClient] = []
        self.clients: list[NodeClient] = []

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as if_it_fails:
            if_it_fails.push_async_callback(self.stop)
            await self.start()
            if_it_fails.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def genesis(self) -> Genesis:
        """The chain's genesis; after `start`."""
        if self._genesis is None:
            raise RuntimeError("the devnet has not been started")
        return self._genesis

    @property
    def urls(self) -> list[str]:
        """The nodes' APIs, by index."""
        return [self.node_url(index) for index in range(len(self.nodes))]

    def p2p_port(self, index: int) -> int:
        """Where node `index` listens for libp2p, on loopback; after `prepare`."""
        return self._ports[index].p2p

    def node_url(self, index: int) -> str:
        """Where node `index` serves its API, for programs on this machine."""
        host = LOOPBACK if self.settings.host in ALL_INTERFACES else self.settings.host
        return self._url(host, index)

    def addresses(self, index: int) -> list[str]:
        """The URLs of node `index` for other machines; none if its API is on loopback alone."""
        host = self.settings.host
        if host in ALL_INTERFACES:
            return [self._url(address, index) for address in self._machine if host == "::" or ":" not in address]
        return [] if host in (LOOPBACK, "::1", "localhost") else [self._url(host, index)]

    @property
    def app_nodes(self) -> list[str]:
        """Where the web app asks the nodes: at an address that phones reach too, if there is one. In small letters, as
        browsers write it, and without those that no page may be let ask, as an address of IPv6."""
        found = [(self.addresses(index) or [self.node_url(index)])[0].lower() for index in range(len(self.nodes))]
        return [one for one in found if re.fullmatch(NODE_ORIGIN_PATTERN, one)]

    def _url(self, host: str, index: int) -> str:
        scheme = "https" if self.settings.tls else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._ports[index].api}"

    async def prepare(self) -> None:
        """Make the homes (or take those that are there) and start no node yet; `start` does it where it was not done.

        Raises StepNodeError: a port is in use, or a home does not fit the settings.
        """
        if self.settings.home is None:
            self._temporary = self.root = Path(tempfile.mkdtemp(prefix="step-devnet-"))
        homes = network_homes(self.root, self.settings.validators)
        self.nodes = [NodeProcess(index, home) for index, home in enumerate(homes)]
        self.nodes[-1].misbehaviour = self.settings.byzantine
        if any(home.config.exists() for home in homes):
            self._take_homes()
        else:
            storage = await self._storage()
            await trio.to_thread.run_sync(self._write_homes, storage)
        self._machine = machine_addresses()
        if self.settings.tls:
            hosts = [*self._machine, *(() if self.settings.host in ALL_INTERFACES else (self.settings.host,))]
            self.certificate = certificate_for(self.root / "tls", hosts)
        for node in self.nodes:
            node.environment |= self._environment()
        self._connections = [
            httpx.AsyncClient(
                verify=True if self.certificate is None else self.certificate.trusting(),
                limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
                trust_env=False,
            )
            for _ in self.nodes
        ]
        self.clients = [NodeClient(http, url) for http, url in zip(self._connections, self.urls, strict=True)]

    def _environment(self) -> dict[str, str]:
        """What the nodes are told of this run alone: homes that are kept may be started otherwise next time."""
        environment = {"STEP_API__WEB_APP_NODES": json.dumps(self.app_nodes[:WEB_APP_NODES_MAX])}
        if self.settings.host != LOOPBACK:
            environment["STEP_API__HOST"] = self.settings.host
        if self.certificate is not None:
            environment["STEP_API__TLS_CERTIFICATE"] = str(self.certificate.certificate.resolve())
            environment["STEP_API__TLS_KEY"] = str(self.certificate.key.resolve())
        return environment

    async def start(self) -> None:
        """Prepare, start every node, and wait until all are connected.

        Raises StepNodeError: as `prepare` does, or for a node that ended (NodeDied, with its log), or because they
        have not found one another within `READY_SECONDS_MAX`.
        """
        if not self.nodes:
            await self.prepare()
        self._report(f"starting {len(self.nodes)} nodes")
        for node in self.nodes:
            await node.spawn()
        await self.wait_until_connected()

    async def wait_until_connected(self, *, seconds_max: float = READY_SECONDS_MAX) -> None:
        """Wait until every running node serves and is connected to every other running one.

        Raises NodeDied for a node that ended, or that is not there within `seconds_max`.
        """
        running = [node for node in self.nodes if node.is_running]
        with trio.move_on_after(seconds_max):
            async with trio.open_nursery() as nursery:
                for node in running:
                    nursery.start_soon(self._until_connected, node, len(running) - 1)
            return
        for node in running:
            if await self._peer_count(node) < len(running) - 1:
                raise NodeDied(f"not ready within {seconds_max:g} s: {node.death()}")

    async def kill(self, index: int, number: signal.Signals = signal.SIGKILL) -> None:
        """End node `index` with a signal, and wait for its end. The others go on."""
        await self.nodes[index].kill(number)

    async def replace(self, index: int, module: str) -> None:
        """Stop node `index` as an operator does, and start `module` on its home; wait until it serves.

        Raises NodeDied if it does not.
        """
        await self.nodes[index].stop()
        self.nodes[index].module = module
        await self.restart(index)

    async def restart(self, index: int) -> None:
        """Start node `index` again on its home (killing it if it runs), and wait until it serves.

        Raises NodeDied if it does not.
        """
        node = self.nodes[index]
        await node.kill(signal.SIGKILL)
        await node.spawn()
        with trio.move_on_after(READY_SECONDS_MAX):
            await self._until_connected(node, 0)
            return
        raise NodeDied(f"not ready within {READY_SECONDS_MAX:g} s: {node.death()}")

    async def watch(self) -> None:
        """Run until a node ends that nobody asked to; then raise NodeDied. To be run beside what uses the network."""
        async with trio.open_nursery() as nursery:
            for node in self.nodes:
                nursery.start_soon(node.raise_when_it_dies)
            nursery.start_soon(trio.sleep_forever)

    async def stop(self) -> None:
        """Stop every process, and remove what was temporary. May be called at any time, and again."""
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for node in self.nodes:
                    nursery.start_soon(node.stop)
            if self.mongod is not None:
                await trio.to_thread.run_sync(self.mongod.discard)
                self.mongod = None
            for http in self._connections:
                await http.aclose()
            if self._temporary is not None:
                shutil.rmtree(self._temporary, ignore_errors=True)
                self._temporary = None

    def kill_at_once(self) -> None:
        """The last resort, from a signal's handler: SIGKILL to every process, and no tidying up."""
        for node in self.nodes:
            node.kill_at_once()
        if self.mongod is not None:
            self.mongod.kill()

    async def _until_connected(self, node: NodeProcess, peers: int) -> None:
        while await self._peer_count(node) < peers:
            if not node.is_running:
                raise node.death()
            await trio.sleep(POLL_SECONDS)
        self._report(f"{node.name} is up, with {peers} peers" if peers else f"{node.name} is up")

    async def _peer_count(self, node: NodeProcess) -> int:
        """-1 while it does not serve."""
        try:
            return (await self.clients[node.index].status()).peers
        except Unavailable:
            return -1

    async def _storage(self) -> list[StorageConfig]:
        count = self.settings.validators
        if self.settings.store == "sqlite":
            return [StorageConfig()] * count
        uri = self.settings.mongodb_uri
        if uri is None:
            self._report("starting a throw-away MongoDB replica set")
            self.mongod = ThrowawayMongod()
            self.mongod.start()
            await self.mongod.ready()
            uri = self.mongod.uri
        # A name of its own for each network: a database that holds another chain is refused.
        token = secrets.token_hex(4)
        return [
            StorageConfig(engine="mongodb", mongodb_uri=uri, mongodb_database=f"step_devnet_{token}_{index}")
            for index in range(count)
        ]

    def _write_homes(self, storage: list[StorageConfig]) -> None:
        self._ports = self._choose_ports()
        nodes = [NetworkNode(NodeKeys.new(is_validator=True), ports.api, ports.p2p) for ports in self._ports]
        self._genesis = new_genesis(
            chain_id=CHAIN_ID,
            genesis_time_ms=SystemClock().now_ms(),
            validators=[(node.keys.validator or b"", node.p2p_address) for node in nodes],
            parameters=self.settings.parameters,
            owner=self.settings.owner,
            allocations=self.settings.allocations,
            protocol_version=self.settings.protocol_version,
        )
        write_network_homes(
            [node.home for node in self.nodes],
            nodes=nodes,
            genesis=self._genesis,
            storage=storage,
            log=self.settings.log,
            retention=self.settings.retention,
            password=self.settings.password or secrets.token_hex(16),
            bootstrap_at_first_only=self.settings.bootstrap_at_first_only,
        )

    def _choose_ports(self) -> list[NodePorts]:
        count, base_port = self.settings.validators, self.settings.base_port
        if base_port == 0:
            return free_ports(count)
        if base_port is not None:
            return block_of_ports(count, base_port)
        try:
            return block_of_ports(count, BASE_PORT_DEFAULT)
        except PortsInUse as error:
            self._report(f"{error}; taking free ports instead")
            return free_ports(count)

    def _take_homes(self) -> None:
        """Go on with a network that was made before. Raises HomeError where it is not what the settings ask for."""
        homes = [node.home for node in self.nodes]
        missing = next((home for home in homes if not home.config.exists()), None)
        following = network_homes(self.root, len(homes) + 1)[-1]
        if missing is not None or following.config.exists():
            found = "fewer" if missing is not None else "more"
            raise HomeError(f"{self.root}: holds a network of {found} nodes; give --validators as it was made")
        configs = [load_config(home.config) for home in homes]
        self._ports = [_ports_of(config, index) for index, config in enumerate(configs)]
        self._genesis = load_genesis(homes[0].genesis)
        base_port = self.settings.base_port
        if base_port and base_port != self._ports[0].api:
            raise HomeError(f"{self.root}: its nodes have ports from {self._ports[0].api}; leave --base-port out")
        for home, config in zip(homes, configs, strict=True):
            if config.storage.engine != self.settings.store:
                raise HomeError(
                    f"{home.config}: storage.engine is {config.storage.engine}; give --store as it was made"
                )


def _ports_of(config: NodeConfig, index: int) -> NodePorts:
    listen = config.p2p.listen[0].split("/")
    if config.api.port == 0 or len(listen) < 5:
        raise StepNodeError(f"node {index}: its config.toml must give fixed ports for a devnet")
    return NodePorts(config.api.port, int(listen[4]))
