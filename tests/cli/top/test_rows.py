"""From nodes' answers to the rows that people and programs see."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from step_node.cli.top.asking import BATCHES_AT_ONCE_MAX, Asker
from step_node.cli.top.readings import HEIGHTS_WATCHED_MAX, Finality, UnreadableReading, mempool_places
from step_node.cli.top.rows import (
    as_json,
    event_line,
    headline,
    node_rows,
    peer_rows,
    seconds_text,
    troubles,
    validator_rows,
)
from tests.cli.top.made_up import FOURTH, METRICS, OTHER, OWN, THIRD, URL, URL_OF_ANOTHER, MadeUpNodes

NOW_MS = int(datetime(2026, 1, 1, 0, 1, 5, tzinfo=UTC).timestamp() * 1000)


class Seconds:
    """A clock that stands until it is told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def test_a_node_is_one_row_with_all_that_it_says() -> None:
    nodes = MadeUpNodes()
    nodes.add("a.example")
    seen = await Asker([URL + "/"], nodes.client(), Seconds()).look()
    assert headline(seen) == "made-up  height 42  quorum 3  1 of 1 nodes answer"
    assert node_rows(seen, NOW_MS) == [
        (URL, "ok", "42", "2", "PRE_VOTE", "1 min 5 s", "1", "7/50000", "0.50 s", "0.90 s")
    ]
    assert peer_rows(seen.nodes[0]) == [
        ("16Uiu2HAm1z…", "outbound", "41", "0.1.0", "0x2222222…", "/ip4/192.0.2.1/tcp/26600")
    ]
    assert troubles(seen) == []


async def test_it_shows_who_votes_now_and_who_took_part_in_the_last_hundred_heights() -> None:
    nodes = MadeUpNodes()
    nodes.add("a.example", height=250)
    for height in range(1, 251):
        nodes.signers["a.example", height] = [OWN, OTHER, THIRD] if height % 2 else [OWN, OTHER]
    asker = Asker([URL], nodes.client(), Seconds())
    seen = await asker.look()
    assert seen.participation.heights == BATCHES_AT_ONCE_MAX
    for _ in range(5):
        seen = await asker.look()
    assert seen.participation.heights == HEIGHTS_WATCHED_MAX == 100
    assert validator_rows(seen.nodes[0], seen.participation) == [
        ("0x1111111…", "this node", "nil", "…", "100/100", "##########"),
        ("0x2222222… *", "connected", "0xabababa…", "…", "100/100", "##########"),
        ("0x3333333…", "connected", "…", "…", "50/100", "#####....."),
        ("0x4444444…", "away", "…", "…", "0/100", ".........."),
    ]
    # A batch never changes: each was read once.
    assert sum(path.startswith("/batch/") for path in nodes.asked) == HEIGHTS_WATCHED_MAX
    nodes.add("a.example", height=252)
    assert (await asker.look()).participation.heights == HEIGHTS_WATCHED_MAX
    assert sum(path.startswith("/batch/") for path in nodes.asked) == HEIGHTS_WATCHED_MAX + 2


async def test_a_vote_counts_that_stands_in_any_node_s_commit() -> None:
    nodes = MadeUpNodes()
    nodes.add("a.example", height=1)
    nodes.add("b.example", height=1)
    nodes.signers |= {("a.example", 1): [OWN, OTHER], ("b.example", 1): [OTHER, FOURTH]}
    seen = await Asker([URL, URL_OF_ANOTHER], nodes.client(), Seconds()).look()
    assert seen.participation.votes == {OWN: 1, OTHER: 1, FOURTH: 1}


async def test_a_node_that_goes_away_stays_as_it_was_seen_and_comes_back() -> None:
    nodes, seconds = MadeUpNodes(), Seconds()
    nodes.add("a.example")
    gone = nodes.add("b.example", height=40)
    asker = Asker([URL, URL_OF_ANOTHER], nodes.client(), seconds)
    await asker.look()
    del nodes.answers["b.example"]
    await asker.look()
    seconds.now += 7
    seen = await asker.look()
    assert headline(seen).endswith("1 of 2 nodes answer")
    assert node_rows(seen, NOW_MS)[1][:6] == (URL_OF_ANOTHER, "AWAY 7 s", "40", "2", "PRE_VOTE", "-")
    (sentence,) = troubles(seen)
    assert sentence.startswith(f"{URL_OF_ANOTHER}: does not answer for 7 s: cannot be reached")
    nodes.answers["b.example"] = gone
    seen = await asker.look()
    assert troubles(seen) == []
    assert len(seen.answering) == 2


async def test_a_node_that_was_never_there_says_so() -> None:
    seen = await Asker([URL], MadeUpNodes().client(), Seconds()).look()
    assert headline(seen) == "0 of 1 nodes answer"
    assert node_rows(seen, NOW_MS)[0][:3] == (URL, "AWAY 0 s", "-")
    assert as_json(seen)["nodes"] == [
        {"url": URL, "answers": False, "trouble": "cannot be reached (ConnectError: connection refused)"}
    ]


@pytest.mark.parametrize(
    ("path", "answer", "says"),
    [
        ("/status", "[1, 2]", "is no STEP node"),
        ("/status", "<html>", "is not JSON"),
        ("/consensus", {"height": "high"}, "height"),
        ("/metrics", 'step_proof_finality_seconds_bucket{le="1.0"} 1.2.3\n', "step_proof_finality_seconds"),
        ("/metrics", "step_mempool_proofs_max 9e999\n", "step_mempool_proofs_max"),
    ],
)
async def test_what_is_no_node_s_answer_is_said_and_ends_nothing(path: str, answer: object, says: str) -> None:
    nodes = MadeUpNodes()
    nodes.add("a.example")[path] = answer
    seen = await Asker([URL], nodes.client(), Seconds()).look()
    assert says in troubles(seen)[0]


async def test_what_a_terminal_would_obey_is_escaped() -> None:
    nodes = MadeUpNodes()
    paths = nodes.add("a.example")
    paths["/status"]["peers"][0]["version"] = "\x1b[2J0.1"
    paths["/consensus"]["step"] = "\x1b]0;x\x07"
    paths["/health"] = {"status": "degraded", "reasons": [{"code": "X\x1b", "message": "\r\n"}]}
    seen = await Asker([URL], nodes.client(), Seconds()).look()
    shown = [*node_rows(seen, NOW_MS), *peer_rows(seen.nodes[0]), troubles(seen)]
    assert "\\x1b[2J0.1" in str(peer_rows(seen.nodes[0])[0][3])
    assert all(cell.isprintable() for row in shown for cell in row)
    assert event_line("batch", {"height": "\x1b"}, datetime.now(UTC)).isprintable()


async def test_nodes_of_different_chains_are_told_apart() -> None:
    nodes = MadeUpNodes()
    nodes.add("a.example")
    nodes.add("b.example", height=9)["/status"]["chainId"] = "another"
    seen = await Asker([URL, URL_OF_ANOTHER], nodes.client(), Seconds()).look()
    assert troubles(seen) == ["these nodes are of different chains: another, made-up; name those of one"]
    assert seen.participation.heights == BATCHES_AT_ONCE_MAX


async def test_without_metrics_at_the_api_the_rest_is_shown() -> None:
    nodes = MadeUpNodes()
    del nodes.add("a.example")["/metrics"]
    seen = await Asker([URL], nodes.client(), Seconds()).look()
    assert node_rows(seen, NOW_MS)[0][-3:] == ("7", "-", "-")


async def test_finality_is_that_of_the_last_minute() -> None:
    nodes, seconds = MadeUpNodes(), Seconds()
    paths = nodes.add("a.example")
    asker = Asker([URL], nodes.client(), seconds)
    assert node_rows(await asker.look(), NOW_MS)[0][-2:] == ("0.50 s", "0.90 s")
    # Ten more, all slow.
    paths["/metrics"] = METRICS.replace('{le="9.0"} 20', '{le="9.0"} 30').replace('{le="+Inf"} 20', '{le="+Inf"} 30')
    seconds.now += 10
    assert node_rows(await asker.look(), NOW_MS)[0][-2:] == ("5.00 s", "8.20 s")
    seconds.now += 61
    await asker.look()
    seconds.now += 61
    assert node_rows(await asker.look(), NOW_MS)[0][-2:] == ("-", "-")


def test_finality_begins_anew_with_the_node() -> None:
    before = Finality({1.0: 5.0, float("inf"): 6.0})
    after = Finality({1.0: 2.0, float("inf"): 2.0})
    assert after.since(before) == after
    assert Finality().quantile_seconds(0.5) is None
    assert Finality({1.0: 0.0, float("inf"): 4.0}).quantile_seconds(0.5) == 1.0


def test_metrics_of_another_program_are_none() -> None:
    assert mempool_places("up 1\n") is None
    assert Finality.of("up 1\n") == Finality()
    with pytest.raises(UnreadableReading):
        mempool_places("step_mempool_proofs_max 1.2.3\n")
    # No JSON has a place for what would be computed of it.
    with pytest.raises(UnreadableReading, match="a count must be finite"):
        Finality.of('step_proof_finality_seconds_bucket{le="1.0"} 1e999\n')


async def test_programs_get_everything_as_one_object() -> None:
    nodes = MadeUpNodes()
    nodes.add("a.example", height=2)
    document: dict[str, Any] = as_json(await Asker([URL], nodes.client(), Seconds()).look())
    (node,) = document["nodes"]
    assert node["answers"] is True
    assert node["consensus"]["step"] == "PRE_VOTE"
    assert node["finalitySeconds"] == {"p50": 0.5, "p90": 0.9}
    assert document["heightsLookedAt"] == 2
    assert document["validators"] == [{"address": one, "votes": 2} for one in (OWN, OTHER, THIRD, FOURTH)]


@pytest.mark.parametrize(
    ("kind", "data", "line"),
    [
        ("batch", {"height": 4, "proofs": 9, "round": 0}, "batch height 4: 9 proofs, round 0"),
        ("validator", {"validator": OWN, "change": "joined"}, f"validator {OWN} joined"),
        ("proof_dropped", {"proofId": "0xab", "code": "CLOCK_DRIFT"}, "proof_dropped 0xab CLOCK_DRIFT"),
        ("operation_applied", {"name": "register", "owner": OWN}, f"operation_applied register of {OWN}"),
        ("triangle_subdivided", {"triangleId": "T"}, "triangle_subdivided T"),
        ("gap", {"message": "too far back"}, "gap too far back"),
        ("news", {}, "news"),
    ],
)
def test_each_kind_of_event_is_one_line(kind: str, data: dict[str, object], line: str) -> None:
    assert event_line(kind, data, datetime.now(UTC))[9:] == line


def test_durations_are_read_by_people() -> None:
    assert [seconds_text(one) for one in (0.4, 59, 61, 3_700)] == ["0 s", "59 s", "1 min 1 s", "1 h 1 min"]
