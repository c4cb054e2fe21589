"""`economy verify` of a node somewhere: its batches over real libp2p, and what its API says of them, true or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from mesh import TriangleId
from p2p.libp2p_network import open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from p2p.network import Network
from step_node.amounts import step_text
from step_node.api.batches.receipts import ReceiptMaker
from step_node.api.models.proofs import FinalisedStatus
from step_node.api.models.trending import TrendingTriangle
from step_node.api.routes.trending import level_for
from step_node.batch.batch import decode_batch
from step_node.chain.chain import Chain
from step_node.cli.economy import node_source, told_fairness
from step_node.cli.economy.node_answers import NotTold, Told
from step_node.cli.economy.node_source import verify_node
from step_node.cli.economy.sources import Wishes
from step_node.cli.economy.told_by_node import BOX_LEVELS, _box_about_first
from step_node.cli.error_lines import CommandError
from step_node.cli.progress_lines import ProgressLines
from step_node.economy.fairness.reporter import FairnessReporter
from step_node.economy.observatory import Observatory
from step_node.economy.side_file import EconomyFile
from step_node.economy.trends import Area, Trends
from step_node.economy.verifying.claims import NAMED_MAX
from step_node.ledger.commitment import state_root
from step_node.network import chain_reader
from step_node.network.chain_reader import PeerOutOfReach, connected_reader, read_batches
from step_node.proofs.timestamps import format_timestamp
from step_node.receipts.document import receipt_json
from step_node.snapshot.initial_state import InitialStateError, initialise_store
from step_node.storage.interface import Prunable
from step_node.storage.memory import MemoryStorage
from tests.network.nodes import TEST_TIMEOUT_SECONDS, syncing_node
from tests.snapshot.snapshots import grow
from tests.snapshot.test_initial_state import RECORDS, with_state
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
        monkeypatch.setattr(node_source, "NodeAnswers", partial(MadeUpAnswers, answers=answers))
        yield chain, answers


class MadeUpAnswers:
    """Answers by their paths, with the query or without it; what is not among them is refused."""

    def __init__(self, url: str, *, answers: dict[str, Any]) -> None:
        self.url = url
        self._answers = answers

    async def get(self, path: str) -> Told:
        return Told(dict(self._found(path)), self._answers["/status"]["height"])

    async def get_bytes(self, path: str) -> bytes:
        return bytes(self._found(path))

    def _found(self, path: str) -> Any:
        found = self._answers.get(path, self._answers.get(path.partition("?")[0]))
        if found is None:
            raise NotTold("the node answers NOT_FOUND: it is not there")
        return found


async def truth(chain: Chain, network: Network) -> dict[str, Any]:
    head = chain.head
    reports, counts = await reports_of(chain), await chain.storage.level_counts()
    return {
        **await trending_of(chain),
        **await receipts_of(chain),
        **await accounts_of(chain),
        "/genesis": GENESIS.canonical_json(),
        "/guardrails": {
            "height": head.chain.height,
            "guardrails": [
                {"name": "supply", "figure": step_text(head.chain.minted_ustep)},
                {
                    "name": "conservation",
                    "figure": step_text(head.chain.minted_ustep),
                    "bound": step_text(head.chain.minted_ustep),
                },
            ],
        },
        "/fairness": {
            "epochs": [headline for _, (_, headline, _) in sorted(reports.items(), reverse=True)],
            "nextCursor": None,
        },
        **{f"/fairness/{epoch}": report for epoch, (report, _, _) in reports.items()},
        **{f"/fairness/{epoch}/drift": drift for epoch, (_, _, drift) in reports.items()},
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


async def reports_of(chain: Chain) -> dict[int, tuple[bytes, dict[str, Any], dict[str, Any]]]:
    """What a node says of the epochs that have ended."""
    file = EconomyFile.open(None, GENESIS.hash)
    reporter, answers = FairnessReporter(chain, file), dict[int, tuple[bytes, dict[str, Any], dict[str, Any]]]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reporter.run)
        with trio.fail_after(TEST_TIMEOUT_SECONDS):
            while len(await file.epochs()) < HEIGHT // 8:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    for epoch in await file.epochs():
        kept = await reporter.kept(epoch)
        assert kept is not None
        assert kept.headline is not None
        ((_, drift),) = await reporter.with_drift([kept.headline])
        drifts = [None if drift is None else drift.model_dump(mode="json", by_alias=True) for _ in range(2)]
        headline = kept.headline.model_dump(mode="json", by_alias=True) | {"drift": drifts[0]}
        answers[epoch] = kept.report, headline, {"ok": True, "epoch": epoch} | (drifts[1] or {})
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
        told = {level: await trends.top(at, level, None) for level in range(1, 22)}
        boxes = {}
        for level in BOX_LEVELS:
            first = told[level][0].triangle.text if told[level] else None
            found = _box_about_first({"triangles": [{"triangleId": first}]}, level)
            if found is not None:
                boxes[found[0]] = await trends.top(at, level_for(found[1]), Area(*found))
        signals = trends.signals
        nursery.cancel_scope.cancel()
    file.close()
    assert signals is not None
    return {
        # The whole chain is within one period, at whose beginning there was nothing yet.
        **{
            f"/plausibility/accounts/0x{one.address.hex()}": {
                "periodBeginsAt": format_timestamp(signals.begins_ms),
                "isComplete": True,
                "proofs": 0,
                "implausibilityBps": 0,
                "reasons": [],
            }
            for one in await chain.storage.leaderboard(limit=100)
        },
        **{
            f"/trending?level={level}&limit=100": {
                "height": at.height,
                "isComplete": True,
                "triangles": [TrendingTriangle.of(one).model_dump(mode="json", by_alias=True) for one in regions],
            }
            for level, regions in told.items()
        },
        **{
            f"/trending?bbox={box}&limit=100": {
                "height": at.height,
                "isComplete": True,
                "triangles": [TrendingTriangle.of(one).model_dump(mode="json", by_alias=True) for one in regions],
            }
            for box, regions in boxes.items()
        },
    }


async def accounts_of(chain: Chain) -> dict[str, Any]:
    return {
        f"/account/0x{one.address.hex()}": {
            "balance": step_text(one.balance_ustep),
            "proofs": one.proofs,
            "nextSequence": one.operations,
            "lastProof": None
            if one.last_proof is None
            else {
                "timestamp": format_timestamp(one.last_proof.timestamp_ms),
                "lat": one.last_proof.lat,
                "lon": one.last_proof.lon,
            },
        }
        for one in await chain.storage.leaderboard(limit=100)
    }


async def receipts_of(chain: Chain) -> dict[str, Any]:
    """What a node says of every proof, and its receipt."""
    maker = ReceiptMaker(chain.storage, trust=GENESIS.trust(), links_to=lambda _hash: ())
    told: dict[str, Any] = {}
    for height in range(1, HEIGHT + 1):
        receipts = await maker.of_batch(height)
        assert receipts is not None
        (stored,) = await chain.storage.batches(height, 1)
        proofs = [proof.proof_id for proof in decode_batch(stored.batch).proofs]
        for receipt in await chain.storage.receipts(proofs):
            path = f"0x{receipt.proof_id.hex()}"
            told[f"/proof/status/{path}"] = FinalisedStatus.of(receipt).model_dump(mode="json", by_alias=True)
            told[f"/proof/{path}/receipt"] = receipt_json(receipts.of_proof(receipt.proof_id))
    return told


def wishes(*, first: int = 1, last: int | None = None, genesis: Path | None = None) -> Wishes:
    return Wishes(first, last, genesis, False, None, ProgressLines(quiet=True))


async def test_an_honest_node_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(tmp_path, monkeypatch) as (_, answers):
        verdict = await verify_node(URL, [], wishes())
        assert verdict.holds
        assert (verdict.head.chain.height, verdict.proofs) == (HEIGHT, HEIGHT)
        assert verdict.compared == {
            "accounts": 20,
            "counts by level": 1,
            "drifts": 2,
            "fairness reports": 2,
            "leaderboards": 1,
            "plausible accounts": 20,
            "receipts": 20,
            "statuses": 2,
            "supplies": 1,
            "trending boxes": 3,
            "trending levels": 21,
        }
        assert (verdict.not_checked, verdict.is_whole) == ([], True)
        # A peer alone, with a genesis of one's own.
        genesis = tmp_path / "genesis.json"
        genesis.write_bytes(GENESIS.canonical_json())
        addresses = answers["/status"]["p2pAddresses"]
        verdict = await verify_node(None, addresses, wishes(last=18, genesis=genesis))
        assert (verdict.holds, verdict.head.chain.height) == (True, 18)


async def test_each_lie_of_the_api_is_named_with_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(tmp_path, monkeypatch) as (chain, answers):
        third, fifth = (one["account"] for one in answers["/leaderboard"]["accounts"][2:5:2])
        balance = answers["/leaderboard"]["accounts"][2]["balance"]
        answers["/status"]["stateRoot"] = "0x" + "11" * 32
        answers["/leaderboard"]["accounts"][2]["balance"] = "5.000000"
        answers[f"/account/{fifth}"]["balance"] = "6.000000"
        answers["/guardrails"]["guardrails"][0]["figure"] = "7.000000"
        answers["/mesh/stats"]["result"]["levels"][0]["clicks"] += 1
        answers["/fairness/1"] = answers["/fairness/1"].replace(b'"accounts":', b'"accounts":9', 1)
        answers["/fairness"]["epochs"][0]["incomeGiniPpm"] = 999_999
        answers["/fairness/2/drift"]["incomeGiniPpm"] += 1
        trending = answers["/trending?level=10&limit=100"]["triangles"]
        trending[4]["parts"]["clicks"] += 1
        trending.pop()
        (box, *_) = (path for path in answers if path.startswith("/trending?bbox="))
        answers[box]["triangles"][0]["score"] += 1
        answers[f"/plausibility/accounts/{third}"]["implausibilityBps"] = 9_999
        (proof,) = (path for path in answers if path.startswith("/proof/status") and answers[path]["height"] == 7)
        answers[proof] = answers[proof] | {"reward": "9.000000"}
        (other,) = (path for path in answers if path.startswith("/proof/status") and answers[path]["height"] == 8)
        receipt = f"/proof/{other.rpartition('/')[2]}/receipt"
        answers[receipt] = answers[receipt].replace(b'"reward":"', b'"reward":"1', 1)
        verdict = await verify_node(URL, [], wishes())
        assert sorted(one.what for one in verdict.differences) == sorted(
            [
                "state root of GET /status",
                "state root of GET /status",
                f"balance of {third}, place 3 of the leaderboard",
                f"balance of account {fifth}",
                "the supply",
                "clicks at level 10",
                "fairness of epoch 1.accounts",
                "headline of epoch 2 in /fairness.incomeGiniPpm",
                "drift of epoch 2.incomeGiniPpm",
                f"clicks of {trending[4]['triangleId']}, place 5 of what trends in level 10",
                f"place {HEIGHT} of what trends in level 10",
                f"score of {answers[box]['triangles'][0]['triangleId']}, place 1 of what trends in box"
                f" {box.removeprefix('/trending?bbox=').removesuffix('&limit=100')} at level"
                f" {TriangleId.parse(answers[box]['triangles'][0]['triangleId']).level}",
                f"plausibility of {third}.implausibilityBps",
                f"reward of proof {proof.rpartition('/')[2]} in its status",
                f"reward in the receipt of proof {other.rpartition('/')[2]}",
            ]
        )
        by_what = {one.what: one for one in verdict.differences}
        assert str(by_what[f"balance of {third}, place 3 of the leaderboard"]) == (
            f'height {HEIGHT}: balance of {third}, place 3 of the leaderboard: said is "5.000000", and the batches make'
            f' "{balance}"'
        )
        supply = by_what["the supply"]
        minted = step_text(chain.head.chain.minted_ustep)
        assert (supply.height, supply.said, supply.recomputed) == (HEIGHT, "7.000000 STEP", f"{minted} STEP")
        assert by_what[f"reward of proof {proof.rpartition('/')[2]} in its status"].height == 7


async def test_what_cannot_be_had_is_named_with_the_reason_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path, monkeypatch) as (_, answers):
        del answers["/fairness/2"]
        del answers["/fairness/2/drift"]
        del answers["/leaderboard"]
        for level in range(1, 22):
            del answers[f"/trending?level={level}&limit=100"]
        verdict = await verify_node(URL, [], wishes())
        assert (verdict.holds, verdict.is_whole) == (True, False)
        assert verdict.compared == {
            "counts by level": 1,
            "drifts": 1,
            "fairness reports": 1,
            "receipts": 20,
            "statuses": 2,
            "supplies": 1,
        }
        because = "the node answers NOT_FOUND: it is not there"
        assert {str(one) for one in verdict.not_checked} == {
            f"leaderboards: the highest balances, because {because}",
            f"trending levels: level 1, level 2, level 3, … (21 in all), because {because}",
            f"fairness reports: epoch 2, because {because}",
            f"drifts: epoch 2, because {because}",
        }
        # A list that cannot be had, and one without an epoch that has ended.
        answers["/fairness"]["epochs"].pop()
        verdict = await verify_node(URL, [], wishes())
        told = {one.because: one.which for one in verdict.not_checked if one.subject == "fairness reports"}
        assert told == {because: ["epoch 2"], "the node lists no report of it": ["epoch 1"]}
        del answers["/fairness"]
        verdict = await verify_node(URL, [], wishes())
        (left_out,) = (one for one in verdict.not_checked if one.subject == "fairness reports")
        assert (left_out.which, left_out.because) == (
            ["epoch 1", "epoch 2"],
            f"the list of reports cannot be had: {because}",
        )
        assert verdict.holds


async def test_a_node_that_lacks_a_part_of_the_window_is_not_held_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path, monkeypatch) as (_, answers):
        answers["/trending?level=3&limit=100"] |= {"isComplete": False, "completeFromHeight": 9, "triangles": []}
        verdict = await verify_node(URL, [], wishes())
        assert (verdict.holds, verdict.is_whole) == (True, False)
        assert [str(one) for one in verdict.not_checked] == [
            "trending levels: level 3, because the node lacks a part of the window: it has it from height 9 on"
        ]


async def test_a_node_that_goes_on_while_it_is_asked_is_held_to_one_of_the_heights_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path, monkeypatch) as (_, answers):
        # It says a height, and has read its store when it stood a batch further.
        asked_at = {"/leaderboard", "/mesh/stats", *(path for path in answers if path.startswith("/account/"))}

        class Ahead(MadeUpAnswers):
            async def get(self, path: str) -> Told:
                told = await super().get(path)
                return Told(told.body, HEIGHT - 1) if path.partition("?")[0] in asked_at else told

        monkeypatch.setattr(node_source, "NodeAnswers", partial(Ahead, answers=answers))
        verdict = await verify_node(URL, [], wishes())
        assert (verdict.holds, verdict.compared["leaderboards"], verdict.compared["accounts"]) == (True, 1, 20)
        answers["/leaderboard"]["accounts"][0]["proofs"] += 1
        verdict = await verify_node(URL, [], wishes())
        assert len(verdict.differences) == 1
        assert verdict.differences[0].what.startswith("proofs of 0x")


async def test_answers_that_never_end_or_that_no_report_has_are_named_and_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told_fairness, "FAIRNESS_REPORTS_MAX", 3 * told_fairness.FAIRNESS_PAGE)
    async with served(tmp_path, monkeypatch) as (_, answers):
        listed = answers["/fairness"]["epochs"]
        answers["/fairness"] = {"epochs": [listed[0], {"epoch": 10**9}], "nextCursor": "again"}
        answers["/fairness/2"] = answers["/fairness/2"].replace(b'"accounts":', b'"\\ud800\\u001b":1,"accounts":', 1)
        answers["/leaderboard"]["accounts"] = ["nobody"] * 10_000
        answers["/mesh/stats"]["result"]["levels"] += [{"level": level, "clicks": 1} for level in range(100, 10_000)]
        with trio.fail_after(TEST_TIMEOUT_SECONDS):
            verdict = await verify_node(URL, [], wishes())
        assert len(verdict.differences) == 2 * NAMED_MAX + 1
        (told,) = (one.what for one in verdict.differences if one.what.startswith("fairness of epoch 2"))
        assert told == 'fairness of epoch 2."\\ud800\\u001b"'


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
        assert isinstance(chain.storage, MemoryStorage)
        del chain.storage._batches[11]
        verdict = await verify_node(URL, [], wishes())
        assert verdict.rejected is not None
        assert (verdict.rejected.height, verdict.head.chain.height) == (11, 10)
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


async def test_a_chain_that_began_with_a_state_is_executed_from_its_file_and_from_no_other(tmp_path: Path) -> None:
    state, other = tmp_path / "initial_state.bin", tmp_path / "other"
    genesis, path = with_state(state, genesis=make_genesis(4)), tmp_path / "genesis.json"
    with_state(other, records=RECORDS[:-1])
    path.write_bytes(genesis.canonical_json())
    storage = MemoryStorage()
    await initialise_store(storage, genesis, state)
    chain = await open_chain(genesis, storage=storage)
    await grow(chain, 3)
    async with syncing_node(Loopback(), "node", chain, tmp_path) as node:
        addresses = list(node.network.listen_addresses)
        asked = wishes(last=3, genesis=path)
        verdict = await verify_node(None, addresses, replace(asked, initial_state=state))
        assert (verdict.holds, verdict.is_whole, verdict.head) == (True, True, chain.head)
        with pytest.raises(CommandError, match="name a copy of it"):
            await verify_node(None, addresses, asked)
        with pytest.raises(InitialStateError, match="it is another chain's file"):
            await verify_node(None, addresses, replace(asked, initial_state=other))
        path.write_bytes(GENESIS.canonical_json())
        with pytest.raises(CommandError, match="genesis names no initial state: leave it out"):
            await verify_node(None, addresses, replace(asked, initial_state=state))
