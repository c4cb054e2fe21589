"""The keystores of a home, when the next key has become the present one.

The old keystore is kept under a name of its own, and the next one takes the name that `start` reads: a link, then one
rename. A crash between any two leaves a home with which the next start goes on, since the chain says which key counts,
and both keystores are there under some name until the end.
"""

from __future__ import annotations

import os
from pathlib import Path

from step_node.durable.atomic_file import fsync_directory
from step_node.home.paths import NodeHome
from step_node.signing.keystore import keystore_address
from step_node.signing.private_file import KeystoreError


def next_keystore(home: NodeHome, address: bytes) -> Path | None:
    """Where the keystore of the next key is, if it is that of this address (20 bytes). Raises KeystoreError."""
    path = home.next_validator_keystore
    if not path.exists():
        return None
    return path if keystore_address(path) == address else None


def keep_next_key(home: NodeHome, address: bytes) -> None:
    """Make the next keystore, of this address, the present one. Does nothing if it is that already. Raises OSError."""
    try:
        if next_keystore(home, address) is None:
            return
        old = f"0x{keystore_address(home.validator_keystore).hex()}"
    except KeystoreError as error:
        raise OSError(str(error)) from error
    kept = home.validator_keystore.with_name(f"replaced-{old}.json")
    if not kept.exists():
        os.link(home.validator_keystore, kept)
        fsync_directory(kept.parent)
    home.next_validator_keystore.replace(home.validator_keystore)
    fsync_directory(kept.parent)
