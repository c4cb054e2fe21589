"""docs/administration.md to the letter: every block of commands, in order, on a real node; and what is left of it."""

from __future__ import annotations

import json
import re
import tarfile
import time
from pathlib import Path

import httpx
import pytest
import trio

from mesh import locate
from step_node.api.submissions.share import is_admitted
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.proofs.client_signing import sign_payload
from step_node.testing.devnet.ports import free_ports
from tests.support.operator import Machine

pytestmark = pytest.mark.long

PAGE = Path(__file__).parents[2] / "docs" / "administration.md"
PASSWORD = "correct horse battery"
OTHER = "16Uiu2HAm52mCFJXu3BvHVJzfDTsKtvJh2JGFeECzeX8zJ5HHS2hL"
LAT, LON = 47.3769, 8.5417
SECONDS_MAX = 300.0


def commands_of_the_page() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def proof(number: int) -> object:
    now_ms = time.time_ns() // 1_000_000
    return sign_payload(number.to_bytes(32, "big"), locate(LAT, LON, 10), LAT, LON, 5.0, now_ms, f"drill-{number}")


async def test_every_command_of_the_page_does_on_a_real_node_what_it_says(tmp_path: Path) -> None:
    (ports,) = free_ports(1)
    machine = Machine(tmp_path / "machine", ports, password=PASSWORD)
    machine.names |= {"PEER": OTHER, "ADDRESS": f"/ip4/127.0.0.1/tcp/1/p2p/{OTHER}"}
    made = await machine.run("step-node init --home node --chain-id drill --validator")
    assert made.status == 0, made.text
    with trio.fail_after(SECONDS_MAX):
        try:
            await machine.follow(["step-node start --home node"])
            await _follow_the_page(machine)
        finally:
            await machine.stop()
    assert not machine.home.admin_socket.exists()
    gone = await machine.run("step-node admin peers --home node || echo status $?")
    assert "no node runs on this home" in gone.text
    assert "status 1" in gone.text


def _outside(number: int) -> int:
    """The key of an account that is not among the ten of a hundred, another for each number."""
    keys = (key for key in range(1_000 * number, 1_000 * (number + 1)))
    accounts = ((key, address_of(public_key_of(key.to_bytes(32, "big")))) for key in keys)
    return next(key for key, account in accounts if not is_admitted(account, 10))


async def _follow_the_page(machine: Machine) -> None:
    said: dict[str, str] = {}
    async with httpx.AsyncClient(base_url=machine.url, trust_env=False, timeout=60) as http:

        async def submit(number: int) -> tuple[int, str]:
            answer = await http.post("/proof/submit", params={"wait_ms": 30_000}, json=proof(number))
            return answer.status_code, answer.json().get("code", "")

        assert await submit(1) == (200, ""), "height 1, of which a snapshot can be taken"
        for number, command in enumerate(commands_of_the_page(), start=2):
            ended = await machine.run(command)
            assert ended.status == 0, f"{command}\n{ended.text}\n{machine.log[-4_000:]}"
            said[command] = ended.text
            if "pause-intake" in command:
                assert await submit(number) == (503, "INTAKE_PAUSED")
                assert (await http.get("/health/ready")).status_code == 503
            elif "resume" in command:
                assert (await submit(number))[0] == 200
            elif "intake-share" in command:
                share = re.search(r"intake-share (\d+) ", command)
                expected = (503, "INTAKE_PAUSED") if share is None or share[1] == "10" else (200, "")
                assert await submit(_outside(number)) == expected
            elif "maps off" in command:
                assert (await http.get("/mesh/stats")).json()["code"] == "SWITCHED_OFF"
            elif "maps on" in command:
                assert (await http.get("/mesh/stats")).status_code == 200
        assert {name for name, is_on in (await http.get("/status")).json()["switches"].items() if not is_on} == set()
    assert len(said) == len(commands_of_the_page()) == 21
    records = [json.loads(line) for line in machine.home.admin_audit_log.read_text().splitlines()]
    assert len(records) == len(said) - 1, "all but `log`, whose traces would fill the log"
    assert {record["outcome"] for record in records} == {"done"}
    _check_bundle(machine)


def _check_bundle(machine: Machine) -> None:
    path = machine.directory / "bundle.tar.gz"
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        files = {entry.name: archive.extractfile(entry) for entry in archive.getmembers()}
        texts = {name: b"" if file is None else file.read() for name, file in files.items()}
    whole = b"\n".join(texts.values())
    key = machine.home.p2p_key.read_text(encoding="utf-8").strip().removeprefix("0x")
    assert len(key) == 64
    assert key.encode() not in whole
    assert PASSWORD.encode() not in whole
    assert b"a command of the operator" in texts["bundle/log.txt"]
    assert json.loads(texts["bundle/status.json"])["chainId"] == "drill"
