"""What waits for one peer: who goes first, and what is dropped when it is too much."""

from __future__ import annotations

from libp2p.pubsub.pb import rpc_pb2

from p2p.libp2p_gossip import (
    SEND_QUEUE_BULK_BYTES_MAX,
    SEND_QUEUE_BULK_MESSAGES_MAX,
    SEND_QUEUE_BYTES_MAX,
    SEND_QUEUE_MESSAGES_MAX,
    _SendQueue,
)

VOTES, PROOFS = "/votes", "/proofs"


def rpc(topic: str, size_bytes: int = 1) -> rpc_pb2.RPC:
    return rpc_pb2.RPC(publish=[rpc_pb2.Message(data=bytes(size_bytes), topicIDs=[topic])])


def graft() -> rpc_pb2.RPC:
    return rpc_pb2.RPC(control=rpc_pb2.ControlMessage(graft=[rpc_pb2.ControlGraft(topicID=PROOFS)]))


def queue() -> tuple[_SendQueue, list[int]]:
    drops: list[int] = []
    return _SendQueue(frozenset({VOTES}), drops.append), drops


def popped(one: _SendQueue) -> list[rpc_pb2.RPC]:
    return list(iter(one.pop, None))


def test_urgent_topics_and_control_messages_overtake_the_rest_and_nothing_else_changes_places() -> None:
    one, _ = queue()
    sent = [rpc(PROOFS, 1), rpc(VOTES, 2), graft(), rpc(PROOFS, 3), rpc(VOTES, 4)]
    assert all(one.push(each, priority=number == 0) for number, each in enumerate(sent))
    assert popped(one) == [sent[1], sent[2], sent[4], sent[0], sent[3]]


def test_a_queue_full_of_proofs_still_takes_votes() -> None:
    one, drops = queue()
    while one.push(rpc(PROOFS, 100_000)):
        pass
    assert drops == [1]
    assert sum(each.ByteSize() for each in one._non_priority) <= SEND_QUEUE_BULK_BYTES_MAX
    assert one.push(rpc(VOTES, 900_000))
    assert drops == [1]


def test_bytes_and_messages_are_bounded_and_what_was_taken_makes_room() -> None:
    for topic, size_bytes, messages_max in (
        (PROOFS, 1, SEND_QUEUE_BULK_MESSAGES_MAX),
        (VOTES, 1, SEND_QUEUE_MESSAGES_MAX),
        (VOTES, 900_000, SEND_QUEUE_BYTES_MAX // 900_000),
    ):
        for _ in range(2):
            one, drops = queue()
            while one.push(rpc(topic, size_bytes)):
                pass
            assert messages_max - 1 <= len(one) <= messages_max
            assert drops == [1]
            assert one.pop() is not None
            assert one.push(rpc(topic, size_bytes))
            popped(one)
            assert one._bytes == one._bulk_bytes == 0
