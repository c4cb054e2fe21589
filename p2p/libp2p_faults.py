"""What py-libp2p raises when the other end or the way to it is to blame, and the one place that keeps it quiet.

py-libp2p has a base class for its errors, but also lets trio's, Python's and protobuf's through, alone or in groups
(its dialling and its connections run in nurseries). Every call into it that depends on a peer catches `LIBP2P_ERRORS`
and turns them into this package's own; what is not among them is a bug, and is not caught.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import libp2p.network.connection.swarm_connection as swarm_connection_module
import trio
from cryptography.exceptions import InvalidTag
from google.protobuf.message import DecodeError
from libp2p.exceptions import BaseLibp2pError
from libp2p.io.exceptions import IncompleteReadError
from libp2p.network.connection.exceptions import RawConnError
from libp2p.network.exceptions import RateLimitError
from libp2p.network.stream.exceptions import StreamError
from noise.exceptions import NoiseHandshakeError, NoiseInvalidMessage, NoiseMaxNonceError, NoiseValueError

LIBP2P_SINGLE_ERRORS: Final[tuple[type[Exception], ...]] = (
    BaseLibp2pError,
    RateLimitError,
    DecodeError,
    OSError,
    EOFError,
    ValueError,  # keys, multiaddrs and lengths that do not parse
    LookupError,  # the peer store and stream tables, when a connection goes away in the middle
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.EndOfChannel,
    trio.TooSlowError,
    # What the noise package raises at messages that are none, and with it the cipher.
    NoiseHandshakeError,
    NoiseInvalidMessage,
    NoiseMaxNonceError,
    NoiseValueError,
    InvalidTag,
)
LIBP2P_ERRORS: Final[tuple[type[Exception], ...]] = (*LIBP2P_SINGLE_ERRORS, ExceptionGroup)

STREAM_ENDS: Final[tuple[type[Exception], ...]] = (
    StreamError,
    RawConnError,
    IncompleteReadError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)
"""What reading raises when the other end has hung up, in whatever way; nobody is to blame."""

# py-libp2p reports as errors what is normal in a network (a peer that is down, a stream that was reset). This package
# reports what matters under its own name, "p2p".
_LOGGERS: Final = ("libp2p", "multiaddr", "zeroconf")


def quieten_libp2p() -> None:
    """Keep py-libp2p's loggers to critical messages."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name, child in logging.root.manager.loggerDict.items():
        if name.startswith("libp2p.") and isinstance(child, logging.Logger):
            child.setLevel(logging.NOTSET)  # Some set a level of their own.
    # This module logs through the root logger's functions, which also installs a handler on standard error.
    module: Any = swarm_connection_module
    module.logging = logging.getLogger("libp2p.network.connection.swarm_connection")
