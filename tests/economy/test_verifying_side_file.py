"""The reports and the window that a node keeps, held against a chain in which validators live their lives."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import numpy as np
import pytest
import trio

from step_node.economy.columns import ProofColumns
from step_node.economy.fairness.kept import KeptEpoch
from step_node.economy.fairness.reporter import FairnessReporter
from step_node.economy.side_file import EconomyFile, EconomyFileError, Hashes
from step_node.economy.verifying.kept import side_file_claims
from step_node.economy.verifying.replay import Replay
from step_node.economy.verifying.store import StoreWitness
from step_node.economy.verifying.verdict import Verdict, verify
from step_node.economy.window import ProofWindow
from step_node.storage.memory import MemoryStorage
from tests.economy.fairness.chains import EPOCH_BATCHES, EventfulChain
from tests.economy.fairness.test_reporter import caught_up
from tests.support.clock import SetClock
from tests.support.proofs import START_MS

HEIGHT = 4 * EPOCH_BATCHES + 1


@pytest.fixture
async def eventful() -> EventfulChain:
    """A chain of four epochs and a batch, with newcomers, transfers, a slashing and a change of keys."""
    chain = await EventfulChain.open()
    await chain.live_through_everything()
    for _ in range(HEIGHT - chain.chain.head.chain.height):
        await chain.grow("alice", "bob")
    return chain


@asynccontextmanager
async def kept(eventful: EventfulChain, path: Path) -> AsyncIterator[EconomyFile]:
    """The side file that a node of this chain keeps."""
    file = EconomyFile.open(path, eventful.chain.genesis.hash)
    reporter, window = FairnessReporter(eventful.chain, file), ProofWindow()
    for judged in eventful.judged:
        header = judged.batch.header
        window.append(ProofColumns.of_batch(judged.batch), height=header.height, batch_time_ms=header.timestamp_ms)
    parts = window.parts(window.first, window.end)
    await file.keep(window.standing, Hashes(eventful.chain.head.chain.batch_hash, bytes(32)), [(window.first, parts)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reporter.run)
        await caught_up(reporter, eventful)
        nursery.cancel_scope.cancel()
    yield file
    file.close()


async def verdict_on(eventful: EventfulChain, path: Path, *, base: int = 0) -> Verdict:
    """What comes of holding the file against a replay, which begins at genesis or with the state of `base`."""
    genesis, storage = eventful.chain.genesis, MemoryStorage()
    await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
    for stored in await eventful.chain.storage.batches(1, base) if base else ():
        await (await Replay.begin(genesis, storage, SetClock(START_MS))).take(stored.batch, stored.commit)
    file = EconomyFile.reading(path, genesis.hash)
    with closing(file):
        replay = await Replay.begin(genesis, storage, SetClock(START_MS))
        witness, height = StoreWitness(eventful.chain.storage), eventful.chain.head.chain.height
        claims = [one for one in await side_file_claims(file, EPOCH_BATCHES) if one.height > base]
        return await verify(replay, witness.batches(base + 1, height), claims, last=height)


async def test_every_report_and_the_window_are_what_the_batches_make(eventful: EventfulChain, tmp_path: Path) -> None:
    async with kept(eventful, tmp_path / "economy.sqlite"):
        verdict = await verdict_on(eventful, tmp_path / "economy.sqlite")  # While it is open elsewhere.
    assert verdict.holds, verdict
    assert verdict.compared == {"fairness reports": 4, "windows of proofs": 1}


async def test_what_the_replay_has_begun_too_late_for_is_said_to_be_not_checked(
    eventful: EventfulChain, tmp_path: Path
) -> None:
    async with kept(eventful, tmp_path / "economy.sqlite"):
        verdict = await verdict_on(eventful, tmp_path / "economy.sqlite", base=EPOCH_BATCHES + 1)
    assert verdict.holds
    assert verdict.compared == {"fairness reports": 2}
    begun_within = "the replay has begun within it"
    assert {(one.subject, one.count, one.because) for one in verdict.not_checked} == {
        ("fairness reports", 1, begun_within),
        ("windows of proofs", 1, begun_within),
    }
    assert not verdict.is_whole


async def test_an_epoch_of_which_no_node_makes_a_report_has_none_in_a_replay_either(
    eventful: EventfulChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kept(eventful, tmp_path / "sound.sqlite"):
        pass
    monkeypatch.setattr("step_node.economy.fairness.fold.ACCOUNTS_MAX", 1)
    async with kept(eventful, tmp_path / "economy.sqlite"):
        verdict = await verdict_on(eventful, tmp_path / "economy.sqlite")
    assert (verdict.holds, verdict.compared["fairness reports"]) == (True, 4)
    verdict = await verdict_on(eventful, tmp_path / "sound.sqlite")
    assert ("fairness of epoch 1", "a report", None) in {(d.what, d.said, d.recomputed) for d in verdict.differences}


async def test_a_changed_report_is_named_to_its_field(eventful: EventfulChain, tmp_path: Path) -> None:
    path = tmp_path / "economy.sqlite"
    async with kept(eventful, path) as file:
        body = await file.report(2)
        assert body is not None
        honest = KeptEpoch.decoded(body)
        lie = honest.report.replace(b'"paid":"', b'"paid":"9', 1)
        assert lie != honest.report
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("DELETE FROM reports WHERE epoch = 2")
        # Who can write to the file can write the digest, too.
        await file.keep_report(2, KeptEpoch(honest.point, lie, honest.headline).encoded())
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE reports SET body = ? WHERE epoch = 3", (body,))
    verdict = await verdict_on(eventful, path)
    found = {one.what: one.height for one in verdict.differences}
    changed = next(what for what in found if what.startswith("fairness of epoch 2."))
    assert (changed.endswith(".paid"), found[changed]) == (True, 2 * EPOCH_BATCHES)
    assert found["fairness of epoch 3 in the side file"] == 3 * EPOCH_BATCHES
    assert len(found) == 2


async def test_a_changed_row_of_the_window_is_named_with_its_batch(eventful: EventfulChain, tmp_path: Path) -> None:
    path = tmp_path / "economy.sqlite"
    async with kept(eventful, path) as file:
        window = await file.load()
        assert window is not None
        accuracy_m = window.rows.accuracy_m.copy()
        accuracy_m[3] += 1
        rows = ProofColumns(**{**{name: getattr(window.rows, name) for name in ROWS}, "accuracy_m": accuracy_m})
        await file.forget_window()
        await file.keep(window.standing, window.hashes, [(window.standing.first, [rows])])
        height = int(np.asarray(window.rows.height)[3])
    verdict = await verdict_on(eventful, path)
    (difference,) = verdict.differences
    assert difference.what == f"accuracy m of proof 3 in the window (batch {height})"


async def test_a_file_of_another_chain_or_none_is_an_error(eventful: EventfulChain, tmp_path: Path) -> None:
    async with kept(eventful, tmp_path / "economy.sqlite"):
        pass
    with pytest.raises(EconomyFileError, match="it is of another chain"):
        EconomyFile.reading(tmp_path / "economy.sqlite", bytes(32))
    with pytest.raises(EconomyFileError, match="unable to open"):
        EconomyFile.reading(tmp_path / "other.sqlite", bytes(32))
    (tmp_path / "empty.sqlite").write_bytes(b"")
    with pytest.raises(EconomyFileError, match="another program"):
        EconomyFile.reading(tmp_path / "empty.sqlite", bytes(32))


ROWS = ("height", "batch_time_ms", "timestamp_ms", "triangle", "lat", "lon", "accuracy_m", "account")
