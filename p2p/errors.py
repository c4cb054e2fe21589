"""What can go wrong in a network, by whose fault it is.

`PeerFault` is the peer's: it has a `Fault`, which has a price. `PeerUnreachable`, `ProtocolUnsupported`, `AddressInUse`
and `NetworkClosed` are the environment's: try again later, or tell the operator. `MessageTooLarge` is the caller's own
mistake, hence a ValueError. Nothing else, and nothing of py-libp2p, leaves this package.
"""

from __future__ import annotations

from p2p.network import Fault, PeerId


class NetworkError(Exception):
    """The base of what a network raises, apart from programming errors."""


class PeerFault(NetworkError):
    """A peer broke a rule. Pass `peer_id` and `fault` to `Network.penalise`; a served handler just lets it go."""

    def __init__(self, peer_id: PeerId, fault: Fault, detail: str) -> None:
        super().__init__(f"peer {peer_id} is at fault ({fault}): {detail}")
        self.peer_id = peer_id
        self.fault = fault
        self.detail = detail


class PeerUnreachable(NetworkError):
    """The peer, or the way to it, is gone; nobody is to blame."""

    def __init__(self, peer_id: PeerId, detail: str) -> None:
        super().__init__(f"peer {peer_id} cannot be reached: {detail}")
        self.peer_id = peer_id
        self.detail = detail


class ProtocolUnsupported(NetworkError):
    """The peer answers, but does not serve this protocol."""

    def __init__(self, peer_id: PeerId, protocol: str) -> None:
        super().__init__(f"peer {peer_id} does not serve the protocol {protocol}")
        self.peer_id = peer_id
        self.protocol = protocol


class AddressInUse(NetworkError):
    """A listen address is taken, or is not one of this machine's."""

    def __init__(self, address: str, detail: str) -> None:
        super().__init__(f"cannot listen on {address}: {detail}")
        self.address = address


class NetworkClosed(NetworkError):
    """The network's context has ended."""


class MessageTooLarge(ValueError):
    """A message that this node wanted to send is over the limit of its topic or protocol."""

    def __init__(self, name: str, size_bytes: int, message_bytes_max: int) -> None:
        super().__init__(f"a message of {size_bytes} bytes is over the limit of {name}, {message_bytes_max} bytes")
        self.name = name
        self.size_bytes = size_bytes
        self.message_bytes_max = message_bytes_max
