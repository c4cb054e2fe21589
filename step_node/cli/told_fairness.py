"""What a node's API says of the fairness of epochs, as claims that are held against a replay of its chain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from step_node.cli.node_answers import Answers, NotTold
from step_node.economy.fairness.drift import drift_of
from step_node.economy.fairness.fold import heights_of
from step_node.economy.verifying.claims import (
    NAMED_MAX,
    Claim,
    Difference,
    FairnessClaim,
    NotCompared,
    UntoldClaim,
    json_differences,
)
from step_node.economy.verifying.replay import Replay

FAIRNESS_PAGE: Final = 100
FAIRNESS_REPORTS_MAX: Final = 100_000
"""Reports of one node that are asked for: whatever answers is believed nothing."""

SUBJECT: Final = "fairness reports"


@dataclass(frozen=True, slots=True)
class ToldFairnessClaim:
    """The report of an epoch as `GET /fairness/{epoch}` gives it, asked for when the replay has come to its end, and
    its headline as the list of reports tells it."""

    height: int
    epoch: int
    answers: Answers
    headline: Mapping[str, object]
    subject: str = SUBJECT

    async def compare(self, replay: Replay) -> Sequence[Difference] | NotCompared:
        """See `Claim`."""
        try:
            report = await self.answers.get_bytes(f"/fairness/{self.epoch}")
        except NotTold as error:
            return NotCompared(f"epoch {self.epoch}", str(error))
        compared = await FairnessClaim(self.height, self.epoch, report).compare(replay)
        if isinstance(compared, NotCompared):
            return compared
        return [*compared, *self._headline_differences(replay, await self._drift())]

    async def _drift(self) -> Mapping[str, object] | None:
        """What the node tells of the drift; None where it lacks earlier reports."""
        try:
            return (await self.answers.get(f"/fairness/{self.epoch}/drift")).body
        except NotTold:
            return None

    def _headline_differences(self, replay: Replay, told: Mapping[str, object] | None) -> list[Difference]:
        """What the list says otherwise of the epoch than its report, and what both say of its drift."""
        headlines = replay.derived.headlines
        headline = headlines.get(self.epoch)
        if headline is None:
            return []
        ours = headline.model_dump(mode="json", by_alias=True)
        listed = f"headline of epoch {self.epoch} in /fairness"
        found = [*_named(listed, {name: self.headline.get(name) for name in ours}, ours)]
        drift = drift_of(headline, headlines)
        made_drift = None if drift is None else drift.model_dump(mode="json", by_alias=True)
        told_drift = None if told is None else {name: told.get(name) for name in made_drift or told}
        for name, said in (
            (f"drift of epoch {self.epoch}", told_drift),
            (f"{listed}.drift", self.headline.get("drift")),
        ):
            if said is not None:  # A node that lacks earlier reports tells none.
                found += _named(name, said, made_drift)
        return [Difference(self.height, *one) for one in found[:NAMED_MAX]]


def _named(name: str, said: object, made: object) -> Iterator[tuple[str, str | None, str | None]]:
    for path, theirs, ours in json_differences(said, made):
        yield f"{name}{path}", theirs, ours


async def fairness_claims(answers: Answers, epoch_batches: int, last: int) -> list[Claim]:
    """A claim for each epoch that has ended at `last`: what the node lists of it, or that it lists nothing."""
    listed: dict[int, Mapping[str, object]] = {}
    because = "the node lists no report of it"
    try:
        async for one in _listed(answers):
            epoch = one.get("epoch")
            if isinstance(epoch, int) and 0 < heights_of(epoch, epoch_batches)[1] <= last:
                listed.setdefault(epoch, one)
    except NotTold as error:
        because = f"the list of reports cannot be had: {error}"
    claims: list[Claim] = []
    for epoch in range(1, min(last // epoch_batches, FAIRNESS_REPORTS_MAX) + 1):
        height = heights_of(epoch, epoch_batches)[1]
        if epoch in listed:
            claims.append(ToldFairnessClaim(height, epoch, answers, listed[epoch]))
        else:
            claims.append(UntoldClaim(height, SUBJECT, f"epoch {epoch}", because))
    return claims


async def _listed(answers: Answers) -> AsyncIterator[Mapping[str, object]]:
    """The entries of the list, page by page. Raises `NotTold`."""
    path = f"/fairness?limit={FAIRNESS_PAGE}"
    for _ in range(FAIRNESS_REPORTS_MAX // FAIRNESS_PAGE):
        answer = (await answers.get(path)).body
        entries, cursor = answer.get("epochs"), answer.get("nextCursor")
        for one in entries if isinstance(entries, list) else ():
            if isinstance(one, dict):
                yield one
        if not isinstance(cursor, str) or not entries:
            return
        path = f"/fairness?limit={FAIRNESS_PAGE}&before={quote(cursor)}"
