"""Which ports the nodes of a devnet get."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import dataclass

from step_node.errors import StepNodeError

LOOPBACK = "127.0.0.1"
PORT_MAX = 65_535


class PortsInUse(StepNodeError):
    """A port that was asked for is taken; the message names it."""


@dataclass(frozen=True, slots=True)
class NodePorts:
    """One node's ports on loopback."""

    api: int
    p2p: int


def block_of_ports(count: int, base_port: int) -> list[NodePorts]:
    """APIs at `base_port` + i, libp2p at `base_port` + `count` + i. Raises PortsInUse naming the first taken one."""
    if not 1 <= base_port <= PORT_MAX - 2 * count + 1:
        raise PortsInUse(f"base port {base_port}: must be 1 to {PORT_MAX - 2 * count + 1}, for {count} nodes")
    for port in range(base_port, base_port + 2 * count):
        with socket.socket() as probe:
            # As the servers themselves do: connections of an earlier run may still linger there.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                raise PortsInUse(
                    f"port {port}: {error.strerror}; stop what uses it, or choose another --base-port"
                ) from error
    return [NodePorts(base_port + index, base_port + count + index) for index in range(count)]


def free_ports(count: int) -> list[NodePorts]:
    """Ports that nobody uses at this moment."""
    with ExitStack() as stack:
        # All are held until the last is found, or the same one could be found twice.
        ports = [_bound_port(stack) for _ in range(2 * count)]
    return [NodePorts(api, p2p) for api, p2p in zip(ports[:count], ports[count:], strict=True)]


def _bound_port(stack: ExitStack) -> int:
    probe = stack.enter_context(socket.socket())
    probe.bind((LOOPBACK, 0))
    port: int = probe.getsockname()[1]
    return port
