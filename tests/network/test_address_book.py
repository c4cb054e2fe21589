"""The address book: what is heard, what is known, and its file."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import trio

from p2p.addresses import PeerAddress
from p2p.libp2p_host import peer_id_of
from p2p.network import PeerId, Scope
from step_node.durable.side_file import FILE_BYTES_MAX
from step_node.network.address_book import (
    CHECK_AGAIN_SECONDS,
    HEARD_MAX,
    HEARD_PER_ADDRESS_MAX,
    HEARD_PER_SOURCE_MAX,
    KNOWN_MAX,
    KNOWN_PER_NETWORK_MAX,
    KNOWN_PER_PEER_MAX,
    QUIET_SECONDS,
    SILENCES_MAX,
    TELL_AGE_MS_MAX,
    AddressBook,
    Heard,
    Known,
    keep_address_book,
)
from tests.p2p.worlds import private_key_of
from tests.support.clock import SetClock

NOW_MS = 1_700_000_000_000
PEER = peer_id_of(private_key_of("somebody"))


def book(now_ms: int = NOW_MS, **more: Any) -> AddressBook:
    return AddressBook(SetClock(now_ms), rng=random.Random(1), **more)


def at(host: str, *, peer: str = PEER, port: int = 26_600) -> PeerAddress:
    return PeerAddress(PeerId(peer), "ip4", host, port)


def numbered(number: int, *, peer: str | None = None) -> PeerAddress:
    """A peer with an address of its own, a few of each provider."""
    return at(f"8.{number % 251}.{number // 251}.1", peer=peer or f"peer {number}")


def hear(one: AddressBook, address: PeerAddress, source: str = "source") -> bool:
    return one.hear(Heard(address, Scope.PUBLIC), source)


async def test_what_one_source_tells_is_little_and_each_address_is_noted_once() -> None:
    one = book()
    assert [hear(one, numbered(n)) for n in range(HEARD_PER_SOURCE_MAX + 1)] == [True] * HEARD_PER_SOURCE_MAX + [False]
    assert not hear(one, numbered(0), "another")
    assert hear(one, numbered(HEARD_PER_SOURCE_MAX), "another")


async def test_what_all_sources_tell_is_bounded_too() -> None:
    one = book()
    told = sum(hear(one, numbered(n), f"source {n // HEARD_PER_SOURCE_MAX}") for n in range(HEARD_MAX + 50))
    assert told == HEARD_MAX


async def test_sources_are_tried_by_turns() -> None:
    one = book()
    for number in range(3):
        hear(one, numbered(number), "talkative")
    hear(one, numbered(7), "quiet")
    order = []
    while (heard := one.take_heard()) is not None:
        order.append(heard.address)
    assert order == [numbered(0), numbered(7), numbered(1), numbered(2)]


async def test_nobodys_house_is_knocked_at_on_every_door(autojump_clock: Any) -> None:
    del autojump_clock
    one = book()
    doors = [at("8.8.8.8", peer=f"peer {port}", port=port) for port in range(1, 100)]
    assert sum(hear(one, door, f"source {door.port}") for door in doors) == HEARD_PER_ADDRESS_MAX
    tried = 0
    for door in doors:
        hear(one, door)
        heard = one.take_heard()
        if heard is not None:
            tried += 1
            one.note_silence(heard.address)
    assert tried <= 2 * HEARD_PER_ADDRESS_MAX
    assert not hear(one, at("8.8.8.8", peer="late", port=443))
    assert hear(one, at("8.8.4.4", peer="late", port=443))
    await trio.sleep(QUIET_SECONDS + 1)
    assert hear(one, at("8.8.8.8", peer="late", port=443))


async def test_an_address_is_known_once_its_peer_has_answered_there_and_until_it_does_not_several_times() -> None:
    one = book()
    hear(one, numbered(1))
    assert one.known() == ()
    one.note_answer(numbered(1))
    assert not hear(one, numbered(1), "another")
    for _ in range(SILENCES_MAX - 1):
        one.note_silence(numbered(1))
    one.note_answer(numbered(1))
    for _ in range(SILENCES_MAX - 1):
        one.note_silence(numbered(1))
        assert len(one.known()) == 1
    one.note_silence(numbered(1))
    assert len(one.known()) == 0


async def test_no_provider_no_peer_and_nothing_at_all_fills_the_book() -> None:
    clock = SetClock(NOW_MS)
    one = AddressBook(clock)

    def answer(address: PeerAddress) -> None:
        clock.time_ms += 1
        one.note_answer(address)

    for number in range(KNOWN_PER_PEER_MAX + 2):
        answer(numbered(number, peer=PEER))
    assert [known.address for known in one.known()] == [
        numbered(n, peer=PEER) for n in range(2, KNOWN_PER_PEER_MAX + 2)
    ]
    for number in range(KNOWN_PER_NETWORK_MAX + 2):
        answer(at(f"9.9.{number}.1", peer=f"crowd {number}"))
    assert len(one.known()) == KNOWN_PER_PEER_MAX + KNOWN_PER_NETWORK_MAX
    for number in range(KNOWN_MAX + 2):
        answer(numbered(number))
    assert len(one.known()) == KNOWN_MAX
    assert numbered(KNOWN_MAX + 1) in [known.address for known in one.known()]


async def test_only_what_has_answered_lately_is_told_and_only_what_fits() -> None:
    known = [Known(numbered(n), NOW_MS - n * TELL_AGE_MS_MAX // 2) for n in range(5)]
    one = book(known=known)
    assert set(one.sample(10, lambda _: True)) == {numbered(0), numbered(1), numbered(2)}
    assert one.sample(10, lambda address: address.peer_id == "peer 1") == [numbered(1)]
    assert len(one.sample(2, lambda _: True)) == 2


async def test_what_was_not_dialled_for_the_longest_time_is_due_first(autojump_clock: Any) -> None:
    del autojump_clock
    one = book(known=[Known(numbered(n), NOW_MS + n) for n in range(3)])

    def due() -> PeerAddress | None:
        known = one.due(skip=lambda peer_id: peer_id == "peer 1")
        return None if known is None else known.address

    assert [due(), due(), due()] == [numbered(2), numbered(0), None]
    await trio.sleep(CHECK_AGAIN_SECONDS)
    one.note_answer(numbered(2))
    assert [due(), due()] == [numbered(0), None]


async def test_all_addresses_of_a_peer_can_be_forgotten() -> None:
    one = book(known=[Known(numbered(n, peer=PEER), NOW_MS) for n in range(3)] + [Known(numbered(9), NOW_MS)])
    one.forget(PEER)
    assert [known.address for known in one.known()] == [numbered(9)]


async def test_what_is_known_outlives_the_process_and_what_is_heard_does_not(tmp_path: Path) -> None:
    path = tmp_path / "address_book.json"
    address = at("8.8.8.8")
    async with keep_address_book(path, SetClock(NOW_MS)) as one:
        hear(one, numbered(5, peer=PEER))
        one.note_answer(address)
        one.note_silence(address)
    async with keep_address_book(path, SetClock(NOW_MS + 5)) as one:
        assert one.known() == (Known(address, NOW_MS, 1),)
        assert one.take_heard() is None


def known_in_file(**changed: Any) -> dict[str, Any]:
    return {"address": str(at("8.8.8.8")), "answered_at_ms": NOW_MS, "silences": 0} | changed


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        json.dumps({"known": [known_in_file(silences=SILENCES_MAX)]}).encode(),
        json.dumps({"known": [known_in_file(answered_at_ms=-1)]}).encode(),
        json.dumps({"known": [known_in_file(address="x" * 257)]}).encode(),
        json.dumps({"known": [known_in_file(more=1)]}).encode(),
        json.dumps({"known": [known_in_file()] * (KNOWN_MAX + 1)}).encode(),
        b"[" * 100_000,
        b" " * (FILE_BYTES_MAX + 1),
    ],
    ids=range(10),
)
async def test_a_damaged_file_is_forgotten_and_not_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "address_book.json"
    path.write_bytes(content)
    async with keep_address_book(path, SetClock(NOW_MS)) as one:
        assert len(one.known()) == 0
        one.note_answer(at("8.8.8.8"))
    assert json.loads(path.read_bytes()) == {"known": [known_in_file()]}


async def test_an_address_of_a_kind_that_is_not_known_here_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "address_book.json"
    strange = known_in_file(address=f"/ip4/8.8.8.8/udp/1/quic-v1/p2p/{PEER}")
    path.write_text(json.dumps({"known": [strange, known_in_file()]}))
    async with keep_address_book(path, SetClock(NOW_MS)) as one:
        assert [known.address for known in one.known()] == [at("8.8.8.8")]


async def test_a_file_that_cannot_be_read_or_written_does_not_stop_the_node(tmp_path: Path) -> None:
    path = tmp_path / "address_book.json"
    path.mkdir()
    async with keep_address_book(path, SetClock(NOW_MS)) as one:
        assert len(one.known()) == 0
        one.note_answer(at("8.8.8.8"))
