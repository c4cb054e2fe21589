"""Whole nodes whose key is elsewhere, or becomes another one while they run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import structlog
import trio

from p2p.memory import MemoryHub
from step_node.api.status.health import HealthCode
from step_node.chain.genesis import Genesis
from step_node.ledger.records import ValidatorState
from step_node.node.node import Node
from step_node.node.succession import Succession, heir_in_history
from step_node.signing.guard import SigningGuard
from step_node.signing.remote.client import RemoteSigner
from step_node.signing.signer import Signer, ValidatorSigner
from step_node.storage.open import SqliteSettings, open_storage
from tests.integration.test_validator_life import NAMES, all_have, finalise_one
from tests.signer.homes import make_home, put_key, remote, serving
from tests.support.chains import CHAIN_ID, make_genesis, validator_names
from tests.support.nodes import QUICK, equal_roots, running_node
from tests.support.operations import rotate
from tests.support.proofs import address, private_key

LONGEST_SECONDS = 120.0
BATCHES_MAX = 100
OWN, NEXT = NAMES[2], "the next key"


@pytest.fixture
def genesis() -> Genesis:
    return make_genesis(4, epoch_batches=3, **QUICK)


@asynccontextmanager
async def network(
    genesis: Genesis, root: Path, *, signer: Signer | None = None, succession: Succession | None = None
) -> AsyncIterator[list[Node]]:
    """Four nodes, the one of `OWN` with this signer and this succession."""
    hub = MemoryHub()
    with trio.fail_after(LONGEST_SECONDS):
        async with AsyncExitStack() as stack:
            nodes = []
            for name in NAMES:
                one = running_node(
                    hub,
                    name,
                    genesis,
                    root / name,
                    signer=signer if name == OWN else None,
                    succession=succession if name == OWN else None,
                )
                nodes.append(await stack.enter_async_context(one))
            yield nodes


def codes(node: Node) -> set[HealthCode]:
    return {reason.code for reason in node.overview.health().reasons}


async def until_signs(nodes: Sequence[Node], name: str) -> None:
    """Have batches finalised until the validator's pre-commit is among the commit's of a batch from now on."""
    began = nodes[0].status().height
    for index in range(BATCHES_MAX):
        commit = nodes[0].services(wait_ms_max=0).chain.last_commit
        newest = commit.signatures if commit is not None and commit.height > began else ()
        if any(entry.validator == address(name) for entry in newest):
            return
        await finalise_one(nodes[0], account=f"{name}-{began}-{index}", lat=-40.0 + index / 2)
    raise AssertionError(f"{name} has not signed")


async def test_a_key_changes_at_the_epochs_end_in_a_node_that_runs(genesis: Genesis, tmp_path: Path) -> None:
    kept: list[bytes] = []
    opened: list[bytes] = []

    def open_signer(wanted: bytes) -> Signer | None:
        opened.append(wanted)
        if len(opened) == 1:
            return None  # Its keystore is put there a little later.
        guard = SigningGuard.open(tmp_path / "next.log", chain_id=CHAIN_ID, validator=wanted)
        return ValidatorSigner(private_key(NEXT), guard)

    succession = Succession(open_signer, keep=kept.append)
    async with network(genesis, tmp_path, succession=succession) as nodes:
        node = nodes[NAMES.index(OWN)]
        await finalise_one(nodes[0], account="before", lat=10.0)
        await until_signs(nodes, OWN)
        assert await nodes[0].operations.submit(rotate(OWN, OWN, NEXT, 0)) is None
        await finalise_one(nodes[0], account="asked", lat=11.0)
        while not succession.is_ready(address(NEXT)) and node.status().validator_address == address(OWN):
            await trio.sleep(0.01)
        with structlog.testing.capture_logs() as logged:
            for index in range(3):
                await finalise_one(nodes[0], account=f"border-{index}", lat=12.0 + index)
            await all_have(nodes, OWN, ValidatorState.ROTATED)
            await until_signs(nodes, NEXT)
        assert any("takes over" in line["event"] for line in logged)
        assert node.status().validator_address == address(NEXT)
        assert kept == [address(NEXT)]
        assert set(opened) == {address(NEXT)}
        assert not codes(node) & {HealthCode.KEY_REPLACED, HealthCode.NOT_SIGNING, HealthCode.SIGNER_AWAY}
        await equal_roots(nodes)
        for each in nodes:
            assert metric_of(each, "step_equivocations_seen_total") == 0
    with (
        SigningGuard.open(tmp_path / OWN / "signing_history.log", chain_id=CHAIN_ID, validator=address(OWN)) as old,
        SigningGuard.open(tmp_path / "next.log", chain_id=CHAIN_ID, validator=address(NEXT)) as new,
    ):
        assert 0 < old.height < min(new.height, new.floor + 1), "each key signs on its own side of the border"


async def test_a_key_that_comes_late_is_taken_where_the_chain_stands_still_for_want_of_it(tmp_path: Path) -> None:
    """The only validator: no height ends, and so no border comes, before its next key is here."""
    (name,), is_here = validator_names(1), False

    def open_signer(wanted: bytes) -> Signer | None:
        if not is_here:
            return None
        guard = SigningGuard.open(tmp_path / "next.log", chain_id=CHAIN_ID, validator=wanted)
        return ValidatorSigner(private_key(NEXT), guard)

    genesis, succession = make_genesis(1, epoch_batches=3, **QUICK), Succession(open_signer)
    with trio.fail_after(LONGEST_SECONDS):
        async with running_node(MemoryHub(), name, genesis, tmp_path / name, succession=succession) as node:
            assert await node.operations.submit(rotate(name, name, NEXT, 0)) is None
            while node.status().height < genesis.parameters.epoch_batches:
                await finalise_one(node, account=f"border-{node.status().height}", lat=12.0 + node.status().height)
            await all_have([node], name, ValidatorState.ROTATED)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(finalise_one, node, account="after", lat=20.0))
                await trio.sleep(0.5)
                assert node.status().height == 3
                is_here = True
            assert node.status().validator_address == address(NEXT)
            assert node.status().height == 4


@pytest.mark.parametrize("has_caught_up_before", [pytest.param(False, marks=pytest.mark.long), True])
async def test_a_node_that_was_away_until_the_chain_had_forgotten_its_key_goes_on_with_the_next(
    has_caught_up_before: bool, tmp_path: Path
) -> None:
    genesis, hub = make_genesis(4, epoch_batches=2, unbonding_ms=1, **QUICK), MemoryHub()
    home = tmp_path / OWN

    def open_signer(wanted: bytes) -> Signer | None:
        assert wanted == address(NEXT)
        guard = SigningGuard.open(tmp_path / "next.log", chain_id=CHAIN_ID, validator=wanted)
        return ValidatorSigner(private_key(NEXT), guard)

    with trio.fail_after(LONGEST_SECONDS):
        async with AsyncExitStack() as stack:
            async with running_node(hub, OWN, genesis, home):
                pass
            nodes = [
                await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name))
                for name in NAMES
                if name != OWN
            ]
            assert await nodes[0].operations.submit(rotate(OWN, OWN, NEXT, 0)) is None
            for index in range(2 * genesis.parameters.epoch_batches):
                await finalise_one(nodes[0], account=f"border-{index}", lat=12.0 + index)
            await all_have(nodes, OWN, None)
            heir = None
            if has_caught_up_before:
                # Without the next key, and so for ever, unless the past tells.
                async with running_node(hub, OWN, genesis, home) as late:
                    await all_have([late], OWN, None)
                    await equal_roots([*nodes, late])
                async with open_storage(SqliteSettings(home / "ledger.sqlite")) as store:
                    records = (await store.head()).validators
                    heir = await heir_in_history(address(OWN), records, store)
                    assert heir == address(NEXT)
                    assert await heir_in_history(address(NEXT), records, store) is None
                    assert await heir_in_history(address("nobody"), records, store) is None
            succession = Succession(open_signer, heir=heir)
            node = await stack.enter_async_context(running_node(hub, OWN, genesis, home, succession=succession))
            nodes.append(node)
            while node.status().validator_address != address(NEXT):
                await trio.sleep(0.01)
            await until_signs(nodes, NEXT)
            await equal_roots(nodes)
            assert not codes(node) & {HealthCode.KEY_REPLACED, HealthCode.KEY_NOT_A_VALIDATORS}
            for each in nodes:
                assert metric_of(each, "step_equivocations_seen_total") == 0


async def test_a_node_that_lacks_the_next_key_says_so_also_when_the_chain_has_forgotten_its_own(tmp_path: Path) -> None:
    genesis = make_genesis(4, epoch_batches=2, unbonding_ms=1, **QUICK)
    async with network(genesis, tmp_path, succession=Succession(lambda _address: None)) as nodes:
        assert await nodes[0].operations.submit(rotate(OWN, OWN, NEXT, 0)) is None
        for index in range(2 * genesis.parameters.epoch_batches):
            await finalise_one(nodes[0], account=f"border-{index}", lat=12.0 + index)
        await all_have(nodes, OWN, None)
        node = nodes[NAMES.index(OWN)]
        while HealthCode.KEY_REPLACED not in codes(node):
            await trio.sleep(0.01)
        (reason,) = (one for one in node.overview.health().reasons if one.code is HealthCode.KEY_REPLACED)
        assert f"replaced by 0x{address(NEXT).hex()}" in reason.message


async def test_a_node_with_a_remote_signer_goes_on_without_it_and_signs_again_with_it(
    genesis: Genesis, tmp_path: Path
) -> None:
    home = make_home(tmp_path / "signer", name=OWN)
    signer = remote(home, validator=address(OWN))
    async with network(genesis, tmp_path, signer=signer) as nodes:
        node = nodes[NAMES.index(OWN)]
        while HealthCode.SIGNER_AWAY not in codes(node):
            await trio.sleep(0.01)
        for _ in range(2):
            await finalise_one(nodes[0], account=f"without-{nodes[0].status().height}", lat=10.0)
            async with serving(home):
                await until_signs(nodes, OWN)
                assert HealthCode.SIGNER_AWAY not in codes(node)
            while HealthCode.SIGNER_AWAY not in codes(node):
                await trio.sleep(0.01)
            height = nodes[0].status().height
            await finalise_one(nodes[0], account=f"after-{height}", lat=20.0)
            while node.status().height <= height:
                await trio.sleep(0.01)
        await equal_roots(nodes)
        assert metric_of(node, "step_signer_seconds_count") > 0
        for each in nodes:
            assert metric_of(each, "step_equivocations_seen_total") == 0


@pytest.mark.long
async def test_a_key_at_a_remote_signer_changes_too(genesis: Genesis, tmp_path: Path) -> None:
    home = make_home(tmp_path / "signer", name=OWN)

    def open_signer(wanted: bytes) -> RemoteSigner | None:
        following = remote(home, validator=wanted)
        following.keep_in_touch()
        if following.absence is None:
            return following
        following.close()
        return None

    succession = Succession(open_signer)
    async with (
        serving(home),
        network(genesis, tmp_path, signer=remote(home, validator=address(OWN)), succession=succession) as nodes,
    ):
        await until_signs(nodes, OWN)
        put_key(home, "next-validator.json", NEXT)
        assert await nodes[0].operations.submit(rotate(OWN, OWN, NEXT, 0)) is None
        await finalise_one(nodes[0], account="asked", lat=11.0)
        for index in range(3):
            await finalise_one(nodes[0], account=f"border-{index}", lat=12.0 + index)
        await all_have(nodes, OWN, ValidatorState.ROTATED)
        await until_signs(nodes, NEXT)
        assert nodes[NAMES.index(OWN)].status().validator_address == address(NEXT)


def metric_of(node: Node, name: str) -> float:
    return sum(sample.value for metric in node.registry.collect() for sample in metric.samples if sample.name == name)
