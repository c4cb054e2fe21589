"""A node in memory that takes commands by the socket in its home."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from p2p.memory import MemoryHub
from step_node.cli.admin.call import command_node
from step_node.clock import SystemClock
from step_node.home.config import NodeConfig, StorageConfig
from step_node.home.paths import NodeHome
from step_node.node.admin.audit import AuditLog
from step_node.node.admin.commands import Commands
from step_node.node.admin.node_commands import Commanded, node_commands
from step_node.node.admin.server import AdminServer
from step_node.node.node import Node
from step_node.node.reload import Reloader
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, running_node

PASSWORD = "hunter2-of-the-store"
CONFIG = NodeConfig(storage=StorageConfig(mongodb_uri=f"mongodb://step:{PASSWORD}@192.0.2.1/?replicaSet=rs0"))
SECRET = "5ec4e7" * 10


@dataclass
class Served:
    """A node that takes commands, and its home."""

    node: Node
    home: NodeHome
    commands: Commands

    async def command(self, name: str, /, **arguments: object) -> dict[str, Any]:
        """What the command line gets as an answer."""
        return await trio.to_thread.run_sync(lambda: command_node(self.home.root, name, arguments, why="a drill"))

    def send(self, data: bytes) -> dict[str, Any]:
        """The answer to these bytes."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            folder = os.open(self.home.data, os.O_RDONLY)
            connection.connect(f"/proc/self/fd/{folder}/admin.sock")
            os.close(folder)
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer: dict[str, Any] = json.loads(connection.makefile().readline())
            return answer

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.home.admin_audit_log.read_text().splitlines()]


@asynccontextmanager
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    (name,) = validator_names(1)
    # Deeper than the address of a socket has room for.
    home = NodeHome(tmp_path / ("deep" * 30) / name)
    async with (
        running_node(MemoryHub(), name, make_genesis(1, **QUICK), home.root) as node,
        trio.open_nursery() as nursery,
    ):
        home.config.touch()
        reloader = Reloader(CONFIG, lambda: CONFIG)
        commands = node_commands(Commanded(node, home, CONFIG, SystemClock(), reloader, secrets=(SECRET,)))
        server = AdminServer(home.admin_socket, commands, AuditLog(home.admin_audit_log, SystemClock()))
        await nursery.start(server.run)
        yield Served(node, home, commands)
        nursery.cancel_scope.cancel()
    assert not home.admin_socket.exists()
