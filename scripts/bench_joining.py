"""How long a node with an empty home takes to the head of a chain: by its batches, and by a snapshot.

    python -m scripts.bench_joining --batches 2000 --proofs 10 --validators 4

Every node is a process of its own, `step-node start`. The chain is made beforehand (tests/support/grown_network.py);
the network finalises one batch more before the newcomers come, one after the other. Prints one JSON object on one line:
seconds from the start of the newcomer's process, and from when it serves, to the network's height and state root.
CPU seconds are those of its whole life. The exit code is 1 if batches took more than a tenth of the time that
the chain took, or the snapshot, from when the newcomer serves, more than `SNAPSHOT_SECONDS_MAX`.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import trio

from mesh import locate
from step_node.clock import SystemClock
from step_node.proofs.client_signing import sign_payload
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.node_client import Final, NodeClient, Standing, Unavailable
from step_node.testing.devnet.node_process import NodeDied, NodeProcess
from tests.support.grown_network import GrownNetwork, grow_network
from tests.support.proofs import private_key

SNAPSHOT_SECONDS_MAX = 10.0
POLL_SECONDS = 0.05
JOIN_SECONDS_MAX = 3_600.0
PLACE = (47.3769, 8.5417)


@dataclass(frozen=True)
class Join:
    """One newcomer's way to the head. `first_height` is the lowest batch that it has."""

    seconds: float
    seconds_serving: float
    first_height: int
    cpu_seconds: float = 0.0


async def measure(
    root: Path, *, validators: int, batches: int, proofs_per_batch: int, snapshot_every: int, distance_batches: int
) -> tuple[GrownNetwork, dict[str, Join]]:
    """Make the chain, start its network, and have one node join by batches and then one by a snapshot."""
    _tell(f"making a chain of {batches} batches with {proofs_per_batch} proofs each")
    grown = await grow_network(
        root,
        validators=validators,
        batches=batches,
        proofs_per_batch=proofs_per_batch,
        snapshot_every=snapshot_every,
    )
    joins = {}
    async with Devnet(DevnetSettings(home=root, validators=validators), report=_tell) as devnet:
        await _finalise_one(devnet.clients[0])
        for index, (name, snapshot) in enumerate((("batches", False), ("snapshot", True))):
            node, url = grown.newcomer(f"by-{name}", index=validators + index)
            node.environment = {
                "STEP_SYNC__SNAPSHOT": str(snapshot).lower(),
                "STEP_SYNC__SNAPSHOT_DISTANCE_BATCHES": str(distance_batches),
            }
            before = _cpu_seconds_of_ended_children()
            try:
                join = await _join(node, url, devnet.clients[0])
            finally:
                await node.stop()
            joins[name] = replace(join, cpu_seconds=_cpu_seconds_of_ended_children() - before)
            _tell(f"joined by {name}: {joins[name].seconds:.2f} s")
    return grown, joins


async def _finalise_one(client: NodeClient) -> None:
    """One proof more, by consensus: so the homes are those of a network that runs, and its last snapshot is proven."""
    signed = sign_payload(
        private_key("the last one"), locate(*PLACE, 10), *PLACE, 5.0, SystemClock().now_ms(), "the-last-one"
    )
    outcome = await client.submit(signed, wait_ms=30_000)
    if not isinstance(outcome, Final):
        raise NodeDied(f"the network does not finalise: {outcome}")


async def _join(node: NodeProcess, url: str, network: NodeClient) -> Join:
    async with httpx.AsyncClient(trust_env=False) as http:
        client, target = NodeClient(http, url), await network.status()
        began = trio.current_time()
        await node.spawn()
        serving = None
        with trio.fail_after(JOIN_SECONDS_MAX):
            while (standing := await _standing(client)) is None or standing.height < target.height:
                if standing is not None and serving is None:
                    serving = trio.current_time()
                if not node.is_running:
                    raise node.death()
                await trio.sleep(POLL_SECONDS)
        there = trio.current_time()
        if standing.state_root != target.state_root:
            raise RuntimeError(f"{node.name} stands at the head with another state root")
        first_height = 1
        while (await http.get(f"{url}/batch/{first_height}")).status_code == 404 and first_height < target.height:
            first_height += 1
        return Join(there - began, there - (serving or there), first_height)


async def _standing(client: NodeClient) -> Standing | None:
    try:
        return await client.status()
    except Unavailable:
        return None


def _cpu_seconds_of_ended_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def main() -> int:
    """Read the arguments, measure, print; 0 if both are quick enough."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--batches", type=int, default=2_000)
    parser.add_argument("--proofs", type=int, default=10, help="in each batch")
    parser.add_argument("--validators", type=int, default=4)
    parser.add_argument("--snapshot-every", type=int, default=500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="step-joining-") as folder:
        grown, joins = trio.run(
            lambda: measure(
                Path(folder),
                validators=arguments.validators,
                batches=arguments.batches,
                proofs_per_batch=arguments.proofs,
                snapshot_every=arguments.snapshot_every,
                distance_batches=arguments.snapshot_every,
            )
        )
    batches, snapshot = joins["batches"], joins["snapshot"]
    figures = {
        "batches": grown.batches,
        "proofs": grown.proofs,
        "validators": arguments.validators,
        "chain_seconds": grown.chain_seconds,
        "by_batches_seconds": round(batches.seconds, 2),
        "by_batches_seconds_serving": round(batches.seconds_serving, 2),
        "by_batches_cpu_seconds": round(batches.cpu_seconds, 2),
        "by_batches_per_second": round(grown.batches / batches.seconds_serving),
        "by_batches_share_of_chain": round(batches.seconds / grown.chain_seconds, 4),
        "by_snapshot_seconds": round(snapshot.seconds, 2),
        "by_snapshot_seconds_serving": round(snapshot.seconds_serving, 2),
        "by_snapshot_cpu_seconds": round(snapshot.cpu_seconds, 2),
        "snapshot_height": snapshot.first_height,
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    return int(batches.seconds > grown.chain_seconds / 10 or snapshot.seconds_serving > SNAPSHOT_SECONDS_MAX)


if __name__ == "__main__":
    sys.exit(main())
