"""Asking a node's API for what it says of its chain, each thing with the heights that it can be of.

Nothing that cannot be had ends it but the status, without which there is nothing to begin with: what is refused, or
does not come, becomes a claim that says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import cos, radians
from typing import Final

from mesh import LEVEL_MAX, LEVEL_MIN, Box, TriangleId, TriangleIdError, centroid
from step_node.api.models.schema import ADDRESS_PATTERN
from step_node.api.routes.trending import level_for
from step_node.chain.genesis import Genesis
from step_node.cli.economy.node_answers import Answers, NotTold, Told
from step_node.cli.economy.told_claims import (
    LEADERBOARD_MAX,
    AccountClaim,
    LeaderboardClaim,
    PlausibilityClaim,
    SupplyClaim,
    TrendingClaim,
)
from step_node.cli.economy.told_fairness import fairness_claims
from step_node.cli.error_lines import CommandError
from step_node.cli.output import plain
from step_node.economy.trends import TRENDING_MAX, Area
from step_node.economy.verifying.claims import Claim, LevelCountsClaim, OfSomeHeight, RootClaim, UntoldClaim
from step_node.ledger.level_counts import CountsByLevel, LevelCounts

ACCOUNTS_ASKED: Final = 20
"""Accounts of the leaderboard that are asked for one by one, and for how plausible they are."""

BOX_LEVELS: Final = (3, 6, 9, 12, 15)
"""About the triangle of each of these levels that trends most a box is drawn, and what trends in it is asked for."""
BOX_DEGREES: Final = 90.0
"""How far such a box would go from its middle at level 1; at each further level half as far."""
BOX_LAT_MAX: Final = 85.0
"""Nearer to a pole no box is drawn."""

HEIGHTS_MAX: Final = 100
"""How many batches a node may go on by while it is asked; where they are more, it is held to the first of them."""

SIGNALS_BATCHES_MAX: Final = 100
"""The signals of a period are those of all its heights, and there a little after it has begun: so many batches at most,
or they are not compared."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a node says: of itself, as claims, the last height that these may be of, and how many records its state may
    have; None where it does not say."""

    status: dict[str, object]
    claims: list[Claim]
    height: int
    records: int | None


async def said_by(answers: Answers, genesis: Genesis) -> Said:
    """Ask it all. Raises CommandError where it is no node of this chain, or its status cannot be had."""
    status = await _status(answers, genesis)
    asking = _Asking(answers, _height(status))
    records = await asking.for_the_store()
    await asking.for_the_supply()
    await asking.for_what_trends()
    last_status = await _status(answers, genesis)
    claims = asking.told(_height(last_status))
    claims += [
        RootClaim(_height(one), _hash(one, "batchHash"), _hash(one, "stateRoot"), "GET /status", "statuses")
        for one in (status, last_status)
    ]
    height = max(claim.height for claim in claims)
    claims += await fairness_claims(answers, genesis.parameters.epoch_batches, height)
    return Said(status, claims, height, records)


class _Asking:
    """Asks, and keeps what has come of it. `height` is one that the node has said it stands at."""

    def __init__(self, answers: Answers, height: int) -> None:
        self._answers = answers
        self._height = height
        self._claims: list[Claim] = []
        self._of_the_store: list[Claim] = []

    def told(self, height: int) -> list[Claim]:
        """All claims, where the node has come to this height by now.

        What it has read of its store may be a batch further than it says, so each of these claims is of one of the
        heights from that which its answer names to the one after the last.
        """
        return [
            *self._claims,
            *(
                OfSomeHeight(one, one.height, min(max(height, one.height) + 1, one.height + HEIGHTS_MAX))
                for one in self._of_the_store
            ),
        ]

    async def for_the_store(self) -> int | None:
        """Counts, leaderboard, and some of its accounts; how many records there are at most, if that can be told."""
        records = None
        stats = await self._ask("/mesh/stats", "counts by level", "of /mesh/stats")
        if stats is not None:
            counts = _counts(stats.body)
            self._of_the_store.append(LevelCountsClaim(self._at(stats), counts))
            # An account for each triangle is more than there are, where people stay.
            records = 2 * sum(one.touched for one in counts.values())
        leaderboard = await self._ask(f"/leaderboard?limit={LEADERBOARD_MAX}", "leaderboards", "the highest balances")
        if leaderboard is None:
            return records
        listed = leaderboard.body.get("accounts")
        entries = listed if isinstance(listed, list) else []
        self._of_the_store.append(LeaderboardClaim(self._at(leaderboard), entries))
        for entry in entries[:ACCOUNTS_ASKED]:
            account = entry.get("account") if isinstance(entry, dict) else None
            if isinstance(account, str) and re.fullmatch(ADDRESS_PATTERN, account):
                told = await self._ask(f"/account/{account}", "accounts", account)
                if told is not None:
                    self._of_the_store.append(AccountClaim(self._at(told), account, told.body))
                await self._for_plausibility(account)
        return records

    async def for_the_supply(self) -> None:
        """How much there is."""
        told = await self._ask("/guardrails", "supplies", "of /guardrails")
        if told is not None:
            listed, height = told.body.get("guardrails"), _height(told.body)
            claim = SupplyClaim(height, listed if isinstance(listed, list) else [])
            # As a batch becomes final the height is told a moment before the figures.
            self._claims.append(OfSomeHeight(claim, max(0, height - 1), height))

    async def for_what_trends(self) -> None:
        """At each level, and in some boxes."""
        for level in range(LEVEL_MIN, LEVEL_MAX + 1):
            told = await self._ask(f"/trending?level={level}&limit={TRENDING_MAX}", "trending levels", f"level {level}")
            if told is None:
                continue
            self._claims.append(TrendingClaim(_height(told.body), level, told.body))
            area = _box_about_first(told.body, level) if level in BOX_LEVELS else None
            if area is not None:
                await self._for_box(*area)

    async def _for_box(self, text: str, box: Box) -> None:
        told = await self._ask(f"/trending?bbox={text}&limit={TRENDING_MAX}", "trending boxes", f"box {text}")
        if told is not None:
            level = level_for(box)
            self._claims.append(TrendingClaim(_height(told.body), level, told.body, Area(text, box)))

    async def _for_plausibility(self, account: str) -> None:
        told = await self._ask(f"/plausibility/accounts/{account}", "plausible accounts", account)
        if told is not None:
            height = max(0, self._at(told) - SIGNALS_BATCHES_MAX)
            self._claims.append(PlausibilityClaim(height, account, told.body))

    async def _ask(self, path: str, subject: str, which: str) -> Told | None:
        """What it says, unless it does not: then that is a claim, too."""
        try:
            return await self._answers.get(path)
        except NotTold as error:
            self._claims.append(UntoldClaim(0, subject, which, str(error)))
            return None

    def _at(self, told: Told) -> int:
        """The height that an answer is of."""
        return told.as_of_height or self._height


async def _status(answers: Answers, genesis: Genesis) -> dict[str, object]:
    try:
        status = (await answers.get("/status")).body
    except NotTold as error:
        raise CommandError(
            f"the node's /status cannot be had, and without it nothing can be verified: {error}"
        ) from error
    said_hash = status.get("genesisHash")
    if said_hash != f"0x{genesis.hash.hex()}":
        raise CommandError(
            f"genesis: the node's chain has the genesis {plain(said_hash)}, and this one is 0x{genesis.hash.hex()}:"
            " what is to be verified is another chain"
        )
    return status


def _box_about_first(answer: dict[str, object], level: int) -> tuple[str, Box] | None:
    """A box about the triangle that an answer lists first, as the text that asks for it, and as it is."""
    listed = answer.get("triangles")
    first = listed[0] if isinstance(listed, list) and listed else None
    try:
        triangle = TriangleId.parse(str(first.get("triangleId")) if isinstance(first, dict) else "")
    except TriangleIdError:
        return None
    lon, lat = centroid(triangle)
    if abs(lat) > BOX_LAT_MAX:
        return None
    height = BOX_DEGREES / 2**level
    width = min(height / cos(radians(lat)), BOX_DEGREES)
    sides = (_longitude(lon - width), max(lat - height, -90.0), _longitude(lon + width), min(lat + height, 90.0))
    texts = [f"{side:.6f}" for side in sides]
    west, south, east, north = map(float, texts)
    return ",".join(texts), Box.checked(south, west, north, east)


def _longitude(degrees: float) -> float:
    return (degrees + 180.0) % 360.0 - 180.0


def _counts(stats: dict[str, object]) -> CountsByLevel:
    """The counts that `GET /mesh/stats` tells, as far as they can be read; of levels with none there is none."""
    result = stats.get("result")
    levels = result.get("levels") if isinstance(result, dict) else None
    counts: CountsByLevel = {}
    for one in levels if isinstance(levels, list) else ():
        if isinstance(one, dict) and isinstance(one.get("level"), int):
            told = {name: one.get(name) for name in ("touched", "subdivided", "exhausted", "clicks")}
            numbers = {name: number if isinstance(number, int) else -1 for name, number in told.items()}
            if any(numbers.values()):
                counts[one["level"]] = LevelCounts(**numbers)
    return counts


def _height(answer: dict[str, object]) -> int:
    height = answer.get("height")
    if not isinstance(height, int) or not 0 <= height < 2**63:
        raise CommandError("the node's answer has no height; is this a STEP node?")
    return height


def _hash(answer: dict[str, object], name: str) -> bytes:
    text = answer.get(name)
    try:
        return bytes.fromhex(str(text).removeprefix("0x"))
    except ValueError as error:
        raise CommandError(f"/status: {name}: must be 0x and hex digits") from error
