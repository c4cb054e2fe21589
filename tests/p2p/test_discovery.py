"""Nodes on one network find each other without being told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import zeroconf

from p2p.libp2p_network import open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from tests.p2p.worlds import TEST_TIMEOUT_SECONDS, connected, private_key_of

SETTINGS = Libp2pSettings(private_key=private_key_of("mdns one"), mdns=True)


def _multicast_works() -> bool:
    try:
        zeroconf.Zeroconf(interfaces=["127.0.0.1"]).close()
    except OSError:
        return False
    return True


async def test_two_nodes_on_this_machine_find_each_other() -> None:
    if not _multicast_works():
        pytest.skip("this machine does not do multicast on its loopback interface")
    with trio.fail_after(TEST_TIMEOUT_SECONDS):
        async with (
            open_libp2p_network(SETTINGS) as one,
            open_libp2p_network(replace(SETTINGS, private_key=private_key_of("mdns two"))) as two,
        ):
            await one.start()
            await two.start()
            await connected(one, 1)
            await connected(two, 1)
            assert one.peers() == (two.peer_id,)


async def test_a_machine_without_multicast_is_no_reason_to_stop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def refuse(*_: object, **__: object) -> None:
        token.run_sync_soon(said.set)
        raise OSError(19, "No such device")

    monkeypatch.setattr(zeroconf, "Zeroconf", refuse)
    with trio.fail_after(TEST_TIMEOUT_SECONDS):
        async with open_libp2p_network(SETTINGS) as network:
            await network.start()
            await said.wait()
            while "mDNS is off" not in caplog.text:
                await trio.sleep(0.005)
            assert network.listen_addresses
