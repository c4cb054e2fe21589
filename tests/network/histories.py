"""Chains whose validators register, rotate their keys, leave, withdraw and are slashed, as each height left them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from consensus.messages import (
    Commit,
    Evidence,
    Message,
    PreCommit,
    PreVote,
    ProofBatch,
    SignedMessage,
    TimeoutMessage,
    encode_message,
)
from consensus.values import TimeoutKind
from step_node.batch.batch import encode_batch
from step_node.chain.chain import Chain
from step_node.chain.judging import JudgedBatch
from step_node.crypto.eip191 import sign
from step_node.ledger.state import StateHead
from step_node.mempool.pool import Mempool
from step_node.operations.operation import Operation, encode_operation
from step_node.parameters import USTEP_PER_STEP
from step_node.snapshot.validator_sets import ValidatorSetLinks
from tests.snapshot.changing_chain import commit_by, double_sign
from tests.support.chains import CHAIN_ID, make_genesis, open_chain, validator_names
from tests.support.clock import SetClock
from tests.support.operations import register, rotate, unbond, withdraw
from tests.support.proofs import START_MS, address, private_key, signed_proof

GENESIS = make_genesis(
    4,
    allocations={"cold": 10**7 * USTEP_PER_STEP},
    epoch_batches=2,
    moratorium_ms=0,
    unbonding_ms=3_000,
    jail_ms=3_000,
)
"""Short epochs, and short locks, so that a dozen batches see whole lives."""
INTERVAL_MS = 1_000
STRANGER = "stranger"

Step = tuple[Literal["register", "rotate", "unbond", "withdraw", "slash", "nothing"], int]
"""What a batch does besides holding a proof, and to whom, by turns, of those to whom it can be done."""


@dataclass
class History:
    """`heads[i]`, `commits[i]` and `batches[i]` are of height i; of height 0 there is only the head."""

    chain: Chain
    heads: list[StateHead] = field(default_factory=list)
    commits: list[Commit | None] = field(default_factory=list)
    batches: list[JudgedBatch | None] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    names: dict[bytes, str] = field(default_factory=dict)
    """Address -> name, of every key that was ever heard of."""
    links: ValidatorSetLinks = field(default_factory=lambda: ValidatorSetLinks(None, GENESIS))

    @property
    def height(self) -> int:
        """The last."""
        return len(self.heads) - 1

    def at(self, height: int) -> Chain:
        """The chain as a node sees it that has come so far, over the store of one that has come to the end."""
        return Chain(
            genesis=GENESIS,
            storage=self.chain.storage,
            head=self.heads[height],
            last_commit=self.commits[height],
            clock=SetClock(START_MS),
            known=Mempool().get,
        )

    async def grown_to(self, height: int) -> Chain:
        """The same, with a store of its own."""
        chain = await open_chain(GENESIS)
        for judged, commit in zip(self.batches[1 : height + 1], self.commits[1 : height + 1], strict=True):
            assert judged is not None
            assert commit is not None
            await chain.finalise(judged, commit)
        return chain

    async def links_at(self, height: int) -> ValidatorSetLinks:
        """The links between its sets that such a node keeps."""
        links = ValidatorSetLinks(None, GENESIS)
        await links.begin(self.at(0).validators)
        for one in range(1, height + 1):
            judged, commit = self.batches[one], self.commits[one]
            assert judged is not None
            assert commit is not None
            await links.after_batch(judged.batch, commit, self.at(one).validators)
        return links

    def signed(self, message: SignedMessage) -> SignedMessage:
        """The message as its validator signs it."""
        name = self.names[message.signer]
        return replace(message, signature=sign(message.signing_line(CHAIN_ID), private_key(name)))

    def messages(self) -> list[Message]:
        """Of every height, and some more, what anybody who ever had a key could sign; and the real commits."""
        messages: list[Message] = [commit for commit in self.commits if commit is not None]
        for height in range(1, self.height + 4):
            judged = self.batches[height] if height <= self.height else None
            batch_hash = b"\x01" * 32 if judged is None else judged.batch.hash
            for signer, name in self.names.items():
                messages += [
                    self.signed(PreVote(height, 0, batch_hash, signer)),
                    self.signed(PreCommit(height, 0, batch_hash, signer)),
                    self.signed(TimeoutMessage(height, 0, TimeoutKind.PRE_COMMIT, signer)),
                    double_sign(name, height),
                ]
                if judged is not None:
                    proposal = ProofBatch(height, 0, -1, batch_hash, encode_batch(judged.batch), signer)
                    messages.append(self.signed(proposal))
        return messages

    def forgeries(self) -> list[bytes]:
        """Some of them under the wrong signature."""
        wrong = sign("nothing of this", private_key(STRANGER))
        forged: list[Message] = []
        for message in self.messages()[::7]:
            match message:
                case Commit():
                    first, *others = message.signatures
                    forged.append(replace(message, signatures=(replace(first, signature=wrong), *others)))
                case Evidence():
                    forged.append(replace(message, first=replace(message.first, signature=wrong)))
                case _:
                    forged.append(replace(message, signature=wrong))
        return [encode_message(message) for message in forged]

    def encoded_operations(self) -> list[bytes]:
        """As they are gossiped."""
        return [encode_operation(operation) for operation in self.operations]


async def history_of(steps: Sequence[Step]) -> History:
    """A batch for each step; one that can be done to nobody just makes a batch."""
    clock = SetClock(START_MS)
    history = History(await open_chain(GENESIS, clock=clock))
    history.names = {address(name): name for name in (*validator_names(4), STRANGER)}
    await history.links.begin(history.chain.validators)
    note(history, None)
    for step in steps:
        clock.advance(INTERVAL_MS)
        await make_batch(history, step, clock)
    return history


async def make_batch(history: History, step: Step, clock: SetClock) -> None:
    chain, height = history.chain, history.chain.next_height
    kind, whom = step
    evidence = []
    if kind == "slash" and len(chain.validators) > 1:
        culprit = chain.validators.validators[whom % len(chain.validators)].address
        evidence = [double_sign(history.names[culprit], height)]
    operations = [] if kind in ("slash", "nothing") else await possible_operations(history, kind)
    operations = operations[whom % len(operations) :][:1] if operations else []
    judged = await chain.build(
        [signed_proof(f"walker-{height}", lat=height % 80 + 0.5, nonce=f"n-{height}", timestamp_ms=clock.now_ms())],
        round_number=0,
        proposer=chain.validators.proposer(height, 0).address,
        evidence=[(piece, chain.offence_in(piece)) for piece in evidence],
        operations=operations,
    )
    assert judged is not None
    commit = commit_by(judged.batch, [history.names[one.address] for one in chain.validators])
    await chain.finalise(judged, commit)
    await history.links.after_batch(judged.batch, commit, chain.validators)
    history.operations += operations
    note(history, judged)


async def possible_operations(history: History, kind: str) -> list[Operation]:
    """Those of this kind that the next batch can hold."""
    chain, names = history.chain, history.names
    fresh = f"key-{history.height}"
    candidates: list[Operation] = []
    for owner in dict.fromkeys([address("cold"), *(record.owner for record in chain.head.validators)]):
        account = await chain.storage.account(owner)
        sequence = 0 if account is None else account.operations
        cold = "cold" if owner == address("cold") else names[owner]
        if kind == "register":
            candidates.append(register(cold, fresh, sequence))
        for record in chain.head.validators:
            if record.owner != owner or kind == "register":
                continue
            hot = names[record.address]
            candidates.append(
                {
                    "rotate": lambda cold=cold, hot=hot, n=sequence: rotate(cold, hot, fresh, n),
                    "unbond": lambda cold=cold, hot=hot, n=sequence: unbond(cold, hot, n),
                    "withdraw": lambda cold=cold, hot=hot, n=sequence: withdraw(cold, hot, n),
                }[kind]()
            )
    refusals = await chain.operation_refusals(candidates)
    possible = [one for one, refused in zip(candidates, refusals, strict=True) if refused is None]
    if possible and kind in ("register", "rotate"):
        names[address(fresh)] = fresh
    return possible


def note(history: History, judged: JudgedBatch | None) -> None:
    history.heads.append(history.chain.head)
    history.commits.append(history.chain.last_commit)
    history.batches.append(judged)
