"""The bans of peers, over restarts: a small file in the node home.

The network tells of every ban (`p2p.penalties.Bans`). What a crash loses is a ban of the last second, and its peer
earns it again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from p2p.base import open_plain_nursery
from p2p.network import PeerId
from p2p.penalties import BAN_SECONDS, BANNED_PEERS_MAX, OPERATOR_BAN_SECONDS_MAX, OPERATOR_BANS_MAX, Bans
from step_node.clock import Clock
from step_node.durable.side_file import SideFile

PeerName = Annotated[str, Field(min_length=1, max_length=128)]
Milliseconds = Annotated[int, Field(ge=0, lt=2**53)]


class _BansFile(BaseModel):
    """The file. `banned_until_ms` is by the wall clock, the only one that goes on while nobody runs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    banned_until_ms: Annotated[dict[PeerName, Milliseconds], Field(max_length=BANNED_PEERS_MAX)]
    operator_banned_until_ms: Annotated[dict[PeerName, Milliseconds], Field(max_length=OPERATOR_BANS_MAX)] = {}
    """On the operator's word, which may be longer than a fault's."""


@asynccontextmanager
async def keep_bans(path: Path, clock: Clock) -> AsyncIterator[Bans]:
    """For a network: the bans that stand in `path`, which is kept up to date until the context ends."""
    file = SideFile(path, _BansFile, "the bans of peers")
    content = file.read() or _BansFile(banned_until_ms={})

    def until(bans: Mapping[PeerId, float]) -> dict[PeerName, Milliseconds]:
        now_ms = clock.now_ms()
        return {peer_id: now_ms + int(seconds * 1000) for peer_id, seconds in bans.items()}

    def changed(bans: Mapping[PeerId, float]) -> None:
        content.banned_until_ms = until(bans)
        file.write_soon(content.model_copy())

    def operators_changed(bans: Mapping[PeerId, float]) -> None:
        content.operator_banned_until_ms = until(bans)
        file.write_soon(content.model_copy())

    async with open_plain_nursery() as nursery:
        nursery.start_soon(file.run)
        try:
            yield Bans(
                known=_known(content.banned_until_ms, clock, BAN_SECONDS),
                changed=changed,
                operators=_known(content.operator_banned_until_ms, clock, OPERATOR_BAN_SECONDS_MAX),
                operators_changed=operators_changed,
            )
        finally:
            nursery.cancel_scope.cancel()


def _known(banned_until_ms: Mapping[PeerName, Milliseconds], clock: Clock, seconds_max: float) -> dict[PeerId, float]:
    now_ms = clock.now_ms()
    # A ban is never longer than a fresh one can be, whatever happened to the wall clock in between.
    return {
        PeerId(peer): min((until_ms - now_ms) / 1000, seconds_max)
        for peer, until_ms in banned_until_ms.items()
        if until_ms > now_ms
    }
