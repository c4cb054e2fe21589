"""`step-node economy verify`: one line of verdict, on a home, a backup, and what somebody has changed in them."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from step_node.backup.creating import create_backup
from step_node.backup.files import BackupFolder, packed, unpacked
from step_node.backup.manifest import find_manifest, write_manifest
from step_node.chain.genesis import load_genesis
from step_node.home.config import StorageConfig
from step_node.home.paths import NodeHome
from step_node.home.store import storage_settings
from step_node.ledger.records import Account, records_bytes
from step_node.snapshot.manifest import CHUNK_BYTES_MAX
from step_node.snapshot.records import read_records
from step_node.storage.interface import Prunable
from step_node.storage.open import open_storage
from tests.backup.homes import grow_home, make_home
from tests.cli.conftest import Command
from tests.cli.test_verify_at_genesis import begun
from tests.snapshot.snapshots import grow
from tests.support.chains import make_genesis, open_chain
from tests.support.clock import SetClock
from tests.support.proofs import START_MS, address

__all__ = ["begun"]

PAGE = Path(__file__).parents[2] / "docs" / "economy-verify.md"
CLOCK = SetClock(START_MS)
HEIGHT = 7


async def kept_home(root: Path, batches: int = HEIGHT) -> NodeHome:
    """A home whose store has so many batches."""
    home = make_home(root)
    await grow_home(home, batches)
    return home


def test_the_command_verifies_a_home_and_names_a_balance_that_a_hand_has_changed(
    command: Command, tmp_path: Path
) -> None:
    home = trio.run(kept_home, tmp_path / "home")
    result = command("economy", "verify", "--home", home.root)
    assert (result.exit_code, result.stdout.count("\n")) == (0, 1), result.stderr
    assert f"holds: batches 1 to {HEIGHT} executed again, {HEIGHT} proofs" in result.stdout
    assert f"batches: {100} %" in result.stderr
    with closing(sqlite3.connect(home.ledger)) as store, store:
        store.execute("UPDATE accounts SET balance_ustep = 7 WHERE address = ?", (address("walker-3"),))
    result = command("economy", "verify", "--home", home.root, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert not told["holds"]
    assert told["differences"] == [
        {
            "height": HEIGHT,
            "what": f"balance of account 0x{address('walker-3').hex()}",
            "said": "0.000007 STEP",
            "recomputed": "0.001953 STEP",
        }
    ]
    result = command("economy", "verify", "--home", home.root)
    assert (result.exit_code, "DOES NOT HOLD: 1 named above" in result.stdout) == (1, True)
    assert result.stderr.count("differs: ") == 1


def test_what_cannot_be_verified_is_an_error_that_says_what_to_do(command: Command, tmp_path: Path) -> None:
    home = trio.run(kept_home, tmp_path / "home")

    def refused(*arguments: object) -> str:
        result = command("economy", "verify", *arguments)
        assert result.exit_code == 1
        return result.stderr.splitlines()[-1]

    assert "the state of height 3 is not in a store" in refused("--home", home.root, "--from", 4)
    assert f"--to: 99: the store goes to height {HEIGHT}" in refused("--home", home.root, "--to", 99)
    assert "must be at least --from, 5" in refused("--home", home.root, "--from", 5, "--to", 4)
    other = tmp_path / "genesis.json"
    other.write_bytes(make_genesis(3).canonical_json())
    assert "is another chain" in refused("--home", home.root, "--genesis", other)
    home.economy.write_bytes(b"something else")
    assert "move it away to verify the rest" in refused("--home", home.root)
    home.economy.unlink()
    trio.run(prune_below, home, 3)
    assert "its store has batches from height 3 on" in refused("--home", home.root)
    assert command("economy", "verify").exit_code == 2


async def prune_below(home: NodeHome, height: int) -> None:
    async with open_storage(storage_settings(home, StorageConfig())) as store:
        while await store.prune(Prunable.BATCHES, below=height):
            pass


def test_a_backup_holds_from_genesis_and_from_each_state_and_a_changed_one_is_named(
    command: Command, tmp_path: Path
) -> None:
    home, folder = trio.run(kept_home, tmp_path / "home"), tmp_path / "backup"
    trio.run(partial(create_backup, home, folder, clock=CLOCK))
    trio.run(grow_home, home, 3)
    trio.run(partial(create_backup, home, folder, clock=CLOCK))
    result = command("economy", "verify", "--backup", folder, "--genesis", home.genesis)
    assert (result.exit_code, "compared: manifests (1), " in result.stdout) == (0, True), result.stderr
    assert "copies of the state (1)" in result.stdout
    result = command("economy", "verify", "--backup", folder, "--from", HEIGHT + 2)
    begun = f"batches {HEIGHT + 1} to {HEIGHT + 3} executed again on the state of height {HEIGHT}, and nothing before"
    assert (result.exit_code, begun in result.stdout) == (0, True), result.stderr
    assert "the backup goes to height" in command("economy", "verify", "--backup", folder, "--to", 99).stderr
    found = find_manifest(folder)
    assert found is not None
    manifest = found.manifest
    # Who can write the file can write its hash, too.
    write_manifest(folder, manifest.model_copy(update={"state_root": f"0x{'11' * 32}"}))
    result = command("economy", "verify", "--backup", folder)
    assert (result.exit_code, "state root of backup.json: said is 0x1111" in result.stderr) == (1, True)
    segment = manifest.segments[0]
    (folder / segment.file.path).write_bytes(b"something else")
    result = command("economy", "verify", "--backup", folder, "--trust-quorums")
    assert (result.exit_code, f"rejected: batch 1: {segment.file.path}" in result.stderr) == (1, True), result.stderr


def test_a_balance_that_a_backup_lies_in_is_named_though_every_hash_is_right(command: Command, tmp_path: Path) -> None:
    home, folder = trio.run(kept_home, tmp_path / "home"), tmp_path / "backup"
    manifest = trio.run(partial(create_backup, home, folder, clock=CLOCK)).manifest
    (state,) = manifest.states
    (chunk,) = state.chunks
    records, _, _ = read_records(unpacked((folder / chunk.path).read_bytes(), CHUNK_BYTES_MAX), None)
    lies = [
        replace(one, balance_ustep=7) if isinstance(one, Account) and one.address == address("walker-3") else one
        for one in records
    ]
    with BackupFolder(folder) as files:
        forged = files.write(chunk.path, packed(b"".join(records_bytes(lies))))
    states = (state.model_copy(update={"chunks": (forged,)}),)
    write_manifest(folder, manifest.model_copy(update={"states": states}))
    result = command("economy", "verify", "--backup", folder, "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["holds"]) == (1, False)
    named = {one["what"]: (one["height"], one["said"], one["recomputed"]) for one in told["differences"]}
    assert named.pop(f"balance of account 0x{address('walker-3').hex()}") == (HEIGHT, "0.000007 STEP", "0.001953 STEP")
    assert set(named) == {"state root"}
    # A file that was changed by accident has another hash.
    (folder / chunk.path).write_bytes(b"something else")
    result = command("economy", "verify", "--backup", folder)
    assert (result.exit_code, f"differs: height 0: the file {chunk.path}: " in result.stderr) == (1, True)


def test_a_batch_that_a_store_has_dropped_and_a_receipt_that_it_has_changed_are_named(
    command: Command, tmp_path: Path
) -> None:
    home = trio.run(kept_home, tmp_path / "home")
    with closing(sqlite3.connect(home.ledger)) as store, store:
        changed = store.execute("UPDATE proofs SET reward_ustep = 7 WHERE height = 3").rowcount
    assert changed == 1
    result = command("economy", "verify", "--home", home.root)
    lie = "said is 0.000007 STEP, and the batches make 0.001953 STEP"
    line = next(one for one in result.stderr.splitlines() if one.startswith("differs: "))
    assert (result.exit_code, line.startswith("differs: height 3: reward in the receipt of proof 0x")) == (1, True)
    assert line.endswith(lie)
    with closing(sqlite3.connect(home.ledger)) as store, store:
        assert store.execute("DELETE FROM batches WHERE height = 5").rowcount == 1
    result = command("economy", "verify", "--home", home.root)
    assert (result.exit_code, "rejected: batch 5: is missing in the store" in result.stderr) == (1, True)


def test_the_commands_of_the_page_work_in_their_order(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trio.run(kept_home, Path("node"))
    block, _of_a_node = re.findall(
        r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "step-node"
        result = command(*arguments)
        assert result.exit_code == 0, (line, result.stderr)


def test_a_chain_that_begins_with_a_state_is_executed_from_it(
    command: Command, begun: NodeHome, tmp_path: Path
) -> None:
    result = command("economy", "verify", "--home", begun.root)
    assert (result.exit_code, "batches 1 to 0" in result.stdout) == (0, True), result.stderr

    async def go_on() -> None:
        async with open_storage(storage_settings(begun, StorageConfig())) as store:
            await grow(await open_chain(load_genesis(begun.genesis), storage=store), 3)

    trio.run(go_on)
    result = command("economy", "verify", "--home", begun.root)
    assert (result.exit_code, "batches 1 to 3" in result.stdout) == (0, True), result.stderr
    trio.run(partial(create_backup, begun, tmp_path / "backup", clock=CLOCK))
    result = command("economy", "verify", "--backup", tmp_path / "backup")
    assert (result.exit_code, "batches 1 to 3" in result.stdout) == (0, True), result.stderr
    with closing(sqlite3.connect(begun.ledger)) as store, store:
        store.execute("UPDATE triangles SET clicks = 3 WHERE clicks = 0")
    result = command("economy", "verify", "--home", begun.root)
    assert (result.exit_code, "clicks of triangle STEP-TRI-v1" in result.stderr) == (1, True), result.stderr
