"""The bans of peers, over restarts: a small file in the node home.

The network tells of every ban (`p2p.penalties.Bans`) and must not wait for a disk, so bans are written by a task of
their own, the latest state at most once in `WRITE_INTERVAL_MS`: a crowd of strangers who all get themselves banned
costs one write. What a crash loses is a ban of the last second, and its peer earns it again. The file is a
convenience, so one that cannot be read or written is told in the log, and the node goes on without it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import structlog
import trio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from p2p.base import open_plain_nursery
from p2p.network import PeerId
from p2p.penalties import BAN_SECONDS, BANNED_PEERS_MAX, Bans
from step_node.clock import Clock
from step_node.durable.atomic_file import write_atomically
from step_node.errors import describe_validation_error

FILE_BYTES_MAX = 1024 * 1024
"""A longer file is not one that this module has written, and is not read."""
WRITE_INTERVAL_MS = 1_000

log = structlog.get_logger("peers")

PeerName = Annotated[str, Field(min_length=1, max_length=128)]
Milliseconds = Annotated[int, Field(ge=0, lt=2**53)]


class _BansFile(BaseModel):
    """The file. `banned_until_ms` is by the wall clock, the only one that goes on while nobody runs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    banned_until_ms: Annotated[dict[PeerName, Milliseconds], Field(max_length=BANNED_PEERS_MAX)]


@asynccontextmanager
async def keep_bans(path: Path, clock: Clock) -> AsyncIterator[Bans]:
    """For a network: the bans that stand in `path`, which is kept up to date until the context ends."""
    file = _Keeper(path, clock)
    async with open_plain_nursery() as nursery:
        nursery.start_soon(file.run)
        try:
            yield file.bans
        finally:
            nursery.cancel_scope.cancel()


class _Keeper:
    """Reads the bans of `path` when it is made, and writes them while `run` runs."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._latest: dict[str, int] | None = None
        self._changed = trio.Event()
        self.bans = Bans(known=self._read(), changed=self._note)

    async def run(self) -> None:
        """Write what changes, until cancelled; what is still to be written then is written before this ends."""
        try:
            while True:
                await self._changed.wait()
                self._changed = trio.Event()
                await trio.to_thread.run_sync(self._write)
                await trio.sleep(WRITE_INTERVAL_MS / 1000)
        finally:
            self._write()

    def _note(self, bans: Mapping[PeerId, float]) -> None:
        now_ms = self._clock.now_ms()
        self._latest = {peer_id: now_ms + int(seconds * 1000) for peer_id, seconds in bans.items()}
        self._changed.set()

    def _read(self) -> dict[PeerId, float]:
        try:
            with self._path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            log.warning("the bans of peers cannot be read; none are known", path=str(self._path), reason=str(error))
            return {}
        if len(data) > FILE_BYTES_MAX:
            log.warning("the bans of peers are forgotten: the file is too long", path=str(self._path))
            return {}
        try:
            content = _BansFile.model_validate_json(data)
        except ValidationError as error:
            reason = describe_validation_error(error)
            log.warning("the bans of peers are forgotten: the file is damaged", path=str(self._path), reason=reason)
            return {}
        now_ms = self._clock.now_ms()
        # A ban is never longer than a fresh one, whatever happened to the wall clock in between.
        return {
            PeerId(peer): min((until_ms - now_ms) / 1000, BAN_SECONDS)
            for peer, until_ms in content.banned_until_ms.items()
            if until_ms > now_ms
        }

    def _write(self) -> None:
        latest, self._latest = self._latest, None
        if latest is None:
            return
        try:
            write_atomically(self._path, _BansFile(banned_until_ms=latest).model_dump_json().encode() + b"\n")
        except OSError as error:
            log.warning("the bans of peers cannot be kept", path=str(self._path), reason=str(error))
