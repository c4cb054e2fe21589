"""The keys of a signer's home, each with its guard and its history.

A signer's home has the names of a node's: `genesis.json`, the keystores in `keys/`, the histories in
`data/signing_history/`. Any keystore there is served, under whatever name, and one that is put there while the signer
runs is found when it is asked for: so the next key of a rotation is at hand at the height at which it is needed.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from step_node.crypto.eip191 import address_of, public_key_of
from step_node.errors import StepNodeError
from step_node.home.histories import keys_with_history, open_history
from step_node.home.keystores import keystores_in
from step_node.home.paths import NodeHome
from step_node.signing.history import NEVER_SIGNED
from step_node.signing.keystore import keystore_address, load_keystore
from step_node.signing.private_file import KeystoreError
from step_node.signing.signer import ValidatorSigner

log = structlog.get_logger("signer")


class SignerKeys:
    """The keys by address. Owned by one task at a time; every call blocks (0.5 s for a keystore that is new)."""

    def __init__(self, home: NodeHome, *, chain_id: str, password: str) -> None:
        self._home = home
        self._chain_id = chain_id
        self._password = password
        self._signers: dict[bytes, ValidatorSigner] = {}

    def __repr__(self) -> str:
        return f"SignerKeys({', '.join(f'0x{address.hex()}' for address in self._signers)})"

    @property
    def addresses(self) -> frozenset[bytes]:
        """Of the keys that are open."""
        return frozenset(self._signers)

    def add(self, signer: ValidatorSigner) -> None:
        """A key that is open already."""
        self._signers[signer.address] = signer

    def find(self, address: bytes) -> ValidatorSigner | None:
        """The key of this address (20 bytes), opened now if it is not yet. Raises StepNodeError, OSError if it is here
        and cannot be used; the others go on being served."""
        if address in self._signers:
            return self._signers[address]
        for path in keystores_in(self._home):
            try:
                is_meant = keystore_address(path) == address
            except KeystoreError as error:
                log.warning("a keystore is passed over", reason=str(error))
                continue
            if is_meant:
                signer = self._opened(path)
                self._signers[signer.address] = signer
                log.warning("a key is served from now on", validator=f"0x{address.hex()}", keystore=str(path))
                return signer
        return None

    def _opened(self, path: Path) -> ValidatorSigner:
        private_key = load_keystore(path, self._password)
        address = address_of(public_key_of(private_key))
        if address not in keys_with_history(self._home):
            raise StepNodeError(
                f"{path}: the key 0x{address.hex()} has no signing history in this home: it is not known what it may"
                " have signed. `step-node keys new --home` begins one with a new key, `step-node keys import-history`"
                " brings one"
            )
        guard = open_history(self._home, chain_id=self._chain_id, validator=address, begin_with=NEVER_SIGNED)
        return ValidatorSigner(private_key, guard)

    def close(self) -> None:
        """Close the histories."""
        for signer in self._signers.values():
            signer.guard.close()
        self._signers.clear()
