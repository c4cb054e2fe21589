"""docs/incidents.md: its commands, in order, on the node of one of four validators, whose store and keys are lost.

The first block is the reader's own: its names are set to this network's. Between the others the test does what the page
is about: it kills the node and takes its store away, and stops the node where the page says so.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import Final

import httpx
import pytest
import trio

from step_node.home.paths import NodeHome
from step_node.parameters import USTEP_PER_STEP, Parameters
from step_node.signing.keystore import create_keystore, keystore_address, new_private_key
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.ports import LOOPBACK
from step_node.testing.devnet.walkers import Walkers
from tests.support.signatures import contradictions, signed_in
from tests.support.typist import Step, Typist, missing_lines, steps_of

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "incidents.md"
PASSWORD: Final = "one password for all keystores of the incident"
SECONDS_MAX: Final = 900.0
POLL_SECONDS: Final = 0.2
PROOFS_PER_SECOND: Final = 4.0
BATCHES: Final = 10
OURS: Final = 3
SWIFT: Final = Parameters(batch_interval_ms=200, epoch_batches=20, unbonding_ms=3_600_000)


def test_every_runbook_is_in_the_table_of_symptoms() -> None:
    headings = re.findall(r"^## (.+)$", (DOCS / "runbooks.md").read_text(encoding="utf-8"), re.MULTILINE)
    linked = set(re.findall(r"runbooks\.md#([\w-]+)", PAGE.read_text(encoding="utf-8")))
    assert {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings} == linked


def test_the_page_sets_every_name_that_it_uses() -> None:
    commands = "\n".join(step.commands for step in steps_of(PAGE))
    used = set(re.findall(r"\$\{?([A-Z][A-Z_0-9]+)", commands))
    assert used == set(re.findall(r"^([A-Z_0-9]+)=", commands, re.MULTILINE))


@pytest.mark.long
async def test_the_page_brings_back_a_lost_store_and_replaces_leaked_keys(tmp_path: Path) -> None:
    own, *others = steps_of(PAGE)
    directory = tmp_path / "operator"
    directory.mkdir()
    owner = f"0x{create_keystore(directory / 'cold.json', new_private_key(), PASSWORD).hex()}"
    settings = DevnetSettings(
        base_port=0,
        parameters=SWIFT,
        home=tmp_path / "network",
        owner=owner,
        allocations={owner: 2_000 * USTEP_PER_STEP},
        password=PASSWORD,
    )
    with trio.fail_after(SECONDS_MAX):
        async with (
            Devnet(settings) as devnet,
            httpx.AsyncClient(trust_env=False, timeout=30.0) as http,
            trio.open_nursery() as nursery,
        ):
            home = devnet.nodes[OURS].home
            first = keystore_address(home.validator_keystore)
            names = {
                "URL": devnet.node_url(OURS),
                "OTHER": devnet.node_url(0),
                "VALIDATOR": f"0x{first.hex()}",
                "SAFE": "0x" + "5a" * 20,
                "HOST": f"/ip4/{LOOPBACK}",
                "P2P_PORT": str(devnet.p2p_port(OURS)),
            }
            assert set(re.findall(r"^(\w+)=", own.commands, re.MULTILINE)) == set(names)
            nursery.start_soon(Walkers(devnet.clients[:2], SWIFT, proofs=100_000, rate=PROOFS_PER_SECOND).run)
            await devnet.kill(OURS, signal.SIGTERM)
            (directory / "node").symlink_to(home.root)
            programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            operator = Typist(directory, names | {"PATH": programs}, password=PASSWORD)
            try:
                await operator.start_node("step-node start --home node", said="Running.")
                while (await http.get(f"{devnet.node_url(OURS)}/status")).json()["height"] < BATCHES:
                    await trio.sleep(POLL_SECONDS)
                await operator.type('step-node status --url "$URL" --wait-seconds 300')
                for step in others:
                    await _follow(operator, step, home)
                await operator.stop_node()
                _check_the_histories(operator, home, first)
                safe = (await http.get(f"{devnet.node_url(0)}/account/{names['SAFE']}")).json()
                assert safe["balance"] == "1000.000000"
                slashed = (await http.get(f"{devnet.node_url(0)}/evidence")).json()["slashings"]
                assert slashed == []
            finally:
                await operator.stop_node()
            nursery.cancel_scope.cancel()
    assert list((home.old_store(1)).iterdir())
    assert (directory / "incident.tar.gz").stat().st_mode & 0o777 == 0o600


async def _follow(operator: Typist, step: Step, home: NodeHome) -> None:
    if "store rebuild" in step.commands:
        await operator.stop_node(signal.SIGKILL)
        for path in home.data.glob("ledger.sqlite*"):
            path.unlink()
        refused = await operator.type("timeout 120 step-node start --home node || echo status $?")
        assert "the store has lost finalised batches" in refused
        assert "status 1" in refused
    elif step.commands.startswith("mv node/keys/p2p.key"):
        await operator.stop_node()
    if step.commands.startswith("step-node start "):
        printed = await operator.start_node(step.commands, said="Running.")
    else:
        printed = await operator.type(step.commands)
    assert missing_lines(step.printed, printed) == [], f"{step.commands}\n{printed}"


def _check_the_histories(operator: Typist, home: NodeHome, first: bytes) -> None:
    """Each key has signed, and nothing twice; and what is in the home now is the second."""
    second = bytes.fromhex(operator.variable("VALIDATOR")[2:])
    assert first != second == keystore_address(home.validator_keystore)
    for key in (first, second):
        signed = signed_in(home.signing_history(key))
        assert signed
        assert contradictions(signed) == []
