"""The window of proofs of a running node: final batches are folded in as they come, and what was missed is made up.

Where the node is at the head, `finalised` takes each batch's rows in place, which costs the event loop some
microseconds a proof. Whatever else there is to do happens beside it, a little at a time, and delays no start:

- After a restart the side file gives the rows back, and the batches that became final after it was written are read
  from the store.
- Where there is nothing to go on from (a store from before there was a window, a snapshot that was joined from, a side
  file that was lost), the window begins with the last batch, and the batches before it are read backwards, as far as
  the window reaches. So the node is at the head at once, and says from which height on it has looked at all.
- What the store does not have, peers do: whoever fetches what is `wanted` hands it to `take_earlier`.

Once a minute what has come is written to the side file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import structlog
import trio

from step_node.batch.batch import Batch, MalformedBatch, decode_batch
from step_node.economy.columns import FoldedBatch, period_of
from step_node.economy.side_file import EconomyFile, EconomyFileError, Hashes, Piece
from step_node.economy.window import ProofWindow, Standing
from step_node.offload import run_blocking
from step_node.storage.interface import BACKGROUND_SHARE, StorageReads, StorageUnavailable, StoredBatch

KEPT_EVERY_SECONDS: Final = 60.0
"""How often the side file is written. What a crash loses is read from the store again."""

FOLDED_AT_ONCE_MAX: Final = 8
"""Batches that are read and decoded together: full ones have 3 MB."""

FORWARD_MAX: Final = 10_000
"""Batches by which the side file may be behind the store; where it is further, the window begins anew at the head."""

PAUSE_SECONDS_MAX: Final = 1.0

TOLD_ROWS: Final = 32_768
"""After so many rows of a period, who follows the window is told of them."""

RETRY_SECONDS: Final = 5.0

T = TypeVar("T")

log = structlog.get_logger("economy")


class Observatory:
    """See the module's docstring. To be used from the event loop; `run` it beside the node.

    `height()` is the last final one of the chain. `before_period` are called when a batch is about to begin a period,
    while the window stands as it stood after the batch before.
    """

    def __init__(self, *, storage: StorageReads, file: EconomyFile, height: Callable[[], int]) -> None:
        self.window = ProofWindow()
        """Another one takes its place where it begins anew."""
        self.is_at_head = False
        """Whether the window takes in each batch as it becomes final."""
        self.before_period: list[Callable[[], None]] = []
        self._storage = storage
        self._file = file
        self._height = height
        self._batch_hash = self._earlier_hash = b""
        self._kept: Standing | None = None
        """What the side file has of this window."""
        self._has_store_given_all = False
        self._told_end = 0
        self._woken = trio.Event()
        self._changed = trio.Event()

    # --- what the node tells ------------------------------------------------------------------------------------------

    def finalised(self, batch: Batch) -> None:
        """A batch is in the store."""
        if not self.is_at_head:
            return
        height = batch.header.height
        if self.window.height and height != self.window.height + 1:
            if height > self.window.height:
                self.jumped()
            return
        self._append(FoldedBatch.of(batch))

    def jumped(self) -> None:
        """The chain has gone on without batches that this was told of."""
        self.is_at_head = False
        self._woken.set()

    # --- batches from before the first one ----------------------------------------------------------------------------

    def wanted(self) -> tuple[int, bytes] | None:
        """The height and the hash of the batch before the first that was looked at, if it is wanted of somebody else:
        None if the window is complete, or while it is still read from the store."""
        if self.window.is_complete or not (self.is_at_head and self._has_store_given_all):
            return None
        return self.window.complete_from_height - 1, self._earlier_hash

    async def take_earlier(self, batches: Sequence[FoldedBatch]) -> None:
        """Take batches of the chain, each the one before the next, of which the last is the `wanted` one.

        What is from before the window's beginning is left out.
        """
        for one in reversed(batches):
            self._prepend(one)

    # --- what follows the window --------------------------------------------------------------------------------------

    async def wait_for_change(self) -> None:
        """Wait until the window begins a period, begins anew, or has many further rows, or some from before the first;
        or until something may be `wanted`."""
        await self._changed.wait()

    @property
    def needed_from(self) -> int | None:
        """The lowest height whose batch in the store is still to be read; None if none is."""
        if not self.is_at_head:
            return self.window.height + 1
        if self.window.is_complete or self._has_store_given_all:
            return None
        return 1

    # --- beside the node ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Catch up, and keep what comes, until cancelled."""
        await self._take_up()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_regularly)
            while True:
                self._woken = trio.Event()
                try:
                    await self._catch_up()
                    await self._look_back()
                except StorageUnavailable as error:
                    log.info("the window of proofs waits: the store does not answer", reason=str(error))
                    await trio.sleep(RETRY_SECONDS)
                    continue
                await self._woken.wait()

    async def _take_up(self) -> None:
        """Go on from the side file, if it is of this chain's present history."""
        kept = await self._despite_file(self._file.load)
        if kept is None:
            return
        standing = kept.standing
        stored = await self._when_available(standing.height, 1)
        is_near = 0 <= self._height() - standing.height <= FORWARD_MAX
        if is_near and stored and stored[0].batch_hash == kept.hashes.batch_hash:
            # A full window has 80 MB to be copied.
            self.window = await run_blocking(ProofWindow.restored, standing, kept.rows)
            self._batch_hash, self._earlier_hash = kept.hashes.batch_hash, kept.hashes.earlier_hash
            self._kept = standing
            return
        log.info(
            "the window of proofs begins anew: the side file stands at another place than the store",
            kept_height=standing.height,
            height=self._height(),
        )

    async def _catch_up(self) -> None:
        """Read what the store has after the window's last batch, until the window is at the head."""
        while not self.is_at_head:
            height = self._height()
            if self.window.height == height:
                # From here on `finalised` is told of the next one: there is no checkpoint in between.
                self.is_at_head = True
                self._tell()
                return
            if not self.window.height or self.window.height > height:
                await self._begin_anew()
                continue
            read = await self._read(self.window.height + 1, FOLDED_AT_ONCE_MAX)
            if not read:
                await self._begin_anew()
            for one in read:
                self._append(one)

    async def _begin_anew(self) -> None:
        """Begin with the last batch there is."""
        height = self._height()
        read = await self._read(height, 1)
        self.window, self._kept, self._has_store_given_all = ProofWindow(), None, False
        if not read:
            # The store has gone on, or back, meanwhile.
            await trio.sleep(RETRY_SECONDS)
            return
        self._append(read[0])
        if height > 1:
            log.info("the window of proofs begins with the last batch; those before it are read", height=height)

    async def _look_back(self) -> None:
        """Read what the store has before the window's first batch, as far as it is wanted."""
        if self.window.is_complete:
            return
        first = await self._storage.first_height() or 1
        while self.is_at_head and not self.window.is_complete and first < self.window.complete_from_height:
            end = self.window.complete_from_height
            start = max(first, end - FOLDED_AT_ONCE_MAX)
            read = await self._read(start, end - start)
            if len(read) < end - start:  # Damaged; or pruned meanwhile, though `needed_from` forbids it.
                break
            for one in reversed(read):
                self._prepend(one)
        if self.is_at_head:
            self._has_store_given_all = True
            self._tell()

    async def _read(self, start: int, count: int) -> list[FoldedBatch]:
        """Batches of the store, and a pause that leaves most of a core to others; none where one of them is damaged."""
        stored = await self._storage.batches(start, count)
        if not stored:
            return []
        began = trio.current_time()
        try:
            read = await run_blocking(_decoded, stored)
        except MalformedBatch as error:
            log.error("the window of proofs lacks batches: one cannot be read", first_height=start, reason=str(error))
            read = []
        spent_seconds = trio.current_time() - began
        await trio.sleep(min(spent_seconds * (1 / BACKGROUND_SHARE - 1), PAUSE_SECONDS_MAX))
        return read

    def _append(self, one: FoldedBatch) -> None:
        window = self.window
        begins = not window.height or period_of(one.batch_time_ms) != period_of(window.batch_time_ms)
        if not window.height:
            self._earlier_hash = one.previous_batch_hash
        if begins:
            for tell in self.before_period:
                tell()
        window.append(one.rows, height=one.height, batch_time_ms=one.batch_time_ms)
        self._batch_hash = one.batch_hash
        if begins or window.end - self._told_end >= TOLD_ROWS:
            self._tell()

    def _prepend(self, one: FoldedBatch) -> None:
        if self.window.is_complete:
            return
        self._earlier_hash = one.previous_batch_hash
        self.window.take_earlier(one.rows, height=one.height, batch_time_ms=one.batch_time_ms)
        self._tell()

    def _tell(self) -> None:
        self._told_end = self.window.end
        self._changed.set()
        self._changed = trio.Event()

    # --- the side file ------------------------------------------------------------------------------------------------

    async def _keep_regularly(self) -> None:
        while True:
            await trio.sleep(KEPT_EVERY_SECONDS)
            await self._despite_file(self.keep)

    async def keep(self) -> None:
        """Write what has come to the side file. Raises `EconomyFileError`."""
        window, standing, kept = self.window, self.window.standing, self._kept
        if not window.height or standing == kept:
            return
        pieces = list[Piece]()
        if kept is None:
            await self._file.forget_window()
            window, standing = self.window, self.window.standing
            pieces.append((standing.first, window.parts(standing.first, standing.end)))
        else:
            if standing.first < kept.first:
                pieces.append((standing.first, window.parts(standing.first, kept.first)))
            new = max(kept.end, standing.first)
            pieces.append((new, window.parts(new, standing.end)))
        await self._file.keep(standing, Hashes(self._batch_hash, self._earlier_hash), pieces)
        if self.window is window:
            self._kept = standing

    async def _despite_file(self, call: Callable[[], Awaitable[T]]) -> T | None:
        try:
            return await call()
        except EconomyFileError as error:
            log.warning("the side file of the economy fails; the node goes on without it", reason=str(error))
            return None

    async def _when_available(self, height: int, count: int) -> Sequence[StoredBatch]:
        while True:
            try:
                return await self._storage.batches(height, count)
            except StorageUnavailable as error:
                log.info("the window of proofs waits: the store does not answer", reason=str(error))
                await trio.sleep(RETRY_SECONDS)


def _decoded(stored: Sequence[StoredBatch]) -> list[FoldedBatch]:
    return [FoldedBatch.of(decode_batch(one.batch)) for one in stored]
