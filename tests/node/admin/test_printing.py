"""`step-node admin`: what people are shown of a node's answers, and what programs are."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs
from typer.testing import CliRunner

from step_node.cli.main import app
from step_node.economy.guardrails.guardrail import Breach, Guardrail
from step_node.economy.guardrails.guardrails import Broken
from tests.node.admin.served import Served, served

PEER = "16Uiu2HAm52mCFJXu3BvHVJzfDTsKtvJh2JGFeECzeX8zJ5HHS2hL"


@pytest.fixture(autouse=True)
def quiet_node() -> Iterator[None]:
    """The node is in this process, and would write its log between what the commands print."""
    with capture_logs():
        yield


async def printed(here: Served, *arguments: str) -> list[str]:
    """The lines that `step-node admin` prints."""
    given = ["admin", *arguments, "--home", str(here.home.root)]
    result = await trio.to_thread.run_sync(partial(CliRunner().invoke, app, given))
    assert result.exit_code == 0, result.output
    return str(result.output).splitlines()


async def test_switches_and_the_share_are_shown_with_who_and_why(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        assert await printed(here, "intake-share") == [
            "the intake takes proofs and transfers of 100 % of all accounts",
        ]
        (line,) = await printed(here, "intake-share", "10", "--why", "a drill")
        assert line.startswith("the intake takes proofs and transfers of 10 % of all accounts, since ")
        assert line.endswith(": a drill")
        headings, row = await printed(here, "pause-intake", "--why", "a new disk")
        assert headings.split() == ["switch", "is", "does", "since", "by", "why"]
        assert row.startswith("intake  OFF  ")
        assert row.endswith("  a new disk")
        assert (await printed(here, "resume"))[1].startswith("intake  on  ")
        shown = await printed(here, "switches", "maps", "off")
        assert [line.split()[:2] for line in shown] == [["switch", "is"], ["maps", "OFF"]]
        assert len(await printed(here, "switches")) > 3


async def test_peers_are_shown_with_their_bans(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        assert await printed(here, "unban", PEER) == [f"{PEER} was not banned"]
        assert await printed(here, "ban", PEER, "--minutes", "5") == [f"{PEER} is refused for 300 s"]
        headings, ban = await printed(here, "peers")
        assert headings.split()[0] == "peer"
        assert ban.startswith(f"banned by the operator: {PEER}, ")
        assert await printed(here, "unban", PEER) == [f"{PEER} is refused no more"]
        (added,) = await printed(here, "add-peer", f"/ip4/192.0.2.7/tcp/1/p2p/{PEER}")
        assert added.startswith(f"{PEER} cannot be reached yet, and is tried again: ")
        assert (await printed(here, "drop-peer", PEER))[0] == f"{PEER} was not connected"


async def test_guardrails_are_shown_with_what_is_broken(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        headings, *rows = await printed(here, "guardrails")
        assert headings.split() == ["guardrail", "is", "figure", "bound", "unit", "since"]
        assert {row.split()[1] for row in rows} == {"whole"}
        assert len(rows) == len(Guardrail)
        inner = here.node.economy.guardrails._guardrails
        assert inner is not None
        inner._broken[Guardrail.SUPPLY] = Broken(Breach(Guardrail.SUPPLY, 3, "too\x1b[2Jmuch", 2, 1), 0)
        assert (await printed(here, "guardrails"))[-1] == "supply, height 3: too\\x1b[2Jmuch"
        await printed(here, "switches", "guardrails", "off")
        assert (await printed(here, "guardrails"))[0].startswith("The guardrails are switched off: ")


async def test_upkeep_says_what_came_of_it(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        assert await printed(here, "reload") == ["changed: nothing"]
        assert await printed(here, "prune") == ["batches from height 1, histories from height 1"]


async def test_the_log_and_consensus_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("step_node.node.admin.node_commands.recent_lines", lambda: "one\ntwo\x1b[2J\nthree\n")
    async with served(tmp_path) as here:
        assert await printed(here, "log", "--lines", "2") == ["two\\x1b[2J", "three"]
        assert (await printed(here, "consensus"))[0].startswith("height      1, since ")


async def test_a_bundle_is_one_file_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar.gz"
    async with served(tmp_path) as here:
        (line,) = await printed(here, "debug-bundle", "--output", str(path))
    assert line.startswith(f"{path}: {path.stat().st_size} bytes, ")
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        assert "bundle/status.json" in archive.getnames()


async def test_programs_are_given_the_answer_as_it_is(tmp_path: Path) -> None:
    async with served(tmp_path) as here:
        (line,) = await printed(here, "reload", "--json")
        assert json.loads(line) == {"changed": [], "waiting": [], "notTaken": []}
        (line,) = await printed(here, "peers", "--json")
        assert json.loads(line) == {"connected": [], "banned": []}
