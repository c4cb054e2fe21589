"""The validator's signature, which nothing gets but through the double-sign guard.

The key is in this process (`ValidatorSigner`), or in one of its own that is asked (`step_node.signing.remote.client`):
consensus knows what both have in common, `Signer`.
"""

from __future__ import annotations

from typing import Protocol

from step_node.crypto import eip191
from step_node.errors import StepNodeError
from step_node.signing.guard import SigningGuard
from step_node.signing.history import SignedRecord, SigningKind


class SignerAway(StepNodeError):
    """The key is in another process, which gives no signature now; the message says why. Nobody was given one."""


class SigningHistory(Protocol):
    """What consensus asks of a key's history, and tells it. See `SigningGuard`, whose words these are."""

    @property
    def height(self) -> int:
        """The highest height that anything was signed for; 0 if none."""
        ...

    @property
    def floor(self) -> int:
        """Nothing at this height or below is ever signed."""
        ...

    @property
    def is_doubtful(self) -> bool:
        """Whether the key may have signed what is not in it."""
        ...

    @property
    def is_current(self) -> bool:
        """Whether all that is signed with the key, by whomever, is known here at this moment."""
        ...

    def history(self) -> list[SignedRecord]:
        """What was signed at `height`, in order of round and kind. May be asked on any thread."""
        ...

    def raise_floor(self, height: int) -> None:
        """Sign nothing at `height` or below any more. Blocks. Raises SignerAway, OSError."""
        ...

    def doubt(self, reason: str) -> None:
        """Sign nothing until `settle`. Blocks. Raises SignerAway, OSError."""
        ...

    def settle(self, floor: int) -> None:
        """End the doubt, with this floor. Blocks. Raises SignerAway, OSError."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Signer(Protocol):
    """A validator's signature, wherever its key is. Safe to call from several threads."""

    @property
    def address(self) -> bytes:
        """The key's, 20 bytes."""
        ...

    @property
    def guard(self) -> SigningHistory:
        """The history that binds the key."""
        ...

    @property
    def absence(self) -> str | None:
        """For people: why no signature can be had now; None if one can."""
        ...

    @property
    def is_new_session(self) -> bool:
        """Whether the history may have become another one since `enter_session`: another node may have signed."""
        ...

    def enter_session(self) -> None:
        """From now on sign for who has looked at the history as it is now."""
        ...

    def sign(self, kind: SigningKind | str, height: int, round: int, value: bytes, line: str) -> bytes:  # noqa: A002
        """See `ValidatorSigner.sign`. Blocks. Raises SignerAway as well, and where the session is a new one."""
        ...

    async def run(self) -> None:
        """Keep in touch with where the key is, until cancelled; returns at once if it is here."""
        ...


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

    @property
    def absence(self) -> str | None:
        """See `Signer`: the key is here."""
        return None

    @property
    def is_new_session(self) -> bool:
        """See `Signer`: nobody else can use this history."""
        return False

    def enter_session(self) -> None:
        """See `Signer`."""

    async def run(self) -> None:
        """See `Signer`."""

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
