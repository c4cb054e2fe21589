"""`economy verify` of a node somewhere: its batches over real libp2p, and what its API says of them, true or not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import trio

from p2p.libp2p_network import open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from p2p.network import Network
from step_node.amounts import step_text
from step_node.api.models.trending import TrendingTriangle
from step_node.chain.chain import Chain
from step_node.cli import economy_node_source
from step_node.cli.economy_node_source import verify_node
from step_node.cli.economy_sources import Wishes
from step_node.cli.error_lines import CommandError
from step_node.cli.progress_lines import ProgressLines
from step_node.economy.fairness.reporter import FairnessReporter
from step_node.economy.observatory import Observatory
from step_node.economy.side_file import EconomyFile
from step_node.economy.trends import Trends
from step_node.economy.verifying.claims import NAMED_MAX
from step_node.ledger.commitment import state_root
from step_node.network import chain_reader
from step_node.network.chain_reader import PeerOutOfReach, connected_reader, read_batches
from step_node.proofs.timestamps import format_timestamp
from step_node.storage.interface import Prunable
from tests.network.nodes import TEST_TIMEOUT_SECONDS, syncing_node
from tests.snapshot.snapshots import grow
from tests.support.chains import make_genesis, open_chain
from tests.support.proofs import private_key

GENESIS = make_genesis(4, epoch_batches=8)
HEIGHT = 20
URL = "http://node.example"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for other machines need not wait here."""
    monkeypatch.setattr(chain_reader, "TRY_AGAIN_SECONDS", 0.01)


class Loopback:
    """Where the one node is joined."""

    def join(self, name: str, /) -> Any:
        return open_libp2p_network(
            Libp2pSettings(private_key=private_key(name), listen_addresses=("/ip4/127.0.0.1/tcp/0",))
        )


@asynccontextmanager
async def served(home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Chain, dict[str, Any]]]:
    """A node of `HEIGHT` batches, and the answers that its API gives, which a test may change."""
    chain = await open_chain(GENESIS)
    await grow(chain, HEIGHT)
    async with syncing_node(Loopback(), "node", chain, home) as node:
        answers = await truth(chain, node.network)

        def get_json(_url: str, path: str) -> dict[str, object]:
            refusal = {"ok": False, "code": "NOT_FOUND"}
            return dict(answers.get(path, answers.get(path.partition("?")[0], refusal)))

        monkeypatch.setattr(economy_node_source, "get_json", get_json)
        monkeypatch.setattr(economy_node_source, "get_bytes", lambda *_, **__: GENESIS.canonical_json())
        yield chain, answers


async def truth(chain: Chain, network: Network) -> dict[str, Any]:
    head = chain.head
    reports, counts = await reports_of(chain), await chain.storage.level_counts()
    return {
        **await trending_of(chain),
        "/fairness": {"epochs": [{"epoch": epoch} for epoch in reversed(reports)], "nextCursor": None},
        **{f"/fairness/{epoch}": answer for epoch, answer in reports.items()},
        "/mesh/stats": {
            "result": {"levels": [{"level": level, **asdict(of_level)} for level, of_level in counts.items()]}
        },
        "/status": {
            "genesisHash": f"0x{GENESIS.hash.hex()}",
            "height": head.chain.height,
            "batchHash": f"0x{head.chain.batch_hash.hex()}",
            "stateRoot": f"0x{state_root(head.lanes).hex()}",
            "p2pAddresses": list(network.listen_addresses),
        },
        "/leaderboard": {
            "accounts": [
                {
                    "rank": rank,
                    "account": f"0x{one.address.hex()}",
                    "balance": step_text(one.balance_ustep),
                    "proofs": one.proofs,
                }
                for rank, one in enumerate(await chain.storage.leaderboard(limit=100), start=1)
            ]
        },
    }


async def reports_of(chain: Chain) -> dict[int, dict[str, Any]]:
    """What a node says of the epochs that have ended."""
    file = EconomyFile.open(None, GENESIS.hash)
    reporter, answers = FairnessReporter(chain, file), {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reporter.run)
        with trio.fail_after(TEST_TIMEOUT_SECONDS):
            while len(await file.epochs()) < HEIGHT // 8:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    for epoch in await file.epochs():
        kept = await reporter.kept(epoch)
        assert kept is not None
        report_hash = hashlib.sha256(kept.report).hexdigest()
        answers[epoch] = {"report": json.loads(kept.report), "reportHash": f"0x{report_hash}"}
    file.close()
    return answers


async def trending_of(chain: Chain) -> dict[str, Any]:
    """What a node says of two levels; the others are as if they were not answered."""
    file = EconomyFile.open(None, GENESIS.hash)
    observatory = Observatory(storage=chain.storage, file=file, height=lambda: chain.head.chain.height)
    trends = Trends(observatory)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(observatory.run)
        nursery.start_soon(trends.run)
        with trio.fail_after(TEST_TIMEOUT_SECONDS):
            while (at := trends.now()) is None or not at.is_complete or at.height < HEIGHT:
                await trio.sleep(0.01)
        told = {level: await trends.top(at, level, None) for level in (2, 10)}
        signals = trends.signals
        nursery.cancel_scope.cancel()
    file.close()
    assert signals is not None
    richest = f"0x{(await chain.storage.leaderboard(limit=1))[0].address.hex()}"
    return {
        # The whole chain is within one period, at whose beginning there was nothing yet.
        f"/plausibility/accounts/{richest}": {
            "periodBeginsAt": format_timestamp(signals.begins_ms),
            "isComplete": True,
            "proofs": 0,
            "implausibilityBps": 0,
            "reasons": [],
        },
        **{
            f"/trending?level={level}&limit=100": {
                "height": at.height,
                "isComplete": level == 10,
                "triangles": [TrendingTriangle.of(one).model_dump(mode="json", by_alias=True) for one in regions],
            }
            for level, regions in told.items()
        },
    }


def wishes(*, first: int = 1, last: int | None = None, genesis: Path | None = None) -> Wishes:
    return Wishes(first, last, genesis, False, None, ProgressLines(quiet=True))


async def test_an_honest_node_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(tmp_path, monkeypatch) as (_, answers):
        verdict = await verify_node(URL, [], wishes())
        assert verdict.holds
        assert (verdict.head.chain.height, verdict.proofs) == (HEIGHT, HEIGHT)
        assert verdict.compared == {
            "fairness reports": 2,
            "leaderboards": 1,
            "plausible accounts": 1,
            "counts by level": 1,
            "statuses": 1,
            "trending levels": 1,
        }
        assert verdict.not_compared == {"trending levels": 1}
        # A peer alone, with a genesis of one's own.
        genesis = tmp_path / "genesis.json"
        genesis.write_bytes(GENESIS.canonical_json())
        addresses = answers["/status"]["p2pAddresses"]
        verdict = await verify_node(None, addresses, wishes(last=18, genesis=genesis))
        assert (verdict.holds, verdict.head.chain.height) == (True, 18)


async def test_each_lie_of_the_api_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(tmp_path, monkeypatch) as (_, answers):
        answers["/status"]["stateRoot"] = "0x" + "11" * 32
        answers["/leaderboard"]["accounts"][2]["balance"] = "5.000000"
        answers["/mesh/stats"]["result"]["levels"][0]["clicks"] += 1
        answers["/fairness/1"]["report"]["accounts"] += 1
        trending = answers["/trending?level=10&limit=100"]["triangles"]
        trending[4]["parts"]["clicks"] += 1
        trending.pop()
        (plausibility,) = (path for path in answers if path.startswith("/plausibility"))
        answers[plausibility]["implausibilityBps"] = 9_999
        verdict = await verify_node(URL, [], wishes())
        assert sorted(one.what for one in verdict.differences) == [
            "clicks at level 10",
            "fairness of epoch 1.accounts",
            "hash of the fairness report of epoch 1",
            "place 3 of the leaderboard",
            f"plausibility of {plausibility.rpartition('/')[2]}.implausibilityBps",
            "state root of GET /status",
            "trending at level 10: how many",
            "trending at level 10[4].parts.clicks",
        ]


async def test_answers_that_never_end_or_that_no_report_has_are_named_and_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(economy_node_source, "FAIRNESS_REPORTS_MAX", 3 * economy_node_source.FAIRNESS_PAGE)
    async with served(tmp_path, monkeypatch) as (_, answers):
        answers["/fairness"] = {"epochs": [{"epoch": 2}, {"epoch": 10**9}], "nextCursor": "again"}
        answers["/fairness/2"]["report"]["\ud800"] = 1
        answers["/leaderboard"]["accounts"] = ["nobody"] * 10_000
        answers["/mesh/stats"]["result"]["levels"] += [{"level": level, "clicks": 1} for level in range(100, 10_000)]
        with trio.fail_after(TEST_TIMEOUT_SECONDS):
            verdict = await verify_node(URL, [], wishes())
        assert len(verdict.differences) == 2 * NAMED_MAX + 3
        said = {one.said or "" for one in verdict.differences if one.what == "fairness of epoch 2"}
        assert all(one.startswith("not canonical: ") for one in said)
        assert len(said) == 1


async def test_a_node_that_lacks_the_past_or_is_of_another_chain_is_an_error_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path, monkeypatch) as (chain, answers):
        with pytest.raises(CommandError, match="a node gives no state to begin with"):
            await verify_node(URL, [], wishes(first=2))
        with pytest.raises(CommandError, match="give the chain's genesis"):
            await verify_node(None, answers["/status"]["p2pAddresses"], wishes(last=2))
        with pytest.raises(CommandError, match=r"--peer: '/ip4/127\.0\.0\.1' must be"):
            await verify_node(URL, ["/ip4/127.0.0.1"], wishes())
        other = tmp_path / "other.json"
        other.write_bytes(make_genesis(3).canonical_json())
        with pytest.raises(CommandError, match="is another chain"):
            await verify_node(URL, [], wishes(genesis=other))
        while await chain.storage.prune(Prunable.BATCHES, below=5):
            pass
        verdict = await verify_node(URL, [], wishes())
        assert verdict.rejected is not None
        assert str(verdict.rejected).startswith("batch 1: the node does not give it")


async def test_a_node_out_of_reach_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path, monkeypatch) as (_, answers):
        peer_id = answers["/status"]["p2pAddresses"][0].rpartition("/")[2]
    with pytest.raises(PeerOutOfReach, match="Name another address of it with --peer"):
        await verify_node(URL, [f"/ip4/127.0.0.1/tcp/1/p2p/{peer_id}"], wishes())


async def test_a_connection_that_is_lost_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path, monkeypatch) as (_, answers):
        address = answers["/status"]["p2pAddresses"][0]
        async with connected_reader([address], GENESIS) as (network, reached):
            assert reached == address
            async with aclosing(read_batches(network, address, 1, HEIGHT)) as batches:
                await anext(batches)
                await network.disconnect(network.peers()[0])
                assert len([one async for one in batches]) == HEIGHT - 1
