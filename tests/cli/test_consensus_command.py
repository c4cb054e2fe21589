"""`step-node consensus`, as people and programs read it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import Command

OWN, SILENT = "0x" + "11" * 20, "0x" + "22" * 20
BATCH = "0x" + "ab" * 32


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the node answers."""
    said: dict[str, Any] = {
        "ok": True,
        "height": 43,
        "heightSince": "2026-01-01T00:00:00.000Z",
        "round": 2,
        "step": "PRE_VOTE",
        "stepSince": "2026-01-01T00:00:09.000Z",
        "takesPart": True,
        "proposer": SILENT,
        "proposal": None,
        "quorum": 2,
        "preVotes": 1,
        "preCommits": 0,
        "lockedRound": 0,
        "lockedHash": BATCH,
        "validRound": -1,
        "validHash": None,
        "waitingProofs": 5,
        "waitingOperations": 0,
        "waitingEvidence": 1,
        "validators": [
            {"address": OWN, "isSelf": True, "isConnected": True, "preVote": "nil", "preCommit": None},
            {"address": SILENT, "isSelf": False, "isConnected": False, "preVote": None, "preCommit": None},
        ],
    }
    monkeypatch.setattr("step_node.cli.http_calls.get_json", lambda _url, path: {"/consensus": said}[path])
    return said


@pytest.mark.usefixtures("answer")
def test_people_see_where_the_height_stands_and_whose_votes_are_missing(command: Command) -> None:
    result = command("consensus")
    assert result.exit_code == 0
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "height      43, since 2026-01-01T00:00:00.000Z",
        "round       2",
        "step        PRE_VOTE, since 2026-01-01T00:00:09.000Z",
        "takes part  yes",
        f"proposer    {SILENT}",
        "proposal    -",
        f"locked      {BATCH} in round 0",
        "valid       -",
        "waiting     5 proofs, 0 operations, 1 pieces of evidence",
        "2 validators, quorum 2: 1 pre-votes and 0 pre-commits are here",
        f"  {'address':<42}  node       pre-vote  pre-commit",
        f"  {OWN}  this node  nil       -",
        f"  {SILENT}  away       -         -",
    ]


def test_programs_get_the_node_s_answer(command: Command, answer: dict[str, Any]) -> None:
    assert json.loads(command("consensus", "--json").stdout) == answer


def test_nobody_s_answer_reaches_the_terminal_as_a_command(command: Command, answer: dict[str, Any]) -> None:
    answer |= {"step": "\x1b[2J", "quorum": "\x9b31m", "validators": [{"address": "\x07"}, "no validator"]}
    shown = command("consensus").stdout
    assert all(one.isprintable() for line in shown.split("\n") for one in line)
