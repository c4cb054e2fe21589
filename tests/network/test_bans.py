"""Bans outlive the process, and their file can do no harm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from p2p.libp2p_network import open_libp2p_network
from p2p.libp2p_settings import Libp2pSettings
from p2p.network import Fault, PeerId
from p2p.penalties import BAN_SECONDS, BANNED_PEERS_MAX
from step_node.durable.side_file import FILE_BYTES_MAX
from step_node.network.bans import keep_bans
from tests.p2p.worlds import private_key_of
from tests.support.clock import SetClock

PEER = PeerId("16Uiu2HAmBanned")
NOW_MS = 1_700_000_000_000


async def known_bans(path: Path, now_ms: int) -> dict[PeerId, float]:
    async with keep_bans(path, SetClock(now_ms)) as bans:
        return dict(bans.known)


async def test_a_peer_that_was_banned_is_still_banned_after_a_restart_and_no_longer_than_it_would_have_been(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bans.json"
    settings = Libp2pSettings(private_key=private_key_of("bans"))
    async with keep_bans(path, SetClock(NOW_MS)) as bans, open_libp2p_network(settings, bans=bans) as network:
        network.penalise(PEER, Fault.WRONG_CHAIN)
        assert network.statistics().banned == 1
    later_ms = NOW_MS + 200_000
    async with keep_bans(path, SetClock(later_ms)) as bans, open_libp2p_network(settings, bans=bans) as network:
        assert network.statistics().banned == 1
        assert bans.known[PEER] == pytest.approx(BAN_SECONDS - 200, abs=1)
    assert await known_bans(path, NOW_MS + int(BAN_SECONDS * 1000) + 1) == {}


async def test_bans_are_written_while_the_node_runs(tmp_path: Path) -> None:
    path = tmp_path / "bans.json"
    async with keep_bans(path, SetClock(NOW_MS)) as bans:
        bans.changed({PEER: 30.0})
        with trio.fail_after(30):
            while not path.exists():
                await trio.sleep(0.005)
        assert json.loads(path.read_bytes()) == {
            "banned_until_ms": {PEER: NOW_MS + 30_000},
            "operator_banned_until_ms": {},
        }


async def test_a_wall_clock_that_was_set_back_makes_no_ban_longer_than_a_fresh_one(tmp_path: Path) -> None:
    path = tmp_path / "bans.json"
    path.write_text(json.dumps({"banned_until_ms": {PEER: NOW_MS + 10**9}}))
    assert await known_bans(path, NOW_MS) == {PEER: BAN_SECONDS}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"banned_until_ms": {"peer": "soon"}}',
        b'{"banned_until_ms": {"peer": -1}}',
        b'{"banned_until_ms": {"peer": 1e400}}',
        b'{"banned_until_ms": {}, "more": 1}',
        b"[" * 100_000,
        b" " * (FILE_BYTES_MAX + 1),
        json.dumps({"banned_until_ms": {f"peer{n}": 2**52 for n in range(BANNED_PEERS_MAX + 1)}}).encode(),
    ],
    ids=range(10),
)
async def test_a_damaged_file_is_forgotten_and_not_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bans.json"
    path.write_bytes(content)
    assert await known_bans(path, NOW_MS) == {}


async def test_a_file_that_cannot_be_read_or_written_does_not_stop_the_node(tmp_path: Path) -> None:
    path = tmp_path / "bans.json"
    path.mkdir()
    async with keep_bans(path, SetClock(NOW_MS)) as bans:
        assert bans.known == {}
        bans.changed({PEER: 30.0})


async def test_the_operators_ban_outlives_a_restart_with_all_its_time(tmp_path: Path) -> None:
    path = tmp_path / "bans.json"
    settings = Libp2pSettings(private_key=private_key_of("bans"))
    async with keep_bans(path, SetClock(NOW_MS)) as bans, open_libp2p_network(settings, bans=bans) as network:
        network.ban(PEER, 86_400)
        network.penalise(PeerId("another"), Fault.WRONG_CHAIN)
    later = SetClock(NOW_MS + 3_600_000)
    async with keep_bans(path, later) as bans, open_libp2p_network(settings, bans=bans) as network:
        (ban,) = network.bans()
        assert (ban.peer_id, ban.by_operator) == (PEER, True)
        assert ban.seconds == pytest.approx(82_800, abs=1)
        assert network.unban(PEER)
    assert await known_bans(path, NOW_MS + 3_600_000) == {}
