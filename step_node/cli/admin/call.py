"""A command sent to a running node by the socket in its home, with errors that say what to do."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from step_node.cli.error_lines import CommandError

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""A longer answer is read no further."""
TIMEOUT_SECONDS = 60.0
_PART_BYTES = 65_536
_ADDRESS_BYTES_MAX = 100


def command_node(
    home: Path,
    command: str,
    arguments: Mapping[str, object] | None = None,
    *,
    why: str = "",
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> dict[str, Any]:
    """What the node in `home` answers to a command. Raises CommandError, saying what to do."""
    from step_node.home.paths import NodeHome

    node_home = NodeHome(home)
    if not node_home.config.is_file():
        raise CommandError(f"{home}: is no node's home, which has a config.toml; name it by --home")
    request = json.dumps({"command": command, "arguments": dict(arguments or {}), "why": why}).encode() + b"\n"
    path = node_home.admin_socket
    with _told(path), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_seconds)
        _connect(connection, path)
        connection.sendall(request)
        data = _read(connection)
    return _result(data, path)


def _connect(connection: socket.socket, path: Path) -> None:
    if len(os.fsencode(path)) <= _ADDRESS_BYTES_MAX:
        connection.connect(str(path))
        return
    # As `step_node.node.admin.socket_file`, which is too heavy to be imported here.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _read(connection: socket.socket) -> bytes:
    data = bytearray()
    while part := connection.recv(_PART_BYTES):
        data += part
        if len(data) > ANSWER_BYTES_MAX:
            raise CommandError(f"the node's answer has more than {ANSWER_BYTES_MAX} bytes")
    return bytes(data)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Make an error of each way in which a socket can fail. Raises CommandError."""
    try:
        yield
    except FileNotFoundError:
        raise CommandError(
            f"{path}: is not there: no node runs on this home (`step-node start` runs one), or its config.toml has"
            " `socket = false` under [admin]"
        ) from None
    except ConnectionRefusedError:
        raise CommandError(
            f"{path}: no node listens there any more: the file is a left-over of one that was killed. Start the node;"
            " it makes the file anew"
        ) from None
    except PermissionError:
        raise CommandError(f"{path}: {_whose(path)}; run this as that user, or as root") from None
    except TimeoutError:
        raise CommandError(
            f"{path}: the node does not answer in time: it may be stopped or overloaded. What was asked for may still"
            " be done; data/admin_audit.log tells"
        ) from None
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise CommandError(f"{path}: the node has hung up: it is stopping, or its log tells of an error") from None
        raise


def _whose(path: Path) -> str:
    try:
        owner = path.stat().st_uid
    except OSError:
        return "belongs to another user"
    import pwd

    try:
        return f"belongs to the user {pwd.getpwuid(owner).pw_name}"
    except KeyError:
        return f"belongs to the user {owner}"


def _result(data: bytes, path: Path) -> dict[str, Any]:
    if not data:
        raise CommandError(f"{path}: the node has hung up: it is stopping, or its log tells of an error")
    try:
        answer = json.loads(data)
        if answer["ok"]:
            result: dict[str, Any] = answer["result"]
            return result
        message = str(answer["message"])
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path}: what listens there is no node of this version") from error
    raise CommandError(message)
