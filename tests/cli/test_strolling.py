"""People who walk for as long as a devnet runs keep the protocol's rules, and prove where they are now."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict

import httpx
import trio
from trio.testing import MockClock

from mesh import unit_vector, within_distance
from step_node.parameters import Parameters
from step_node.proofs.gates import check_stateless
from step_node.proofs.payload import parse_payload
from step_node.proofs.proof import SignedProof
from step_node.testing.devnet.node_client import Final, NodeClient, ProofState, Refused
from step_node.testing.devnet.strolling import REST_LONGER_MAX, stroll

BEGUN_MS = 1_769_860_800_000
PARAMETERS = Parameters()
WALKERS = 5
MINUTES = 10


class TrioTime:
    """The test's own time, in milliseconds since 1970."""

    def now_ms(self) -> int:
        return BEGUN_MS + int(trio.current_time() * 1000)


async def test_strollers_keep_every_rule_rest_and_go_on(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    times = TrioTime()
    taken: dict[bytes, list[SignedProof]] = defaultdict(list)
    told: list[ProofState] = []
    begun_ms = times.now_ms()

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        proof = parse_payload(body["payload"], body["signature"])
        assert proof.timestamp_ms == times.now_ms()
        taken[proof.account].append(proof)
        if sum(map(len, taken.values())) % 7 == 0:  # A refusal now and then keeps nobody from going on.
            return httpx.Response(409, json={"ok": False, "code": "MORATORIUM", "message": "too early"})
        return httpx.Response(200, json={"ok": True, "height": 1})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        clients = [NodeClient(http, f"http://node{index}") for index in range(2)]
        with trio.move_on_after(MINUTES * 60):
            await stroll(clients, PARAMETERS, walkers=WALKERS, clock=times, report=told.append)
    assert len(taken) == WALKERS
    assert {type(state) for state in told} == {Final, Refused}
    for proofs in taken.values():
        assert all(check_stateless(proof, PARAMETERS) is None for proof in proofs)
        assert proofs[0].timestamp_ms - begun_ms <= PARAMETERS.moratorium_ms + 1_000
        for before, after in itertools.pairwise(proofs):
            elapsed_ms = after.timestamp_ms - before.timestamp_ms
            assert PARAMETERS.moratorium_ms < elapsed_ms <= REST_LONGER_MAX * (PARAMETERS.moratorium_ms + 1_001)
            places = (unit_vector(before.lat, before.lon), unit_vector(after.lat, after.lon))
            assert within_distance(*places, PARAMETERS.speed_limit_mps * elapsed_ms / 1000)
            assert not within_distance(*places, 1.0)


async def test_nobody_walks_where_none_are_wanted() -> None:
    with trio.fail_after(5):
        await stroll([], PARAMETERS, walkers=0)
