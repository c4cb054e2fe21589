"""The guardrails of whole nodes: a fault that all of them run is found by all, and what is done about it lasts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from pydantic import ValidationError

from p2p.memory import MemoryHub
from step_node.api.app import create_app
from step_node.api.status.health import HealthCode
from step_node.clock import SystemClock
from step_node.durable.side_file import SideFile
from step_node.economy.guardrails.drifts import LARGEST
from step_node.economy.guardrails.guardrail import Guardrail
from step_node.economy.guardrails.guardrails import Limits
from step_node.home.config import GuardrailsConfig, NodeConfig
from step_node.home.switches import ShareSet, Switch, Thrown
from step_node.ledger import rules
from step_node.ledger.level_counts import CountsByLevel
from step_node.ledger.records import Account
from step_node.ledger.rewards import rounded_reward_ustep
from step_node.node.admin.audit import AuditLog
from step_node.node.guardrail_file import GuardrailFile, GuardrailsKept
from step_node.node.guardrail_watch import GuardrailSettings
from step_node.node.node import Node
from step_node.node.opening import guardrail_settings
from step_node.node.reload import Reloader
from step_node.node.start import GUARDRAIL_SETTINGS, _record_share
from tests.integration.test_nodes_in_memory import fresh_proofs, reach, submit_all
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, running_node

LONGEST_SECONDS = 60.0


def plant(patch: pytest.MonkeyPatch) -> None:
    """Each proof is paid one micro-STEP too much, by every node in this process."""
    too_much = replace(rules.RULES[1], proof_reward_ustep=lambda level, click: rounded_reward_ustep(level, click) + 1)
    patch.setattr(rules, "RULES", dict(rules.RULES) | {1: too_much})


def file_in(home: Path) -> GuardrailFile:
    return SideFile(home / "guardrails.json", GuardrailsKept, "what the guardrails have found")


def codes(node: Node) -> set[HealthCode]:
    return {reason.code for reason in node.overview.health().reasons}


def test_the_settings_say_what_a_breach_does_and_can_change_while_the_node_runs() -> None:
    in_force = NodeConfig()
    assert guardrail_settings(in_force.guardrails) == GuardrailSettings(Limits())
    wanted = GuardrailsConfig.model_validate(
        {
            "ledger_intake_percent": "10",
            "drift_intake_percent": 50,
            "minting_factor": 7,
            "orphaned_stake_percent_max": 0,
        }
    )
    settings = guardrail_settings(wanted)
    assert settings.limits == Limits(minting_factor=7, orphaned_bps_max=0)
    assert settings.percent_of(Guardrail.BALANCES) == 10
    assert settings.percent_of(Guardrail.MINTING_RATE) == 50
    Reloader(in_force, lambda: in_force).register(GUARDRAIL_SETTINGS, lambda _: lambda: None)
    for wrong in ("42", 42, "ten", None):
        with pytest.raises(ValidationError, match="0, 10, 50 or 100"):
            GuardrailsConfig.model_validate({"ledger_intake_percent": wrong})


async def until_checked(node: Node) -> None:
    """The head moves a moment before the batch is gone over."""
    with trio.fail_after(LONGEST_SECONDS):
        while node.economy.guardrails.checked_height < node.status().height:
            await trio.sleep(0.01)


async def test_four_nodes_that_pay_too_much_alike_all_find_it_with_the_batch_that_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genesis, hub = make_genesis(4, **QUICK), MemoryHub()
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name))
            for name in validator_names(4)
        ]
        await submit_all(nodes, fresh_proofs(8, prefix="right"))
        sound = max(node.status().height for node in nodes)
        await reach(nodes, sound)
        for node in nodes:
            await until_checked(node)
            assert node.economy.guardrails.broken == ()
            assert node.economy.guardrails.checked_height == node.status().height
        plant(monkeypatch)
        await submit_all(nodes, fresh_proofs(1, prefix="wrong"))
        await reach(nodes, sound + 1)
        for node in nodes:
            await until_checked(node)
            found = {one.breach.guardrail: one.breach.height for one in node.economy.guardrails.broken}
            assert found == {Guardrail.REWARDS: sound + 1, Guardrail.SUPPLY: sound + 1}
            assert HealthCode.LEDGER_UNSOUND in codes(node)
            assert node.switches.intake_percent == 100  # Nothing is done unless the settings say so.
            value = node.registry.get_sample_value
            assert value("step_guardrail_broken", {"guardrail": "supply"}) == 1
            assert value("step_guardrail_broken", {"guardrail": "balances"}) == 0
            assert value("step_guardrail_breaches_total", {"guardrail": "rewards"}) == 1


async def test_a_breach_lowers_the_share_and_is_kept_until_somebody_has_seen_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genesis, (name,) = make_genesis(1, **QUICK), validator_names(1)
    settings = GuardrailSettings(Limits(), ledger_percent=10)
    audit = AuditLog(tmp_path / "audit.log", SystemClock())
    file = file_in(tmp_path)
    async with running_node(MemoryHub(), name, genesis, tmp_path, guardrails=settings, guardrail_file=file) as node:
        node.economy.guardrails.audit = partial(_record_share, audit)
        with monkeypatch.context() as patch:
            plant(patch)
            await submit_all([node], fresh_proofs(1, prefix="wrong"))
            await until_checked(node)
        share = node.switches.share_set
        assert share is not None
        assert (share.percent, share.who) == (10, "guardrail rewards")
        assert share.why.startswith("height 1: proof 0x")
        (record,) = [json.loads(line) for line in audit.path.read_text().splitlines()]
        assert (record["user"], record["command"], record["arguments"]) == (share.who, "intake-share", {"percent": 10})
        assert (record["why"], record["outcome"]) == (share.why, "done")
        assert {HealthCode.LEDGER_UNSOUND, HealthCode.INTAKE_LIMITED} <= codes(node)
        assert node.overview.health().not_ready == ()
        app = create_app(node.services(wait_ms_max=1_000))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as client:
            answer = (await client.get("/guardrails")).json()
            assert answer["intakePercent"] == 10
            broken = {one["name"]: one for one in answer["guardrails"] if one["isBroken"]}
            assert set(broken) == {"rewards", "supply"}
            rewards = broken["rewards"]
            assert (rewards["figure"], rewards["bound"], rewards["unit"]) == ("0.001954", "0.001953", "STEP")
            assert rewards["brokenAtHeight"] == 1
            node.switches.throw(Switch.GUARDRAILS, Thrown(is_on=False, who="root", when_ms=0))
            assert (await client.get("/guardrails")).json()["code"] == "SWITCHED_OFF"
    kept = json.loads((tmp_path / "guardrails.json").read_text())
    assert set(kept["broken"]) == {"rewards", "supply"}
    async with running_node(
        MemoryHub(), name, genesis, tmp_path, guardrails=settings, guardrail_file=file_in(tmp_path)
    ) as node:
        assert {one.breach.guardrail for one in node.economy.guardrails.broken} == {Guardrail.REWARDS, Guardrail.SUPPLY}
        for guardrail in (Guardrail.REWARDS, Guardrail.SUPPLY):
            assert node.economy.guardrails.acknowledge(guardrail) is not None
        assert node.economy.guardrails.acknowledge(Guardrail.BALANCES) is None
        await submit_all([node], fresh_proofs(2, prefix="right"))
        await until_checked(node)
        assert node.economy.guardrails.broken == ()
    assert json.loads((tmp_path / "guardrails.json").read_text())["broken"] == {}


async def test_a_breach_does_not_raise_what_an_operator_sets_to_nothing_in_the_same_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genesis, (name,) = make_genesis(1, **QUICK), validator_names(1)
    settings = GuardrailSettings(Limits(), ledger_percent=50)
    by_operator = ShareSet(percent=0, who="root", when_ms=0)

    async def after_the_operator(work: Callable[..., object], *arguments: object) -> object:
        node.switches.set_share(by_operator)
        return work(*arguments)

    async with running_node(MemoryHub(), name, genesis, tmp_path, guardrails=settings) as node:
        monkeypatch.setattr("step_node.node.guardrail_watch.run_blocking", after_the_operator)
        with monkeypatch.context() as patch:
            plant(patch)
            await submit_all([node], fresh_proofs(1, prefix="wrong"))
            await until_checked(node)
        assert node.economy.guardrails.broken
        assert node.switches.share_set == by_operator


async def test_guardrails_that_were_off_begin_again_where_the_chain_is(tmp_path: Path) -> None:
    genesis, (name,) = make_genesis(1, **QUICK), validator_names(1)

    def throw(node: Node, is_on: bool) -> None:
        node.switches.throw(Switch.GUARDRAILS, Thrown(is_on=is_on, who="root", when_ms=0))

    async with running_node(MemoryHub(), name, genesis, tmp_path) as node:
        throw(node, False)
        await submit_all([node], fresh_proofs(2, prefix="unseen"))
        assert node.economy.guardrails.checked_height == 0
        assert node.registry.get_sample_value("step_guardrails_on") == 0
        throw(node, True)
        await submit_all([node], fresh_proofs(2, prefix="first"))
        await submit_all([node], fresh_proofs(2, prefix="second"))
        await until_checked(node)
        assert node.economy.guardrails.broken == ()
        assert node.economy.guardrails.checked_height == node.status().height > 0


async def test_what_happens_while_the_store_counts_the_clicks_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They begin anew where they were off. An operator acknowledges a breach meanwhile, and a drift is found."""
    genesis, (name,) = make_genesis(1, **QUICK), validator_names(1)
    settings = GuardrailSettings(Limits(concentration_bps_max=9_000, concentration_accounts_min=1))
    async with running_node(
        MemoryHub(), name, genesis, tmp_path, guardrails=settings, guardrail_file=file_in(tmp_path)
    ) as node:
        watch, storage = node.economy.guardrails, node.services(wait_ms_max=0).chain.storage
        with monkeypatch.context() as patch:
            plant(patch)
            await submit_all([node], fresh_proofs(1, prefix="wrong"))
            await until_checked(node)
        node.switches.throw(Switch.GUARDRAILS, Thrown(is_on=False, who="root", when_ms=0))
        await submit_all([node], fresh_proofs(1, prefix="unseen"))
        level_counts = storage.level_counts

        async def counted() -> CountsByLevel:
            counts = await level_counts()
            assert watch.acknowledge(Guardrail.REWARDS) is not None
            await watch.look()
            return counts

        monkeypatch.setattr(storage, "level_counts", counted)
        node.switches.throw(Switch.GUARDRAILS, Thrown(is_on=True, who="root", when_ms=0))
        await submit_all([node], fresh_proofs(1, prefix="seen"))
        await until_checked(node)
        assert {one.breach.guardrail for one in watch.broken} == {Guardrail.SUPPLY, Guardrail.CONCENTRATION}
    assert set(json.loads((tmp_path / "guardrails.json").read_text())["broken"]) == {"supply"}


async def test_the_ten_largest_are_looked_up_where_something_is_said_of_fewer_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genesis, (name,) = make_genesis(1, **QUICK), validator_names(1)
    settings = GuardrailSettings(Limits(concentration_accounts_min=1))
    async with running_node(MemoryHub(), name, genesis, tmp_path, guardrails=settings) as node:
        storage, limits = node.services(wait_ms_max=0).chain.storage, set[int]()
        leaderboard = storage.leaderboard

        async def recorded(*, limit: int) -> Sequence[Account]:
            limits.add(limit)
            return await leaderboard(limit=limit)

        monkeypatch.setattr(storage, "leaderboard", recorded)
        await submit_all([node], fresh_proofs(1, prefix="one"))
        await until_checked(node)
        await node.economy.guardrails.look()
        assert limits == {LARGEST}


async def test_who_holds_how_much_is_looked_up_and_owners_count_with_their_stakes(tmp_path: Path) -> None:
    genesis, (name,) = make_genesis(1, **QUICK), validator_names(1)
    settings = GuardrailSettings(Limits(concentration_bps_max=9_000, concentration_accounts_min=3), drift_percent=50)
    async with running_node(MemoryHub(), name, genesis, tmp_path, guardrails=settings) as node:
        await submit_all([node], fresh_proofs(4, prefix="small"))
        await until_checked(node)
        await node.economy.guardrails.look()
        (broken,) = node.economy.guardrails.broken
        assert broken.breach.guardrail is Guardrail.CONCENTRATION
        assert (broken.breach.figure or 0) > 9_999 - 1  # The one stake is nearly all that there is.
        assert HealthCode.ECONOMY_DRIFTS in codes(node)
        assert node.switches.intake_percent == 50
        assert node.registry.get_sample_value("step_intake_percent") == 50
        node.economy.guardrails.set(
            GuardrailSettings(Limits(concentration_bps_max=10_000, concentration_accounts_min=3))
        )
        await submit_all([node], fresh_proofs(1, prefix="more"))
        await until_checked(node)
        await node.economy.guardrails.look()
        assert node.economy.guardrails.broken == ()
        assert node.switches.intake_percent == 50  # An operator raises it again.
