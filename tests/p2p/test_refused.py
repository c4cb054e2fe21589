"""Copies of what was refused cost a hash, for a moment; and bugs are kept to where a stranger has set them off."""

from __future__ import annotations

import logging

import pytest
import trio

from p2p.base import REFUSED_MAX, REFUSED_SECONDS
from p2p.containment import Containment
from p2p.errors import PeerUnreachable
from p2p.memory import MemoryHub
from p2p.network import Drop, Fault, PeerId
from tests.p2p.test_libp2p_network import gossiping, running
from tests.p2p.worlds import TOPIC, Clock, connected
from tests.support.waiting import until

STRANGER = PeerId("stranger")


async def test_a_copy_of_what_was_refused_is_not_looked_at_again_for_a_moment() -> None:
    """Under whatever number: the stranger may sign it anew each time. Another neighbour's may be good by now."""
    clock = Clock()
    looked_at: list[bytes] = []

    def validate(_sender: PeerId, data: bytes) -> Fault | None:
        looked_at.append(data)
        return Fault.UNVERIFIABLE if data.startswith(b"bad") else None

    async with MemoryHub(clock=clock).join("one") as network:
        network.subscribe(TOPIC, message_bytes_max=100, buffer_messages=8, validate=validate)
        network.subscribe("other", message_bytes_max=100, buffer_messages=8, validate=validate)
        await network.start()
        for _ in range(50):
            assert not network._receive_gossip(TOPIC, b"bad", STRANGER)
        assert looked_at == [b"bad"]
        assert network.statistics().dropped[Drop.INVALID] == 50
        assert network.statistics().penalties[Fault.UNVERIFIABLE] == 50
        # It is another message on another topic or of another neighbour; and what is good is looked at each time.
        network._receive_gossip("other", b"bad", STRANGER)
        network._receive_gossip(TOPIC, b"bad", PeerId("neighbour"))
        assert network._receive_gossip(TOPIC, b"good", STRANGER)
        assert network._receive_gossip(TOPIC, b"good", STRANGER)
        assert looked_at == [b"bad", b"bad", b"bad", b"good", b"good"]
        # Honest nodes say it again after a second, and it may be good by then.
        clock.now += REFUSED_SECONDS
        network._receive_gossip(TOPIC, b"bad", STRANGER)
        assert looked_at[5:] == [b"bad"]


async def test_so_many_refused_messages_are_remembered_and_no_more() -> None:
    looked_at = 0

    def validate(_sender: PeerId, _data: bytes) -> Fault:
        nonlocal looked_at
        looked_at += 1
        return Fault.STALE

    async with MemoryHub(clock=Clock()).join("one") as network:
        network.subscribe(TOPIC, message_bytes_max=100, buffer_messages=8, validate=validate)
        await network.start()
        for number in range(REFUSED_MAX + 1):
            network._receive_gossip(TOPIC, b"%d" % number, STRANGER)
        network._receive_gossip(TOPIC, b"%d" % REFUSED_MAX, STRANGER)
        assert looked_at == REFUSED_MAX + 1
        network._receive_gossip(TOPIC, b"0", STRANGER)
        assert looked_at == REFUSED_MAX + 2


def test_a_bug_is_told_whole_and_counted_and_ends_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    def handle() -> None:
        raise ZeroDivisionError("planted")

    containment = Containment()
    with containment.of("the handler of a test"):
        handle()
    assert containment.failures == 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.message == "the handler of a test has failed, by a bug"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


@pytest.mark.parametrize("error", [PeerUnreachable(STRANGER, "gone"), KeyboardInterrupt(), SystemExit(1)])
def test_what_has_a_class_of_its_own_is_for_the_caller(error: BaseException) -> None:
    containment = Containment()
    with pytest.raises(type(error)), containment.of("a test"):
        raise error
    assert containment.failures == 0


async def test_a_cancelled_handler_is_no_bug() -> None:
    containment = Containment()
    with trio.CancelScope() as scope, containment.of("a test"):
        scope.cancel()
        await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert containment.failures == 0


async def test_a_bug_in_a_handshake_is_counted_on_either_side_and_the_node_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_arguments: object, **_named: object) -> None:
        raise ZeroDivisionError("planted")

    async with gossiping("listener") as (listener, _), running("dialler") as dialler:
        for network in (listener, dialler):
            assert network._host is not None
        with monkeypatch.context() as patched:
            patched.setattr(dialler._host.swarm, "upgrade_outbound_raw_conn", broken)  # type: ignore[union-attr]
            with pytest.raises(PeerUnreachable, match="the handshake has failed by a bug, see the log"):
                await dialler.connect(listener.listen_addresses[0])
        with monkeypatch.context() as patched:
            patched.setattr(listener._host.swarm, "upgrade_inbound_raw_conn", broken)  # type: ignore[union-attr]
            with pytest.raises(PeerUnreachable):
                await dialler.connect(listener.listen_addresses[0])
            await until(lambda: listener.statistics().handler_failures == 1)
        assert dialler.statistics().handler_failures == 1
        told = [record.message for record in caplog.records if record.levelno == logging.ERROR]
        assert sorted(message.split(" ")[0] for message in told) == ["an", "the"]
        await dialler.connect(listener.listen_addresses[0])
        await connected(listener, 1)
