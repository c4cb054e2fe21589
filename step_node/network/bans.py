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
from p2p.penalties import BAN_SECONDS, BANNED_PEERS_MAX, Bans
from step_node.clock import Clock
from step_node.durable.side_file import SideFile

PeerName = Annotated[str, Field(min_length=1, max_length=128)]
Milliseconds = Annotated[int, Field(ge=0, lt=2**53)]


class _BansFile(BaseModel):
    """The file. `banned_until_ms` is by the wall clock, the only one that goes on while nobody runs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    banned_until_ms: Annotated[dict[PeerName, Milliseconds], Field(max_length=BANNED_PEERS_MAX)]


@asynccontextmanager
async def keep_bans(path: Path, clock: Clock) -> AsyncIterator[Bans]:
    """For a network: the bans that stand in `path`, which is kept up to date until the context ends."""
    file = SideFile(path, _BansFile, "the bans of peers")

    def changed(bans: Mapping[PeerId, float]) -> None:
        now_ms = clock.now_ms()
        file.write_soon(
            _BansFile(banned_until_ms={peer_id: now_ms + int(seconds * 1000) for peer_id, seconds in bans.items()})
        )

    async with open_plain_nursery() as nursery:
        nursery.start_soon(file.run)
        try:
            yield Bans(known=_known(file.read(), clock), changed=changed)
        finally:
            nursery.cancel_scope.cancel()


def _known(content: _BansFile | None, clock: Clock) -> dict[PeerId, float]:
    now_ms = clock.now_ms()
    # A ban is never longer than a fresh one, whatever happened to the wall clock in between.
    return {
        PeerId(peer): min((until_ms - now_ms) / 1000, BAN_SECONDS)
        for peer, until_ms in (content.banned_until_ms if content is not None else {}).items()
        if until_ms > now_ms
    }
