"""Proofs between nodes: what a client brings reaches everybody, also when gossip loses it; and nothing else does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry
from trio.testing import MockClock

from consensus.wire import encode
from p2p.memory import MemoryHub, MemoryNetwork
from p2p.network import Fault, PeerId, Stream
from step_node.mempool.outcomes import Pending
from step_node.metrics import NodeMetrics
from step_node.network import proof_exchange, protocols
from step_node.network.consensus_judge import Refused
from step_node.network.gossip import proofs_gossip
from step_node.network.proof_exchange import ProofExchange
from step_node.network.protocols import FETCH_BYTES_MAX, FETCH_PROTOCOL, Inventory, ProofsRequest, proofs_topic
from step_node.proofs.proof import RefusalCode
from step_node.proofs.wire import BUNDLE_PROOFS_MAX, decode_bundle, encode_bundle
from tests.mempool.parts import Parts, open_parts
from tests.network.nodes import Answer
from tests.support.chains import CHAIN_ID
from tests.support.proofs import signed_proof
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers are asked what they have every few milliseconds."""
    monkeypatch.setattr(proof_exchange, "INVENTORY_INTERVAL_MS", 5)


@dataclass
class ExchangingNode:
    """A node that takes in proofs and exchanges them."""

    network: MemoryNetwork
    parts: Parts
    exchange: ProofExchange
    registry: CollectorRegistry

    def waiting(self) -> set[bytes]:
        """The ids in its mempool."""
        return set(self.parts.mempool.ids())

    def refused(self, code: RefusalCode) -> float:
        """How many proofs of peers were refused with this code."""
        return self.registry.get_sample_value("step_proofs_refused_total", {"code": code, "source": "peer"}) or 0

    def faults(self) -> dict[Fault, int]:
        """What peers have been charged with."""
        return dict(self.network.statistics().penalties)


@asynccontextmanager
async def exchanging_node(hub: MemoryHub, name: str, home: Path) -> AsyncIterator[ExchangingNode]:
    """Start it with a chain at height 0."""
    (home / name).mkdir()

    def ignore(_topic: str, _sender: PeerId, _error: Refused) -> None: ...

    async with open_parts(home / name) as parts, hub.join(name) as network:
        registry = CollectorRegistry()
        exchange = ProofExchange(
            network=network,
            topic=proofs_gossip(network, CHAIN_ID, ignore),
            mempool=parts.mempool,
            admission=parts.admission,
            metrics=NodeMetrics(registry),
        )
        await network.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.run)
            yield ExchangingNode(network, parts, exchange, registry)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def stranger(hub: MemoryHub, name: str, answer: Answer) -> AsyncIterator[MemoryNetwork]:
    """A peer that answers requests for proofs as it likes."""
    async with hub.join(name) as network:
        network.subscribe(proofs_topic(CHAIN_ID), message_bytes_max=200_000, buffer_messages=10)
        network.serve(FETCH_PROTOCOL, answer, message_bytes_max=FETCH_BYTES_MAX, streams_max_per_peer=4)
        await network.start()
        yield network


def answering(inventory: bytes, proofs: bytes | None) -> Answer:
    """The first message to whoever asks what is there, the second to whoever asks for proofs."""

    async def answer(stream: Stream) -> None:
        request = await stream.receive_message()
        assert request is not None
        reply = proofs if b"PROOFS" in request else inventory
        if reply is not None:
            await stream.send_message(reply)

    return answer


async def silent(stream: Stream) -> None:
    await stream.receive_message()


async def test_what_a_client_brings_reaches_every_node_by_gossip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof_exchange, "INVENTORY_INTERVAL_MS", 3_600_000)
    hub, proof = MemoryHub(), signed_proof()
    async with exchanging_node(hub, "a", tmp_path) as one, exchanging_node(hub, "b", tmp_path) as other:
        assert await one.parts.admission.submit(proof, wait_ms=0, source="client") == Pending()
        await until(lambda: other.waiting() == {proof.proof_id})
        assert await other.parts.journal.waiting() == [], "only who promised it keeps it"


async def test_a_lone_proof_leaves_at_once_and_those_after_it_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof_exchange, "INVENTORY_INTERVAL_MS", 3_600_000)
    monkeypatch.setattr(proof_exchange, "BUNDLE_INTERVAL_MS", 3_600_000)
    bundles: list[int] = []

    def note(_sender: PeerId, _receiver: PeerId, _topic: str, data: bytes) -> bool:
        bundles.append(len(decode_bundle(data)))
        return False

    hub = MemoryHub(drop=note)
    proofs = [signed_proof(f"walker-{index}", lat=index / 10) for index in range(1 + BUNDLE_PROOFS_MAX)]
    async with exchanging_node(hub, "a", tmp_path) as one, exchanging_node(hub, "b", tmp_path) as other:
        await one.parts.admission.submit(proofs[0], wait_ms=0, source="client")
        await until(lambda: len(other.waiting()) == 1)
        await one.parts.admission.submit(proofs[1], wait_ms=0, source="client")
        await one.parts.admission.submit_many(proofs[2:-1], wait_ms=0, source="client")
        await trio.testing.wait_all_tasks_blocked()
        assert bundles == [1], "the interval is not over, and the bundle is not full"
        await one.parts.admission.submit(proofs[-1], wait_ms=0, source="client")
        await until(lambda: len(other.waiting()) == len(proofs))
        assert bundles == [1, BUNDLE_PROOFS_MAX]


async def test_those_after_a_lone_proof_leave_when_the_interval_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof_exchange, "INVENTORY_INTERVAL_MS", 3_600_000)
    hub = MemoryHub()
    proofs = [signed_proof(f"walker-{index}", lat=index / 10) for index in range(3)]
    async with exchanging_node(hub, "a", tmp_path) as one, exchanging_node(hub, "b", tmp_path) as other:
        for proof in proofs:
            await one.parts.admission.submit(proof, wait_ms=0, source="client")
        await until(lambda: len(other.waiting()) == 3)


async def test_what_gossip_has_lost_is_fetched(tmp_path: Path) -> None:
    hub = MemoryHub(drop=lambda _sender, _receiver, _topic, _data: True)
    proofs = [signed_proof(f"walker-{index}", lat=index / 10) for index in range(600)]
    async with exchanging_node(hub, "a", tmp_path) as one, exchanging_node(hub, "b", tmp_path) as other:
        for proof in proofs:
            one.parts.mempool.add(proof)
        await until(lambda: len(other.waiting()) == 600)
        assert one.faults() == other.faults() == {}
        assert one.network.statistics().handler_failures == 0


async def test_peers_that_do_not_answer_keep_nobody_else_from_being_asked(tmp_path: Path) -> None:
    """One after the other they would take ten seconds each, in every round."""
    hub, proof = MemoryHub(drop=lambda _sender, _receiver, _topic, _data: True), signed_proof()

    async def stalling(stream: Stream) -> None:
        await stream.receive_message()
        await trio.sleep_forever()

    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(exchanging_node(hub, "a", tmp_path))
        for index in range(8):
            await stack.enter_async_context(stranger(hub, f"b-{index}", stalling))
        honest = await stack.enter_async_context(exchanging_node(hub, "z", tmp_path))
        honest.parts.mempool.add(proof)
        await until(lambda: node.waiting() == {proof.proof_id})
        assert node.faults() == {}


async def test_finalised_and_dropped_proofs_are_not_fetched_again(tmp_path: Path) -> None:
    hub, settled, news = MemoryHub(), signed_proof("alice"), signed_proof("bob")
    async with exchanging_node(hub, "a", tmp_path) as one, exchanging_node(hub, "b", tmp_path) as behind:
        behind.parts.mempool.add(settled)
        one.exchange.note_settled([settled.proof_id])
        behind.parts.mempool.add(news)
        await until(lambda: news.proof_id in one.waiting())
        assert one.waiting() == {news.proof_id}


async def test_settled_proofs_are_forgotten_when_nobody_honest_lists_them_any_more(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    """Remembered by number alone they would take 14 MB, after hours."""
    mock_clock.rate = 1.0
    hub, old, recent = MemoryHub(), signed_proof("alice"), signed_proof("bob")
    async with exchanging_node(hub, "a", tmp_path) as one, exchanging_node(hub, "b", tmp_path) as behind:
        one.exchange.note_settled([old.proof_id])
        mock_clock.jump(proof_exchange.SETTLED_SECONDS + 1)
        one.exchange.note_settled([recent.proof_id])
        behind.parts.mempool.add(recent)
        behind.parts.mempool.add(old)
        # Here nothing else tells it from news: this chain has not finalised it.
        await until(lambda: old.proof_id in one.waiting())
        assert one.waiting() == {old.proof_id}


REQUESTED, OTHER = signed_proof("alice"), signed_proof("mallory")
LISTED = encode(Inventory((REQUESTED.proof_id,)))


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (answering(LISTED, encode_bundle([OTHER])), Fault.UNREQUESTED),
        (answering(LISTED, encode_bundle([REQUESTED, OTHER])), Fault.UNREQUESTED),
        (answering(LISTED, b"\x00"), Fault.MALFORMED),
        (answering(b"\x00", None), Fault.MALFORMED),
        (silent, Fault.MALFORMED),
        (answering(encode(ProofsRequest((bytes(32),))), None), Fault.MALFORMED),
        (answering(LISTED, encode_bundle([REQUESTED._replace(signature=OTHER.signature)])), Fault.INVALID_DATA),
    ],
)
async def test_who_answers_with_something_else_is_charged_and_nothing_is_let_in(
    tmp_path: Path, answer: Answer, fault: Fault
) -> None:
    hub = MemoryHub()
    async with exchanging_node(hub, "a", tmp_path) as node, stranger(hub, "liar", answer):
        await until(lambda: fault in node.faults())
        assert node.waiting() == set()


async def stalling(stream: Stream) -> None:
    await stream.receive_message()
    await trio.sleep_forever()


async def test_a_peer_that_never_answers_keeps_nobody_from_asking_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "ANSWER_TIMEOUT_MS", 50)
    hub, proof = MemoryHub(), signed_proof("bob")
    async with (
        exchanging_node(hub, "a", tmp_path) as node,
        stranger(hub, "b", stalling),
        exchanging_node(hub, "c", tmp_path) as honest,
    ):
        await until(lambda: Fault.STALLED in node.faults())
        honest.parts.mempool.add(proof)
        await until(lambda: node.waiting() == {proof.proof_id})


async def test_an_inventory_of_what_is_not_there_is_no_fault(tmp_path: Path) -> None:
    hub, proof = MemoryHub(), signed_proof("bob")
    async with (
        exchanging_node(hub, "a", tmp_path) as node,
        stranger(hub, "b", answering(LISTED, None)),
        exchanging_node(hub, "c", tmp_path) as honest,
    ):
        honest.parts.mempool.add(proof)
        await until(lambda: node.waiting() == {proof.proof_id})
        assert node.faults() == {}


async def test_a_forged_copy_does_not_keep_the_real_proof_out(tmp_path: Path) -> None:
    hub, forged = MemoryHub(), REQUESTED._replace(signature=OTHER.signature)
    async with exchanging_node(hub, "a", tmp_path) as node:
        async with stranger(hub, "liar", answering(encode(Inventory(())), None)) as liar:
            await liar.publish(proofs_topic(CHAIN_ID), encode_bundle([forged]))
            await until(lambda: node.refused(RefusalCode.BAD_SIGNATURE) == 1)
            assert node.waiting() == set()
        async with stranger(hub, "honest", answering(LISTED, encode_bundle([REQUESTED]))):
            await until(lambda: node.waiting() == {REQUESTED.proof_id})


async def test_a_forged_proof_does_not_make_honest_neighbours_charge_one_another(tmp_path: Path) -> None:
    hub, forged = MemoryHub(), REQUESTED._replace(signature=OTHER.signature)
    hub.cut("liar", "b")
    async with (
        exchanging_node(hub, "a", tmp_path) as near,
        exchanging_node(hub, "b", tmp_path) as far,
        stranger(hub, "liar", answering(encode(Inventory(())), None)) as liar,
    ):
        for _ in range(5):
            await liar.publish(proofs_topic(CHAIN_ID), encode_bundle([forged]))
        await until(lambda: far.refused(RefusalCode.BAD_SIGNATURE) == 5)
        assert near.faults() == far.faults() == {}


@pytest.mark.parametrize("request_bytes", [b"\x00", encode(Inventory(()))])
async def test_a_request_that_is_none_is_charged(tmp_path: Path, request_bytes: bytes) -> None:
    hub = MemoryHub()
    async with (
        exchanging_node(hub, "a", tmp_path) as node,
        stranger(hub, "b", answering(encode(Inventory(())), None)) as network,
    ):
        async with await network.open_stream(node.network.peer_id, FETCH_PROTOCOL) as stream:
            await stream.send_message(request_bytes)
        await until(lambda: node.faults() == {Fault.MALFORMED: 1})
