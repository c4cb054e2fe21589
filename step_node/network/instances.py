"""Two processes with one p2p key: whoever is connected to both sees it, and tells both.

A home that was copied whole, or an observer that was made from a validator's home, has the p2p key of another node. To
everybody both are one peer, and neither hears the other, since nobody dials its own peer id. But each process proves
itself to its peers by a key of its own (`Network.instances`). So a peer that has connections under one peer id to more
than one process greets each of them. Where two answer, they live at the same time, and are told in the next hello, at
once: `Hello.other_instance`. One that does not answer is the connection of a process that has gone, as after a power
cut, and is no reason to alarm anybody.

Of whom this is said, it says loudly: it may be a validator that runs twice. It does nothing else, since a peer's word
alone is cheap; that is the doppelganger watch's affair (`engine.doppelganger`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
import trio

from p2p.network import Network, PeerId

LOOK_INTERVAL_MS = 1_000
"""How often the connections are looked through."""
ASKED_MAX = 4
"""Peer ids that are looked into at once; of more, each has its turn."""
ANSWER_SECONDS_MAX = 5.0
"""How long the processes under one peer id have to answer a greeting."""
TELL_INTERVAL_SECONDS = 10.0
"""How often they are told, for as long as it lasts."""
TOLD_SECONDS = 30.0
"""For how long what a peer has told counts: three times as long."""
TOLD_MAX = 256
"""Peers whose word is remembered; beyond it the oldest is forgotten."""
SAY_AGAIN_SECONDS = 60.0
"""How often at most it goes into the log, for as long as it lasts."""

log = structlog.get_logger("peers")

Greet = Callable[[PeerId, bytes], Awaitable[bool]]
"""(peer id, instance) -> whether it has answered."""


class SharedPeerIds:
    """See the module's docstring. `on_told` is called whenever a peer says it of this node."""

    def __init__(self, network: Network, *, on_told: Callable[[], None] = lambda: None) -> None:
        self._network = network
        self._on_told = on_told
        self._asking: set[PeerId] = set()
        self._told_at: dict[PeerId, float] = {}
        """When those that are shared were told so last."""
        self._heard_from: dict[PeerId, float] = {}
        self._said_at = -SAY_AGAIN_SECONDS
        self._turn = 0

    def is_shared(self, peer_id: PeerId) -> bool:
        """Whether two processes use the peer's id, as far as this node has seen for itself."""
        return trio.current_time() - self._told_at.get(peer_id, -TOLD_SECONDS) < TOLD_SECONDS

    def told_by(self) -> int:
        """How many peers say that another process uses this node's own id."""
        now = trio.current_time()
        return sum(now - heard_at < TOLD_SECONDS for heard_at in self._heard_from.values())

    def hear(self, peer_id: PeerId) -> None:
        """A peer's hello says that another process uses this node's id."""
        now = trio.current_time()
        self._heard_from.pop(peer_id, None)
        self._heard_from[peer_id] = now
        while len(self._heard_from) > TOLD_MAX:
            del self._heard_from[next(iter(self._heard_from))]
        self._on_told()
        if now - self._said_at >= SAY_AGAIN_SECONDS:
            self._said_at = now
            log.error(
                "another process uses this node's p2p key, says a peer: a copy of this home runs somewhere. If it has"
                " the validator's key too, stop it at once; if not, give it a p2p key of its own",
                peer=peer_id,
                own_peer_id=self._network.peer_id,
            )

    async def run(self, greet: Greet) -> None:
        """Look through the connections until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(LOOK_INTERVAL_MS / 1000)
                now = trio.current_time()
                self._told_at = {one: at for one, at in self._told_at.items() if now - at < TOLD_SECONDS}
                due = [
                    peer_id
                    for peer_id in self._network.peers()
                    if len(self._network.instances(peer_id)) > 1
                    and now - self._told_at.get(peer_id, -TELL_INTERVAL_SECONDS) >= TELL_INTERVAL_SECONDS
                ]
                self._turn += 1
                for index in range(min(len(due), ASKED_MAX - len(self._asking))):
                    peer_id = due[(self._turn + index) % len(due)]
                    if peer_id not in self._asking:
                        self._asking.add(peer_id)
                        nursery.start_soon(self._look_into, peer_id, greet)

    async def _look_into(self, peer_id: PeerId, greet: Greet) -> None:
        try:
            if await self._answering(peer_id, greet) > 1:
                if not self.is_shared(peer_id):
                    log.warning("two processes use one p2p key; each is told of the other", peer=peer_id)
                self._told_at[peer_id] = trio.current_time()
                await self._answering(peer_id, greet)
        finally:
            self._asking.discard(peer_id)

    async def _answering(self, peer_id: PeerId, greet: Greet) -> int:
        """How many processes under this peer id answer a greeting."""
        answers: list[bool] = []

        async def ask(instance: bytes) -> None:
            answers.append(await greet(peer_id, instance))

        with trio.move_on_after(ANSWER_SECONDS_MAX):
            async with trio.open_nursery() as nursery:
                for instance in self._network.instances(peer_id):
                    nursery.start_soon(ask, instance)
        return sum(answers)
