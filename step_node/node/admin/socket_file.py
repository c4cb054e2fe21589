"""The socket's file: made private before anybody can connect, and found by paths of any length.

The address of a Unix socket has room for some hundred bytes, and homes stand deeper than that. Linux reaches a folder
by its descriptor, so there the address is short whatever the path is.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

from step_node.durable.atomic_file import PRIVATE_MODE
from step_node.node.admin.commands import Caller

ADDRESS_BYTES_MAX: Final = 100
"""The address of a Unix socket that every system takes."""

_BY_DESCRIPTOR: Final = Path("/proc/self/fd")
_CREDENTIALS: Final = struct.Struct("3i")


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """An address for the socket at `path`, to be used within. Raises OSError if there is none."""
    if len(os.fsencode(path)) <= ADDRESS_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _BY_DESCRIPTOR.is_dir():
            raise OSError(f"{path}: is longer than the {ADDRESS_BYTES_MAX} bytes that a socket's path may have here")
        yield f"{_BY_DESCRIPTOR}/{folder}/{path.name}"
    finally:
        os.close(folder)


def bound_socket(path: Path) -> socket.socket:
    """A socket that is bound at `path`, mode 0600, and does not listen yet. Raises OSError.

    What stands there is a left-over of a node that was killed: the home's lock is this process's.
    """
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_address(path) as address:
            made.bind(address)
        # Nobody can connect before it listens, so nobody sees it with another mode.
        path.chmod(PRIVATE_MODE)
    except OSError:
        made.close()
        raise
    return made


def caller_of(connection: trio.socket.SocketType) -> Caller:
    """Who is at the other end, as the kernel says it."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return Caller(None, None, "whoever may open the socket")
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return Caller(uid, pid, user_name(uid))


def user_name(uid: int) -> str:
    """That of a user; its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
