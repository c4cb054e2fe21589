"""Schemathesis, all of its checks and phases, on a network of its own: nothing that it finds is a node's fault.

`test_fuzz` asks part of it of a node in this process, each time. `make api-check` asks all of it, for minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from step_node.testing.devnet.network import Devnet, DevnetSettings

ROOT = Path(__file__).parents[2]
EXAMPLES = os.environ.get("STEP_TEST_EXAMPLES", "30")
"""Of each kind, for each route."""


@pytest.mark.long
async def test_whatever_the_description_allows_or_forbids_is_answered_as_it_says() -> None:
    async with Devnet(DevnetSettings(validators=1, base_port=0)) as devnet:
        asked = await trio.run_process(
            [
                str(Path(sys.executable).with_name("st")),
                "run",
                f"{devnet.urls[0]}/openapi.json",
                "--max-examples",
                EXAMPLES,
                "--no-color",
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
        )
    assert asked.returncode == 0, asked.stdout.decode()
