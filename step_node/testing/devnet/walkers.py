"""Simulated people who walk and prove it: valid proofs, submitted to the nodes in turn until they are final.

A walker has a key of its own and makes one proof after another, each at least a moratorium after the last and at
walking pace from it; the next only once the last is decided, since a batch takes an account's proofs in the order of
their timestamps. Timestamps begin `LOOKBACK_MS` in the past, so that a walk of `PROOFS_PER_WALKER_MAX` proofs needs
not take as long as it says. A walker that finds its triangle subdivided goes on in the child that it stands in.
"""

from __future__ import annotations

import math
import random
import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from mesh import LEVEL_MAX, locate
from step_node.clock import Clock, SystemClock
from step_node.parameters import Parameters
from step_node.proofs.client_signing import SignedPayload, sign_payload
from step_node.proofs.payload import parse_payload
from step_node.signing.keystore import new_private_key
from step_node.testing.devnet.node_client import Final, NodeClient, ProofState, Refused, Unavailable, Unknown, Waiting

WALKERS_MAX = 200
"""As long as there are no more proofs than they can make."""
PROOFS_PER_WALKER_MAX = 10
LOOKBACK_MS = 120_000
"""How far back a walk begins: `PROOFS_PER_WALKER_MAX` moratoria, and well within the age that a proof may have."""
STEP_MARGIN_MS = 1_000
WALKING_MPS = 1.4
ACCURACY_M = 5.0
IN_FLIGHT_MAX = 256
"""Proofs that are under way at once; walkers beyond wait for their turn."""

WAIT_MS = 5_000
DECISION_SECONDS_MAX = 90.0
"""A proof that is not decided by then is given up, and counts as undecided."""
RETRY_SECONDS = 0.2
METRES_PER_DEGREE = 111_195.0

# Latitude and longitude, degrees. Walkers start within half a degree.
CITIES = (
    (47.4979, 19.0402),
    (52.5200, 13.4050),
    (48.8566, 2.3522),
    (51.5072, -0.1276),
    (40.4168, -3.7038),
    (40.7128, -74.0060),
    (37.7749, -122.4194),
    (19.4326, -99.1332),
    (-23.5558, -46.6396),
    (-34.6037, -58.3816),
    (6.5244, 3.3792),
    (-1.2921, 36.8219),
    (30.0444, 31.2357),
    (28.6139, 77.2090),
    (13.7563, 100.5018),
    (31.2304, 121.4737),
    (35.6762, 139.6503),
    (37.5665, 126.9780),
    (-33.8688, 151.2093),
    (-36.8509, 174.7645),
)
CITY_RADIUS_DEGREES = 0.5


@dataclass(frozen=True, slots=True)
class ProofRecord:
    """One proof that a walker got decided, or gave up: `state` is Waiting if it was given up undecided."""

    proof_id: str
    state: ProofState
    finality_ms: float | None


@dataclass(slots=True)
class WalkResult:
    """Everything the walkers did. `seconds` is from the first submission to the last decision."""

    records: list[ProofRecord] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def final(self) -> list[ProofRecord]:
        """Those that are in the ledger, says the node they were submitted to."""
        return [record for record in self.records if isinstance(record.state, Final)]

    def rejected_by_code(self) -> dict[str, int]:
        """How many were refused or dropped, by the code of the gate."""
        counts: dict[str, int] = {}
        for record in self.records:
            if isinstance(record.state, Refused):
                counts[record.state.code] = counts.get(record.state.code, 0) + 1
        return dict(sorted(counts.items()))


class Walker:
    """One person with a key, on a walk. `private_key` is 32 bytes; worthless, and new for each walker."""

    def __init__(
        self,
        parameters: Parameters,
        *,
        start: tuple[float, float],
        clock: Clock,
        seed: int,
        lookback_ms: int = LOOKBACK_MS,
    ) -> None:
        self._parameters = parameters
        self._clock = clock
        self._lookback_ms = lookback_ms
        self._random = random.Random(seed)
        self._lat, self._lon = start
        self._level = parameters.seeded_level
        self._timestamp_ms: int | None = None
        self.private_key = new_private_key()

    def walk_on(self) -> None:
        """Be elsewhere, later: as far as one walks in the time between two proofs."""
        earliest_ms = self._clock.now_ms() - self._lookback_ms
        if self._timestamp_ms is None:
            self._timestamp_ms = earliest_ms
            return
        step_ms = self.step_ms
        later_ms = max(self._timestamp_ms + step_ms, earliest_ms)
        metres = (
            min(WALKING_MPS, self._parameters.speed_limit_mps / 2) * min(later_ms - self._timestamp_ms, step_ms) / 1000
        )
        heading = self._random.uniform(0, 2 * math.pi)
        self._lat += metres * math.cos(heading) / METRES_PER_DEGREE
        self._lon += metres * math.sin(heading) / (METRES_PER_DEGREE * math.cos(math.radians(self._lat)))
        self._timestamp_ms = later_ms

    @property
    def step_ms(self) -> int:
        """How long after a proof the next one may be made."""
        return self._parameters.moratorium_ms + STEP_MARGIN_MS

    def sign(self) -> SignedPayload:
        """A new proof of where the walker is."""
        if self._timestamp_ms is None:
            raise RuntimeError("a walker must walk before it signs")
        triangle = locate(self._lat, self._lon, self._level)
        nonce = str(uuid.uuid4())
        return sign_payload(self.private_key, triangle, self._lat, self._lon, ACCURACY_M, self._timestamp_ms, nonce)

    def try_elsewhere(self, refused: Refused) -> bool:
        """Whether another triangle at the same place may do where this one did not; then the next proof names it."""
        if refused.code == "TRIANGLE_EXHAUSTED" and self._level < LEVEL_MAX:
            self._level += 1
            return True
        if refused.code == "TRIANGLE_NOT_FOUND" and self._level > self._parameters.seeded_level:
            self._level -= 1
            return True
        return False


def proof_id_of(signed: SignedPayload) -> str:
    """The proof id, 0x and 64 hex digits."""
    return f"0x{parse_payload(signed['payload'], signed['signature']).proof_id.hex()}"


async def submit_until_decided(
    clients: Sequence[NodeClient], first: int, signed: SignedPayload, *, seconds_max: float = DECISION_SECONDS_MAX
) -> ProofState:
    """Submit to node `first`, and to the ones after it while it does not answer, until the proof is decided.

    Sending the same proof again, to whichever node, is safe: it is in the chain at most once. After `seconds_max` the
    answer is Waiting.
    """
    state: ProofState = Unknown()
    attempt = 0
    with trio.move_on_after(seconds_max):
        while isinstance(state, Unknown | Waiting):
            client = clients[(first + attempt) % len(clients)]
            try:
                state = await client.submit(signed, wait_ms=WAIT_MS)
                while isinstance(state, Waiting):
                    await trio.sleep(RETRY_SECONDS)
                    state = await client.proof(proof_id_of(signed))
            except Unavailable:
                attempt += 1
                state = Unknown()
                await trio.sleep(RETRY_SECONDS)
    return Waiting() if isinstance(state, Unknown) else state


async def prove_here(walker: Walker, clients: Sequence[NodeClient], first: int) -> tuple[SignedPayload, ProofState]:
    """Prove where the walker is, in another triangle of the place if need be; the last proof, and what became of it."""
    while True:
        signed = walker.sign()
        state = await submit_until_decided(clients, first, signed)
        if not (isinstance(state, Refused) and walker.try_elsewhere(state)):
            return signed, state


def start_in_a_city(index: int, places: random.Random) -> tuple[float, float]:
    """Where walker `index` begins: latitude and longitude, each city in turn."""
    lat, lon = CITIES[index % len(CITIES)]
    return (
        lat + places.uniform(-CITY_RADIUS_DEGREES, CITY_RADIUS_DEGREES),
        lon + places.uniform(-CITY_RADIUS_DEGREES, CITY_RADIUS_DEGREES),
    )


class Walkers:
    """`proofs` proofs by as many walkers as that takes, spread over the nodes, at most `rate` a second."""

    def __init__(
        self,
        clients: Sequence[NodeClient],
        parameters: Parameters,
        *,
        proofs: int,
        rate: float | None = None,
        clock: Clock | None = None,
        report: Callable[[ProofRecord], None] = lambda _record: None,
    ) -> None:
        self._clients = clients
        self._parameters = parameters
        self._proofs = proofs
        self._interval_seconds = 0.0 if rate is None else 1 / rate
        self._clock = SystemClock() if clock is None else clock
        self._report = report
        self._in_flight = trio.CapacityLimiter(IN_FLIGHT_MAX)
        self._begun = 0
        self._under_way = 0
        self._stopping = trio.Event()
        self._result = WalkResult()

    async def run(self) -> WalkResult:
        """Walk until every proof is decided or given up. `result` may be read at any time meanwhile."""
        count = min(self._proofs, max(WALKERS_MAX, math.ceil(self._proofs / PROOFS_PER_WALKER_MAX)))
        places = random.Random(secrets.randbits(64))
        self._started_at = trio.current_time()
        async with trio.open_nursery() as nursery:
            for index in range(count):
                walker = self._new_walker(index, places)
                share = self._proofs // count + (index < self._proofs % count)
                nursery.start_soon(self._walk, walker, share)
        return self._result

    def stop(self) -> None:
        """Begin no more proofs. `run` returns once those that are under way are decided or given up."""
        self._stopping.set()

    @property
    def under_way(self) -> int:
        """How many proofs have been signed and are not decided yet."""
        return self._under_way

    @property
    def result(self) -> WalkResult:
        """What has been decided until now."""
        return self._result

    def _new_walker(self, index: int, places: random.Random) -> Walker:
        start = start_in_a_city(index, places)
        return Walker(self._parameters, start=start, clock=self._clock, seed=places.getrandbits(64))

    async def _walk(self, walker: Walker, share: int) -> None:
        for _ in range(share):
            async with self._in_flight:
                node = await self._turn()
                if node is None:
                    return
                walker.walk_on()
                self._under_way += 1
                record = await self._prove(walker, node)
                self._under_way -= 1
            self._result.records.append(record)
            self._result.seconds = trio.current_time() - self._started_at
            self._report(record)

    async def _turn(self) -> int | None:
        """Wait until the rate allows one more proof; the node whose turn it is. None once `stop` has been called."""
        number = self._begun
        self._begun += 1
        with trio.move_on_at(self._started_at + number * self._interval_seconds):
            await self._stopping.wait()
        return None if self._stopping.is_set() else number % len(self._clients)

    async def _prove(self, walker: Walker, node: int) -> ProofRecord:
        begun_at = trio.current_time()
        signed, state = await prove_here(walker, self._clients, node)
        finality_ms = (trio.current_time() - begun_at) * 1000 if isinstance(state, Final) else None
        return ProofRecord(proof_id_of(signed), state, finality_ms)
