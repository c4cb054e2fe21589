"""Signed proofs through breaks: no connection, a closed page, a dead node, a wrong clock, another chain."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Route, expect

from tests.support.waiting import block_until
from tests.web.browser.network import Network
from tests.web.browser.proving import METRES_NORTH, at_prove, button, entries, expect_final, prove
from tests.web.browser.visitor import Visitor

pytestmark = pytest.mark.long


def submissions(visitor: Visitor) -> list[dict[str, Any]]:
    """What was submitted, in the order in which it left."""
    return [json.loads(one.body or b"") for one in visitor.watched.asked if "/proof/submit" in one.url]


def final_in_ledger(network: Network, address: str) -> list[dict[str, Any]]:
    proofs: list[dict[str, Any]] = httpx.get(f"{network.urls[1]}/account/{address}/proofs").json()["proofs"]
    return proofs


def test_what_was_signed_offline_goes_out_in_order_once_there_is_a_connection(
    visitor: Visitor, network: Network
) -> None:
    page, wallet = at_prove(visitor, network)
    visitor.stand(44.5, 4.5)
    page.reload()
    visitor.stand(44.5, 4.5)
    expect(button(page)).to_be_enabled()
    visitor.context.set_offline(True)
    expect(page.get_by_text("You are offline. You can prove all the same")).to_be_visible()
    for step in range(2):
        prove(visitor, page, 44.5 + 30 * step * METRES_NORTH, 4.5)
        expect(entries(page, "waiting")).to_have_count(step + 1)
    expect(entries(page, "waiting").first).to_contain_text("It can be taken in until")
    assert submissions(visitor) == []
    visitor.context.set_offline(False)
    expect_final(page, 2)
    # To follow one is to hand it in again; what counts is when each left first.
    sent = list(dict.fromkeys(one["payload"]["timestamp"] for one in submissions(visitor)))
    assert len(sent) == 2
    assert sent == sorted(sent)
    assert len(final_in_ledger(network, wallet.address)) == 2


def test_what_is_too_old_is_not_sent_and_stays_until_it_was_seen(visitor: Visitor, network: Network) -> None:
    page, _ = at_prove(visitor, network)
    page.clock.install()
    visitor.stand(44.6, 4.6)
    page.reload()
    visitor.stand(44.6, 4.6)
    expect(button(page)).to_be_enabled()
    visitor.context.set_offline(True)
    expect(page.get_by_text("You are offline.")).to_be_visible()
    button(page).click()
    expect(entries(page, "waiting")).to_have_count(1)
    page.clock.fast_forward(5 * 60 * 1000)
    expect(entries(page, "expired")).to_contain_text("no node takes this proof any more")
    visitor.context.set_offline(False)
    page.clock.run_for(20_000)
    expect(entries(page, "expired")).to_have_count(1)
    assert submissions(visitor) == []
    page.get_by_role("button", name=re.compile("Remove the proof of")).click()
    expect(entries(page, "expired")).to_have_count(0)


def test_a_page_that_is_closed_before_any_answer_goes_on_at_the_next_visit(visitor: Visitor, network: Network) -> None:
    page, wallet = at_prove(visitor, network)
    visitor.context.route("**/proof/submit**", lambda route: route.abort())
    prove(visitor, page, 44.7, 4.7)
    expect(entries(page, "sending")).to_have_count(1)
    page.close()
    visitor.context.unroute("**/proof/submit**")
    # Any page of the app will do.
    visitor.page(network.app())
    block_until(lambda: final_in_ledger(network, wallet.address))
    again = visitor.page(f"{network.app()}#/prove")
    expect_final(again)
    assert len(wallet.lines) == 1


def test_an_answer_that_is_lost_costs_nothing(visitor: Visitor, network: Network) -> None:
    page, wallet = at_prove(visitor, network)
    lost: list[int] = []

    def lose(route: Route) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch().status)  # The node has it; the answer never comes.
        route.abort()

    visitor.context.route("**/proof/submit**", lose)
    prove(visitor, page, 44.8, 4.8)
    expect_final(page)
    assert lost == [202]
    assert len(final_in_ledger(network, wallet.address)) == 1


def test_one_of_two_nodes_dies(visitor: Visitor, network: Network) -> None:
    page, wallet = at_prove(visitor, network)
    prove(visitor, page, 44.9, 4.9)
    expect_final(page)
    network.kill(0)
    try:
        prove(visitor, page, 44.9, 4.9)
        expect_final(page, 2)
    finally:
        network.restart(0)
    assert len(final_in_ledger(network, wallet.address)) == 2


def test_a_wrong_clock_is_put_right_by_the_nodes(visitors: Callable[..., Visitor], network: Network) -> None:
    for minutes in (-20, 20):
        visitor = visitors()
        page, wallet = at_prove(visitor, network)
        page.clock.set_system_time(datetime.now(UTC) + timedelta(minutes=minutes))
        page.reload()
        lat = 45.1 + minutes / 1_000
        prove(visitor, page, lat, 5.1)
        expect_final(page)
        (final,) = final_in_ledger(network, wallet.address)
        signed = datetime.fromisoformat(final["timestamp"])
        assert abs(datetime.now(UTC) - signed) < timedelta(minutes=2)


def test_what_was_signed_for_one_chain_is_not_sent_to_another(visitor: Visitor, network: Network) -> None:
    page, _ = at_prove(visitor, network)
    visitor.context.route("**/proof/submit**", lambda route: route.abort())
    prove(visitor, page, 45.3, 5.3)
    expect(entries(page, "sending")).to_have_count(1)
    page.close()
    sent = len(submissions(visitor))

    def other(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "CHAIN_ID": "step-other-devnet"})

    visitor.context.route("**/proof/config", other)
    visitor.context.unroute("**/proof/submit**")
    page = visitor.page(f"{network.app()}#/prove")
    refused = entries(page, "refused")
    expect(refused).to_contain_text("signed for the chain step-devnet; the node is of step-other-devnet")
    assert len(submissions(visitor)) == sent


def test_two_tabs_send_each_proof_once_and_show_the_same(visitor: Visitor, network: Network) -> None:
    page, wallet = at_prove(visitor, network)
    other = visitor.page(f"{network.app()}#/prove")
    prove(visitor, page, 45.4, 5.4)
    expect_final(page)
    expect_final(other)
    assert len({json.dumps(one, sort_keys=True) for one in submissions(visitor)}) == 1
    assert len(final_in_ledger(network, wallet.address)) == 1
