"""Why an input changed nothing. Not errors: stale and repeated messages are everyday. The caller counts them by
name."""

from enum import StrEnum


class Ignored(StrEnum):
    """The value of `Transition.ignored`, and the label of a metric."""

    DECIDED = "DECIDED"
    """The height is decided; nothing changes it any more."""
    ALREADY_STARTED = "ALREADY_STARTED"
    """Work is known of already."""
    PAST_HEIGHT = "PAST_HEIGHT"
    FUTURE_HEIGHT = "FUTURE_HEIGHT"
    """The sender is ahead: if many are, this node should catch up."""
    UNKNOWN_VALIDATOR = "UNKNOWN_VALIDATOR"
    NOT_THE_PROPOSER = "NOT_THE_PROPOSER"
    OWN_MESSAGE = "OWN_MESSAGE"
    """An own message came back from the network. What this validator has said, it knows from its log."""
    DUPLICATE = "DUPLICATE"
    ROUND_NOT_TRACKED = "ROUND_NOT_TRACKED"
    """Of a round too far behind or ahead to be stored."""
    VALID_ROUND_TOO_LATE = "VALID_ROUND_TOO_LATE"
    """A proposal whose valid round is not before its round (L28)."""
    NO_BATCH = "NO_BATCH"
    """A proposal that lacks its batch."""
    TOO_MANY_PROPOSALS = "TOO_MANY_PROPOSALS"
    CONTRADICTION = "CONTRADICTION"
    """One more vote of a validator that contradicts itself, for a batch that nobody has proposed to this node."""
    STALE_TIMER = "STALE_TIMER"
    """A timer of an earlier round, or of a wait that is over."""
    LATE_BATCH = "LATE_BATCH"
    """A batch was built for a round or step that is over."""
    UNEXPECTED = "UNEXPECTED"
    """An answer (verdict, log entry, signature) to no question."""
    NOT_FOR_CONSENSUS = "NOT_FOR_CONSENSUS"
    """Evidence: it goes into a batch, not into the machine."""
    NOTHING_TO_DO = "NOTHING_TO_DO"
