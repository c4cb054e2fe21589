"""The topics: what is refused, as whose fault, and that it goes no further than the first honest node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from consensus.messages import (
    MESSAGE_BYTES_MAX,
    Evidence,
    EvidenceKind,
    Message,
    PreCommit,
    PreVote,
    ProofBatch,
    SignedMessage,
    TimeoutMessage,
    decode_message,
    encode_message,
)
from consensus.values import TimeoutKind
from p2p.memory import MemoryHub, MemoryNetwork
from p2p.network import Fault, PeerId
from p2p.penalties import PENALTY_POINTS
from step_node.batch.batch import MalformedBatch, decode_batch, encode_batch
from step_node.chain import chain as chain_module
from step_node.chain.chain import Chain
from step_node.crypto.eip191 import sign
from step_node.crypto.lines import recover_signer
from step_node.network import consensus_judge, gossip
from step_node.network.consensus_judge import (
    ELSEWHERE_COMMITS_RATE,
    SAID_SECONDS,
    ConsensusGossipMessage,
    ConsensusJudge,
    Refused,
)
from step_node.network.gossip import Topic, consensus_gossip, operations_gossip, proofs_gossip
from step_node.network.proposals import SMALL_BATCH_BYTES_MAX, Proposals
from step_node.network.protocols import consensus_topic, proofs_topic
from step_node.offload import offload_of_task
from step_node.operations.operation import Operation, encode_operation
from step_node.proofs.wire import BUNDLE_BYTES_MAX, CheckedBundle, encode_bundle
from tests.support.chains import CHAIN_ID, build, commit_for, finalise, make_genesis, open_chain, validator_names
from tests.support.operations import register
from tests.support.operations import signed as signed_operation
from tests.support.proofs import address, private_key, signed_proof

T = TypeVar("T")

GENESIS = make_genesis(4)
NAMES = validator_names(4)
HASH, OTHER_HASH = b"\x01" * 32, b"\x02" * 32


def signed(message: SignedMessage, name: str, *, chain_id: str = CHAIN_ID) -> SignedMessage:
    return replace(message, signature=sign(message.signing_line(chain_id), private_key(name)))


def pre_vote(name: str, batch_hash: bytes | None = HASH, height: int = 1) -> PreVote:
    message = signed(PreVote(height, 0, batch_hash, address(name)), name)
    assert isinstance(message, PreVote)
    return message


async def proposal(chain: Chain) -> ProofBatch:
    judged = await build(chain, [signed_proof("alice")])
    proposer = next(name for name in NAMES if address(name) == judged.batch.header.proposer)
    unsigned = ProofBatch(1, 0, -1, judged.batch.hash, encode_batch(judged.batch), judged.batch.header.proposer)
    message = signed(unsigned, proposer)
    assert isinstance(message, ProofBatch)
    return message


def evidence() -> Evidence:
    return Evidence(EvidenceKind.DOUBLE_SIGN, pre_vote(NAMES[0]), pre_vote(NAMES[0], OTHER_HASH))


async def good_messages(chain: Chain) -> dict[str, Message]:
    judged = await build(chain, [signed_proof("alice")])
    return {
        "proposal": await proposal(chain),
        "pre-vote": pre_vote(NAMES[0]),
        "pre-vote for nil": pre_vote(NAMES[0], None),
        "pre-commit": signed(PreCommit(1, 3, HASH, address(NAMES[1])), NAMES[1]),
        "timeout": signed(TimeoutMessage(1, 0, TimeoutKind.PRE_VOTE, address(NAMES[2])), NAMES[2]),
        "commit": commit_for(judged.batch, NAMES[:3]),
        "evidence": evidence(),
        "a vote of the height after": pre_vote(NAMES[0], height=2),
    }


async def test_good_messages_of_every_kind_pass_as_they_are() -> None:
    chain = await open_chain(GENESIS)
    for message in (await good_messages(chain)).values():
        assert ConsensusJudge(chain).judge(encode_message(message)).message == message


async def test_a_proposal_is_judged_by_its_header_and_its_body_is_decoded_off_the_event_loop_if_it_is_long() -> None:
    off_the_loop = 0

    async def offload(work: Callable[[], T], /) -> T:
        nonlocal off_the_loop
        off_the_loop += 1
        return work()

    offload_of_task.set(offload)
    chain = await open_chain(GENESIS)
    small = await proposal(chain)
    proposals = Proposals(known=lambda _: None, batch_of=lambda _: None, is_fresh=lambda _: False)
    assert (await proposals.decoded(small)).hash == small.batch_hash
    assert off_the_loop == 0
    # The header is the one proposed, the body is not the header's: whoever passes it on cannot know.
    body_at = small.batch.index(b"\xa4body")
    spoilt = bytearray(small.batch)
    spoilt[body_at + 40] ^= 1
    judged = ConsensusJudge(chain).judge(encode_message(replace(small, batch=bytes(spoilt))))
    assert isinstance(judged.message, ProofBatch)
    with pytest.raises(MalformedBatch):
        await proposals.decoded(judged.message)
    long = replace(small, batch=small.batch + bytes(SMALL_BATCH_BYTES_MAX))
    with pytest.raises(MalformedBatch):
        await proposals.decoded(long)
    assert off_the_loop == 1


async def bad_messages(chain: Chain) -> dict[str, tuple[bytes, Fault]]:
    good = await good_messages(chain)
    proposed = await proposal(chain)
    other = await build(chain, [signed_proof("bob")])
    proposer = next(name for name in NAMES if address(name) == proposed.proposer)
    commit = commit_for((await build(chain, [signed_proof("alice")])).batch, NAMES[:3])
    accusation = evidence()

    def another_signer(message: Message) -> bytes:
        assert isinstance(message, PreVote)
        return encode_message(signed(message, NAMES[3]))

    flipped = bytearray(encode_message(good["pre-commit"]))
    flipped[-1] ^= 1
    return {
        "garbage": (b"\x00garbage", Fault.MALFORMED),
        "nothing": (b"", Fault.MALFORMED),
        "more than one message": (encode_message(good["timeout"]) + b"\x00", Fault.MALFORMED),
        "an unsigned vote": (encode_unsigned(PreVote(1, 0, HASH, address(NAMES[0]))), Fault.MALFORMED),
        "another's signature": (another_signer(good["pre-vote"]), Fault.BAD_SIGNATURE),
        "a signature for another chain": (
            encode_message(signed(PreVote(1, 0, HASH, address(NAMES[0])), NAMES[0], chain_id="step-other-1")),
            Fault.BAD_SIGNATURE,
        ),
        "a signature of no form": (
            encode_message(replace(pre_vote(NAMES[0]), signature=bytes(65))),
            Fault.BAD_SIGNATURE,
        ),
        "a batch that is none": (
            encode_message(signed(replace(proposed, batch=b"no batch"), proposer)),
            Fault.MALFORMED,
        ),
        "a batch of another identity": (
            encode_message(replace(proposed, batch=encode_batch(other.batch))),
            Fault.INVALID_DATA,
        ),
        "a commit of another batch": (encode_message(replace(commit, batch_hash=HASH)), Fault.BAD_SIGNATURE),
        "a made-up commit of a later height": (encode_message(replace(commit, height=2)), Fault.BAD_SIGNATURE),
        "evidence of nothing": (
            encode_message(replace(accusation, second=accusation.first)),
            Fault.BAD_SIGNATURE,
        ),
        "made-up evidence": (
            encode_message(replace(accusation, second=replace(pre_vote(NAMES[0]), batch_hash=OTHER_HASH))),
            Fault.BAD_SIGNATURE,
        ),
    }


def encode_unsigned(message: PreVote) -> bytes:
    encoded = encode_message(replace(message, signature=bytes(65)))
    return encoded.replace(b"\xc4\x41" + bytes(65), b"\xc4\x00")


@dataclass
class Line:
    """Three nodes in a row: what the first publishes reaches the last only through the one in the middle."""

    networks: list[MemoryNetwork]
    chains: list[Chain]
    consensus: list[Topic[ConsensusGossipMessage]]
    proofs: list[Topic[CheckedBundle]]
    operations: list[Topic[Operation]] = field(default_factory=list)
    refused: list[tuple[str, Fault]] = field(default_factory=list)

    def faults(self) -> list[dict[Fault, int]]:
        return [dict(network.statistics().penalties) for network in self.networks]

    def delivered(self, topic: str) -> list[int]:
        return [network.statistics().topics[topic].messages_in for network in self.networks]


@asynccontextmanager
async def three_in_a_row(*, middle_is_behind: bool = False) -> AsyncIterator[Line]:
    hub = MemoryHub()
    hub.cut("a", "c")
    async with AsyncExitStack() as stack:
        networks = [await stack.enter_async_context(hub.join(name)) for name in ("a", "b", "c")]
        chains = [await open_chain(GENESIS) for _ in networks]
        if middle_is_behind:
            for chain in (chains[0], chains[2]):
                await finalise(chain, [signed_proof("first", nonce="first")])
        line = Line(networks, chains, [], [])

        def note(topic: str, _sender: PeerId, error: Refused) -> None:
            line.refused.append((topic, error.fault))

        for network, chain in zip(networks, chains, strict=True):
            line.consensus.append(consensus_gossip(network, ConsensusJudge(chain), CHAIN_ID, note))
            line.proofs.append(proofs_gossip(network, CHAIN_ID, note))
            line.operations.append(operations_gossip(network, CHAIN_ID, note))
            await network.start()
        yield line


BAD = (
    "garbage",
    "nothing",
    "more than one message",
    "an unsigned vote",
    "another's signature",
    "a signature for another chain",
    "a signature of no form",
    "a batch that is none",
    "a batch of another identity",
    "a commit of another batch",
    "a made-up commit of a later height",
    "evidence of nothing",
    "made-up evidence",
)


@pytest.mark.parametrize("middle_is_behind", [False, True])
@pytest.mark.parametrize("case", BAD)
async def test_a_bad_message_is_its_senders_fault_and_goes_no_further(case: str, middle_is_behind: bool) -> None:
    """Also through a node that is a height behind: it must not pass on what the next would punish it for."""
    data, fault = (await bad_messages(await open_chain(GENESIS)))[case]
    async with three_in_a_row(middle_is_behind=middle_is_behind) as line:
        await line.networks[0].publish(consensus_topic(CHAIN_ID), data)
        assert line.faults() == [{}, {fault: 1}, {}]
        assert line.delivered(consensus_topic(CHAIN_ID)) == [0, 0, 0]
        assert line.refused == [(consensus_topic(CHAIN_ID), fault)]


async def messages_for_others(chain: Chain) -> dict[str, tuple[bytes, Fault]]:
    """What a node elsewhere on the chain may know to be good: the faults cost nothing."""
    judged = await build(chain, [signed_proof("alice")])
    later = replace(judged.batch, header=replace(judged.batch.header, height=7))
    commit = commit_for(judged.batch, NAMES[:3])
    unsigned = replace(pre_vote(NAMES[0], height=9), signature=bytes(65))
    return {
        "a vote of no validator": (encode_message(pre_vote("mallory")), Fault.UNVERIFIABLE),
        "a vote of no validator of the height after": (
            encode_message(pre_vote("newcomer", height=2)),
            Fault.UNVERIFIABLE,
        ),
        "a vote of a height far ahead": (encode_message(pre_vote(NAMES[0], height=9)), Fault.UNVERIFIABLE),
        "one that nobody has signed": (encode_message(unsigned), Fault.UNVERIFIABLE),
        "a commit without a quorum": (
            encode_message(replace(commit, signatures=commit.signatures[:2])),
            Fault.UNVERIFIABLE,
        ),
        "a later commit by a set that is not known": (
            encode_message(commit_for(later, [*NAMES[:2], "newcomer"])),
            Fault.UNVERIFIABLE,
        ),
        "later evidence": (
            encode_message(
                Evidence(
                    EvidenceKind.DOUBLE_SIGN,
                    pre_vote(NAMES[0], height=7),
                    pre_vote(NAMES[0], OTHER_HASH, height=7),
                )
            ),
            Fault.UNVERIFIABLE,
        ),
        "evidence against one that is not known": (
            encode_message(Evidence(EvidenceKind.DOUBLE_SIGN, pre_vote("newcomer"), pre_vote("newcomer", OTHER_HASH))),
            Fault.UNVERIFIABLE,
        ),
    }


async def test_what_cannot_be_judged_here_goes_no_further_and_costs_nothing() -> None:
    for case, (data, fault) in (await messages_for_others(await open_chain(GENESIS))).items():
        async with three_in_a_row() as line:
            await line.networks[0].publish(consensus_topic(CHAIN_ID), data)
            assert line.refused == [(consensus_topic(CHAIN_ID), fault)], case
            assert line.delivered(consensus_topic(CHAIN_ID)) == [0, 0, 0]
            assert PENALTY_POINTS[fault] == 0


@pytest.fixture
def recovered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines whose signers are recovered."""
    lines: list[str] = []

    def recover(line: str, signature: bytes) -> bytes:
        lines.append(line)
        return recover_signer(line, signature)

    for module in (consensus_judge, chain_module):
        monkeypatch.setattr(module, "recover_signer", recover)
    return lines


async def test_what_can_be_of_no_use_here_costs_no_signature(recovered: list[str]) -> None:
    chain = await open_chain(GENESIS)
    for index in range(3):
        await finalise(chain, [signed_proof(f"account-{index}", lat=float(index))])
    old = [pre_vote(NAMES[0], height=height) for height in (0, 1, 2)]
    far_ahead = [pre_vote(NAMES[0], height=height) for height in (6, 7, 2**63 - 1)]
    strangers = [pre_vote("mallory", height=height) for height in (3, 4, 5)]
    judge = ConsensusJudge(chain)
    for fault, votes in ((Fault.STALE, old), (Fault.UNVERIFIABLE, far_ahead), (Fault.UNVERIFIABLE, strangers)):
        for vote in votes:
            with pytest.raises(Refused) as caught:
                judge.judge(encode_message(vote))
            assert caught.value.fault is fault
            # Who passes on a vote of a height that is far ahead stands at most one height below its signer.
            assert caught.value.told_height == (vote.height - 2 if vote in far_ahead else 0)
    (stored,) = await chain.storage.batches(1, 1)
    with pytest.raises(Refused) as caught:
        judge.judge(encode_message(commit_for(decode_batch(stored.batch), NAMES)))
    assert caught.value.fault is Fault.STALE
    assert recovered == []


async def test_a_replayed_commit_is_verified_once_a_second_and_others_within_a_share(
    recovered: list[str], autojump_clock: MockClock
) -> None:
    """Commits of heights far ahead, that the members of the set have signed once, and somebody has recorded."""
    del autojump_clock
    chain = await open_chain(GENESIS)
    judge = ConsensusJudge(chain)
    header = (await build(chain, [signed_proof("alice")])).batch
    ahead = [
        encode_message(commit_for(replace(header, header=replace(header.header, height=height)), NAMES))
        for height in range(2, 102)
    ]

    def passed(commits: list[bytes]) -> int:
        count = 0
        for commit in commits:
            with suppress(Refused):
                judge.judge(commit)
                count += 1
        return count

    assert passed([ahead[0]] * 100) == 1
    assert len(recovered) == 4
    await trio.sleep(SAID_SECONDS)
    assert passed([ahead[0]] * 100) == 1
    burst = int(ELSEWHERE_COMMITS_RATE.messages_burst)
    assert passed(ahead * 3) <= burst
    assert len(recovered) <= 4 * (burst + 2)
    await trio.sleep(1)
    assert passed(ahead * 3) <= ELSEWHERE_COMMITS_RATE.messages_per_second + 1
    # Those of the next height have no part in that share.
    assert passed([encode_message(commit_for(header, NAMES))]) == 1


async def test_the_own_signature_is_heard_from_any_height() -> None:
    """Where a node is behind, and where it knows of no such validator yet."""
    chain = await open_chain(GENESIS)
    for own in (NAMES[0], "newcomer"):
        judge = ConsensusJudge(chain, own_address=address(own))
        votes = [pre_vote(own, height=height) for height in (1, 2, 3, 10**9)]
        forged = replace(pre_vote(own, height=4), signature=votes[0].signature)
        for vote in (*votes, forged, pre_vote(NAMES[1], height=2)):
            with suppress(Refused):
                judge.judge(encode_message(vote))
        assert [judge.own_messages.receive_nowait() for _ in votes] == votes
        with pytest.raises(trio.WouldBlock):
            judge.own_messages.receive_nowait()


async def test_the_own_signature_is_heard_from_a_process_with_the_own_peer_id() -> None:
    """It is not delivered, and the neighbour that passes it on is not at fault, even if it is garbage."""
    hub = MemoryHub()
    async with AsyncExitStack() as stack:
        judges, topics, networks = [], [], []
        for name in ("shared", "third", "shared"):
            network = await stack.enter_async_context(hub.join(name, twin=name == "shared"))
            judge = ConsensusJudge(await open_chain(GENESIS), own_address=address(NAMES[0]))
            topics.append(consensus_gossip(network, judge, CHAIN_ID, lambda _topic, _sender, _refused: None))
            await network.start()
            judges.append(judge)
            networks.append(network)
        vote = pre_vote(NAMES[0])
        await topics[0].publish(encode_message(vote))
        assert judges[2].own_messages.receive_nowait() == vote
        await topics[0].publish(b"garbage")
        with pytest.raises(trio.WouldBlock):
            judges[0].own_messages.receive_nowait()
        with trio.move_on_after(0.01):
            pytest.fail(f"{await anext(topics[2])} was delivered")
        assert networks[2].statistics().penalties == {}


async def test_operations_reach_everybody_and_forged_ones_nobody() -> None:
    good = register("alice", "hot", 0)
    async with three_in_a_row() as line:
        await line.operations[0].publish(encode_operation(good))
        for topic in line.operations[1:]:
            assert (await anext(topic))[1] == good
        await line.operations[0].publish(encode_operation(signed_operation(good, cold="bob")))
        await line.operations[0].publish(b"\x00")
        assert line.faults() == [{}, {Fault.BAD_SIGNATURE: 1, Fault.MALFORMED: 1}, {}]


async def test_every_bad_message_has_its_test() -> None:
    assert tuple(await bad_messages(await open_chain(GENESIS))) == BAD


async def test_good_messages_reach_everybody_decoded() -> None:
    async with three_in_a_row() as line:
        for message in (await good_messages(line.chains[0])).values():
            await line.consensus[0].publish(encode_message(message))
            for topic, sender in ((line.consensus[1], "a"), (line.consensus[2], "b")):
                found_sender, found = await anext(topic)
                assert (found_sender, found.message) == (sender, message)
        assert line.faults() == [{}, {}, {}]


async def test_a_message_over_the_limit_is_charged_and_goes_no_further() -> None:
    async with three_in_a_row() as line:
        line.networks[0]._subscriptions[proofs_topic(CHAIN_ID)].message_bytes_max = MESSAGE_BYTES_MAX
        await line.networks[0].publish(proofs_topic(CHAIN_ID), bytes(BUNDLE_BYTES_MAX + 1))
        assert line.faults() == [{}, {Fault.OVERSIZED: 1}, {}]


async def test_bundles_reach_everybody_and_garbage_nobody() -> None:
    proofs = (signed_proof("alice"), signed_proof("bob"))
    async with three_in_a_row() as line:
        await line.proofs[0].publish(encode_bundle(proofs))
        for topic in line.proofs[1:]:
            assert (await anext(topic))[1].decode(0, 2) == proofs
        await line.proofs[0].publish(b"\x00")
        assert line.faults() == [{}, {Fault.MALFORMED: 1}, {}]


async def test_a_message_that_waited_until_it_was_forgotten_is_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "CONSENSUS_BUFFER_MESSAGES", 2)
    async with three_in_a_row() as line:
        votes = [pre_vote(name) for name in NAMES]
        for vote in votes:
            await line.consensus[0].publish(encode_message(vote))
        assert [(await anext(line.consensus[1]))[1].message for _ in range(2)] == votes[:2]
        assert len(line.consensus[1]._decoded) <= 2


async def test_a_topic_ends_with_its_network() -> None:
    async with three_in_a_row() as line:
        topic = line.consensus[0]
    with trio.fail_after(5):
        assert [item async for item in topic] == []


@given(st.binary(max_size=300))
def test_garbage_is_refused_and_nothing_else_happens(data: bytes) -> None:
    async def decode() -> None:
        chain = await open_chain(GENESIS)
        with pytest.raises(Refused) as caught:
            ConsensusJudge(chain).judge(data)
        assert caught.value.fault is Fault.MALFORMED

    trio.run(decode)


async def test_any_flipped_byte_of_a_vote_is_refused_or_says_the_same() -> None:
    chain = await open_chain(GENESIS)
    encoded = encode_message(pre_vote(NAMES[0]))
    for position in range(len(encoded)):
        flipped = bytearray(encoded)
        flipped[position] ^= 0x01
        with pytest.raises(Refused):
            ConsensusJudge(chain).judge(bytes(flipped))
    assert decode_message(encoded) == pre_vote(NAMES[0])
