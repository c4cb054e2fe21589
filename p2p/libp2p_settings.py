"""What a node decides about its network over libp2p."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from p2p.addresses import parse_peer_address
from p2p.libp2p_host import peer_id_of, tcp_endpoint


@dataclass(frozen=True, slots=True)
class Libp2pSettings:
    """What a node decides about its network. Raises ValueError, naming the field and the rule."""

    private_key: bytes = field(repr=False)
    """secp256k1, 32 bytes: the identity on the network, which is not the validator's key."""
    listen_addresses: tuple[str, ...] = ("/ip4/127.0.0.1/tcp/0",)
    bootstrap_addresses: tuple[str, ...] = ()
    """Full multiaddrs, with `/p2p/<peer id>`; this node's own is skipped."""
    mdns: bool = False
    connections_max: int = 128
    strangers_per_address_max: int = 8
    """Of connections that peers without a reserved place have dialled from one IP address (IPv6: 64 bits of it)."""
    redial_delay_initial_seconds: float = 0.5
    redial_delay_max_seconds: float = 30.0

    def __post_init__(self) -> None:
        peer_id_of(self.private_key)
        for address in self.listen_addresses:
            _naming("listen_addresses", tcp_endpoint, address)
        for address in self.bootstrap_addresses:
            _naming("bootstrap_addresses", parse_peer_address, address)
        for name in ("connections_max", "strangers_per_address_max"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.redial_delay_initial_seconds <= self.redial_delay_max_seconds:
            raise ValueError(
                "redial_delay_initial_seconds must be above 0 and at most redial_delay_max_seconds, not "
                f"{self.redial_delay_initial_seconds} and {self.redial_delay_max_seconds}"
            )


def _naming(field: str, parse: Callable[[str], object], address: str) -> None:
    try:
        parse(address)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error
