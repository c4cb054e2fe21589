"""The operator's settings: `config.toml` in a node home, `STEP_…` environment variables, and `--set` of a command.

What the chain's nodes must agree on stands in genesis, never here. A setting is one field below: its type is its rule,
its docstring what `config.toml` and docs/settings.md say of it, its markers whether it is a secret (`SECRET`) and
whether a node that runs takes a new value (`RELOADABLE`). Precedence: command, environment, file, the defaults below;
how they are read is in `home.config_sources`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, IPvAnyAddress

from step_node.home.config_sources import (
    RELOADABLE,
    ConfigError,
    Layers,
    Problem,
    Source,
    read_layers,
)
from step_node.home.log_levels import LogLevelName, check_levels
from step_node.home.secrets import SECRET, ReadSecret, read_secret
from step_node.home.switches import IntakePercent
from step_node.mempool.pool import PROOFS_MAX
from step_node.multiaddrs import MultiaddrText, PeerIdText
from step_node.signing.remote.address import SignerAddressError, parse_signer_address
from step_node.storage.retention import Retention

__all__ = ["ConfigError", "NodeConfig", "Settings", "load_config", "load_settings", "read_settings"]

Origin = Annotated[
    str, Field(pattern=r"^(\*|https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?)$")
]
"""An origin as browsers write it, in small letters and without a path; `*` for all."""

NODE_ORIGIN_PATTERN: Final = r"^https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?$"

NodeOrigin = Annotated[str, Field(pattern=NODE_ORIGIN_PATTERN, examples=["https://node.example"])]
"""Where a node is asked, without a path. No address of IPv6: content security policies know none."""

WalletOrigin = Annotated[
    str, Field(pattern=r"^(https|wss)://[a-z0-9.-]{1,253}(:[0-9]{1,5})?$", examples=["wss://relay.example"])
]
"""Where a wallet's connector asks, without a path."""

WEB_APP_NODES_MAX: Final = 32
"""They stand in a header of every file of the app, and so do a wallet's origins."""

Port = Annotated[int, Field(ge=0, le=65_535)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ApiConfig(_Section):
    """The HTTP API."""

    host: str = "127.0.0.1"
    """Where the HTTP API listens. It has no authentication: a proof carries its own signature."""
    tls_certificate: Annotated[Path | None, RELOADABLE, Field(examples=["tls_certificate.pem"])] = None
    """TLS, by a certificate (with those between it and its authority) and its key, both in PEM, relative to the home;
    the key's mode is 0600. Without them the API speaks plain HTTP. The files are read again with the settings."""
    tls_key: Annotated[Path | None, RELOADABLE, Field(repr=False, examples=["tls_key.pem"])] = None
    """The key of `tls_certificate`."""
    port: Port = 8_600
    """0 lets the system choose a free port."""
    wait_ms_max: Annotated[int, Field(ge=0, le=60_000)] = 30_000
    """The longest that POST /proof/submit?wait_ms= may hold a request open, in milliseconds."""
    connections_max: Annotated[int, Field(ge=16, le=10_000)] = 4_096
    """Open connections, if the limit of open files allows for as many; for one more, the one that has been waited for
    the longest gives way."""
    connections_per_address_max: Annotated[int, Field(ge=1, le=10_000), RELOADABLE] = 128
    """Of them from one address, of IPv6 from one network of 64 bits; one more is closed at once."""
    event_streams_max: Annotated[int, Field(ge=0, le=5_000), RELOADABLE] = 1_000
    """Streams of GET /events, which may be open for an hour, and half of the connections at most; one more is
    refused."""
    event_streams_per_address_max: Annotated[int, Field(ge=1, le=5_000), RELOADABLE] = 32
    """Of them from one address."""
    cost_ms_per_second: Annotated[int, Field(ge=10, le=10_000), RELOADABLE] = 400
    """How many milliseconds of a second answering may take, for all clients together; a request costs 1 to 10. Beyond,
    requests wait up to a second, and are refused."""
    address_cost_ms_per_second: Annotated[int, Field(ge=10, le=10_000), RELOADABLE] = 200
    """Of that, for one address; a proof that is taken in costs it nothing as long as the node has time to spare."""
    submissions_per_minute: Annotated[int, Field(ge=0, le=1_000_000), RELOADABLE] = 100
    """Submissions of one address in a minute, each of many in one body counted; those that were made before count once.
    0: as many as the costs allow. Put gateways that bring many people's proofs into `proxies`."""
    account_submissions_per_minute: Annotated[int, Field(ge=0, le=1_000_000), RELOADABLE] = 60
    """Proofs of one account that are taken in, in a minute. 0: as many as the costs allow."""
    proxies: Annotated[tuple[IPvAnyAddress, ...], RELOADABLE] = ()
    """Addresses of reverse proxies. A request from one of them counts for the last address in its X-Forwarded-For."""
    cors_origins: Annotated[tuple[Origin, ...], Field(max_length=100), RELOADABLE] = ("*",)
    """Origins whose pages may use the API from a browser, as "https://app.example"; "*" is all, [] none. /metrics is
    closed to all of them."""
    web_app: Annotated[bool, RELOADABLE] = True
    """Serve the web app at /app/: a map, a wallet and an explorer."""
    web_app_nodes: Annotated[tuple[NodeOrigin, ...], Field(max_length=WEB_APP_NODES_MAX), RELOADABLE] = ()
    """Other nodes of the chain, as "https://node.example", which the web app asks when this one does not answer; its
    content security policy lets it ask no others."""
    web_app_wallet: Annotated[Path | None, RELOADABLE, Field(examples=["wallet-adapter.js"])] = None
    """A JavaScript module of yours, relative to the home, by which the web app offers one more wallet, such as
    WalletConnect with an id of your own (web-app.md). It is read again with the settings."""
    web_app_wallet_origins: Annotated[tuple[WalletOrigin, ...], Field(max_length=WEB_APP_NODES_MAX), RELOADABLE] = ()
    """Servers of others that this module speaks with, as "wss://relay.example": the app may ask them too."""
    web_app_base_map: Annotated[Path | None, RELOADABLE, Field(examples=["base-map.pmtiles"])] = None
    """A file of map tiles in the PMTiles format, relative to the home, which the web app draws under the triangles
    (web-app.md)."""


class MetricsConfig(_Section):
    """Where /metrics is served, if not by the API."""

    host: str = "127.0.0.1"
    """The address of the listener for the metrics: one that your Prometheus reaches, and clients do not."""
    port: Annotated[Port | None, Field(examples=[8_601])] = None
    """With a port, GET /metrics is served there alone, over plain HTTP, and no longer by the API. 0 lets the system
    choose."""


class P2pConfig(_Section):
    """The network of nodes: libp2p."""

    listen: Annotated[tuple[MultiaddrText, ...], Field(min_length=1)] = ("/ip4/0.0.0.0/tcp/26600",)
    """Where libp2p listens (TCP): one or more multiaddrs."""
    bootstrap: Annotated[tuple[MultiaddrText, ...], RELOADABLE] = ()
    """Peers to dial at the start and again whenever they are lost: /ip4/<address>/tcp/<port>/p2p/<peer id>."""
    mdns: bool = False
    """Find peers on the local network by multicast DNS."""
    discovery: bool = True
    """Dial validators where the chain says that they are, and ask peers for the addresses of others. Without it, only
    `bootstrap` is dialled, and what mDNS finds."""
    external_address: Annotated[tuple[MultiaddrText, ...], Field(max_length=4)] = ()
    """Where others can dial this node, if not at `listen`: behind a NAT, or in a container. With or without
    /p2p/<peer id>."""
    private_peers: Annotated[
        tuple[PeerIdText, ...],
        Field(max_length=16, examples=[["16Uiu2HAmCJNMn6k4ecyzgGxbKM9wN3PKABtKhKXGMgWiZZR8AGp2"]]),
    ] = ()
    """Peer ids of nodes whose addresses are kept out of the address book, and told to no peer: of a sentry, its
    validator. `GET /status` shows them all the same."""
    connections_max: Annotated[int, Field(ge=1, le=1_000)] = 100
    """More connections than this are refused; validators and bootstrap peers get in before all others."""
    strangers_per_address_max: Annotated[int, Field(ge=1, le=1_000)] = 8
    """Of others, so many connections are accepted from one IP address (IPv6: from 64 bits of it)."""


class KeystoreConfig(_Section):
    """The validator's keystore."""

    password: Annotated[
        str | None, Field(repr=False, examples=[{"file": "/run/credentials/keystore_password"}]), SECRET
    ] = None
    """The password of keys/validator.json. Without it, `step-node start` looks where it always has: --password-file,
    the variable STEP_NODE_KEYSTORE_PASSWORD, keys/password; and asks."""


class StorageConfig(_Section):
    """Where the chain is kept."""

    engine: Literal["sqlite", "mongodb"] = "sqlite"
    """"sqlite": a file in the node's home. "mongodb": a replica set, because a batch is one transaction."""
    mongodb_uri: Annotated[
        str | None, Field(repr=False, examples=["mongodb://127.0.0.1:27017/?replicaSet=rs0"]), SECRET
    ] = None
    """Where MongoDB is, with the user and password if it wants them."""
    mongodb_database: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,63}$")] = "step"
    """Nodes may share a replica set, but never a database."""
    mongodb_answers_from: Literal["primary", "secondaries"] = "primary"
    """Where what clients ask is read: from the "primary", or from "secondaries" as far as they have it, which leaves
    the primary to consensus. Answers are as new either way."""


class SyncConfig(_Section):
    """Catching up with the others."""

    snapshot: bool = True
    """Whether an empty home may join from a peer's snapshot of the state. It then has no batches from before the
    snapshot."""
    snapshot_distance_batches: Annotated[int, Field(ge=1, le=2**53)] = 1_000
    """How far behind it must be; what is nearer is fetched batch by batch."""
    snapshot_every_batches: Annotated[int, Field(ge=0, le=2**53)] = 500
    """How often this node takes a snapshot for others. 0: never."""


def _retention(text: str) -> str:
    Retention.parse(text)
    return text


RetentionText = Annotated[str, AfterValidator(_retention)]
"""`all`, or how much is kept: `100000 batches`, `48 hours`, `30 days`."""


class RetentionConfig(_Section):
    """How much of the past is kept, as `all`, or as `100000 batches` (1000 at least), `48 hours` or `30 days`; the
    state is always whole: docs/retention.md."""

    batches: RetentionText = "all"
    """Batches with their commits: for peers that catch up, and for receipts as files."""
    histories: RetentionText = "all"
    """Finalised proofs and operations, in the histories of accounts and triangles; as long as their batch at least."""


class MempoolConfig(_Section):
    """Proofs that wait."""

    proofs_max: Annotated[int, Field(ge=1, le=10_000_000), RELOADABLE] = PROOFS_MAX
    """Proofs that may wait to be finalised; when it is full, more are answered MEMPOOL_FULL. A quarter of the places is
    for accounts that are in the ledger, and a quarter for those that are not. What waits stays when this is
    lowered."""


class IntakeConfig(_Section):
    """What is shed when far more is submitted than usual: docs/administration.md."""

    shed: Annotated[bool, RELOADABLE] = True
    """Whether proofs are shed (503, INTAKE_SHED) while far more of them are submitted than usual."""
    shed_factor: Annotated[float, RELOADABLE, Field(ge=1.5, le=1_000)] = 3.0
    """How many times the usual is too much: usual is what was taken a second, over the last five minutes."""
    shed_floor_per_second: Annotated[int, RELOADABLE, Field(ge=1, le=1_000_000)] = 100
    """The least that counts as usual, in proofs a second: below `shed_factor` times as many nothing is ever shed."""


def _whole_number(value: object) -> object:
    """Of the environment all values are text."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class GuardrailsConfig(_Section):
    """What is checked after every batch, and what a breach does: docs/guardrails.md."""

    ledger_intake_percent: Annotated[IntakePercent, BeforeValidator(_whole_number), RELOADABLE] = 100
    """Of how many of a hundred accounts anything is taken once the ledger did something else than its rules say; with
    100 nothing is done."""
    drift_intake_percent: Annotated[IntakePercent, BeforeValidator(_whole_number), RELOADABLE] = 100
    """The same, once the rate of minting, concentration or orphaned stake are outside their bounds."""
    minting_factor: Annotated[int, RELOADABLE, Field(ge=2, le=1_000)] = 4
    """How many times the usual an hour may mint: usual is a moving mean of the last day's hours, by batch time."""
    minting_floor_step_per_hour: Annotated[int, RELOADABLE, Field(ge=1, le=10**9)] = 100
    """The least that counts as usual, in STEP an hour."""
    concentration_percent_max: Annotated[int, RELOADABLE, Field(ge=1, le=100)] = 50
    """What part of all that there is the ten largest holders may have, in percent."""
    concentration_accounts_min: Annotated[int, RELOADABLE, Field(ge=1, le=500)] = 100
    """With fewer accounts nothing is said of concentration: of a chain that begins a few hold all."""
    orphaned_stake_percent_max: Annotated[int, RELOADABLE, Field(ge=0, le=100)] = 10
    """What part of all stakes may answer for nothing any more, in percent."""


class AdminConfig(_Section):
    """Commands to the running node: docs/administration.md."""

    socket: bool = True
    """Whether the node listens at data/admin.sock in its home, for `step-node admin`."""
    log_lines: Annotated[int, Field(ge=0, le=20_000)] = 2_000
    """Lines of the log that are kept in memory, for `step-node admin debug-bundle`."""


class LogConfig(_Section):
    """The log: docs/logging.md."""

    level: Annotated[LogLevelName, RELOADABLE] = "info"
    """How grave a line must be to be written."""
    levels: Annotated[str, AfterValidator(check_levels), RELOADABLE] = ""
    """Levels of single parts, which go before `level` and `libraries`, as "consensus=debug,p2p=warning". The part is
    the line's `logger`."""
    libraries: Annotated[LogLevelName, RELOADABLE] = "warning"
    """Of the libraries that the node is built on, what is at least this grave as well. At "debug" they fill the log."""
    format: Literal["console", "json"] = "console"
    """"console" for people, "json" for machines."""
    file: Annotated[Path | None, Field(examples=["data/node.log"])] = None
    """A file for the log, in place of standard error; relative to the home."""
    file_bytes_max: Annotated[int, Field(ge=0, le=2**40), RELOADABLE] = 100_000_000
    """How large it may become before it is put aside as the first of the old ones. 0: never, since another program
    does that, and sends SIGHUP."""
    file_count: Annotated[int, Field(ge=1, le=1_000), RELOADABLE] = 10
    """How many files there are, with the present one; the oldest goes."""


def _signer_address(text: str | None) -> str | None:
    try:
        return None if text is None else str(parse_signer_address(text))
    except SignerAddressError as error:
        raise ValueError(str(error)) from error


class SignerConfig(_Section):
    """A remote signer, which has the validator's key in place of this home's keys/: docs/remote-signer.md."""

    address: Annotated[str | None, AfterValidator(_signer_address), Field(examples=["tls://signer.example:8650"])] = (
        None
    )
    """Where it listens: unix:/path/of/a/socket, or tls://host:port."""
    validator: Annotated[
        str | None, Field(pattern="^0x[0-9a-f]{40}$", examples=["0x0000000000000000000000000000000000000000"])
    ] = None
    """The address of the key that it has."""
    timeout_ms: Annotated[int, Field(ge=50, le=10_000)] = 2_000
    """The longest that it may take for an answer, in milliseconds; a later one is dropped."""
    certificate: Annotated[Path | None, Field(examples=["node.pem"])] = None
    """For tls://: this node's certificate, in PEM, relative to the home."""
    key: Annotated[Path | None, Field(repr=False, examples=["node.key"])] = None
    """The key of `certificate`, of mode 0600."""
    signer_certificate: Annotated[Path | None, Field(examples=["signer.pem"])] = None
    """For tls://: the signer's own certificate, in PEM; no other is taken."""


def _dsn(text: str | None) -> str | None:
    """`text`, if it has what a receiver of errors is found by. It is a secret, and never part of the error."""
    if text is None:
        return None
    with suppress(ValueError):  # Of a port or an address that is none.
        parts = urlsplit(text)
        project = parts.path.rpartition("/")[2]
        is_found = parts.scheme in ("http", "https") and parts.username and parts.hostname and parts.port != 0
        if is_found and project.isascii() and project.isdigit():
            return text
    raise ValueError("must be a DSN, as https://<public key>@<host>/<project>, the project a number")


class TelemetryConfig(_Section):
    """Traces and errors, told to programs elsewhere; nothing is, unless a setting says where: docs/telemetry.md."""

    traces_endpoint: Annotated[
        str | None, Field(pattern="^https?://[^@ ]+$", max_length=1_000, examples=["http://127.0.0.1:4318/v1/traces"])
    ] = None
    """Where traces of proofs are sent: OTLP over HTTP. Needs the extra `telemetry`."""
    traces_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """The share of proofs that are traced, the same ones on all nodes whose ratio is the same."""
    errors_dsn: Annotated[
        str | None, AfterValidator(_dsn), Field(repr=False, examples=[{"file": "/run/credentials/errors_dsn"}]), SECRET
    ] = None
    """Where errors are told: a DSN, as Sentry calls it, https://<public key>@<host>/<project>. Needs the extra
    `errors`."""


class NodeConfig(_Section):
    """Everything in `config.toml`."""

    api: ApiConfig = ApiConfig()
    metrics: MetricsConfig = MetricsConfig()
    p2p: P2pConfig = P2pConfig()
    keystore: KeystoreConfig = KeystoreConfig()
    storage: StorageConfig = StorageConfig()
    sync: SyncConfig = SyncConfig()
    retention: RetentionConfig = RetentionConfig()
    mempool: MempoolConfig = MempoolConfig()
    intake: IntakeConfig = IntakeConfig()
    guardrails: GuardrailsConfig = GuardrailsConfig()
    admin: AdminConfig = AdminConfig()
    log: LogConfig = LogConfig()
    signer: SignerConfig = SignerConfig()
    telemetry: TelemetryConfig = TelemetryConfig()


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings that can be used, and where each comes from, by its name (`api.port`)."""

    config: NodeConfig
    sources: Mapping[str, Source]


def _uri_for_mongodb(config: NodeConfig) -> Iterator[tuple[str, str]]:
    if config.storage.engine == "mongodb" and not config.storage.mongodb_uri:
        yield "storage.mongodb_uri", "is needed when storage.engine is mongodb"


def _certificate_with_key(config: NodeConfig) -> Iterator[tuple[str, str]]:
    for missing, given in (("tls_key", "tls_certificate"), ("tls_certificate", "tls_key")):
        if getattr(config.api, given) is not None and getattr(config.api, missing) is None:
            yield f"api.{missing}", f"is needed when api.{given} is set"


def _signer_whole(config: NodeConfig) -> Iterator[tuple[str, str]]:
    signer = config.signer
    if signer.address is None:
        return
    if signer.validator is None:
        yield "signer.validator", "is needed when signer.address is set: the address of the key"
    files = {"certificate": signer.certificate, "key": signer.key, "signer_certificate": signer.signer_certificate}
    for name, file in files.items():
        if signer.address.startswith("tls:") and file is None:
            yield f"signer.{name}", "is needed when signer.address is tls://…"
        if signer.address.startswith("unix:") and file is not None:
            yield f"signer.{name}", "is for tls://…, and signer.address is a socket of this machine"


RULES_OF_THE_WHOLE: Final = (_uri_for_mongodb, _certificate_with_key, _signer_whole)
"""What settings ask of one another: each gives names and rules. Asked of what all sources say together only."""


def read_settings(
    path: Path,
    *,
    sets: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    read: ReadSecret = read_secret,
) -> tuple[Settings | None, Sequence[Problem], Layers]:
    """Read all sources, and tell everything that is wrong with them. No settings if anything is.

    `sets` are the `section.key=value` of a command. Raises `ConfigError` if the file cannot be read as TOML at all.
    """
    layers = read_layers(NodeConfig, path, sets, os.environ if environment is None else environment, read)
    problems = list(layers.problems)
    if problems:
        return None, problems, layers
    config = layers.model(NodeConfig, problems)
    if config is not None:
        problems += [Problem(str(path), name, rule) for whole in RULES_OF_THE_WHOLE for name, rule in whole(config)]
    if config is None or problems:
        return None, problems, layers
    return Settings(config, layers.sources), (), layers


def load_settings(path: Path, *, sets: Sequence[str] = (), read: ReadSecret = read_secret) -> Settings:
    """Read `config.toml`, and what environment and command override.

    Raises `ConfigError` naming the file, or the variable, and the key and the rule, of all that is wrong.
    """
    settings, problems, layers = read_settings(path, sets=sets, read=read)
    if settings is None:
        raise ConfigError.of(problems, is_json=layers.wants_json)
    return settings


def load_config(path: Path, *, read: ReadSecret = read_secret) -> NodeConfig:
    """The settings alone; see `load_settings`."""
    return load_settings(path, read=read).config
