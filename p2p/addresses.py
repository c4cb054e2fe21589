"""Where a peer can be dialled: full multiaddrs, the names in them, and how far an IP address reaches.

Theory of operation. An address that can be dialled is `/ip4|ip6|dns|dns4|dns6/<host>/tcp/<port>/p2p/<peer id>`. A name
is resolved anew at each dial, by the operating system, so that /etc/hosts and search domains count and a name whose
address has changed leads to the new one. Where somebody else has said an address, what it comes to is judged by its
*scope* before anything is sent there (`resolve`): a peer that is connected over the public Internet has no business
with this machine's loopback interface or this network's private addresses.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

import trio
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from p2p.errors import PeerUnreachable
from p2p.libp2p_faults import LIBP2P_ERRORS
from p2p.libp2p_ids import text_of
from p2p.network import PeerId, Scope

ADDRESSES_PER_NAME_MAX: Final = 4
"""The most addresses of one name that are tried."""
RESOLVE_TIMEOUT_SECONDS: Final = 5.0

IPAddress: TypeAlias = IPv4Address | IPv6Address

_FAMILIES: Final = {
    "ip4": socket.AF_INET,
    "ip6": socket.AF_INET6,
    "dns": socket.AF_UNSPEC,
    "dns4": socket.AF_INET,
    "dns6": socket.AF_INET6,
}
_SHARED_BY_CARRIERS: Final = ip_network("100.64.0.0/10")
_ADDRESS_PREFIX: Final = {4: 32, 6: 64}
_NETWORK_PREFIX: Final = {4: 16, 6: 32}
_PEER_ID_CODES: Final = (0x00, 0x12)
"""Of multihashes: a key as it is, and its SHA-256."""
_PEER_ID_BYTES_MIN: Final = 32


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """A full multiaddr, taken apart. `str()` gives it back, in its one form."""

    peer_id: PeerId
    kind: str
    """`ip4`, `ip6`, `dns`, `dns4` or `dns6`."""
    host: str
    port: int

    @property
    def is_name(self) -> bool:
        """Whether the host is a name."""
        return self.kind.startswith("dns")

    @property
    def scope(self) -> Scope | None:
        """How far the address reaches; None for a name, which comes to a different address any day."""
        return None if self.is_name else scope_of(self.host)

    def __str__(self) -> str:
        return f"/{self.kind}/{self.host}/tcp/{self.port}/p2p/{self.peer_id}"


def parse_peer_address(text: str) -> PeerAddress:
    """Take a full multiaddr apart. Raises ValueError, naming it and the rule."""
    kind, host, port, peer_id = _parts(text)
    if peer_id is None:
        raise ValueError(f"{text!r} must be a multiaddr that ends in /p2p/<peer id>")
    return PeerAddress(peer_id, kind, host, port)


def parse_own_address(text: str, own: PeerId) -> PeerAddress:
    """An address of the peer `own`, with or without `/p2p/<peer id>`. Raises ValueError, for another peer's as well."""
    kind, host, port, peer_id = _parts(text)
    if peer_id not in (None, own):
        raise ValueError(f"{text!r} must be an address of this node, whose peer id is {own}")
    return PeerAddress(own, kind, host, port)


def parse_multiaddr(address: str) -> Multiaddr:
    """Parse a multiaddr. Raises ValueError, naming it."""
    try:
        return Multiaddr(address)
    except LIBP2P_ERRORS as error:
        raise ValueError(f"{address!r} is not a multiaddr: {error}") from error


def _parts(text: str) -> tuple[str, str, int, PeerId | None]:
    parsed = parse_multiaddr(text)
    names = [protocol.name for protocol in parsed.protocols()]
    if len(names) < 2 or names[0] not in _FAMILIES or names[1:] not in (["tcp"], ["tcp", "p2p"]):
        raise ValueError(
            f"{text!r} must be /ip4|ip6|dns|dns4|dns6/<host>/tcp/<port>, and /p2p/<peer id> after it; TCP is all that"
            " is spoken here"
        )
    host, port = str(parsed.value_for_protocol(names[0])), int(parsed.value_for_protocol("tcp") or 0)
    return names[0], host, port, _peer_id(text, str(parsed.value_for_protocol("p2p"))) if "p2p" in names else None


def _peer_id(text: str, name: str) -> PeerId:
    try:
        peer_id = ID.from_string(name)
        code, length, *digest = peer_id.to_bytes()
    except LIBP2P_ERRORS as error:
        raise ValueError(f"{text!r}: {name} is not a peer id: {error}") from error
    if code not in _PEER_ID_CODES or length != len(digest) or length < _PEER_ID_BYTES_MIN:
        raise ValueError(f"{text!r}: {name} is not a peer id")
    return text_of(peer_id)


def scope_of(host: str) -> Scope:
    """How far an IP address reaches. Raises ValueError for what is none."""
    address = plain_ip(host)
    if address.is_loopback:
        return Scope.LOOPBACK
    if address.is_link_local:
        return Scope.LINK
    if address.is_unspecified or address.is_multicast or address.is_reserved:
        return Scope.NOWHERE
    if address.is_private or (address.version == 4 and address in _SHARED_BY_CARRIERS):
        return Scope.PRIVATE
    return Scope.PUBLIC


def plain_ip(host: str) -> IPAddress:
    """The address without a zone, and as IPv4 where IPv6 only wraps it. Raises ValueError for what is none."""
    address = ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def address_group(host: str) -> str:
    """What one customer of a provider has: an IPv4 address, or an IPv6 network of 64 bits. ValueError as above."""
    return _network(host, _ADDRESS_PREFIX)


def network_group(host: str) -> str:
    """What one provider has: the first 16 bits of an IPv4 address, 32 of IPv6. Of a name, its last two labels."""
    try:
        return _network(host, _NETWORK_PREFIX)
    except ValueError:
        return ".".join(host.lower().rsplit(".", 2)[-2:])


def _network(host: str, prefixes: dict[int, int]) -> str:
    address = plain_ip(host)
    return str(ip_network((address, prefixes[address.version]), strict=False))


async def resolve(address: PeerAddress, *, narrowest: Scope = Scope.LOOPBACK) -> list[str]:
    """The IP addresses behind it that reach as far as `narrowest` or further; names are asked of the system, now.

    Raises `PeerUnreachable`, saying why there is none.
    """
    found = [address.host] if not address.is_name else await _ask_the_system(address)
    within = [host for host in found if scope_of(host) >= narrowest]
    if not within:
        raise PeerUnreachable(address.peer_id, f"{address.host} is {found[0]}, where it may not be dialled from here")
    return within[:ADDRESSES_PER_NAME_MAX]


async def _ask_the_system(address: PeerAddress) -> list[str]:
    try:
        with trio.fail_after(RESOLVE_TIMEOUT_SECONDS):
            answers = await trio.socket.getaddrinfo(
                address.host, address.port, family=_FAMILIES[address.kind], type=socket.SOCK_STREAM
            )
    except trio.TooSlowError as error:
        reason = f"no answer within {RESOLVE_TIMEOUT_SECONDS:g} s"
        raise PeerUnreachable(address.peer_id, f"the name {address.host} does not resolve: {reason}") from error
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PeerUnreachable(address.peer_id, f"the name {address.host} does not resolve: {reason}") from error
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))
