"""`step-node genesis import` against a real mongod, from the old database to a home that can start, and back it up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from pymongo import MongoClient

from step_node.amounts import step_text
from step_node.backup.creating import create_backup
from step_node.backup.files import FREE_BYTES_KEPT
from step_node.backup.manifest import BackupError, find_manifest
from step_node.backup.restoring import RestoreWishes, restore_backup
from step_node.backup.verifying import verify_backup
from step_node.chain.genesis import Genesis, GenesisPlan, load_document
from step_node.home.config import StorageConfig
from step_node.home.keys import NodeKeys
from step_node.home.making import new_config, write_home
from step_node.home.paths import NodeHome
from step_node.home.store import storage_settings
from step_node.importing.mongo_source import EVENTS, ImportFailed, MongoSource
from step_node.ledger.commitment import state_root
from step_node.signing.keystore import KdfStrength
from step_node.snapshot.chain_audit import audit_chain
from step_node.snapshot.copying import copy_store
from step_node.snapshot.initial_state import initialise_store
from step_node.storage.interface import Storage
from step_node.storage.open import MongoSettings, SqliteSettings, open_storage
from tests.cli.conftest import Command, command, password_file
from tests.importing.old_database import OldServer, write
from tests.support.chains import finalise, make_genesis, open_chain, validator_names
from tests.support.clock import SetClock
from tests.support.mongod import new_database_name
from tests.support.proofs import START_MS, private_key, signed_proof

__all__ = ["command", "password_file"]

SPAN_MS = 600_000


@pytest.fixture
def old_uri(mongodb_uri: str, server: OldServer) -> Iterator[str]:
    """The URI of a database that the old server has left, with its name."""
    name = new_database_name()
    write(mongodb_uri, name, server)
    yield mongodb_uri.replace("/?", f"/{name}?")
    with connected(mongodb_uri) as client:
        client.drop_database(name)


@contextmanager
def connected(uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def importing(old_uri: str, tmp_path: Path) -> tuple[object, ...]:
    plan = make_genesis(4)
    (tmp_path / "plan.json").write_text(plan.model_dump_json(exclude={"validators"}, exclude_none=True))
    return ("genesis", "import", "--plan", tmp_path / "plan.json", "--mongodb-uri", old_uri)


def outputs(tmp_path: Path) -> tuple[object, ...]:
    return ("--output", tmp_path / "imported.json", "--initial-state", tmp_path / "initial_state.bin")


def test_a_dry_run_tells_what_it_would_be_and_writes_nothing(
    command: Command, importing: tuple[object, ...], tmp_path: Path
) -> None:
    told = command(*importing, "--dry-run", "--json")
    assert told.exit_code == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["totals"]["accounts_imported"] == 100
    assert found["totals"]["balances_read_ustep"] == found["totals"]["balances_imported_ustep"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    written = command(*importing, *outputs(tmp_path), "--json")
    assert written.exit_code == 0, written.stderr
    assert json.loads(written.stdout) == found, "what was foretold is what was written"
    plan = load_document(tmp_path / "imported.json", GenesisPlan)
    assert plan.initial_state is not None
    assert found["initialStateRoot"] == f"0x{plan.initial_state.root.hex()}"
    assert not list(tmp_path.glob("step-import-*")), "nothing is left of the scratch files"


def test_discrepancies_are_in_the_way_until_their_kind_is_accepted(
    command: Command, importing: tuple[object, ...], old_uri: str, tmp_path: Path
) -> None:
    with connected(old_uri) as client:
        client.get_default_database()[EVENTS].update_one({"nonce": "old-7"}, {"$set": {"triangleId": "made up"}})
    report = tmp_path / "report.ndjson"
    refused = command(*importing, *outputs(tmp_path), "--report", report)
    assert refused.exit_code == 1
    assert "nothing was written" in refused.stderr
    assert "--accept triangle-made-up --accept clicks-differ" in refused.stderr.replace("\n", " ")
    assert "triangle_events 7: triangleId: prefix" in refused.stdout
    assert {json.loads(line)["kind"] for line in report.read_text().splitlines()} == {
        "triangle-made-up",
        "clicks-differ",
    }
    assert not (tmp_path / "imported.json").exists()
    accepted = command(*importing, *outputs(tmp_path), "--accept", "triangle-made-up", "--accept", "clicks-differ")
    assert accepted.exit_code == 0, accepted.stderr
    assert command(*importing, "--dry-run", "--accept", "whatever").exit_code == 2


def test_clicks_from_elsewhere_are_in_the_way_and_in_the_sums(
    command: Command, importing: tuple[object, ...], old_uri: str
) -> None:
    with connected(old_uri) as client:
        events = client.get_default_database()[EVENTS]
        (event,) = events.find({"nonce": "old-403"})
        events.update_one({"_id": event["_id"]}, {"$set": {"payload.lat": -event["payload"]["lat"]}})
    told = command(*importing, "--dry-run")
    assert told.exit_code == 1
    assert "--accept clicks-outside --accept event-outside" in told.stderr.replace("\n", " ")
    paid = step_text(int(event["payload"]["reward"]))
    assert f"  1, which paid {paid} STEP, lie outside the triangle that they name; of them\n" in told.stdout
    assert f"  1, which paid {paid} STEP, in triangles that are taken over\n" in told.stdout
    assert "  0, which paid 0.000000 STEP, in triangles that are not\n" in told.stdout
    accepted = command(*importing, "--dry-run", "--accept", "clicks-outside", "--accept", "event-outside")
    assert accepted.exit_code == 0, accepted.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--mongodb-uri", "mongodb://127.0.0.1:1/step"), "MongoDB:"),
        (("--mongodb-uri", "mongodb://127.0.0.1:1"), "the URI names no database"),
    ],
)
def test_a_database_that_is_not_there_is_an_error(
    command: Command, tmp_path: Path, options: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("step_node.importing.mongo_source.SERVER_SELECTION_TIMEOUT_MS", 100)
    (tmp_path / "plan.json").write_text(make_genesis(1).model_dump_json(exclude={"validators"}, exclude_none=True))
    failed = command("genesis", "import", "--plan", tmp_path / "plan.json", "--dry-run", *options)
    assert failed.exit_code == 1
    assert told in failed.stderr


def test_collections_that_are_not_there_have_no_documents(mongodb_uri: str) -> None:
    with MongoSource(mongodb_uri, new_database_name()) as source:
        assert source.count("accounts") == 0
        assert list(source.pages("accounts")) == []
    with pytest.raises(ImportFailed, match="MongoDB"):
        MongoSource(mongodb_uri, "no.name")


@pytest.fixture
def home(command: Command, importing: tuple[object, ...], tmp_path: Path) -> NodeHome:
    """The home of a validator of a chain that begins with the old server's state."""
    written = command(*importing, *outputs(tmp_path))
    assert written.exit_code == 0, written.stderr
    plan = load_document(tmp_path / "imported.json", GenesisPlan)
    assert plan.initial_state is not None
    genesis = Genesis.model_validate(make_genesis(4).model_dump() | {"initial_state": plan.initial_state.model_dump()})
    (tmp_path / "genesis.json").write_text(genesis.model_dump_json(exclude_none=True))
    home = NodeHome(tmp_path / "home")
    write_home(
        home,
        keys=NodeKeys(private_key(validator_names(4)[0]), private_key("p2p")),
        genesis=genesis,
        config=new_config(api_port=8_600, p2p_port=26_600),
        password="a password of tests",
        strength=KdfStrength.DEVNET,
        keep_password=True,
        initial_state=tmp_path / "initial_state.bin",
    )
    return home


async def grow(home: NodeHome, settings: StorageConfig, batches: int) -> tuple[Genesis, bytes]:
    """Begin the chain in the home's store, and finalise so many batches; its genesis, and the root then."""
    genesis = load_document(home.genesis, Genesis)
    async with open_storage(storage_settings(home, settings)) as store:
        await initialise_store(store, genesis, home.initial_state)
        chain = await open_chain(genesis, storage=store)
        for height in range(batches):
            await finalise(chain, [signed_proof(f"walker-{height}", lat=height + 0.5, nonce=f"n-{height}")])
        return genesis, state_root(chain.head.lanes)


async def level_counts(store: Storage) -> object:
    return {level: one for level, one in (await store.level_counts()).items() if one != type(one)()}


async def test_a_chain_with_an_imported_state_is_backed_up_destroyed_and_restored_on_both_engines(
    home: NodeHome, mongodb_uri: str, tmp_path: Path
) -> None:
    genesis, root = await grow(home, StorageConfig(), 3)
    clock = SetClock(START_MS)
    await create_backup(home, tmp_path / "backup", clock=clock)
    first = find_manifest(tmp_path / "backup")
    await create_backup(home, tmp_path / "backup", clock=clock)
    again = find_manifest(tmp_path / "backup")
    assert first is not None
    assert again is not None
    assert first.manifest.home.initial_state == again.manifest.home.initial_state is not None
    verified = await trio.to_thread.run_sync(verify_backup, tmp_path / "backup")
    assert verified.is_sound
    mongodb = StorageConfig(engine="mongodb", mongodb_uri=mongodb_uri, mongodb_database=new_database_name())
    for name, storage in (("sqlite", StorageConfig()), ("mongodb", mongodb)):
        restored = NodeHome(tmp_path / f"restored-{name}")
        found = await restore_backup(tmp_path / "backup", restored, RestoreWishes(storage=storage), clock=clock)
        assert (found.height, found.state_root) == (3, root)
        assert restored.initial_state.read_bytes() == home.initial_state.read_bytes()
        async with open_storage(storage_settings(restored, storage)) as store:
            audited = await audit_chain(store, genesis, ())
            assert (audited.first_height, audited.batches) == (1, 3)
    (tmp_path / "backup" / again.manifest.home.initial_state.path).write_bytes(b"damaged")
    damaged = await trio.to_thread.run_sync(verify_backup, tmp_path / "backup")
    assert any("initial_state.bin" in str(one) for one in damaged.damages)


async def test_a_backup_needs_room_for_the_initial_state(
    home: NodeHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await grow(home, StorageConfig(), 0)
    usage = shutil.disk_usage(tmp_path)
    free = FREE_BYTES_KEPT + home.initial_state.stat().st_size - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=free))
    with pytest.raises(BackupError, match="make room, or choose another disk"):
        await create_backup(home, tmp_path / "backup", clock=SetClock(START_MS))
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=free + 1))
    await create_backup(home, tmp_path / "backup", clock=SetClock(START_MS))


@pytest.mark.parametrize("batches", [0, 3])
async def test_a_store_with_an_imported_state_is_copied_from_engine_to_engine(
    home: NodeHome, mongodb_uri: str, tmp_path: Path, batches: int
) -> None:
    genesis, _ = await grow(home, StorageConfig(), batches)
    async with (
        open_storage(SqliteSettings(home.ledger)) as source,
        open_storage(MongoSettings(mongodb_uri, new_database_name())) as middle,
        open_storage(SqliteSettings(tmp_path / "back.sqlite")) as back,
    ):
        for store_from, store_to in ((source, middle), (middle, back)):
            await initialise_store(store_to, genesis, home.initial_state)
            await copy_store(store_from, store_to)
        assert await back.head() == await middle.head() == await source.head()
        assert await back.totals() == await middle.totals() == await source.totals()
        assert await level_counts(back) == await level_counts(middle) == await level_counts(source)


def test_a_home_is_made_only_with_the_state_that_its_genesis_names(
    command: Command, home: NodeHome, tmp_path: Path
) -> None:
    new = ("init", "--home", tmp_path / "observer", "--genesis", home.genesis)
    without = command(*new)
    assert without.exit_code == 2
    assert "genesis names a state of 100 accounts to begin with" in " ".join(without.stderr.replace("│", "").split())
    (tmp_path / "other.bin").write_bytes(home.initial_state.read_bytes()[:-1])
    other = command(*new, "--initial-state", tmp_path / "other.bin")
    assert other.exit_code == 1
    assert "ends within a page" in other.stderr
    assert not (tmp_path / "observer").exists()
    made = command(*new, "--initial-state", home.initial_state)
    assert made.exit_code == 0, made.stderr
    assert NodeHome(tmp_path / "observer").initial_state.read_bytes() == home.initial_state.read_bytes()
    checked = command("genesis", "check", "--genesis", home.genesis, "--initial-state", home.initial_state, "--json")
    assert checked.exit_code == 0, checked.stderr
    assert json.loads(checked.stdout)["initialStateRoot"].startswith("0x")
