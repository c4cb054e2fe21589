"""The one place where an unknown error ends that a stranger's bytes have set off.

Theory of operation. What can go wrong with a peer has a class (`p2p.errors`, `p2p.libp2p_faults`), and is caught by it
wherever it may come. What has none is a bug, of this project or of py-libp2p, which runs on a stranger's bytes long
before anybody knows who that is. A peer must not be able to stop a node by finding one: so around what serves one
connection or one stream, and nowhere else, it is kept to that connection or stream. It is not passed over: it is in
the log whole, and counted (`NetworkStatistics.handler_failures`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from p2p.errors import NetworkError

logger: Final = logging.getLogger("p2p")


class Containment:
    """Keeps bugs to what they have happened in. `failures` counts them."""

    def __init__(self) -> None:
        self.failures = 0

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Let what has a class of its own through (`NetworkError`), and keep, tell and count any other error."""
        try:
            yield
        except NetworkError:
            raise
        except Exception:
            self.failures += 1
            logger.exception("%s has failed, by a bug", what)
