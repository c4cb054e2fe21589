"""What `/status` and the metrics say about the machine."""

from dataclasses import dataclass

from consensus.state import ConsensusState, Step


@dataclass(frozen=True, slots=True)
class Description:
    """Counts are of validators, in the current round; hashes are in hex with 0x."""

    height: int
    round: int
    step: Step
    validators: int
    quorum: int
    pre_votes: int
    pre_commits: int
    timeouts: int
    proposal: str | None
    locked_round: int
    valid_round: int
    decided: str | None


def describe(state: ConsensusState) -> Description:
    """The state in a few words. Round -1 is IDLE; locked and valid round -1 are none."""
    current = state.current
    return Description(
        height=state.height,
        round=state.round,
        step=state.step,
        validators=len(state.validators),
        quorum=state.validators.quorum,
        pre_votes=current.pre_votes.voters,
        pre_commits=current.pre_commits.voters,
        timeouts=len({validator for validator, _ in current.timeouts}),
        proposal=f"0x{current.proposals[0].batch_hash.hex()}" if current.proposals else None,
        locked_round=state.locked_round,
        valid_round=state.valid_round,
        decided=f"0x{state.commit.batch_hash.hex()}" if state.step is Step.COMMIT and state.commit else None,
    )
