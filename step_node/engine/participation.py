"""Whether this validator takes part in consensus, or follows the chain until it may: a decision, and nothing else.

A signature at a height that is final serves nobody, and may contradict one that was made there before. So a validator
signs only at the head of the chain, as far as it can know where that is. *Told* is what a peer says of itself, and
proves nothing; *shown* is what a quorum has signed. What is shown above the head keeps a validator from signing for as
long as it is so. A promise, a told height that is not shown, does so only where a member of the set or a bootstrap peer
makes it, only before the validator takes part, and only until it has been tried, and found not to be kept.

A *doubtful* signing history may lack what the key has signed. It is waited out: until the chain has passed every height
at which the key can have signed anything. Why two heights above what a quorum of the others has come to are enough, is
argued in docs/adr/0019-signing-at-the-head.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

WAITED_OUT_HEIGHTS = 2
"""How far above the head that a quorum of others knows a doubtful key can have signed."""

HISTORY_AHEAD_MAX = 100
"""A signing history that is further ahead of a chain whose head is known is not believed to be of this chain's past."""


@dataclass(frozen=True, slots=True)
class Told:
    """What connected peers say of how far they have come."""

    peers: int = 0
    """How many have said it."""
    members: int = 0
    """How many of these are other members of the validator set, by their peer id."""
    promised: int = 0
    """The greatest height that a member or a bootstrap peer has told, and has not been found not to have."""


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the decision rests on."""

    head: int
    """The height of the last batch that is final here."""
    members: int
    """The size of the set of the next height; 0 where this node is not in it, and so signs nothing anyway."""
    quorum: int
    shown: int
    is_catching_up: bool
    """Whether finalised batches are being fetched."""
    told: Told
    signed_height: int
    """The greatest height in the signing history."""
    floor: int
    is_doubtful: bool
    signer_absence: str | None = None
    """Why the key, which is in another process, gives no signatures now."""
    listens: bool = False
    """Whether the node still listens for another process with its key."""


@dataclass(frozen=True, slots=True)
class Participation:
    """What has been decided. `reason` says for people why the validator does not take part; None where it does."""

    takes_part: bool = False
    observes: bool = False
    """Takes part without a vote: this node is not in the set."""
    reason: str | None = "has just started: signs nothing yet"
    settles_at: int | None = None
    """The height at which a doubtful history will have been waited out, once that is known."""
    is_waited_out: bool = False
    """Whether the doubt is over: settle the history at `settles_at`, and look again."""
    is_unbelievable: bool = False
    """Whether the history is ahead of the chain beyond reason."""
    kind: str = "started"
    """One word for the reason, which stays the same while heights in it change."""


def must_follow(*, head: int, shown: int, is_catching_up: bool) -> bool:
    """Whether a validator that takes part has fallen behind. One height that is shown and not here yet is consensus at
    work."""
    return is_catching_up or shown > head + 1


def look(before: Participation, now: Situation) -> Participation:
    """What to do now, after what was done `before`."""
    if now.members == 0:
        return Participation(takes_part=True, observes=True, reason=None, kind="observes")
    if now.signer_absence is not None:
        return Participation(reason=f"cannot: {now.signer_absence}", kind="signer away")
    if now.listens:
        reason = "listens whether another process signs with its key: signs nothing meanwhile"
        return Participation(reason=reason, kind="listens")
    if now.is_doubtful:
        return _wait_out(before, now)
    if now.floor > now.head:
        reason = f"signs nothing before height {now.floor + 1}, as its signing history says"
        return Participation(reason=reason, kind="below the floor")
    if (
        before.takes_part
        and not before.observes
        and not must_follow(head=now.head, shown=now.shown, is_catching_up=now.is_catching_up)
    ):
        return before
    lag = behind(now)
    if lag is not None:
        return Participation(reason=lag, kind="behind")
    if now.signed_height > now.head + 1:
        return _history_ahead(now)
    return Participation(takes_part=True, reason=None, kind="takes part")


def behind(now: Situation) -> str | None:
    """Why this node is not known to be at the head; None if it is."""
    if now.shown > now.head:
        return f"is at height {now.head}, and height {now.shown} is final: signs nothing until it is there"
    if now.is_catching_up:
        return "is catching up: signs nothing until it is at the head"
    if now.members == 1:
        return None  # What is not shown, nobody else can have made.
    if now.told.peers == 0:
        return "has heard of no peer how far the chain has come: signs nothing until one tells"
    if now.told.promised > now.head:
        return f"is at height {now.head}, and a peer tells of height {now.told.promised}: sees first whether that is so"
    return None


def _history_ahead(now: Situation) -> Participation:
    reason = f"has a signing history with signatures of height {now.signed_height}, and the chain is at {now.head}"
    if now.signed_height <= now.head + HISTORY_AHEAD_MAX:
        return Participation(reason=f"{reason}: signs nothing until the chain is there", kind="history ahead")
    return Participation(
        reason=f"{reason}: that cannot be this chain's. Start with --lost-signing-history to have it replaced, and the"
        " key's past waited out",
        is_unbelievable=True,
        kind="history unbelievable",
    )


def _wait_out(before: Participation, now: Situation) -> Participation:
    settles_at = before.settles_at
    if settles_at is None and behind(now) is None and now.told.members >= now.quorum:
        settles_at = now.head + WAITED_OUT_HEIGHTS
    if settles_at is None:
        others = now.members - 1
        missing = f"needs to hear of {now.quorum} other validators how far they are, and hears of {now.told.members}"
        if others < now.quorum:
            missing = f"{now.quorum} other validators would have to go on without it, and there are {others}"
        return Participation(
            reason=f"has a doubtful signing history, and the key's past must be waited out: {missing}. If you know"
            " that the key has signed nothing at some height or above, start with --sign-from-height",
            kind=f"doubtful, {now.told.members} heard",
        )
    if now.head < settles_at:
        return Participation(
            reason=f"has a doubtful signing history: signs nothing until height {settles_at} is final",
            settles_at=settles_at,
            kind="waits out",
        )
    return replace(before, takes_part=False, settles_at=settles_at, is_waited_out=True)
