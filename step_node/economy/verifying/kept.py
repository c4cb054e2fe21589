"""What a node has kept, in its side file or in a backup, held against a replay: the reports of epochs; of a side file
the window of proofs, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from step_node.economy.fairness.fold import heights_of
from step_node.economy.fairness.kept import InvalidKeptEpoch, KeptEpoch, Lacking
from step_node.economy.rows import DamagedRows
from step_node.economy.side_file import EconomyFile, EconomyFileError
from step_node.economy.verifying.claims import (
    BEGUN_WITHIN,
    Claim,
    Difference,
    FairnessClaim,
    NotCompared,
    WindowClaim,
)
from step_node.economy.verifying.replay import Replay


class KeptReports(Protocol):
    """What keeps reports, such as a side file."""

    async def epochs(self) -> Sequence[int]:
        """Of which there is something."""
        ...

    async def report(self, epoch: int) -> bytes | None:
        """What is kept of an epoch; None if it is damaged."""
        ...


@dataclass(frozen=True, slots=True)
class KeptFairnessClaim:
    """The report of an epoch, read when the replay has come to its end: all of them may be many."""

    height: int
    epoch: int
    reports: KeptReports
    where: str
    subject: str = "fairness reports"

    async def compare(self, replay: Replay) -> Sequence[Difference] | NotCompared:
        """See `Claim`."""
        body = await self.reports.report(self.epoch)
        what = f"fairness of epoch {self.epoch} in {self.where}"
        try:
            kept = None if body is None else KeptEpoch.decoded(body)
        except InvalidKeptEpoch as error:
            return [Difference(self.height, what, f"damaged: {error}", "a report")]
        if kept is None:
            return [Difference(self.height, what, "damaged", "a report")]
        if kept.lacking is Lacking.BEGUN_WITHIN:
            return NotCompared(f"epoch {self.epoch}", "the node has followed the chain from within it on, and has none")
        if kept.lacking in (Lacking.TOO_MANY_ACCOUNTS, Lacking.UNSOUND):
            made = replay.derived.report
            if made is None or made.epoch != self.epoch:
                return NotCompared(f"epoch {self.epoch}", BEGUN_WITHIN)
            return [] if made.canonical_json is None else [Difference(self.height, what, None, "a report")]
        return await FairnessClaim(self.height, self.epoch, kept.report).compare(replay)


async def fairness_claims(reports: KeptReports, where: str, epoch_batches: int) -> list[Claim]:
    """What `reports` say, which are in `where`. Raises what they raise."""
    return [
        KeptFairnessClaim(heights_of(epoch, epoch_batches)[1], epoch, reports, where)
        for epoch in await reports.epochs()
    ]


async def side_file_claims(file: EconomyFile, epoch_batches: int) -> list[Claim]:
    """What `file` says. Raises `EconomyFileError`."""
    claims = await fairness_claims(file, "the side file", epoch_batches)
    try:
        window = await file.look()
    except DamagedRows as error:
        raise EconomyFileError(f"the window of proofs in the side file is damaged: {error}") from error
    if window is not None:
        claims.append(WindowClaim(window.standing, window.rows))
    return claims
