"""The JavaScript client against networks of real nodes."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trio

from step_node.parameters import Parameters
from step_node.testing.devnet.network import Devnet, DevnetSettings
from tests.javascript.node import CLIENT, NODE, ROOT, run_node, told

QUICK = Parameters(batch_interval_ms=300, timeout_propose_ms=1_500, timeout_pre_vote_ms=800, timeout_pre_commit_ms=500)
SECONDS_MAX = 150.0
PROGRAMS = ROOT / "tests" / "javascript"


@pytest.mark.long
@pytest.mark.slow
async def test_a_proof_is_followed_to_its_end_when_the_node_that_accepted_it_is_killed() -> None:
    with trio.fail_after(SECONDS_MAX):
        async with Devnet(DevnetSettings(base_port=0, parameters=QUICK)) as devnet, trio.open_nursery() as nursery:
            command = [str(NODE), str(PROGRAMS / "two_nodes.mjs"), *devnet.urls[:2]]
            program: trio.Process = await nursery.start(
                lambda task_status: trio.run_process(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, check=True, task_status=task_status
                )
            )
            said: dict[str, dict[str, Any]] = {}
            async for one in told(program):
                said[one.pop("what")] = one
                if "accepted" in said and "followed" not in said:
                    await devnet.kill(0)
                    assert program.stdin is not None
                    await program.stdin.aclose()
            assert said["first"]["status"] == "finalised"
            assert said["first"]["node"] == said["accepted"]["node"] == devnet.node_url(0)
            assert said["sent"] == {"from": "0.000953", "to": "0.001000"}
            assert said["followed"]["status"] == "finalised"
            assert said["followed"]["node"] == devnet.node_url(1)
            assert said["again"]["proofId"] == said["followed"]["proofId"]
            assert said["again"]["balance"] == said["followed"]["balance"]
            many = said["many"]
            assert [(one["status"], one["proofId"]) for one in many["outcomes"]] == [
                ("finalised", proof_id) for proof_id in many["expected"]
            ]
            assert said["balance"] == {"balance": "0.001953", "isThere": True}


README = (CLIENT / "README.md").read_text(encoding="utf-8")
EXAMPLES = {
    "first-proof.mjs": r"final at height \d+: 1\.000000 STEP for 0x[0-9a-f]{40} in STEP-TRI-v1:P1-",
    "first-proof-ethers.mjs": r"^200 \{",
    "first-proof-viem.mjs": r"^200 \{",
}
"""What each example says in the end."""


def program_said(file: Path, url: str) -> str:
    """What one program says, run as it stands but for the node's address."""
    return run_node(file, environment={**os.environ, "STEP_NODE": url})


def test_the_first_program_of_the_readme_is_the_example() -> None:
    first, _ = re.findall(r"```js\n(.*?)```", README, re.DOTALL)
    assert (CLIENT / "examples" / "first-proof.mjs").read_text(encoding="utf-8").endswith(first)


@pytest.mark.long
async def test_every_example_makes_a_final_proof() -> None:
    with trio.fail_after(SECONDS_MAX):
        async with Devnet(DevnetSettings(base_port=0, parameters=QUICK)) as devnet:
            url = devnet.node_url(0)
            for name, expected in EXAMPLES.items():
                # ethers and viem come from npm: make setup-js.
                if name == "first-proof.mjs" or (CLIENT / "node_modules").is_dir():
                    said = await trio.to_thread.run_sync(program_said, CLIENT / "examples" / name, url)
                    assert re.search(expected, said), f"{name}: {said}"
            _, errors = re.findall(r"```js\n(.*?)```", README, re.DOTALL)
            program = CLIENT / "examples" / ".readme.mjs"  # There, as `step-client` is found from within its package.
            program.write_text(errors.replace("http://127.0.0.1:8600", url))
            try:
                said = await trio.to_thread.run_sync(program_said, program, url)
            finally:
                program.unlink()
            assert said == "INVALID_PAYLOAD id checksum: 'VV6' does not match the face, level and digits\n"
