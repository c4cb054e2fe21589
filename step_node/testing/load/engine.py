"""The load: sends what the schedule says when it says so, and follows every proof to its end.

Each node has connections of its own, and what is due waits for a free one, for as long as it takes: time is counted
from when a proof was due. Nothing is sent twice. What a node refuses is counted with its code, and with how long it
asked to wait; whoever offers 10,000 proofs a second does not come back for the 9,000 that were one too many.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from step_node.errors import StepNodeError
from step_node.testing.load.connection import Answer, Connection, Endpoint, NoAnswer
from step_node.testing.load.follower import Follower, ask_for_json
from step_node.testing.load.provers import Provers
from step_node.testing.load.report import LoadReport, ProofFate, Waits, report_on
from step_node.testing.load.schedule import Request, Schedule
from step_node.testing.load.signing import SignedAhead

CONNECTIONS = 32
"""To each node, by default; a node gives one address 128."""
DRAIN_SECONDS = 30.0
"""How long what was accepted may take to become final after the last proof was offered."""
ASKED_FOR_MAX = 500
"""Proofs that did not become final and are asked for one by one; of more than these, the rest counts as lost."""
PROGRESS_SECONDS = 1.0
TICK_SECONDS = 0.05
NO_ANSWER = "NO_ANSWER"
ACCEPTED = frozenset({200, 202})
ACCEPTED_OUTCOMES = frozenset({"finalised", "pending"})


@dataclass(frozen=True, slots=True)
class KnownProvers:
    """The first `count` of `provers` are in the ledger; number `first` is the next to prove."""

    provers: Provers
    count: int
    first: int = 0


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """What is to be offered, and to whom.

    `batch` is how many proofs go together into one request; 1 sends each by itself. `known` are accounts of the chain
    that prove in place of new ones. `begin`, if there is one, is what the load waits for once it is `ready`.
    """

    urls: Sequence[str]
    rate: float
    seconds: float
    batch: int = 1
    connections: int = CONNECTIONS
    drain_seconds: float = DRAIN_SECONDS
    known: KnownProvers | None = None
    begin: trio.Event | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the load stands; `waiting` is accepted and not decided."""

    seconds: float
    offered: int
    accepted: int
    refused: int
    final: int

    @property
    def waiting(self) -> int:
        return self.accepted - self.final


@dataclass(slots=True)
class _Counts:
    offered: int = 0
    accepted: int = 0
    final: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class Load:
    """One load, to be run once."""

    def __init__(
        self,
        settings: LoadSettings,
        *,
        tell: Callable[[str], None] = lambda _line: None,
        progress: Callable[[Progress], None] = lambda _progress: None,
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._progress = progress
        self._endpoints = [Endpoint.of(url) for url in settings.urls]
        self._counts = _Counts()
        self._fates: list[ProofFate] = []
        self._by_id: dict[str, ProofFate] = {}
        self._node_of: dict[str, int] = {}
        self._late_seconds: list[float] = []
        self._waits = Waits()
        self._began_at = 0.0
        self.ready = trio.Event()
        """Set when all is signed that can be beforehand."""

    async def run(self) -> LoadReport:
        """Sign, send and follow. Raises StepNodeError if no node answers, or a setting does not fit the network."""
        schedule, provers = await self._prepare()
        signed = SignedAhead(schedule, provers)
        follower = Follower(self._endpoints, self._note_final)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(signed.run)
            self._tell(f"signing {schedule.proofs:,} proofs of {schedule.provers:,} accounts")
            await signed.ready()
            self.ready.set()
            if self._settings.begin is not None:
                await self._settings.begin.wait()
            await follower.begin()
            self._tell(f"sending {self._settings.rate:g} a second for {self._settings.seconds:g} s")
            cpu_before = time.process_time()
            self._began_at = trio.current_time()
            nursery.start_soon(follower.run)
            nursery.start_soon(self._show_progress)
            await self._send_all(schedule, signed)
            await self._drain()
            cpu_seconds = time.process_time() - cpu_before
            await self._ask_for_missing()
            nursery.cancel_scope.cancel()
        return report_on(
            self._fates,
            offered_seconds=schedule.proofs / self._settings.rate,
            sent_late_seconds=self._late_seconds,
            waits=self._waits,
            own_cpu_seconds=cpu_seconds,
            signing_cpu_seconds=signed.cpu_seconds,
        )

    async def _prepare(self) -> tuple[Schedule, Provers]:
        connection = Connection(self._endpoints[0])
        try:
            rules = await ask_for_json(connection, "/proof/config")
        except NoAnswer as error:
            raise StepNodeError(f"{self._settings.urls[0]}: {error}; is a node running there?") from error
        finally:
            await connection.close()
        batch_max = _number(rules, "BATCH_SUBMISSIONS_MAX") if self._settings.batch > 1 else 1
        if self._settings.batch > batch_max:
            raise StepNodeError(f"--batch: this node takes {batch_max} submissions in a request at most")
        known = self._settings.known
        schedule = Schedule(
            rate=self._settings.rate,
            seconds=self._settings.seconds,
            nodes=len(self._endpoints),
            moratorium_ms=_number(rules, "PROOF_MORATORIUM_MS"),
            batch=self._settings.batch,
            known=0 if known is None else known.count,
            first_known=0 if known is None else known.first,
        )
        if known is not None and schedule.provers_at_once > known.count:
            raise StepNodeError(f"{known.count:,} accounts are too few: {schedule.provers_at_once:,} take turns")
        provers = Provers(secrets.token_bytes(16), _number(rules, "SEEDED_LEVEL")) if known is None else known.provers
        if schedule.provers > provers.count_max:
            raise StepNodeError(
                f"--rate: needs {schedule.provers:,} accounts in triangles of their own, and level {provers.level} has"
                f" {provers.count_max:,}"
            )
        return schedule, provers

    async def _send_all(self, schedule: Schedule, signed: SignedAhead) -> None:
        async with trio.open_nursery() as nursery:
            lanes = []
            for endpoint in self._endpoints:
                # As large as everything: what is due must not wait for what was due before it.
                send, receive = trio.open_memory_channel[tuple[Request, bytes, list[ProofFate]]](schedule.proofs)
                lanes.append(send)
                for _ in range(self._settings.connections):
                    nursery.start_soon(self._work, endpoint, receive.clone())
                receive.close()
            for request in schedule.requests():
                bodies = []
                fates = []
                for proof in range(request.first, request.end):
                    one = await signed.get(proof)
                    fate = ProofFate(request.due_seconds)
                    proof_id = f"0x{one.proof_id.hex()}"
                    self._fates.append(fate)
                    self._by_id[proof_id] = fate
                    self._node_of[proof_id] = request.node
                    bodies.append(one.body)
                    fates.append(fate)
                await trio.sleep_until(self._began_at + request.due_seconds)
                self._counts.offered += len(fates)
                lanes[request.node].send_nowait((request, self._body(bodies), fates))
            for lane in lanes:
                lane.close()

    def _body(self, bodies: Sequence[bytes]) -> bytes:
        return bodies[0] if self._settings.batch == 1 else b"[" + b",".join(bodies) + b"]"

    async def _work(
        self, endpoint: Endpoint, requests: trio.MemoryReceiveChannel[tuple[Request, bytes, list[ProofFate]]]
    ) -> None:
        """One connection: whatever is due next for its node."""
        path = "/proof/submit?wait_ms=0" if self._settings.batch == 1 else "/proof/submit-batch?wait_ms=0"
        connection = Connection(endpoint)
        async with requests:
            async for request, body, fates in requests:
                self._late_seconds.append(trio.current_time() - self._began_at - request.due_seconds)
                try:
                    answer = await connection.request("POST", path, body)
                except NoAnswer:
                    self._refuse(fates, NO_ANSWER, None)
                    continue
                self._note_answer(answer, fates)
        with trio.CancelScope(shield=True):
            await connection.close()

    def _note_answer(self, answer: Answer, fates: Sequence[ProofFate]) -> None:
        try:
            value = json.loads(answer.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            self._refuse(fates, NO_ANSWER, None)
        elif answer.status not in ACCEPTED:
            self._refuse(fates, str(value.get("code")), answer.retry_after_seconds)
        elif self._settings.batch == 1:
            self._accept(fates[0])
        else:
            outcomes = value.get("outcomes")
            if not isinstance(outcomes, list) or len(outcomes) != len(fates):
                raise StepNodeError(f"/proof/submit-batch: {len(fates)} submissions, and not as many outcomes")
            for fate, outcome in zip(fates, outcomes, strict=True):
                if outcome.get("status") in ACCEPTED_OUTCOMES:
                    self._accept(fate)
                else:
                    self._refuse([fate], str(outcome.get("code")), answer.retry_after_seconds)

    def _accept(self, fate: ProofFate) -> None:
        fate.answered = trio.current_time() - self._began_at
        fate.is_accepted = True
        self._counts.accepted += 1

    def _refuse(self, fates: Sequence[ProofFate], code: str, retry_after_seconds: float | None) -> None:
        for fate in fates:
            fate.answered = trio.current_time() - self._began_at
            fate.code = code
        self._counts.refused[code] += len(fates)
        self._waits.note(code, retry_after_seconds)

    def _note_final(self, proof_ids: Sequence[str]) -> None:
        now = trio.current_time() - self._began_at
        for proof_id in proof_ids:
            fate = self._by_id.get(proof_id)
            if fate is not None and fate.final is None:
                fate.final = now
                self._counts.final += 1

    async def _drain(self) -> None:
        with trio.move_on_after(self._settings.drain_seconds):
            while any(fate.is_accepted and fate.final is None for fate in self._fates):
                await trio.sleep(TICK_SECONDS)

    async def _ask_for_missing(self) -> None:
        """What became of proofs that were accepted and are in no batch: dropped, for a reason, or lost."""
        missing = [one for one, fate in self._by_id.items() if fate.is_accepted and fate.final is None]
        connections = [Connection(endpoint) for endpoint in self._endpoints]
        for proof_id in missing[:ASKED_FOR_MAX]:
            try:
                answer = await ask_for_json(connections[self._node_of[proof_id]], f"/proof/status/{proof_id}")
            except NoAnswer:
                continue  # It stays lost: nobody tells otherwise.
            if answer.get("status") == "dropped":
                self._by_id[proof_id].code = str(answer.get("code"))
        for connection in connections:
            await connection.close()

    async def _show_progress(self) -> None:
        while True:
            await trio.sleep(PROGRESS_SECONDS)
            counts = self._counts
            self._progress(
                Progress(
                    trio.current_time() - self._began_at,
                    counts.offered,
                    counts.accepted,
                    counts.refused.total(),
                    counts.final,
                )
            )


def _number(rules: dict[str, object], name: str) -> int:
    value = rules.get(name)
    if not isinstance(value, int):
        raise StepNodeError(f"/proof/config: has no {name}; is this a STEP node of this version?")
    return value
