"""The validator's signature, which nothing gets but through the double-sign guard."""

from __future__ import annotations

from step_node.crypto import eip191
from step_node.signing.guard import SigningGuard
from step_node.signing.history import SigningKind


class ValidatorSigner:
    """A validator's key with its guard; the key is not given out. Safe to call from several threads."""

    def __init__(self, private_key: bytes, guard: SigningGuard) -> None:
        """`private_key` is 32 bytes. Raises ValueError if it is out of range, or `guard` is another key's."""
        self.public_key = eip191.public_key_of(private_key)
        """Compressed, 33 bytes."""
        self.address = eip191.address_of(self.public_key)
        """20 bytes."""
        if guard.validator != self.address:
            raise ValueError(f"guard: is of the key of 0x{guard.validator.hex()}, not of 0x{self.address.hex()}")
        self._private_key = private_key
        self.guard = guard
        """The history that binds this key."""

    def __repr__(self) -> str:
        return f"ValidatorSigner(0x{self.address.hex()})"

    def sign(self, kind: SigningKind | str, height: int, round: int, value: bytes, line: str) -> bytes:  # noqa: A002
        """Sign `line` (EIP-191; r‖s‖v, 65 bytes), which says `value` for this kind, height and round.

        Blocks for an fsync the first time; asked again for the same, it gives the same signature. The guard is given
        the line's digest along with the value, so that two lines can never be signed under one value (a proposal of
        the same batch with another valid round, say).
        Raises DoubleSignRefused, ValueError and OSError as `SigningGuard.authorise` does; nothing is signed then.
        """
        line_digest = eip191.digest(line)
        self.guard.authorise(height, round, kind, line_digest + value)
        return eip191.sign_digest(line_digest, self._private_key)
