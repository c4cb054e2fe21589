"""docs/becoming-a-validator.md, typed to the letter by a newcomer: a fifth validator for a network of four that runs.

The first block is the reader's own: its names are set to this machine's. All others run as they stand, in one shell,
and must print what the page says that they print. What the test does beside the page is what a page cannot: it keeps
the network busy, has the validator be away for too long, and waits where the page says that a stake is locked.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import trio

from step_node.home.paths import NodeHome
from step_node.parameters import USTEP_PER_STEP, Parameters
from step_node.proofs.timestamps import parse_timestamp
from step_node.signing.keystore import create_keystore, new_private_key
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.ports import LOOPBACK, free_ports
from step_node.testing.devnet.walkers import Walkers
from tests.support.signatures import contradictions, signed_in
from tests.support.typist import Step, Typist, missing_lines, steps_of

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "becoming-a-validator.md"
PASSWORD: Final = "one password for all keystores of the guide"
FRIENDS_STEP: Final = 1_000_000
SECONDS_MAX: Final = 1_200.0
POLL_SECONDS: Final = 0.2
PROOFS_PER_SECOND: Final = 6.0
LONG_CHAIN_BATCHES: Final = 40
"""From here on the newcomer joins from a snapshot."""

SWIFT: Final = Parameters(
    batch_interval_ms=100,
    timeout_propose_ms=1_000,
    timeout_pre_vote_ms=500,
    timeout_pre_commit_ms=300,
    timeout_delta_ms=200,
    epoch_batches=60,
    offline_ms=1_000,
    jail_ms=90_000,
    unbonding_ms=60_000,
)


class Guide:
    """The newcomer, the network, and what the test has to do between the page's blocks."""

    def __init__(self, newcomer: Typist, http: httpx.AsyncClient, other: str) -> None:
        self.newcomer = newcomer
        self.seconds: dict[str, float] = {}
        self.printed: list[str] = []
        self.validators: set[str] = set()
        self._http = http
        self._other = other

    async def follow(self, step: Step) -> None:
        """Type one block, and hold what it prints against what the page says."""
        await self._before(step)
        began_at = time.monotonic()
        if step.commands.startswith("step-node start "):
            printed = await self.newcomer.start_node(step.commands, said="Running.")
        else:
            printed = await self.newcomer.type(step.commands)
        self.seconds[step.section] = self.seconds.get(step.section, 0.0) + time.monotonic() - began_at
        self.printed.append(f"$ {step.commands}{printed}")
        assert missing_lines(step.printed, printed) == [], f"{step.commands}\n{printed}"

    async def _before(self, step: Step) -> None:
        validator = self.newcomer.variable("VALIDATOR")
        self.validators |= {validator} - {""}
        if step.section == "See what it earns":
            await self._until_it_earns()
        elif step.section == "Come back from jail" and "evidence" in step.commands:
            await self.newcomer.stop_node()
            while (await self._record(validator)).get("state") != "jailed":
                await trio.sleep(POLL_SECONDS)
        elif "validator withdraw" in step.commands or ("register" in step.commands and step.section != "Register"):
            locked_until_ms = parse_timestamp(str((await self._record(validator))["lockedUntil"]))
            # The chain's own time counts, which lags by a batch.
            await trio.sleep(max(0.0, (locked_until_ms - time.time_ns() // 1_000_000) / 1000) + 2)

    async def _until_it_earns(self) -> None:
        url = self.newcomer.variable("URL")
        while True:
            with suppress(httpx.HTTPError):
                said = (await self._http.get(f"{url}/metrics")).text
                if re.search(r"^step_own_rewards_ustep_total [1-9]", said, re.MULTILINE):
                    return
            await trio.sleep(POLL_SECONDS)

    async def _record(self, validator: str) -> dict[str, Any]:
        with suppress(httpx.HTTPError):
            answer = (await self._http.get(f"{self._other}/validators/{validator}")).json()
            record: dict[str, Any] = answer.get("validator", {})
            return record
        return {}


def test_lines_that_were_not_printed_or_in_another_order_are_missed() -> None:
    printed = "applied in batch 7\nvalidator  state\n0xab  active  yes  100000.000000\n"
    assert missing_lines(("applied in batch …", "… active … yes … 100000.000000"), printed) == []
    assert missing_lines(("… active …", "applied in batch …"), printed) == ["applied in batch …"]
    assert missing_lines(("… jailed …",), printed) == ["… jailed …"]


def test_the_page_sets_every_name_that_it_uses() -> None:
    commands = "\n".join(step.commands for step in steps_of(PAGE))
    used = set(re.findall(r"\$\{?([A-Z][A-Z_0-9]+)", commands)) - {"PWD", "PATH"}
    assert used == set(re.findall(r"^([A-Z_0-9]+)=", commands, re.MULTILINE)) - {"PATH"}


@pytest.mark.long
async def test_a_newcomer_becomes_the_fifth_validator_and_leaves_again_by_the_guide_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, install, *others = steps_of(PAGE)
    (ports,) = free_ports(1)
    names = {
        "REPOSITORY": str(ROOT),
        "GENESIS": "genesis.json",
        "PEER": "",
        "OTHER": "",
        "HOST": f"/ip4/{LOOPBACK}",
        "P2P_PORT": str(ports.p2p),
        "API_PORT": str(ports.api),
        "STAKE": "100000",
    }
    assert set(re.findall(r"^(\w+)=", own.commands, re.MULTILINE)) == set(names)
    directory = tmp_path / "newcomer"
    directory.mkdir()
    friend = create_keystore(directory / "theirs.json", new_private_key(), PASSWORD)
    with trio.fail_after(SECONDS_MAX):
        # Before the network is there, which would have to share this machine with it.
        began_at = time.monotonic()
        version = await Typist(directory, names, password=PASSWORD).type(install.commands)
        assert missing_lines(install.printed, version) == []
        minutes_to_install = (time.monotonic() - began_at) / 60
        devnet = Devnet(
            DevnetSettings(
                base_port=0,
                parameters=SWIFT,
                home=tmp_path / "network",
                owner=f"0x{friend.hex()}",
                allocations={f"0x{friend.hex()}": FRIENDS_STEP * USTEP_PER_STEP},
                password=PASSWORD,
            )
        )
        await devnet.prepare()
        for node in devnet.nodes:
            node.environment["STEP_SYNC__SNAPSHOT_EVERY_BATCHES"] = "10"
        async with devnet, httpx.AsyncClient(trust_env=False, timeout=30.0) as http, trio.open_nursery() as nursery:
            shutil.copy(devnet.nodes[0].home.genesis, directory)
            names |= {"OTHER": devnet.node_url(0), "PEER": devnet.genesis.validators[0].p2p_address}
            newcomer = Typist(directory, names, password=PASSWORD)
            walkers = Walkers([devnet.clients[1], devnet.clients[2]], SWIFT, proofs=100_000, rate=PROOFS_PER_SECOND)
            nursery.start_soon(walkers.run)
            while (await http.get(f"{devnet.node_url(0)}/status")).json()["height"] < LONG_CHAIN_BATCHES:
                await trio.sleep(POLL_SECONDS)
            guide = Guide(newcomer, http, devnet.node_url(0))
            try:
                await newcomer.type(f"PATH={shlex.quote(str(directory))}/program/.venv/bin:$PATH")
                for step in others:
                    await guide.follow(step)
            finally:
                (tmp_path / "transcript").write_text("\n".join(guide.printed), encoding="utf-8")
                await newcomer.stop_node()
            assert "joined from a snapshot" in newcomer.log
            gone = await http.get(f"{devnet.node_url(0)}/validators/{newcomer.variable('VALIDATOR')}")
            assert gone.json()["code"] == "VALIDATOR_NOT_FOUND"
            slashings = (await http.get(f"{devnet.node_url(0)}/evidence")).json()["slashings"]
            assert [one["kind"] for one in slashings] == ["OFFLINE"]
            assert len(guide.validators) == 2
            for validator in guide.validators:
                signed = signed_in(NodeHome(directory / "node").signing_history(bytes.fromhex(validator[2:])))
                assert signed
                assert contradictions(signed) == []
            nursery.cancel_scope.cancel()
    to_active = ("Two keys", "Join", "Get the stake", "Register")
    minutes = sum(guide.seconds[section] for section in to_active) / 60
    with capsys.disabled():
        sys.stdout.write(f"\ninstalled in {minutes_to_install:.1f} minutes; active {minutes:.1f} minutes later\n")
        for section, seconds in guide.seconds.items():
            sys.stdout.write(f"  {section:<24}{seconds:6.1f} s\n")
