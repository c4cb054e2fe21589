"""The commands of a running node: everything that the admin socket offers is registered here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Final

from prometheus_client import generate_latest
from pydantic import Field

from step_node.api.models.node import ConsensusAnswer, ReasonAnswer
from step_node.api.models.schema import Answer
from step_node.api.routes.node import status_answer
from step_node.clock import Clock
from step_node.home.config import NodeConfig
from step_node.home.log_levels import LEVELS_CHARACTERS_MAX
from step_node.home.paths import NodeHome
from step_node.network.snapshots import SnapshotServer
from step_node.node.admin.bundle import disk, json_text, process, secrets_of, shown_config, versions, without_secrets
from step_node.node.admin.commands import Asked, CommandRefused, Commands, Nothing, Order
from step_node.node.admin.guardrail_commands import GuardrailCommands
from step_node.node.admin.peers import PeerCommands
from step_node.node.admin.switching import SwitchesAnswer, Switching
from step_node.node.admin.tasks import task_tree, thread_stacks
from step_node.node.logging import levels_of_this_process, recent_lines
from step_node.node.node import Node
from step_node.node.pruning import Pruner
from step_node.node.reload import Reloader
from step_node.offload import run_blocking
from step_node.snapshot.records import InvalidSnapshot
from step_node.storage.interface import StorageUnavailable

LOG_LINES_TOLD_MAX: Final = 1_000
"""Of the log, in one answer; a request for more is refused."""


class LevelsAsked(Asked):
    """As `levels` of `[log]`: `consensus=debug,p2p=info`; or one level, of all parts that have none of their own."""

    levels: Annotated[str, Field(min_length=1, max_length=LEVELS_CHARACTERS_MAX)]


class LevelsAnswer(Answer):
    """All levels, as they are now."""

    levels: str


class ReloadAnswer(Answer):
    """Settings that hold from now on, and those that wait for a restart, by name; and why others stay as they were."""

    changed: list[str]
    waiting: list[str]
    not_taken: list[str]


class PruneAnswer(Answer):
    """From which height on the store has batches, and histories."""

    batches_from: int
    histories_from: int


class SnapshotAnswer(Answer):
    """A snapshot of the state was taken."""

    height: int
    records: int
    chunks: int


class LogAsked(Asked):
    """How many of the last lines; of those there are, if there are fewer."""

    lines: Annotated[int, Field(ge=1, le=LOG_LINES_TOLD_MAX)] = 50


class LogAnswer(Answer):
    """Lines of the log, the latest last."""

    lines: list[str]


class BundleAnswer(Answer):
    """The texts of a debug bundle, by the names of its files."""

    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Commanded:
    """What the commands act on. `secrets` are texts that no bundle may hold, besides those of the settings."""

    node: Node
    home: NodeHome
    config: NodeConfig
    clock: Clock
    reloader: Reloader
    secrets: Sequence[str] = field(default=(), repr=False)


def node_commands(commanded: Commanded) -> Commands:
    """All commands of a node. What has something else to command adds its own line."""
    commands = Commands()
    node = commanded.node
    switching = Switching(node.switches, commanded.clock)
    peers = PeerCommands(node.network, node.status)
    switching.add_to(commands)
    GuardrailCommands(node.economy.guardrails).add_to(commands)
    peers.add_to(commands)
    commands.add("consensus", Nothing, partial(_consensus, commanded))
    commands.add("set-log-level", LevelsAsked, _set_levels)
    commands.add("reload", Nothing, partial(_reload, commanded.reloader))
    commands.add("prune", Nothing, partial(_prune, node.pruner))
    commands.add("snapshot", Nothing, partial(_snapshot, node.snapshot_server))
    commands.add("log", LogAsked, partial(_log, commanded), is_recorded=False)
    commands.add("debug-bundle", Nothing, partial(_bundle, commanded, peers, switching))
    return commands


async def _consensus(commanded: Commanded, _: Nothing, _order: Order) -> ConsensusAnswer:
    return _consensus_answer(commanded)


def _consensus_answer(commanded: Commanded) -> ConsensusAnswer:
    return ConsensusAnswer.of(commanded.node.standing.consensus(), commanded.clock.now_ms())


async def _set_levels(asked: LevelsAsked, _order: Order) -> LevelsAnswer:
    levels = levels_of_this_process()
    if levels is None:
        raise CommandRefused("this process has no log of its own")
    try:
        levels.change(asked.levels)
    except ValueError as error:
        raise CommandRefused(f"levels: {error}") from error
    return LevelsAnswer(levels=levels.text())


async def _reload(reloader: Reloader, _: Nothing, _order: Order) -> ReloadAnswer:
    reloaded = await reloader.reload()
    if reloaded.refused is not None:
        raise CommandRefused(f"the settings stay as they were: {reloaded.refused}")
    told = {"changed": reloaded.changed, "waiting": reloaded.waiting, "not_taken": reloaded.not_taken}
    return ReloadAnswer(**{name: list(some) for name, some in told.items()})


async def _prune(pruner: Pruner, _: Nothing, _order: Order) -> PruneAnswer:
    try:
        kept = await pruner.prune()
    except StorageUnavailable as error:
        raise CommandRefused(f"the store does not answer: {error}; try again later") from error
    return PruneAnswer(batches_from=kept.batches_from, histories_from=kept.histories_from)


async def _snapshot(server: SnapshotServer | None, _: Nothing, _order: Order) -> SnapshotAnswer:
    if server is None:
        raise CommandRefused("this node keeps no snapshots: the folder data/snapshots cannot be used, as the log says")
    try:
        index = await server.take()
    except ValueError as error:
        raise CommandRefused(f"no snapshot can be taken: {error}") from error
    except (StorageUnavailable, OSError, InvalidSnapshot) as error:
        raise CommandRefused(f"no snapshot could be taken: {error}") from error
    return SnapshotAnswer(height=index.height, records=index.records, chunks=len(index.chunks))


async def _log(commanded: Commanded, asked: LogAsked, _order: Order) -> LogAnswer:
    secrets = (*secrets_of(commanded.config), *commanded.secrets)
    return LogAnswer(lines=await run_blocking(_last_lines, asked.lines, secrets))


def _last_lines(count: int, secrets: Sequence[str]) -> list[str]:
    last = "\n".join(recent_lines().splitlines()[-count:])
    return without_secrets({"log": last}, secrets)["log"].splitlines()


async def _bundle(
    commanded: Commanded, peers: PeerCommands, switching: Switching, _: Nothing, _order: Order
) -> BundleAnswer:
    node = commanded.node
    health, now_ms = node.overview.health(), commanded.clock.now_ms()
    switches: SwitchesAnswer = switching.all()
    texts = {
        "versions.json": json_text(await run_blocking(versions)),
        "config.json": json_text(shown_config(commanded.config)),
        "status.json": json_text(status_answer(node.status(), now_ms).model_dump(mode="json", by_alias=True)),
        "health.json": json_text(
            {
                "status": health.level.value,
                "reasons": [ReasonAnswer.of(reason).model_dump(mode="json") for reason in health.reasons],
            }
        ),
        "consensus.json": json_text(_consensus_answer(commanded).model_dump(mode="json", by_alias=True)),
        "peers.json": json_text(peers.answer().model_dump(mode="json", by_alias=True)),
        "guardrails.json": json_text(
            GuardrailCommands(node.economy.guardrails).standing().model_dump(mode="json", by_alias=True)
        ),
        "switches.json": json_text(switches.model_dump(mode="json", by_alias=True)),
        "process.json": json_text(process()),
        "disk.json": json_text(await run_blocking(disk, commanded.home.root)),
        "metrics.txt": generate_latest(node.registry).decode(),
        "tasks.txt": task_tree(),
        "threads.txt": thread_stacks(),
        "log.txt": recent_lines(),
    }
    secrets = (*secrets_of(commanded.config), *commanded.secrets)
    return BundleAnswer(files=await run_blocking(without_secrets, texts, secrets))
