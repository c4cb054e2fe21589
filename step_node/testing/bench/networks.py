"""Networks of real processes under load: how much they finalise, how soon, and what they do with too much.

How much is found by offering twice as much until it is not kept up with. At four fifths of the most that was finalised
the network must be quick and lose nothing, and at three times that rate it must go on finalising as much, and say to
the others when to come back.

The load comes from one address, as it does behind a gateway. So one address may have the whole share of a node's time
that all addresses have by default; nothing else is set otherwise than in a home as it is made.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias

import trio

from step_node.home.config import ApiConfig
from step_node.testing.bench.cpu_account import ACCOUNT_VARIABLE
from step_node.testing.bench.figures import Bar, Sample
from step_node.testing.bench.grown_homes import HomesPlan, grown_homes, grown_homes_in_mongodb
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.bench.recovery import one_core_recoveries_per_second
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.verdict import metric_sum
from step_node.testing.load.engine import KnownProvers, Load, LoadSettings
from step_node.testing.load.report import LoadReport
from step_node.testing.load.schedule import Schedule
from step_node.testing.mongod import throwaway_mongod

Store: TypeAlias = Literal["sqlite", "mongodb"]

PROFILED_MODULE: Final = "step_node.cli.profiled_node"
MONGOD_CACHE_GB: Final = 2.0
"""An eighth of what it would take by itself of 32 GB. In the smallest, a chain that has grown finds no place, and each
read comes from the file."""
FIRST_RATE: Final = 125.0
STEP_SECONDS: Final = 10.0
KEPT_UP_SHARE: Final = 0.95
"""Of what was offered, that must become final, or the rate is too high."""
KEPT_UP_MS: Final = 3_000.0
"""By when 95 % of them must be final, or they pile up."""
DRAIN_SECONDS: Final = 60.0
SUSTAINED_SECONDS: Final = 60.0
SUSTAINED_SHARE: Final = 0.8
OVERLOAD_TIMES: Final = 3.0
OVERLOAD_SECONDS: Final = 10.0
FALLEN_SHARE: Final = 0.9
"""Less of the sustained rate than this under overload is a fall; what is more is how such a measurement varies."""
BATCH: Final = 500
REQUESTS_A_SECOND_MIN: Final = 10
BURST_VALIDATORS: Final = 4
BURST_PROOFS: Final = 50_000
BURST_SECONDS: Final = 5.0
TRICKLE_RATE: Final = 4.0
NORMAL_MS: Final = 1_500.0
"""Latency of the trickle that counts as normal."""
RECOVERY_SECONDS_MAX: Final = 60.0


@dataclass(slots=True)
class Network:
    """A network that runs on a grown chain, and whose turn it is to prove; None: newcomers do."""

    devnet: Devnet
    known: KnownProvers | None

    def settings(self, rate: float, seconds: float, *, batch: int) -> LoadSettings:
        """A load over all nodes, by the accounts that have not proven for the longest."""
        known = self.known
        if known is not None:
            moratorium_ms = self.devnet.genesis.parameters.moratorium_ms
            schedule = Schedule(rate, seconds, len(self.devnet.nodes), moratorium_ms, batch, known.count)
            self.known = replace(known, first=(known.first + schedule.provers_at_once) % known.count)
        return LoadSettings(self.devnet.urls, rate, seconds, batch=batch, drain_seconds=DRAIN_SECONDS, known=known)

    async def load(self, rate: float, seconds: float, *, batch: int) -> LoadReport:
        """Offer it."""
        return await Load(self.settings(rate, seconds, batch=batch)).run()


@asynccontextmanager
async def running_network(
    workshop: Workshop,
    plan: HomesPlan,
    store: Store = "sqlite",
    *,
    environment: Mapping[str, str] | None = None,
    cpu_accounts: Sequence[Path] = (),
) -> AsyncIterator[Network]:
    """Processes on homes of that plan, of this run alone; of MongoDB, with a mongod beside them.

    `environment` is what their settings are besides, the same for all. With `cpu_accounts`, one for each, they write
    down there where their time goes (`cpu_account`).
    """
    async with AsyncExitStack() as stack:
        uri: str | None = None
        if store == "mongodb":
            uri = (await stack.enter_async_context(throwaway_mongod(cache_gb=MONGOD_CACHE_GB))).uri
            homes = await grown_homes_in_mongodb(workshop, plan, uri)
            root = homes.root
        else:
            homes = await grown_homes(workshop, plan)
            root = await trio.to_thread.run_sync(homes.copied_to, workshop.fresh_folder())
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        settings = DevnetSettings(validators=plan.validators, home=root, store=store, mongodb_uri=uri)
        devnet = Devnet(settings, report=workshop.tell)
        await devnet.prepare()
        set_for_load(devnet, environment or {})
        for node, account in zip(devnet.nodes, cpu_accounts, strict=False):
            node.module = PROFILED_MODULE
            node.environment[ACCOUNT_VARIABLE] = str(account)
        await stack.enter_async_context(devnet)
        yield Network(devnet, homes.known)


def set_for_load(devnet: Devnet, environment: Mapping[str, str]) -> None:
    """Settings for nodes that have not been started: one address may take the whole share that all have; and these."""
    for node in devnet.nodes:
        node.environment["STEP_API__ADDRESS_COST_MS_PER_SECOND"] = str(ApiConfig().cost_ms_per_second)
        node.environment.update(environment)


async def measure_rate(
    workshop: Workshop,
    *,
    validators: int,
    batch: int,
    p95_ms_max: float = 1_000.0,
    quick_at: float | None = None,
    store: Store = "sqlite",
) -> Sample:
    """How much is finalised, how soon at four fifths of it (or at `quick_at` a second), and what overload does."""
    async with running_network(workshop, HomesPlan(validators, workshop.accounts), store) as network:
        most, rate, rate_max = 0.0, FIRST_RATE, workshop.accounts / STEP_SECONDS
        while rate <= rate_max:
            step = await network.load(rate, STEP_SECONDS, batch=batch_at(rate, batch))
            workshop.tell(f"offered {rate:,.0f}/s: final {step.final:,} of {step.offered:,}, {step.finality_ms} ms")
            if not keeps_up(step):
                most = max(most, step.final_per_second)
                break
            most, rate = rate, 2 * rate
        sustained_rate = quick_at or SUSTAINED_SHARE * most
        sustained = await network.load(sustained_rate, SUSTAINED_SECONDS, batch=batch_at(sustained_rate, batch))
        overload_rate = min(OVERLOAD_TIMES * most, rate_max)
        overload = await network.load(overload_rate, OVERLOAD_SECONDS, batch=batch_at(overload_rate, batch))
        broken = await promises_broken(network.devnet)
    yardstick = one_core_recoveries_per_second(workshop) * (os.cpu_count() or 1) / validators
    return Sample(
        most,
        yardstick,
        {
            "sustained, offered/s": sustained.offered_per_second,
            "sustained, final/s": sustained.final_per_second,
            "sustained, finality p50 ms": sustained.finality_ms["p50"] or 0.0,
            "sustained, finality p95 ms": sustained.finality_ms["p95"] or 0.0,
            "sustained, lost": float(sustained.lost),
            "sustained, dropped after 202": float(sum(sustained.dropped.values())),
            "overload, offered/s": overload.offered_per_second,
            "overload, final/s": overload.final_per_second,
            "overload, lost": float(overload.lost),
            "overload, dropped after 202": float(sum(overload.dropped.values())),
            "promises broken, by the nodes' own count": broken,
            "CPU of the load, cores": sustained.own_cpu,
        },
        _failures(sustained, overload, most, p95_ms_max),
    )


async def promises_broken(devnet: Devnet) -> float:
    """How many proofs the nodes have dropped after their clients were told that they are accepted, of all codes."""
    texts = [await client.metrics() for client in devnet.clients]
    return sum(metric_sum(text, "step_promises_broken_total") for text in texts)


def batch_at(rate: float, batch: int) -> int:
    """How many go into a request: `batch`, or fewer, where requests would be so rare that proofs come in lumps."""
    return min(batch, max(1, int(rate / REQUESTS_A_SECOND_MIN)))


def keeps_up(step: LoadReport) -> bool:
    """Whether nearly all that was offered has become final, and nearly all of it soon."""
    p95_ms = step.finality_ms["p95"]
    return step.final >= KEPT_UP_SHARE * step.offered and p95_ms is not None and p95_ms <= KEPT_UP_MS


def _failures(sustained: LoadReport, overload: LoadReport, most: float, p95_ms_max: float) -> tuple[str, ...]:
    failures = []
    if sustained.lost or overload.lost:
        failures.append(f"{sustained.lost + overload.lost} accepted proofs were lost")
    if sustained.dropped or overload.dropped:
        codes = Counter(sustained.dropped) + Counter(overload.dropped)
        failures.append(
            f"accepted proofs were dropped: {', '.join(f'{n} {code}' for code, n in sorted(codes.items()))}"
        )
    p95_ms = sustained.finality_ms["p95"]
    if p95_ms is None or p95_ms >= p95_ms_max:
        failures.append(f"finality p95 is not below {p95_ms_max:,.0f} ms")
    if overload.final_per_second < FALLEN_SHARE * most:
        failures.append("the rate falls under overload")
    without_time = [code for code, wait in overload.retry_after_seconds.items() if wait is None]
    if without_time:
        failures.append(f"refused without a time to come back: {', '.join(without_time)}")
    return tuple(failures)


async def measure_burst(workshop: Workshop) -> Sample:
    """50,000 proofs in five seconds on top of a trickle: how long after them until the trickle is normal again."""
    reports: dict[str, LoadReport] = {}
    begin = trio.Event()
    async with running_network(workshop, HomesPlan(BURST_VALIDATORS, workshop.accounts)) as network:
        loads = {
            "burst": network.settings(BURST_PROOFS / BURST_SECONDS, BURST_SECONDS, batch=BATCH),
            "trickle": network.settings(TRICKLE_RATE, BURST_SECONDS + RECOVERY_SECONDS_MAX, batch=1),
        }

        async def offer(name: str, load: Load) -> None:
            reports[name] = await load.run()

        async with trio.open_nursery() as nursery:
            made = {name: Load(replace(settings, begin=begin)) for name, settings in loads.items()}
            for name, load in made.items():
                nursery.start_soon(offer, name, load)
            for load in made.values():
                await load.ready.wait()
            begin.set()
    burst, trickle = reports["burst"], reports["trickle"]
    late = [second for second, p95 in trickle.finality_series_ms if p95 is None or p95 > NORMAL_MS]
    recovered = max(0.0, max(late, default=0.0) + 1 - BURST_SECONDS)
    failures = []
    if burst.lost or burst.dropped or trickle.lost:
        failures.append("accepted proofs were lost or dropped")
    if any(wait is None for wait in burst.retry_after_seconds.values()):
        failures.append("refused without a time to come back")
    return Sample(
        recovered,
        figures={
            "accepted": float(burst.accepted),
            "refused": float(sum(burst.refused.values())),
            "lost": float(burst.lost),
            "dropped": float(sum(burst.dropped.values())),
            "finality of the burst, p95 ms": burst.finality_ms["p95"] or 0.0,
        },
        failures=tuple(failures),
    )


PLANS = (
    RowPlan(
        "finalise_one",
        "proofs finalised by one validator, handed in 500 at a time",
        "proofs/s",
        partial(measure_rate, validators=1, batch=BATCH),
        Bar(at_least=10_000),
        runs=1,
        limit_is="bare recovery, on all cores",
    ),
    RowPlan(
        "finalise_one_mongodb",
        "the same on MongoDB, with its mongod on this machine",
        "proofs/s",
        partial(measure_rate, validators=1, batch=BATCH, store="mongodb"),
        Bar(at_least=8_000),
        runs=1,
        limit_is="bare recovery, on all cores",
    ),
    RowPlan(
        "finalise_four",
        "proofs finalised by four validators that share the machine, handed in 500 at a time to all of them",
        "proofs/s",
        partial(measure_rate, validators=4, batch=BATCH),
        Bar(at_least=3_000),
        runs=1,
        limit_is="bare recovery, on a quarter of all cores",
    ),
    RowPlan(
        "finalise_four_mongodb",
        "the same on MongoDB, with one mongod on this machine",
        "proofs/s",
        partial(measure_rate, validators=4, batch=BATCH, store="mongodb"),
        Bar(at_least=2_000),
        runs=1,
        limit_is="bare recovery, on a quarter of all cores",
    ),
    RowPlan(
        "single_posts",
        "proofs finalised by four validators, handed in one by one",
        "proofs/s",
        partial(measure_rate, validators=4, batch=1, p95_ms_max=1_500.0, quick_at=1_000.0),
        Bar(at_least=1_500),
        runs=1,
        limit_is="bare recovery, on a quarter of all cores",
    ),
    RowPlan(
        "burst",
        f"seconds after {BURST_PROOFS:,} proofs in {BURST_SECONDS:g} s until others are final as soon as before",
        "s",
        measure_burst,
        Bar(at_most=10),
        runs=1,
    ),
)
