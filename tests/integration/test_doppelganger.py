"""A second process with a validator's key, as an operator might start by mistake after moving a machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from step_node.parameters import Parameters
from step_node.signing.key_file import create_key_file
from step_node.signing.keystore import new_private_key
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.walkers import Walkers

LONGEST_SECONDS = 180.0
BATCHES_BEFORE = 3
QUICK = Parameters(batch_interval_ms=300)


@pytest.mark.long
async def test_a_second_process_with_the_same_key_stops_before_it_signs_anything(tmp_path: Path) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with Devnet(DevnetSettings(base_port=0, parameters=QUICK)) as devnet:
            double = tmp_path / "double"
            shutil.copytree(devnet.nodes[1].home.root, double, ignore=shutil.ignore_patterns("data", "lock", "p2p.key"))
            create_key_file(double / "keys" / "p2p.key", new_private_key())
            walkers = Walkers(devnet.clients, QUICK, proofs=10_000, rate=5)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(walkers.run)
                while (await devnet.clients[0].status()).height < BATCHES_BEFORE:
                    await trio.sleep(0.1)
                ended = await trio.run_process(
                    [
                        *(sys.executable, "-m", "step_node.cli.main", "start", "--home", str(double)),
                        *("--check-doppelganger", "120", "--new-signing-history"),
                    ],
                    env={**os.environ, "STEP_API__PORT": "0", "STEP_P2P__LISTEN": '["/ip4/127.0.0.1/tcp/0"]'},
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                )
                nursery.cancel_scope.cancel()
            assert ended.returncode == 4, ended.stderr.decode()[-2_000:]
            assert b"another process signs with the key of validator" in ended.stderr
            # It has caught up first: its home was empty.
            said = (ended.stdout + ended.stderr).decode()
            listening = re.search(r"listening for a doppelganger before anything is signed\s+height=(\d+)", said)
            assert listening is not None, said[-2_000:]
            assert int(listening[1]) >= BATCHES_BEFORE
            assert not signed_anything(double)


def signed_anything(home: Path) -> bool:
    """Whether the home's signing history holds a record; `export-history` prints them."""
    run = partial(subprocess.run, capture_output=True, check=True, text=True)
    exported = run([sys.executable, "-m", "step_node.cli.main", "keys", "export-history", "--home", str(home)])
    return '"records": []' not in exported.stdout and '"records":[]' not in exported.stdout
