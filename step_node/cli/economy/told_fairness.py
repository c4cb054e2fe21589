"""What a node's API says of the fairness of epochs, as claims that are held against a replay of its chain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from step_node.cli.economy.node_answers import Answers, NotTold
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
        return [*compared, *self._headline_differences(replay)]

    def _headline_differences(self, replay: Replay) -> list[Difference]:
        """What the list says otherwise of the epoch than its report, and those before it."""
        headlines = replay.derived.headlines
        headline = headlines.get(self.epoch)
        if headline is None:
            return []
        listed = f"headline of epoch {self.epoch} in /fairness"
        ours = headline.model_dump(mode="json", by_alias=True)
        found = [*_named(listed, {name: self.headline.get(name) for name in ours}, ours)]
        if self.headline.get("drift") is not None:  # A node that lacks earlier reports tells none.
            found += _named(f"{listed}.drift", self.headline["drift"], _drift(replay, self.epoch))
        return [Difference(self.height, *one) for one in found[:NAMED_MAX]]


@dataclass(frozen=True, slots=True)
class ToldDriftClaim:
    """How far an epoch is from those before it, as `GET /fairness/{epoch}/drift` tells it."""

    height: int
    epoch: int
    answers: Answers
    subject: str = "drifts"

    async def compare(self, replay: Replay) -> Sequence[Difference] | NotCompared:
        """See `Claim`."""
        try:
            told = (await self.answers.get(f"/fairness/{self.epoch}/drift")).body
        except NotTold as error:
            return NotCompared(f"epoch {self.epoch}", str(error))
        ours = _drift(replay, self.epoch)
        if ours is None:
            return NotCompared(f"epoch {self.epoch}", "an epoch before it has no report")
        found = _named(f"drift of epoch {self.epoch}", {name: told.get(name) for name in ours}, ours)
        return [Difference(self.height, *one) for one in found]


def _drift(replay: Replay, epoch: int) -> dict[str, object] | None:
    headlines = replay.derived.headlines
    drift = drift_of(headlines[epoch], headlines) if epoch in headlines else None
    return None if drift is None else drift.model_dump(mode="json", by_alias=True)


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
            claims.append(ToldDriftClaim(height, epoch, answers))
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
