"""docs/remote-signer.md, run to the letter: the key moves out of a node, over a Unix socket and over mutual TLS.

What stands for the reader's own is replaced, and nothing else: the socket's path, the key's address, and the port,
which another program may have. The only validator of its chain is its own owner here: `cold.json` is a copy of its
keystore.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest
import trio

from mesh import locate
from step_node.proofs.client_signing import sign_payload
from step_node.signing.keystore import keystore_address
from step_node.testing.devnet.ports import LOOPBACK, free_ports
from tests.support.operator import ROOT, Block, Machine, blocks_under

pytestmark = pytest.mark.long

PAGE: Final = ROOT / "docs" / "remote-signer.md"
PASSWORD: Final = "correct horse battery"
PORT_OF_THE_PAGE: Final = "8650"
LAT, LON = 47.3769, 8.5417
SECONDS_MAX: Final = 400.0
POLL_SECONDS: Final = 0.2


def block_with(section: str, words: str) -> Block:
    """The one block of the section with these words in it."""
    (found,) = [block for block in blocks_under(section, PAGE) if any(words in command for command in block)]
    return found


class Follower:
    """Who follows the page: a machine, its node, and the proofs that show that the node signs."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._proofs = 0

    @asynccontextmanager
    async def signer(self, command: str) -> AsyncIterator[None]:
        """The command runs until the end of the block."""
        log_path = self.machine.directory / "signer.log"
        said_before = log_path.stat().st_size if log_path.exists() else 0
        with log_path.open("ab") as log:
            process = await self.machine.background(command, log)
        try:
            while process.poll() is None and "the signer serves" not in log_path.read_text()[said_before:]:
                await trio.sleep(POLL_SECONDS)
            assert process.poll() is None, log_path.read_text()
            yield
        finally:
            with trio.CancelScope(shield=True):
                process.terminate()
                await process.wait()

    async def finalise_one(self) -> None:
        """A proof becomes final: of a set of one, only if the key has signed."""
        self._proofs += 1
        now_ms, key = time.time_ns() // 1_000_000, self._proofs.to_bytes(32, "big")
        proof = sign_payload(key, locate(LAT, LON, 10), LAT, LON, 5.0, now_ms, f"follower-{self._proofs}")
        async with httpx.AsyncClient(base_url=self.machine.url, trust_env=False, timeout=90) as http:
            answer = await http.post("/proof/submit", params={"wait_ms": 30_000}, json=proof)
        assert answer.status_code == 200, f"{answer.text}\n{self.machine.log[-4_000:]}"

    def name_signer(self, settings: str) -> None:
        """Put `settings` under `[signer]` in the node's config.toml, in place of those that are there."""
        config = self.machine.home.config
        text = config.read_text(encoding="utf-8")
        before, after = text.split("[signer]\n")
        rest = re.sub(r"^(address|validator|certificate|key|signer_certificate) = .*\n", "", after, flags=re.MULTILINE)
        config.write_text(f"{before}[signer]\n{settings}{rest}", encoding="utf-8")


async def test_a_key_moves_to_a_signer_and_to_another_machine_and_is_changed_there(tmp_path: Path) -> None:
    ports, other = free_ports(2)
    machine = Machine(tmp_path, ports, password=PASSWORD)
    follower = Follower(machine)
    (tmp_path / "parameters.toml").write_text("epoch_batches = 4\nbatch_interval_ms = 200\n")
    made = await machine.run(
        "step-node testnet --validators 1 --parameters parameters.toml --output net && mv net/node0 node"
    )
    assert made.status == 0, made.text
    machine.set_password((machine.home.password).read_text(encoding="utf-8").strip())
    key = keystore_address(machine.home.validator_keystore)
    shutil.copy(machine.home.validator_keystore, tmp_path / "cold.json")
    with trio.fail_after(SECONDS_MAX):
        try:
            await machine.follow(["step-node start --home node"])
            await follower.finalise_one()
            await machine.stop()
            await _over_a_socket(follower, f"0x{key.hex()}")
            await _over_tls(follower, f"0x{key.hex()}", other.api)
        finally:
            await machine.stop()


async def _over_a_socket(follower: Follower, key: str) -> None:
    section, machine = "Moving the key to a signer", follower.machine
    await machine.follow(block_with(section, "mv node"))
    assert not machine.home.validator_keystore.exists()
    assert not list(machine.home.signing_histories.glob("*.log"))
    (start_signer,) = block_with(section, "step-node signer")
    follower.name_signer(_toml_of_the_page(socket=machine.directory / "signer" / "signer.sock", validator=key))
    async with follower.signer(start_signer):
        await machine.follow(block_with(section, "step-node start"))
        await follower.finalise_one()
        await machine.stop()
    elsewhere = machine.directory / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "node").symlink_to(machine.home.root)
    for command in block_with(section, "step-node keys new"):
        made = await machine.run(f"cd elsewhere && {command}")
        assert made.status == 0, made.text
    assert list((elsewhere / "signer" / "data" / "signing_history").glob("0x*.log"))


async def _over_tls(follower: Follower, key: str, port: int) -> None:
    section, machine = "On another machine", follower.machine
    certificates = [block for block in blocks_under(section, PAGE) if block[0].startswith("openssl")]
    assert len(certificates) == 2
    for block in certificates:
        await machine.follow(block)
    for name in ("node.pem", "node.key", "signer.pem"):
        shutil.copy(machine.directory / name, machine.home.root / name)
    (start_signer,) = block_with(section, "step-node signer")
    assert PORT_OF_THE_PAGE in start_signer
    follower.name_signer(
        f'address = "tls://{LOOPBACK}:{port}"\nvalidator = "{key}"\n'
        'certificate = "node.pem"\nkey = "node.key"\nsigner_certificate = "signer.pem"\n'
    )
    async with follower.signer(start_signer.replace(PORT_OF_THE_PAGE, str(port))):
        await machine.follow(["step-node start --home node"])
        await follower.finalise_one()
        await _change_the_key(follower, key)
        await machine.stop()


async def _change_the_key(follower: Follower, key: str) -> None:
    machine = follower.machine
    machine.names |= {"URL": machine.url, "VALIDATOR": key}
    (block,) = blocks_under("Changing the key", PAGE)
    await machine.follow(block)
    new = keystore_address(machine.directory / "signer" / "keys" / "next-validator.json")
    async with httpx.AsyncClient(base_url=machine.url, trust_env=False, timeout=90) as http:
        while (await http.get("/status")).json()["validatorAddress"] != f"0x{new.hex()}":
            await follower.finalise_one()
    await follower.finalise_one()
    listed = await machine.run("step-node keys list --home signer")
    assert f"0x{new.hex()}" in listed.text


def _toml_of_the_page(*, socket: Path, validator: str) -> str:
    (block,) = re.findall(r"^```toml\n\[signer\]\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    settings: str = block
    for text, instead in (("/path/of/signer/signer.sock", str(socket)), ("0x…", validator)):
        assert text in settings
        settings = settings.replace(text, instead)
    return settings
