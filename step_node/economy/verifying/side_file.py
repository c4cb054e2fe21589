"""What a node's side file says: the reports of epochs, and the window of proofs, each held against a replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class KeptFairnessClaim:
    """The report of an epoch in the file, read when the replay has come to its end: all of them may be many."""

    height: int
    epoch: int
    file: EconomyFile
    subject: str = "fairness reports"

    async def compare(self, replay: Replay) -> Sequence[Difference] | NotCompared:
        """See `Claim`."""
        body = await self.file.report(self.epoch)
        what = f"fairness of epoch {self.epoch} in the side file"
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


async def side_file_claims(file: EconomyFile, epoch_batches: int) -> list[Claim]:
    """What `file` says. Raises `EconomyFileError`."""
    claims: list[Claim] = [
        KeptFairnessClaim(heights_of(epoch, epoch_batches)[1], epoch, file) for epoch in await file.epochs()
    ]
    try:
        window = await file.look()
    except DamagedRows as error:
        raise EconomyFileError(f"the window of proofs in the side file is damaged: {error}") from error
    if window is not None:
        claims.append(WindowClaim(window.standing, window.rows))
    return claims
