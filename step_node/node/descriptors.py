"""How many files and sockets the process may have open, and how many of them strangers may have through HTTP.

A limit of 1,024 is what a login shell and systemd give to a process that does not ask for more, though it may have
many times as much. The node asks; then it sets aside what consensus, the store and the peers need, so that no number
of HTTP connections keeps consensus from opening its next log.
"""

from __future__ import annotations

import resource
from typing import Final

import structlog

from step_node.errors import StepNodeError

log = structlog.get_logger("node")

DESCRIPTORS_WANTED: Final = 16_384
"""More is not asked for: all bounds together come to less."""

OWN_DESCRIPTORS: Final = 256
"""Set aside for files of the home, connections to the store, listening sockets, and dialling."""

HANDSHAKES: Final = 128
"""Set aside for peers that have connected and not said yet who they are."""

API_CONNECTIONS_MIN: Final = 16
"""With less left over for HTTP the node does not start."""


def raise_limit() -> int:
    """Raise the soft limit of open files towards the hard one; the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError) as error:
            # macOS has a further limit, which nothing tells.
            log.warning("the limit of open files cannot be raised", limit=soft, wanted=wanted, error=str(error))
            return soft
        soft = wanted
    return DESCRIPTORS_WANTED if soft == resource.RLIM_INFINITY else soft


def api_connections(limit: int, *, wanted: int, peers: int) -> int:
    """How many HTTP connections there may be in a process that may open `limit` files and have `peers` peers.

    At most `wanted`. Raises `StepNodeError` if too few are left.
    """
    reserved = OWN_DESCRIPTORS + HANDSHAKES + peers
    if limit < reserved + API_CONNECTIONS_MIN:
        raise StepNodeError(
            f"this process may open {limit} files, and needs {reserved + API_CONNECTIONS_MIN}: raise the limit"
            " (`ulimit -n 4096` before the start, `LimitNOFILE=` of a systemd unit), or lower connections_max under"
            " [p2p] in config.toml"
        )
    if limit < reserved + wanted:
        log.warning(
            "fewer HTTP connections than configured, for the limit of open files",
            connections_max=limit - reserved,
            configured=wanted,
            files_max=limit,
        )
    return min(wanted, limit - reserved)
