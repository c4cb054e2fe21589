"""A real chain of short epochs, in which validators join, leave, change keys, stay away and are slashed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from consensus.evidence import contradiction
from consensus.messages import Evidence, PreVote
from step_node.chain.chain import Chain
from step_node.chain.judging import JudgedBatch
from step_node.crypto.eip191 import sign
from step_node.economy.fairness.point import ChainPoint
from step_node.ledger.state_gates import clicks_max
from step_node.operations.operation import Operation
from step_node.parameters import USTEP_PER_STEP
from step_node.proofs.proof import SignedProof
from step_node.storage.interface import Storage
from tests.support.chains import CHAIN_ID, commit_for, make_genesis, open_chain, validator_names
from tests.support.clock import SetClock
from tests.support.operations import register, rotate, transfer, unbond
from tests.support.proofs import START_MS, address, private_key, signed_proof

EPOCH_BATCHES = 4
RICH_USTEP = 1_000_000 * USTEP_PER_STEP

NAMES = validator_names(4)
NEWCOMER, SECOND_KEY = "newcomer", "second key"

CLICKS = clicks_max(10)
"""Proofs that a triangle of the seeded level, or of one below, takes."""

PLACES = {"alice": (47.3769, 8.5417), "bob": (-33.86, 151.21), "carol": (40.71, -74.0), "dave": (35.68, 139.69)}
"""Where the accounts of this chain live: no two in one triangle of level 1."""


@dataclass
class EventfulChain:
    """`grow` makes the chain one batch longer; `judged` are all of its batches, `points` where it stood before each."""

    chain: Chain
    clock: SetClock
    judged: list[JudgedBatch] = field(default_factory=list)
    points: list[ChainPoint] = field(default_factory=list)
    proven: Counter[str] = field(default_factory=Counter)

    @classmethod
    async def open(cls, storage: Storage | None = None, **parameters: int) -> EventfulChain:
        genesis = make_genesis(
            4,
            allocations={"cold": RICH_USTEP, "bob": 5 * USTEP_PER_STEP},
            epoch_batches=EPOCH_BATCHES,
            unbonding_ms=1_000,
            moratorium_ms=0,
            **parameters,
        )
        clock = SetClock(START_MS)
        return cls(await open_chain(genesis, storage=storage, clock=clock), clock)

    def proofs(self, *names: str) -> list[SignedProof]:
        """One proof of each, always in the place where it lives: once a triangle is used up, in the one below."""
        return [self._proof(name, *PLACES[name]) for name in names]

    def _proof(self, name: str, lat: float, lon: float) -> SignedProof:
        level = self.chain.parameters.seeded_level + self.proven[name] // CLICKS
        self.proven[name] += 1
        nonce = f"{name}-{self.chain.next_height}"
        return signed_proof(name, lat=lat, lon=lon, level=level, timestamp_ms=self.clock.now_ms(), nonce=nonce)

    async def grow(
        self,
        *names: str,
        operations: Sequence[Operation] = (),
        evidence: Sequence[Evidence] = (),
        absent: Sequence[bytes] = (),
    ) -> JudgedBatch:
        """A batch of a proof of each of these accounts, and these operations; the `absent` do not sign for it."""
        chain = self.chain
        self.clock.advance(1_000)
        self.points.append(ChainPoint.of(chain.head))
        proposer = chain.validators.proposer(chain.next_height, 0).address
        judged = await chain.build(
            self.proofs(*names),
            round_number=0,
            proposer=proposer,
            operations=operations,
            evidence=[(piece, chain.offence_in(piece)) for piece in evidence],
        )
        assert judged is not None
        signers = [
            name
            for name in (*NAMES, NEWCOMER, SECOND_KEY)
            if address(name) in chain.validators and address(name) not in absent
        ]
        await chain.finalise(judged, commit_for(judged.batch, signers))
        self.judged.append(judged)
        return judged

    async def live_through_everything(self) -> None:
        """Twelve batches, three epochs; see the module's docstring."""
        first = address(NAMES[0])
        await self.grow(
            "alice", "bob", operations=[register("cold", NEWCOMER, 0, stake_ustep=250_000 * USTEP_PER_STEP)]
        )
        await self.grow("alice", absent=[first])
        await self.grow("carol", operations=[transfer("bob", "dave", 0, amount_ustep=1_000_000)])
        await self.grow("alice", "bob", "carol", "dave")
        await self.grow("alice", operations=[rotate(NAMES[1], NAMES[1], SECOND_KEY, 0)])
        await self.grow("bob", operations=[unbond(NAMES[2], NAMES[2], 0)])
        await self.grow("dave")
        await self.grow("alice")
        await self.grow("alice", "carol")
        await self.grow(evidence=[double_vote(NAMES[3], self.chain.next_height)])
        await self.grow("bob")
        await self.grow("carol")


def double_vote(name: str, height: int) -> Evidence:
    one, other = (PreVote(height, 0, bytes([byte]) * 32, address(name)) for byte in (1, 2))
    return contradiction(_signed(one, name), _signed(other, name))


def _signed(vote: PreVote, name: str) -> PreVote:
    return replace(vote, signature=sign(vote.signing_line(CHAIN_ID), private_key(name)))
