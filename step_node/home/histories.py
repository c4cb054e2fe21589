"""The signing histories of a home: one file for each key that has ever been a validator's here.

A history says what its key has signed, so it belongs to that key and no other. One that is begun empty says that the
key has never signed anything; only a key that was made a moment ago, or an operator, can say so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from step_node.durable.atomic_file import make_directory
from step_node.errors import StepNodeError
from step_node.home.paths import NodeHome
from step_node.signing.guard import SigningGuard
from step_node.signing.history import NEVER_SIGNED, Bound, HistoryContent

_FILE_NAME = re.compile(r"0x([0-9a-f]{40})\.log")


def open_history(home: NodeHome, *, chain_id: str, validator: bytes, begin_with: HistoryContent) -> SigningGuard:
    """The history of the key whose address is `validator` (20 bytes); if it is not there, begun with `begin_with`.

    Raises StepNodeError if it cannot be used (`SigningGuard.open`), OSError.
    """
    check_no_unnamed_history(home)
    make_directory(home.data)
    make_directory(home.signing_histories)
    return SigningGuard.open(
        home.signing_history(validator), chain_id=chain_id, validator=validator, begin_with=begin_with
    )


def begin_history(home: NodeHome, *, chain_id: str, validator: bytes) -> None:
    """Begin the history of a key that was made just now: it has never signed. One that is there stays as it is."""
    open_history(home, chain_id=chain_id, validator=validator, begin_with=NEVER_SIGNED).close()


def check_contents(home: NodeHome, contents: Mapping[bytes, HistoryContent], *, chain_id: str) -> None:
    """Raise, as `SigningGuard.merge` would, if one of these contradicts its key's history here. Changes nothing."""
    for validator, content in contents.items():
        path = home.signing_history(validator)
        bound = Bound()
        if path.exists():
            with SigningGuard.open(path, chain_id=chain_id, validator=validator) as guard:
                bound = bound.merged_with(guard.content())
        bound.merged_with(content)


def keys_with_history(home: NodeHome) -> frozenset[bytes]:
    """The addresses (20 bytes each) of the keys that have a history in this home."""
    if not home.signing_histories.is_dir():
        return frozenset()
    matches = (_FILE_NAME.fullmatch(path.name) for path in home.signing_histories.iterdir())
    return frozenset(bytes.fromhex(match[1]) for match in matches if match is not None)


def check_no_unnamed_history(home: NodeHome) -> None:
    """Raise StepNodeError if there is a history as versions before this one kept it, which names no key."""
    if home.unnamed_signing_history.exists():
        raise StepNodeError(
            f"{home.unnamed_signing_history}: is the signing history of an older version, which does not say of which"
            " key it is, and cannot be read. Move it out of this home. If a validator's key has signed here with it,"
            f" then: step-node start --home {home.root} --lost-signing-history"
        )
