"""What one look at some nodes has found: plain values, and how they are read out of nodes' answers.

Whatever listens at an address may be no node at all. Its answers are taken apart by the models below, which keep only
what is shown, and refuse the rest as `UnreadableReading`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite
from typing import Annotated, Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from consensus.values import VALIDATORS_MAX
from step_node.errors import describe_validation_error

HEIGHTS_WATCHED_MAX: Final = 100
"""The last heights whose commits are looked at, for the participation; of older ones nothing is kept."""

_PEERS_MAX: Final = 1_000
"""As many as a node connects to at most (`p2p.connections_max`); an answer with more is refused."""

_BUCKET: Final = re.compile(
    r'^step_proof_finality_seconds_bucket\{le="([0-9.e+-]{1,20}|\+Inf)"\} ([0-9.e+]{1,24})$', re.MULTILINE
)
_PLACES: Final = re.compile(r"^step_mempool_proofs_max ([0-9.e+]{1,24})$", re.MULTILINE)


class UnreadableReading(Exception):
    """An answer that is none of a node's; the message names the field and the rule."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


Text = Annotated[str, Field(max_length=200)]
Count = Annotated[int, Field(ge=0, le=2**63)]


class Peer(_Part):
    """A peer of a node, as the node tells it."""

    peer_id: Text
    address: Annotated[str, Field(max_length=1_000)]
    direction: Text
    version: Text | None
    height: Count | None
    validator: Text | None


class Status(_Part):
    """Of `GET /status`."""

    version: Text
    chain_id: Text
    height: Count
    syncing: bool
    mempool_proofs: Count
    validator_address: Text | None
    peers: Annotated[tuple[Peer, ...], Field(max_length=_PEERS_MAX)]


class Voter(_Part):
    """A member of the set, and its votes in the present round: a hash, `nil`, or None while there is none here."""

    address: Text
    is_self: bool
    is_connected: bool
    pre_vote: Text | None
    pre_commit: Text | None


class Consensus(_Part):
    """Of `GET /consensus`."""

    height: Count
    round: int
    step: Text
    step_since: Text
    takes_part: bool
    proposer: Text
    quorum: Count
    validators: Annotated[tuple[Voter, ...], Field(max_length=VALIDATORS_MAX)]


class Reason(_Part):
    """One thing that is wrong."""

    code: Text
    message: Annotated[str, Field(max_length=2_000)]


class Health(_Part):
    """Of `GET /health`, whichever its status."""

    status: Text
    reasons: Annotated[tuple[Reason, ...], Field(max_length=100)] = ()


class _Signature(_Part):
    validator: Text


class _Commit(_Part):
    signatures: Annotated[tuple[_Signature, ...], Field(max_length=VALIDATORS_MAX)]


class _Batch(_Part):
    commit: _Commit


P = TypeVar("P", bound=_Part)


def read_part(model: type[P], document: object) -> P:
    """`document`, which came as JSON, as one of the parts above. Raises UnreadableReading."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise UnreadableReading(describe_validation_error(error)) from error


def signers_of(document: object) -> frozenset[str]:
    """Whose votes stand in the commit of a `GET /batch/{height}`. Raises UnreadableReading."""
    return frozenset(one.validator for one in read_part(_Batch, document).commit.signatures)


@dataclass(frozen=True, slots=True)
class Finality:
    """How long proofs took from their acceptance to their finality: how many took up to so many seconds."""

    counts: Mapping[float, float] = field(default_factory=dict)
    """Upper bound in seconds (the last is infinite) -> proofs within it."""

    @classmethod
    def of(cls, metrics: str) -> Self:
        """Out of the text of `GET /metrics`; empty if it is not there."""
        try:
            counts = {float(bound): float(count) for bound, count in _BUCKET.findall(metrics)}
        except ValueError as error:
            raise UnreadableReading(f"metrics: step_proof_finality_seconds: {error}") from error
        if not all(map(isfinite, counts.values())):
            raise UnreadableReading("metrics: step_proof_finality_seconds: a count must be finite")
        return cls(counts)

    def since(self, earlier: Finality) -> Finality:
        """Of the proofs since `earlier`; of all, where the node has begun anew meanwhile."""
        if any(count < earlier.counts.get(bound, 0.0) for bound, count in self.counts.items()):
            return self
        return Finality({bound: count - earlier.counts.get(bound, 0.0) for bound, count in self.counts.items()})

    def quantile_seconds(self, share: float) -> float | None:
        """Within how many seconds this share of the proofs was final, between the bounds as if evenly spread; beyond
        the last finite bound, that bound. None if there were no proofs."""
        bounds = sorted(self.counts)
        if not bounds or self.counts[bounds[-1]] <= 0:
            return None
        wanted = share * self.counts[bounds[-1]]
        for lower, upper in pairwise([0.0, *bounds]):
            below, within = self.counts.get(lower, 0.0), self.counts[upper]
            if within >= wanted:
                if upper == float("inf"):
                    return lower
                return lower + (upper - lower) * (wanted - below) / (within - below) if within > below else upper
        return None


def mempool_places(metrics: str) -> int | None:
    """How many proofs may wait, by the text of `GET /metrics`."""
    found = _PLACES.search(metrics)
    try:
        return None if found is None else int(float(found[1]))
    except (ValueError, OverflowError) as error:
        raise UnreadableReading(f"metrics: step_mempool_proofs_max: {error}") from error


@dataclass(frozen=True, slots=True)
class NodeReading:
    """What a node says of itself."""

    status: Status
    consensus: Consensus
    health: Health
    finality: Finality | None = None
    """Of the proofs of the last minute, or since the node began; None if the API does not serve the metrics."""
    mempool_places: int | None = None


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node, and the last that is known of it. With `trouble` it does not answer now, for `away_seconds` already."""

    url: str
    reading: NodeReading | None
    trouble: str = ""
    away_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Participation:
    """In how many of the heights that were looked at each validator's vote stands in the commit."""

    heights: int = 0
    votes: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, commits: Sequence[frozenset[str]]) -> Self:
        """Out of the signers of each height."""
        votes: dict[str, int] = {}
        for signers in commits:
            for address in signers:
                votes[address] = votes.get(address, 0) + 1
        return cls(len(commits), votes)


@dataclass(frozen=True, slots=True)
class NetworkSeen:
    """One look at all nodes."""

    nodes: tuple[NodeSeen, ...]
    participation: Participation

    @property
    def answering(self) -> list[NodeReading]:
        """Of the nodes that answer now."""
        return [node.reading for node in self.nodes if node.reading is not None and not node.trouble]
