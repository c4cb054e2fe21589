"""What the economy shows, folded from a replay's batches as a node folds it: the window of proofs, an epoch's report.

What the replay has begun within is not whole: an epoch of which it has not executed every batch has no report here, and
the window says itself from which height on it has looked at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from step_node.chain.judging import JudgedBatch
from step_node.economy.columns import ProofColumns, period_of
from step_node.economy.fairness.drift import Headline, compared_with
from step_node.economy.fairness.fold import EpochFold, NoReport, Sums
from step_node.economy.fairness.point import BatchStep, ChainPoint
from step_node.economy.plausibility import AccountSignals, account_signals
from step_node.economy.trending import TrendingBase, TrendingRegion
from step_node.economy.trends import Area, TrendsAt, compute_top
from step_node.economy.window import ProofWindow
from step_node.ledger.state import StateHead
from step_node.offload import run_blocking


@dataclass(frozen=True, slots=True)
class MadeReport:
    """The report of an epoch as its canonical JSON; None where no node makes one: it has too many accounts, say."""

    epoch: int
    canonical_json: bytes | None


@dataclass(frozen=True, slots=True)
class _Computed:
    height: int
    signals: AccountSignals
    base: TrendingBase


class Derived:
    """See the module's docstring. It begins behind `head`."""

    def __init__(self, head: StateHead, chain_id: str) -> None:
        self._chain_id = chain_id
        self._epoch_batches = head.parameters.epoch_batches
        self.window = ProofWindow()
        """The proofs of the last two days."""
        self.paid_ustep = 0
        """What all proofs were paid."""
        self.report: MadeReport | None = None
        """That of the epoch that has ended last."""
        self.headlines: dict[int, Headline] = {}
        """Of the last epochs that have reports: as many as a drift is made of, and the last one itself."""
        self._of_window: _Computed | None = None
        self._fold: EpochFold | None = None
        self._sums: Sums | None = None
        self._has_report = True
        self._begin_epoch(ChainPoint.of(head))

    def _begin_epoch(self, point: ChainPoint) -> None:
        self._fold, self._sums, self._has_report = None, None, True
        if point.height % self._epoch_batches == 0:
            self._fold = EpochFold(point, chain_id=self._chain_id, epoch_batches=self._epoch_batches)

    async def take(self, judged: JudgedBatch) -> None:
        """Fold the next batch in."""
        header = judged.batch.header
        self.window.append(ProofColumns.of_batch(judged.batch), height=header.height, batch_time_ms=header.timestamp_ms)
        self.paid_ustep += sum(receipt.reward_ustep for receipt in judged.transition.receipts)
        fold, step = self._fold, BatchStep.of(judged)
        if fold is not None and self._has_report:
            try:
                await self._add(fold, step)
            except NoReport:
                self._has_report = False
        if step.after.height % self._epoch_batches == 0:
            if fold is not None and not self._has_report:
                self.report = MadeReport(fold.epoch, None)
            self._begin_epoch(step.after)

    async def trending(self, level: int, area: Area | None = None) -> list[TrendingRegion]:
        """The `TRENDING_MAX` regions of `level` that trend at the last height, in an `area` if one is given, by all
        rows at once and without any that is kept."""
        window, computed = self.window, await self._computed()
        at = TrendsAt(
            window.height, window.batch_time_ms, window.is_complete, window.complete_from_height, computed.base, ()
        )
        return await run_blocking(compute_top, at, level, area)

    async def signals(self) -> AccountSignals:
        """The signals of plausibility of the present period."""
        return (await self._computed()).signals

    async def _computed(self) -> _Computed:
        """What is computed over the whole window, once for a height."""
        window, computed = self.window, self._of_window
        if computed is None or computed.height != window.height:
            before = window.parts(window.first, window.period_first)
            present = window.parts(window.period_first, window.end)
            period = period_of(window.batch_time_ms)
            computed = self._of_window = await run_blocking(_computed, window.height, before, present, period)
        return computed

    def _keep(self, headline: Headline) -> None:
        kept = (*compared_with(headline.epoch), headline.epoch)
        self.headlines[headline.epoch] = headline
        self.headlines = {epoch: one for epoch, one in self.headlines.items() if epoch in kept}

    async def _add(self, fold: EpochFold, step: BatchStep) -> None:
        fold.add(step)
        if fold.is_heavy or fold.is_complete:
            self._sums = await run_blocking(fold.summed, fold.take_payments(), self._sums)
        if fold.is_complete and self._sums is not None:
            report = await run_blocking(fold.report, self._sums)
            canonical_json = report.canonical_json()
            self._keep(Headline.of(report, canonical_json))
            self.report = MadeReport(fold.epoch, canonical_json)


def _computed(height: int, before: Sequence[ProofColumns], present: Sequence[ProofColumns], period: int) -> _Computed:
    held = ProofColumns.joined(before)
    signals = account_signals(held)
    rows = ProofColumns.joined([held, *present])
    base = TrendingBase.of(rows, period, signals.keys, signals.implausibility_bps)
    return _Computed(height, signals, base)
