"""What an attack does to a network: how fast proofs of honest clients become final without it, and with it.

Four validators run as real processes with the settings that they are shipped with. Honest clients prove at a steady
rate to all of them, from 127.0.0.1. An attack is an async function that gets a `Target` and goes on for ever, in a
process of its own (`attacker`): it knows where the nodes listen, and comes from other loopback addresses, which for a
node are other strangers. Attacks of one kind stand in one file (`http_attacks.py`, `p2p_attacks.py`), in a tuple
`ATTACKS`, which `test_attacks.py` plays.

Half of the nodes are attacked: without them there is no quorum, so that is all it takes to stop the chain.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol

import trio

from p2p.addresses import parse_peer_address
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.walkers import Walkers

VALIDATORS: Final = 4
ATTACKED: Final = 2
HONEST_RATE: Final = 8.0
"""Proofs that honest clients begin in a second."""

WARM_UP_PROOFS: Final = 30
"""So many are final before counting begins: the first ones wait for processes that have just started."""

WINDOW_SECONDS: Final = 15.0
"""How long finality is counted, without the attack and with it."""

ONSET_SECONDS: Final = 5.0
"""How long the attack runs before counting begins, so that what piles up has piled up."""

RATE_RATIO_MIN: Final = 0.5
"""What the network must keep of its undisturbed rate."""

MEMORY_GROWTH_MIB_MAX: Final = 150
"""What one node may grow by under attack."""

STOP_SECONDS_MAX: Final = 14.0
"""SIGTERM ends an attacked node within this, while the attack goes on and the machine is busy; a second later the
devnet would kill it."""

PROOFS_MAX: Final = 1_000
"""More than honest clients come to meanwhile. Each ten of them have a walker, so it is not far more."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an attacker knows of the nodes under attack, all on 127.0.0.1: their ports, and who they are to peers."""

    api_ports: tuple[int, ...]
    p2p_ports: tuple[int, ...]
    peer_ids: tuple[str, ...]


class Attack(Protocol):
    """A function of a module, which runs until it is killed. What a node does to its connections must not end it."""

    __module__: str
    __name__: str

    def __call__(self, target: Target, /) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Measured:
    """Proofs a second that became final, and how long nodes took to stop under attack.

    `memory_growth_mib` is that of the node that grew most.
    """

    undisturbed_per_s: float
    attacked_per_s: float
    memory_growth_mib: float
    stop_seconds: float
    log_growth_bytes: int

    @property
    def ratio(self) -> float:
        """1.0: the attack changes nothing."""
        return self.attacked_per_s / self.undisturbed_per_s


async def besiege(attack: Attack, *, descriptors_max: int | None = None) -> Measured:
    """Run `attack` on a new network, and say what became of its honest clients.

    `descriptors_max` is each node's limit of open files, soft and hard. Raises NodeDied for a node that ended.
    """
    devnet = Devnet(DevnetSettings(validators=VALIDATORS, base_port=0))
    try:
        await _start(devnet, descriptors_max)
        return await _measure(devnet, attack)
    finally:
        await devnet.stop()


def tell(name: str, measured: Measured) -> None:
    """One line for the table of docs/threat-model.md."""
    sys.stdout.write(
        f"{name}: {measured.undisturbed_per_s:.1f}/s undisturbed, {measured.attacked_per_s:.1f}/s attacked"
        f" ({measured.ratio:.0%}), {measured.memory_growth_mib:+.0f} MiB, {measured.log_growth_bytes / 1024:+.0f} KiB"
        f" of log, stopped in {measured.stop_seconds:.1f} s\n"
    )


async def _start(devnet: Devnet, descriptors_max: int | None) -> None:
    await devnet.prepare()
    for node in devnet.nodes:
        await node.spawn()
        if descriptors_max is not None:
            # Long before the interpreter has come so far as to look at it.
            resource.prlimit(node.pid, resource.RLIMIT_NOFILE, (descriptors_max, descriptors_max))
    await devnet.wait_until_connected()


async def _measure(devnet: Devnet, attack: Attack) -> Measured:
    target = Target(
        tuple(int(url.rpartition(":")[2]) for url in devnet.urls[:ATTACKED]),
        tuple(devnet.p2p_port(index) for index in range(ATTACKED)),
        tuple(parse_peer_address(one.p2p_address).peer_id for one in devnet.genesis.validators[:ATTACKED]),
    )
    walkers = Walkers(devnet.clients, devnet.genesis.parameters, proofs=PROOFS_MAX, rate=HONEST_RATE)

    async def final_per_s() -> float:
        before = len(walkers.result.final)
        await trio.sleep(WINDOW_SECONDS)
        return (len(walkers.result.final) - before) / WINDOW_SECONDS

    async with trio.open_nursery() as nursery:
        nursery.start_soon(devnet.watch)
        nursery.start_soon(walkers.run)
        while len(walkers.result.final) < WARM_UP_PROOFS:
            await trio.sleep(0.1)
        undisturbed = await final_per_s()
        if undisturbed < HONEST_RATE / 2:
            raise RuntimeError(f"only {undisturbed:.1f} proofs a second without an attack: this machine is too busy")
        memory, log = _memory_mib(devnet), _log_bytes(devnet)
        nursery.start_soon(_attack, attack, target)
        await trio.sleep(ONSET_SECONDS)
        attacked = await final_per_s()
        grown = max(after - before for before, after in zip(memory, _memory_mib(devnet), strict=True))
        logged = _log_bytes(devnet) - log
        begun = trio.current_time()
        async with trio.open_nursery() as stopping:
            for node in devnet.nodes[:ATTACKED]:
                stopping.start_soon(node.stop)
        stop_seconds = trio.current_time() - begun
        nursery.cancel_scope.cancel()
    return Measured(undisturbed, attacked, grown, stop_seconds, logged)


async def _attack(attack: Attack, target: Target) -> None:
    """Run it in a process of its own until cancelled. Raises CalledProcessError if it ends by itself."""
    await trio.run_process(
        [sys.executable, "-m", "tests.hostile.attacker", attack.__module__, attack.__name__, json.dumps(asdict(target))]
    )
    raise RuntimeError(f"the attack {attack.__name__} has ended by itself")


def _memory_mib(devnet: Devnet) -> list[float]:
    return [_resident_mib(node.pid) for node in devnet.nodes[:ATTACKED]]


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def _log_bytes(devnet: Devnet) -> int:
    return sum(node.log_path.stat().st_size for node in devnet.nodes[:ATTACKED])
