"""The screen of `step-node top`: tables over one another, and below them what happens and what is logged.

It asks again and again in one task, follows the feed of the node that is chosen in another, and reads that node's log
in a third, where its home was named. It draws with the terminal's own colours, in any size of terminal.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import ClassVar, Final

import anyio
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Footer, RichLog, Static

from step_node.cli.output import plain
from step_node.cli.top.asking import Asker, NoAnswer
from step_node.cli.top.readings import NetworkSeen, NodeSeen, Participation
from step_node.cli.top.rows import (
    NODE_HEADINGS,
    PEER_HEADINGS,
    VALIDATOR_HEADINGS,
    Row,
    event_line,
    headline,
    node_rows,
    peer_rows,
    troubles,
    validator_rows,
)

LINES_MAX: Final = 500
"""Of what happened, and of the log; the oldest go."""
TROUBLES_SHOWN_MAX: Final = 4
"""Sentences about what is wrong; the others are counted."""
FEED_AGAIN_SECONDS: Final = 3.0
"""How long until a feed that has ended is followed again."""

ReadLog = Callable[[], Awaitable[Sequence[str]]]
"""Gives the last lines of a node's log, the latest last; or a sentence why there are none."""


class TopScreen(App[None]):
    """See the module's docstring. `logs` reads the log of a node, by its address; `every_seconds` is the pause."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "step-node top"
    CSS = """
    #headline { height: 1; text-style: bold; }
    #troubles { height: auto; max-height: 5; color: ansi_red; }
    #tables { height: 2fr; }
    .of-one { height: 1; margin-top: 1; text-style: bold; }
    DataTable { height: auto; }
    #lines { height: 1fr; min-height: 4; border-top: solid ansi_bright_black; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("n", "choose(1)", "Next node"),
        Binding("b", "choose(-1)", "Node before"),
        Binding("l", "swap_lines", "Log or events"),
        Binding("r", "ask_now", "Ask now"),
        Binding("p", "pause", "Pause or go on"),
    ]

    def __init__(
        self, asker: Asker, urls: Sequence[str], *, every_seconds: float, logs: dict[str, ReadLog] | None = None
    ) -> None:
        super().__init__(ansi_color=True)
        self._asker = asker
        self._urls = list(urls)
        self._every_seconds = every_seconds
        self._logs = logs or {}
        self._chosen = 0
        self._is_paused = False
        self._shows_log = False
        self._ask_now = anyio.Event()
        self._seen = NetworkSeen((), Participation())
        self._events: deque[str] = deque(maxlen=LINES_MAX)
        # Held here, and not looked for: a task may still draw while the screen is taken down.
        self._headline = Static("asking …", id="headline", markup=False)
        self._troubles = Static("", id="troubles", markup=False)
        self._node_table = _table("nodes")
        self._of_validators = Static("", id="of-validators", classes="of-one", markup=False)
        self._validator_table = _table("validators")
        self._of_peers = Static("", id="of-peers", classes="of-one", markup=False)
        self._peer_table = _table("peers")
        self._lines = RichLog(id="lines", max_lines=LINES_MAX, markup=False, highlight=False, wrap=False)
        self._logged: list[str] = []

    def compose(self) -> ComposeResult:
        """The parts of the screen, from above."""
        yield self._headline
        yield self._troubles
        with VerticalScroll(id="tables"):
            yield self._node_table
            yield self._of_validators
            yield self._validator_table
            yield self._of_peers
            yield self._peer_table
        yield self._lines
        yield Footer()

    def on_mount(self) -> None:
        """Begin to ask, and to follow."""
        self._node_table.add_columns(*NODE_HEADINGS)
        self._validator_table.add_columns(*VALIDATOR_HEADINGS)
        self._peer_table.add_columns(*PEER_HEADINGS)
        self._draw_lines()
        self.run_worker(self._look_for_ever(), group="look", exclusive=True)
        self._follow_chosen()

    def action_choose(self, step: int) -> None:
        """Show another node's validators, peers and lines."""
        self._chosen = (self._chosen + step) % len(self._urls)
        self._events.clear()
        self._logged = []
        self._follow_chosen()
        self._draw()
        self._draw_lines()

    def action_swap_lines(self) -> None:
        """Show the log in place of what happens, or the other way round."""
        self._shows_log = not self._shows_log
        self._draw_lines()

    def action_ask_now(self) -> None:
        """Do not wait for the next look."""
        self._ask_now.set()

    def action_pause(self) -> None:
        """Leave everything as it is, or go on."""
        self._is_paused = not self._is_paused
        self._draw()
        self._ask_now.set()

    # --- asking -------------------------------------------------------------------------------------------------

    async def _look_for_ever(self) -> None:
        while True:
            if not self._is_paused:
                self._seen = await self._asker.look()
                self._draw()
            self._ask_now = anyio.Event()
            with anyio.move_on_after(self._every_seconds):
                await self._ask_now.wait()

    def _follow_chosen(self) -> None:
        url = self._urls[self._chosen]
        self.run_worker(self._follow_for_ever(url), group="feed", exclusive=True)
        self.run_worker(self._read_log_for_ever(url), group="log", exclusive=True)

    async def _follow_for_ever(self, url: str) -> None:
        while True:
            try:
                async with aclosing(self._asker.events(url)) as events:
                    async for event in events:
                        if event.kind != "open":
                            self._add_event(event_line(event.kind, event.data, datetime.now(UTC)))
                trouble = "the feed has ended"
            except NoAnswer as error:
                trouble = f"no feed: {error}"
            if not self._events or not self._events[-1].endswith(plain(trouble)):
                self._add_event(plain(f"{datetime.now(UTC).astimezone():%H:%M:%S} {trouble}"))
            await anyio.sleep(FEED_AGAIN_SECONDS)

    async def _read_log_for_ever(self, url: str) -> None:
        read = self._logs.get(url)
        if read is None:
            self._logged = ["the log is read where the node's home is named by --home"]
            self._draw_lines()
            return
        while True:
            if self._shows_log and not self._is_paused:
                lines = [plain(line) for line in await read()]
                if lines != self._logged:
                    self._logged = lines[-LINES_MAX:]
                    self._draw_lines()
            await anyio.sleep(min(self._every_seconds, 1.0))

    def _add_event(self, line: str) -> None:
        self._events.append(line)
        if not self._shows_log and not self._is_paused:
            self._lines.write(Text(line))

    # --- drawing ------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        seen, now_ms = self._seen, time.time_ns() // 1_000_000
        paused = "  PAUSED" if self._is_paused else ""
        self._headline.update(headline(seen) + paused)
        sentences = troubles(seen)
        more = len(sentences) - TROUBLES_SHOWN_MAX
        shown = sentences[:TROUBLES_SHOWN_MAX] + ([f"and {more} more"] if more > 0 else [])
        self._troubles.update("\n".join(shown))
        nodes = node_rows(seen, now_ms)
        if len(nodes) > 1:
            nodes[self._chosen] = (f"> {nodes[self._chosen][0]}", *nodes[self._chosen][1:])
        _fill(self._node_table, nodes)
        chosen = seen.nodes[self._chosen] if seen.nodes else NodeSeen(self._urls[self._chosen], None)
        where = plain(chosen.url)
        height = "-" if chosen.reading is None else str(chosen.reading.consensus.height)
        heights = seen.participation.heights
        self._of_validators.update(
            f"validators at height {height}, as {where} has it; taking part in the last {heights} heights; * proposes"
        )
        _fill(self._validator_table, validator_rows(chosen, seen.participation))
        peers = peer_rows(chosen)
        self._of_peers.update(f"{len(peers)} peers of {where}")
        _fill(self._peer_table, peers)

    def _draw_lines(self) -> None:
        view = self._lines
        view.border_title = "log" if self._shows_log else "events"
        view.clear()
        for line in self._logged if self._shows_log else self._events:
            view.write(Text(line))


def _table(name: str) -> DataTable[Text]:
    return DataTable(id=name, cursor_type="none", show_cursor=False)


def _fill(table: DataTable[Text], rows: Sequence[Row]) -> None:
    table.clear()
    for row in rows:
        # As it is: a cell that is a string would be read as markup.
        table.add_row(*(Text(cell) for cell in row))
