"""Every code of the table, provoked over HTTP: each refusal has the details that the table promises.

A code without a provocation here fails, and so does one whose provocation gives another.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
import pytest
import trio

from mesh import locate
from step_node.api.app import create_app
from step_node.api.middleware import body
from step_node.api.submissions.breaker import BreakerSettings
from step_node.explanations.codes import BY_CODE, ROWS, CodeRow
from step_node.home.switches import Switch, Thrown
from step_node.ledger import validators
from step_node.mempool import backlog
from step_node.operations import client_signing
from step_node.operations.json_form import operation_json
from step_node.operations.operation import Operation
from step_node.proofs.timestamps import parse_timestamp
from step_node.storage.memory import MemoryStorage
from tests.api.made_up_node import CHAIN_ID, START_MS, VALIDATOR_KEY, ZURICH, MadeUpNode, Walker, open_node
from tests.api.serving import serve
from tests.support.proofs import address, private_key

OWN: Final = client_signing.address_of_key(VALIDATOR_KEY)
HASH: Final = f"0x{'ab' * 32}"
STEP: Final = 1_000_000


@dataclass
class Case:
    """A served node, and a client on a socket. `patch` undoes itself."""

    node: MadeUpNode
    http: httpx.AsyncClient
    port: int
    patch: pytest.MonkeyPatch

    async def submit(self, proof: object) -> httpx.Response:
        """Hand in a proof, without waiting for finality."""
        return await self.http.post("/proof/submit", params={"wait_ms": 0}, json=proof)

    async def operate(self, name: str, operation: Operation) -> httpx.Response:
        """Hand in an operation."""
        return await self.http.post(f"/validator/{name}", json=operation_json(operation))

    async def register(self, owner: Walker, *, stake_ustep: int, hot_key: bytes | None = None) -> httpx.Response:
        """Have `owner` register a validator."""
        return await self.operate(
            "register",
            client_signing.register(
                owner_key=owner.key,
                hot_key=hot_key or private_key("newcomer"),
                chain_id=CHAIN_ID,
                sequence=0,
                stake_ustep=stake_ustep,
                p2p_address="/ip4/127.0.0.1/tcp/26601",
            ),
        )

    async def paid(self, number: int) -> Walker:
        """A walker who has earned one STEP."""
        walker = Walker(number)
        await self.submit(walker.proof(START_MS, level=1))
        await self.node.finalise()
        return walker

    async def raw(self, data: bytes) -> httpx.Response:
        """The answer to bytes that no library would send."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with stream:
            await stream.send_all(data)
            received = b"".join([part async for part in stream])
        head, _, answer = received.partition(b"\r\n\r\n")
        return httpx.Response(int(head.split()[1]), content=answer)


Provocation: TypeAlias = Callable[[Case], Awaitable[httpx.Response]]


async def invalid_payload(case: Case) -> httpx.Response:
    proof = Walker(1).proof(START_MS)
    return await case.submit({**proof, "payload": {**proof["payload"], "lat": "47.3769"}})


async def low_gps_accuracy(case: Case) -> httpx.Response:
    return await case.submit(Walker(1).proof(START_MS, accuracy_m=80.5))


async def bad_signature(case: Case) -> httpx.Response:
    return await case.submit({**Walker(1).proof(START_MS), "signature": Walker(2).proof(START_MS)["signature"]})


async def out_of_bounds(case: Case) -> httpx.Response:
    return await case.submit(Walker(1).proof(START_MS, triangle=locate(-33.0, 151.0, 10)))


async def clock_drift(case: Case) -> httpx.Response:
    return await case.submit(Walker(1).proof(START_MS - 400_000))


async def nonce_replay(case: Case) -> httpx.Response:
    walker = Walker(1)
    await case.submit(walker.proof(START_MS - 20_000, nonce="again"))
    return await case.submit(walker.proof(START_MS, nonce="again"))


async def triangle_not_found(case: Case) -> httpx.Response:
    return await case.submit(Walker(1).proof(START_MS, level=12))


async def triangle_exhausted(case: Case) -> httpx.Response:
    for number in range(1, 12):
        await case.submit(Walker(number).proof(START_MS))
    await case.node.finalise()
    return await case.submit(Walker(12).proof(START_MS))


async def too_fast(case: Case) -> httpx.Response:
    walker = Walker(1)
    await case.submit(walker.proof(START_MS - 20_000))
    await case.node.finalise()
    return await case.submit(walker.proof(START_MS, place=(48.3769, 8.5417)))


async def moratorium(case: Case) -> httpx.Response:
    walker = Walker(1)
    await case.submit(walker.proof(START_MS - 4_000))
    await case.node.finalise()
    return await case.submit(walker.proof(START_MS))


async def rate_limited(case: Case) -> httpx.Response:
    for number in range(1, 12):
        await case.submit(Walker(number).proof(START_MS))
    return await case.submit(Walker(12).proof(START_MS))


async def mempool_full(case: Case) -> httpx.Response:
    case.patch.setattr(backlog, "BACKLOG_PROOFS_MIN", 0)
    return await case.submit(Walker(1).proof(START_MS))


async def not_ready(case: Case) -> httpx.Response:
    case.node.clock.time_ms = START_MS - 60_000
    return await case.submit(Walker(1).proof(START_MS - 60_000))


async def internal_error(case: Case) -> httpx.Response:
    async def broken(limit: int) -> Any:
        raise RuntimeError(f"no leaderboard of {limit}")

    case.patch.setattr(case.node.storage, "leaderboard", broken)
    return await case.http.get("/leaderboard")


async def receipt_not_found(case: Case) -> httpx.Response:
    waiting = (await case.submit(Walker(1).proof(START_MS))).json()["proofId"]
    return await case.http.get(f"/proof/{waiting}/receipt")


async def wrong_state(case: Case) -> httpx.Response:
    withdrawal = client_signing.withdraw(owner_key=VALIDATOR_KEY, chain_id=CHAIN_ID, sequence=0, validator=OWN)
    return await case.operate("withdraw", withdrawal)


async def wrong_upgrade(case: Case) -> httpx.Response:
    approval = client_signing.approve_upgrade(
        key=VALIDATOR_KEY,
        owner=OWN,
        chain_id=CHAIN_ID,
        sequence=0,
        validator=OWN,
        protocol_version=2,
        activation_height=2_500,
    )
    return await case.operate("approve-upgrade", approval)


async def pool_full(case: Case) -> httpx.Response:
    leaving = client_signing.unbond(owner_key=VALIDATOR_KEY, chain_id=CHAIN_ID, sequence=0, validator=OWN)
    await case.operate("unbond", leaving)
    moving = client_signing.set_address(
        owner_key=VALIDATOR_KEY, chain_id=CHAIN_ID, sequence=0, validator=OWN, p2p_address="/memory/moved"
    )
    return await case.operate("set-address", moving)


async def wrong_sequence(case: Case) -> httpx.Response:
    leaving = client_signing.unbond(owner_key=VALIDATOR_KEY, chain_id=CHAIN_ID, sequence=5, validator=OWN)
    return await case.operate("unbond", leaving)


async def unknown_validator(case: Case) -> httpx.Response:
    leaving = client_signing.unbond(owner_key=VALIDATOR_KEY, chain_id=CHAIN_ID, sequence=0, validator=address("nobody"))
    return await case.operate("unbond", leaving)


async def not_the_owner(case: Case) -> httpx.Response:
    leaving = client_signing.unbond(owner_key=Walker(1).key, chain_id=CHAIN_ID, sequence=0, validator=OWN)
    return await case.operate("unbond", leaving)


async def key_in_use(case: Case) -> httpx.Response:
    return await case.register(Walker(1), stake_ustep=STEP, hot_key=VALIDATOR_KEY)


async def stake_too_low(case: Case) -> httpx.Response:
    return await case.register(Walker(1), stake_ustep=STEP // 2)


async def insufficient_balance(case: Case) -> httpx.Response:
    return await case.register(await case.paid(1), stake_ustep=2 * STEP)


async def no_place(case: Case) -> httpx.Response:
    case.patch.setattr(validators, "SET_VALIDATORS_MAX", 1)
    return await case.register(await case.paid(1), stake_ustep=STEP)


async def request_timeout(case: Case) -> httpx.Response:
    case.patch.setattr(body, "BODY_SECONDS_MAX", 0.05)
    return await case.raw(b"POST /proof/submit HTTP/1.1\r\nHost: node\r\nContent-Length: 10\r\n\r\n")


async def headers_too_large(case: Case) -> httpx.Response:
    return await case.raw(b"GET / HTTP/1.1\r\nHost: node\r\n" + b"a:\r\n" * 101 + b"\r\n")


def switched_off(switch: Switch, method: str, path: str) -> Provocation:
    """A request while an operator has turned off what it is for."""

    async def ask(case: Case) -> httpx.Response:
        case.node.switches.throw(switch, Thrown(is_on=False, who="somebody", when_ms=0, why="a bad night"))
        return await case.http.request(method, path, content=b"{}" if method == "POST" else None)

    return ask


async def intake_shed(case: Case) -> httpx.Response:
    case.node.breaker = BreakerSettings(factor=3.0, floor_per_second=1.0)
    services = case.node.services()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(services)), base_url="http://node") as client:
        services.intake.state()
        case.node.seconds += 120
        services.intake.count(1)
        case.node.seconds += 1
        services.intake.count(30)
        case.node.seconds += 1
        return await client.post("/proof/submit", content=b"{}")


def asking(method: str, path: str, **rest: Any) -> Provocation:
    """A single request."""
    return lambda case: case.http.request(method, path, **rest)


PROVOCATIONS: Final[dict[str, Provocation]] = {
    "INVALID_PAYLOAD": invalid_payload,
    "LOW_GPS_ACCURACY": low_gps_accuracy,
    "BAD_SIGNATURE": bad_signature,
    "OUT_OF_BOUNDS": out_of_bounds,
    "CLOCK_DRIFT": clock_drift,
    "NONCE_REPLAY": nonce_replay,
    "TRIANGLE_NOT_FOUND": triangle_not_found,
    "TRIANGLE_EXHAUSTED": triangle_exhausted,
    "TOO_FAST": too_fast,
    "MORATORIUM": moratorium,
    "RATE_LIMITED": rate_limited,
    "MEMPOOL_FULL": mempool_full,
    "INTAKE_PAUSED": switched_off(Switch.INTAKE, "POST", "/proof/submit"),
    "INTAKE_SHED": intake_shed,
    "SWITCHED_OFF": switched_off(Switch.MAPS, "GET", "/mesh/nearest?lat=47.3769&lon=8.5417&level=10"),
    "NOT_READY": not_ready,
    "INTERNAL_ERROR": internal_error,
    "PROOF_NOT_FOUND": asking("GET", f"/proof/status/{HASH}"),
    "RECEIPT_NOT_FOUND": receipt_not_found,
    "OPERATION_NOT_FOUND": asking("GET", f"/operation/{HASH}"),
    "BATCH_NOT_FOUND": asking("GET", "/batch/9"),
    "REPORT_NOT_FOUND": asking("GET", "/fairness/1"),
    "VALIDATOR_NOT_FOUND": asking("GET", f"/validators/0x{address('nobody').hex()}"),
    "INVALID_OPERATION": asking("POST", "/validator/unbond", json={"sequence": -1}),
    "WRONG_SEQUENCE": wrong_sequence,
    "UNKNOWN_VALIDATOR": unknown_validator,
    "NOT_THE_OWNER": not_the_owner,
    "KEY_IN_USE": key_in_use,
    "STAKE_TOO_LOW": stake_too_low,
    "INSUFFICIENT_BALANCE": insufficient_balance,
    "NO_PLACE": no_place,
    "WRONG_STATE": wrong_state,
    "WRONG_UPGRADE": wrong_upgrade,
    "POOL_FULL": pool_full,
    "NOT_FOUND": asking("GET", "/nowhere"),
    "METHOD_NOT_ALLOWED": asking("PUT", "/status"),
    "FORBIDDEN": asking("GET", "/metrics", headers={"Origin": "https://app.example"}),
    "PAYLOAD_TOO_LARGE": asking("POST", "/proof/submit", content=b" " * 20_000),
    "HEADERS_TOO_LARGE": headers_too_large,
    "REQUEST_TIMEOUT": request_timeout,
}


async def provoke(provocation: Provocation, tmp_path: Path, patch: pytest.MonkeyPatch) -> httpx.Response:
    """What a node of its own answers."""
    tmp_path.mkdir(exist_ok=True)
    async with (
        open_node(tmp_path / "journal.sqlite", storage=MemoryStorage(), min_stake=1) as node,
        trio.open_nursery() as nursery,
    ):
        port: int = await nursery.start(serve, node)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            answer = await provocation(Case(node, http, port, patch))
        nursery.cancel_scope.cancel()
    return answer


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
async def test_each_code_is_told_with_the_details_that_the_table_promises(
    row: CodeRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await provoke(PROVOCATIONS[row.code], tmp_path, monkeypatch)
    told = answer.json()
    assert (answer.status_code, told["code"], told["ok"]) == (row.status, row.code, False), told
    details = told["details"]
    assert details.keys() >= {"gate", "retryable", *row.details}, details
    assert None not in details.values()
    for name, value in details.items():
        assert name in ("line", "rule") or len(json.dumps(value)) <= 256


def test_every_code_has_a_provocation() -> None:
    assert PROVOCATIONS.keys() == BY_CODE.keys()


async def test_a_used_up_triangle_names_the_one_to_prove_in_and_that_one_takes_the_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def prove_there(case: Case) -> httpx.Response:
        refused = (await triangle_exhausted(case)).json()["details"]["tryInstead"]
        # The largest that is active: of the seeded levels, all but the tenth.
        assert refused == {"triangleId": locate(*ZURICH, 1).text, "level": 1}
        return await case.submit(Walker(12).proof(START_MS, level=refused["level"], nonce="instead"))

    assert (await provoke(prove_there, tmp_path, monkeypatch)).status_code == 202


async def test_where_waiting_proofs_use_a_triangle_up_the_next_with_room_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def first_level_is_taken(case: Case) -> httpx.Response:
        for number in range(1, 12):
            await case.submit(Walker(number).proof(START_MS, level=1))
        return await case.submit(Walker(12).proof(START_MS, level=1))

    details = (await provoke(first_level_is_taken, tmp_path, monkeypatch)).json()["details"]
    assert (details["gate"], details["waiting"], details["limit"]) == ("triangle_clicks", 11, 11)
    assert details["tryInstead"]["level"] == 2


async def test_the_way_out_of_too_fast_and_moratorium_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def come_back(case: Case, provocation: Provocation, place: tuple[float, float]) -> httpx.Response:
        refused = (await provocation(case)).json()
        case.node.clock.time_ms = parse_timestamp(refused["details"]["retryAt"])
        return await case.submit(Walker(1).proof(case.node.clock.time_ms, place=place, nonce="later"))

    async def after_too_fast(case: Case) -> httpx.Response:
        return await come_back(case, too_fast, (48.3769, 8.5417))

    async def after_moratorium(case: Case) -> httpx.Response:
        return await come_back(case, moratorium, ZURICH)

    assert (await provoke(after_too_fast, tmp_path / "1", monkeypatch)).status_code == 202
    assert (await provoke(after_moratorium, tmp_path / "2", monkeypatch)).status_code == 202
