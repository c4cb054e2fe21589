"""Addresses of nodes, as config.toml and genesis.json hold them: multiaddrs, in text."""

from __future__ import annotations

from typing import Annotated

from multiaddr import Multiaddr
from pydantic import AfterValidator

MULTIADDR_CHARACTERS_MAX = 256


def require_multiaddr(value: str) -> str:
    """`value`, if it is a multiaddr of at most `MULTIADDR_CHARACTERS_MAX` characters. Raises ValueError."""
    rule = "must be a multiaddr such as /ip4/127.0.0.1/tcp/26600"
    if not value.strip("/") or len(value) > MULTIADDR_CHARACTERS_MAX:
        raise ValueError(f"{rule}, of at most {MULTIADDR_CHARACTERS_MAX} characters")
    try:
        Multiaddr(value)
    except ValueError as error:
        reason = str(error).partition(f"{value}': ")[2].removesuffix(f" (string: {value})")
        raise ValueError(f"{rule}: {reason or error}") from error
    return value


MultiaddrText = Annotated[str, AfterValidator(require_multiaddr)]


def require_peer_id(value: str) -> str:
    """The id of a peer in base58, if `value` is one, in whatever form: as text it is compared. Raises ValueError."""
    rule = "must be a peer id such as 16Uiu2HAm… (`step-node keys show` prints it)"
    if "/" in value:
        raise ValueError(f"{rule}, without an address")
    try:
        address = require_multiaddr(f"/p2p/{value}")
    except ValueError as error:
        raise ValueError(rule) from error
    # What stands there as a CID, or with a space after it, names the same peer.
    return str(Multiaddr(address)).removeprefix("/p2p/")


PeerIdText = Annotated[str, AfterValidator(require_peer_id)]


def named_peer(address: str) -> str | None:
    """The peer id (base58) that a multiaddr ends in, `…/p2p/<peer id>`; None if it names none.

    Any text is taken: what stands in a validator's record has the form of a multiaddr, and may be none.
    """
    _, separator, peer_id = address.rpartition("/p2p/")
    return peer_id if separator and peer_id and "/" not in peer_id else None
