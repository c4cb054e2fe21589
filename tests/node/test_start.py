"""Starting a node in its home, as `step-node start` does."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import structlog
import trio

from step_node.home.config import ApiConfig, MetricsConfig, NodeConfig, P2pConfig
from step_node.home.histories import begin_history
from step_node.home.keys import NodeKeys
from step_node.home.paths import NodeHome
from step_node.node import opening
from step_node.node.start import NodeStarted, run_node
from step_node.signing.keystore import new_private_key
from step_node.storage.interface import StorageMismatch
from step_node.storage.open import SqliteSettings, open_storage
from tests.support.chains import finalise, make_genesis, open_chain, validator_names
from tests.support.nodes import QUICK
from tests.support.proofs import address, private_key, signed_proof

LOCAL = NodeConfig(api=ApiConfig(port=0), p2p=P2pConfig(listen=("/ip4/127.0.0.1/tcp/0",)))


async def test_a_tail_that_a_crash_tore_is_named_when_the_node_starts(tmp_path: Path) -> None:
    home, half_a_frame = NodeHome(tmp_path), b"STPF\x01"
    (name,) = validator_names(1)
    keys = NodeKeys(private_key(name), new_private_key())
    begin_history(home, chain_id=make_genesis(1).chain_id, validator=address(name))
    history = home.signing_history(address(name))
    torn = {str(history): len(half_a_frame), str(home.consensus_log): len(half_a_frame)}
    for told in ({}, torn, {}):
        with structlog.testing.capture_logs() as logged:
            async with trio.open_nursery() as nursery:
                await nursery.start(run_node, home, LOCAL, make_genesis(1, **QUICK), keys)
                nursery.cancel_scope.cancel()
        warnings = [entry for entry in logged if "half written" in entry["event"]]
        assert {entry["file"]: entry["bytes"] for entry in warnings} == told
        assert all(entry["log_level"] == "warning" for entry in warnings)
        if not told:
            for path in (history, home.consensus_log):
                path.write_bytes(path.read_bytes() + half_a_frame)


async def test_a_store_changed_from_outside_does_not_start_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, genesis = NodeHome(tmp_path), make_genesis(1, **QUICK)
    home.data.mkdir()
    async with open_storage(SqliteSettings(home.ledger)) as storage:
        await finalise(await open_chain(genesis, storage=storage), [signed_proof()])
    with closing(sqlite3.connect(home.ledger)) as hand, hand:
        hand.execute("UPDATE triangles SET clicks = clicks + 1")
    for added_up_at_start_max in (opening.ADDED_UP_AT_START_MAX, 0):  # Before the start, and beside the running node.
        monkeypatch.setattr(opening, "ADDED_UP_AT_START_MAX", added_up_at_start_max)
        with pytest.raises(StorageMismatch, match=r"do not add up to its state root.*step-node store rebuild"):
            await run_node(home, LOCAL, genesis, NodeKeys(None, new_private_key()))


async def test_metrics_have_a_listener_of_their_own_where_the_settings_give_it_a_port(tmp_path: Path) -> None:
    home, genesis = NodeHome(tmp_path), make_genesis(1, **QUICK)
    keys = NodeKeys(None, new_private_key())
    apart = LOCAL.model_copy(update={"metrics": MetricsConfig(port=0)})
    for config, of_the_api in ((LOCAL, 200), (apart, 404)):
        async with trio.open_nursery() as nursery:
            started: NodeStarted = await nursery.start(run_node, home, config, genesis, keys)
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"{started.api_url}/metrics")).status_code == of_the_api
                page = await client.get(f"{started.metrics_url or started.api_url}/metrics")
                assert "step_disk_free_bytes" in page.text
                assert "step_disk_size_bytes" in page.text
            nursery.cancel_scope.cancel()
        assert (started.metrics_url is None) == (of_the_api == 200)


SIDE_FILES = ("journal", "evidence", "proof_of_lock", "snapshots", "validator_sets", "address_book", "bans", "economy")


@pytest.mark.parametrize("fault", ["damaged", "no file", "empty"])
async def test_side_files_with_any_fault_never_keep_a_node_from_starting(tmp_path: Path, fault: str) -> None:
    home, genesis = NodeHome(tmp_path), make_genesis(1, **QUICK)
    (name,) = validator_names(1)
    begin_history(home, chain_id=genesis.chain_id, validator=address(name))
    for path in (getattr(home, one) for one in SIDE_FILES):
        assert isinstance(path, Path)
        if fault == "no file" and path != home.snapshots:
            path.mkdir()
        else:
            path.write_bytes(b"" if fault == "empty" else b"\xa5 damaged" * 500)
    keys = NodeKeys(private_key(name), new_private_key())
    async with trio.open_nursery() as nursery:
        started: NodeStarted = await nursery.start(run_node, home, LOCAL, genesis, keys)
        assert started.status.height == 0
        nursery.cancel_scope.cancel()
