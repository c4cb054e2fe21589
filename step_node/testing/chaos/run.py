"""Playing a scenario: load, timeline and watch side by side, then the checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import trio

from step_node.errors import StepNodeError, leaves
from step_node.testing.chaos import scenario as model
from step_node.testing.chaos.checks import LedgerCheck, check_ledgers
from step_node.testing.chaos.hardware import Impossible
from step_node.testing.chaos.proxy import Weather
from step_node.testing.chaos.upgrading import check_rules
from step_node.testing.chaos.watch import Watch
from step_node.testing.chaos.world import World, open_world
from step_node.testing.devnet.verdict import Verdict, verdict_on
from step_node.testing.devnet.walkers import Walkers

POLL_SECONDS = 0.05
VERDICT_SECONDS_MAX = 20.0
"""How long evidence may take to every node, and into the ledger."""

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a scenario went. `problems` is empty if it passed; for one that was skipped it says why."""

    scenario: str
    result: Literal["passed", "failed", "skipped"]
    problems: tuple[str, ...] = ()
    submitted: int = 0
    finalised: int = 0
    height: int = 0
    exactly_once: bool = False
    roots_equal: bool = False
    longest_stall_seconds: float = 0.0
    seconds: float = 0.0
    verdicts: tuple[Verdict, ...] = ()
    logs: str | None = None
    """Where homes and logs are kept: only of a scenario that failed."""

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "scenario": self.scenario,
            "result": self.result,
            "problems": list(self.problems),
            "submitted": self.submitted,
            "finalised": self.finalised,
            "height": self.height,
            "exactly_once": self.exactly_once,
            "state_roots_equal": self.roots_equal,
            "longest_stall_seconds": round(self.longest_stall_seconds, 1),
            "seconds": round(self.seconds, 1),
            "byzantine": [verdict.as_json() for verdict in self.verdicts],
            "logs": self.logs,
        }


@dataclass(slots=True)
class _Play:
    """What is gathered while a scenario runs."""

    walkers: Walkers
    watch: Watch
    ledgers: LedgerCheck | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


async def play(scenario: model.Scenario, home: Path, *, report: Report = lambda _line: None) -> Outcome:
    """Run one scenario in `home`, an empty directory, and judge it. Cancellation stops all its processes."""
    begun_at = trio.current_time()
    outcome = Outcome(scenario.name, "failed")
    try:
        async with open_world(scenario, home) as world:
            report(f"{len(world.devnet.nodes)} nodes are up; the load begins")
            played = await _play(scenario, world, report)
            outcome = _judge(scenario, played)
    except* Impossible as errors:
        outcome = Outcome(scenario.name, "skipped", tuple(str(error) for error in leaves(errors)))
    except* (StepNodeError, trio.TooSlowError) as errors:
        problems = tuple(f"{type(error).__name__}: {error}" for error in leaves(errors))
        outcome = Outcome(scenario.name, "failed", problems)
    logs = str(home) if outcome.result == "failed" else None
    return replace(outcome, seconds=trio.current_time() - begun_at, logs=logs)


async def _play(scenario: model.Scenario, world: World, report: Report) -> _Play:
    devnet, expect = world.devnet, scenario.expect
    proofs_max = max(1, round(scenario.load.rate * expect.seconds_max))
    walkers = Walkers(devnet.clients, devnet.genesis.parameters, proofs=proofs_max, rate=scenario.load.rate)
    may_end = {node.index for node in scenario.nodes if node.may_end}
    watch = Watch(devnet, waiting=lambda: walkers.under_way > 0, may_end=may_end)
    played = _Play(walkers, watch)
    async with trio.open_nursery() as watching:
        watching.start_soon(watch.run)
        with trio.move_on_after(expect.seconds_max) as limit:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(walkers.run)
                await _carry_out_all(scenario, world, played, report)
                await trio.sleep(scenario.load.tail_seconds)
                walkers.stop()
        if limit.cancelled_caught:
            played.problems.append(f"not every proof was decided within {expect.seconds_max:g} s")
        watching.cancel_scope.cancel()
    report("asking every node for every proof")
    played.ledgers = await check_ledgers(devnet.clients, walkers.result)
    if expect.protocol_version is not None:
        final = [record.proof_id for record in walkers.result.final]
        rules = await check_rules(devnet.clients, final, version=expect.protocol_version)
        report(f"the rules changed at {rules.changed_at}")
        played.problems.extend(rules.problems)
    honest = [node.index for node in devnet.nodes if node.misbehaviour is None]
    for index, misbehaviour in scenario.byzantine.items():
        address = devnet.genesis.validators[index].address
        played.verdicts.append(
            await verdict_on(
                index,
                address,
                misbehaviour,
                devnet.clients,
                honest,
                wait_seconds_max=VERDICT_SECONDS_MAX if expect.slashed or expect.misbehaviour_seen else 0.0,
                want_slashed=expect.slashed,
            )
        )
    return played


async def _carry_out_all(scenario: model.Scenario, world: World, played: _Play, report: Report) -> None:
    begun_at = done_at = trio.current_time()
    for action in scenario.actions:
        await _until_due(action, played, begun_at=begun_at, done_at=done_at)
        report(f"{trio.current_time() - begun_at:5.1f} s  {_describe(action)}")
        await _carry_out(action, world)
        done_at = trio.current_time()


async def _until_due(action: model.Action, played: _Play, *, begun_at: float, done_at: float) -> None:
    if action.at_seconds is not None:
        await trio.sleep_until(begun_at + action.at_seconds)
    elif action.after_seconds is not None:
        await trio.sleep_until(done_at + action.after_seconds)
    elif action.after_finalised is not None:
        while len(played.walkers.result.final) < action.after_finalised:
            await trio.sleep(POLL_SECONDS)
    elif action.after_height is not None:
        while played.watch.height < action.after_height:
            await trio.sleep(POLL_SECONDS)


async def _carry_out(action: model.Action, world: World) -> None:
    match action:
        case model.Kill():
            await world.kill(action.nodes)
        case model.Restart():
            await world.restart(action.nodes)
        case model.Replace():
            await world.replace(action.nodes, action.release)
        case model.AwaitEnd():
            await world.await_end(action.nodes, action.status)
        case model.AgreeOnUpgrade():
            await world.agree_on_upgrade(action.version)
        case model.Pause():
            await world.pause(action.nodes, action.seconds)
        case model.CutLinks():
            await world.cut(action.groups, action.how)
        case model.Heal():
            world.heal()
        case model.Disconnect():
            world.disconnect(action.nodes)
        case model.SetWeather():
            world.set_weather(Weather(action.latency_ms, action.jitter_ms, action.stall_every_seconds, action.stall_ms))
        case model.KillStore():
            await world.kill_store(action.seconds)
        case model.StepDownStore():
            await world.step_down_store(action.seconds)
        case model.FillDisk():
            await world.fill_disk(action.nodes)
        case model.FreeDisk():
            await world.free_disk(action.nodes)


def _describe(action: model.Action) -> str:
    times = {"at_seconds", "after_seconds", "after_finalised", "after_height"}
    details = action.model_dump(mode="json", exclude={"do", *times}, exclude_defaults=True)
    return " ".join([action.do, *(f"{key}={value}" for key, value in details.items())])


def _judge(scenario: model.Scenario, played: _Play) -> Outcome:
    expect, ledgers, walked = scenario.expect, played.ledgers, played.walkers.result
    stalls = played.watch.stalls
    problems = [*played.problems, *(ledgers.problems if ledgers else ()), *played.watch.deaths.values()]
    if len(walked.final) < expect.finalised_min:
        problems.append(
            f"only {len(walked.final)} proofs were finalised; {expect.finalised_min} at least were expected"
        )
    if stalls.longest_seconds > expect.longest_stall_seconds_max:
        problems.append(
            f"no batch was finalised for {stalls.longest_seconds:.1f} s above height {stalls.longest_at_height} while"
            f" proofs waited; at most {expect.longest_stall_seconds_max:g} s were expected"
        )
    if stalls.longest_seconds < expect.longest_stall_seconds_min:
        problems.append(
            f"the longest time without a batch was {stalls.longest_seconds:.1f} s; without a quorum it must be"
            f" {expect.longest_stall_seconds_min:g} s at least, so what was done did not reach the nodes"
        )
    for verdict in played.verdicts:
        if expect.misbehaviour_seen and not verdict.is_seen:
            problems.append(f"only the nodes {list(verdict.seen_by)} have noticed {verdict.misbehaviour}")
        if expect.slashed and not verdict.is_slashed:
            problems.append(f"node {verdict.culprit} is still a validator, though it did {verdict.misbehaviour}")
    return Outcome(
        scenario.name,
        "failed" if problems else "passed",
        tuple(problems),
        submitted=len(walked.records),
        finalised=len(walked.final),
        height=ledgers.height if ledgers else 0,
        exactly_once=ledgers is not None and ledgers.exactly_once,
        roots_equal=ledgers is not None and ledgers.roots_equal,
        longest_stall_seconds=stalls.longest_seconds,
        verdicts=tuple(played.verdicts),
    )
