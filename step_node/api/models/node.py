"""The bodies of answers about the node itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from step_node.api.errors import ErrorAnswer
from step_node.api.models.schema import AddressText, Answer, HashText, StepText, TimestampText, hex_text
from step_node.api.status.consensus import ConsensusStatus, VoterStatus
from step_node.api.status.health import HealthCode, HealthReason
from step_node.api.status.load import SAMPLE_SECONDS, LoadSample
from step_node.proofs.timestamps import format_timestamp


class PeerAnswer(Answer):
    """A connected peer. Version and height are its own word, null before it has greeted."""

    peer_id: str = Field(examples=["16Uiu2HAm2k8h1fV7nJ1c"])
    address: str = Field(
        description="The other end of the connection. Of one that dialled, the port is not the one it listens on.",
        examples=["/ip4/192.0.2.7/tcp/26600"],
    )
    direction: Literal["inbound", "outbound"] = Field(description="Outbound: this node dialled.")
    version: str | None = Field(
        description="Of its program, with the commit where it is known.", examples=["0.1.0+g0123456789ab"]
    )
    protocol_versions: list[int] = Field(
        description="Of the rules that its program knows; empty before it has greeted.", examples=[[1, 2]]
    )
    height: int | None = Field(description="The height it last told.", examples=[42])
    validator: AddressText | None = Field(
        description="The validator that it is: the peer says so, and the validator's record on chain names the peer."
    )


class ValidatorAnswer(Answer):
    """A member of the present validator set."""

    address: AddressText
    stake: StepText
    is_self: bool = Field(description="Whether it is this node.")
    peer_id: str | None = Field(
        description="The node that it is: a connected peer, or this one. Null: none, or the chain names another node.",
        examples=["16Uiu2HAm2k8h1fV7nJ1c"],
    )


class StatusAnswer(Answer):
    """Where the node stands. `round` and `state` are of the height after `height`."""

    ok: Literal[True] = True
    version: str = Field(examples=["0.1.0"])
    commit: str = Field(description="That the program was made of, or `unknown`.", examples=["0123456789ab"])
    protocol_version: int = Field(description="Of the rules in force.", examples=[1])
    known_protocol_versions: list[int] = Field(description="Of the rules that this program knows.", examples=[[1, 2]])
    chain_id: str = Field(examples=["step-devnet"])
    genesis_hash: HashText
    peer_id: str = Field(examples=["16Uiu2HAm2k8h1fV7nJ1c"])
    p2p_addresses: list[str] = Field(
        alias="p2pAddresses", examples=[["/ip4/127.0.0.1/tcp/26600/p2p/16Uiu2HAm2k8h1fV7nJ1c"]]
    )
    validator_address: AddressText | None = Field(description="Null on a node that only observes.")
    height: int = Field(description="The last finalised.", examples=[42])
    batch_hash: HashText
    state_root: HashText = Field(description="The root of the state after the last batch.")
    batch_timestamp: TimestampText
    round: int = Field(examples=[0])
    state: str = Field(description="The state of consensus (protocol.md §4).", examples=["IDLE"])
    syncing: bool = Field(description="Whether it is catching up with its peers.")
    mempool_proofs: int = Field(examples=[0])
    earliest_height: int = Field(
        description="The lowest height whose batch this node keeps; 1 if it keeps all.", examples=[1]
    )
    histories_from: int = Field(
        description="The lowest height whose proofs and operations are in its histories; 1 if all are.", examples=[1]
    )
    peers: list[PeerAnswer]
    validators: list[ValidatorAnswer]
    switches: dict[str, bool] = Field(
        description="What the operator can turn off while the node runs: whether each is on.",
        examples=[{"intake": True, "maps": False}],
    )
    timestamp: TimestampText


class ReasonAnswer(Answer):
    """One thing that is wrong."""

    code: HealthCode = Field(description="What it is, for programs: one of a closed list.")
    message: str = Field(
        description="What is wrong, and what to do.",
        examples=["no peer is connected: nothing is heard of the chain. Look at p2p.bootstrap, and at the firewall"],
    )
    figures: dict[str, int] = Field(description="What the message counts, by name; the unit is last.", examples=[{}])

    @classmethod
    def of(cls, reason: HealthReason) -> ReasonAnswer:
        """The answer about `reason`."""
        return cls(code=reason.code, message=reason.message, figures=dict(reason.figures))


class HealthAnswer(Answer):
    """The node serves. `degraded`: it does, but its operator should look."""

    ok: Literal[True] = True
    status: Literal["ok", "degraded"]
    ready: bool = Field(description="Whether clients' traffic may be sent here.")
    reasons: list[ReasonAnswer] = Field(description="The gravest first.")
    timestamp: TimestampText


class DownAnswer(ErrorAnswer):
    """The node does not serve: an error like any other, with its reasons."""

    status: Literal["down"] = "down"
    ready: Literal[False] = False
    reasons: list[ReasonAnswer]


class LiveAnswer(Answer):
    """The process is up, and its event loop turns."""

    ok: Literal[True] = True
    timestamp: TimestampText


class ReadyAnswer(Answer):
    """Clients' traffic may be sent here."""

    ok: Literal[True] = True
    ready: Literal[True] = True
    timestamp: TimestampText


class NotReadyAnswer(ErrorAnswer):
    """Clients' traffic is better sent elsewhere: an error like any other, with its reasons."""

    ready: Literal[False] = False
    reasons: list[ReasonAnswer]


class VoterAnswer(Answer):
    """A member of the set, and its votes in the present round. A vote is a batch's hash, `nil`, or null: not here."""

    address: AddressText
    is_self: bool = Field(description="Whether it is this node.")
    is_connected: bool = Field(description="Whether it is this node or a connected peer.")
    pre_vote: HashText | Literal["nil"] | None
    pre_commit: HashText | Literal["nil"] | None

    @classmethod
    def of(cls, voter: VoterStatus) -> VoterAnswer:
        """The answer about `voter`."""
        return cls(
            address=hex_text(voter.address),
            is_self=voter.is_self,
            is_connected=voter.is_connected,
            pre_vote=_vote_text(voter.pre_vote),
            pre_commit=_vote_text(voter.pre_commit),
        )


class ConsensusAnswer(Answer):
    """The height that is being decided. A round of -1 is none: idle, nothing locked, nothing valid."""

    ok: Literal[True] = True
    height: int = Field(examples=[43])
    height_since: TimestampText = Field(description="When the node began it.")
    round: int = Field(examples=[0])
    step: str = Field(description="The state of consensus (protocol.md §4).", examples=["PRE_VOTE"])
    step_since: TimestampText = Field(description="When the node came to it.")
    takes_part: bool = Field(description="False on a validator that only follows, as it does while it is behind.")
    proposer: AddressText = Field(description="Of this round.")
    proposal: HashText | None = Field(description="The batch that it proposes, once that is here.")
    quorum: int = Field(description="So many votes decide.", examples=[3])
    pre_votes: int = Field(description="Validators whose pre-vote of this round is here.", examples=[2])
    pre_commits: int = Field(examples=[0])
    missing_pre_votes: list[AddressText] = Field(description="Validators whose pre-vote of this round is not here.")
    missing_pre_commits: list[AddressText]
    locked_round: int = Field(examples=[-1])
    locked_hash: HashText | None
    valid_round: int = Field(examples=[-1])
    valid_hash: HashText | None
    waiting_proofs: int = Field(examples=[0])
    waiting_operations: int = Field(examples=[0])
    waiting_evidence: int = Field(examples=[0])
    validators: list[VoterAnswer]
    timestamp: TimestampText

    @classmethod
    def of(cls, status: ConsensusStatus, now_ms: int) -> ConsensusAnswer:
        """The answer about `status`."""
        return cls(
            height=status.height,
            height_since=format_timestamp(status.height_since_ms),
            round=status.round,
            step=status.step,
            step_since=format_timestamp(status.step_since_ms),
            takes_part=status.takes_part,
            proposer=hex_text(status.proposer),
            proposal=_hash_text(status.proposal),
            quorum=status.quorum,
            pre_votes=sum(voter.pre_vote is not None for voter in status.voters),
            pre_commits=sum(voter.pre_commit is not None for voter in status.voters),
            missing_pre_votes=[hex_text(voter.address) for voter in status.voters if voter.pre_vote is None],
            missing_pre_commits=[hex_text(voter.address) for voter in status.voters if voter.pre_commit is None],
            locked_round=status.locked_round,
            locked_hash=_hash_text(status.locked_hash),
            valid_round=status.valid_round,
            valid_hash=_hash_text(status.valid_hash),
            waiting_proofs=status.waiting_proofs,
            waiting_operations=status.waiting_operations,
            waiting_evidence=status.waiting_evidence,
            validators=[VoterAnswer.of(voter) for voter in status.voters],
            timestamp=format_timestamp(now_ms),
        )


class LoadSampleAnswer(Answer):
    """A stretch of `everySeconds` that ended at `at`; counts are of what happened in it, the rest is of its end."""

    at: TimestampText
    proofs_accepted: int = Field(description="They came to wait here, of clients and of peers.", examples=[31])
    proofs_finalised: int = Field(examples=[30])
    proofs_refused: int = Field(examples=[1])
    finality_p50_ms: int | None = Field(
        alias="finalityP50Ms",
        description="From acceptance here to finality here, of half of those that became final; null if none did.",
        examples=[640],
    )
    finality_p95_ms: int | None = Field(alias="finalityP95Ms", examples=[1100])
    loop_lag_p95_ms: int | None = Field(
        alias="loopLagP95Ms", description="By how much tasks were woken too late.", examples=[2]
    )
    height: int = Field(examples=[42])
    mempool_proofs: int = Field(examples=[3])
    peers: int = Field(examples=[3])
    resident_bytes: int | None = Field(
        description="Memory of the process; null where the system does not say.", examples=[150_000_000]
    )

    @classmethod
    def of(cls, sample: LoadSample) -> LoadSampleAnswer:
        """The answer about `sample`."""
        return cls(
            at=format_timestamp(sample.at_ms),
            proofs_accepted=sample.proofs_accepted,
            proofs_finalised=sample.proofs_finalised,
            proofs_refused=sample.proofs_refused,
            finality_p50_ms=sample.finality_p50_ms,
            finality_p95_ms=sample.finality_p95_ms,
            loop_lag_p95_ms=sample.loop_lag_p95_ms,
            height=sample.height,
            mempool_proofs=sample.mempool_proofs,
            peers=sample.peers,
            resident_bytes=sample.resident_bytes,
        )


class LoadAnswer(Answer):
    """What the node remembers of its load: of the last hour, or since it was started."""

    ok: Literal[True] = True
    every_seconds: int = Field(default=SAMPLE_SECONDS, examples=[SAMPLE_SECONDS])
    samples: list[LoadSampleAnswer] = Field(description="The oldest first; the first comes so long after the start.")
    timestamp: TimestampText


def _hash_text(value: bytes | None) -> str | None:
    return None if value is None else hex_text(value)


def _vote_text(vote: bytes | None) -> str | None:
    return "nil" if vote == b"" else _hash_text(vote)
