"""Starting a node in its home, as `step-node start` does."""

from __future__ import annotations

from pathlib import Path

import structlog
import trio

from step_node.home.config import ApiConfig, NodeConfig, P2pConfig
from step_node.home.histories import begin_history
from step_node.home.keys import NodeKeys
from step_node.home.paths import NodeHome
from step_node.node.start import run_node
from step_node.signing.keystore import new_private_key
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK
from tests.support.proofs import address, private_key

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
