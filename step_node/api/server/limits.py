"""How much of the node strangers may have through HTTP: connections, and time for answering.

What a request costs is told in milliseconds of the event loop, from a table of estimates (`COSTS_MS`), not in
requests: a page of metrics costs as much as ten questions for the node's health. The costs of one address, and those
of all together, may come to so many milliseconds a second; a share is kept small enough that consensus, which runs on
the same loop, does not notice. When many addresses ask at once, each gets an equal part of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

COST_MS_DEFAULT: Final = 1.5
"""What a request costs whose path is not in the table."""

RECEIPT_ENDING: Final = "/receipt"
RECEIPT_COST_MS: Final = 10.0
"""What a path that ends so costs: for a receipt, the whole of its batch is decoded."""

COSTS_MS: Final = (
    ("/proof/submit", 1.0),
    ("/proof/", 2.0),
    ("/account/transfer", 4.0),
    ("/account/", 3.0),
    ("/operation/", 3.0),
    ("/validator/", 4.0),
    ("/validators", 3.0),
    ("/evidence", 3.0),
    ("/leaderboard", 3.0),
    ("/trending", 3.0),
    ("/fairness", 4.0),
    ("/triangle/", 3.0),
    ("/batch/", 10.0),
    ("/batches", 4.0),
    ("/events", 3.0),
    ("/status", 2.0),
    ("/consensus", 2.0),
    ("/upgrade", 2.0),
    ("/plausibility/triangles/", 6.0),
    ("/plausibility/", 1.5),
    ("/mesh/nearby", 6.0),
    ("/mesh/active", 3.0),
    ("/mesh/info/", 3.0),
    ("/mesh/nearest", 3.0),
    ("/mesh/triangleAt", 2.0),
    ("/mesh/stats", 2.0),
    ("/mesh/", 1.5),
    ("/metrics", 6.0),
    ("/genesis", 1.5),
    ("/app", 1.0),
    ("/openapi.json", 3.0),
    ("/docs", 2.0),
)
"""By the beginning of the path: the first that fits."""

SUBMISSIONS_COST_MS_PER_KIB: Final = 0.05
"""What reading a body of many submissions costs: it is done on a worker thread, beside the event loop."""

SUBMISSION_COST_MS: Final = 0.05
"""What each of many submissions costs beyond: `/proof/submit` is mostly the request, and not the proof."""

SENDING_COST_MS_PER_KIB: Final = 0.02
"""What each KiB of a large answer costs beyond the request: of the app's files, of a part of a base map, and of the
genesis file, which has thousands on a chain with many allocations."""

MESH_LOOK_COST_MS: Final = 0.04
"""What each triangle costs that a search of the mesh looks at."""

MESH_TRIANGLE_COST_MS: Final = 0.16
"""What each triangle of an answer costs beyond, without its outline."""

MESH_OUTLINE_COST_MS: Final = 0.24
"""What drawing one costs."""

TRENDING_COST_MS_PER_MILLION_ROWS: Final = 60.0
"""What scoring regions anew costs beyond, by the proofs that are looked at; it is done on a worker thread."""

READ_COST_MS: Final = 0.1
"""What each piece of a request costs as it arrives, so that nobody sends a head of 16 KiB byte by byte for nothing."""

CONNECTION_COST_MS: Final = 0.5
"""What a connection costs: to be accepted, to have a task and a buffer of its own, and to end."""

HANDSHAKE_COST_MS: Final = 1.5
"""What a handshake of TLS costs beyond, with an elliptic key; one of RSA takes a millisecond more."""

PREFLIGHT_COST_MS: Final = 0.3
"""What it costs to tell a browser that a page may ask: the application is not asked."""

IPV6_NETWORK_BITS: Final = 64
"""One subscriber of IPv6 has at least as many addresses as fit in the other half (RFC 6177): they count as one."""


@dataclass(frozen=True, slots=True)
class EventLimits:
    """The bounds of streams of events: how many there are, in all and of one address, and how long one lasts."""

    streams_max: int = 1_000
    streams_per_address_max: int = 32
    stream_ms_max: int = 3_600_000


EVENT_LIMITS: Final = EventLimits()
"""What they are unless somebody says otherwise."""


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """The bounds of one server.

    `connections_max`: open connections; for one more, the one that has been waited for the longest gives way.
    `connections_per_address_max`: of them from one address; one more is closed at once.
    `cost_ms_per_second`: what answering may cost in a second; beyond it requests wait, and are refused (503).
    `address_cost_ms_per_second`: of that, for one address; beyond it requests wait, and are refused (429).
    `submissions_per_minute`: of one address; what is beyond is refused (429). 0: no bound.
    `proxies`: addresses whose `X-Forwarded-For` is believed, and whose connections are not counted by address.
    """

    connections_max: int
    connections_per_address_max: int
    cost_ms_per_second: int
    address_cost_ms_per_second: int
    proxies: frozenset[str] = frozenset()
    submissions_per_minute: int = 0


def cost_ms_of(path: str) -> float:
    """What a request for `path` costs."""
    if path.endswith(RECEIPT_ENDING):
        return RECEIPT_COST_MS
    return next((cost_ms for beginning, cost_ms in COSTS_MS if path.startswith(beginning)), COST_MS_DEFAULT)


def counted_as(host: str) -> str:
    """The address that `host` (a number, as a socket gives it) is counted as: IPv4 whole, IPv6 by its network.

    A text that is no address is counted as itself.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        shift = address.max_prefixlen - IPV6_NETWORK_BITS
        return f"{IPv6Address(int(address) >> shift << shift)}/{IPV6_NETWORK_BITS}"
    return str(address)


def asker_of(peer: str, forwarded_for: list[str], proxies: frozenset[str]) -> str:
    """Who asks, where a request arrives from `peer`: the last address that a proxy of the operator's has put down.

    Earlier entries are the client's own word. `peer` itself, if it is no proxy or has put nothing usable down. As it is
    counted (`counted_as`).
    """
    if peer not in proxies or not forwarded_for:
        return counted_as(peer)
    last = forwarded_for[-1].rpartition(",")[2].strip()
    try:
        ip_address(last)
    except ValueError:
        return counted_as(peer)
    return counted_as(last)
