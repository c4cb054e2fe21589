"""What is done to a network so that each alert fires, and undone so that it clears.

A fault is a context manager: it breaks something, and mends it at its end. The faults are what an operator may meet:
processes killed, a disk filled, a database that stands still, a clock that is off; what no network does by itself is
done inside a real node (`tests/monitoring/faulted_node.py`).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import trio

from consensus.messages import Commit, CommitSignature, PreCommit, encode_message
from step_node.api.submissions.breaker import BASELINE_SECONDS_MIN, WINDOW_SECONDS
from step_node.crypto.eip191 import address_of, public_key_of, sign
from step_node.parameters import Parameters
from step_node.signing.keystore import load_keystore
from step_node.testing.chaos.hardware import FILLER_NAME, SmallDisk, clock_environment
from step_node.testing.chaos.upgrading import agree_on
from step_node.testing.devnet.misbehaviour import Misbehaviour
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.node_process import OLDER_MODULE, SHIPPED_MODULE
from tests.monitoring.faulted_node import MODULE
from tests.monitoring.rules import ROOT
from tests.monitoring.watched_network import LONGEST_SECONDS, WatchedNetwork

Breaks: TypeAlias = Callable[[WatchedNetwork], AbstractAsyncContextManager[None]]

MIB = 1024 * 1024
DISK_MIB = 200
"""So large that what the node keeps from then on is little of it."""

CLOCK_OFFSET_SECONDS = 7.0
ASKERS, ASKED_APART_SECONDS = 10, 1.5
"""Clients, and how long after one another they begin: an answer of a node whose store stands still takes some fifteen
seconds, and without any answer there is no share of errors."""

PAUSED_SECONDS, AT_WORK_SECONDS = 3.0, 0.3
"""A node asks its store two seconds after the last answer, which falls into the pause, a second before its end."""

EPOCH_BATCHES = 100
"""Rules that are agreed on come into force so many batches later or more: time for an alert, and short to agree in."""

STORES: Final[dict[str, Callable[[Path], DevnetSettings]]] = {
    "sqlite": lambda home: DevnetSettings(base_port=0, home=home, parameters=Parameters(epoch_batches=EPOCH_BATCHES)),
    "mongodb": lambda home: DevnetSettings(base_port=0, home=home, store="mongodb"),
}
"""The two networks. On the first node 0 is a `FaultedNode`."""


@dataclass(frozen=True)
class Fault:
    """On which network what is done, and which alerts it makes fire: each on this node alone if there is one.

    `afterwards` are those that come only when it is mended, and clear by themselves.
    """

    network: str
    breaks: Breaks
    alerts: dict[str, int | None]
    afterwards: dict[str, int | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """In words."""
        return self.breaks.__name__.replace("_", " ")


def prepare(network: str, devnet: Devnet) -> None:
    """How the nodes of a network are started."""
    if network == "sqlite":
        devnet.nodes[0].module = MODULE
        # A devnet's nodes shed nothing unless they are told to.
        devnet.nodes[2].environment |= {"STEP_INTAKE__SHED": "true", "STEP_INTAKE__SHED_FLOOR_PER_SECOND": "1"}


@asynccontextmanager
async def a_disk_that_fills_up(network: WatchedNetwork) -> AsyncIterator[None]:
    node = network.devnet.nodes[1]
    await node.stop()
    disk = SmallDisk(node.home.data, DISK_MIB)
    network.at_the_end.callback(disk.unmount)
    await network.restart(1)
    await trio.to_thread.run_sync(_nearly_fill, disk)
    yield
    await trio.to_thread.run_sync(disk.free)


def _nearly_fill(disk: SmallDisk) -> None:
    """Leave a fiftieth of the disk."""
    usage = shutil.disk_usage(disk.folder)
    with (disk.folder / FILLER_NAME).open("wb") as filler:
        for _ in range((usage.free - usage.total // 50) // MIB):
            filler.write(bytes(MIB))


@asynccontextmanager
async def an_event_loop_that_is_held_up(network: WatchedNetwork) -> AsyncIterator[None]:
    network.fault(0, "block")
    yield
    network.fault(0)


@asynccontextmanager
async def a_validator_that_says_nothing(network: WatchedNetwork) -> AsyncIterator[None]:
    network.devnet.nodes[3].misbehaviour = Misbehaviour.SILENT
    await network.restart(3)
    yield
    network.devnet.nodes[3].misbehaviour = None
    await network.restart(3)


@asynccontextmanager
async def a_clock_that_is_off(network: WatchedNetwork) -> AsyncIterator[None]:
    node = network.devnet.nodes[3]
    honest = dict(node.environment)
    node.environment = honest | clock_environment(CLOCK_OFFSET_SECONDS)
    await node.stop()
    await node.spawn()
    yield
    node.environment = honest
    await network.restart(3)


@asynccontextmanager
async def clients_that_come_all_at_once(network: WatchedNetwork) -> AsyncIterator[None]:
    # Before that a node has no idea of what is usual, and what comes all at once becomes it.
    seconds = BASELINE_SECONDS_MIN + 2 * WINDOW_SECONDS
    await network.holds(f'time() - process_start_time_seconds{{instance="{network.targets[2]}"}} > {seconds}')
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.load.press, 2)
        await _until_health(network, 2, "INTAKE_SHED", is_told=True)
        yield
        nursery.cancel_scope.cancel()
    await _until_health(network, 2, "INTAKE_SHED", is_told=False)


async def _until_health(network: WatchedNetwork, index: int, code: str, *, is_told: bool) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        while (code in await network.health_reasons(index)) != is_told:
            await trio.sleep(0.5)


@asynccontextmanager
async def an_operator_who_takes_nothing_in(network: WatchedNetwork) -> AsyncIterator[None]:
    await _tell(network.devnet, 1, "pause-intake", "--why", "to see whether somebody notices")
    yield
    await _tell(network.devnet, 1, "resume")


@asynccontextmanager
async def an_epoch_that_pays_one_alone(network: WatchedNetwork) -> AsyncIterator[None]:
    network.fault(0, "uneven")
    yield
    network.fault(0)


@asynccontextmanager
async def an_operator_who_takes_a_half_in(network: WatchedNetwork) -> AsyncIterator[None]:
    await _tell(network.devnet, 1, "intake-share", "50", "--why", "to see whether somebody notices")
    yield
    await _tell(network.devnet, 1, "intake-share", "100")


@asynccontextmanager
async def a_reward_that_is_too_high(network: WatchedNetwork) -> AsyncIterator[None]:
    await network.fault_done(0, "misjudge")
    yield
    network.fault(0)
    for guardrail in ("rewards", "balances", "supply"):
        with suppress(subprocess.CalledProcessError):  # It is not broken.
            await _tell(network.devnet, 0, "guardrails", "--acknowledge", guardrail, "--why", "it was made up")


@asynccontextmanager
async def a_few_who_hold_nearly_all(network: WatchedNetwork) -> AsyncIterator[None]:
    node = network.devnet.nodes[2]
    as_it_was = dict(node.environment)
    node.environment = as_it_was | {
        "STEP_GUARDRAILS__CONCENTRATION_PERCENT_MAX": "1",
        "STEP_GUARDRAILS__CONCENTRATION_ACCOUNTS_MIN": "1",
    }
    await network.restart(2)
    yield
    node.environment = as_it_was
    await network.restart(2)


@asynccontextmanager
async def guardrails_that_are_off(network: WatchedNetwork) -> AsyncIterator[None]:
    await _tell(network.devnet, 1, "switches", "guardrails", "off", "--why", "to see whether somebody notices")
    yield
    await _tell(network.devnet, 1, "switches", "guardrails", "on")


async def _tell(devnet: Devnet, index: int, *words: str) -> None:
    """A command of the operator to a node that runs."""
    home = str(devnet.nodes[index].home.root)
    await trio.run_process(
        [sys.executable, "-m", "step_node.cli.main", "admin", *words, "--home", home], cwd=ROOT, capture_stdout=True
    )


@asynccontextmanager
async def a_release_that_is_too_old(network: WatchedNetwork) -> AsyncIterator[None]:
    network.devnet.nodes[3].module = OLDER_MODULE
    await network.restart(3)
    await agree_on(network.devnet, 2, release="0.2.0")
    yield
    network.devnet.nodes[3].module = SHIPPED_MODULE
    await network.restart(3)


@asynccontextmanager
async def a_node_that_needs_more_and_more(network: WatchedNetwork) -> AsyncIterator[None]:
    instance = f'{{instance="{network.targets[0]}"}}'
    # What growth is compared with; a scrape may have failed now and then.
    await network.holds(f"count_over_time(process_open_fds{instance}[120s]) > 45")
    network.fault(0, "leak", "hold", "grow")
    yield
    network.fault(0)


@asynccontextmanager
async def a_process_that_ends_again_and_again(network: WatchedNetwork) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_restart_for_ever, network, 3)
        yield
        nursery.cancel_scope.cancel()
    await network.restart(3)


async def _restart_for_ever(network: WatchedNetwork, index: int) -> None:
    while True:
        await network.restart(index)


@asynccontextmanager
async def half_of_the_validators_gone(network: WatchedNetwork) -> AsyncIterator[None]:
    # Peers are lost only by those who had them for a while.
    await network.holds(f"min(min_over_time(instance:step_peers:sum[10s])) >= {len(network.targets) - 1}")
    for index in (2, 3):
        await network.devnet.kill(index)
    network.load.pause_seconds = 0.2
    yield
    network.load.pause_seconds = 0.5
    for index in (2, 3):
        await network.restart(index)


@asynccontextmanager
async def a_key_that_has_signed_elsewhere(network: WatchedNetwork) -> AsyncIterator[None]:
    network.load.is_on = False
    await network.holds("sum(step_mempool_proofs) == 0")
    await network.fault_done(0, f"sign {await network.height(0) + 1}")
    network.load.is_on = True
    yield
    network.fault(0)


@asynccontextmanager
async def a_quorum_that_contradicts_what_is_final(network: WatchedNetwork) -> AsyncIterator[None]:
    (network.folder / "commit").write_bytes(encode_message(_forged_commit(network.devnet, 1)))
    await network.fault_done(0, f"publish {network.folder / 'commit'}")
    yield
    network.fault(0)
    for index in range(len(network.targets)):  # What nodes are told by their operators, once they have agreed.
        await network.restart(index)


def _forged_commit(devnet: Devnet, height: int) -> Commit:
    """A commit of all validators to a batch that nobody has, in a round that was never reached."""
    signatures = []
    for index in range(len(devnet.nodes)):
        key = _key_of(devnet, index)
        signer = address_of(public_key_of(key))
        vote = PreCommit(height, 9, b"\x07" * 32, signer)
        signatures.append(CommitSignature(signer, sign(vote.signing_line(devnet.genesis.chain_id), key)))
    return Commit(height, 9, b"\x07" * 32, tuple(sorted(signatures, key=lambda one: one.validator)))


def _key_of(devnet: Devnet, index: int) -> bytes:
    """The private key of a validator of a devnet."""
    home = devnet.nodes[index].home
    return load_keystore(home.validator_keystore, home.password.read_text().strip())


@asynccontextmanager
async def a_database_that_stands_still(network: WatchedNetwork) -> AsyncIterator[None]:
    mongod = network.devnet.mongod
    assert mongod is not None
    mongod.pause()
    try:
        async with trio.open_nursery() as nursery:
            for number in range(ASKERS):
                nursery.start_soon(network.load.ask, 1, number * ASKED_APART_SECONDS)
            yield
            nursery.cancel_scope.cancel()
    finally:
        mongod.resume()


@asynccontextmanager
async def a_database_that_seldom_gets_to_work(network: WatchedNetwork) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_limp, network)
        yield
        nursery.cancel_scope.cancel()


async def _limp(network: WatchedNetwork) -> None:
    mongod = network.devnet.mongod
    assert mongod is not None
    try:
        while True:
            mongod.pause()
            await trio.sleep(PAUSED_SECONDS)
            mongod.resume()
            await trio.sleep(AT_WORK_SECONDS)
    finally:
        mongod.resume()


@asynccontextmanager
async def a_validator_that_votes_twice(network: WatchedNetwork) -> AsyncIterator[None]:
    culprit = network.devnet.nodes[3]
    culprit.misbehaviour = Misbehaviour.DOUBLE_SIGN
    await network.restart(3)
    yield
    # Slashed and jailed, it goes on as an observer.
    culprit.misbehaviour = None
    culprit.arguments = ("--observer",)
    await network.restart(3)


FAULTS: Final = (
    Fault("sqlite", an_event_loop_that_is_held_up, {"StepEventLoopLagging": 0}),
    Fault("sqlite", a_disk_that_fills_up, {"StepDiskFull": 1, "StepDiskSoonFull": 1}),
    Fault("sqlite", a_clock_that_is_off, {"StepClockOff": 3}),
    Fault("sqlite", clients_that_come_all_at_once, {"StepIntakeShed": 2}),
    Fault("sqlite", an_operator_who_takes_nothing_in, {"StepIntakePaused": 1}),
    Fault("sqlite", an_epoch_that_pays_one_alone, {"StepFairnessDrifts": 0}),
    Fault("sqlite", an_operator_who_takes_a_half_in, {"StepIntakeLimited": 1}),
    Fault("sqlite", a_reward_that_is_too_high, {"StepLedgerUnsound": 0}),
    Fault("sqlite", a_few_who_hold_nearly_all, {"StepEconomyDrifts": 2}),
    Fault("sqlite", guardrails_that_are_off, {"StepGuardrailsBlind": 1}),
    Fault(
        "sqlite",
        a_node_that_needs_more_and_more,
        dict.fromkeys(("StepMemoryGrowing", "StepDescriptorsGrowing", "StepDiskFullForecast"), 0),
    ),
    Fault("sqlite", a_validator_that_says_nothing, {"StepValidatorAbsent": None, "StepOwnHeightsMissed": 3}),
    Fault("sqlite", a_process_that_ends_again_and_again, {"StepRestartLoop": 3}),
    Fault("sqlite", a_release_that_is_too_old, {"StepUpgradeNeeded": 3}),
    Fault("sqlite", a_key_that_has_signed_elsewhere, {"StepDoubleSignRefused": 0}),
    Fault(
        "sqlite",
        half_of_the_validators_gone,
        {"StepNodeDown": 2, "StepNoQuorum": 0, "StepPeersLost": 0, "StepChainStalled": 0, "StepMempoolFull": None},
        afterwards={"StepFinalitySlow": None},
    ),
    Fault("sqlite", a_quorum_that_contradicts_what_is_final, {"StepForkSeen": 1}),
    Fault("mongodb", a_database_that_stands_still, {"StepStoreDown": None, "StepApiErrors": 1}),
    Fault("mongodb", a_database_that_seldom_gets_to_work, {"StepStoreSlow": None}),
    Fault("mongodb", a_validator_that_votes_twice, {"StepValidatorSlashed": None, "StepValidatorOutOfSet": 3}),
)
