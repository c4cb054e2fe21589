"""The line-by-line negotiation of protocols (multistream-select) within a limit, which py-libp2p 0.8.1 does not have.

Theory of operation. Each line has a length before it, and py-libp2p asks the socket for as much as is promised, which
is up to 2**64 bytes. Python reserves that at once, and fails with a MemoryError that nothing up to the node expects: a
dozen bytes from anybody, before any handshake, ended the process. Here the length is checked first.
"""

from __future__ import annotations

from typing import Any, Final

import libp2p.protocol_muxer.multiselect_communicator as communicator_module
from libp2p.exceptions import ParseError
from libp2p.io.abc import Reader
from libp2p.utils.varint import read_varint_prefixed_bytes_limited

LINE_BYTES_MAX: Final = 1_024
"""As in go-libp2p. The longest name of a protocol here has some 40 bytes."""


async def read_line(reader: Reader) -> bytes:
    """One line without its end. Raises py-libp2p's MessageTooLarge, ParseError and IncompleteReadError."""
    line = await read_varint_prefixed_bytes_limited(reader, LINE_BYTES_MAX)
    if not line.endswith(b"\n"):
        raise ParseError("the line does not end in a line feed")
    return line[:-1]


def bound_lines() -> None:
    """Have py-libp2p read its lines with `read_line`; it has its own as a name of a module."""
    module: Any = communicator_module
    module.read_delim = read_line
