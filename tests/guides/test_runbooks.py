"""docs/runbooks.md: its blocks of commands, on one node that is well, and what the page says that they show.

The first block is the reader's own: its names are set to this node's. What asks the machine and not the node
(`timedatectl`) is left out: it tells of a service that need not be there.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import httpx
import pytest
import trio

from step_node.testing.devnet.ports import free_ports
from tests.support.operator import ROOT, Block, Machine, blocks_under

pytestmark = pytest.mark.slow

PAGE: Final = ROOT / "docs" / "runbooks.md"
GUARDRAILS: Final = ROOT / "docs" / "guardrails.md"
SECONDS_MAX: Final = 300.0
PAUSED: Final = "The intake is paused"
STANDING: Final = "How they stand"
LAST: Final = "A node needs an upgrade"
"""Asks for the status as well, which shows then that all is well."""
OF_THE_MACHINE: Final = {"The clock is off"}
HEADINGS: Final = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
BEGINNING: Final = ("step-node status", "step-node consensus")


async def test_the_commands_of_the_page_show_on_a_node_that_is_well_what_it_says(tmp_path: Path) -> None:
    blocks = {heading: blocks_under(heading, PAGE) for heading in HEADINGS}
    run = {heading for heading, found in blocks.items() if found} - OF_THE_MACHINE
    (ports,) = free_ports(1)
    operator = Machine(tmp_path / "machine", ports, password="")
    with trio.fail_after(SECONDS_MAX):
        await operator.follow(["step-node testnet --output net --validators 1 --chain-id drill"])
        operator.home.root.symlink_to(operator.directory / "net" / "node0")
        operator.set_password(operator.home.password.read_text().strip())
        try:
            await operator.follow(["step-node start --home node"])
            async with httpx.AsyncClient(base_url=operator.url, trust_env=False) as http:
                validator = (await http.get("/status")).json()["validatorAddress"]
            operator.names |= {"URL": operator.url, "OTHER": operator.url, "VALIDATOR": validator}
            await operator.follow(["step-node admin pause-intake --home node --why rehearsal"])
            shown: dict[str, str] = {}
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_show, operator, "", _beginning(), shown)
                (look,) = blocks_under(STANDING, GUARDRAILS)
                nursery.start_soon(_show, operator, STANDING, look, shown)
                for heading in run - {PAUSED, LAST}:
                    (block,) = blocks[heading]
                    nursery.start_soon(_show, operator, heading, block, shown)
            _is_shown(shown[""], r"^reason +INTAKE_PAUSED: ", r"^ready +no$")
            _is_shown(
                shown[""],
                r"^height +\d+, since 20",
                r"^1 validators, quorum 1: ",
                r"address +node +pre-vote +pre-commit",
            )
            asked, resumed = blocks[PAUSED]
            await _show(operator, PAUSED, asked, shown)
            _is_shown(shown[PAUSED], r"^intake +OFF .*rehearsal")
            await _show(operator, PAUSED, resumed, shown)
            (last,) = blocks[LAST]
            await _show(operator, LAST, last, shown)
        finally:
            await operator.stop()
    assert set(shown) == run | {"", STANDING}
    _is_shown(shown[STANDING], r"^supply +whole +1\d{5}\.\d{6} +1\d{5}\.\d{6} +STEP\b", r'"intakePercent":100\b')
    _is_shown(shown["The ledger is unsound"], r"^rewards +whole", r"^conservation +whole")
    _is_shown(shown["The intake takes a share"], r"of 100 % of all accounts$")
    _is_shown(shown["A validator is absent"], rf"{validator}", r"\bactive\b")
    assert json.loads(shown["A validator was slashed"])["slashings"] == []
    assert shown["A node is down"].startswith('{"ok":true,')
    _is_shown(
        shown["The disk fills up"], r"Filesystem", r"\tnode/data/signing_history$", r"\tnode/data/ledger\.sqlite$"
    )
    _is_shown(shown[LAST], r"^health +ok$", r"^ready +yes$", r"in force +.*1", rf"{validator[:8]}")


def _beginning() -> Block:
    """The block above all sections, with which everything begins."""
    top = PAGE.read_text(encoding="utf-8").partition("\n## ")[0]
    found = [line for line in top.splitlines() if line.startswith(BEGINNING)]
    assert len(found) == len(BEGINNING)
    return found


async def _show(operator: Machine, heading: str, block: Block, shown: dict[str, str]) -> None:
    printed = []
    for command in block:
        ended = await operator.run(command)
        assert ended.status == 0, f"{heading}: {command}\n{ended.text}\n{operator.log[-4_000:]}"
        printed.append(ended.text)
    shown[heading] = "".join(printed)


def _is_shown(text: str, *patterns: str) -> None:
    assert [one for one in patterns if not re.search(one, text, re.MULTILINE)] == [], text
