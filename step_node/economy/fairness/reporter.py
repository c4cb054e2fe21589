"""The reports of a running node: each made when its epoch has ended, and kept in the side file.

A batch that becomes final is added to its epoch at once, for 0.2 µs a proof and 0.8 µs a validator. What a start, or a
burst, has left out is read from the store, a batch at a time with pauses between, so that consensus does not feel it.
An epoch's report is computed on a thread; once it is kept, the node goes on from there after a restart. Until then
nothing of the epoch is pruned, so a report that was cut short is made again.

What goes wrong here is told in the log and costs reports, never the node: nothing that is decided needs them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

import structlog
import trio

from step_node.batch.batch import Batch, MalformedBatch, decode_batch
from step_node.chain.chain import Chain
from step_node.chain.judging import JudgedBatch
from step_node.economy.fairness.drift import COMPARED_EPOCHS, Drift, Headline, compared_with, drift_of
from step_node.economy.fairness.fold import EpochFold, NoReport, Sums
from step_node.economy.fairness.income import Payments
from step_node.economy.fairness.kept import InvalidKeptEpoch, KeptEpoch, KeptReport, Lacking
from step_node.economy.fairness.point import BatchStep, ChainPoint, InvalidPoint
from step_node.economy.side_file import EconomyFileError, EpochReport, kept_reports
from step_node.ledger.state import Receipt, StateHead
from step_node.offload import run_blocking
from step_node.storage.interface import StorageError

EPOCH_BATCHES_MAX: Final = 100_000
"""On a chain with longer epochs there are no reports: after a restart too much would be read again, and pruning would
wait for too long."""

ENDED_MAX: Final = 4
"""Epochs that wait for their reports. While there are so many, further batches are left to be read from the store."""

READ_PAUSE_MS: Final = 1.0
READ_PAUSE_PER_PROOF_MS: Final = 0.4
"""Reading a batch takes some 0.1 ms a proof; with such pauses it takes a fifth of a core at most."""

RETRY_SECONDS: Final = 10.0
"""After which a store or a side file that does not answer is tried again, and what is switched off is looked at."""

_EPOCHS_END: Final = 2**63 - 1

T = TypeVar("T")

log = structlog.get_logger("fairness")


class ReportFile(Protocol):
    """What the side file is to reports."""

    async def keep_report(self, epoch: int, body: bytes, headline: bytes) -> None: ...

    async def report(self, epoch: int) -> bytes | None: ...

    async def reports(self, *, before: int, limit: int) -> Sequence[EpochReport]: ...

    async def headlines(self, *, before: int, limit: int) -> Sequence[bytes]: ...

    async def first_headline_epoch(self) -> int | None: ...


@dataclass(slots=True, eq=False)
class _Epoch:
    """An epoch and what was summed of it. Without a `fold` it has no report, because of `lacking`."""

    fold: EpochFold | None
    lacking: Lacking
    sums: Sums | None = None
    end: ChainPoint | None = None
    kept: KeptEpoch | None = None

    def give_up(self, error: NoReport) -> None:
        """Go on without a report, for every reason alike: all nodes end here, and again after each restart."""
        if error.lacking is Lacking.UNSOUND:
            log.error("no report can be made of an epoch: its receipts cannot be", reason=str(error))
        self.fold, self.sums, self.lacking = None, None, error.lacking


class FairnessReporter:
    """See the module's docstring. To be used from the event loop; `run` once. Nothing is done unless it `is_on`."""

    def __init__(self, chain: Chain, file: ReportFile, *, is_on: Callable[[], bool] = lambda: True) -> None:
        self._chain = chain
        self._is_on = is_on
        self._storage = chain.storage.for_strangers()
        self._file = file
        self._epoch_batches = chain.parameters.epoch_batches
        self._point: ChainPoint | None = None
        self._epoch = _Epoch(None, Lacking.BEGUN_WITHIN)
        self._ended: deque[_Epoch] = deque()
        self._kept_height = 0
        self._is_file_failing = False
        self._news = trio.Event()
        self._headlines: dict[int, Headline] = {}
        self.latest: Headline | None = None
        """The figures of the last epoch that has a report here."""
        self.drift: Drift | None = None
        """How far it is from those before it."""

    @property
    def makes_reports(self) -> bool:
        """Whether this chain's epochs are short enough for reports."""
        return self._epoch_batches <= EPOCH_BATCHES_MAX

    @property
    def height(self) -> int | None:
        """That of the last batch that was taken in; None until it is known where to begin."""
        return None if self._point is None else self._point.height

    def needed_from(self) -> int | None:
        """The lowest height whose batch is still wanted; None if none is.

        Pruning does not wait for what is switched off, nor for a side file that takes no reports.
        """
        if not self.makes_reports or self._is_file_failing or not self._is_on():
            return None
        return 1 if self._point is None else self._kept_height + 1

    # --- what the node tells ------------------------------------------------------------------------------------------

    def after_batch(self, judged: JudgedBatch) -> None:
        """Take in a batch that has become final; unless it is not the next one: that is read from the store."""
        if self._point is None or not self._is_on():
            return
        fold = self._epoch.fold
        has_room = len(self._ended) < ENDED_MAX and (fold is None or not fold.is_full)
        if judged.batch.header.height == self._point.height + 1 and has_room:
            self._take(BatchStep.of(judged))
        if self._ended or self._is_behind or (fold is not None and fold.is_heavy):
            self._news.set()

    def jumped(self) -> None:
        """The chain stands elsewhere, without the batches between."""
        if self._point is not None:
            self._begin_at(ChainPoint.of(self._chain.head))

    # --- what others ask ----------------------------------------------------------------------------------------------

    async def kept(self, epoch: int) -> KeptEpoch | None:
        """What is kept of an epoch; None if nothing is. Raises `EconomyFileError`."""
        return await self._decoded(epoch, KeptEpoch.decoded)

    async def report(self, epoch: int) -> KeptReport | None:
        """The report of an epoch, or why there is none; None if nothing of it is kept. Raises `EconomyFileError`."""
        return await self._decoded(epoch, KeptReport.decoded)

    async def headlines(self, *, before: int, limit: int) -> list[Headline]:
        """Of the last reports of epochs below `before`, newest first. Raises `EconomyFileError`."""
        return await run_blocking(_headlines, await self._file.headlines(before=before, limit=limit))

    async def with_drift(self, headlines: Sequence[Headline]) -> list[tuple[Headline, Drift | None]]:
        """Each of them with its drift. They are of epochs that follow one another, newest first.

        Raises `EconomyFileError`.
        """
        if not headlines:
            return []
        earlier = await self.headlines(before=headlines[-1].epoch, limit=COMPARED_EPOCHS)
        by_epoch = {one.epoch: one for one in (*headlines, *earlier)}
        return [(one, drift_of(one, by_epoch)) for one in headlines]

    async def drift_of_epoch(self, epoch: int) -> Drift | None:
        """How far an epoch is from those before it; None where its report is not here, or one of theirs.

        Raises `EconomyFileError`.
        """
        by_epoch = {one.epoch: one for one in await self.headlines(before=epoch + 1, limit=COMPARED_EPOCHS + 1)}
        return drift_of(by_epoch[epoch], by_epoch) if epoch in by_epoch else None

    def is_to_come(self, epoch: int) -> bool:
        """Whether there will be a report of it as far as is known: it has not ended, or its report is being made."""
        return self.makes_reports and epoch * self._epoch_batches > self._kept_height

    async def first_epoch(self) -> int | None:
        """The first epoch that has a report here; None before there is one. Raises `EconomyFileError`."""
        return await self._file.first_headline_epoch()

    # --- at work ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Make reports until cancelled."""
        if not self.makes_reports:
            log.info("epochs are too long for reports of fairness", epoch_batches=self._epoch_batches)
            return
        while True:
            try:
                await self._work()
            except (StorageError, EconomyFileError) as error:
                self._is_file_failing = isinstance(error, EconomyFileError)
                log.warning("reports of fairness are put off", reason=str(error))
                await trio.sleep(RETRY_SECONDS)

    async def _work(self) -> None:
        if self._point is None:
            await self._begin()
        while True:
            fold = self._epoch.fold
            if not self._is_on():
                await trio.sleep(RETRY_SECONDS)
            elif self._ended:
                await self._report(self._ended[0])
            elif fold is not None and fold.is_heavy:
                await self._sum_up(self._epoch, fold)
            elif self._is_behind:
                await self._read_next()
            else:
                self._news = trio.Event()
                await self._news.wait()

    @property
    def _is_behind(self) -> bool:
        return self._point is not None and self._point.height < self._chain.head.chain.height

    async def _begin(self) -> None:
        """Go on from the last epoch that is kept, or from genesis where the store has all; else with the next epoch."""
        ended_epochs = self._chain.head.chain.height // self._epoch_batches
        before, limit = ended_epochs + 1, COMPARED_EPOCHS + 1
        for headline in reversed(await self.headlines(before=before, limit=limit)):
            self._note(headline)
        kept = await run_blocking(_last_point, await self._file.reports(before=before, limit=limit))
        past = await self._storage.kept()
        has_from = max(past.batches_from, past.histories_from)
        head = ChainPoint.of(self._chain.head)
        start = kept or ChainPoint.of(self._chain.genesis.head())
        if start.height == head.height or has_from > start.height + 1:
            start = head
        if start.height < head.height:
            log.info("batches are read again for the report of their epoch", batches=head.height - start.height)
        self._begin_at(start)

    def _begin_at(self, point: ChainPoint) -> None:
        self._ended.clear()
        self._point, self._kept_height = point, point.height
        self._epoch = self._epoch_from(point)
        self._news.set()

    def _epoch_from(self, point: ChainPoint) -> _Epoch:
        if point.height % self._epoch_batches:
            return _Epoch(None, Lacking.BEGUN_WITHIN)
        fold = EpochFold(point, chain_id=self._chain.chain_id, epoch_batches=self._epoch_batches)
        return _Epoch(fold, Lacking.NOTHING)

    def _take(self, step: BatchStep) -> None:
        if self._epoch.fold is not None:
            try:
                self._epoch.fold.add(step)
            except NoReport as error:
                self._epoch.give_up(error)
        self._point = step.after
        if step.after.height % self._epoch_batches == 0:
            self._epoch.end = step.after
            self._ended.append(self._epoch)
            self._epoch = self._epoch_from(step.after)

    async def _read_next(self) -> None:
        """Take in the next batch from the store, unless it has come from elsewhere meanwhile."""
        point = self._point
        if point is None:
            return
        height = point.height + 1
        try:
            stored = await self._storage.batches(height, 1)
            if not stored:
                raise InvalidPoint("the store does not have it any more")
            batch = await run_blocking(decode_batch, stored[0].batch)
            receipts = await self._storage.receipts([proof.proof_id for proof in batch.proofs])
            step = await run_blocking(_step, point, batch, receipts, self._chain.head)
        except (InvalidPoint, MalformedBatch) as error:
            log.error("the reports of fairness have a gap: a batch cannot be read", height=height, reason=str(error))
            if self._point is point:
                self._begin_at(ChainPoint.of(self._chain.head))
            return
        if self._point is point:
            self._take(step)
        await trio.sleep((READ_PAUSE_MS + READ_PAUSE_PER_PROOF_MS * len(batch.proofs)) / 1000)

    async def _sum_up(self, epoch: _Epoch, fold: EpochFold) -> None:
        try:
            epoch.sums = await run_blocking(fold.summed, fold.take_payments(), epoch.sums)
        except NoReport as error:
            epoch.give_up(error)

    async def _report(self, epoch: _Epoch) -> None:
        """Make the report of the epoch that ended first, and keep it."""
        end = epoch.end
        if end is None:
            raise ValueError("the epoch has not ended")
        kept = epoch.kept = epoch.kept or await self._made(epoch, end)
        number = end.height // self._epoch_batches
        await self._file.keep_report(number, await run_blocking(kept.encoded), kept.encoded_headline)
        self._is_file_failing = False
        if not self._ended or self._ended[0] is not epoch:
            return  # The chain has jumped meanwhile.
        self._ended.popleft()
        self._kept_height = end.height
        headline = kept.headline
        if headline is None:
            log.info("an epoch has no report of fairness", epoch=number, reason=kept.lacking.value)
            return
        self._note(headline)
        log.info(
            "the fairness of an epoch is reported",
            epoch=number,
            accounts=headline.accounts,
            income_gini_ppm=headline.income_gini_ppm,
            report=headline.report_hash,
        )

    async def _made(self, epoch: _Epoch, end: ChainPoint) -> KeptEpoch:
        if epoch.fold is not None:
            try:
                kept = await run_blocking(_kept, epoch.fold, epoch.fold.take_payments(), epoch.sums)
            except NoReport as error:
                epoch.give_up(error)
            else:
                epoch.fold = epoch.sums = None
                return kept
        return KeptEpoch(end, lacking=epoch.lacking)

    async def _decoded(self, epoch: int, decoded: Callable[[bytes], T]) -> T | None:
        body = await self._file.report(epoch)
        return None if body is None else await run_blocking(_decoded, epoch, body, decoded)

    def _note(self, headline: Headline) -> None:
        self.latest, self.drift = headline, drift_of(headline, self._headlines)
        self._headlines[headline.epoch] = headline
        wanted = compared_with(headline.epoch + 1)
        self._headlines = {epoch: one for epoch, one in self._headlines.items() if epoch in wanted}


def _step(point: ChainPoint, batch: Batch, receipts: Sequence[Receipt], head: StateHead) -> BatchStep:
    if len(receipts) != len(batch.proofs):
        raise InvalidPoint(f"height {batch.header.height}: the store has {len(receipts)} receipts of its proofs")
    return BatchStep.read(point, batch, sorted(receipts, key=lambda receipt: receipt.index), head)


def _kept(fold: EpochFold, payments: list[Payments], before: Sums | None) -> KeptEpoch:
    return KeptEpoch.of(fold.report(fold.summed(payments, before)), fold.point)


def _headlines(found: Sequence[bytes]) -> list[Headline]:
    headlines = []
    for data in found:
        try:
            headlines.append(Headline.model_validate_json(data))
        except ValueError as error:
            log.warning("the headline of an epoch's fairness cannot be used", reason=str(error))
    return headlines


def _last_point(found: Sequence[EpochReport]) -> ChainPoint | None:
    """Where the last of these epochs ended whose bytes can be used; they are newest first."""
    for report in found:
        kept = _decoded(report.epoch, report.body, KeptEpoch.decoded)
        if kept is not None:
            return kept.point
    return None


def _decoded(epoch: int, body: bytes, decoded: Callable[[bytes], T]) -> T | None:
    try:
        return decoded(body)
    except InvalidKeptEpoch as error:
        log.warning("what is kept of an epoch's fairness cannot be used", epoch=epoch, reason=str(error))
        return None


def unreported_from(path: Path) -> int | None:
    """The first height of which a stopped node, whose side file is at `path`, has no report yet: it still needs the
    batches from there on. None where the file says nothing. Blocks."""
    try:
        last = kept_reports(path, before=_EPOCHS_END, limit=1)
        return KeptEpoch.decoded(last[0].body).point.height + 1 if last else None
    except (EconomyFileError, InvalidKeptEpoch):
        return None
