"""The validators as batches read again tell of them are those that the ledger had when the batches became final."""

from __future__ import annotations

from dataclasses import replace

import pytest

from step_node.batch.batch import decode_batch, encode_batch
from step_node.economy.fairness.point import BatchStep, ChainPoint, InvalidPoint
from step_node.ledger.records import ValidatorState
from tests.economy.fairness.chains import EventfulChain


async def eventful_chain() -> EventfulChain:
    eventful = await EventfulChain.open()
    await eventful.live_through_everything()
    return eventful


async def test_batches_read_again_tell_all_that_the_ledger_did_to_the_validators() -> None:
    eventful = await eventful_chain()
    point = ChainPoint.of(eventful.chain.genesis.head())
    states = set()
    for judged in eventful.judged:
        batch = decode_batch(encode_batch(judged.batch))
        step = BatchStep.read(point, batch, judged.transition.receipts, eventful.chain.head)
        assert step == BatchStep.of(judged)
        point = step.after
        states |= {record.state for record in point.validators}
    assert point == ChainPoint.of(eventful.chain.head)
    assert states == set(ValidatorState), "the chain has not lived through everything"


async def test_a_point_is_read_as_it_was_written() -> None:
    eventful = await eventful_chain()
    for point in eventful.points:
        assert ChainPoint.decoded(point.encoded()) == point


async def test_a_batch_is_not_read_on_top_of_a_point_that_it_does_not_follow() -> None:
    eventful = await eventful_chain()
    judged, before = eventful.judged[5], eventful.points[5]
    fewer = replace(before, validators=before.validators[1:])
    for point, message in [
        (eventful.points[4], "does not follow"),
        (replace(before, batch_hash=bytes(32)), "does not follow"),
        (fewer, "the validators are others"),
    ]:
        with pytest.raises(InvalidPoint, match=message):
            BatchStep.read(point, judged.batch, judged.transition.receipts, eventful.chain.head)


@pytest.mark.parametrize("data", [b"", b"\xc0", b"\x95", b"\x91\x01", b"\x95\x01\x02\x03\x04\x91\x05"])
def test_what_is_no_point_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidPoint):
        ChainPoint.decoded(data)


async def test_a_point_in_another_form_is_refused() -> None:
    eventful = await EventfulChain.open()
    with pytest.raises(InvalidPoint):
        ChainPoint.decoded(ChainPoint.of(eventful.chain.head).encoded() + b"\x00")
