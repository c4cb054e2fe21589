"""A backup holds what a node has, says when it is damaged, and becomes the same node again."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from step_node.backup import creating, restoring
from step_node.backup.creating import Created, create_backup
from step_node.backup.files import BackupFolder, DamagedFile, batch_record, batch_records, packed, unpacked
from step_node.backup.manifest import MANIFEST_COPY_NAME, MANIFEST_NAME, BackupError, find_manifest, write_manifest
from step_node.backup.restoring import Restored, RestoreWishes, restore_backup
from step_node.backup.settings import with_storage, without_secrets
from step_node.backup.verifying import verify_backup
from step_node.home.config import StorageConfig, load_config
from step_node.home.paths import NodeHome
from step_node.home.store import storage_settings
from step_node.node.signing_history import NO_WORD, check_history
from step_node.signing.guard import DoubleSignRefused, SigningGuard, SigningRule
from step_node.signing.history import SigningKind
from step_node.storage.open import open_storage
from tests.backup.homes import GENESIS, VALIDATOR, contents, grow_home, make_home, sign
from tests.support.chains import CHAIN_ID, make_genesis, open_chain
from tests.support.clock import SetClock
from tests.support.mongod import mongodb_uri, new_database_name
from tests.support.proofs import START_MS, address

__all__ = ["mongodb_uri"]

CLOCK = SetClock(START_MS)


class Killed(BaseException):
    """What stands for the end of the process."""


async def backed_up(home: NodeHome, folder: Path, **options: Any) -> Created:
    return await create_backup(home, folder, clock=CLOCK, **options)


async def restored(folder: Path, home: NodeHome, wishes: RestoreWishes | None = None, **options: Any) -> Restored:
    return await restore_backup(folder, home, wishes or RestoreWishes(), clock=CLOCK, **options)


@pytest.fixture
def home(tmp_path: Path) -> NodeHome:
    return make_home(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.fixture
def new_home(tmp_path: Path) -> NodeHome:
    return NodeHome(tmp_path / "new")


async def test_a_restored_home_has_all_that_the_node_had(home: NodeHome, folder: Path, new_home: NodeHome) -> None:
    height, root = await grow_home(home, 12)
    created = await backed_up(home, folder)
    assert (created.manifest.height, created.manifest.state_root) == (height, f"0x{root.hex()}")
    found = verify_backup(folder)
    assert (found.damages, found.batches, found.quorums) == ((), 12, 12)
    result = await restored(folder, new_home)
    assert (result.height, result.state_root, result.first_height) == (height, root, 1)
    assert await contents(new_home) == await contents(home)
    assert not (new_home.root / restoring.MARK_NAME).exists()


async def test_a_restore_never_signs_the_past(home: NodeHome, folder: Path, new_home: NodeHome) -> None:
    await grow_home(home, 3)
    await backed_up(home, folder, with_keys=True)
    sign(home, 4, b"what the backup does not know of")
    await restored(folder, new_home)
    validator = address(VALIDATOR)
    check_history(new_home, validator=validator, word=NO_WORD, is_observer=False)
    with SigningGuard.open(new_home.signing_history(validator), chain_id=CHAIN_ID, validator=validator) as guard:
        assert guard.height == 3
        assert guard.is_doubtful
        assert "restored from a backup" in str(guard.doubt_reason)
        with pytest.raises(DoubleSignRefused) as refused:
            guard.authorise(4, 0, SigningKind.PRE_COMMIT, b"another value")
        assert refused.value.rule is SigningRule.DOUBT


async def test_keys_are_copied_only_if_asked_for_and_passwords_never(home: NodeHome, folder: Path) -> None:
    await grow_home(home, 1)
    created = await backed_up(home, folder)
    assert created.manifest.home.key_files == ()
    created = await backed_up(home, folder, with_keys=True)
    assert [Path(file.path).name for file in created.manifest.home.key_files] == ["p2p.key", "validator.json"]
    # A later run without the word does not take them away.
    assert (await backed_up(home, folder)).manifest.home.key_files == created.manifest.home.key_files
    assert verify_backup(folder).is_sound
    secret = home.password.read_bytes().strip()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name == "password" or secret in path.read_bytes()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


async def test_a_key_that_comes_without_its_history_begins_in_doubt(
    home: NodeHome, folder: Path, new_home: NodeHome
) -> None:
    await grow_home(home, 2)
    shutil.rmtree(home.signing_histories)
    await backed_up(home, folder, with_keys=True)
    await restored(folder, new_home)
    said = SigningGuard.read(
        new_home.signing_history(address(VALIDATOR)), chain_id=CHAIN_ID, validator=address(VALIDATOR)
    )
    assert said.doubt is not None


async def test_secrets_of_the_settings_stay_out_and_are_named(home: NodeHome, folder: Path) -> None:
    await grow_home(home, 1)
    lines = ["[keystore]", 'password = "hunter2"', "[storage] # sqlite", 'engine = "sqlite"  # still']
    lines += ['mongodb_uri = "mongodb://step:hunter2@db.example/?replicaSet=rs0"', "[log]", 'level = "warning"']
    home.config.write_text("\n".join(lines), encoding="utf-8")
    created = await backed_up(home, folder)
    copied = (folder / created.manifest.home.config.path).read_text(encoding="utf-8")
    assert created.left_out == ("keystore.password", "storage.mongodb_uri")
    assert "hunter2" not in copied
    assert tomllib.loads(copied) == {
        "keystore": {},
        "storage": {"engine": "sqlite", "mongodb_uri": "mongodb://db.example/?replicaSet=rs0"},
        "log": {"level": "warning"},
    }


@pytest.mark.parametrize(
    "text",
    [
        'keystore.password = "hunter2"',
        'keystore = { password = "hunter2" }',
        '[keystore]\n"password" = "hunter2"',
    ],
)
def test_a_secret_that_cannot_be_taken_out_of_the_settings_is_refused(text: str) -> None:
    with pytest.raises(BackupError, match=r"keystore\.password: is a secret, and cannot be taken out"):
        without_secrets(text)


def test_the_store_in_the_settings_is_replaced_and_all_else_stays() -> None:
    text = '# mine\n[api]\nport = 8601 # not 8600\n[storage]\nengine = "mongodb"\n[log]\nlevel = "debug"\n'
    mongodb = StorageConfig(engine="mongodb", mongodb_uri="mongodb://x/", mongodb_database="other")
    changed = with_storage(text, mongodb)
    assert "# mine\n[api]\nport = 8601 # not 8600\n" in changed
    assert tomllib.loads(changed) == {
        "api": {"port": 8601},
        "log": {"level": "debug"},
        "storage": {"engine": "mongodb", "mongodb_uri": "mongodb://x/", "mongodb_database": "other"},
    }
    with pytest.raises(BackupError, match="give a file by --config"):
        with_storage('storage.engine = "sqlite"', StorageConfig())


async def test_a_second_run_adds_only_what_is_new(home: NodeHome, folder: Path, new_home: NodeHome) -> None:
    await grow_home(home, 5)
    first = await backed_up(home, folder)
    before = {file.path: (folder / file.path).stat() for file in first.manifest.files()}
    await grow_home(home, 4)
    second = await backed_up(home, folder)
    assert second.first_height == 6
    assert second.manifest.segments[: len(first.manifest.segments)] == first.manifest.segments
    assert second.manifest.states == first.manifest.states
    for segment in first.manifest.segments:
        stat, was = (folder / segment.file.path).stat(), before[segment.file.path]
        assert (stat.st_ino, stat.st_mtime_ns) == (was.st_ino, was.st_mtime_ns)
    assert verify_backup(folder).batches == 9
    assert (await restored(folder, new_home)).height == 9
    assert await contents(new_home) == await contents(home)


async def test_a_run_with_nothing_new_adds_no_batches(home: NodeHome, folder: Path) -> None:
    await grow_home(home, 3)
    first = await backed_up(home, folder)
    second = await backed_up(home, folder)
    assert second.manifest.segments == first.manifest.segments
    assert second.first_height == 4


async def test_the_same_chain_gives_the_same_bytes(home: NodeHome, tmp_path: Path) -> None:
    await grow_home(home, 4)
    one, two = await backed_up(home, tmp_path / "one"), await backed_up(home, tmp_path / "two")
    assert one.manifest == two.manifest


async def test_old_copies_of_the_state_go_when_a_new_one_is_there(home: NodeHome, folder: Path) -> None:
    await grow_home(home, 2)
    first = await backed_up(home, folder, state_every_batches=3)
    await grow_home(home, 3)
    second = await backed_up(home, folder, state_every_batches=3)
    assert [state.height for state in second.manifest.states] == [5]
    assert not (folder / first.manifest.states[0].index.path).exists()
    assert verify_backup(folder).is_sound


async def test_the_state_alone_is_restored_with_what_follows(home: NodeHome, folder: Path, new_home: NodeHome) -> None:
    await grow_home(home, 4)
    await backed_up(home, folder)
    height, root = await grow_home(home, 3)
    await backed_up(home, folder)
    assert verify_backup(folder).proven_states == 1
    result = await restored(folder, new_home, RestoreWishes(state_only=True))
    assert (result.height, result.state_root, result.first_height) == (height, root, 4)
    assert (await contents(new_home))["accounts"] == (await contents(home))["accounts"]


async def test_a_restore_may_end_at_an_earlier_height(home: NodeHome, folder: Path, new_home: NodeHome) -> None:
    _, root = await grow_home(home, 4)
    await grow_home(home, 3)
    await backed_up(home, folder)
    result = await restored(folder, new_home, RestoreWishes(to_height=4))
    assert (result.height, result.state_root) == (4, root)
    with pytest.raises(BackupError, match="--to-height: the backup goes from 0 to 7; 8 is not there"):
        await restored(folder, NodeHome(new_home.root.with_name("other")), RestoreWishes(to_height=8))


async def test_a_backup_of_a_store_that_began_with_a_snapshot(
    home: NodeHome, folder: Path, new_home: NodeHome, tmp_path: Path
) -> None:
    await grow_home(home, 4)
    await backed_up(home, folder)
    joined = NodeHome(tmp_path / "joined")
    await restored(folder, joined, RestoreWishes(state_only=True))
    height, _ = await grow_home(joined, 3, signs=False)
    created = await backed_up(joined, tmp_path / "second")
    assert created.manifest.base_height == height
    await grow_home(joined, 2, signs=False)
    await backed_up(joined, tmp_path / "second")
    assert verify_backup(tmp_path / "second").damages == ()
    result = await restored(tmp_path / "second", new_home)
    assert (result.height, result.first_height) == (height + 2, height)


@pytest.mark.parametrize("to_mongodb", [True, False])
async def test_either_engine_restores_into_the_other(
    tmp_path: Path, folder: Path, new_home: NodeHome, mongodb_uri: str, to_mongodb: bool
) -> None:
    mongodb = StorageConfig(engine="mongodb", mongodb_uri=mongodb_uri, mongodb_database=new_database_name())
    of, into = (StorageConfig(), mongodb) if to_mongodb else (mongodb, StorageConfig())
    home = make_home(tmp_path / "home", storage=of)
    await grow_home(home, 6, storage=of)
    await backed_up(home, folder)
    await restored(folder, new_home, RestoreWishes(storage=into))
    assert load_config(new_home.config).storage == into
    assert await contents(new_home, storage=into) == await contents(home, storage=of)


async def test_a_database_that_holds_a_store_is_not_written_over(
    tmp_path: Path, folder: Path, new_home: NodeHome, mongodb_uri: str
) -> None:
    mongodb = StorageConfig(engine="mongodb", mongodb_uri=mongodb_uri, mongodb_database=new_database_name())
    home = make_home(tmp_path / "home", storage=mongodb)
    await grow_home(home, 2, storage=mongodb)
    await backed_up(home, folder)
    with pytest.raises(BackupError, match="is there already, and a restore does not write over a store"):
        await restored(folder, new_home)
    assert not new_home.root.exists()


def damages(content: bytes) -> Iterator[tuple[str, bytes | None]]:
    middle = len(content) // 2
    yield "flipped", content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    yield "truncated", content[:-1]
    yield "lengthened", content + b"\n"
    yield "emptied", b""
    yield "removed", None


async def test_every_damaged_file_is_named_with_what_is_lost(home: NodeHome, folder: Path) -> None:
    await grow_home(home, 5)
    await backed_up(home, folder, with_keys=True)
    await grow_home(home, 2)
    created = await backed_up(home, folder, with_keys=True)
    names = [file.path for file in created.manifest.files()]
    assert {Path(name).parts[0] for name in names} == {"home", "batches", "states"}
    for name in names:
        content = (folder / name).read_bytes()
        for how, damaged in damages(content):
            if damaged is None:
                (folder / name).unlink()
            else:
                (folder / name).write_bytes(damaged)
            found = verify_backup(folder)
            assert name in [one.file for one in found.damages], (name, how)
            assert all(one.what and one.lost and one.what_to_do for one in found.damages)
            assert {one.file for one in found.damages} == {name}, (name, how)
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    assert verify_backup(folder).is_sound


@pytest.mark.parametrize("name", [MANIFEST_NAME, MANIFEST_COPY_NAME])
async def test_a_damaged_manifest_is_named_and_the_other_one_is_used(home: NodeHome, folder: Path, name: str) -> None:
    await grow_home(home, 2)
    await backed_up(home, folder)
    content = (folder / name).read_bytes()
    for _, damaged in damages(content):
        if damaged is None:
            (folder / name).unlink()
        elif damaged.strip() == content.strip():
            continue
        else:
            (folder / name).write_bytes(damaged)
        assert [one.file for one in verify_backup(folder).damages] == [name]
    await backed_up(home, folder)
    assert verify_backup(folder).is_sound


async def test_a_backup_without_a_sound_manifest_is_refused(home: NodeHome, folder: Path) -> None:
    await grow_home(home, 2)
    await backed_up(home, folder)
    for name in (MANIFEST_NAME, MANIFEST_COPY_NAME):
        (folder / name).write_text("{}")
    with pytest.raises(BackupError, match=r"both backup.json and backup.copy.json are unusable"):
        verify_backup(folder)
    with pytest.raises(BackupError, match="is no backup"):
        verify_backup(folder.parent)


async def test_a_damaged_backup_is_not_restored_and_what_to_do_works(
    home: NodeHome, folder: Path, new_home: NodeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(creating, "SEGMENT_BYTES_MAX", 4_000)
    await grow_home(home, 6)
    created = await backed_up(home, folder)
    third = created.manifest.segments[2]
    (folder / third.file.path).write_bytes(b"nothing")
    with pytest.raises(BackupError, match=r"is damaged, and nothing was restored") as refused:
        await restored(folder, new_home)
    assert third.file.path in str(refused.value)
    assert not new_home.root.exists()
    (damage,) = verify_backup(folder).damages
    assert f"The batches of the heights {third.first_height} to {third.last_height} are lost." in damage.lost
    assert "--state-only" in damage.what_to_do
    assert (await restored(folder, new_home, RestoreWishes(state_only=True))).height == 6
    other = NodeHome(new_home.root.with_name("other"))
    before = third.first_height - 1
    assert (await restored(folder, other, RestoreWishes(to_height=before))).height == before


async def test_a_forged_batch_is_found_though_every_hash_is_right(
    home: NodeHome, folder: Path, new_home: NodeHome
) -> None:
    """Somebody who can write to a backup can make its hashes right, but not a quorum's signatures."""
    await grow_home(home, 3)
    created = await backed_up(home, folder)
    (segment,) = created.manifest.segments
    records = list(batch_records(unpacked((folder / segment.file.path).read_bytes(), segment.unpacked_bytes)))
    batch, commit = records[1]
    at = commit.rindex(b"signature") + 30
    records[1] = (batch, commit[:at] + bytes([commit[at] ^ 1]) + commit[at + 1 :])
    with BackupFolder(folder) as files:
        forged = files.write(segment.file.path, packed(b"".join(batch_record(*record) for record in records)))
    segments = (segment.model_copy(update={"file": forged}),)
    write_manifest(folder, created.manifest.model_copy(update={"segments": segments}))
    (damage,) = verify_backup(folder).damages
    assert damage.file == segment.file.path
    assert "height 2: its commit" in damage.what
    with pytest.raises(BackupError, match="the batch of height 2 is not one of this chain"):
        await restored(folder, new_home)
    assert not new_home.root.exists()


@pytest.mark.long
async def test_a_run_that_is_killed_at_any_write_leaves_the_backup_as_it_was_or_as_it_is_to_be(
    home: NodeHome, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await grow_home(home, 3)
    await backed_up(home, folder)
    await grow_home(home, 3)
    saved, sync, kills = tmp_path / "saved", os.fsync, 0
    shutil.copytree(folder, saved)
    while True:
        kills += 1
        count = 0

        def killing(descriptor: int, at: int = kills) -> None:
            nonlocal count
            count += 1
            if count == at:
                raise Killed
            sync(descriptor)

        shutil.rmtree(folder)
        shutil.copytree(saved, folder)
        monkeypatch.setattr(os, "fsync", killing)
        try:
            await backed_up(home, folder, state_every_batches=1)
        except Killed:
            pass
        else:
            break
        finally:
            monkeypatch.setattr(os, "fsync", sync)
        found = verify_backup(folder)
        assert {one.file for one in found.damages} <= {MANIFEST_COPY_NAME}
        assert found.manifest.height in (3, 6)
        await backed_up(home, folder, state_every_batches=1)
        assert verify_backup(folder).damages == ()
        assert verify_backup(folder).manifest.height == 6
    assert kills > 20


@pytest.mark.long
@pytest.mark.parametrize("state_only", [False, True])
async def test_a_restore_that_is_cut_short_at_any_batch_leaves_no_home_and_is_gone_on_with(
    home: NodeHome, folder: Path, tmp_path: Path, state_only: bool
) -> None:
    await grow_home(home, 3)
    await backed_up(home, folder)
    height, root = await grow_home(home, 3)
    await backed_up(home, folder)
    wishes = RestoreWishes(state_only=state_only)
    steps: list[tuple[str, int, int]] = []
    await restored(folder, NodeHome(tmp_path / "whole"), wishes, progress=lambda *step: steps.append(step))
    assert {step[0] for step in steps} == {"files", "batches", "records"} | ({"state"} if state_only else set())
    for number in range(len(steps)):
        new_home, seen = NodeHome(tmp_path / f"new-{number}"), 0

        def kill(*_step: object, at: int = number) -> None:
            nonlocal seen
            seen += 1
            if seen > at:
                raise Killed

        with pytest.raises(Killed):
            await restored(folder, new_home, wishes, progress=kill)
        assert not new_home.root.exists()
        result = await restored(folder, new_home, wishes)
        assert (result.height, result.state_root) == (height, root)


@pytest.mark.parametrize("at", range(1, 9))
async def test_a_restore_that_is_killed_at_its_first_writes_is_begun_again(
    home: NodeHome, folder: Path, new_home: NodeHome, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    await grow_home(home, 1)
    await backed_up(home, folder)
    count, sync = 0, os.fsync

    def killing(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise Killed
        sync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", killing)
        with pytest.raises(Killed):
            await restored(folder, new_home)
    assert not new_home.root.exists()
    assert (await restored(folder, new_home)).height == 1


async def test_what_is_left_of_a_restore_of_another_backup_is_not_gone_on_with(
    home: NodeHome, folder: Path, new_home: NodeHome
) -> None:
    await grow_home(home, 3)
    await backed_up(home, folder)

    def kill(part: str, *_: object) -> None:
        if part == "batches":
            raise Killed

    with pytest.raises(Killed):
        await restored(folder, new_home, progress=kill)
    with pytest.raises(BackupError, match="is what an earlier restore of another kind has left"):
        await restored(folder, new_home, RestoreWishes(state_only=True))


async def test_an_output_that_is_not_a_backup_is_left_alone(home: NodeHome, folder: Path) -> None:
    await grow_home(home, 1)
    folder.mkdir()
    (folder / "photographs").write_text("of the family")
    with pytest.raises(BackupError, match="holds 'photographs', which is not a backup's"):
        await backed_up(home, folder)


async def test_a_backup_of_another_chain_is_not_added_to(home: NodeHome, folder: Path) -> None:
    await grow_home(home, 1)
    await backed_up(home, folder)
    home.genesis.write_text(make_genesis(3).model_dump_json())
    with pytest.raises(BackupError, match="give each chain a directory of its own"):
        await backed_up(home, folder)


async def test_a_store_behind_its_backup_is_not_backed_up_there(home: NodeHome, folder: Path, tmp_path: Path) -> None:
    await grow_home(home, 3)
    await backed_up(home, folder)
    behind = make_home(tmp_path / "behind")
    await grow_home(behind, 2)
    with pytest.raises(BackupError, match=r"goes to height 3, and the store of .* stands at 2"):
        await backed_up(behind, folder)


async def test_a_store_with_another_batch_is_not_backed_up_there(home: NodeHome, folder: Path) -> None:
    await grow_home(home, 2)
    await backed_up(home, folder)
    found = find_manifest(folder)
    assert found is not None
    write_manifest(folder, found.manifest.model_copy(update={"batch_hash": "0x" + "11" * 32}))
    with pytest.raises(BackupError, match="has another batch at height 2"):
        await backed_up(home, folder)


async def test_a_chain_without_batches_is_backed_up_and_restored(
    home: NodeHome, folder: Path, new_home: NodeHome
) -> None:
    async with open_storage(storage_settings(home, StorageConfig())) as storage:
        await open_chain(GENESIS, storage=storage)
    created = await backed_up(home, folder)
    assert (created.manifest.height, created.manifest.states, created.manifest.segments) == (0, (), ())
    assert verify_backup(folder).is_sound
    assert (await restored(folder, new_home)).height == 0


async def test_a_full_disk_is_said_before_anything_is_written(
    home: NodeHome, folder: Path, new_home: NodeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    await grow_home(home, 1)
    await backed_up(home, folder)
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1_000))
    with pytest.raises(BackupError, match="make room, or choose another disk"):
        await backed_up(home, folder)
    with pytest.raises(BackupError, match="make room, or choose another disk"):
        await restored(folder, new_home)
    assert not new_home.root.exists()
    assert not new_home.root.with_name("new.restoring").joinpath("data").exists()


def test_what_is_compressed_is_read_no_further_than_it_may_go() -> None:
    assert unpacked(packed(b"x" * 1_000), 1_000) == b"x" * 1_000
    for content, bytes_max in ((packed(b"x" * 1_000_000), 1_000), (packed(b"x") + b"y", 1), (b"nothing", 10)):
        with pytest.raises(DamagedFile):
            unpacked(content, bytes_max)


@pytest.mark.parametrize("cut", [1, 3, 6, 9])
def test_a_segment_that_ends_within_a_batch_is_refused(cut: int) -> None:
    segment = batch_record(b"batch", b"commit")
    assert list(batch_records(segment)) == [(b"batch", b"commit")]
    with pytest.raises(DamagedFile):
        list(batch_records(segment[:-cut]))
