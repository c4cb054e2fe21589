"""How plausible an account's proofs, and those in a triangle, are, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from mesh import TriangleId, locate
from step_node.api.app import create_app
from step_node.economy.plausibility import account_signals
from step_node.economy.trends import PeriodSignals, Trends
from step_node.home.switches import Switch, Thrown
from tests.api.made_up_node import MadeUpNode
from tests.economy.made_rows import BEGIN_MS, HOUR_MS, MUNICH, Row, address_of, columns_of

PROGRAM: list[Row] = [(1, number * 10_000, *MUNICH, 5.0) for number in range(20)]
PERSON: list[Row] = [(2, 5_000, *MUNICH, 8.0), (2, 3 * HOUR_MS, 52.52, 13.405, 8.0)]


def _signals() -> PeriodSignals:
    columns = columns_of(PROGRAM + PERSON)
    return PeriodSignals(3_000_018, 3_000_018 * 600_000, len(columns), False, 17, account_signals(columns))


class _Trends(Trends):
    """With signals that a test has made."""

    def __init__(self, signals: PeriodSignals | None) -> None:
        self._made = signals

    @property
    def signals(self) -> PeriodSignals | None:
        return self._made


@asynccontextmanager
async def _client(node: MadeUpNode, signals: PeriodSignals | None) -> AsyncIterator[httpx.AsyncClient]:
    services = replace(node.services(), trends=_Trends(signals))
    transport = httpx.ASGITransport(create_app(services), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        yield client


async def test_an_account_has_its_score_and_each_reason_with_its_figures(node: MadeUpNode) -> None:
    address = f"0x{address_of(1).hex()}"
    async with _client(node, _signals()) as client:
        answer = await client.get(f"/plausibility/accounts/{address.upper().replace('X', 'x')}")

    assert answer.json() == {
        "ok": True,
        "account": address,
        "periodBeginsAt": "2027-01-15T11:00:00.000Z",
        "isComplete": False,
        "completeFromHeight": 17,
        "implausibleFromBps": 5_000,
        "proofs": 20,
        "implausibilityBps": 6_425,
        "isImplausible": True,
        "reasons": [
            {
                "signal": "identical_accuracies",
                "strengthBps": 10_000,
                "weightBps": 3_500,
                "figures": {"sameAccuracyBps": 10_000, "proofs": 20},
            },
            {
                "signal": "machine_intervals",
                "strengthBps": 10_000,
                "weightBps": 4_500,
                "figures": {"intervalMs": 10_000, "sameIntervalBps": 10_000},
            },
        ],
    }
    assert _signals().begins_ms == BEGIN_MS + 3 * HOUR_MS


async def test_an_account_of_which_nothing_is_known_has_a_score_of_nought(node: MadeUpNode) -> None:
    async with _client(node, _signals()) as client:
        answer = (await client.get(f"/plausibility/accounts/0x{address_of(9).hex()}")).json()

    assert (answer["proofs"], answer["implausibilityBps"], answer["isImplausible"], answer["reasons"]) == (
        0,
        0,
        False,
        [],
    )


async def test_a_triangle_has_the_mean_of_those_who_proved_in_it(node: MadeUpNode) -> None:
    triangle = locate(*MUNICH, 12)
    async with _client(node, _signals()) as client:
        answer = (await client.get(f"/plausibility/triangles/{triangle.text}")).json()
        nowhere = (await client.get(f"/plausibility/triangles/{TriangleId(0, 21, 5).text}")).json()

    assert answer["triangleId"] == triangle.text
    assert (answer["proofs"], answer["accounts"], answer["implausibleAccounts"]) == (21, 2, 1)
    assert answer["implausibilityBps"] == 6_425 // 2
    assert answer["reasons"][0] == {
        "signal": "identical_accuracies",
        "accounts": 1,
        "strengthBps": 5_000,
        "weightBps": 3_500,
    }
    assert (nowhere["proofs"], nowhere["accounts"], nowhere["implausibilityBps"], nowhere["reasons"]) == (0, 0, 0, [])


async def test_a_text_that_names_no_triangle_is_refused_with_the_rule(node: MadeUpNode) -> None:
    async with _client(node, _signals()) as client:
        answer = await client.get("/plausibility/triangles/STEP-TRI-v1:A1-00000000000000000000-AAA")

    assert answer.status_code == 400
    assert answer.json()["message"].startswith("id: checksum:")


async def test_before_the_first_signals_the_node_says_that_it_is_not_ready(node: MadeUpNode) -> None:
    async with _client(node, None) as client:
        answer = await client.get(f"/plausibility/accounts/0x{address_of(1).hex()}")

    assert answer.status_code == 503
    assert (answer.json()["code"], answer.json()["details"]["gate"]) == ("NOT_READY", "economy")
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("switch", [Switch.PLAUSIBILITY, Switch.TRENDING])
async def test_an_operator_can_turn_it_off_by_itself_or_with_all_that_it_is_computed_with(
    node: MadeUpNode, switch: Switch
) -> None:
    node.switches.throw(switch, Thrown(is_on=False, who="somebody", when_ms=0, why=""))
    async with _client(node, _signals()) as client:
        answers = [
            await client.get(f"/plausibility/accounts/0x{address_of(1).hex()}"),
            await client.get(f"/plausibility/triangles/{locate(*MUNICH, 12).text}"),
        ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(503, "SWITCHED_OFF")] * 2
