"""Backups with real processes: a node is backed up under load, destroyed, restored, and is the same node again.

What must hold: the restored state is the one that the chain has; the node catches up and its key signs again; and of
all that the key has ever signed, before the backup, after it and since the restore, nothing contradicts anything else.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import httpx
import pymongo
import pytest
import trio

from step_node.home.config import load_config
from step_node.home.paths import NodeHome
from step_node.parameters import Parameters
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.walkers import Walkers
from tests.backup.homes import contents, grow_home, make_home
from tests.integration.test_processes_killed import height_of, until_height
from tests.support.signatures import contradictions, signed_in

SWIFT = Parameters(
    batch_interval_ms=300,
    timeout_propose_ms=1_500,
    timeout_pre_vote_ms=800,
    timeout_pre_commit_ms=500,
    timeout_delta_ms=200,
)
LONGEST_SECONDS = 900.0
FIRST_HEIGHT, SECOND_HEIGHT, LOST_HEIGHTS = 15, 25, 6
"""How long the chain is when the node is backed up, and again; and how much longer when it is lost."""
STEP_NODE = (sys.executable, "-m", "step_node.cli.main")


async def step_node(*arguments: object) -> dict[str, Any]:
    """Run a command with `--json` that must succeed; what it prints."""
    done = await trio.run_process(
        [*STEP_NODE, *map(str, arguments), "--json"], capture_stdout=True, capture_stderr=True, check=False
    )
    assert done.returncode == 0, (arguments, done.stderr.decode())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def history_of(home: NodeHome) -> Path:
    (path,) = home.signing_histories.glob("*.log")
    return path


def destroy(home: NodeHome) -> None:
    """The machine is gone, and its database."""
    storage = load_config(home.config).storage
    if storage.engine == "mongodb":
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(storage.mongodb_uri)
        client.drop_database(storage.mongodb_database)
        client.close()
    shutil.rmtree(home.root)


@pytest.mark.long
@pytest.mark.parametrize(("store", "into"), [("sqlite", None), ("mongodb", None), ("mongodb", "sqlite")])
async def test_a_validator_is_backed_up_under_load_destroyed_and_restored(
    tmp_path: Path, store: Literal["sqlite", "mongodb"], into: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    backup, seconds = tmp_path / "backup", dict[str, float]()
    with trio.fail_after(LONGEST_SECONDS):
        async with Devnet(DevnetSettings(store=store, base_port=0, parameters=SWIFT)) as devnet:
            walkers = Walkers(devnet.clients[:3], SWIFT, proofs=5_000, rate=8)
            node = devnet.nodes[3]
            home = node.home
            async with trio.open_nursery() as nursery:
                nursery.start_soon(walkers.run)
                await until_height(devnet, 3, FIRST_HEIGHT)
                began = time.monotonic()
                first = await step_node("backup", "create", "--home", home.root, "--output", backup, "--with-keys")
                seconds["first backup"] = time.monotonic() - began
                await until_height(devnet, 3, SECOND_HEIGHT)
                began = time.monotonic()
                second = await step_node("backup", "create", "--home", home.root, "--output", backup)
                seconds["second backup"] = time.monotonic() - began
                assert second["height"] > first["height"] >= FIRST_HEIGHT
                assert second["firstNewHeight"] == first["height"] + 1
                await until_height(devnet, 3, second["height"] + LOST_HEIGHTS)
                await devnet.kill(3, signal.SIGKILL)
                before = signed_in(history_of(home))
                password = home.password.read_bytes()
                destroy(home)

                began = time.monotonic()
                verified = await step_node("backup", "verify", backup)
                seconds["verified"] = time.monotonic() - began
                assert verified["sound"]
                assert verified["batchesVerified"] == second["height"]
                engine = () if into is None else ("--engine", into)
                began = time.monotonic()
                restored = await step_node("backup", "restore", backup, "--home", home.root, *engine)
                seconds["restored"] = time.monotonic() - began
                assert restored["height"] == second["height"]
                assert restored["stateRoot"] == second["stateRoot"] == await root_after(devnet, restored["height"])
                home.password.write_bytes(password)
                home.password.chmod(0o600)

                head = max([await height_of(devnet, index) for index in range(3)])
                began = time.monotonic()
                await devnet.restart(3)
                await until_height(devnet, 3, head)
                seconds["caught up"] = time.monotonic() - began
                while not [record for record in signed_in(history_of(home)) if record.height > head]:
                    await trio.sleep(0.1)
                seconds["signs again"] = time.monotonic() - began
                walkers_stop = await height_of(devnet, 3) + 3
                await until_height(devnet, 3, walkers_stop)
                nursery.cancel_scope.cancel()
            after = signed_in(history_of(home))
            assert before
            assert contradictions(before, after) == []
            assert not [record for record in after - before if record.height <= head]
            await agree(devnet)
            sound = await step_node("store", "verify", "--home", home.root)
            assert sound["sound"]
            assert sound["batches"] == sound["commitsWithKnownValidators"] == sound["height"]
    with capsys.disabled():
        times = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
        sys.stdout.write(
            f"\n{store} into {into or store}: {second['height']} batches, {second['proofs']} proofs: {times}\n"
        )


async def root_after(devnet: Devnet, height: int) -> str:
    """The state root after a height, as the header of the next one has it on another node."""
    async with httpx.AsyncClient(base_url=devnet.node_url(0), trust_env=False) as http:
        return str((await http.get(f"/batch/{height + 1}")).json()["header"]["stateRoot"])


async def agree(devnet: Devnet) -> None:
    """Wait until all four nodes stand at one height, and hold their ledgers against each other.

    Height and root are of one answer each: the chain goes on between two requests.
    """
    roots: dict[int, set[str]] = {}
    at_once = False
    while not at_once:
        stand = []
        for index in range(len(devnet.nodes)):
            async with httpx.AsyncClient(base_url=devnet.node_url(index), trust_env=False) as http:
                answer = (await http.get("/status")).json()
            stand.append((answer["height"], answer["stateRoot"]))
        for height, root in stand:
            roots.setdefault(height, set()).add(root)
            assert len(roots[height]) == 1, f"the ledgers differ at height {height}"
        at_once = len({height for height, _ in stand}) == 1
        await trio.sleep(0.1)


def killed_at_line(number: int, *arguments: object) -> bool:
    """Run a command and kill it -9 when it has told so many lines of progress; whether it had not ended before."""
    process = subprocess.Popen([*STEP_NODE, *map(str, arguments)], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stderr is not None
    for _ in range(number):
        if not process.stderr.readline():
            break
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.mark.long
async def test_what_is_killed_in_the_middle_is_gone_on_with_and_nothing_half_made_is_believed(tmp_path: Path) -> None:
    home, backup = make_home(tmp_path / "home"), tmp_path / "backup"
    height, root = await grow_home(home, 30)
    for line in range(1, 8, 2):
        killed_at_line(line, "backup", "create", "--home", home.root, "--output", backup)
        if (backup / "backup.json").exists():
            assert (await step_node("backup", "verify", backup))["sound"]
    created = await step_node("backup", "create", "--home", home.root, "--output", backup)
    assert (created["height"], created["stateRoot"]) == (height, f"0x{root.hex()}")
    kills = 0
    for line in range(1, 40, 3):
        new = tmp_path / f"new-{line}"
        killed = killed_at_line(line, "backup", "restore", backup, "--home", new)
        kills += killed and not new.exists()
        if not new.exists():
            restored = await step_node("backup", "restore", backup, "--home", new)
            assert (restored["height"], restored["stateRoot"]) == (height, f"0x{root.hex()}")
        assert await contents(NodeHome(new)) == await contents(home)
    assert kills > 3
