"""Writing `config.toml`: every setting with its comment, so that the file is its own manual."""

from __future__ import annotations

import json
from pathlib import Path

from step_node.home.config import NodeConfig

_EXAMPLE_MONGODB_URI = "mongodb://127.0.0.1:27017/?replicaSet=rs0"


def render_config(config: NodeConfig) -> str:
    """The text of a `config.toml` that reads back as `config`, with comments. It ends with a newline."""
    api, p2p, storage = config.api, config.p2p, config.storage
    uri = (
        f"mongodb_uri = {_text(storage.mongodb_uri)}"
        if storage.mongodb_uri
        else f"# mongodb_uri = {_text(_EXAMPLE_MONGODB_URI)}"
    )
    return f"""\
# Settings of one STEP node. What all nodes of a chain must agree on stands in genesis.json, not here.
# Every setting can be overridden by a variable: STEP_API__PORT=8601 overrides port under [api].
# A key that does not exist is an error. docs/operators.md explains more.

[api]
# Where the HTTP API listens. It has no authentication: a proof carries its own signature.
host = {_text(api.host)}
# TLS, by a certificate (with those between it and its authority) and its key, both in PEM; the key's mode is 0600.
# Without them the API speaks plain HTTP.
{_path("tls_certificate", api.tls_certificate)}
{_path("tls_key", api.tls_key)}
# 0 lets the system choose a free port.
port = {api.port}
# The longest that POST /proof/submit?wait_ms= may hold a request open, in milliseconds (0 to 60,000).
wait_ms_max = {api.wait_ms_max}
# Open connections, if the limit of open files allows for as many (16 to 10,000); for one more, the one that has been
# waited for the longest gives way.
connections_max = {api.connections_max}
# Of them from one address, of IPv6 from one network of 64 bits (1 to 10,000); one more is closed at once.
connections_per_address_max = {api.connections_per_address_max}
# Streams of GET /events, which may be open for an hour (0 to 5,000, and half of the connections at most), and of them
# from one address (1 to 5,000); one more is refused.
event_streams_max = {api.event_streams_max}
event_streams_per_address_max = {api.event_streams_per_address_max}
# How many milliseconds of a second answering may take, for all clients together (10 to 10,000); a request costs
# 1 to 10. Beyond, requests wait up to a second, and are refused.
cost_ms_per_second = {api.cost_ms_per_second}
# Of that, for one address; a proof that is taken in costs it nothing as long as the node has time to spare.
address_cost_ms_per_second = {api.address_cost_ms_per_second}
# Submissions of one address in a minute, each of many in one body counted; those that were made before count once. And
# proofs of one account that are taken in. 0: as many as the costs allow. Put gateways that bring many people's proofs
# into `proxies`.
submissions_per_minute = {api.submissions_per_minute}
account_submissions_per_minute = {api.account_submissions_per_minute}
# Addresses of reverse proxies. A request from one of them counts for the last address in its X-Forwarded-For.
proxies = {_list(tuple(map(str, api.proxies)))}
# Origins whose pages may use the API from a browser, as "https://app.example"; "*" is all, [] none. /metrics is closed
# to all of them.
cors_origins = {_list(api.cors_origins)}

[p2p]
# Where libp2p listens (TCP): one or more multiaddrs.
listen = {_list(p2p.listen)}
# Peers to dial at the start and again whenever they are lost: /ip4/<address>/tcp/<port>/p2p/<peer id>.
bootstrap = {_list(p2p.bootstrap)}
# Find peers on the local network by multicast DNS.
mdns = {_boolean(p2p.mdns)}
# Dial validators where the chain says that they are, and ask peers for the addresses of others. Without it, only
# `bootstrap` is dialled, and what mDNS finds.
discovery = {_boolean(p2p.discovery)}
# Where others can dial this node, if not at `listen`: behind a NAT, or in a container. Up to 4 multiaddrs.
external_address = {_list(p2p.external_address)}
# More connections than this are refused (1 to 1,000); validators and bootstrap peers get in before all others.
connections_max = {p2p.connections_max}
# Of others, so many connections are accepted from one IP address (IPv6: from 64 bits of it).
strangers_per_address_max = {p2p.strangers_per_address_max}

[storage]
# "sqlite": a file in the node's home. "mongodb": a replica set, because a batch is one transaction.
engine = {_text(storage.engine)}
{uri}
# Nodes may share a replica set, but never a database.
mongodb_database = {_text(storage.mongodb_database)}
# Where what clients ask is read: from the "primary", or from "secondaries" as far as they have it, which leaves the
# primary to consensus. Answers are as new either way.
mongodb_answers_from = {_text(storage.mongodb_answers_from)}

[sync]
# Whether an empty home may join from a peer's snapshot of the state. It then has no batches from before the snapshot.
snapshot = {_boolean(config.sync.snapshot)}
# How far behind it must be; what is nearer is fetched batch by batch.
snapshot_distance_batches = {config.sync.snapshot_distance_batches}
# How often this node takes a snapshot for others. 0: never.
snapshot_every_batches = {config.sync.snapshot_every_batches}

[mempool]
# Proofs that may wait to be finalised; when it is full, more are answered MEMPOOL_FULL. A quarter of the places
# is for accounts that are in the ledger, and a quarter for those that are not.
proofs_max = {config.mempool.proofs_max}

[log]
# "debug", "info", "warning" or "error"; logs go to standard error.
level = {_text(config.log.level)}
# Of the libraries that the node is built on, what is at least this grave as well. At "debug" they fill the log.
libraries = {_text(config.log.libraries)}
# "console" for people, "json" for machines.
format = {_text(config.log.format)}
"""


def _path(key: str, path: Path | None) -> str:
    return f'# {key} = "{key}.pem"' if path is None else f"{key} = {_text(str(path))}"


def _text(value: str) -> str:
    # TOML's basic strings have JSON's escapes; only DEL must be escaped in TOML and is not in JSON.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _list(values: tuple[str, ...]) -> str:
    if len(values) <= 1:
        return f"[{''.join(map(_text, values))}]"
    return "[\n" + "".join(f"  {_text(value)},\n" for value in values) + "]"
