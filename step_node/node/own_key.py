"""The key that a node signs with, which may be another at another height; all that goes by it is told in one place."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import structlog
import trio

from step_node.chain.chain import Chain
from step_node.engine.doppelganger import DoppelgangerWatch
from step_node.errors import InvariantBroken
from step_node.node.succession import Succession
from step_node.offload import run_blocking
from step_node.signing.signer import Signer

log = structlog.get_logger("node")


class OwnKey:
    """The signer's key, and its successors. `follow` is for who must know that another has taken over."""

    def __init__(
        self, chain: Chain, signer: Signer | None, succession: Succession | None, doppelganger: DoppelgangerWatch | None
    ) -> None:
        self._chain = chain
        self._signer = signer
        self._succession = succession
        self._doppelganger = doppelganger
        self._followers: list[Callable[[bytes], None]] = []
        self._tasks: trio.Nursery | None = None
        self.address = None if signer is None else signer.address
        """None: the node has no validator's key."""

    def follow(self, use_key: Callable[[bytes], None]) -> None:
        """Have this called with the address of each key that takes over."""
        self._followers.append(use_key)

    def start(self, tasks: trio.Nursery, *, is_late: Callable[[], None]) -> None:
        """Have the signer, and who looks for the next key, work in `tasks`; for `is_late` see `Succession.run`."""
        self._tasks = tasks
        if self._signer is not None:
            tasks.start_soon(self._signer.run)
        if self._succession is not None:
            look = partial(self._succession.run, is_late=is_late)
            tasks.start_soon(look, self._known_address, lambda: self._chain.head.validators)

    def successor(self) -> Signer | None:
        """The signer that takes over at this height, with all that goes by the own key told of it."""
        succession, own = self._succession, self.address
        if succession is None or own is None:
            return None
        head = self._chain.head
        signer = succession.take(own, head.validators)
        if signer is None:
            return None
        address = self.address = signer.address
        log.warning(
            "the next key takes over: this node signs with it from here on",
            height=self._chain.next_height,
            validator=f"0x{address.hex()}",
            before=f"0x{own.hex()}",
        )
        for use_key in self._followers:
            use_key(address)
        if self._doppelganger is not None:
            self._doppelganger.follow(address, signer.guard, known_height=head.chain.height)
        if self._tasks is not None:
            self._tasks.start_soon(signer.run)
            self._tasks.start_soon(succession.kept, address)
            if self._signer is not None:
                self._tasks.start_soon(run_blocking, self._signer.guard.close)
        self._signer = signer
        return signer

    def _known_address(self) -> bytes:
        if self.address is None:
            raise InvariantBroken("the successor of no key was asked for")
        return self.address
