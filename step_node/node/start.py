"""Starting a node: its parts are opened, wired, and served, in one nursery; stopped in reverse order."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog
import trio

from p2p.addresses import parse_peer_address
from p2p.errors import AddressInUse, NetworkError
from p2p.network import Network
from step_node.api.app import create_app, create_metrics_app
from step_node.api.base_map import checked_base_map
from step_node.api.middleware.cors import Cors
from step_node.api.server.limits import ApiLimits, EventLimits
from step_node.api.server.served import ServedApi
from step_node.api.server.serving import serve_api
from step_node.api.server.tls import Tls, load_tls
from step_node.api.services import ApiServices
from step_node.api.status.node import NodeStatus
from step_node.api.submissions.intake import Intake
from step_node.api.web_app import WebApp, app_url, read_wallet_adapter
from step_node.chain.genesis import Genesis
from step_node.clock import SystemClock
from step_node.errors import StepNodeError, leaves
from step_node.home.config import GuardrailsConfig, NodeConfig
from step_node.home.keys import NodeKeys
from step_node.home.paths import NodeHome
from step_node.home.switches import IntakePercent
from step_node.mempool.pool import Mempool
from step_node.node.admin.audit import AuditLog
from step_node.node.admin.commands import Caller, Request
from step_node.node.admin.node_commands import Commanded, node_commands
from step_node.node.admin.server import AdminServer
from step_node.node.descriptors import api_connections, raise_limit
from step_node.node.disk_forecast import DiskForecast
from step_node.node.disk_gauges import DiskGauges
from step_node.node.guardrail_watch import GuardrailWatch
from step_node.node.logging import keep_recent_lines
from step_node.node.node import Node
from step_node.node.opening import (
    AS_USUAL,
    StartOptions,
    breaker_settings,
    check_large_state,
    guardrail_settings,
    open_parts,
)
from step_node.node.parts import NodeParts
from step_node.node.reload import Change, Reloader
from step_node.signing.keystore import PASSWORD_ENVIRONMENT_VARIABLE

GUARDRAIL_SETTINGS = tuple(f"guardrails.{name}" for name in GuardrailsConfig.model_fields)
INTAKE_SETTINGS = ("intake.shed", "intake.shed_factor", "intake.shed_floor_per_second")

log = structlog.get_logger("node")

METRICS_LIMITS: Final = ApiLimits(
    connections_max=32, connections_per_address_max=16, cost_ms_per_second=100, address_cost_ms_per_second=50
)
"""Of the listener of the metrics: each page costs 6 ms. Its connections are of `OWN_DESCRIPTORS`."""


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """What a node that serves tells whoever started it; `metrics_url` is None if the API serves the metrics,
    `app_url` if there is no web app."""

    api_url: str
    metrics_url: str | None
    app_url: str | None
    status: NodeStatus


async def run_node(
    home: NodeHome,
    config: NodeConfig,
    genesis: Genesis,
    keys: NodeKeys,
    *,
    options: StartOptions = AS_USUAL,
    make_node: Callable[[NodeParts], Node] = Node,
    reloader: Reloader | None = None,
    task_status: trio.TaskStatus[NodeStarted] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the node in `home` until cancelled. `task_status` is told once it serves.

    `reloader` learns which parts take new settings while they run. `make_node` wires the parts together; a devnet's
    misbehaving validator has one of its own.

    Raises `StepNodeError` for whatever the operator can do something about.
    """
    files_max = raise_limit()
    limits = _api_limits(config, files_max)
    reloading = reloader or Reloader(config, lambda: config)
    tls = _tls(home, config)
    try:
        async with open_parts(home, config, genesis, keys, options) as parts, trio.open_nursery() as nursery:
            node = make_node(parts)
            await nursery.start(node.run)
            node.registry.register(DiskGauges(home.data))
            forecast = DiskForecast()
            node.registry.register(forecast)
            nursery.start_soon(forecast.run, home)
            nursery.start_soon(node.overview.run)
            nursery.start_soon(node.load.run)
            nursery.start_soon(check_large_state, parts.storage)
            services = node.services(
                wait_ms_max=config.api.wait_ms_max,
                account_submissions_per_minute=config.api.account_submissions_per_minute,
                event_limits=_event_limits(config, limits.connections_max),
                web_app=_web_app(home, config),
            )
            port = await nursery.start(
                partial(
                    serve_api,
                    create_app(services, with_metrics=config.metrics.port is None),
                    config.api.host,
                    config.api.port,
                    limits=limits,
                    clock=services.clock,
                    metrics=services.counters,
                    tls=tls,
                    cors=Cors(frozenset(config.api.cors_origins)),
                    on_serving=partial(_reload_api, reloading, home, files_max, services),
                    on_stopping=services.feed.stop,
                )
            )
            reloading.register(INTAKE_SETTINGS, partial(_reload_intake, node.intake))
            reloading.register(GUARDRAIL_SETTINGS, partial(_reload_guardrails, node.economy.guardrails))
            reloading.register(["mempool.proofs_max"], partial(_reload_mempool, parts.mempool))
            reloading.register(["p2p.bootstrap"], partial(_reload_bootstrap, parts.network))
            audit = AuditLog(home.admin_audit_log, services.clock)
            node.economy.guardrails.audit = partial(_record_share, audit)
            if config.admin.socket:
                keep_recent_lines(config.admin.log_lines)
                commanded = Commanded(node, home, config, services.clock, reloading, secrets=node_secrets(home, keys))
                await nursery.start(AdminServer(home.admin_socket, node_commands(commanded), audit).run)
            url = f"{'https' if tls else 'http'}://{config.api.host}:{port}"
            metrics_url = await _serve_metrics(nursery, config, services)
            started = NodeStarted(url, metrics_url, app_url(url) if config.api.web_app else None, node.status())
            log.info(
                "serving",
                api=started.api_url,
                **({} if started.metrics_url is None else {"metrics": started.metrics_url}),
                peer_id=started.status.peer_id,
                height=started.status.height,
            )
            task_status.started(started)
    except BaseExceptionGroup as group:
        raise _operators_error(group) or group from group


async def _serve_metrics(nursery: trio.Nursery, config: NodeConfig, services: ApiServices) -> str | None:
    """Serve `/metrics` at its own address, if it has one; its URL."""
    if config.metrics.port is None:
        return None
    serving = partial(
        serve_api,
        create_metrics_app(services),
        config.metrics.host,
        config.metrics.port,
        limits=METRICS_LIMITS,
        clock=services.clock,
        metrics=None,
        section="metrics",
    )
    port = await nursery.start(serving)
    return f"http://{config.metrics.host}:{port}"


async def _record_share(audit: AuditLog, who: str, percent: IntakePercent, why: str) -> None:
    """As the command that an operator would have given."""
    request = Request(command="intake-share", arguments={"percent": percent}, why=why)
    await audit.tell(Caller(uid=None, pid=None, user=who), request, "done")


def node_secrets(home: NodeHome, keys: NodeKeys) -> tuple[str, ...]:
    """What nobody may be shown: the keys, and the keystore's password where the environment or the home has it."""
    try:
        password = home.password.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        password = ""
    return (
        password,
        keys.p2p.hex(),
        *([] if keys.validator is None else [keys.validator.hex()]),
        os.environ.get(PASSWORD_ENVIRONMENT_VARIABLE, ""),
    )


def _api_limits(config: NodeConfig, files_max: int) -> ApiLimits:
    api = config.api
    return ApiLimits(
        connections_max=api_connections(files_max, wanted=api.connections_max, peers=config.p2p.connections_max),
        connections_per_address_max=api.connections_per_address_max,
        cost_ms_per_second=api.cost_ms_per_second,
        address_cost_ms_per_second=api.address_cost_ms_per_second,
        submissions_per_minute=api.submissions_per_minute,
        proxies=frozenset(map(str, api.proxies)),
    )


def _tls(home: NodeHome, config: NodeConfig) -> Tls | None:
    certificate, key = config.api.tls_certificate, config.api.tls_key
    if certificate is None or key is None:
        return None
    return load_tls(home.root / certificate, home.root / key, now_ms=SystemClock().now_ms())


def _web_app(home: NodeHome, config: NodeConfig) -> WebApp:
    return WebApp(
        config.api.web_app,
        config.api.web_app_nodes,
        _wallet_adapter(home, config),
        config.api.web_app_wallet_origins,
        _base_map(home, config),
    )


def _wallet_adapter(home: NodeHome, config: NodeConfig) -> bytes | None:
    name = config.api.web_app_wallet
    return None if name is None else read_wallet_adapter(home.root / name)


def _base_map(home: NodeHome, config: NodeConfig) -> Path | None:
    name = config.api.web_app_base_map
    return None if name is None else checked_base_map(home.root / name)


def _reload_intake(intake: Intake, config: NodeConfig) -> Change:
    return partial(intake.set, breaker_settings(config.intake))


def _reload_guardrails(guardrails: GuardrailWatch, config: NodeConfig) -> Change:
    return partial(guardrails.set, guardrail_settings(config.guardrails))


def _reload_mempool(mempool: Mempool, config: NodeConfig) -> Change:
    return partial(mempool.set_places, config.mempool.proofs_max)


def _reload_api(reloader: Reloader, home: NodeHome, files_max: int, services: ApiServices, served: ServedApi) -> None:
    """Have the API that is served take new bounds, origins and certificates."""

    def prepare(config: NodeConfig) -> Callable[[], None]:
        limits, cors, tls = _api_limits(config, files_max), Cors(frozenset(config.api.cors_origins)), _tls(home, config)

        def change() -> None:
            served.change(limits, cors, tls)
            services.account_quotas.limit = config.api.account_submissions_per_minute
            services.web_app.is_served, services.web_app.nodes = config.api.web_app, config.api.web_app_nodes
            services.web_app.wallet_origins = config.api.web_app_wallet_origins
            services.event_places.limits = _event_limits(config, limits.connections_max)

        return change

    names = (
        "account_submissions_per_minute",
        "address_cost_ms_per_second",
        "connections_per_address_max",
        "cors_origins",
        "cost_ms_per_second",
        "event_streams_max",
        "event_streams_per_address_max",
        "proxies",
        "submissions_per_minute",
        "tls_certificate",
        "tls_key",
        "web_app",
        "web_app_nodes",
        "web_app_wallet_origins",
    )
    reloader.register([f"api.{name}" for name in names], prepare)
    # A file of the app that is away is no reason to leave a certificate or a quota as it was.
    reloader.register_alone("api.web_app_wallet", lambda config: _take_wallet(services.web_app, home, config))
    reloader.register_alone("api.web_app_base_map", lambda config: _take_base_map(services.web_app, home, config))


def _take_wallet(web_app: WebApp, home: NodeHome, config: NodeConfig) -> Change:
    return partial(setattr, web_app, "wallet_adapter", _wallet_adapter(home, config))


def _take_base_map(web_app: WebApp, home: NodeHome, config: NodeConfig) -> Change:
    return partial(setattr, web_app, "base_map", _base_map(home, config))


def _reload_bootstrap(network: Network, config: NodeConfig) -> Callable[[], None]:
    addresses = config.p2p.bootstrap
    try:
        for address in addresses:
            parse_peer_address(address)
    except ValueError as error:
        raise StepNodeError(f"p2p.bootstrap: {error}") from error
    return partial(network.choose, addresses)


def _event_limits(config: NodeConfig, connections_max: int) -> EventLimits:
    """Streams take at most half of the connections: the others are for who comes, asks and goes."""
    return EventLimits(
        streams_max=min(config.api.event_streams_max, connections_max // 2),
        streams_per_address_max=config.api.event_streams_per_address_max,
    )


def _operators_error(group: BaseExceptionGroup[BaseException]) -> StepNodeError | None:
    """The one error to tell the operator, where a group holds nothing but such errors."""
    errors = list(leaves(group))
    first = errors[0]
    if isinstance(first, AddressInUse):
        return StepNodeError(f"{first}; stop what uses it, or choose another in config.toml, p2p.listen")
    if all(isinstance(error, StepNodeError | NetworkError) for error in errors):
        return first if isinstance(first, StepNodeError) else StepNodeError(str(first))
    return None
