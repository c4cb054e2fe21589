"""Each thing that can be wrong is told while it is so, and no longer; and what is well is not called wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
import trio
from trio.testing import MockClock

from step_node.api.status.health import NOT_READY, HealthCode
from step_node.economy.guardrails.guardrail import Breach, Guardrail
from step_node.economy.guardrails.guardrails import Broken
from step_node.ledger.protocol_record import Upgrade
from step_node.ledger.records import ValidatorState
from step_node.node.health.progress import patience_seconds
from step_node.storage.interface import StorageUnavailable
from tests.node.health.made_up_watch import NAMES, OWN, MadeUpWatch, SilentStorage, peer_of
from tests.support.proofs import START_MS


async def test_a_validator_that_hears_a_quorum_and_has_nothing_to_do_is_well(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    watch = MadeUpWatch()
    assert watch.codes() == set()
    assert watch.overview.health().not_ready == ()


async def test_each_reason_comes_and_goes(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    def sees(code: HealthCode, begin: Callable[[], None], end: Callable[[], None]) -> None:
        begin()
        assert watch.codes() == {code}
        assert watch.message(code)
        end()
        assert watch.codes() == set()
        seen.add(code)

    def later(**changes: Any) -> Callable[[], None]:
        return lambda: watch.change(**changes)

    seen: set[HealthCode] = set()
    watch = MadeUpWatch()
    others, state = list(watch.peers), watch.state
    fork = type("Fork", (), {"height": 7})()
    journal = watch.journal
    sees(HealthCode.FINALITY_BROKEN, later(fork=fork), later(fork=None))
    sees(HealthCode.JOURNAL_FAILS, lambda: journal.fail("is full"), lambda: journal.fail(None))
    sees(HealthCode.INTAKE_PAUSED, lambda: watch.throw_intake(False), lambda: watch.throw_intake(True))
    sees(HealthCode.INTAKE_SHED, watch.surge, watch.calm)
    sees(HealthCode.INTAKE_LIMITED, lambda: watch.limit_intake(10), lambda: watch.limit_intake(100))
    for guardrail, code in (
        (Guardrail.SUPPLY, HealthCode.LEDGER_UNSOUND),
        (Guardrail.CONCENTRATION, HealthCode.ECONOMY_DRIFTS),
    ):
        broken = Broken(Breach(guardrail, 7, "too much"), START_MS)
        sees(code, later(broken=(broken,)), later(broken=()))
    sees(HealthCode.GENESIS_AHEAD, lambda: watch.clock.advance(-120_000), lambda: watch.clock.advance(120_000))
    sees(HealthCode.BEHIND, later(syncing=True), later(syncing=False))
    sees(HealthCode.BEHIND, later(shown=2), later(shown=1))
    sees(HealthCode.UPGRADE_NEEDED, lambda: watch.agree_on(Upgrade(99, 3_001)), lambda: watch.agree_on(None))
    sees(HealthCode.NO_QUORUM, later(peers=others[:1]), later(peers=others[:2]))
    watch.peers = others
    sees(HealthCode.ROUNDS_FAIL, later(state=replace(state, round=2)), later(state=replace(state, round=1)))
    absent, present = partial(watch.set_own, absent_batches=10), partial(watch.set_own, absent_batches=9)
    sees(HealthCode.VOTES_MISSING, absent, present)
    sees(HealthCode.NOT_SIGNING, later(absence="it is behind"), later(absence=None))
    sees(HealthCode.SIGNER_AWAY, later(signer_absence="it is away"), later(signer_absence=None))
    sees(HealthCode.SIGNATURE_REFUSED, later(refusal="the guard"), later(refusal=None))
    sees(HealthCode.P2P_KEY_SHARED, later(shared_by=2), later(shared_by=0))
    for code, state_of_key in (
        (HealthCode.KEY_JAILED, ValidatorState.JAILED),
        (HealthCode.KEY_NOT_YET_ACTIVE, ValidatorState.WAITING),
        (HealthCode.KEY_LEAVING, ValidatorState.LEAVING),
        (HealthCode.KEY_LEFT, ValidatorState.UNBONDING),
        (HealthCode.KEY_REPLACED, ValidatorState.ROTATED),
    ):
        become, return_ = (partial(watch.set_own, state=one) for one in (state_of_key, ValidatorState.ACTIVE))
        sees(code, become, return_)
    watch = MadeUpWatch(own=None)
    sees(HealthCode.NO_PEERS, later(peers=[]), later(peers=others[:1]))
    watch = MadeUpWatch(own=b"\x09" * 20)
    watch.roles.look(watch.chain.head.validators)
    assert watch.codes() == {HealthCode.KEY_NOT_A_VALIDATORS}
    elsewhere = {
        HealthCode.STORE_READS_FAIL,
        HealthCode.STORE_WRITES_FAIL,
        HealthCode.HEIGHT_UNDECIDED,
        HealthCode.CLOCK_FAST,
        HealthCode.CLOCK_SLOW,
        HealthCode.KEY_NOT_A_VALIDATORS,
        HealthCode.KEY_NOT_HERE,
    }
    assert seen | elsewhere == set(HealthCode), "a new reason needs a test of its own"


async def test_a_store_that_hangs_or_fails_is_seen_in_seconds_on_an_idle_chain_and_so_is_its_return(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    storage = SilentStorage()
    watch = MadeUpWatch(storage=storage)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.overview.run)
        await trio.sleep(3)
        assert watch.codes() == set()
        for name, value in (("hangs", True), ("failure", "no primary")):
            setattr(storage, name, value)
            await trio.sleep(8)
            assert watch.codes() == {HealthCode.STORE_READS_FAIL}
            setattr(storage, name, None)
            await trio.sleep(3)
            assert watch.codes() == set()
        nursery.cancel_scope.cancel()


async def test_a_write_that_is_tried_again_or_hangs_is_told_while_reads_succeed(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    watch = MadeUpWatch()
    is_away = hangs = True

    async def write() -> None:
        while is_away:
            raise StorageUnavailable("no majority")
        while hangs:
            await trio.sleep(0.1)

    async def read() -> None: ...

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: watch.storage_watch.when_available(write, writes=True))
        await trio.sleep(1)
        await watch.storage_watch.when_available(read)
        assert watch.codes() == {HealthCode.STORE_WRITES_FAIL}
        assert "no majority" in watch.message(HealthCode.STORE_WRITES_FAIL)
        is_away = False
        await trio.sleep(10)
        assert watch.codes() == {HealthCode.STORE_WRITES_FAIL}
        hangs = False
        await trio.sleep(1)
        assert watch.codes() == set()
        hangs = True
        nursery.start_soon(lambda: watch.storage_watch.when_available(write, writes=True))
        await trio.sleep(4)
        assert watch.codes() == set()
        await trio.sleep(2)
        assert watch.codes() == {HealthCode.STORE_WRITES_FAIL}
        assert "it has not taken it for 6 s" in watch.message(HealthCode.STORE_WRITES_FAIL)
        nursery.cancel_scope.cancel()
    assert watch.codes() == set()


async def test_a_long_write_that_may_take_its_time_is_no_trouble(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    watch = MadeUpWatch()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: watch.storage_watch.when_available(trio.sleep_forever, writes=True, is_quick=False))
        await trio.sleep(100)
        assert watch.codes() == set()
        nursery.cancel_scope.cancel()


async def test_a_height_that_waits_long_with_work_is_told_counted_and_logged_and_its_end_too(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    watch = MadeUpWatch()
    patience = patience_seconds(watch.chain.parameters)
    assert 30 < patience < 40
    with structlog.testing.capture_logs() as logged:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.overview.run)
            await trio.sleep(100)
            assert watch.codes() == set(), "an idle chain stands still"
            watch.has_work = True
            await trio.sleep(patience - 2)
            assert watch.codes() == set()
            await trio.sleep(4)
            assert watch.codes() == {HealthCode.HEIGHT_UNDECIDED}
            figures = watch.figures(HealthCode.HEIGHT_UNDECIDED)
            assert (figures["proofs"], figures["operations"], figures["quorum"], figures["pre_votes"]) == (3, 1, 3, 0)
            await trio.sleep(4)
            watch.state = replace(watch.state, height=2)
            assert watch.codes() == set()
            await trio.sleep(2)
            nursery.cancel_scope.cancel()
    assert watch.counted("halts") == 1
    begun, ended = (line for line in logged if line.get("code") == "HEIGHT_UNDECIDED")
    assert (begun["log_level"], begun["event"], begun["height"]) == ("warning", "something is wrong", 1)
    assert (ended["log_level"], ended["event"]) == ("info", "that is over")


async def test_observers_do_not_help_a_quorum(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    """Three of four validators are dead, and two observers are connected."""
    watch = MadeUpWatch(peers=[peer_of(name, validator=False) for name in ("observer-1", "observer-2")])
    assert watch.codes() == {HealthCode.NO_QUORUM}
    figures = watch.figures(HealthCode.NO_QUORUM)
    assert figures == {"reached": 1, "members": 4, "quorum": 3, "peers": 2}


async def test_an_observer_with_one_peer_is_well(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    watch = MadeUpWatch(own=None, peers=[peer_of("another-observer", validator=False)])
    watch.roles.look(watch.chain.head.validators)
    assert watch.codes() == set()


async def test_a_validator_behind_sentries_needs_only_one_of_them(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    watch = MadeUpWatch(discovers=False, peers=[peer_of("sentry", validator=False)])
    assert watch.codes() == set()
    watch.peers = []
    assert watch.codes() == {HealthCode.NO_PEERS}


async def test_a_validator_alone_in_its_set_needs_nobody(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    watch = MadeUpWatch(validators=1, own=OWN, peers=[])
    watch.own = watch.chain.head.validators[0].address
    alone = MadeUpWatch(validators=1, own=watch.own, peers=[])
    assert alone.codes() == set()
    assert MadeUpWatch(validators=1, own=watch.own, peers=[], discovers=False).codes() == set()


async def test_a_clock_that_is_off_is_told_once_enough_validators_show_it_and_no_longer_when_it_is_set(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    for off_ms, code in ((-300_000, HealthCode.CLOCK_SLOW), (300_000, HealthCode.CLOCK_FAST)):
        watch = MadeUpWatch()
        watch.clock.advance(off_ms)
        clock_watch = watch.overview.clock_watch
        for height, proposer in enumerate(watch.chain.validators, start=1):
            head = watch.chain.head
            chain = replace(head.chain, height=height - 1, timestamp_ms=START_MS - 1_000)
            watch.chain.head = replace(head, chain=chain)
            clock_watch.note(
                proposer.address, height=height, round_number=0, valid_round=-1, timestamp_ms=START_MS + height
            )
            assert (code in watch.codes()) == (height > 2), "f + 1 others: one alone may lie"
        watch.clock.advance(-off_ms)
        assert code not in watch.codes()


async def test_what_is_wrong_for_a_moment_is_not_logged(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    watch = MadeUpWatch()
    others = watch.peers
    with structlog.testing.capture_logs() as logged:
        for _ in range(20):
            watch.peers = []
            watch.overview.look()
            await trio.sleep(1)
            watch.peers = others
            watch.overview.look()
            await trio.sleep(1)
    assert [line for line in logged if line["event"] in ("something is wrong", "that is over")] == []
    assert watch.counted("health_reasons", code="NO_QUORUM") == 0


async def test_a_lost_quorum_is_one_line_and_its_return_another(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    watch = MadeUpWatch()
    others = watch.peers
    with structlog.testing.capture_logs() as logged:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.overview.run)
            await trio.sleep(5)
            watch.peers = others[:1]
            await trio.sleep(60)
            watch.peers = others
            await trio.sleep(5)
            nursery.cancel_scope.cancel()
    wrong, over = (line for line in logged if line["event"] in ("something is wrong", "that is over"))
    assert (wrong["log_level"], wrong["code"], wrong["reached"], wrong["quorum"]) == ("warning", "NO_QUORUM", 2, 3)
    assert (over["log_level"], over["code"]) == ("info", "NO_QUORUM")
    assert 55 <= over["lasted_seconds"] <= 62
    lost = [line for line in logged if line["event"] == "a peer is lost"]
    assert sorted((line["log_level"], line["peer"]) for line in lost) == [
        ("warning", peer.peer_id) for peer in sorted(others[1:], key=lambda peer: peer.peer_id)
    ]
    assert watch.counted("health_reasons", code="NO_QUORUM") == 1


def test_every_reason_for_which_a_node_is_not_ready_is_about_serving_clients() -> None:
    assert not any(code.startswith("KEY_") or code.startswith("CLOCK_") for code in NOT_READY)
    assert len(NAMES) == 4
