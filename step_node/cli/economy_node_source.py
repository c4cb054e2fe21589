"""A node somewhere, for `step-node economy verify`: its batches over libp2p, and what its API says of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Final
from urllib.parse import quote, urlsplit

import rfc8785
import trio
from pydantic.alias_generators import to_camel

from mesh import LEVEL_MAX, LEVEL_MIN
from p2p.addresses import parse_peer_address
from step_node.amounts import step_text
from step_node.api.models.schema import ADDRESS_PATTERN
from step_node.api.models.trending import TrendingTriangle
from step_node.chain.genesis import Genesis, load_genesis, parse_genesis
from step_node.cli.economy_sources import IN_MEMORY_RECORDS_MAX, Wishes, scratch_store
from step_node.cli.error_lines import CommandError
from step_node.cli.http_calls import get_bytes, get_json
from step_node.clock import SystemClock
from step_node.economy.columns import PERIOD_MS, period_of
from step_node.economy.fairness.fold import heights_of
from step_node.economy.fairness.report import report_hash
from step_node.economy.trends import TRENDING_MAX
from step_node.economy.verifying.claims import (
    NAMED_MAX,
    Claim,
    Difference,
    FairnessClaim,
    LevelCountsClaim,
    RootClaim,
    json_differences,
)
from step_node.economy.verifying.replay import Replay
from step_node.economy.verifying.verdict import Verdict, verify
from step_node.ledger.level_counts import CountsByLevel, LevelCounts
from step_node.network.chain_reader import connected_reader, read_batches
from step_node.proofs.timestamps import format_timestamp
from step_node.snapshot.initial_state import initialise_store

LEADERBOARD_MAX: Final = 100
PLAUSIBILITY_ASKED: Final = 20
"""Accounts whose plausibility is asked for."""
FAIRNESS_PAGE: Final = 100
FAIRNESS_REPORTS_MAX: Final = 100_000
"""Reports of one node that are asked for: whatever answers is believed nothing."""
STEADY_TRIES_MAX: Final = 5
"""How often a node is asked anew because it has gone on between two answers."""

Get = Callable[[str], dict[str, object]]


@dataclass(frozen=True, slots=True)
class LeaderboardClaim:
    """The highest balances, as `GET /leaderboard` lists them."""

    height: int
    accounts: Sequence[object]
    subject: str = "leaderboards"

    async def compare(self, replay: Replay) -> Sequence[Difference] | None:
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
        return [
            Difference(self.height, f"place {place} of the leaderboard", _shown(said), _shown(mine))
            for place, (said, mine) in enumerate(zip_longest(self.accounts, ours), start=1)
            if said != mine
        ][:NAMED_MAX]


@dataclass(frozen=True, slots=True)
class ToldFairnessClaim:
    """The report of an epoch as `GET /fairness/{epoch}` tells it, asked for when the replay has come to its end."""

    height: int
    epoch: int
    get: Get
    subject: str = "fairness reports"

    async def compare(self, replay: Replay) -> Sequence[Difference] | None:
        """See `Claim`."""
        answer = await trio.to_thread.run_sync(self.get, f"/fairness/{self.epoch}")
        report = answer.get("report")
        if not isinstance(report, dict):
            return None  # Switched off meanwhile, say.
        try:
            canonical_json = rfc8785.dumps(report)
        except (ValueError, RecursionError) as error:
            # Numbers that are none, half a character in a value or in a name, more levels than can be gone through.
            return [Difference(self.height, f"fairness of epoch {self.epoch}", f"not canonical: {error}", "a report")]
        found = list(await FairnessClaim(self.height, self.epoch, canonical_json).compare(replay) or ())
        own_hash = f"0x{report_hash(canonical_json).hex()}"
        if answer.get("reportHash") != own_hash:
            said = str(answer.get("reportHash"))
            found.append(Difference(self.height, f"hash of the fairness report of epoch {self.epoch}", said, own_hash))
        return found


@dataclass(frozen=True, slots=True)
class ToldTrendingClaim:
    """What trends at a level, as `GET /trending` tells it; its scores have the signals of plausibility in them."""

    height: int
    level: int
    answer: dict[str, object]
    subject: str = "trending levels"

    async def compare(self, replay: Replay) -> Sequence[Difference] | None:
        """See `Claim`."""
        if self.answer.get("isComplete") is not True or not replay.derived.window.is_complete:
            return None  # A node that lacks a part of the window says so, and is not held to it.
        made = await replay.derived.trending(self.level, TRENDING_MAX)
        ours = [TrendingTriangle.of(region).model_dump(mode="json", by_alias=True) for region in made]
        return [
            Difference(self.height, f"trending at level {self.level}{path}", said, mine)
            for path, said, mine in json_differences(self.answer.get("triangles"), ours)
        ][:NAMED_MAX]


@dataclass(frozen=True, slots=True)
class ToldPlausibilityClaim:
    """What `GET /plausibility/accounts/{address}` tells of an account, by the period that the answer names."""

    height: int
    account: str
    answer: dict[str, object]
    subject: str = "plausible accounts"

    async def compare(self, replay: Replay) -> Sequence[Difference] | None:
        """See `Claim`."""
        window = replay.derived.window
        begins = format_timestamp(period_of(window.batch_time_ms) * PERIOD_MS)
        is_comparable = self.answer.get("isComplete") is True and self.answer.get("periodBeginsAt") == begins
        if not is_comparable or not window.is_complete:
            return None
        score = (await replay.derived.signals()).account(bytes.fromhex(self.account[2:]))
        ours: dict[str, object] = {
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
        said = {name: self.answer.get(name) for name in ours}
        return [
            Difference(self.height, f"plausibility of {self.account}{path}", theirs, mine)
            for path, theirs, mine in json_differences(said, ours)
        ][:NAMED_MAX]


def _shown(place: object) -> str | None:
    return None if place is None else json.dumps(place)


async def verify_node(url: str | None, peers: Sequence[str], wishes: Wishes) -> Verdict:
    """Verify the chain that the node at `url` serves, its batches read from the first of `peers` that answers, or from
    the addresses that it tells. Raises `CommandError`, `StepNodeError`, `NetworkError`, OSError."""
    if wishes.first > 1:
        raise CommandError(
            f"--from: {wishes.first}: a node gives no state to begin with: leave --from out, or verify a backup"
        )
    genesis = await _genesis(url, wishes)
    if genesis.initial_state is not None:
        raise CommandError(
            "genesis: names an initial state, whose file a node gives nobody: verify a home or a backup, which has it"
        )
    claims: list[Claim] = []
    addresses, height, records = list(peers), wishes.last, IN_MEMORY_RECORDS_MAX + 1
    if url is not None:
        get = partial(get_json, url)
        status, claims = await trio.to_thread.run_sync(_said, get, genesis)
        addresses = addresses or _addresses(status, url)
        claims += await trio.to_thread.run_sync(_trending_told, get)
        there = max(claim.height for claim in claims)
        claims += await trio.to_thread.run_sync(_fairness_told, get, genesis.parameters.epoch_batches, there)
        height = there if height is None else height
        counts = _counts(await trio.to_thread.run_sync(get, "/mesh/stats"))
        # An account for each triangle is more than there are, where people stay.
        records = 2 * sum(one.touched for one in counts.values())
    if height is None:
        raise CommandError("--to: say up to which height, or give the node's --url as well, which says where it stands")
    async with scratch_store(wishes, records) as (folder, made):
        await initialise_store(made, genesis, folder / "initial_state.bin")
        for address in addresses:
            try:
                parse_peer_address(address)
            except ValueError as error:
                raise CommandError(f"--peer: {error}") from error
        async with connected_reader(addresses, genesis) as (network, address):
            replay = await Replay.begin(genesis, made, SystemClock(), trusts_quorums=wishes.trusts_quorums)
            batches = read_batches(network, address, 1, height)
            return await verify(replay, batches, claims, last=height, progress=wishes.progress)


async def _genesis(url: str | None, wishes: Wishes) -> Genesis:
    if wishes.genesis is not None:
        return load_genesis(wishes.genesis)
    if url is None:
        raise CommandError("--genesis: give the chain's genesis.json: a peer does not tell it")
    data = await trio.to_thread.run_sync(partial(get_bytes, url, "/genesis", accept="application/json"))
    try:
        return parse_genesis(data.decode(), name=f"{url}/genesis")
    except UnicodeDecodeError as error:
        raise CommandError(f"{url}/genesis: the answer is not text; is this a STEP node?") from error


def _said(get: Get, genesis: Genesis) -> tuple[dict[str, object], list[Claim]]:
    """The node's status, and what it says of one height. Blocks."""
    status = get("/status")
    hash_said = status.get("genesisHash")
    if hash_said != f"0x{genesis.hash.hex()}":
        raise CommandError(
            f"genesis: the node's chain has the genesis {hash_said}, and this one is 0x{genesis.hash.hex()}: what is to"
            " be verified is another chain"
        )
    claims: list[Claim] = []
    for _ in range(STEADY_TRIES_MAX):
        status, leaderboard = get("/status"), get(f"/leaderboard?limit={LEADERBOARD_MAX}")
        stats, after = get("/mesh/stats"), get("/status")
        if status.get("height") == after.get("height"):
            accounts = leaderboard.get("accounts")
            claims.append(LeaderboardClaim(_height(status), accounts if isinstance(accounts, list) else []))
            claims.append(LevelCountsClaim(_height(status), _counts(stats)))
            claims += _plausibility_told(get, _height(status), accounts)
            break
    claims.append(
        RootClaim(_height(status), _hash(status, "batchHash"), _hash(status, "stateRoot"), "GET /status", "statuses")
    )
    return status, claims


def _trending_told(get: Get) -> list[Claim]:
    """What trends at each level, each as of the height that its answer names; nothing of what is switched off.

    Blocks."""
    claims: list[Claim] = []
    for level in range(LEVEL_MIN, LEVEL_MAX + 1):
        answer = get(f"/trending?level={level}&limit={TRENDING_MAX}")
        if isinstance(answer.get("triangles"), list) and _height(answer) > 0:
            claims.append(ToldTrendingClaim(_height(answer), level, answer))
    return claims


def _plausibility_told(get: Get, height: int, accounts: object) -> list[Claim]:
    """What the signals say of the first accounts of the leaderboard, if nothing is switched off. Blocks."""
    claims: list[Claim] = []
    for one in accounts[:PLAUSIBILITY_ASKED] if isinstance(accounts, list) else ():
        account = one.get("account") if isinstance(one, dict) else None
        if isinstance(account, str) and re.fullmatch(ADDRESS_PATTERN, account):
            answer = get(f"/plausibility/accounts/{account}")
            if isinstance(answer.get("reasons"), list):
                claims.append(ToldPlausibilityClaim(height, account, answer))
    return claims


def _fairness_told(get: Get, epoch_batches: int, last: int) -> list[Claim]:
    """The reports that the node lists, of epochs that have ended at `last`. Blocks."""
    claims: list[Claim] = []
    path = f"/fairness?limit={FAIRNESS_PAGE}"
    for _ in range(FAIRNESS_REPORTS_MAX // FAIRNESS_PAGE):
        answer = get(path)
        listed = answer.get("epochs")
        for one in listed if isinstance(listed, list) else ():
            epoch = one.get("epoch") if isinstance(one, dict) else None
            if isinstance(epoch, int) and 0 < heights_of(epoch, epoch_batches)[1] <= last:
                claims.append(ToldFairnessClaim(heights_of(epoch, epoch_batches)[1], epoch, get))
        cursor = answer.get("nextCursor")
        if not isinstance(cursor, str) or not listed:
            break
        path = f"/fairness?limit={FAIRNESS_PAGE}&before={quote(cursor)}"
    return claims[:FAIRNESS_REPORTS_MAX]


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


def _addresses(status: dict[str, object], url: str) -> list[str]:
    """Where the node says that it can be dialled; one that listens everywhere, at the host of its API."""
    host = urlsplit(url).hostname or ""
    kind = "ip4" if host.replace(".", "").isdigit() else "ip6" if ":" in host else "dns"
    told = status.get("p2pAddresses")
    addresses = [str(one) for one in told] if isinstance(told, list) else []
    here = [
        address.replace("/ip4/0.0.0.0/", f"/{kind}/{host}/").replace("/ip6/::/", f"/{kind}/{host}/")
        for address in addresses
    ]
    if not here:
        raise CommandError(f"{url}: the node tells no address to dial: name one with --peer /ip4/…/tcp/…/p2p/…")
    return here
