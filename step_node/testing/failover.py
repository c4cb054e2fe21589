"""A network whose MongoDB loses its primary under load: what clients notice of it, and for how long.

Walkers hand in proofs and readers ask for what the ledger holds, all the while; the primary of a throw-away replica
set is killed, frozen, or told to step down. What is lost would show in the end: every proof that a client was told is
final is looked for in the batches, where each may stand once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from statistics import median

import httpx
import trio

from step_node.api.histories.cursor import encode_cursor
from step_node.parameters import Parameters
from step_node.storage.mongo import AnswersFrom
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.node_client import Unavailable
from step_node.testing.devnet.walkers import ProofRecord, Walkers
from step_node.testing.mongod_set import ELECTION_TIMEOUT_MS, ThrowawayReplicaSet, throwaway_replica_set
from step_node.testing.waiting import LOOK_SECONDS, until

API_COST_MS_PER_SECOND = 5_000
ANSWER_SECONDS_MAX = 5.0
PROOFS_MAX = 5_000
"""More than can be asked for; each ten of them have a walker with a key of its own."""
ALL_CLIENTS_WELCOME = {
    "STEP_API__COST_MS_PER_SECOND": str(API_COST_MS_PER_SECOND),
    "STEP_API__ADDRESS_COST_MS_PER_SECOND": str(API_COST_MS_PER_SECOND),
}
"""All clients here are one address, and those who wait for their proofs ask for much: there is room for readers."""
AFTER_BATCHES = 10
"""Batches after the fail-over that are waited for before the walkers are told to stop."""


class Blow(StrEnum):
    """What happens to the primary."""

    KILL = "kill"
    """SIGKILL; it is started again in the end."""
    FREEZE = "freeze"
    """It keeps its connections and answers nobody, as behind a partition, and wakes up once another is the primary."""
    STEP_DOWN = "step-down"
    """It hands over in good order, as for an upgrade."""


@dataclass(frozen=True, slots=True)
class FailoverSettings:
    """`proofs_per_second` come in; the blow falls once `before_proofs` are final."""

    blow: Blow = Blow.KILL
    validators: int = 1
    answers_from: AnswersFrom = "primary"
    election_timeout_ms: int = ELECTION_TIMEOUT_MS
    proofs_per_second: float = 4.0
    before_proofs: int = 40
    parameters: Parameters = field(default_factory=Parameters)


QUESTIONS = {"the present": "/leaderboard", "history": f"/evidence?before={encode_cursor(1, 0)}"}
"""What readers ask, by what it is about. The history is of a height that all members have."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One question of a reader's: when it was put, after how long it was answered, and how (0: not at all)."""

    about: str
    asked_at: float
    seconds: float
    status: int


@dataclass(slots=True)
class Failover:
    """What came of it. Moments are on trio's clock."""

    struck_at: float = 0.0
    heights: list[tuple[float, int]] = field(default_factory=list)
    """When each height of node 0 was first seen."""
    decided: list[tuple[float, ProofRecord]] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    health: Counter[str] = field(default_factory=Counter)
    """How often each reason of node 0's health was seen from the blow on."""
    missing: list[str] = field(default_factory=list)
    """Ids of proofs that were told to be final and are in no batch."""
    twice: list[str] = field(default_factory=list)

    @property
    def recovered_at(self) -> float:
        """When the first batch was final after the longest pause since the blow."""
        seen = [(self.struck_at, 0), *((at, height) for at, height in self.heights if at > self.struck_at)]
        pauses = [(later - earlier, later) for (earlier, _), (later, _) in pairwise(seen)]
        return max(pauses)[1] if pauses else float("inf")

    @property
    def pause_seconds(self) -> float:
        """How long no batch became final."""
        before = max(at for at, _ in self.heights if at < self.recovered_at)
        return self.recovered_at - max(before, self.struck_at)

    def finality_ms(self) -> dict[str, list[float]]:
        """Of proofs decided before the blow, of those that waited through it, and of those submitted after it."""
        found: dict[str, list[float]] = {"before": [], "during": [], "after": []}
        for decided_at, record in self.decided:
            if record.finality_ms is not None:
                submitted_at = decided_at - record.finality_ms / 1000
                phase = "before" if decided_at < self.struck_at else "during"
                found["after" if submitted_at > self.recovered_at else phase].append(record.finality_ms)
        return found

    def unanswered_seconds(self, about: str) -> float:
        """The longest that its reader was without an answer 200 to this question, between the blow and the recovery."""
        good = sorted(one.asked_at + one.seconds for one in self.answers if one.status == 200 and one.about == about)
        meanwhile = [
            later - earlier
            for earlier, later in pairwise(good)
            if later > self.struck_at and earlier < self.recovered_at
        ]
        return max(meanwhile, default=float("inf"))


async def failover(settings: FailoverSettings, *, report: Callable[[str], None] = lambda _: None) -> Failover:
    """Run one. Raises `StepNodeError` for a node that ends, or a set that does not settle."""
    result = Failover()
    async with (
        throwaway_replica_set(election_timeout_ms=settings.election_timeout_ms) as replica_set,
        _network(settings, replica_set) as devnet,
        httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS_MAX) as http,
    ):
        walkers = Walkers(
            devnet.clients,
            settings.parameters,
            proofs=PROOFS_MAX,
            rate=settings.proofs_per_second,
            report=lambda record: result.decided.append((trio.current_time(), record)),
        )
        async with trio.open_nursery() as watching:
            watching.start_soon(devnet.watch)
            watching.start_soon(_watch, devnet, http, result)
            for about in QUESTIONS:
                watching.start_soon(_read, about, devnet, http, result)
            async with trio.open_nursery() as walking:
                walking.start_soon(walkers.run)
                await until(lambda: len(walkers.result.final) >= settings.before_proofs)
                report(f"{len(walkers.result.final)} proofs are final; the primary: {settings.blow}")
                await _strike(settings.blow, replica_set, result)
                height = result.heights[-1][1]
                report(f"goes on after {result.pause_seconds:.1f} s")
                await until(lambda: result.heights[-1][1] >= height + AFTER_BATCHES)
                walkers.stop()
            watching.cancel_scope.cancel()
        await _compare(devnet, [record.proof_id for record in walkers.result.final], result)
    return result


@asynccontextmanager
async def _network(settings: FailoverSettings, replica_set: ThrowawayReplicaSet) -> AsyncIterator[Devnet]:
    devnet = Devnet(
        DevnetSettings(
            validators=settings.validators,
            store="mongodb",
            mongodb_uri=replica_set.uri,
            base_port=0,
            parameters=settings.parameters,
        )
    )
    try:
        await devnet.prepare()
        for node in devnet.nodes:
            node.environment |= {"STEP_STORAGE__MONGODB_ANSWERS_FROM": settings.answers_from} | ALL_CLIENTS_WELCOME
        await devnet.start()
        yield devnet
    finally:
        await devnet.stop()


async def _strike(blow: Blow, replica_set: ThrowawayReplicaSet, result: Failover) -> None:
    """Let the blow fall, wait until batches are final again, and let the member come back."""
    primary = await replica_set.settled()
    result.struck_at = trio.current_time()
    match blow:
        case Blow.KILL:
            await trio.to_thread.run_sync(primary.kill)
        case Blow.FREEZE:
            primary.pause()
        case Blow.STEP_DOWN:
            await replica_set.step_down()
    try:
        await replica_set.next_primary(primary)
        # One batch may have been on its way already.
        goal = result.heights[-1][1] + 2
        await until(lambda: result.heights[-1][1] >= goal)
    finally:
        primary.resume()
    if blow is Blow.KILL:
        primary.start()
    await replica_set.settled()


async def _watch(devnet: Devnet, http: httpx.AsyncClient, result: Failover) -> None:
    """See what node 0 says of itself, until cancelled."""
    while True:
        with suppress(Unavailable):
            height = (await devnet.clients[0].status()).height
            if not result.heights or height > result.heights[-1][1]:
                result.heights.append((trio.current_time(), height))
        if result.struck_at:
            result.health.update(await _reasons(devnet, http))
        await trio.sleep(LOOK_SECONDS)


async def _reasons(devnet: Devnet, http: httpx.AsyncClient) -> Sequence[str]:
    answer = await _get(http, devnet.node_url(0) + "/health")
    return [] if answer is None else [reason["code"] for reason in answer.json()["reasons"]]


async def _read(about: str, devnet: Devnet, http: httpx.AsyncClient, result: Failover) -> None:
    """Ask the same again and again, until cancelled."""
    while True:
        asked_at = trio.current_time()
        answer = await _get(http, devnet.node_url(0) + QUESTIONS[about])
        status = 0 if answer is None else answer.status_code
        result.answers.append(Answered(about, asked_at, trio.current_time() - asked_at, status))
        await trio.sleep(LOOK_SECONDS)


async def _get(http: httpx.AsyncClient, url: str) -> httpx.Response | None:
    try:
        return await http.get(url)
    except httpx.HTTPError:
        return None


async def _compare(devnet: Devnet, final: Sequence[str], result: Failover) -> None:
    """Look for every proof that was told to be final, on each node."""
    for client in devnet.clients:
        found: Counter[str] = Counter()
        for height in range(1, (await client.status()).height + 1):
            found.update(await client.batch_proof_ids(height))
        result.missing += [proof_id for proof_id in final if proof_id not in found]
        result.twice += [proof_id for proof_id, times in found.items() if times > 1]


def table(result: Failover) -> str:
    """The figures, for people."""
    lines = [f"{'no batch for':27} {result.pause_seconds:6.1f} s"]
    for phase, values in result.finality_ms().items():
        if values:
            figures = f"median {median(values):6.0f} ms, longest {max(values):6.0f} ms, of {len(values)} proofs"
            lines.append(f"{'finality ' + phase:27} {figures}")
    lines += [f"{'no answer about ' + about:27} {result.unanswered_seconds(about):6.1f} s" for about in QUESTIONS]
    lines.append(f"{'/health said':27} {', '.join(sorted(result.health)) or '-'}")
    lines.append(f"{'lost, twice':27} {len(result.missing)}, {len(result.twice)}")
    return "\n".join(lines)
