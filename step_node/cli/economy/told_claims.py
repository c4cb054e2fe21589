"""What a node's API says, as claims that `step-node economy verify` holds against a replay of its chain."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from pydantic.alias_generators import to_camel

from step_node.amounts import step_text
from step_node.api.models.trending import TrendingTriangle
from step_node.economy.columns import PERIOD_MS, period_of
from step_node.economy.plausibility import AccountScore
from step_node.economy.trends import Area
from step_node.economy.verifying.claims import (
    BEGUN_WITHIN,
    NAMED_MAX,
    Comparison,
    Difference,
    Later,
    NotCompared,
    json_differences,
)
from step_node.economy.verifying.replay import Replay
from step_node.ledger.records import Account
from step_node.proofs.timestamps import format_timestamp

LEADERBOARD_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class LeaderboardClaim:
    """The highest balances, as `GET /leaderboard` lists them."""

    height: int
    accounts: Sequence[object]
    subject: str = "leaderboards"

    async def compare(self, replay: Replay) -> Sequence[Difference]:
        """See `Claim`."""
        made = await replay.storage.leaderboard(limit=LEADERBOARD_MAX)
        ours = [
            {
                "rank": rank,
                "account": f"0x{account.address.hex()}",
                "balance": step_text(account.balance_ustep),
                "proofs": account.proofs,
            }
            for rank, account in enumerate(made, start=1)
        ]
        found = (
            one
            for place, (said, mine) in enumerate(zip_longest(self.accounts, ours), start=1)
            for one in _of_one(said, mine, "account", f"place {place} of the leaderboard")
        )
        return [Difference(self.height, *one) for one, _ in zip(found, range(NAMED_MAX), strict=False)]


@dataclass(frozen=True, slots=True)
class AccountClaim:
    """An account, as `GET /account/{address}` tells it."""

    height: int
    account: str
    answer: Mapping[str, object]
    subject: str = "accounts"

    async def compare(self, replay: Replay) -> Sequence[Difference]:
        """See `Claim`."""
        address = bytes.fromhex(self.account[2:])
        made = await replay.storage.account(address) or Account(address)
        last = made.last_proof
        ours = {
            "balance": step_text(made.balance_ustep),
            "proofs": made.proofs,
            "nextSequence": made.operations,
            "lastProof": None
            if last is None
            else {"timestamp": format_timestamp(last.timestamp_ms), "lat": last.lat, "lon": last.lon},
        }
        said = {name: self.answer.get(name) for name in ours}
        return [
            Difference(self.height, f"{path.removeprefix('.')} of account {self.account}", theirs, mine)
            for path, theirs, mine in json_differences(said, ours)
        ][:NAMED_MAX]


@dataclass(frozen=True, slots=True)
class SupplyClaim:
    """How much there is, and how much of it is somewhere, as `GET /guardrails` tells it."""

    height: int
    guardrails: Sequence[object]
    subject: str = "supplies"

    async def compare(self, replay: Replay) -> Sequence[Difference]:
        """See `Claim`."""
        chain = replay.head.chain
        minted, held = chain.minted_ustep, chain.balances_ustep + chain.stakes_ustep + chain.burnt_ustep
        said = {str(one.get("name")): one for one in self.guardrails if isinstance(one, Mapping)}
        figures = (
            ("the supply", "supply", "figure", minted),
            ("balances, stakes and what was burnt together", "conservation", "figure", held),
            ("the supply, beside what is somewhere", "conservation", "bound", minted),
        )
        return [
            Difference(self.height, what, None if theirs is None else f"{theirs} STEP", f"{step_text(mine)} STEP")
            for what, name, key, mine in figures
            if (theirs := said.get(name, {}).get(key)) != step_text(mine)
        ]


@dataclass(frozen=True, slots=True)
class TrendingClaim:
    """What trends at a level, everywhere or in an area, as `GET /trending` tells it; its scores have the signals of
    plausibility in them."""

    height: int
    level: int
    answer: Mapping[str, object]
    area: Area | None = None

    @property
    def subject(self) -> str:
        return "trending levels" if self.area is None else "trending boxes"

    async def compare(self, replay: Replay) -> Sequence[Difference] | NotCompared:
        """See `Claim`."""
        which = f"level {self.level}" if self.area is None else f"box {self.area.name} at level {self.level}"
        if self.answer.get("isComplete") is not True:
            since = self.answer.get("completeFromHeight")
            return NotCompared(which, f"the node lacks a part of the window: it has it from height {since} on")
        if not replay.derived.window.is_complete:
            return NotCompared(which, BEGUN_WITHIN)
        made = await replay.derived.trending(self.level, self.area)
        ours = [TrendingTriangle.of(region).model_dump(mode="json", by_alias=True) for region in made]
        told = self.answer.get("triangles")
        said = told if isinstance(told, list) else []
        found = (
            one
            for place, (theirs, mine) in enumerate(zip_longest(said, ours), start=1)
            for one in _of_one(theirs, mine, "triangleId", f"place {place} of what trends in {which}")
        )
        return [Difference(self.height, *one) for one, _ in zip(found, range(NAMED_MAX), strict=False)]


@dataclass(frozen=True, slots=True)
class PlausibilityClaim:
    """What `GET /plausibility/accounts/{address}` tells of an account, by the period that the answer names: it is that
    of any of its heights, of which `height` is none after the first."""

    height: int
    account: str
    answer: Mapping[str, object]
    subject: str = "plausible accounts"

    async def compare(self, replay: Replay) -> Comparison:
        """See `Claim`."""
        window = replay.derived.window
        if self.answer.get("isComplete") is not True:
            since = self.answer.get("completeFromHeight")
            return NotCompared(self.account, f"the node lacks a part of the window: it has it from height {since} on")
        if not window.is_complete:
            return NotCompared(self.account, BEGUN_WITHIN)
        begins, said_begins = format_timestamp(period_of(window.batch_time_ms) * PERIOD_MS), self.period_begins_at
        if said_begins > begins:
            # The node has gone on meanwhile: then a later height is of that period.
            return Later(self, NotCompared(self.account, f"the answer is of the ten minutes from {said_begins} only"))
        if said_begins < begins:
            return NotCompared(self.account, f"the answer is of the ten minutes from {said_begins}, long over")
        ours = _plausibility((await replay.derived.signals()).account(bytes.fromhex(self.account[2:])))
        said = {name: self.answer.get(name) for name in ours}
        return [
            Difference(window.height, f"plausibility of {self.account}{path}", theirs, mine)
            for path, theirs, mine in json_differences(said, ours)
        ][:NAMED_MAX]

    @property
    def period_begins_at(self) -> str:
        """As the answer says it."""
        return str(self.answer.get("periodBeginsAt"))


def _plausibility(score: AccountScore) -> dict[str, object]:
    return {
        "proofs": score.proofs,
        "implausibilityBps": score.implausibility_bps,
        "reasons": [
            {
                "signal": reason.signal,
                "strengthBps": reason.strength_bps,
                "weightBps": reason.weight_bps,
                "figures": {to_camel(name): figure for name, figure in reason.figures.items()},
            }
            for reason in score.reasons
        ],
    }


def _of_one(said: object, made: object, key: str, place: str) -> Iterator[tuple[str, str | None, str | None]]:
    """What differs of two entries of a list, by field where both are of the same `key`; else the entries."""
    if isinstance(said, dict) and isinstance(made, dict) and said.get(key) == made.get(key):
        for path, theirs, ours in json_differences(said, made):
            yield f"{path.rpartition('.')[2]} of {made[key]}, {place}", theirs, ours
    elif said != made:
        yield place, None if said is None else json.dumps(said), None if made is None else json.dumps(made)
