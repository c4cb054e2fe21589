"""The private keys of one node, in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from step_node.crypto.eip191 import address_of, public_key_of
from step_node.signing.keystore import new_private_key


def _no_key(_address: bytes) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True, repr=False)
class NodeKeys:
    """A node's private keys, 32 bytes each. Without a validator's key the node only observes."""

    validator: bytes | None
    p2p: bytes
    next_validator: Callable[[bytes], bytes | None] = _no_key
    """The private key that takes over, of this address, if its keystore is there. Blocks, and raises KeystoreError."""

    @classmethod
    def new(cls, *, is_validator: bool) -> NodeKeys:
        """Fresh random keys."""
        return cls(new_private_key() if is_validator else None, new_private_key())

    @property
    def validator_address(self) -> bytes | None:
        """The address of the validator's key, 20 bytes."""
        return None if self.validator is None else address_of(public_key_of(self.validator))

    def __repr__(self) -> str:
        address = self.validator_address
        return "NodeKeys(an observer's)" if address is None else f"NodeKeys(of validator 0x{address.hex()})"
