"""A chain whose validator set changes, and the links between its sets that a node on it keeps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from consensus.commit import commit_of
from consensus.evidence import contradiction
from consensus.messages import Commit, Evidence, PreCommit
from step_node.batch.batch import Batch
from step_node.chain.chain import Chain
from step_node.chain.genesis import Genesis
from step_node.crypto.eip191 import sign
from step_node.operations.operation import Operation
from step_node.parameters import USTEP_PER_STEP
from step_node.snapshot.validator_sets import ValidatorSetLinks
from tests.support.chains import CHAIN_ID, make_genesis, open_chain, validator_names
from tests.support.operations import register, rotate
from tests.support.proofs import address, private_key, signed_proof

NEWCOMERS = tuple(f"newcomer-{index}" for index in range(8))
EPOCH_BATCHES = 2

_NAME_OF = {address(name): name for name in (*validator_names(16), *NEWCOMERS, *(f"again-{one}" for one in range(64)))}


def name_of(validator: bytes) -> str:
    """The name whose key has this address."""
    return _NAME_OF[validator]


def changing_genesis(validators: int = 4) -> Genesis:
    """Epochs of two batches, and an account that can pay stakes."""
    return make_genesis(
        validators, allocations={"cold": 10**6 * USTEP_PER_STEP}, epoch_batches=EPOCH_BATCHES, moratorium_ms=0
    )


class ChangingChain:
    """Made by `begin`. `commits[h]` is what this node finalised height h with."""

    def __init__(self, chain: Chain, set_links: ValidatorSetLinks) -> None:
        self.chain = chain
        self.set_links = set_links
        self._registered = 0
        self._rotated = 0

    @classmethod
    async def begin(cls, genesis: Genesis, set_links: ValidatorSetLinks | None = None) -> ChangingChain:
        set_links = set_links or ValidatorSetLinks(None, genesis)
        chain = await open_chain(genesis)
        await set_links.begin(chain.validators)
        return cls(chain, set_links)

    @property
    def members(self) -> list[str]:
        """The names of the validators of the next height."""
        return [name_of(one.address) for one in self.chain.validators]

    async def grow(
        self,
        batches: int = 1,
        *,
        operations: Sequence[Operation] = (),
        culprit: str | None = None,
        absent: Collection[str] = (),
    ) -> None:
        """Finalise so many batches; the first has the operations, and slashes `culprit`. `absent` do not sign."""
        for number in range(batches):
            chain, height = self.chain, self.chain.next_height
            proofs = [signed_proof(f"walker-{height}", lat=height % 80 + 0.5, nonce=f"n-{height}")]
            evidence = [] if culprit is None or number else [double_sign(culprit, height)]
            judged = await chain.build(
                proofs,
                round_number=0,
                proposer=chain.validators.proposer(height, 0).address,
                evidence=[(piece, chain.offence_in(piece)) for piece in evidence],
                operations=[] if number else operations,
            )
            assert judged is not None
            assert len(judged.batch.evidence) == len(evidence)
            assert len(judged.batch.operations) == (0 if number else len(operations))
            signers = [name for name in self.members if name not in absent]
            await chain.finalise(judged, commit_by(judged.batch, signers))
            assert chain.last_commit is not None
            await self.set_links.after_batch(judged.batch, chain.last_commit, chain.validators)

    async def to_epoch_end(self) -> None:
        """On to the height at which waiting changes of the set are made."""
        await self.grow(EPOCH_BATCHES - self.chain.head.chain.height % EPOCH_BATCHES)

    async def rotate(self, *names: str) -> None:
        """These members get new keys, at once."""
        operations = []
        for name in names:
            fresh = f"again-{self._rotated}"
            self._rotated += 1
            owner = next(one for one in self.chain.head.validators if one.address == address(name)).owner
            sequence = await self.chain.storage.account(owner)
            operations.append(rotate(name_of(owner), name, fresh, 0 if sequence is None else sequence.operations))
        await self.grow(operations=operations)
        await self.to_epoch_end()

    async def register(self) -> None:
        """One more validator joins the set."""
        count = len(self.members)
        await self.grow(operations=[register("cold", NEWCOMERS[self._registered], self._registered)])
        self._registered += 1
        while len(self.members) == count:
            await self.grow()

    async def slash(self, name: str) -> None:
        """A member signs twice, and is out."""
        await self.grow(culprit=name)
        assert name not in self.members


def double_sign(name: str, height: int) -> Evidence:
    """Two votes of `name` for one height and round."""
    one, other = (signed_vote(PreCommit(height, 0, bytes([byte]) * 32, address(name)), name) for byte in (1, 2))
    return contradiction(one, other)


def signed_vote(vote: PreCommit, name: str) -> PreCommit:
    return replace(vote, signature=sign(vote.signing_line(CHAIN_ID), private_key(name)))


def commit_by(batch: Batch, names: Sequence[str]) -> Commit:
    """The commit of `batch` by those with these names."""
    return commit_of(signed_vote(PreCommit(batch.header.height, 0, batch.hash, address(name)), name) for name in names)
