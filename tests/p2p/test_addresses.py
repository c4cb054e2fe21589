"""Addresses that can be dialled: their form, their scope, and the names in them."""

from __future__ import annotations

import pytest
import trio

from p2p.addresses import (
    ADDRESSES_PER_NAME_MAX,
    address_group,
    network_group,
    parse_own_address,
    parse_peer_address,
    resolve,
    scope_of,
)
from p2p.errors import PeerUnreachable
from p2p.libp2p_host import peer_id_of
from p2p.network import Scope
from tests.p2p.worlds import Names, private_key_of

PEER = peer_id_of(private_key_of("somebody"))
OTHER = peer_id_of(private_key_of("somebody else"))


@pytest.fixture
async def names() -> Names:
    names = Names()
    trio.socket.set_custom_hostname_resolver(names)
    return names


@pytest.mark.parametrize(
    "where",
    [
        "/ip4/192.0.2.1/tcp/26600",
        "/ip6/2001:db8::1/tcp/1",
        "/dns4/node1/tcp/26600",
        "/dns/a.example/tcp/1",
    ],
)
def test_an_address_is_taken_apart_and_given_back(where: str) -> None:
    address = parse_peer_address(f"{where}/p2p/{PEER}")
    assert str(address) == f"{where}/p2p/{PEER}"
    assert (address.kind, address.host, str(address.port)) == tuple(where.split("/")[i] for i in (1, 2, 4))
    assert address.is_name == ("dns" in where)
    assert parse_own_address(where, PEER) == address == parse_own_address(str(address), PEER)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "is not a multiaddr"),
        ("", "must be /ip4"),
        ("/ip4/192.0.2.1/tcp/1", "ends in /p2p/<peer id>"),
        (f"/ip4/192.0.2.1/udp/1/p2p/{PEER}", "TCP is all that is spoken"),
        (f"/dnsaddr/example.com/p2p/{PEER}", "must be /ip4"),
        (f"/ip4/192.0.2.1/tcp/1/ws/p2p/{PEER}", "must be /ip4"),
        (f"/ip4/192.0.2.1/tcp/1/p2p/{PEER}/p2p-circuit/p2p/{OTHER}", "must be /ip4"),
        ("/ip4/192.0.2.1/tcp/1/p2p/16Uiu2", "16Uiu2 is not a peer id"),
        (f"/ip4/192.0.2.256/tcp/1/p2p/{PEER}", "is not a multiaddr"),
    ],
)
def test_what_cannot_be_dialled_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refused:
        parse_peer_address(text)
    assert repr(text) in str(refused.value)


def test_an_address_of_somebody_else_is_not_ones_own() -> None:
    with pytest.raises(ValueError, match=f"must be an address of this node, whose peer id is {PEER}"):
        parse_own_address(f"/ip4/192.0.2.1/tcp/1/p2p/{OTHER}", PEER)


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("127.0.0.1", Scope.LOOPBACK),
        ("127.255.0.9", Scope.LOOPBACK),
        ("::1", Scope.LOOPBACK),
        ("::ffff:127.0.0.1", Scope.LOOPBACK),
        ("169.254.169.254", Scope.LINK),
        ("fe80::1%eth0", Scope.LINK),
        ("10.1.2.3", Scope.PRIVATE),
        ("172.18.0.2", Scope.PRIVATE),
        ("192.168.0.1", Scope.PRIVATE),
        ("100.64.0.1", Scope.PRIVATE),
        ("::ffff:10.0.0.1", Scope.PRIVATE),
        ("fd00::1", Scope.PRIVATE),
        ("8.8.8.8", Scope.PUBLIC),
        ("2a00:1450::1", Scope.PUBLIC),
        ("0.0.0.0", Scope.NOWHERE),
        ("::", Scope.NOWHERE),
        ("224.0.0.1", Scope.NOWHERE),
        ("ff02::1", Scope.NOWHERE),
        ("255.255.255.255", Scope.NOWHERE),
    ],
)
def test_how_far_an_address_reaches(host: str, scope: Scope) -> None:
    assert scope_of(host) is scope


def test_one_customer_has_an_ipv4_address_or_64_bits_of_ipv6() -> None:
    assert address_group("192.0.2.1") == address_group("::ffff:192.0.2.1") != address_group("192.0.2.2")
    assert address_group("2001:db8:1:2::1") == address_group("2001:db8:1:2:3:4:5:6") != address_group("2001:db8:1:3::1")
    assert network_group("192.0.2.1") == network_group("192.0.99.1") != network_group("192.1.2.1")
    assert network_group("2001:db8:1::1") == network_group("2001:db8:2::1") != network_group("2001:db9::1")
    assert network_group("a.Example.com") == network_group("b.example.com") != network_group("example.org")


async def test_a_name_is_asked_of_the_system_anew_each_time(names: Names) -> None:
    address = parse_peer_address(f"/dns4/node1/tcp/26600/p2p/{PEER}")
    names.known["node1"] = ["10.0.0.1"]
    assert await resolve(address) == ["10.0.0.1"]
    names.known["node1"] = ["10.0.0.2", "10.0.0.2", "fd00::2"]
    assert await resolve(address) == ["10.0.0.2"]
    names.known["node1"] = [f"10.0.1.{number}" for number in range(100)]
    assert len(await resolve(address)) == ADDRESSES_PER_NAME_MAX


async def test_a_name_in_etc_hosts_resolves() -> None:
    assert await resolve(parse_peer_address(f"/dns4/localhost/tcp/1/p2p/{PEER}")) == ["127.0.0.1"]


async def test_a_name_that_is_none_is_told_by_name(names: Names) -> None:
    del names
    with pytest.raises(PeerUnreachable, match="the name nowhere does not resolve: Name or service not known"):
        await resolve(parse_peer_address(f"/dns4/nowhere/tcp/1/p2p/{PEER}"))


async def test_an_address_or_a_name_of_too_narrow_a_scope_is_not_dialled(names: Names) -> None:
    names.known["inside"] = ["127.0.0.1", "10.0.0.1", "8.8.8.8"]
    inside = parse_peer_address(f"/dns4/inside/tcp/1/p2p/{PEER}")
    assert await resolve(inside, narrowest=Scope.PRIVATE) == ["10.0.0.1", "8.8.8.8"]
    assert await resolve(inside, narrowest=Scope.PUBLIC) == ["8.8.8.8"]
    for host in ("127.0.0.1", "169.254.169.254", "10.0.0.1"):
        with pytest.raises(PeerUnreachable, match=f"{host} is {host}, where it may not be dialled"):
            await resolve(parse_peer_address(f"/ip4/{host}/tcp/1/p2p/{PEER}"), narrowest=Scope.PUBLIC)
    with pytest.raises(PeerUnreachable, match="may not be dialled"):
        await resolve(parse_peer_address(f"/ip4/0.0.0.0/tcp/1/p2p/{PEER}"))
