"""Reports computed by hand, and the same report whichever way the batches come in."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from mesh import locate
from step_node.batch.batch import decode_batch, encode_batch
from step_node.economy.fairness import fold as fold_module
from step_node.economy.fairness import income
from step_node.economy.fairness.fold import EpochFold, NoReport, epoch_of, heights_of
from step_node.economy.fairness.kept import Lacking
from step_node.economy.fairness.point import BatchStep, ChainPoint
from step_node.economy.fairness.report import FairnessReport
from tests.economy.fairness.chains import EPOCH_BATCHES, NAMES, NEWCOMER, PLACES, SECOND_KEY, EventfulChain
from tests.support.chains import CHAIN_ID
from tests.support.proofs import address

PPM = 1_000_000


async def eventful_chain() -> EventfulChain:
    eventful = await EventfulChain.open()
    await eventful.live_through_everything()
    return eventful


def report_of(before: ChainPoint, steps: list[BatchStep]) -> FairnessReport:
    fold = EpochFold(before, chain_id=CHAIN_ID, epoch_batches=EPOCH_BATCHES)
    for step in steps:
        fold.add(step)
    return fold.report(fold.summed(fold.take_payments()))


async def reports(eventful: EventfulChain) -> list[FairnessReport]:
    steps = [BatchStep.of(judged) for judged in eventful.judged]
    return [
        report_of(eventful.points[first], steps[first : first + EPOCH_BATCHES])
        for first in range(0, len(steps), EPOCH_BATCHES)
    ]


def hex_address(name: str) -> str:
    return f"0x{address(name).hex()}"


async def test_the_first_epoch_by_hand() -> None:
    """Alice proves three times, Bob and Carol twice, Dave once; each proof pays 0.001953 STEP. Bob has 5 STEP at first
    and sends Dave one of them, before Dave's first proof."""
    eventful = await eventful_chain()
    (report, *_) = await reports(eventful)
    first, second, third, fourth = (judged.batch for judged in eventful.judged[:4])
    told = json.loads(report.canonical_json())
    validators = told.pop("validators")
    regions = told.pop("regions")
    proofs = {"alice": 3, "bob": 2, "carol": 2, "dave": 1}
    assert {one["triangleId"]: (one["proofs"], one["sharePpm"]) for one in regions} == {
        locate(*PLACES[name], 1).text: (count, count * PPM // 8) for name, count in proofs.items()
    }
    assert told == {
        "version": 1,
        "chainId": CHAIN_ID,
        "epoch": 1,
        "firstHeight": 1,
        "lastHeight": 4,
        "lastBatchHash": f"0x{fourth.hash.hex()}",
        "begins": "2025-10-09T08:53:21.000Z",
        "ends": "2025-10-09T08:53:24.000Z",
        "proofs": 8,
        "accounts": 4,
        "paid": "0.015624",
        # (2 * (1*1 + 2*2 + 3*2 + 4*3) - 5 * 8) / (4 * 8) = 6/32; the top is Alice, with 3 of 8.
        "income": {"giniPpm": 187_500, "topAccounts": 1, "topSharePpm": 375_000},
        # Of 3,906, 5,859, 1,001,953 and 4,003,906 micro-STEP: 12,996,094 / 20,062,496; Bob has 4,003,906 of 5,015,624.
        "balances": {"giniPpm": 647_780, "topAccounts": 1, "topSharePpm": 798_286},
        "newcomers": {"accounts": 2, "proofs": 5, "paid": "0.009765", "sharePpm": 625_000},
        "others": {"accounts": 2, "proofs": 3, "paid": "0.005859", "sharePpm": 375_000},
        "tiers": [
            {"fromBalance": begins, "belowBalance": ends, "accounts": 0, "proofs": 0, "paid": "0.000000", "sharePpm": 0}
            | {
                "0.000000": {"accounts": 2, "proofs": 5, "paid": "0.009765", "sharePpm": 625_000},
                "1.000000": {"accounts": 2, "proofs": 3, "paid": "0.005859", "sharePpm": 375_000},
            }.get(begins, {})
            for begins, ends in pairwise(
                [
                    "0.000000",
                    "0.000001",
                    "0.100000",
                    "1.000000",
                    "10.000000",
                    "100.000000",
                    "1000.000000",
                    "10000.000000",
                    None,
                ]
            )
            if begins is not None
        ],
        "levels": [{"level": 10, "proofs": 8, "paid": "0.015624", "sharePpm": PPM}],
    }
    # 5 % of what the batches 1 to 3 paid: 195, 97 and 97 micro-STEP. All sign for the first and the third, three for
    # the second; what a division leaves over is the proposer's.
    rewards = {name: 48 + 24 + (0 if name == NAMES[0] else 32) for name in NAMES}
    for batch, rest in ((first, 3), (second, 1), (third, 1)):
        rewards[next(name for name in NAMES if address(name) == batch.header.proposer)] += rest
    assert validators == {
        "rewards": "0.000389",
        "stake": "400000.000000",
        "stakeGiniPpm": 0,
        "stakeNakamoto": 2,
        "votesNakamoto": 2,
        "members": [
            {
                "validator": hex_address(name),
                "owner": hex_address(name),
                "isInSet": True,
                "stake": "100000.000000",
                "stakeSharePpm": 250_000,
                "batches": 3,
                "absences": int(name == NAMES[0]),
                "rewards": f"0.{rewards[name]:06d}",
                "rewardsSharePpm": rewards[name] * PPM // 389,
            }
            for name in NAMES
        ],
    }


async def test_a_validator_whose_key_is_replaced_counts_once_and_one_that_left_is_still_told_of() -> None:
    eventful = await eventful_chain()
    _, second, third = await reports(eventful)
    at_the_end = {one.validator: one for one in second.validators.members}
    assert hex_address(SECOND_KEY) in at_the_end
    assert hex_address(NAMES[1]) not in at_the_end
    assert at_the_end[hex_address(SECOND_KEY)].batches == EPOCH_BATCHES
    assert at_the_end[hex_address(SECOND_KEY)].owner == hex_address(NAMES[1])
    # Its last pre-commit of the old key is due by the first batch of the third epoch.
    later = {one.validator: one for one in third.validators.members}
    assert hex_address(NAMES[1]) not in later
    assert later[hex_address(SECOND_KEY)].batches == EPOCH_BATCHES
    assert (later[hex_address(NAMES[2])].is_in_set, later[hex_address(NAMES[2])].batches) == (False, 1)
    assert later[hex_address(NAMES[3])].is_in_set is False
    assert later[hex_address(NAMES[3])].stake == "0.000000"
    # 100,000 each of two, and 250,000 of the newcomer, who alone has more than a third of the stake, but not of votes.
    assert (third.validators.stake, third.validators.stake_nakamoto) == ("450000.000000", 1)
    assert third.validators.votes_nakamoto == 2
    assert later[hex_address(NEWCOMER)].owner == hex_address("cold")


async def test_batches_read_again_give_the_same_bytes() -> None:
    eventful = await eventful_chain()
    live = [report.canonical_json() for report in await reports(eventful)]
    point = ChainPoint.of(eventful.chain.genesis.head())
    again = []
    for first in range(0, len(eventful.judged), EPOCH_BATCHES):
        before, steps = point, []
        for judged in eventful.judged[first : first + EPOCH_BATCHES]:
            batch = decode_batch(encode_batch(judged.batch))
            steps.append(BatchStep.read(point, batch, judged.transition.receipts, eventful.chain.head))
            point = steps[-1].after
        again.append(report_of(before, steps).canonical_json())
    assert again == live
    assert [FairnessReport.parse(one).canonical_json() for one in live] == live


async def test_payments_summed_in_between_give_the_same_report() -> None:
    eventful = await eventful_chain()
    (expected, *_) = await reports(eventful)
    fold = EpochFold(eventful.points[0], chain_id=CHAIN_ID, epoch_batches=EPOCH_BATCHES)
    sums = None
    for judged in eventful.judged[:EPOCH_BATCHES]:
        fold.add(BatchStep.of(judged))
        sums = fold.summed(fold.take_payments(), sums)
    assert sums is not None
    assert fold.report(sums) == expected


async def test_the_payments_of_many_small_batches_are_held_as_few_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """An array for each batch of a few proofs takes a KB, and an epoch has a thousand batches."""
    eventful = await eventful_chain()
    (expected, *_) = await reports(eventful)
    assert fold_module.PARTS_JOINED <= 64
    monkeypatch.setattr(fold_module, "PARTS_JOINED", 2)
    fold = EpochFold(eventful.points[0], chain_id=CHAIN_ID, epoch_batches=EPOCH_BATCHES)
    paying = 0
    for judged in eventful.judged[:EPOCH_BATCHES]:
        fold.add(BatchStep.of(judged))
        paying += bool(judged.transition.receipts)
    parts = fold.take_payments()
    assert paying > 2
    assert len(parts) == paying // 2 + paying % 2
    assert fold.report(fold.summed(parts)) == expected
    assert fold.take_payments() == []


async def test_an_epoch_that_paid_nothing_has_no_shares() -> None:
    eventful = await EventfulChain.open(validator_reward_bps=0)
    steps = []
    for height in range(EPOCH_BATCHES):
        before = ChainPoint.of(eventful.chain.head)
        judged = await eventful.grow("alice")
        step = BatchStep.of(judged)
        steps.append(BatchStep(step.timestamp_ms, step.signers, {}, (), step.after))
        assert before.height == height
    told = report_of(eventful.points[0], steps)
    assert (told.proofs, told.accounts, told.paid) == (0, 0, "0.000000")
    assert told.income.gini_ppm is told.income.top_share_ppm is told.newcomers.share_ppm is None
    assert told.income.top_accounts == 0
    assert not told.levels
    assert not told.regions
    assert {one.rewards_share_ppm for one in told.validators.members} == {None}


async def test_an_epoch_of_more_accounts_than_there_is_memory_for_has_no_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    eventful = await eventful_chain()
    monkeypatch.setattr("step_node.economy.fairness.fold.ACCOUNTS_MAX", 3)
    with pytest.raises(NoReport, match="more than 3 accounts") as error:
        await reports(eventful)
    assert error.value.lacking is Lacking.TOO_MANY_ACCOUNTS


@pytest.mark.parametrize(
    "field",
    [
        {"reward_ustep": 2**64},
        {"reward_ustep": -(2**40)},
        {"balance_ustep": -(2**64)},
        {"account": b"short"},
        {"triangle": 31},
        {"triangle": 31 << 59},
    ],
)
async def test_receipts_that_cannot_be_are_all_one_reason_for_no_report(field: dict[str, Any]) -> None:
    eventful = await eventful_chain()
    steps = [BatchStep.of(judged) for judged in eventful.judged[:EPOCH_BATCHES]]
    steps[1] = replace(steps[1], receipts=[one._replace(**field) for one in steps[1].receipts])
    with pytest.raises(NoReport, match="epoch 1: its receipts cannot be") as error:
        report_of(eventful.points[0], steps)
    assert error.value.lacking is Lacking.UNSOUND


async def test_payments_are_to_be_summed_once_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert income.ROWS_MAX >= 1000 * 1000
    eventful = await eventful_chain()
    monkeypatch.setattr("step_node.economy.fairness.fold.ROWS_MAX", 3)
    fold = EpochFold(eventful.points[0], chain_id=CHAIN_ID, epoch_batches=EPOCH_BATCHES)
    fold.add(BatchStep.of(eventful.judged[0]))
    heavy = [fold.is_heavy]
    fold.add(BatchStep.of(eventful.judged[1]))
    heavy.append(fold.is_heavy)
    assert sum(map(len, fold.take_payments())) == 3
    assert [*heavy, fold.is_heavy] == [False, True, False]


async def test_batches_are_taken_in_order_and_in_their_epoch_only() -> None:
    eventful = await eventful_chain()
    with pytest.raises(ValueError, match="no epoch ends there"):
        EpochFold(eventful.points[1], chain_id=CHAIN_ID, epoch_batches=EPOCH_BATCHES)
    fold = EpochFold(eventful.points[0], chain_id=CHAIN_ID, epoch_batches=EPOCH_BATCHES)
    with pytest.raises(ValueError, match="does not follow"):
        fold.add(BatchStep.of(eventful.judged[1]))
    for judged in eventful.judged[:EPOCH_BATCHES]:
        with pytest.raises(ValueError, match="its last batch is not in"):
            fold.report(fold.summed([]))
        fold.add(BatchStep.of(judged))
    with pytest.raises(ValueError, match="does not follow"):
        fold.add(BatchStep.of(eventful.judged[EPOCH_BATCHES]))


@pytest.mark.parametrize(("height", "epoch"), [(1, 1), (1000, 1), (1001, 2), (2000, 2)])
def test_the_first_epoch_ends_where_the_ledger_ends_it(height: int, epoch: int) -> None:
    assert epoch_of(height, 1000) == epoch
    first, last = heights_of(epoch, 1000)
    assert first <= height <= last
    assert last % 1000 == 0
