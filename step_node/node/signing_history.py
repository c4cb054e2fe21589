"""The signing history that a node starts with, and the operator's word where there is none, or none to be relied on.

A key that comes from elsewhere (imported, copied, restored, given to an observer's home) may have signed anything. So
a home without a history *of that key* does not start with it until the operator has said which of these holds:

- its history is elsewhere: `keys import-history` brings it;
- `--new-signing-history`: the key has never signed on this chain;
- `--lost-signing-history`: it may have, and nobody knows what any more; the node waits until that is final;
- `--sign-from-height`: it has signed nothing at that height or above, on the operator's own word.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from step_node.errors import StepNodeError
from step_node.home.histories import check_no_unnamed_history, keys_with_history, open_history
from step_node.home.paths import NodeHome
from step_node.signing.guard import SigningGuard
from step_node.signing.history import HEIGHT_MAX, NEVER_SIGNED, HistoryContent

LOST_REASON = "the operator has said that its history is lost (start --lost-signing-history)"
UNBELIEVABLE_REASON = (
    "the operator has said that its history is lost (start --lost-signing-history), and the one that was here reached"
    " beyond what the chain can have come to"
)

log = structlog.get_logger("node")


@dataclass(frozen=True, slots=True)
class HistoryWord:
    """What the operator says of the key's past on this chain; at most one of the three."""

    is_new: bool = False
    """It has never signed."""
    is_lost: bool = False
    """It may have signed; the history is lost."""
    sign_from_height: int | None = None
    """It has signed nothing at this height (1 or more) or above."""

    def __post_init__(self) -> None:
        if self.is_new + self.is_lost + (self.sign_from_height is not None) > 1:
            raise ValueError(
                "give only one of --new-signing-history, --lost-signing-history and --sign-from-height: they say"
                " different things of one key"
            )
        if self.sign_from_height is not None and not 1 <= self.sign_from_height <= HEIGHT_MAX:
            raise ValueError(f"--sign-from-height: must be from 1 to {HEIGHT_MAX}")

    @property
    def is_said(self) -> bool:
        """Whether the operator has said anything."""
        return self != NO_WORD


NO_WORD = HistoryWord()


def check_history(
    home: NodeHome, *, validator: bytes | None, word: HistoryWord, is_observer: bool, command: str = "start"
) -> None:
    """Raise StepNodeError unless a node may start in `home` with the key of this address (None: without a key).

    `is_observer`: the operator has said that the node shall only observe. `command` starts what has the key.
    """
    check_no_unnamed_history(home)
    signed_here = keys_with_history(home)
    if validator is None:
        if word.is_said:
            raise StepNodeError(
                f"{home.validator_keystore}: there is no validator's key in this home, so nothing can be said of its"
                " signing history: put the keystore there, or leave that option out"
            )
        if signed_here and not is_observer:
            raise StepNodeError(
                f"{home.validator_keystore}: is not there, but {_names(signed_here)} has signed in this home"
                f" ({home.signing_histories}). Put its keystore back. If this node shall only observe from now on:"
                f" step-node start --home {home.root} --observer"
            )
        return
    path = home.signing_history(validator)
    if validator in signed_here:
        if word.is_new:
            raise StepNodeError(
                f"{path}: the signing history of this key is there already; leave --new-signing-history out"
            )
        return
    if not word.is_said:
        start = f"step-node {command} --home {home.root}"
        raise StepNodeError(
            f"{path}: is not there: what the validator's key 0x{validator.hex()} may have signed elsewhere is not known"
            " in this home, and signing anything else would cost half its stake. Nothing was started. Bring its history"
            " along: `step-node keys export-history --home OLD > history.json` where the key was used, its node"
            f" stopped for good, then `step-node keys import-history --home {home.root} --input history.json` here."
            f" Only if the key has never signed on this chain: {start} --new-signing-history. If it may have signed and"
            f" the history is lost: {start} --lost-signing-history, which waits until all it can have signed is final."
            f" If the chain cannot go on without it: see {start} --sign-from-height, in step-node {command} --help."
        )


def check_remote_key(home: NodeHome, *, validator: bytes, word: HistoryWord) -> None:
    """Raise StepNodeError unless a node may start in `home` whose key, of this address, is at a remote signer.

    A key with two guards would have two histories, and neither would know what the other has let be signed. So neither
    the key nor its history may be here.
    """
    check_no_unnamed_history(home)
    if word.is_said:
        raise StepNodeError(
            "signer.address: the key's signing history is at the signer; what you know of the key's past is to be said"
            " there, once: step-node signer takes the same options"
        )
    if home.validator_keystore.exists():
        raise StepNodeError(
            f"{home.validator_keystore}: is here, and signer.address in config.toml names a remote signer. A key has"
            " one guard: move the keystore and its signing history into the signer's home (docs/remote-signer.md), or"
            " leave signer.address out"
        )
    if validator in keys_with_history(home):
        path = home.signing_history(validator)
        raise StepNodeError(
            f"{path}: the key of the remote signer has signed in this home. Its history belongs where the key is: with"
            f" both stopped, move (do not copy) the file into the signer's home, data/signing_history/{path.name}"
        )


def open_own_history(
    home: NodeHome, *, chain_id: str, validator: bytes, word: HistoryWord, believable_max: int
) -> SigningGuard:
    """The history of the key of this address, with the operator's word in it; `check_history` must have let it pass.

    `believable_max` is the height beyond which no history of this chain can reach.
    Raises StepNodeError, OSError.
    """
    # Whoever does not say that the key is new begins with a doubt, which a crash before the next line must not lose.
    begin_with = NEVER_SIGNED if word.is_new else HistoryContent(doubt=LOST_REASON)
    guard = open_history(home, chain_id=chain_id, validator=validator, begin_with=begin_with)
    try:
        _take_word(guard, home, word, believable_max)
    except (StepNodeError, OSError):
        guard.close()
        raise
    return guard


def _take_word(guard: SigningGuard, home: NodeHome, word: HistoryWord, believable_max: int) -> None:
    highest = max(guard.height, guard.floor)
    if word.is_lost:
        if highest > believable_max:
            guard.forget(UNBELIEVABLE_REASON)
        else:
            guard.doubt(LOST_REASON)
    elif word.sign_from_height is not None:
        if guard.height >= word.sign_from_height:
            raise StepNodeError(
                f"--sign-from-height: {word.sign_from_height} must be above {guard.height}: this home's history shows"
                " that the key has signed there. If the word was taken at an earlier start, leave it out now"
            )
        guard.settle(word.sign_from_height - 1)
        log.warning(
            "on the operator's word the key has signed nothing from a height on",
            sign_from_height=word.sign_from_height,
            validator="0x" + guard.validator.hex(),
        )
    elif highest > believable_max:
        log.error(
            "the signing history reaches beyond what the chain can have come to: the key signs nothing until the chain"
            " is there. If the clock is right, the history is not: say `start --lost-signing-history`",
            history_height=guard.height,
            floor=guard.floor,
            believable_height_max=believable_max,
            home=str(home.root),
        )
    if guard.doubt_reason is not None:
        log.warning("the signing history is doubtful: nothing is signed for now", reason=guard.doubt_reason)


def _names(addresses: frozenset[bytes]) -> str:
    return ", ".join(sorted(f"0x{address.hex()}" for address in addresses))
