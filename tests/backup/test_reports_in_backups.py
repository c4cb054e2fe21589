"""Reports of fairness survive in a backup, with either engine, also those that nobody could make again."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from step_node.backup.creating import create_backup
from step_node.backup.files import DamagedFile, batch_record, batch_records, packed, unpacked
from step_node.backup.manifest import MANIFEST_NAME, BackupFile, find_manifest, hash_text, write_manifest
from step_node.backup.reports import read_reports
from step_node.backup.restoring import Restored, RestoreWishes, restore_backup
from step_node.backup.verifying import verify_backup
from step_node.cli.economy.sources import Wishes, verify_backup_chain
from step_node.cli.progress_lines import ProgressLines
from step_node.economy.fairness.kept import KeptEpoch
from step_node.economy.fairness.report import FairnessReport
from step_node.economy.side_file import EconomyFile
from step_node.home.config import StorageConfig
from step_node.home.paths import NodeHome
from step_node.home.store import storage_settings
from step_node.storage.interface import Prunable
from step_node.storage.open import open_storage
from tests.backup.homes import EPOCH_BATCHES, GENESIS, grow_home, keep_reports, kept_reports_in, make_home
from tests.support.clock import SetClock
from tests.support.mongod import mongodb_uri, new_database_name
from tests.support.proofs import START_MS

__all__ = ["mongodb_uri"]

CLOCK = SetClock(START_MS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.fixture
def new_home(tmp_path: Path) -> NodeHome:
    return NodeHome(tmp_path / "new")


async def home_with_reports(root: Path, epochs: int = 3, *, storage: StorageConfig | None = None) -> NodeHome:
    """A home of so many epochs and a batch, with the report of each."""
    home = make_home(root, storage=storage)
    await grow_home(home, epochs * EPOCH_BATCHES + 1, storage=storage)
    await keep_reports(home, storage=storage)
    return home


async def restored(folder: Path, home: NodeHome, wishes: RestoreWishes | None = None) -> Restored:
    return await restore_backup(folder, home, wishes or RestoreWishes(), clock=CLOCK)


@pytest.mark.parametrize("to_mongodb", [True, False])
async def test_reports_come_back_whichever_engine_they_are_of(
    tmp_path: Path, folder: Path, new_home: NodeHome, mongodb_uri: str, to_mongodb: bool
) -> None:
    mongodb = StorageConfig(engine="mongodb", mongodb_uri=mongodb_uri, mongodb_database=new_database_name())
    of, into = (StorageConfig(), mongodb) if to_mongodb else (mongodb, StorageConfig())
    home = await home_with_reports(tmp_path / "home", storage=of)
    reports = await kept_reports_in(home)
    assert sorted(reports) == [1, 2, 3]
    await create_backup(home, folder, clock=CLOCK)
    assert verify_backup(folder).is_sound
    result = await restored(folder, new_home, RestoreWishes(storage=into))
    assert (result.reports, result.passed_over) == (3, ())
    assert await kept_reports_in(new_home) == reports
    with closing(EconomyFile.open(new_home.economy, GENESIS.hash)) as file:
        assert await file.first_headline_epoch() == 1
        assert len(await file.headlines(before=9, limit=9)) == 3


async def test_reports_of_batches_that_are_gone_are_there_again(
    tmp_path: Path, folder: Path, new_home: NodeHome
) -> None:
    home = await home_with_reports(tmp_path / "home")
    reports = await kept_reports_in(home)
    async with open_storage(storage_settings(home, StorageConfig()), alone=True) as storage:
        while await storage.prune(Prunable.BATCHES, below=2 * EPOCH_BATCHES + 2):
            pass
    created = await create_backup(home, folder, clock=CLOCK)
    assert created.manifest.base_height > 2 * EPOCH_BATCHES
    assert (await restored(folder, new_home)).reports == 3
    assert await kept_reports_in(new_home) == reports


async def test_a_run_adds_the_reports_that_are_new(tmp_path: Path, folder: Path, new_home: NodeHome) -> None:
    home = await home_with_reports(tmp_path / "home", 1)
    first = await create_backup(home, folder, clock=CLOCK)
    again = await create_backup(home, folder, clock=CLOCK)
    assert again.manifest.reports == first.manifest.reports
    await grow_home(home, 2 * EPOCH_BATCHES)
    await keep_reports(home)
    second = await create_backup(home, folder, clock=CLOCK)
    assert second.manifest.reports[:1] == first.manifest.reports
    assert [(one.first_epoch, one.last_epoch, one.reports) for one in second.manifest.reports] == [(1, 1, 1), (2, 3, 2)]
    assert (await restored(folder, new_home)).reports == 3


async def test_a_restore_up_to_a_height_has_no_later_reports_and_a_backup_none_of_later_batches(
    tmp_path: Path, folder: Path, new_home: NodeHome
) -> None:
    home = await home_with_reports(tmp_path / "home")
    with closing(EconomyFile.open(home.economy, GENESIS.hash)) as file:
        body = await file.report(3)
        assert body is not None
        # As of a node that goes on while it is backed up.
        await file.keep_report(4, body)
    await create_backup(home, folder, clock=CLOCK)
    assert verify_backup(folder).is_sound
    assert (await restored(folder, new_home, RestoreWishes(to_height=3 * EPOCH_BATCHES - 1))).reports == 2
    assert sorted(await kept_reports_in(new_home)) == [1, 2]


async def test_a_backup_from_before_there_were_reports_is_restored_as_ever(
    tmp_path: Path, folder: Path, new_home: NodeHome
) -> None:
    home = make_home(tmp_path / "home")
    await grow_home(home, 2 * EPOCH_BATCHES)
    await create_backup(home, folder, clock=CLOCK)
    assert "reports" not in json.loads((folder / MANIFEST_NAME).read_bytes())["manifest"]
    assert verify_backup(folder).is_sound
    assert (await restored(folder, new_home)).reports == 0
    assert not new_home.economy.exists()


async def test_a_side_file_that_cannot_be_read_is_told_and_keeps_no_backup_from_being_made(
    tmp_path: Path, folder: Path
) -> None:
    home = await home_with_reports(tmp_path / "home")
    first = await create_backup(home, folder, clock=CLOCK)
    assert first.reports_left_out is None
    home.economy.write_bytes(b"no database at all" * 1_000)
    second = await create_backup(home, folder, clock=CLOCK)
    assert "file is not a database" in str(second.reports_left_out)
    assert second.manifest.reports == first.manifest.reports


async def test_a_damaged_file_of_reports_is_named_and_passed_over(
    tmp_path: Path, folder: Path, new_home: NodeHome
) -> None:
    home = await home_with_reports(tmp_path / "home")
    created = await create_backup(home, folder, clock=CLOCK)
    (segment,) = created.manifest.reports
    (folder / segment.file.path).write_bytes(b"nothing")
    (damage,) = verify_backup(folder).damages
    assert damage.file == segment.file.path
    assert "epochs 1 to 3 are lost; the batches are not" in damage.lost
    result = await restored(folder, new_home)
    assert [one.file for one in result.passed_over] == [segment.file.path]
    assert (result.reports, result.height) == (0, 3 * EPOCH_BATCHES + 1)


def rewritten(folder: Path, records: list[tuple[int, bytes]]) -> None:
    """Whoever can write to a backup can make its hashes right: the file of reports with these."""
    found = find_manifest(folder)
    assert found is not None
    (segment,) = found.manifest.reports
    content = b"".join(batch_record(epoch.to_bytes(8, "big"), body) for epoch, body in records)
    data = packed(content)
    (folder / segment.file.path).write_bytes(data)
    file = BackupFile(path=segment.file.path, bytes=len(data), sha256=hash_text(data))
    changed = segment.model_copy(update={"file": file, "unpacked_bytes": len(content)})
    write_manifest(folder, found.manifest.model_copy(update={"reports": (changed,)}))


async def test_what_is_not_of_the_backups_chain_is_found_and_not_restored(
    tmp_path: Path, folder: Path, new_home: NodeHome
) -> None:
    home = await home_with_reports(tmp_path / "home")
    (segment,) = (await create_backup(home, folder, clock=CLOCK)).manifest.reports
    content = unpacked((folder / segment.file.path).read_bytes(), segment.unpacked_bytes)
    records = [(int.from_bytes(number, "big"), body) for number, body in batch_records(content)]
    second = KeptEpoch.decoded(records[1][1])
    other_hash = f"0x{second.point.batch_hash.hex()}".encode()
    forged = second.report.replace(other_hash, b"0x" + b"11" * 32)
    point = second.point.__class__(second.point.height, b"\x11" * 32, bytes(20), 0, second.point.validators)
    assert second.headline is not None
    headline = second.headline.model_copy(update={"report_hash": hash_text(forged)})
    wrong = {
        "cannot be used": [records[0], (2, b"no such thing"), records[2]],
        "it is of height 3, and the epoch ends with 6": [records[0], (2, records[0][1]), records[2]],
        "other epochs": [records[1], records[0], records[2]],
        "holds 2 epochs": [records[0], records[2]],
        "not in their one form": [
            records[0],
            (2, KeptEpoch(second.point, second.report + b" ", second.headline).encoded()),
            records[2],
        ],
        "of another epoch, or of another chain": [
            records[0],
            (2, KeptEpoch(second.point, forged, headline).encoded()),
            records[2],
        ],
        "not of this backup's batches": [records[0], (2, KeptEpoch(point, forged, headline).encoded()), records[2]],
    }
    for number, (reason, changed) in enumerate(wrong.items()):
        rewritten(folder, changed)
        (damage,) = verify_backup(folder).damages
        assert reason in damage.what, damage
        if number not in (0, len(wrong) - 1):
            continue  # What is found is the same in a restore, which takes longer.
        result = await restored(folder, NodeHome(tmp_path / f"restored-{number}"))
        assert [reason in one.what for one in result.passed_over] == [True]
        assert result.reports == 0
    rewritten(folder, records)
    assert (await restored(folder, new_home)).reports == 3


async def test_a_file_of_reports_is_unpacked_no_further_than_it_may_go(tmp_path: Path, folder: Path) -> None:
    home = await home_with_reports(tmp_path / "home")
    (segment,) = (await create_backup(home, folder, clock=CLOCK)).manifest.reports
    with pytest.raises(DamagedFile, match="at most 64 MB"):
        list(read_reports(folder, segment.model_copy(update={"unpacked_bytes": 65_000_000}), GENESIS))


async def test_economy_verify_makes_the_reports_of_a_backup_again_and_names_one_that_is_not_so(
    tmp_path: Path, folder: Path
) -> None:
    home = await home_with_reports(tmp_path / "home")
    (segment,) = (await create_backup(home, folder, clock=CLOCK)).manifest.reports
    wishes = Wishes(1, None, None, False, None, ProgressLines(quiet=True))
    verdict = await verify_backup_chain(folder, wishes)
    assert (verdict.holds, verdict.compared["fairness reports"]) == (True, 3)
    content = unpacked((folder / segment.file.path).read_bytes(), segment.unpacked_bytes)
    records = [(int.from_bytes(number, "big"), body) for number, body in batch_records(content)]
    second = KeptEpoch.decoded(records[1][1])
    report = FairnessReport.parse(second.report)
    lie = report.model_copy(update={"accounts": report.accounts + 1})
    records[1] = (2, KeptEpoch.of(lie, second.point).encoded())
    rewritten(folder, records)
    assert verify_backup(folder).is_sound, "no hash tells that it is a lie"
    (difference,) = (await verify_backup_chain(folder, wishes)).differences
    assert (difference.what, difference.height) == ("fairness of epoch 2.accounts", 2 * EPOCH_BATCHES)
