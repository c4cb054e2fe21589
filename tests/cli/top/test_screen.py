"""The screen of `step-node top`, by its keys, over made-up nodes; and the command, where there is no screen."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from textual.pilot import Pilot
from textual.widgets import DataTable, RichLog, Static

from step_node.cli.top.asking import Asker
from step_node.cli.top.rows import as_json
from step_node.cli.top.screen import TROUBLES_SHOWN_MAX, TopScreen
from step_node.client.transport import options
from tests.api.made_up_node import open_node
from tests.api.serving import serve
from tests.cli.conftest import Command
from tests.cli.top.made_up import URL, URL_OF_ANOTHER, MadeUpNodes

EVENT = 'id: 42.2\nevent: batch\ndata: {"height": 42, "proofs": 3, "round": 0}\n\n'
SECONDS_MAX = 20.0

Play = Callable[[Pilot[None], TopScreen], Awaitable[None]]


def played(nodes: MadeUpNodes, play: Play, *, size: tuple[int, int] = (120, 40)) -> None:
    """Run the screen over both nodes, and `play` on it. Textual runs on asyncio alone."""

    async def log() -> Sequence[str]:
        return ["a line of the log", "[red]another\x1b[2J"]

    async def run() -> None:
        async with nodes.client() as http:
            urls = [URL, URL_OF_ANOTHER]
            screen = TopScreen(Asker(urls, http, time.monotonic), urls, every_seconds=0.05, logs={URL: log})
            async with screen.run_test(size=size) as pilot:
                await play(pilot, screen)

    asyncio.run(run())


async def until(pilot: Pilot[None], is_so: Callable[[], bool]) -> None:
    """Wait for it."""
    async with asyncio.timeout(SECONDS_MAX):
        while not is_so():
            assert pilot.app._exception is None, pilot.app._exception
            await pilot.pause(0.01)


def text(screen: TopScreen, name: str) -> str:
    return str(screen.query_one(f"#{name}", Static).render())


def cells(screen: TopScreen, name: str) -> list[list[str]]:
    table: DataTable[Any] = screen.query_one(f"#{name}", DataTable)
    return [[str(cell) for cell in table.get_row_at(row)] for row in range(table.row_count)]


def lines(screen: TopScreen) -> list[str]:
    return [line.text.rstrip() for line in screen.query_one("#lines", RichLog).lines]


@pytest.fixture
def nodes() -> MadeUpNodes:
    made = MadeUpNodes()
    made.add("a.example")["/events"] = EVENT
    made.add("b.example", height=41)
    return made


def test_it_shows_nodes_votes_peers_and_events(nodes: MadeUpNodes) -> None:
    async def play(pilot: Pilot[None], screen: TopScreen) -> None:
        await until(pilot, lambda: bool(cells(screen, "peers")) and len(lines(screen)) > 1)
        assert text(screen, "headline") == "made-up  height 42  quorum 3  2 of 2 nodes answer"
        assert [row[0] for row in cells(screen, "nodes")] == [f"> {URL}", URL_OF_ANOTHER]
        assert cells(screen, "validators")[0][:4] == ["0x1111111…", "this node", "nil", "…"]
        assert cells(screen, "peers")[0][:3] == ["16Uiu2HAm1z…", "outbound", "41"]
        assert any(line.endswith("batch height 42: 3 proofs, round 0") for line in lines(screen))
        assert any(line.endswith("the feed has ended") for line in lines(screen))

    played(nodes, play)


def test_a_node_that_goes_away_is_said_and_the_screen_goes_on(nodes: MadeUpNodes) -> None:
    async def play(pilot: Pilot[None], screen: TopScreen) -> None:
        await until(pilot, lambda: bool(cells(screen, "peers")))
        gone = nodes.answers.pop("b.example")
        await until(pilot, lambda: "1 of 2 nodes answer" in text(screen, "headline"))
        assert f"{URL_OF_ANOTHER}: does not answer for" in text(screen, "troubles")
        assert cells(screen, "nodes")[1][1].startswith("AWAY")
        assert cells(screen, "nodes")[1][2] == "41"
        nodes.answers["b.example"] = gone
        await until(pilot, lambda: "2 of 2 nodes answer" in text(screen, "headline"))
        assert text(screen, "troubles") == ""

    played(nodes, play)


def test_keys_choose_a_node_show_its_log_and_stand_still(nodes: MadeUpNodes) -> None:
    async def play(pilot: Pilot[None], screen: TopScreen) -> None:
        await until(pilot, lambda: bool(cells(screen, "peers")))
        await pilot.press("l")
        # What looks like markup, and what a terminal would obey, are text like any other.
        await until(pilot, lambda: lines(screen) == ["a line of the log", "[red]another\\x1b[2J"])
        await pilot.press("n")
        assert cells(screen, "nodes")[1][0] == f"> {URL_OF_ANOTHER}"
        assert URL_OF_ANOTHER in text(screen, "of-peers")
        await until(pilot, lambda: lines(screen) == ["the log is read where the node's home is named by --home"])
        await pilot.press("b", "p")
        assert cells(screen, "nodes")[0][0] == f"> {URL}"
        assert text(screen, "headline").endswith("PAUSED")
        nodes.add("a.example", height=77)
        await pilot.pause(0.2)
        assert "height 42" in text(screen, "headline")
        await pilot.press("p")
        await until(pilot, lambda: "height 77" in text(screen, "headline"))

    played(nodes, play)


def test_it_fits_into_a_small_terminal_and_q_ends_it(nodes: MadeUpNodes) -> None:
    reasons = [{"code": f"REASON_{number}", "message": "is wrong"} for number in range(9)]
    nodes.answers["a.example"]["/health"] = {"status": "degraded", "reasons": reasons}

    async def play(pilot: Pilot[None], screen: TopScreen) -> None:
        await until(pilot, lambda: bool(cells(screen, "peers")))
        shown = text(screen, "troubles").splitlines()
        assert len(shown) == TROUBLES_SHOWN_MAX + 1
        assert shown[-1] == "and 5 more"
        assert screen.query_one("#lines").size.height >= 3
        await pilot.press("q")
        await until(pilot, lambda: not screen.is_running)

    played(nodes, play, size=(80, 24))


async def test_one_reading_of_a_node_that_serves(tmp_path: Path) -> None:
    async with open_node(tmp_path / "journal.sqlite") as node, trio.open_nursery() as nursery:
        port = await nursery.start(serve, node)
        async with httpx.AsyncClient(**options(None)) as http:
            seen = await Asker([f"http://127.0.0.1:{port}"], http, trio.current_time).look()
        assert [node.trouble for node in seen.nodes] == [""]
        json.dumps(as_json(seen), allow_nan=False)
        nursery.cancel_scope.cancel()


def test_without_a_terminal_it_says_what_to_do(command: Command) -> None:
    result = command("top")
    assert result.exit_code == 1
    assert "--once and --json print one reading without" in result.stderr


def test_without_textual_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from step_node.cli import top_command
    from step_node.cli.error_lines import CommandError

    monkeypatch.setitem(sys.modules, "textual", None)
    with pytest.raises(CommandError, match=r"pip install 'textual>=8\.2'"):
        top_command._show(top_command._Asked([URL]), 1.0)


def test_one_reading_where_nobody_answers_is_status_1(command: Command) -> None:
    result = command("top", "--url", "http://127.0.0.1:1", "--nodes", 2, "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert [node["url"] for node in answer["nodes"]] == ["http://127.0.0.1:1", "http://127.0.0.1:2"]
    assert "cannot be reached" in answer["nodes"][0]["trouble"]
    assert "does not answer" in command("top", "--url", "http://127.0.0.1:1", "--once").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--url", "ftp://a.example"), "must be an address such as"),
        (("--url", "http://a.example:65535", "--nodes", "2"), "must be an address such as"),
        (("--home", "nowhere"), "is neither a node's home"),
        (("--home", "nowhere", "--url", URL), "leave out --url and --nodes"),
    ],
)
def test_what_cannot_be_shown_is_said(command: Command, arguments: tuple[str, ...], says: str) -> None:
    result = command("top", *arguments, "--once")
    assert result.exit_code == 1
    assert says in result.stderr
