"""Replaying a chain and holding it against what is said of it: the one walk that every kind of verification is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from step_node.chain.judging import JudgedBatch
from step_node.economy.guardrails.checking import check_batch
from step_node.economy.verifying.claims import Claim, Difference, Later, NotCompared
from step_node.economy.verifying.closed_form import closed_form_differences
from step_node.economy.verifying.replay import BatchRejected, Replay
from step_node.errors import InvariantBroken
from step_node.ledger.state import StateHead

DIFFERENCES_MAX: Final = 100
"""After so many the replay ends: what is said is of no worth."""

NOT_CHECKED_MAX: Final = 100
"""Reasons why something was not checked that are told one by one; what has a further one is told together."""
WHICH_MAX: Final = 20
"""Of the things that one reason holds for, how many are named."""
SHOWN_MAX: Final = 3
"""Of these, how many stand in its line for people."""
FURTHER_REASONS: Final = "of further reasons, too many to be told"

Progress = Callable[[str, int, int], None]
Compare = Callable[[JudgedBatch], Awaitable[Sequence[Difference]]]


@dataclass(slots=True)
class NotChecked:
    """Things of one subject that were not held against the replay, all `because` of the same.

    `is_asked`: because of the heights that the caller has asked for, and nothing that anybody should have said.
    """

    subject: str
    because: str
    is_asked: bool
    count: int = 0
    which: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        shown = self.which[:SHOWN_MAX]
        further = f", … ({self.count} in all)" if self.count > len(shown) else ""
        return f"{self.subject}: {', '.join(shown)}{further}, because {self.because}"


@dataclass(slots=True)
class Verdict:
    """What a verification has come to. `head` is where the replay ended."""

    head: StateHead
    first: int
    last: int
    proofs: int = 0
    differences: list[Difference] = field(default_factory=list)
    compared: dict[str, int] = field(default_factory=dict)
    """How many claims of each subject were held against the replay."""
    not_checked: list[NotChecked] = field(default_factory=list)
    """What else there was to be held against it, and why it was not."""
    rejected: BatchRejected | None = None
    """The batch at which the replay had to end."""

    @property
    def holds(self) -> bool:
        """Whether everything is as it was said."""
        return not self.differences and self.rejected is None and self.head.chain.height == self.last

    @property
    def is_whole(self) -> bool:
        """Whether everything was checked that there was at the heights that were asked for."""
        return all(one.is_asked for one in self.not_checked)

    def leave_out(self, subject: str, which: str, because: str, *, is_asked: bool = False) -> None:
        """Note that something was not checked."""
        known = [one for one in self.not_checked if one.subject == subject]
        group = next((one for one in known if (one.because, one.is_asked) == (because, is_asked)), None)
        if group is None and len(self.not_checked) >= NOT_CHECKED_MAX:
            because = FURTHER_REASONS
            group = next((one for one in known if (one.because, one.is_asked) == (because, is_asked)), None)
        if group is None:
            group = NotChecked(subject, because, is_asked)
            self.not_checked.append(group)
        group.count += 1
        if len(group.which) < WHICH_MAX and which not in group.which:
            group.which.append(which)


async def verify(
    replay: Replay,
    batches: AsyncGenerator[tuple[bytes, bytes]],
    claims: Iterable[Claim],
    *,
    last: int,
    compare: Compare | None = None,
    progress: Progress = lambda _part, _done, _total: None,
) -> Verdict:
    """Take `batches` (with their commits) up to the height `last`, and at each height the claims that are of it.

    `compare` says of each batch what is said otherwise of it.
    """
    first = replay.head.chain.height + 1
    due: defaultdict[int, list[Claim]] = defaultdict(list)
    for claim in claims:
        due[claim.height].append(claim)
    verdict = Verdict(replay.head, first, last)

    async def hold_against(height: int) -> None:
        for claim in due.pop(height, ()):
            found = await claim.compare(replay)
            if isinstance(found, Later):
                if height < last:
                    due[height + 1].append(found.claim)
                    continue
                found = found.found
            if isinstance(found, NotCompared):
                verdict.leave_out(claim.subject, found.which, found.because)
                continue
            verdict.compared[claim.subject] = verdict.compared.get(claim.subject, 0) + 1
            verdict.differences += found

    last_paid_ustep: int | None = None
    await hold_against(first - 1)
    try:
        async with aclosing(batches):
            async for batch, commit in batches:
                before = replay.head
                judged = await replay.take(batch, commit)
                height = judged.batch.header.height
                checked = check_batch(before, judged, last_paid_ustep=last_paid_ustep)
                last_paid_ustep = checked.paid_ustep
                verdict.differences += [
                    Difference(height, f"{one.guardrail}: {one.message}", str(one.figure), str(one.bound))
                    for one in checked.breaches.values()
                ]
                if compare is not None:
                    verdict.differences += await compare(judged)
                await hold_against(height)
                progress("batches", height - first + 1, last - first + 1)
                if height == last or len(verdict.differences) >= DIFFERENCES_MAX:
                    break
            else:
                if replay.head.chain.height < last:
                    raise BatchRejected(replay.head.chain.height + 1, "is missing: nobody gave it")
    except BatchRejected as error:
        verdict.rejected = error
    ended = replay.head.chain.height
    for height in sorted(due):
        if height < first - 1:
            because, is_asked = f"the replay begins with the state of height {first - 1}", True
        else:
            because, is_asked = f"the replay has ended at height {ended}", ended == last
        for claim in due[height]:
            verdict.leave_out(claim.subject, f"at height {height}", because, is_asked=is_asked)
    verdict.head, verdict.proofs = replay.head, replay.proofs
    verdict.differences += await closed_form_differences(replay)
    chain = replay.head.chain
    if chain.minted_ustep != chain.balances_ustep + chain.stakes_ustep + chain.burnt_ustep:
        raise InvariantBroken("the ledger has made or lost money, and has not noticed")
    return verdict
